//! `GET /v1/projections`: how each view is.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use projections::{ReaderState, RebuildStatus, ViewHealth, ViewsHealth};
use serde_json::{Value, json};

use super::rebuild::{Rebuild, as_operation, percent};
use crate::http::Api;
use crate::http::answer::json as json_answer;
use crate::http::conditional::{EntityTag, Preconditions};
use crate::http::path::no_query;
use crate::http::problem::Problem;

/// The address of the list, where also is seen what came of a rebuild.
pub(super) const PATH: &str = "/v1/projections";

pub(super) fn routes() -> Router<Api> {
    Router::new().route(PATH, get(list))
}

async fn list(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_query(&uri)?;
    let preconditions = Preconditions::of(&method, &headers)?;
    let health = api.views.health();
    let items = health.views.iter().map(|view| {
        let rebuild = api.rebuilds.of(&api.views, api.environment(), view.name);
        shown(&health, view, rebuild.as_ref(), api.environment().now_us())
    });
    let body = json!({
        "head": health.head.get(),
        "ready": health.is_ready(),
        "audited_records": health.audited,
        "lag_ms": millis(health.lag),
        "holds_writes": health.holds_writes.is_some(),
        "items": items.collect::<Vec<_>>(),
        "next": null,
    });
    let tag = EntityTag::of_bytes(body.to_string().as_bytes());
    Ok(preconditions.answer(tag, || json_answer(StatusCode::OK, &body)))
}

fn shown(health: &ViewsHealth, view: &ViewHealth, rebuild: Option<&Rebuild>, now_us: i64) -> Value {
    let operation = rebuild.map(|rebuild| as_operation(rebuild, now_us).to_json());
    json!({
        "name": view.name,
        "version": view.version,
        "position": view.position.get(),
        "lag_positions": health.head.get().saturating_sub(view.position.get()),
        "lag_ms": millis(view.lag),
        "state": state(health, view, rebuild),
        "halted": view.halted.as_ref().map(ToString::to_string),
        "checked": view.checked,
        "parked_streams": view.parked,
        "skipped_records": view.skipped,
        "drifted": view.drifted,
        "rebuilding": view.rebuilding.map(|position| json!({
            "position": position.get(),
            "target": health.head.get(),
            "percent": percent(position.get(), health.head.get()),
        })),
        "rebuild": operation,
        "links": { "rebuild": format!("{PATH}/{}/rebuild", view.name) },
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a view is doing, in a word: what is wrong before what passes.
fn state(health: &ViewsHealth, view: &ViewHealth, rebuild: Option<&Rebuild>) -> &'static str {
    match &health.reader {
        ReaderState::Opening => return "opening",
        ReaderState::WaitingForRoom(_) => return "waiting_for_room",
        ReaderState::Retrying(_) => return "retrying",
        ReaderState::Failed(_) => return "failed",
        ReaderState::Stopped => return "stopped",
        ReaderState::Following => {}
    }
    let is_asked_for = rebuild.is_some_and(|rebuild| match rebuild.status {
        RebuildStatus::Waiting | RebuildStatus::Running { .. } => true,
        RebuildStatus::Succeeded | RebuildStatus::Failed { .. } => false,
    });
    if view.halted.is_some() {
        "halted"
    } else if view.parked > 0 || view.skipped > 0 {
        "degraded"
    } else if view.position < health.ready_at {
        "building"
    } else if is_asked_for || view.rebuilding.is_some() {
        "rebuilding"
    } else {
        "following"
    }
}
