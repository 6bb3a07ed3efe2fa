//! What a client has seen of the log on another node is waited for here.
//!
//! On one machine whatever was answered is in the log when the next request comes. Where several
//! nodes write one log, this node may learn a moment later of what another one answered with: a
//! request with `Min-Position` begins when the log is here up to there, whatever it asks for.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use eventstore::Position;

use super::Preferences;
use super::freshness::{MIN_POSITION, WAIT_DEFAULT, read_position};
use crate::http::Api;
use crate::http::problem::{Problem, ProblemKind};

/// A layer that has requests wait for what their client has seen.
///
/// # Errors
/// `projection-lagging` (503) if that took longer than the client would wait, `overloaded` (503)
/// if too many wait already.
pub(in crate::http) async fn wait_for_seen(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if api.application.log().is_shared() {
        let headers = request.headers();
        // What is no position is refused by who reads it for a list.
        if let Some(seen) = headers.get(MIN_POSITION).and_then(read_position) {
            let wait = Preferences::of(headers).wait.unwrap_or(WAIT_DEFAULT);
            reach(&api, seen, wait).await?;
        }
    }
    Ok(next.run(request).await)
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
