//! `/v1/users/{id}/deliveries`: a user's deliveries, newest first, page by page.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::delivery::Status;
use domain::id::{ExternalId, UserId};
use domain::time::Timestamp;
use projections::{List, PageKey, UserDeliveriesPage, UserDeliveriesQuery};
use serde_json::Value;

use super::Api;
use super::answer::{degraded, failed, unanswered};
use super::fields::{Fields, parsed, read_query};
use super::listing::{Asked, Listed, Piece, read_statuses};
use super::path::{PathId, unknown};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::delivery as representation;

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
    let user: UserId = id.parse("user")?;
    if !exists(&api, user)? {
        return Err(unknown("user"));
    }
    let filter = read_query(&uri, read_filter)?;
    let scope = filter.scope(user);
    let after = filter.piece.after(&api, &scope, PageKey::from_bytes)?;
    let query = filter.query(after);
    let page = freshness
        .ask(&api.views, List::UserDeliveries, |views| {
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
        items: items(&api, &query, found)?,
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

/// The deliveries of a page as they are now; what has left the filter
/// meanwhile is left out.
fn items(
    api: &Api,
    query: &UserDeliveriesQuery,
    page: &UserDeliveriesPage,
) -> Result<Vec<Value>, Problem> {
    let mut items = Vec::with_capacity(page.items.len());
    for listed in &page.items {
        let row = api
            .views
            .delivery(listed.id)
            .map_err(|error| unanswered(&error))?;
        let row =
            row.filter(|row| query.statuses.is_empty() || query.statuses.contains(&row.status));
        items.extend(row.as_ref().map(representation::delivery));
    }
    Ok(items)
}

/// What a client asks for.
struct Filter {
    statuses: Vec<Status>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    external_id: Option<ExternalId>,
    piece: Piece,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_filter(query: &mut Fields<'_>) -> Option<Filter> {
    Some(Filter {
        statuses: query
            .optional("status", parsed(read_statuses))
            .unwrap_or_default(),
        created_after: query.optional("created_after", parsed(str::parse::<Timestamp>)),
        created_before: query.optional("created_before", parsed(str::parse::<Timestamp>)),
        external_id: query.optional("external_id", parsed(str::parse::<ExternalId>)),
        piece: Piece::read(query),
    })
}

impl Filter {
    /// What a cursor fits with: the list and the filter, but not the length
    /// of a page, which may change on the way.
    fn scope(&self, user: UserId) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.word()).collect();
        let bound = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        format!(
            "deliveries of {user}, status {}, after {}, before {}, named {}",
            statuses.join(","),
            bound(self.created_after),
            bound(self.created_before),
            self.external_id.as_ref().map_or("", ExternalId::as_str),
        )
    }

    fn query(self, after: Option<PageKey>) -> UserDeliveriesQuery {
        UserDeliveriesQuery {
            statuses: self.statuses,
            created_after: self.created_after,
            created_before: self.created_before,
            external_id: self.external_id,
            limit: self.piece.limit,
            after,
        }
    }
}
