//! Answers in the one form that all of them have, and failures of the machine
//! as problems.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use eventstore::{AppendError, OutageKind, Position};
use projections::QueryError;
use serde_json::Value;

use super::body::JSON;
use super::conditional::EntityTag;
use super::front::STREAM_POSITION;
use super::problem::{Problem, ProblemKind};
use crate::application::Failure;

/// How many headers an answer has when it leaves, roughly.
const HEADERS_USUAL: usize = 10;

/// JSON with a status.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    json_bytes(status, body.to_string().into())
}

/// The same of JSON that is written already.
pub(super) fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS_USUAL);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// Says which position of the log an answer is at least as new as.
pub(super) fn at(position: Position, mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(STREAM_POSITION, HeaderValue::from(position.get()));
    response
}

/// Names the first record that this release cannot fold, in an answer that shows
/// what it concerns as it was before.
const DEGRADED: HeaderName = HeaderName::from_static("degraded");

/// Says since when an answer is not current, if it is not.
pub(super) fn degraded(since: Option<Position>, mut response: Response) -> Response {
    let since = since.and_then(|since| HeaderValue::try_from(format!("since={since}")).ok());
    let headers = response.headers_mut();
    headers.extend(since.map(|since| (DEGRADED, since)));
    response
}

/// Says what an answer about one thing is as of: `position`, or the one before
/// it is not current any more, which is said too.
pub(super) fn current(
    position: Position,
    degraded_since: Option<Position>,
    response: Response,
) -> Response {
    let before = |since: Position| Position::new(since.get().saturating_sub(1));
    let position = degraded_since.map_or(position, before);
    degraded(degraded_since, at(position, response))
}

/// Says which state a representation shows.
pub(super) fn tagged(tag: EntityTag, mut response: Response) -> Response {
    response.headers_mut().insert(ETAG, tag.header_value());
    response
}

/// What a client hears when the machine could not. Logs the cause, since it
/// ends here.
pub(super) fn failed(failure: &Failure) -> Problem {
    match failure {
        Failure::Append(error) => append_failed(error),
        Failure::Outage { kind, error } => outage(*kind, error),
        Failure::Load(error) => {
            tracing::error!(%error, "a stream could not be read");
            Problem::internal()
        }
        Failure::Contended => Problem::overloaded(
            "others changed the same thing again and again meanwhile; send it again",
        ),
        // What it did is the answer; whoever asks again gets that.
        Failure::Repeated => {
            Problem::overloaded("this very request is being carried out; send it again")
        }
        Failure::Clock => {
            tracing::error!(%failure, "the clock is of no use");
            Problem::internal()
        }
    }
}

/// How soon to ask again whether a cluster answers, seconds: a few more than
/// its servers take to elect another leader.
pub(super) const OUTAGE_RETRY_S: u32 = 5;

/// How soon to ask again whether somebody made room, seconds.
const FULL_RETRY_S: u32 = 10;

/// The cluster that the log is on takes nothing. That is logged where it
/// begins and where it ends, and not for every request.
fn outage(kind: OutageKind, error: &AppendError) -> Problem {
    tracing::debug!(%error, "cannot append");
    let cause = in_the_way(kind);
    let may_be_done = matches!(error, AppendError::Indeterminate { .. });
    // As on a machine of one's own whose disk is full. It is seen by who makes room, and takes longer.
    if kind == OutageKind::Full && !may_be_done {
        let detail = format!("the cluster that keeps the log {cause}; nothing was changed");
        return Problem::new(ProblemKind::StorageFull, detail).with_retry_after_s(FULL_RETRY_S);
    }
    let detail = if may_be_done {
        format!(
            "the cluster that keeps the log {cause}, and whether the request took effect is not known: send the same \
             request again, with the same Idempotency-Key if it had one"
        )
    } else {
        format!(
            "the cluster that keeps the log {cause}: nothing can be written for now, and nothing was changed"
        )
    };
    Problem::new(ProblemKind::ReadOnly, detail).with_retry_after_s(OUTAGE_RETRY_S)
}

/// What the cluster that keeps the log does or lacks, while it takes nothing.
pub(super) const fn in_the_way(kind: OutageKind) -> &'static str {
    match kind {
        OutageKind::Unanswered => "does not answer, or too few of its servers do",
        OutageKind::Full => "has no room left",
        OutageKind::Behind => "has less of it than this node",
        OutageKind::Unreadable => "does not give a part of it",
        OutageKind::Refused => "refuses what is written to it",
        OutageKind::Missing => "does not have it any more",
        OutageKind::Unfit => "was changed so that it could lose what it acknowledges",
    }
}

fn append_failed(error: &AppendError) -> Problem {
    match error {
        AppendError::Busy { retry_after } => {
            let seconds = u32::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            Problem::overloaded("the log is busy; send it again").with_retry_after_s(seconds.max(1))
        }
        AppendError::Full => {
            tracing::error!(%error, "cannot append");
            Problem::new(
                ProblemKind::StorageFull,
                "there is no space left on the disk; nothing was changed",
            )
            .with_retry_after_s(FULL_RETRY_S)
        }
        AppendError::Indeterminate { .. } => {
            tracing::error!(%error, "cannot append");
            Problem::new(
                ProblemKind::ReadOnly,
                "the disk reported an error, and whether the request took effect shows after a restart",
            )
            .with_retry_after_s(30)
        }
        // Why is logged where it came to be so.
        AppendError::Unavailable { .. } => {
            tracing::debug!(%error, "cannot append");
            Problem::new(
                ProblemKind::ReadOnly,
                "this node takes no writes until an operator has seen to it, and its log says why; nothing was changed",
            )
            .with_retry_after_s(30)
        }
        AppendError::Conflict { .. }
        | AppendError::Malformed { .. }
        | AppendError::UnknownSchema { .. }
        | AppendError::TooLarge { .. } => {
            tracing::error!(%error, "a commit was refused that should have been in order");
            Problem::internal()
        }
    }
}

/// What a client hears when a question has no answer. Logs the cause where it
/// is not just time.
pub(super) fn unanswered(error: &QueryError) -> Problem {
    match error {
        QueryError::Lagging { .. } => lagging(),
        QueryError::Views(_) => {
            tracing::error!(%error, "a view could not be read");
            lagging()
        }
        QueryError::Stopped => Problem::new(
            ProblemKind::NotReady,
            "the service is stopping, or its views have stopped; send it again later",
        )
        .with_retry_after_s(1),
        QueryError::Log(_) | QueryError::Halted(_) => {
            tracing::error!(%error, "a question could not be answered");
            Problem::internal()
        }
    }
}

/// The view is not there yet.
fn lagging() -> Problem {
    Problem::new(
        ProblemKind::ProjectionLagging,
        "the view has not seen that position yet; send it again",
    )
    .with_retry_after_s(1)
}
