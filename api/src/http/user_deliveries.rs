//! `/v1/users/{id}/deliveries`: a user's deliveries, newest first, page by page.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::id::{ExternalId, UserId};
use projections::{List, PageKey, UserDeliveriesQuery};

use super::Api;
use super::answer::{degraded, failed};
use super::delivery_filter::DeliveryFilter;
use super::fields::{Fields, parsed, read_query};
use super::listing::{Asked, Listed, Piece};
use super::path::{PathId, Thing, unknown};
use super::prefer::Freshness;
use super::problem::Problem;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/users/{id}/deliveries", get(list))
}

async fn list(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let user: UserId = id.parse(Thing::User)?;
    if !exists(&api, user)? {
        return Err(unknown(Thing::User));
    }
    let filter = read_query(&uri, read_filter)?;
    let scope = filter.scope(user);
    let after = filter.piece.after(&api, &scope, PageKey::from_bytes)?;
    let query = filter.query(after);
    let page = freshness
        .ask(&api, List::UserDeliveries, |views| {
            // Before the page, so that all that it lacks is told.
            let degraded_since = views.degraded_since(List::UserDeliveries, Some(user));
            Ok((degraded_since, views.user_deliveries(user, &query)?))
        })
        .await?;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let (degraded_since, found) = &page.content;
    let listed = Listed {
        scope: &scope,
        items: filter
            .deliveries
            .items(&api, found.items.iter().map(|listed| listed.id))?,
        next: found.next.map(|key| key.to_bytes().to_vec()),
    };
    let response = asked.answer(&api, page.position, listed)?;
    Ok(degraded(*degraded_since, page.stamp(response)))
}

/// By the log itself, so that the list alone hangs on a view.
fn exists(api: &Api, user: UserId) -> Result<bool, Problem> {
    let status = api.application.user_status(user);
    Ok(status.map_err(|error| failed(&error.into()))?.is_some())
}

/// What a client asks for.
struct Filter {
    deliveries: DeliveryFilter,
    external_id: Option<ExternalId>,
    piece: Piece,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_filter(query: &mut Fields<'_>) -> Option<Filter> {
    Some(Filter {
        deliveries: DeliveryFilter::read(query),
        external_id: query.optional("external_id", parsed(str::parse::<ExternalId>)),
        piece: Piece::read(query),
    })
}

impl Filter {
    /// What a cursor fits with: the list and the filter, but not the length
    /// of a page, which may change on the way.
    fn scope(&self, user: UserId) -> String {
        let name = self.external_id.as_ref().map_or("", ExternalId::as_str);
        format!("deliveries of {user}, {}, named {name}", self.deliveries)
    }

    fn query(&self, after: Option<PageKey>) -> UserDeliveriesQuery {
        UserDeliveriesQuery {
            statuses: self.deliveries.statuses.clone(),
            created_after: self.deliveries.created_after,
            created_before: self.deliveries.created_before,
            external_id: self.external_id.clone(),
            limit: self.piece.limit,
            after,
        }
    }
}
