//! `POST /v1/dead-letters/{id}/redrive`: a fact that was given up, or a message that was refused,
//! once more.

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use domain::stream::Category;
use domain::task::TaskId;
use eventstore::Position;
use serde_json::json;

use super::Api;
use super::answer::{at, failed, json as json_answer};
use super::body::JSON;
use super::fields;
use super::front::RequestIdentity;
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::Preferences;
use super::problem::{Problem, ProblemKind};
use crate::application::TransactError;
use crate::ingest::RedriveError;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/dead-letters/{id}/redrive", post(redrive))
}

async fn redrive(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: TaskId = id.parse(Thing::DeadLetter)?;
    // There is nothing to say.
    if !body.is_end_stream() || parts.headers.contains_key(CONTENT_TYPE) {
        let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
        fields::read(document, |_| Some(()))?;
    }
    let keyed = identity.fresh().keyed;
    let done = if id.subject().category == Category::Refusals {
        api.ingest.lift(&api.live, id, keyed).await
    } else {
        api.ingest.redrive(id, keyed).await
    };
    let done = done.map_err(|error| match error {
        TransactError::Failed(failure) => failed(&failure),
        TransactError::Rejected(RedriveError::Unknown) => unknown(Thing::DeadLetter),
        TransactError::Rejected(RedriveError::StillWaits(why)) => Problem::new(
            ProblemKind::StateConflict,
            format!(
                "the fact cannot be applied now either ({why}), so nothing was changed; see to that, then drive it again"
            ),
        )
        .with_member("reason", json!(why.word())),
        TransactError::Rejected(RedriveError::StillRefused(unread)) => Problem::new(
            ProblemKind::StateConflict,
            format!(
                "the message cannot be taken now either, so nothing was changed: {}; have it sent once more as it should be",
                unread.explanation
            ),
        )
        .with_member("reason", json!(unread.why.word())),
    })?;
    let response = applied(id, done.position);
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

/// That a fact which was given up is applied.
pub(super) fn applied(id: TaskId, position: Position) -> Response {
    let body = json!({ "task_id": id.to_string(), "status": "applied" });
    at(position, json_answer(StatusCode::OK, &body))
}
