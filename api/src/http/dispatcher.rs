//! `GET /v1/deliveries`: all deliveries, of whatever user, newest first.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::id::UserId;
use projections::{
    DeliveriesPage, DeliveriesQuery, List, PageKey, QueryError, UserDeliveriesQuery, Views,
};

use super::Api;
use super::answer::degraded;
use super::delivery_filter::DeliveryFilter;
use super::fields::{Fields, parsed, read_query};
use super::listing::{Asked, Listed, Piece};
use super::prefer::Freshness;
use super::problem::Problem;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/deliveries", get(list))
}

async fn list(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let filter = read_query(&uri, read_filter)?;
    let scope = filter.scope();
    let after = filter.piece.after(&api, &scope, PageKey::from_bytes)?;
    let page = freshness
        .ask(&api, filter.list(), |views| {
            // Before the page, so that all that it lacks is told.
            let degraded_since = views.degraded_since(filter.list(), filter.user);
            Ok((degraded_since, filter.page(views, after)?))
        })
        .await?;
    let (degraded_since, found) = &page.content;
    let items = filter.deliveries.items(&api, found.items.iter().copied())?;
    let next = found.next.map(|key| key.to_bytes().to_vec());
    let scope = &scope;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let response = asked.answer(&api, page.position, Listed { scope, items, next })?;
    Ok(degraded(*degraded_since, page.stamp(response)))
}

/// What a client asks for.
struct Filter {
    deliveries: DeliveryFilter,
    user: Option<UserId>,
    piece: Piece,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_filter(query: &mut Fields<'_>) -> Option<Filter> {
    Some(Filter {
        deliveries: DeliveryFilter::read(query),
        user: query.optional("user_id", parsed(str::parse::<UserId>)),
        piece: Piece::read(query),
    })
}

impl Filter {
    /// What a cursor fits with.
    fn scope(&self) -> String {
        let user = self.user.map(|user| user.to_string()).unwrap_or_default();
        format!("all deliveries, of {user}, {}", self.deliveries)
    }

    /// One user's are found in their own list, without looking at the others'.
    /// What it is read from.
    const fn list(&self) -> List {
        match self.user {
            None => List::Deliveries,
            Some(_) => List::UserDeliveries,
        }
    }

    fn page(&self, views: &Views, after: Option<PageKey>) -> Result<DeliveriesPage, QueryError> {
        let wanted = &self.deliveries;
        let Some(user) = self.user else {
            return views.deliveries(&DeliveriesQuery {
                statuses: wanted.statuses.clone(),
                created_after: wanted.created_after,
                created_before: wanted.created_before,
                limit: self.piece.limit,
                after,
            });
        };
        let query = UserDeliveriesQuery {
            statuses: wanted.statuses.clone(),
            created_after: wanted.created_after,
            created_before: wanted.created_before,
            after,
            ..UserDeliveriesQuery::all(self.piece.limit)
        };
        let page = views.user_deliveries(user, &query)?;
        Ok(DeliveriesPage {
            items: page.items.into_iter().map(|listed| listed.id).collect(),
            next: page.next,
        })
    }
}
