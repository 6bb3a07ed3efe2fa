//! `/v1/operations/{id}`: what goes on after its request was answered.
//!
//! Whatever keeps a kind of operation is asked in turn by [`find`], so a
//! further kind joins with a line there, and a client asks at one address.

use axum::Router;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::id::OperationId;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::answer::json as json_answer;
use super::conditional::{EntityTag, Preconditions};
use super::path::{PathId, Thing, no_query, unknown};
use super::problem::{Problem, ProblemKind};
use crate::forms::time_or_null;

// What the kinds are about, and the kinds.
mod delivery;
mod views;
mod rebuild;

pub(super) use delivery::{Awaited, awaited, cancelling, monitored};
pub(super) use rebuild::{Rebuilds, under_way_at};

/// After how long it is worth asking again how far an operation is, seconds.
const ASK_AGAIN_S: u32 = 1;

/// Something that goes on after its request was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    pub(super) id: OperationId,
    /// What is being done.
    pub(super) kind: &'static str,
    /// To what: the member of the answer that says it, and its value.
    pub(super) subject: (&'static str, Value),
    pub(super) progress: Progress,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Progress {
    /// It was asked for and has not begun.
    Pending,
    /// It is under way.
    Running {
        /// What is being done at the moment, where that has a name.
        step: Option<&'static str>,
        /// How far that is, in the words of its kind.
        done: Value,
    },
    /// It cannot be, and what was done is being undone.
    Compensating {
        /// What came out badly.
        step: Option<&'static str>,
        /// How far that is, in the words of its kind.
        done: Value,
    },
    /// It is over, and this address shows what came of it.
    Succeeded {
        /// The address.
        href: String,
    },
    /// It is over, and nothing came of it.
    Failed(Problem),
    /// It was called off before.
    Cancelled(Problem),
    /// It took too long.
    TimedOut(Problem),
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/operations/{id}", get(read))
        .merge(views::routes())
        .merge(rebuild::routes())
}

async fn read(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_query(&uri)?;
    let preconditions = Preconditions::of(&method, &headers)?;
    let id: OperationId = id.parse(Thing::Operation)?;
    match find(&api, id)? {
        Some(operation) => {
            let tag = EntityTag::of_bytes(operation.to_json().to_string().as_bytes());
            Ok(preconditions.answer(tag, || operation.answer(StatusCode::OK)))
        }
        None if rebuild::may_have_forgotten(&api, id) => Err(gone()),
        None => Err(unknown(Thing::Operation)),
    }
}

fn gone() -> Problem {
    Problem::new(
        ProblemKind::OperationGone,
        "what became of this operation is not kept any more; look at what it was about",
    )
}

/// The operation that is called so, of whatever kind.
fn find(api: &Api, id: OperationId) -> Result<Option<Operation>, Problem> {
    match delivery::operation(api, id)? {
        Some(operation) => Ok(Some(operation)),
        None => Ok(rebuild::operation(api, id)),
    }
}

impl Operation {
    /// Where it can be asked for.
    pub(super) fn path(&self) -> String {
        format!("/v1/operations/{}", self.id)
    }

    /// Nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        match self.progress {
            Progress::Pending | Progress::Running { .. } | Progress::Compensating { .. } => false,
            Progress::Succeeded { .. }
            | Progress::Failed(_)
            | Progress::Cancelled(_)
            | Progress::TimedOut(_) => true,
        }
    }

    /// It, and when to ask again unless it is over.
    pub(super) fn answer(&self, status: StatusCode) -> Response {
        let mut response = json_answer(status, &self.to_json());
        if !self.is_over() {
            let seconds = HeaderValue::from(ASK_AGAIN_S);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }

    pub(super) fn to_json(&self) -> Value {
        let (subject, name) = &self.subject;
        let mut shown = json!({
            "id": self.id.to_string(),
            "kind": self.kind,
            "status": self.progress.word(),
            "step": null,
            "progress": null,
            "created_at": time_or_null(self.created_at),
            "updated_at": time_or_null(self.updated_at),
            "result": null,
            "problem": null,
            "links": { "self": self.path() },
        });
        let said = match &self.progress {
            Progress::Pending => vec![],
            Progress::Running { step, done } | Progress::Compensating { step, done } => {
                vec![("step", json!(step)), ("progress", done.clone())]
            }
            Progress::Succeeded { href } => vec![("result", json!({ "href": href }))],
            Progress::Failed(problem)
            | Progress::Cancelled(problem)
            | Progress::TimedOut(problem) => vec![("problem", problem.to_json(None))],
        };
        if let Some(members) = shown.as_object_mut() {
            let said = [(*subject, name.clone())].into_iter().chain(said);
            members.extend(said.map(|(name, value)| (name.to_owned(), value)));
        }
        shown
    }
}

impl Progress {
    const fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::Compensating { .. } => "compensating",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::TimedOut(_) => "timed_out",
        }
    }
}
