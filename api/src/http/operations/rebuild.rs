//! `POST /v1/projections/{name}/rebuild`: a view is built anew while the service runs.

use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LOCATION, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;
use domain::id::OperationId;
use domain::time::Timestamp;
use projections::{ReaderState, RebuildId, RebuildStatus};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::views::PATH;
use super::{Operation, Progress};
use crate::http::Api;
use crate::http::body::JSON;
use crate::http::fields;
use crate::http::path::{PathId, Thing, no_query, unknown};
use crate::http::prefer::{PREFERENCE_APPLIED, Preferences, RESPOND_ASYNC};
use crate::http::problem::{Problem, ProblemKind};

// What the views do not say about rebuilds.
mod known;
mod pace;

pub(in crate::http) use known::{Rebuild, Rebuilds};

/// How long an answer waits for a rebuild to begin: before that it would be
/// forgotten with the process.
const BEGIN_WAIT: Duration = Duration::from_secs(3);

/// How often a rebuild that ended while it was asked for is asked for again.
const TRIES_MAX: u32 = 3;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/projections/{name}/rebuild", post(rebuild))
}

async fn rebuild(
    State(api): State<Api>,
    name: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    if !body.is_end_stream() {
        // Nothing can be said in it yet, and what is not understood is not passed over.
        let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
        fields::read(document, |_| Some(()))?;
    }
    if !projections::view_names().contains(&name.0.as_str()) {
        return Err(unknown(Thing::Projection));
    }
    let preferences = Preferences::of(&parts.headers);
    let is_to_wait = preferences.wait.is_some_and(|wait| !wait.is_zero());
    let _place = is_to_wait.then(|| api.waiting.take()).transpose()?;
    let mut changes = api.views.turns();
    let id = begin(&api, &name.0, &mut changes).await?;
    if let Some(wait) = preferences.wait {
        until(&api, id, &mut changes, wait, Operation::is_over).await;
    }
    // Damaged views may have been begun anew in between.
    let operation = operation(&api, id).ok_or_else(crowded)?;
    let status = match &operation.progress {
        Progress::Failed(problem) if preferences.wait.is_some() => return Err(problem.clone()),
        Progress::Succeeded { .. } if preferences.wait.is_some() => StatusCode::OK,
        Progress::Pending
        | Progress::Running { .. }
        | Progress::Compensating { .. }
        | Progress::Succeeded { .. }
        | Progress::Failed(_)
        | Progress::Cancelled(_)
        | Progress::TimedOut(_) => StatusCode::ACCEPTED,
    };
    Ok(answer(&operation, status, preferences))
}

/// Asks for it, and waits for a while until it has begun.
async fn begin(
    api: &Api,
    name: &str,
    changes: &mut watch::Receiver<()>,
) -> Result<OperationId, Problem> {
    for _ in 0..TRIES_MAX {
        if api.views.health().reader != ReaderState::Following {
            return Err(not_following());
        }
        let asked = api.rebuilds.ask(&api.views, api.environment(), name);
        let id = operation_id(asked.ok_or_else(|| unknown(Thing::Projection))?);
        let has_begun = |operation: &Operation| operation.progress != Progress::Pending;
        until(api, id, changes, BEGIN_WAIT, has_begun).await;
        if operation(api, id).is_some() {
            return Ok(id);
        }
        // Another one of the same view began at that moment, so that is the one.
    }
    Err(crowded())
}

/// Waits until an operation is as wanted or nobody knows it, at most so long.
async fn until(
    api: &Api,
    id: OperationId,
    changes: &mut watch::Receiver<()>,
    wait: Duration,
    is_wanted: impl Fn(&Operation) -> bool,
) {
    let waiting = async {
        loop {
            changes.borrow_and_update();
            let is_there = operation(api, id).is_none_or(|operation| is_wanted(&operation));
            if is_there || changes.changed().await.is_err() {
                return;
            }
        }
    };
    let mut closing = api.views.closing();
    tokio::select! {
        _over_or_late = timeout(wait, waiting) => {}
        _stopping = closing.wait_for(|closing| *closing) => {}
    }
}

fn answer(operation: &Operation, status: StatusCode, preferences: Preferences) -> Response {
    let mut response = preferences.apply_return(operation.answer(status));
    let headers = response.headers_mut();
    if let Ok(path) = HeaderValue::try_from(operation.path()) {
        if status == StatusCode::ACCEPTED {
            headers.insert(LOCATION, path.clone());
        }
        headers.insert(CONTENT_LOCATION, path);
    }
    let waited = preferences.wait;
    let waited = waited.map(|wait| format!("wait={}", wait.as_secs()));
    let is_async = status == StatusCode::ACCEPTED && preferences.respond_async;
    let honoured = is_async.then(|| RESPOND_ASYNC.to_owned());
    for preference in honoured.into_iter().chain(waited) {
        let said = HeaderValue::try_from(preference);
        headers.extend(said.ok().map(|said| (PREFERENCE_APPLIED, said)));
    }
    response
}

/// The rebuild with this id as an operation, if the views know it.
pub(super) fn operation(api: &Api, id: OperationId) -> Option<Operation> {
    let id = RebuildId(id.uuid().into_bytes());
    let rebuild = api.rebuilds.find(&api.views, api.environment(), id)?;
    Some(as_operation(&rebuild, api.environment().now_us()))
}

/// Whether one that is not known may have been a rebuild.
pub(super) fn may_have_forgotten(api: &Api, id: OperationId) -> bool {
    api.views
        .may_have_forgotten(RebuildId(id.uuid().into_bytes()))
}

/// How far the view is that is being built anew, if this process knows of one.
pub(in crate::http) fn under_way_at(api: &Api, view: &str) -> Option<u64> {
    let rebuild = api.rebuilds.of(&api.views, api.environment(), view)?;
    match rebuild.status {
        RebuildStatus::Waiting => Some(0),
        RebuildStatus::Running { position } => Some(position.get()),
        RebuildStatus::Succeeded | RebuildStatus::Failed { .. } => None,
    }
}

fn operation_id(id: RebuildId) -> OperationId {
    OperationId::from_uuid(Uuid::from_bytes(id.0))
}

pub(super) fn as_operation(rebuild: &Rebuild, now_us: i64) -> Operation {
    let id = operation_id(rebuild.id);
    let progress = match &rebuild.status {
        RebuildStatus::Waiting => Progress::Pending,
        RebuildStatus::Running { position } => Progress::Running {
            step: Some("building"),
            done: json!({
                "position": position.get(),
                "target": rebuild.target,
                "percent": percent(position.get(), rebuild.target),
                "remaining_s": rebuild.remaining_s,
            }),
        },
        RebuildStatus::Succeeded => Progress::Succeeded {
            href: PATH.to_owned(),
        },
        RebuildStatus::Failed { why } => Progress::Failed(Problem::new(
            ProblemKind::RebuildFailed,
            format!("{why}; the view that was there goes on answering"),
        )),
    };
    let now = Timestamp::from_micros(now_us).ok();
    let operation = Operation {
        id,
        kind: "rebuild",
        subject: ("projection", json!(rebuild.view)),
        progress,
        created_at: moment_of(id),
        updated_at: None,
    };
    // What is under way is as of now; when it ended nobody has noted.
    Operation {
        updated_at: now.filter(|_| !operation.is_over()),
        ..operation
    }
}

/// When an id of version 7 was made, to the millisecond.
fn moment_of(id: OperationId) -> Option<Timestamp> {
    let (seconds, nanos) = id.uuid().get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Timestamp::from_micros(micros.checked_add(i64::from(nanos / 1_000))?).ok()
}

/// Rounded down, so that only what is whole is a hundred.
pub(super) fn percent(position: u64, target: u64) -> u64 {
    let hundredths = u128::from(position) * 100;
    let percent = hundredths.checked_div(u128::from(target)).unwrap_or(100);
    u64::try_from(percent.min(100)).unwrap_or(100)
}

fn not_following() -> Problem {
    let why = "the views do not follow the log, so none can be built anew; see /readyz for why, and send it again then";
    Problem::new(ProblemKind::NotReady, why).with_retry_after_s(1)
}

/// Others ask for the same again and again.
fn crowded() -> Problem {
    Problem::overloaded(
        "others had the same view built anew meanwhile; look at /v1/projections, or send it again",
    )
}

#[cfg(test)]
mod tests {
    use eventstore::Position;

    use super::*;

    /// 2026-11-21T00:00:00Z.
    const MADE_MS: u64 = 1_795_219_200_000;

    fn shown(status: RebuildStatus) -> serde_json::Value {
        let id = uuid::Builder::from_unix_timestamp_millis(MADE_MS, &[7; 10]).into_uuid();
        let rebuild = Rebuild {
            id: RebuildId(id.into_bytes()),
            view: "user",
            status,
            target: 30,
            remaining_s: Some(4),
        };
        as_operation(&rebuild, 1_795_219_260_000_000).to_json()
    }

    #[test]
    fn what_is_under_way_says_how_far_it_is_and_when_it_was_asked_for() {
        let operation = shown(RebuildStatus::Running {
            position: Position::new(20),
        });
        assert_eq!(operation["status"], "running");
        assert_eq!(operation["step"], "building");
        assert_eq!(
            operation["progress"],
            json!({"position": 20, "target": 30, "percent": 66, "remaining_s": 4})
        );
        assert_eq!(operation["created_at"], "2026-11-21T00:00:00.000000Z");
        assert_eq!(operation["updated_at"], "2026-11-21T00:01:00.000000Z");
        let operation = shown(RebuildStatus::Waiting);
        assert_eq!(operation["status"], "pending");
        assert_eq!(operation["progress"], json!(null));
    }

    #[test]
    fn what_was_given_up_says_why_as_a_problem() {
        let why = "a record cannot be read".to_owned();
        let operation = shown(RebuildStatus::Failed { why });
        assert_eq!(operation["status"], "failed");
        assert_eq!(operation["result"], json!(null));
        assert_eq!(operation["problem"]["code"], "rebuild-failed");
        let detail = operation["problem"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("a record cannot be read; "), "{detail}");
    }

    #[test]
    fn only_what_is_whole_is_a_hundred_percent() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(0, 7), 0);
        assert_eq!(percent(999, 1_000), 99);
        assert_eq!(percent(1_001, 1_000), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
