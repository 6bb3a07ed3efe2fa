//! `/v1/deliveries`: what is to be brought where, and what becomes of it.

use std::cell::OnceCell;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LOCATION, CONTENT_TYPE, HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use domain::delivery::{CancelReason, DeliveryRejection};
use domain::drone::Telemetry;
use domain::id::{DeliveryId, ExternalId, OperationId, PackageId, UserId};
use domain::package::Declaration;
use domain::scheduling::OperationKind;
use domain::text::Comment;
use eventstore::Position;
use projections::{DeliveryRow, Found, KnownAt, Moment};
use serde_json::json;

use super::Api;
use super::answer::{
    at, current, degraded, failed, json as json_answer, json_bytes, tagged, unanswered,
};
use super::body::{JSON, MERGE_PATCH};
use super::conditional::{Preconditions, Verdict, precondition_failed};
use super::fields;
use super::front::RequestIdentity;
use super::operations::{Awaited, awaited, monitored};
use super::packages;
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::Preferences;
use super::problem::{Fault, Faults, Problem, ProblemKind};
use super::representation::{delivery as representation, history as history_representation};
use crate::application::deliveries::{BookingError, ChangeError, Changed};
use crate::application::{ClientRequest, Done, Failure, LoadError, TransactError};

pub(super) mod order;
mod past;
mod handover;
mod serviceability;
mod quota;

pub(super) use quota::Quota;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/deliveries", post(create))
        .route(
            "/v1/deliveries/{id}",
            get(read).patch(reschedule).delete(cancel_by_delete),
        )
        .route("/v1/deliveries/{id}/cancel", post(cancel))
        .route("/v1/deliveries/{id}/return", post(bring_back))
        .route("/v1/deliveries/{id}/status", get(status))
        .route("/v1/deliveries/{id}/history", get(history))
        .merge(handover::routes())
}

async fn create(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let order = {
        let now = api.application.now().map_err(|failure| failed(&failure))?;
        let unread = OnceCell::new();
        let known = order::Known {
            now,
            has_user: &|id| has_user(&api, id),
            is_booked: &|user, external_id| is_booked(&api, user, external_id),
            package: &|id| declared(&api, id, &unread),
            service: &api.application.scheduling().service,
        };
        let order = fields::read(document, |fields| order::read_order(fields, &known));
        match unread.into_inner() {
            // What cannot be read now is no fault of the order.
            Some(error) => return Err(failed(&Failure::Load(error))),
            None => order?,
        }
    };
    let asked = identity.fresh();
    let id = DeliveryId::from_uuid(api.application.created_id(asked));
    let turn = api.quota.turn(&api, order.user).await?;
    let is_named = order.package.id.is_some();
    let done = api
        .application
        .book(asked, id, order, turn.is_used_up)
        .await
        .map_err(|error| match error {
            TransactError::Failed(failure) => failed(&failure),
            TransactError::Rejected(error) => not_booked(&api, &error, is_named),
        })?;
    drop(turn);
    let status = if done.value.existing {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let mut preferences = Preferences::of(&parts.headers);
    let operation = OperationId::of_booking(done.value.id);
    let awaited = awaited(&api, operation, &mut preferences).await?;
    let show = if preferences.wait.is_some() {
        settled
    } else {
        written
    };
    let response = show(&api, done.value.id, status, done.position, &LOCATION)?;
    Ok(monitored(&awaited, Some(operation), response, preferences))
}

/// What cannot be read now is no fault of the order: the use case meets it again.
fn has_user(api: &Api, id: UserId) -> bool {
    !matches!(api.application.user_status(id), Ok(None))
}

/// The same here.
fn is_booked(api: &Api, user: UserId, external_id: &ExternalId) -> bool {
    let delivery = api.application.delivery_by_external_id(user, external_id);
    !matches!(delivery, Ok(None))
}

/// What was declared of a package. Why it could not be read is left in `unread`.
fn declared(api: &Api, id: PackageId, unread: &OnceCell<LoadError>) -> Option<Declaration> {
    let found = api
        .application
        .package(id)
        .map_err(|error| unread.set(error));
    found
        .ok()?
        .map(|registered| registered.package.declared().clone())
}

async fn read(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let preconditions = Preconditions::of(&method, &headers)?;
    let position = api.application.head();
    let (id, moment) = id.delivery_and(&api, &uri, past::read_moment)?;
    if let Some(moment) = moment {
        let look = || api.views.delivery_at(id, moment);
        return past::answer(position, moment, &preconditions, look, |row| {
            representation::delivery_bytes(row)
        });
    }
    let (row, degraded_since) = as_known(&api, id)?;
    let response = preconditions.answer(representation::tag(&row), || {
        json_bytes(StatusCode::OK, representation::delivery_bytes(&row))
    });
    Ok(current(position, degraded_since, response))
}

async fn status(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let preconditions = Preconditions::of(&method, &headers)?;
    let position = api.application.head();
    let id = id.delivery(&api, &uri)?;
    let (row, degraded_since) = as_known(&api, id)?;
    let live = live(&api, &row);
    let tag = representation::status_tag(&row, live.as_deref());
    let response = preconditions.answer(tag, || {
        json_answer(
            StatusCode::OK,
            &representation::status(&row, live.as_deref()),
        )
    });
    Ok(current(position, degraded_since, response))
}

async fn history(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let preconditions = Preconditions::of(&method, &headers)?;
    let position = api.application.head();
    let (id, moment) = id.delivery_and(&api, &uri, past::read_moment)?;
    if let Some(moment) = moment {
        let look = || api.views.history_at(id, moment);
        return past::answer(position, moment, &preconditions, look, |entries| {
            history_representation::history_bytes(entries)
        });
    }
    let known = api.views.history_as_known(id);
    let known = known.map_err(|error| unanswered(&error))?;
    let entries = known.shown.ok_or_else(|| unknown(Thing::Delivery))?;
    let response = preconditions.answer(history_representation::tag(&entries), || {
        json_bytes(
            StatusCode::OK,
            history_representation::history_bytes(&entries),
        )
    });
    Ok(current(position, known.degraded_since, response))
}

async fn reschedule(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let id = id.delivery(&api, &parts.uri)?;
    let row = existing(&api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    let seen = preconditions.required()?;
    unchanged(&row, &preconditions)?;
    let document = api
        .bodies
        .read_json(&parts.headers, body, &[JSON, MERGE_PATCH])
        .await?;
    let now = api.application.now().map_err(|failure| failed(&failure))?;
    let was = &row.order.plan;
    let service = &api.application.scheduling().service;
    let patch = fields::read(document, |fields| {
        order::read_plan_patch(fields, was, service, now)
    })?;
    let done = api
        .application
        .reschedule(identity.fresh(), id, seen, |plan| patch.apply(plan))
        .await;
    let done = done.map_err(|error| refused(&api, id, error, Problem::invalid))?;
    changed(&api, done, StatusCode::OK, Preferences::of(&parts.headers)).await
}

/// The answer of a change: the delivery, or the operation that says what comes of it.
async fn changed(
    api: &Api,
    done: Done<Changed>,
    status: StatusCode,
    mut preferences: Preferences,
) -> Result<Response, Problem> {
    let Changed { id, operation } = done.value;
    let awaited = match operation {
        Some(operation) => awaited(api, operation, &mut preferences).await?,
        None => Awaited::Thing,
    };
    let is_done = preferences.wait.is_some() && operation.is_some();
    let response = if is_done {
        settled(api, id, StatusCode::OK, done.position, &CONTENT_LOCATION)?
    } else {
        written(api, id, status, done.position, &CONTENT_LOCATION)?
    };
    Ok(monitored(&awaited, operation, response, preferences))
}

async fn cancel(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    cancel_with(&api, identity.fresh(), &id, request, None).await
}

/// `DELETE` needs no body: whoever deletes does not want it.
async fn cancel_by_delete(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let has_none = request.body().is_end_stream() && !request.headers().contains_key(CONTENT_TYPE);
    let default = has_none.then_some((CancelReason::CustomerRequest, None));
    cancel_with(&api, identity.fresh(), &id, request, default).await
}

async fn cancel_with(
    api: &Api,
    asked: ClientRequest,
    id: &PathId,
    request: Request,
    default: Option<(CancelReason, Option<Comment>)>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let id = id.delivery(api, &parts.uri)?;
    let row = existing(api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    unchanged(&row, &preconditions)?;
    let why = match default {
        Some(why) => why,
        None => read_cancellation(api, &parts.headers, body).await?,
    };
    let seen = preconditions.seen();
    let done = api.application.cancel(asked, id, seen, why).await;
    let done = done.map_err(|error| refused(api, id, error, |never| match never {}))?;
    changed(
        api,
        done,
        StatusCode::ACCEPTED,
        Preferences::of(&parts.headers),
    )
    .await
}

/// Has the drone bring the package back.
async fn bring_back(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let id = id.delivery(&api, &parts.uri)?;
    let row = existing(&api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    unchanged(&row, &preconditions)?;
    if !body.is_end_stream() {
        // Nothing can be said in it yet, and what is not understood is not passed over.
        let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
        fields::read(document, |_| Some(()))?;
    }
    let seen = preconditions.seen();
    let done = api.application.request_return(identity.fresh(), id, seen);
    let done = done.await;
    let done = done.map_err(|error| refused(&api, id, error, |never| match never {}))?;
    let preferences = Preferences::of(&parts.headers);
    changed(&api, done, StatusCode::ACCEPTED, preferences).await
}

async fn read_cancellation(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<(CancelReason, Option<Comment>), Problem> {
    let document = api.bodies.read_json(headers, body, &[JSON]).await?;
    fields::read(document, order::read_cancellation)
}

fn existing(api: &Api, id: DeliveryId) -> Result<DeliveryRow, Problem> {
    as_known(api, id).map(|(row, _)| row)
}

/// A delivery, and since when it is not current, if it is not.
fn as_known(api: &Api, id: DeliveryId) -> Result<(DeliveryRow, Option<Position>), Problem> {
    let known = api.views.delivery_as_known(id);
    let known = known.map_err(|error| unanswered(&error))?;
    let row = known.shown.ok_or_else(|| unknown(Thing::Delivery))?;
    Ok((row, known.degraded_since))
}

/// What the drone of the delivery's mission says now.
fn live(api: &Api, row: &DeliveryRow) -> Option<Arc<Telemetry>> {
    let mission = representation::current_mission(row).filter(|_| !row.status.is_terminal())?;
    let telemetry = api.live.drone(&mission.fleet, &mission.drone)?;
    (telemetry.mission == Some(mission.mission)).then_some(telemetry)
}

/// The delivery as a change made it, whatever came after that, with its address in `address`:
/// what the same request gets that is made again. The position is the change's, also where the
/// answer cannot show it.
fn written(
    api: &Api,
    id: DeliveryId,
    status: StatusCode,
    position: Position,
    address: &HeaderName,
) -> Result<Response, Problem> {
    let (row, degraded_since) = as_known(api, id)?;
    if row.position <= position {
        let response = shown(&row, status, position, address);
        return Ok(degraded(degraded_since, response));
    }
    let moment = Moment {
        as_of: None,
        known_at: Some(KnownAt::Position(position)),
    };
    match api.views.delivery_at(id, moment) {
        Ok(Found::There(past)) => {
            let response = shown(&past.shown, status, position, address);
            Ok(degraded(past.degraded_since, response))
        }
        // It is done all the same, so what can be shown is.
        Ok(_) | Err(_) => Ok(degraded(
            degraded_since,
            shown(&row, status, position, address),
        )),
    }
}

/// The delivery as it is now, for whoever waited for what comes of a change.
fn settled(
    api: &Api,
    id: DeliveryId,
    status: StatusCode,
    position: Position,
    address: &HeaderName,
) -> Result<Response, Problem> {
    let (row, degraded_since) = as_known(api, id)?;
    let response = shown(&row, status, position, address);
    Ok(degraded(degraded_since, response))
}

/// What was done to a delivery and is asked for again: the delivery as it was right
/// after it, or, for whoever waits for what comes of it, as it is now; or the operation.
pub(super) async fn replayed(
    api: &Api,
    id: DeliveryId,
    position: Position,
    (status, kind, mut preferences): (StatusCode, Option<OperationKind>, Preferences),
) -> Result<Response, Problem> {
    let moment = Moment {
        as_of: None,
        known_at: Some(KnownAt::Position(position)),
    };
    let found = api.views.delivery_at(id, moment);
    let Found::There(past) = found.map_err(|error| unanswered(&error))? else {
        return Err(unknown(Thing::Delivery));
    };
    let operation = kind.map(|kind| match kind {
        OperationKind::Schedule | OperationKind::Cancel | OperationKind::Return => {
            OperationId::of(kind, id, 0)
        }
        OperationKind::Reschedule => OperationId::of(kind, id, past.shown.revision),
    });
    let awaited = match operation {
        Some(operation) => awaited(api, operation, &mut preferences).await?,
        None => Awaited::Thing,
    };
    let waits = preferences.wait.is_some();
    let status = match kind {
        Some(OperationKind::Cancel | OperationKind::Return) if !waits => StatusCode::ACCEPTED,
        Some(_) | None => status,
    };
    let address = if status == StatusCode::CREATED {
        LOCATION
    } else {
        CONTENT_LOCATION
    };
    let response = if waits {
        settled(api, id, status, position, &address)?
    } else {
        let response = shown(&past.shown, status, position, &address);
        degraded(past.degraded_since, response)
    };
    Ok(monitored(&awaited, operation, response, preferences))
}

fn shown(
    row: &DeliveryRow,
    status: StatusCode,
    position: Position,
    address: &HeaderName,
) -> Response {
    let mut response = json_bytes(status, representation::delivery_bytes(row));
    let path = HeaderValue::try_from(representation::path(row.id));
    response
        .headers_mut()
        .extend(path.ok().map(|path| (address.clone(), path)));
    at(position, tagged(representation::tag(row), response))
}

/// Tells an editor early that their copy is out of date; the use case looks
/// again when it appends.
fn unchanged(row: &DeliveryRow, preconditions: &Preconditions) -> Result<(), Problem> {
    match preconditions.evaluate(representation::tag(row)) {
        Verdict::Failed => Err(outdated(row)),
        Verdict::Proceed | Verdict::NotModified => Ok(()),
    }
}

fn outdated(row: &DeliveryRow) -> Problem {
    precondition_failed(representation::tag(row), representation::delivery(row))
}

/// Why a booking is not taken, of a package that is named or described.
fn not_booked(api: &Api, error: &BookingError, is_named: bool) -> Problem {
    match error {
        BookingError::UnknownUser => {
            Problem::invalid(Fault::new("/user_id", "unknown-user", order::UNKNOWN_USER).into())
        }
        BookingError::UserSuspended => {
            Problem::new(ProblemKind::UserSuspended, "the user is suspended; reinstate the user first")
        }
        BookingError::QuotaUsedUp => Problem::new(
            ProblemKind::QuotaUsedUp,
            "the user has as many deliveries under way as they may; wait until one is over, or have one cancelled",
        ),
        BookingError::ExternalIdTaken { delivery } => Problem::new(
            ProblemKind::ExternalIdTaken,
            "this user has another delivery under this external_id; take another one, or look at href",
        )
        .with_member("href", json!(representation::path(*delivery))),
        BookingError::Package(refusal) => packages::not_kept(api, refusal),
        BookingError::NotServiceable(faults) => {
            serviceability::problem(faults, serviceability::mass_at(is_named))
        }
        BookingError::Rejected(rejection) => rejected(rejection),
    }
}

fn refused<E>(
    api: &Api,
    id: DeliveryId,
    error: TransactError<ChangeError<E>>,
    invalid: impl FnOnce(E) -> Problem,
) -> Problem {
    match error {
        TransactError::Failed(failure) => failed(&failure),
        TransactError::Rejected(ChangeError::Unknown) => unknown(Thing::Delivery),
        TransactError::Rejected(ChangeError::Changed { .. }) => match existing(api, id) {
            Ok(row) => outdated(&row),
            Err(problem) => problem,
        },
        TransactError::Rejected(ChangeError::Invalid(error)) => invalid(error),
        TransactError::Rejected(ChangeError::NotServiceable(faults)) => {
            serviceability::problem(&faults, serviceability::mass_at(false))
        }
        TransactError::Rejected(ChangeError::Rejected(rejection)) => rejected(&rejection),
    }
}

/// A rule of the domain said no: 409 if it is for the state, 422 if it is for
/// what was sent.
fn rejected(rejection: &DeliveryRejection) -> Problem {
    let past = |pointer: &str| {
        let fault = Fault::new(pointer, "past", order::past(rejection));
        Problem::invalid(Faults::from(fault))
    };
    match rejection {
        DeliveryRejection::Unknown => unknown(Thing::Delivery),
        DeliveryRejection::AlreadyExists
        | DeliveryRejection::RescheduledTooOften
        | DeliveryRejection::ConfirmedOtherwise
        | DeliveryRejection::ReopenedTooOften
        | DeliveryRejection::CorrectedTooOften => {
            Problem::new(ProblemKind::StateConflict, rejection.to_string())
        }
        DeliveryRejection::WrongStatus { status, .. } => {
            Problem::new(ProblemKind::StateConflict, rejection.to_string())
                .with_member("current_status", json!(status.word()))
        }
        DeliveryRejection::WindowInPast { .. } => past("/pickup_window/not_after"),
        DeliveryRejection::DeadlineInPast { .. } => past("/deliver_by"),
        DeliveryRejection::ConfirmationTooWeak { .. } => {
            Problem::invalid(Fault::new("/kind", "too-weak", rejection.to_string()).into())
        }
    }
}
