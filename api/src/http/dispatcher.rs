//! `GET /v1/deliveries`: all deliveries, of whatever user, newest first.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::delivery::Status;
use domain::id::{DeliveryId, UserId};
use domain::time::Timestamp;
use projections::{
    DeliveriesPage, DeliveriesQuery, List, PageKey, QueryError, UserDeliveriesQuery, Views,
};
use serde_json::Value;

use super::Api;
use super::answer::{degraded, unanswered};
use super::fields::{Fields, parsed, read_query};
use super::listing::{Asked, Listed, Piece, read_statuses};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::delivery as representation;

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
        .ask(&api.views, filter.list(), |views| {
            // Before the page, so that all that it lacks is told.
            let degraded_since = views.degraded_since(filter.list(), filter.user);
            Ok((degraded_since, filter.page(views, after)?))
        })
        .await?;
    let (degraded_since, found) = &page.content;
    let items = filter.items(&api, &found.items)?;
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
    statuses: Vec<Status>,
    user: Option<UserId>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    piece: Piece,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_filter(query: &mut Fields<'_>) -> Option<Filter> {
    Some(Filter {
        statuses: query
            .optional("status", parsed(read_statuses))
            .unwrap_or_default(),
        user: query.optional("user_id", parsed(str::parse::<UserId>)),
        created_after: query.optional("created_after", parsed(str::parse::<Timestamp>)),
        created_before: query.optional("created_before", parsed(str::parse::<Timestamp>)),
        piece: Piece::read(query),
    })
}

impl Filter {
    /// What a cursor fits with.
    fn scope(&self) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.word()).collect();
        let bound = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        format!(
            "all deliveries, of {}, status {}, after {}, before {}",
            self.user.map(|user| user.to_string()).unwrap_or_default(),
            statuses.join(","),
            bound(self.created_after),
            bound(self.created_before),
        )
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
        let Some(user) = self.user else {
            return views.deliveries(&DeliveriesQuery {
                statuses: self.statuses.clone(),
                created_after: self.created_after,
                created_before: self.created_before,
                limit: self.piece.limit,
                after,
            });
        };
        let query = UserDeliveriesQuery {
            statuses: self.statuses.clone(),
            created_after: self.created_after,
            created_before: self.created_before,
            after,
            ..UserDeliveriesQuery::all(self.piece.limit)
        };
        let page = views.user_deliveries(user, &query)?;
        Ok(DeliveriesPage {
            items: page.items.into_iter().map(|listed| listed.id).collect(),
            next: page.next,
        })
    }

    /// The deliveries of a page as they are now; what has left the filter
    /// meanwhile is left out.
    fn items(&self, api: &Api, ids: &[DeliveryId]) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            let row = api.views.delivery(*id);
            let row = row.map_err(|error| unanswered(&error))?;
            let wanted =
                row.filter(|row| self.statuses.is_empty() || self.statuses.contains(&row.status));
            items.extend(wanted.as_ref().map(representation::delivery));
        }
        Ok(items)
    }
}
