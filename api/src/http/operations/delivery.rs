//! Operations on deliveries: how a booking, a change, a cancellation or a return goes on, and how
//! their clients hear of it.

use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_LOCATION, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use axum::routing::delete;
use domain::delivery::Status;
use domain::id::{DeliveryId, OperationId};
use domain::scheduling::{self, OperationKind, OperationProblem, OperationStatus, Outcome, Step};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Operation, Progress, gone, rebuild};
use crate::application::TransactError;
use crate::forms::time_or_null;
use crate::http::Api;
use crate::http::answer::{at, failed};
use crate::http::front::RequestIdentity;
use crate::http::path::{PathId, Thing, no_query, unknown};
use crate::http::prefer::{PREFERENCE_APPLIED, Preferences, RESPOND_ASYNC};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::representation::delivery as representation;

/// How often who waits for an operation looks at it at most, however much else is written.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What may be done about an operation that appends something.
pub(in crate::http) fn cancelling() -> Router<Api> {
    Router::new().route("/v1/operations/{id}", delete(cancel))
}

/// Calls a booking off that does not stand yet.
async fn cancel(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_query(&uri)?;
    let id: OperationId = id.parse(Thing::Operation)?;
    let known = api.application.operation(id);
    let known = known.map_err(|error| failed(&error.into()))?;
    let Some((operation, _)) = known else {
        return Err(match rebuild::operation(&api, id) {
            Some(rebuild) => stays(&rebuild),
            None if rebuild::may_have_forgotten(&api, id) => gone(),
            None => unknown(Thing::Operation),
        });
    };
    let delivery = operation.delivery();
    let is_called_off = matches!(operation.outcome(), None | Some(Outcome::Cancelled));
    if operation.kind() != OperationKind::Schedule || !is_called_off {
        return Err(not_cancelled(&api, &operation));
    }
    let done = api.application.call_off(identity.fresh(), delivery);
    let done = done.await.map_err(|error| match error {
        TransactError::Failed(failure) => failed(&failure),
        // It may have come to its end just now.
        TransactError::Rejected(_) => match api.application.operation(id) {
            Ok(now) => not_cancelled(&api, &now.map_or(operation, |(now, _)| now)),
            Err(error) => failed(&error.into()),
        },
    })?;
    let operation = operation_of(&api, id)?;
    let response = operation.answer(StatusCode::ACCEPTED);
    Ok(at(
        done.position,
        Preferences::of(&headers).apply_return(response),
    ))
}

/// Why an operation is not called off: the status that it and its delivery have, and what can be
/// done instead.
fn not_cancelled(api: &Api, operation: &scheduling::Operation) -> Problem {
    let known = api.application.delivery_state(operation.delivery());
    let delivery = match known {
        Ok(Some(delivery)) => delivery,
        Ok(None) => return unknown(Thing::Operation),
        Err(error) => return failed(&error.into()),
    };
    let why = match (operation.outcome(), operation.kind()) {
        (Some(_), _) => format!("it is over ({})", operation.status()),
        (None, OperationKind::Schedule) => {
            "it comes to nothing already, and what was done for it is being undone".to_owned()
        }
        (None, OperationKind::Reschedule | OperationKind::Cancel | OperationKind::Return) => {
            "what it asked for is under way, and only a booking that does not stand yet is called off"
                .to_owned()
        }
    };
    let (status, possible) = (delivery.status(), delivery.possible());
    let detail =
        format!("the operation cannot be cancelled: {why}; its delivery is {status}: {possible}");
    let problem = Problem::new(ProblemKind::StateConflict, detail);
    about(problem, operation.delivery(), Some(status))
}

/// The same of a rebuild, which has no delivery.
fn stays(rebuild: &Operation) -> Problem {
    let status = rebuild.progress.word();
    let why = if rebuild.is_over() {
        format!("it is over ({status}); its address says what came of it")
    } else {
        format!("it is {status}: a rebuild goes on until it is done, and does no harm; wait for it")
    };
    let detail = format!("the operation cannot be cancelled: {why}");
    Problem::new(ProblemKind::StateConflict, detail).with_member("current_status", json!(status))
}

/// The operation on a delivery that is called so, if it is one.
pub(super) fn operation(api: &Api, id: OperationId) -> Result<Option<Operation>, Problem> {
    let known = api.application.operation(id);
    let known = known.map_err(|error| failed(&error.into()))?;
    let Some((operation, _)) = known else {
        return Ok(None);
    };
    let delivery = operation.delivery();
    let known = api.application.delivery_state(delivery);
    let status = known.map_err(|error| failed(&error.into()))?;
    let status = status.map(|delivery| delivery.status());
    Ok(Some(shown(id, &operation, status)))
}

fn operation_of(api: &Api, id: OperationId) -> Result<Operation, Problem> {
    operation(api, id)?.ok_or_else(|| unknown(Thing::Operation))
}

fn shown(id: OperationId, operation: &scheduling::Operation, status: Option<Status>) -> Operation {
    let step = operation.step().map(Step::word);
    let delivery = operation.delivery();
    let is_booking = operation.kind() == OperationKind::Schedule;
    let progress = match operation.outcome() {
        Some(Outcome::Succeeded) => Progress::Succeeded {
            href: representation::path(delivery),
        },
        Some(Outcome::Failed(problem)) => Progress::Failed(told(problem, operation, status)),
        Some(Outcome::TimedOut(problem)) => Progress::TimedOut(told(problem, operation, status)),
        Some(Outcome::Cancelled) => Progress::Cancelled(cancelled(delivery, status)),
        // Its delivery is called off already: what is left is to undo what was done for it.
        None if is_booking && matches!(status, Some(Status::Cancelled | Status::Rejected)) => {
            Progress::Compensating {
                step,
                done: tried(operation),
            }
        }
        None => match operation.status() {
            OperationStatus::Pending => Progress::Pending,
            OperationStatus::Compensating => Progress::Compensating {
                step,
                done: tried(operation),
            },
            OperationStatus::Running
            | OperationStatus::Succeeded
            | OperationStatus::Failed
            | OperationStatus::Cancelled
            | OperationStatus::TimedOut => Progress::Running {
                step,
                done: tried(operation),
            },
        },
    };
    Operation {
        id,
        kind: operation.kind().word(),
        subject: ("delivery_id", json!(delivery.to_string())),
        progress,
        created_at: Some(operation.started_at()),
        updated_at: Some(operation.changed_at()),
    }
}

/// How often something outside was tried that does not come about, and when it is tried again.
fn tried(operation: &scheduling::Operation) -> Value {
    if operation.deferrals() == 0 {
        return json!(null);
    }
    let retry_at = time_or_null(operation.retry_at());
    json!({ "attempts": operation.attempts(), "retry_at": retry_at })
}

/// Why nothing came of an operation, in a client's words.
fn told(
    problem: OperationProblem,
    operation: &scheduling::Operation,
    status: Option<Status>,
) -> Problem {
    let (kind, detail) = match problem {
        OperationProblem::UserSuspended => (
            ProblemKind::UserSuspended,
            "the user was suspended before the booking stood; reinstate the user and book again",
        ),
        OperationProblem::Quota => (
            ProblemKind::NotScheduled,
            "the user has as many deliveries under way as they may; wait until one is over and book again",
        ),
        OperationProblem::PackageUnavailable => (
            ProblemKind::NotScheduled,
            "another delivery that is not over has the package or its tag; wait until it is over and book again",
        ),
        OperationProblem::NotServiceable => (
            ProblemKind::NotScheduled,
            "the delivery cannot be flown as it was ordered; change where or when and book again",
        ),
        OperationProblem::PaymentDeclined => (
            ProblemKind::PaymentDeclined,
            "the billing service declined the payment; settle that there and book again",
        ),
        OperationProblem::PaymentRefused if operation.may_stay_charged() => (
            ProblemKind::NotScheduled,
            "the billing service refused the request as wrong, and what it may have charged before could not be \
             undone: somebody looks at that; tell the operator of this service",
        ),
        OperationProblem::PaymentRefused => (
            ProblemKind::NotScheduled,
            "the billing service refused the request as wrong; tell the operator of this service",
        ),
        OperationProblem::PaymentUnavailable if operation.may_stay_charged() => (
            ProblemKind::NotScheduled,
            "the billing service did not answer in time, and what it may have charged could not be undone: somebody \
             looks at that; book again later",
        ),
        OperationProblem::PaymentUnavailable => (
            ProblemKind::NotScheduled,
            "the billing service did not answer in time, and nothing was charged; book again later",
        ),
        OperationProblem::NoDrone => (
            ProblemKind::NotScheduled,
            "no drone came for the delivery; book again later",
        ),
        OperationProblem::AlreadyPickedUp => (
            ProblemKind::StateConflict,
            "a drone already had the package; what becomes of it is in the delivery",
        ),
        OperationProblem::AlreadyDelivered => (
            ProblemKind::StateConflict,
            "the recipient already had the package",
        ),
        OperationProblem::EndedOtherwise => (
            ProblemKind::StateConflict,
            "the delivery came to another end before; read it there",
        ),
    };
    let told = Problem::new(kind, detail);
    about(told, operation.delivery(), status).with_member("reason", json!(problem.word()))
}

fn cancelled(delivery: DeliveryId, status: Option<Status>) -> Problem {
    let problem = Problem::new(
        ProblemKind::StateConflict,
        "the delivery was cancelled before the booking stood",
    );
    about(problem, delivery, status)
}

fn about(problem: Problem, delivery: DeliveryId, status: Option<Status>) -> Problem {
    let problem = problem.with_member("href", json!(representation::path(delivery)));
    match status {
        Some(status) => problem.with_member("current_status", json!(status.word())),
        None => problem,
    }
}

/// What a client gets who asked for something that goes on.
pub(in crate::http) enum Awaited {
    /// The changed thing itself: it is done, or nobody wanted to wait for more.
    Thing,
    /// The operation.
    Operation(Box<Operation>),
}

/// Waits for an operation as long as its client wants, and says what to answer with. Where nobody
/// may wait any more the wish is forgotten, so that it is not said to be honoured.
///
/// # Errors
/// What came of it, if the client waited for that and it is a problem.
pub(in crate::http) async fn awaited(
    api: &Api,
    id: OperationId,
    preferences: &mut Preferences,
) -> Result<Awaited, Problem> {
    if let Some(wait) = preferences.wait
        && until_over(api, id, wait).await?
    {
        let operation = operation_of(api, id)?;
        return match operation.progress {
            Progress::Succeeded { .. } => Ok(Awaited::Thing),
            Progress::Failed(problem)
            | Progress::Cancelled(problem)
            | Progress::TimedOut(problem) => Err(problem),
            Progress::Pending | Progress::Running { .. } | Progress::Compensating { .. } => {
                Ok(Awaited::Operation(Box::new(operation)))
            }
        };
    }
    preferences.wait = None;
    if preferences.respond_async {
        return operation_of(api, id).map(Box::new).map(Awaited::Operation);
    }
    Ok(Awaited::Thing)
}

/// Whether it was waited, or needed not.
async fn until_over(api: &Api, id: OperationId, wait: Duration) -> Result<bool, Problem> {
    let mut head = api.views.log().head();
    let is_over = || {
        let known = api.application.operation(id);
        let known = known.map_err(|error| failed(&error.into()))?;
        let (operation, _) = known.ok_or_else(|| unknown(Thing::Operation))?;
        Ok::<_, Problem>(operation.outcome().is_some())
    };
    if wait.is_zero() || is_over()? {
        return Ok(true);
    }
    // A write that is done is answered, whoever else waits.
    let Ok(_place) = api.waiting.take() else {
        return Ok(false);
    };
    let mut pace = interval(LOOK_AGAIN);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waiting = async {
        loop {
            pace.tick().await;
            head.borrow_and_update();
            if is_over()? || head.changed().await.is_err() {
                return Ok(true);
            }
        }
    };
    let mut closing = api.views.closing();
    tokio::select! {
        ended = timeout(wait, waiting) => ended.unwrap_or(Ok(true)),
        _stopping = closing.wait_for(|closing| *closing) => Ok(true),
    }
}

/// The answer of a change, with the address of the operation that goes on, and the
/// preferences that were honoured.
pub(in crate::http) fn monitored(
    awaited: &Awaited,
    operation: Option<OperationId>,
    thing: Response,
    preferences: Preferences,
) -> Response {
    let path = |id: OperationId| format!("/v1/operations/{id}");
    let mut response = match awaited {
        Awaited::Thing => {
            let mut response = thing;
            let link = operation.map(|id| format!("<{}>; rel=\"monitor\"", path(id)));
            let link = link.and_then(|link| HeaderValue::try_from(link).ok());
            response.headers_mut().extend(link.map(|link| (LINK, link)));
            preferences.apply_return(response)
        }
        Awaited::Operation(operation) => {
            let mut response = preferences.apply_return(operation.answer(StatusCode::ACCEPTED));
            let position = thing
                .headers()
                .get(crate::http::front::STREAM_POSITION)
                .cloned();
            let headers = response.headers_mut();
            headers
                .extend(position.map(|position| (crate::http::front::STREAM_POSITION, position)));
            if let Ok(path) = HeaderValue::try_from(operation.path()) {
                headers.insert(LOCATION, path.clone());
                headers.insert(CONTENT_LOCATION, path);
            }
            response
        }
    };
    let is_async = matches!(awaited, Awaited::Operation(_)) && preferences.respond_async;
    let waited = preferences
        .wait
        .map(|wait| format!("wait={}", wait.as_secs()));
    let honoured = is_async
        .then(|| RESPOND_ASYNC.to_owned())
        .into_iter()
        .chain(waited);
    for preference in honoured {
        let said = HeaderValue::try_from(preference).ok();
        response
            .headers_mut()
            .extend(said.map(|said| (PREFERENCE_APPLIED, said)));
    }
    response
}
