//! `/livez`, `/readyz`, `/metrics`: how the service is.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use eventstore::{Health, OutageKind, Position};
use projections::{ReaderState, ViewsHealth};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{OUTAGE_RETRY_S, in_the_way, json as json_answer};
use super::operations::under_way_at;
use super::problem::{Problem, ProblemKind};
use crate::observability::{
    AUDITED_RECORDS, LOG_POSITION, LOG_WRITABLE, VIEW_CHECKED, VIEW_DRIFTED, VIEW_HALTED,
    VIEW_LAG_POSITIONS, VIEW_LAG_SECONDS, VIEW_PARKED_STREAMS, VIEW_POSITION,
    VIEW_REBUILD_POSITION, VIEW_REBUILDING, VIEW_REBUILDS, VIEW_SKIPPED_RECORDS, VIEWS_BEGUN_ANEW,
    VIEWS_HOLD_WRITES, VIEWS_LAG_SECONDS, cluster,
};

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
/// count: reads go on, and appends resume by themselves; but that of a node of
/// several, which shows nothing any more of what the others write.
async fn readyz(State(api): State<Api>) -> Result<Response, Problem> {
    let (health, log) = (api.views.health(), api.application.log_health());
    let mut members = shown(&health);
    members.insert("log".to_owned(), json!(word(&log)));
    let Some(obstacle) = obstacle(&health, &log, api.cluster.is_some()) else {
        let mut body = Map::new();
        body.insert("status".to_owned(), json!("ready"));
        body.extend(members);
        return Ok((
            NEVER_STORED,
            json_answer(StatusCode::OK, &Value::Object(body)),
        )
            .into_response());
    };
    let problem = Problem::new(obstacle.kind, obstacle.detail());
    let problem = problem.with_retry_after_s(obstacle.retry_after_s);
    Err(members.into_iter().fold(problem, |problem, (name, value)| {
        problem.with_member(&name, value)
    }))
}

/// How long to wait for what time alone does not mend, seconds.
const MENDED_BY_HAND_S: u32 = 30;

/// Why the service is not ready.
#[derive(Debug, PartialEq)]
struct Obstacle {
    kind: ProblemKind,
    /// What of the cluster, if it is that.
    cluster: Option<OutageKind>,
    why: &'static str,
    retry_after_s: u32,
}

impl Obstacle {
    fn detail(&self) -> String {
        let why = self.why;
        match self.cluster {
            None => why.to_owned(),
            Some(kind) => format!("the cluster that keeps the log {}: {why}", in_the_way(kind)),
        }
    }
}

/// What of the log stands in the way.
fn obstacle_of_log(log: &Health, is_shared: bool) -> Option<Obstacle> {
    match log {
        Health::ReadOnly { .. } | Health::Closed => Some(Obstacle {
            kind: ProblemKind::ReadOnly,
            cluster: None,
            why: "the log takes no writes; see the service's log for why, mend that, and restart it",
            retry_after_s: MENDED_BY_HAND_S,
        }),
        Health::Outage { kind, .. } => Some(Obstacle {
            kind: ProblemKind::ReadOnly,
            cluster: Some(*kind),
            why: "nothing can be written for now, and what is there can be read; it is tried again all the time, \
                  see the service's log for why",
            retry_after_s: OUTAGE_RETRY_S,
        }),
        // By itself it shows all there is; as one of several it cannot follow the others.
        Health::Full if is_shared => Some(Obstacle {
            kind: ProblemKind::NotReady,
            cluster: None,
            why: "the disk is full, so this node does not follow the log and shows what was; make room on it, and it \
                  goes on by itself",
            retry_after_s: MENDED_BY_HAND_S,
        }),
        Health::Writable | Health::Full => None,
    }
}

/// What stands in the way, the worst first: what only an operator can mend
/// before what passes.
fn obstacle(health: &ViewsHealth, log: &Health, is_shared: bool) -> Option<Obstacle> {
    let not_ready = |why, retry_after_s| {
        Some(Obstacle {
            kind: ProblemKind::NotReady,
            cluster: None,
            why,
            retry_after_s,
        })
    };
    if let Some(of_log) = obstacle_of_log(log, is_shared) {
        return Some(of_log);
    }
    match &health.reader {
        ReaderState::Failed(_) => {
            return not_ready(
                "the views do not follow the log; see the service's log for why, and restart it",
                MENDED_BY_HAND_S,
            );
        }
        ReaderState::WaitingForRoom(_) => {
            return not_ready(
                "the views' disk takes no writes, and they are waiting for room; make room on it, or make it writable, and they go on by themselves",
                MENDED_BY_HAND_S,
            );
        }
        ReaderState::Retrying(_) => {
            return not_ready(
                "the views do not follow the log for now; it is tried again every few seconds, see the service's log for why",
                MENDED_BY_HAND_S,
            );
        }
        ReaderState::Stopped => return not_ready("the service is stopping; come back later", 1),
        ReaderState::Opening => {
            return not_ready(
                "the views are being opened, which takes long after a long run that was not ended; wait for them",
                1,
            );
        }
        ReaderState::Following => {}
    }
    if health.views.iter().any(|view| view.halted.is_some()) {
        return not_ready(
            "a view stands still at a record that this release cannot read; see the service's log, \
             then start a release that can",
            MENDED_BY_HAND_S,
        );
    }
    if health.is_ready() {
        return None;
    }
    not_ready(
        "the views have not reached the end of the log; wait for them",
        1,
    )
}

fn reader_word(reader: &ReaderState) -> &'static str {
    match reader {
        ReaderState::Opening => "opening",
        ReaderState::Following => "following",
        ReaderState::WaitingForRoom(_) => "waiting_for_room",
        ReaderState::Retrying(_) => "retrying",
        ReaderState::Failed(_) => "failed",
        ReaderState::Stopped => "stopped",
    }
}

fn word(health: &Health) -> &'static str {
    match health {
        Health::Writable => "writable",
        Health::Full
        | Health::Outage {
            kind: OutageKind::Full,
            ..
        } => "full",
        Health::ReadOnly { .. } => "read_only",
        Health::Outage { .. } => "outage",
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
        ("reader", json!(reader_word(&health.reader))),
        ("views", views.collect()),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

async fn metrics(State(api): State<Api>) -> Response {
    let health = api.views.health();
    gauge(&health, &api.application.log_health());
    if let Some(figures) = &api.cluster {
        cluster::show(figures);
    }
    for view in &health.views {
        // One that nobody asked for has no operation, and one that was just asked for no view.
        let asked = under_way_at(&api, view.name);
        let position = view.rebuilding.map(Position::get);
        gauge_rebuild(view.name, position.or(asked));
    }
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
    metrics::counter!(AUDITED_RECORDS).absolute(health.audited);
    metrics::gauge!(VIEWS_LAG_SECONDS).set(health.lag.as_secs_f64());
    let are_held = f64::from(u8::from(health.holds_writes.is_some()));
    metrics::gauge!(VIEWS_HOLD_WRITES).set(are_held);
    metrics::counter!(VIEWS_BEGUN_ANEW).absolute(u64::from(health.begun_anew));
    for view in &health.views {
        let lag = health.head.get().saturating_sub(view.position.get());
        metrics::gauge!(VIEW_POSITION, "view" => view.name).set(view.position.get() as f64);
        metrics::gauge!(VIEW_LAG_POSITIONS, "view" => view.name).set(lag as f64);
        metrics::gauge!(VIEW_LAG_SECONDS, "view" => view.name).set(view.lag.as_secs_f64());
        metrics::gauge!(VIEW_PARKED_STREAMS, "view" => view.name).set(view.parked as f64);
        metrics::gauge!(VIEW_SKIPPED_RECORDS, "view" => view.name).set(view.skipped as f64);
        metrics::counter!(VIEW_DRIFTED, "view" => view.name).absolute(view.drifted);
        for (outcome, ended) in [
            ("succeeded", view.rebuilds_succeeded),
            ("failed", view.rebuilds_failed),
        ] {
            metrics::counter!(VIEW_REBUILDS, "view" => view.name, "outcome" => outcome)
                .absolute(ended);
        }
        let is_checked = f64::from(u8::from(view.checked));
        metrics::gauge!(VIEW_CHECKED, "view" => view.name).set(is_checked);
        let is_halted = f64::from(u8::from(view.halted.is_some()));
        metrics::gauge!(VIEW_HALTED, "view" => view.name).set(is_halted);
    }
}

/// `position` is how far the view is that is being built, if one is.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; positions are exact up to 2^53"
)]
fn gauge_rebuild(view: &'static str, position: Option<u64>) {
    let is_rebuilding = f64::from(u8::from(position.is_some()));
    metrics::gauge!(VIEW_REBUILDING, "view" => view).set(is_rebuilding);
    let position = position.unwrap_or_default() as f64;
    metrics::gauge!(VIEW_REBUILD_POSITION, "view" => view).set(position);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(reader: ReaderState, applied: u64) -> ViewsHealth {
        ViewsHealth {
            head: Position::new(7),
            applied: Position::new(applied),
            ready_at: Position::new(5),
            lag: std::time::Duration::ZERO,
            holds_writes: None,
            reader,
            begun_anew: 0,
            audited: 0,
            views: Vec::new(),
        }
    }

    #[test]
    fn who_is_behind_says_wait_and_who_has_failed_says_restart() {
        let told = |reader, log| {
            let Obstacle {
                kind,
                why,
                retry_after_s,
                cluster: _,
            } = obstacle(&views(reader, 4), &log, false).unwrap();
            (kind, why.rsplit_once("; ").unwrap().1, retry_after_s)
        };
        let not_ready = ProblemKind::NotReady;
        assert_eq!(
            told(ReaderState::Following, Health::Writable),
            (not_ready, "wait for them", 1)
        );
        assert_eq!(
            told(ReaderState::Opening, Health::Writable),
            (not_ready, "wait for them", 1)
        );
        assert_eq!(
            told(ReaderState::Stopped, Health::Writable),
            (not_ready, "come back later", 1)
        );
        let no_room = ReaderState::WaitingForRoom("no space left".to_owned());
        assert_eq!(
            told(no_room, Health::Writable).1,
            "make room on it, or make it writable, and they go on by themselves"
        );
        let retrying = ReaderState::Retrying("the log is away".to_owned());
        assert_eq!(
            told(retrying, Health::Writable).1,
            "it is tried again every few seconds, see the service's log for why"
        );
        let failed = ReaderState::Failed("the disk is away".to_owned());
        assert_eq!(
            told(failed.clone(), Health::Writable),
            (
                not_ready,
                "see the service's log for why, and restart it",
                30
            )
        );
        assert_eq!(
            told(failed, Health::Closed),
            (
                ProblemKind::ReadOnly,
                "see the service's log for why, mend that, and restart it",
                30
            )
        );
        let (kind, why) = (OutageKind::Unanswered, "nobody answers".to_owned());
        assert_eq!(
            told(ReaderState::Following, Health::Outage { kind, why }),
            (
                ProblemKind::ReadOnly,
                "it is tried again all the time, see the service's log for why",
                5
            )
        );
    }

    #[test]
    fn who_follows_and_has_caught_up_once_is_ready_even_on_a_full_disk() {
        let health = views(ReaderState::Following, 5);
        assert_eq!(obstacle(&health, &Health::Writable, true), None);
        assert_eq!(obstacle(&health, &Health::Full, false), None);
        let of_a_node = obstacle(&health, &Health::Full, true).unwrap();
        assert!(of_a_node.why.contains("does not follow"), "{of_a_node:?}");
    }

    #[test]
    fn what_is_wrong_with_the_cluster_is_said_first() {
        let (kind, why) = (OutageKind::Behind, "the stream ends".to_owned());
        let outage = obstacle_of_log(&Health::Outage { kind, why }, true).unwrap();
        let said =
            "the cluster that keeps the log has less of it than this node: nothing can be written";
        assert!(outage.detail().starts_with(said), "{}", outage.detail());
    }
}
