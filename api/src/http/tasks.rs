//! `/v1/tasks`: what needs a person, and that somebody has seen to it;
//! `GET /v1/dead-letters`: what could not be applied.

use axum::body::HttpBody as _;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use domain::id::DeliveryId;
use domain::stream::Category;
use domain::task::TaskId;
use domain::text::Comment;
use eventstore::Position;
use projections::{
    DeadLetter, EventPage, EventPlace, List, QueryError, Task, TaskKind, TaskStatus, TasksQuery,
    Views,
};
use serde_json::Value;

use super::Api;
use super::answer::{at, degraded, failed, json as json_answer, tagged, unanswered};
use super::body::JSON;
use super::conditional::{EntityTag, Preconditions, Verdict, precondition_failed};
use super::fields::{self, known, parsed, read_query};
use super::front::RequestIdentity;
use super::listing::{Asked, Listed, Piece};
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::{Freshness, Preferences};
use super::problem::{Problem, ProblemKind};
use super::representation::task as representation;
use crate::application::TransactError;
use crate::application::deliveries::handover::Saying;
use crate::application::tasks::TaskError;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/tasks", get(tasks))
        .route("/v1/tasks/{id}", get(read))
        .route("/v1/tasks/{id}/acknowledge", post(acknowledge))
        .route("/v1/dead-letters", get(dead_letters))
}

/// Every kind of tasks.
const KINDS: [TaskKind; 4] = [
    TaskKind::Anomaly,
    TaskKind::ActionRequired,
    TaskKind::DeadLetter,
    TaskKind::Operation,
];

/// Which tasks a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Open,
    Acknowledged,
    All,
}

impl Wanted {
    const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::All];

    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::All => "all",
        }
    }

    const fn status(self) -> Option<TaskStatus> {
        match self {
            Self::Open => Some(TaskStatus::Open),
            Self::Acknowledged => Some(TaskStatus::Acknowledged),
            Self::All => None,
        }
    }
}

async fn tasks(State(api): State<Api>, asked: AskedForList) -> Result<Response, Problem> {
    let (wanted, kind, piece) = read_query(&asked.uri, |query| {
        let wanted = query.optional("status", known(&Wanted::ALL, Wanted::word));
        let kind = query.optional("kind", known(&KINDS, representation::kind));
        Some((wanted.unwrap_or(Wanted::Open), kind, Piece::read(query)))
    })?;
    let of_kind = kind.map_or("any", representation::kind);
    let scope = format!("tasks status={} kind={of_kind}", wanted.word());
    let limit = piece.limit;
    let question = |views: &Views, after| {
        views.tasks(TasksQuery {
            status: wanted.status(),
            kind,
            after,
            limit,
        })
    };
    asked
        .answer(&api, &scope, &piece, List::Tasks, question, |task| {
            Shown::of(&api, task.clone()).json()
        })
        .await
}

async fn dead_letters(State(api): State<Api>, asked: AskedForList) -> Result<Response, Problem> {
    let (task, piece) = read_query(&asked.uri, |query| {
        let task = query.optional("task_id", parsed(str::parse::<TaskId>));
        Some((task, Piece::read(query)))
    })?;
    let limit = piece.limit;
    let question = |views: &Views, after| match task {
        None => views.dead_letters(after, limit),
        Some(task) => dead_letter_of(views, task),
    };
    let scope = task.map_or_else(
        || "dead letters".to_owned(),
        |task| format!("the dead letter of {task}"),
    );
    let item = representation::dead_letter;
    asked
        .answer(&api, &scope, &piece, List::DeadLetters, question, item)
        .await
}

/// What a task is about, if that is a dead letter: one at most.
fn dead_letter_of(views: &Views, task: TaskId) -> Result<EventPage<DeadLetter>, QueryError> {
    let letter = match views.task(task)? {
        Some(task) => views.dead_letter_of(&task)?,
        None => None,
    };
    Ok(EventPage {
        items: letter.into_iter().collect(),
        next: None,
    })
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
    let position = api.application.head();
    let task = existing(&api, id.parse(Thing::Task)?)?;
    let response = preconditions.answer(task.tag(), || json_answer(StatusCode::OK, &task.json()));
    Ok(at(position, response))
}

async fn acknowledge(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: TaskId = id.parse(Thing::Task)?;
    let task = existing(&api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    if preconditions.evaluate(task.tag()) == Verdict::Failed {
        return Err(outdated(&task));
    }
    // Nothing need be said.
    let note = if body.is_end_stream() && !parts.headers.contains_key(CONTENT_TYPE) {
        None
    } else {
        let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
        fields::read(document, |fields| {
            Some(fields.optional("note", parsed(str::parse::<Comment>)))
        })?
    };
    let seen = preconditions.seen();
    let done = api
        .application
        .acknowledge_task(identity.fresh(), id, seen, note)
        .await;
    let position = match done {
        Ok(done) => done.position,
        Err(TransactError::Failed(failure)) => return Err(failed(&failure)),
        Err(TransactError::Rejected(TaskError::Unknown)) => return Err(unknown(Thing::Task)),
        Err(TransactError::Rejected(TaskError::Changed { .. })) => {
            return Err(outdated(&existing(&api, id)?));
        }
        Err(TransactError::Rejected(TaskError::NoteStands(why))) => {
            return Err(Problem::new(ProblemKind::StateConflict, why.to_string()));
        }
    };
    let response = acknowledged(&api, id, position)?;
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

/// A task that somebody has seen to. What they said stays, so it is the same
/// whenever it is asked for again, as long as the task is one.
pub(super) fn acknowledged(api: &Api, id: TaskId, position: Position) -> Result<Response, Problem> {
    let task = existing(api, id)?;
    let response = json_answer(StatusCode::OK, &task.json());
    Ok(at(position, tagged(task.tag(), response)))
}

/// A task as it is shown.
struct Shown {
    task: Task,
    /// What may be said of its delivery, of what helps, as that is now.
    open: Vec<Saying>,
}

impl Shown {
    /// Whatever is the matter with its delivery the task is shown: it may be about just that.
    fn of(api: &Api, task: Task) -> Self {
        let helps = representation::sayings(&task);
        let subject = task.id.subject();
        if helps.is_empty() || subject.category != Category::Delivery {
            let open = Vec::new();
            return Self { task, open };
        }
        let delivery = DeliveryId::from_uuid(subject.key);
        let taken = api.application.sayings(delivery).unwrap_or_else(|error| {
            tracing::debug!(%delivery, %error, "a task is shown without what may be said of its delivery, which cannot be read");
            Vec::new()
        });
        let helps = helps.iter().copied();
        let open = helps.filter(|saying| taken.contains(saying)).collect();
        Self { task, open }
    }

    fn json(&self) -> Value {
        representation::task(&self.task, &self.open)
    }

    fn tag(&self) -> EntityTag {
        representation::tag(&self.task, &self.open)
    }
}

/// A task whose reason lasts. One whose reason is gone is none any more, whether
/// or not somebody has seen to it: there is nothing left to show or to do.
fn existing(api: &Api, id: TaskId) -> Result<Shown, Problem> {
    let task = api.views.task(id).map_err(|error| unanswered(&error))?;
    Ok(Shown::of(api, task.ok_or_else(|| unknown(Thing::Task))?))
}

fn outdated(task: &Shown) -> Problem {
    precondition_failed(task.tag(), task.json())
}

/// A request for a list of what is made of one event each.
struct AskedForList {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
}

impl<S: Send + Sync> FromRequestParts<S> for AskedForList {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self {
            freshness: Freshness::from_request_parts(parts, state).await?,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }
}

impl AskedForList {
    /// The page that a question has for an answer.
    async fn answer<T>(
        &self,
        api: &Api,
        scope: &str,
        piece: &Piece,
        list: List,
        question: impl Fn(&Views, Option<EventPlace>) -> Result<EventPage<T>, QueryError>,
        item: impl Fn(&T) -> Value,
    ) -> Result<Response, Problem> {
        let after = piece.after(api, scope, EventPlace::from_bytes)?;
        let page = self
            .freshness
            .ask(api, list, |views| {
                // Before the page, so that all that it lacks is told.
                let degraded_since = views.degraded_since(list, None);
                Ok((degraded_since, question(views, after)?))
            })
            .await?;
        let asked = Asked {
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
        };
        let (degraded_since, found) = &page.content;
        let listed = Listed {
            scope,
            items: found.items.iter().map(item).collect(),
            next: found.next.map(|place| place.to_bytes().to_vec()),
        };
        let response = asked.answer(api, page.position, listed)?;
        Ok(degraded(*degraded_since, page.stamp(response)))
    }
}
