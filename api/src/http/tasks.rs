//! `GET /v1/tasks`: what needs a person; `GET /v1/dead-letters`: what could not be applied.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use projections::EventPlace;

use super::Api;
use super::fields::read_query;
use super::listing::{Asked, Listed, Piece};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::task::{dead_letter, task};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/tasks", get(tasks))
        .route("/v1/dead-letters", get(dead_letters))
}

async fn tasks(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let scope = "tasks";
    let (limit, after) = piece(&api, &uri, scope)?;
    let page = freshness
        .ask(&api.views, |views| views.tasks(after, limit))
        .await?;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let listed = Listed {
        scope,
        items: page.content.items.iter().map(task).collect(),
        next: page.content.next.map(|place| place.to_bytes().to_vec()),
    };
    let response = asked.answer(&api, page.position, listed)?;
    Ok(page.stamp(response))
}

async fn dead_letters(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let scope = "dead letters";
    let (limit, after) = piece(&api, &uri, scope)?;
    let page = freshness
        .ask(&api.views, |views| views.dead_letters(after, limit))
        .await?;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let listed = Listed {
        scope,
        items: page.content.items.iter().map(dead_letter).collect(),
        next: page.content.next.map(|place| place.to_bytes().to_vec()),
    };
    let response = asked.answer(&api, page.position, listed)?;
    Ok(page.stamp(response))
}

fn piece(api: &Api, uri: &Uri, scope: &str) -> Result<(usize, Option<EventPlace>), Problem> {
    let piece = read_query(uri, |query| Some(Piece::read(query)))?;
    let after = piece.after(api, scope, EventPlace::from_bytes)?;
    Ok((piece.limit, after))
}
