//! `/livez`, `/readyz`, `/metrics`: how the service is.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use eventstore::Health;
use projections::ViewsHealth;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::json as json_answer;
use super::problem::{Problem, ProblemKind};
use crate::observability::{LOG_POSITION, LOG_WRITABLE, VIEW_LAG_POSITIONS, VIEWS_REBUILDS};

const NEVER_STORED: [(axum::http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// The process answers; no more is meant.
async fn livez() -> Response {
    (
        NEVER_STORED,
        json_answer(StatusCode::OK, &json!({ "status": "alive" })),
    )
        .into_response()
}

/// Everything can be answered: every view has reached the head that was found
/// at the start, and the log takes appends. A full disk is told and does not
/// count: reads go on, and appends resume by themselves.
async fn readyz(State(api): State<Api>) -> Result<Response, Problem> {
    let (health, log) = (api.views.health(), api.application.log_health());
    let mut members = shown(&health);
    members.insert("log".to_owned(), json!(word(&log)));
    let appends = matches!(log, Health::Writable | Health::Full);
    if health.is_ready() && appends {
        let mut body = Map::new();
        body.insert("status".to_owned(), json!("ready"));
        body.extend(members);
        return Ok((
            NEVER_STORED,
            json_answer(StatusCode::OK, &Value::Object(body)),
        )
            .into_response());
    }
    let problem = if appends {
        let why = "the views have not reached the end of the log; wait for them";
        Problem::new(ProblemKind::NotReady, why).with_retry_after_s(1)
    } else {
        let why = "the log takes no writes until the service is restarted; see its log for why";
        Problem::new(ProblemKind::ReadOnly, why).with_retry_after_s(30)
    };
    Err(members.into_iter().fold(problem, |problem, (name, value)| {
        problem.with_member(&name, value)
    }))
}

fn word(health: &Health) -> &'static str {
    match health {
        Health::Writable => "writable",
        Health::Full => "full",
        Health::ReadOnly { .. } => "read_only",
        Health::Closed => "closed",
    }
}

fn shown(health: &ViewsHealth) -> Map<String, Value> {
    let views = health.views.iter().map(|view| {
        json!({
            "name": view.name,
            "version": view.version,
            "position": view.position.get(),
            "halted": view.halted.is_some(),
        })
    });
    let members = [
        ("head", json!(health.head.get())),
        ("applied", json!(health.applied.get())),
        ("ready_at", json!(health.ready_at.get())),
        ("views", views.collect()),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

async fn metrics(State(api): State<Api>) -> Response {
    gauge(&api.views.health(), &api.application.log_health());
    let headers = [
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, api.metrics.render()).into_response()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; positions are exact up to 2^53"
)]
fn gauge(health: &ViewsHealth, log: &Health) {
    let writable = matches!(log, Health::Writable);
    metrics::gauge!(LOG_WRITABLE).set(f64::from(u8::from(writable)));
    metrics::gauge!(LOG_POSITION).set(health.head.get() as f64);
    metrics::gauge!(VIEWS_REBUILDS).set(f64::from(health.rebuilds));
    for view in &health.views {
        let lag = health.head.get().saturating_sub(view.position.get());
        metrics::gauge!(VIEW_LAG_POSITIONS, "view" => view.name).set(lag as f64);
    }
}
