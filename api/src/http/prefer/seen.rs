//! What a client has seen of the log on another node is waited for here.
//!
//! On one machine whatever was answered is in the log when the next request comes. Where several
//! nodes write one log, this node may learn a moment later of what another one answered with: a
//! request with `Min-Position` begins when the log is here up to there, whatever it asks for. Nor is
//! a change that is based on a later state than there is here one of what has changed meanwhile.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use eventstore::Position;

use super::Preferences;
use super::freshness::{MIN_POSITION, WAIT_DEFAULT, read_position};
use crate::http::Api;
use crate::http::conditional::names_later;
use crate::http::problem::{Problem, ProblemKind, Raised};

/// A layer that has requests wait for what their client has seen.
///
/// # Errors
/// `projection-lagging` (503) if that took longer than the client would wait, or `If-Match` names a
/// state that is not here yet; `overloaded` (503) if too many wait already.
pub(in crate::http) async fn wait_for_seen(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !api.application.log().is_shared() {
        return Ok(next.run(request).await);
    }
    let headers = request.headers().clone();
    // What is no position is refused by who reads it for a list.
    if let Some(seen) = headers.get(MIN_POSITION).and_then(read_position) {
        let wait = Preferences::of(&headers).wait.unwrap_or(WAIT_DEFAULT);
        reach(&api, seen, wait).await?;
    }
    let response = next.run(request).await;
    // It has not changed since: what was seen is not here yet.
    let is_behind = response.status() == StatusCode::PRECONDITION_FAILED
        && tag_in(&response).is_some_and(|current| names_later(&headers, current));
    if is_behind {
        return Err(behind());
    }
    Ok(response)
}

/// The tag of what there is, in an answer that is written out or a problem that is not yet.
fn tag_in(response: &Response) -> Option<&HeaderValue> {
    let raised = response.extensions().get::<Raised>();
    let of_problem = raised.and_then(|Raised(problem)| problem.header(&ETAG));
    of_problem.or_else(|| response.headers().get(ETAG))
}

async fn reach(api: &Api, seen: Position, wait: Duration) -> Result<(), Problem> {
    let mut head = api.application.log().head();
    let reaching = async { head.wait_for(|head| *head >= seen).await.is_ok() };
    let reached = api
        .waiting
        .wait(tokio::time::timeout(wait, reaching))
        .await?;
    if reached == Ok(true) {
        Ok(())
    } else {
        Err(behind())
    }
}

/// What a client hears that knows more than this node.
pub(in crate::http) fn behind() -> Problem {
    let detail =
        "another node has answered with more of the log than has come to this one; send it again";
    Problem::new(ProblemKind::ProjectionLagging, detail).with_retry_after_s(1)
}
