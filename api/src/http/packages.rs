//! `/v1/packages`: what is known of packages before they are ordered.

use std::convert::Infallible;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use domain::id::{DeliveryId, PackageId};
use eventstore::{Position, StreamVersion};
use serde_json::json;

use super::Api;
use super::answer::{at, failed, json as json_answer, tagged};
use super::body::{JSON, MERGE_PATCH};
use super::conditional::{Preconditions, Verdict, precondition_failed};
use super::fields;
use super::front::RequestIdentity;
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::Preferences;
use super::problem::{Fault, Problem, ProblemKind};
use super::representation::{delivery as delivery_representation, package as representation};
use crate::application::packages::{PackageError, RegisteredPackage, ReservationRefusal};
use crate::application::{Precondition, TransactError};

pub(super) mod declaration;

/// When to ask again for what a delivery that is over lets go of, in seconds.
const LET_GO_S: u32 = 1;

/// What a client hears of a package that is not registered.
pub(super) const UNKNOWN_PACKAGE: &str =
    "there is no such package; register it first, or describe it by tag, size and mass_g";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/packages", post(register))
        .route("/v1/packages/{id}", get(read).put(replace).patch(change))
}

async fn register(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let declared = fields::read(document, declaration::read)?;
    let asked = identity.fresh();
    let id = PackageId::from_uuid(api.application.created_id(asked));
    let done = api
        .application
        .register_package(asked, id, declared)
        .await
        .map_err(|error| refused(&api, id, error, |never| match never {}))?;
    let response = written(&api, id, StatusCode::CREATED, done.position)?;
    Ok(Preferences::of(&parts.headers).apply_return(response))
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
    let package = existing(&api, id.parse(Thing::Package)?)?;
    let response = preconditions.answer(representation::tag(&package), || {
        json_answer(StatusCode::OK, &representation::package(&package))
    });
    Ok(at(position, response))
}

/// Registers a package under an id that the client chose, or declares all of it
/// anew. What it is already needs no precondition, so a repetition is answered alike.
async fn replace(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: PackageId = id.parse(Thing::Package)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    let known = found(&api, id)?;
    if let Some(known) = &known {
        unchanged(known, &preconditions)?;
    }
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let declared = fields::read(document, declaration::read)?.in_stored_order();
    let is_said_already = known
        .as_ref()
        .is_some_and(|known| *known.package.declared() == declared);
    let response = if known.is_none() {
        if *preconditions.seen() != Precondition::None {
            return Err(unknown(Thing::Package));
        }
        let done = api
            .application
            .register_package(identity.fresh(), id, declared)
            .await
            .map_err(|error| refused(&api, id, error, |never| match never {}))?;
        written(&api, id, StatusCode::CREATED, done.position)?
    } else {
        let seen = if is_said_already {
            preconditions.seen()
        } else {
            preconditions.required()?
        };
        let done = api
            .application
            .update_package(identity.fresh(), id, seen, |_| {
                Ok::<_, Infallible>(declared.clone())
            })
            .await
            .map_err(|error| refused(&api, id, error, |never| match never {}))?;
        written(&api, id, StatusCode::OK, done.position)?
    };
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

async fn change(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: PackageId = id.parse(Thing::Package)?;
    let package = existing(&api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    let seen = preconditions.required()?;
    unchanged(&package, &preconditions)?;
    let document = api
        .bodies
        .read_json(&parts.headers, body, &[JSON, MERGE_PATCH])
        .await?;
    let was = package.package.declared();
    let patch = fields::read(document, |fields| declaration::read_patch(fields, was))?;
    let done = api
        .application
        .update_package(identity.fresh(), id, seen, |was| patch.apply(was))
        .await
        .map_err(|error| refused(&api, id, error, Problem::invalid))?;
    let response = written(&api, id, StatusCode::OK, done.position)?;
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

fn found(api: &Api, id: PackageId) -> Result<Option<RegisteredPackage>, Problem> {
    let found = api.application.package(id);
    found.map_err(|error| failed(&error.into()))
}

fn existing(api: &Api, id: PackageId) -> Result<RegisteredPackage, Problem> {
    found(api, id)?.ok_or_else(|| unknown(Thing::Package))
}

/// The package as it is after a change.
fn written(
    api: &Api,
    id: PackageId,
    status: StatusCode,
    position: Position,
) -> Result<Response, Problem> {
    Ok(shown(&existing(api, id)?, status, position))
}

/// The package as it was right after a change that is asked for again.
pub(super) fn replayed(
    api: &Api,
    id: PackageId,
    version: StreamVersion,
    status: StatusCode,
    position: Position,
) -> Result<Response, Problem> {
    let then = api.application.package_at(id, version);
    let then = then.map_err(|error| failed(&error.into()))?;
    let package = then.ok_or_else(|| unknown(Thing::Package))?;
    Ok(shown(&package, status, position))
}

/// A package, with the address of one that is new.
fn shown(package: &RegisteredPackage, status: StatusCode, position: Position) -> Response {
    let mut response = json_answer(status, &representation::package(package));
    if status == StatusCode::CREATED {
        let location = HeaderValue::try_from(representation::path(package.id));
        let location = location.ok().map(|location| (LOCATION, location));
        response.headers_mut().extend(location);
    }
    at(position, tagged(representation::tag(package), response))
}

/// Tells an editor early that their copy is out of date; the use case looks
/// again when it appends.
fn unchanged(package: &RegisteredPackage, preconditions: &Preconditions) -> Result<(), Problem> {
    match preconditions.evaluate(representation::tag(package)) {
        Verdict::Failed => Err(outdated(package)),
        Verdict::Proceed | Verdict::NotModified => Ok(()),
    }
}

fn outdated(package: &RegisteredPackage) -> Problem {
    precondition_failed(
        representation::tag(package),
        representation::package(package),
    )
}

fn refused<E>(
    api: &Api,
    id: PackageId,
    error: TransactError<PackageError<E>>,
    invalid: impl FnOnce(E) -> Problem,
) -> Problem {
    match error {
        TransactError::Failed(failure) => failed(&failure),
        TransactError::Rejected(PackageError::Unknown) => unknown(Thing::Package),
        TransactError::Rejected(PackageError::Changed { .. }) => match existing(api, id) {
            Ok(package) => outdated(&package),
            Err(problem) => problem,
        },
        TransactError::Rejected(PackageError::Reserved { by }) => reserved(api, by),
        TransactError::Rejected(PackageError::Invalid(error)) => invalid(error),
    }
}

/// A delivery has the package.
fn reserved(api: &Api, by: DeliveryId) -> Problem {
    let detail =
        format!("{by} has the package and is not over; take another package, or wait until it is");
    held(api, ProblemKind::PackageReserved, by, detail)
}

/// A delivery has a package or its tag. One that is over lets go of them in a moment: whoever
/// orders anew right after an end sends the same again.
fn held(api: &Api, kind: ProblemKind, by: DeliveryId, detail: String) -> Problem {
    let delivery = api.application.delivery_state(by).ok().flatten();
    let is_over = delivery.is_some_and(|delivery| delivery.status().is_terminal());
    let problem = if is_over {
        let detail =
            format!("{by} is over, and lets go of its package just now; send the same again");
        Problem::new(kind, detail).with_retry_after_s(LET_GO_S)
    } else {
        Problem::new(kind, detail)
    };
    problem.with_member("href", json!(delivery_representation::path(by)))
}

/// What a client hears whose delivery cannot have its package.
pub(super) fn not_kept(api: &Api, refusal: &ReservationRefusal) -> Problem {
    match refusal {
        ReservationRefusal::Unknown => {
            Problem::invalid(Fault::new("/package/id", "unknown-package", UNKNOWN_PACKAGE).into())
        }
        ReservationRefusal::DeclaredOtherwise => {
            Problem::new(ProblemKind::StateConflict, refusal.to_string())
        }
        ReservationRefusal::PackageReserved { by } => reserved(api, *by),
        ReservationRefusal::TagInUse { by } => {
            held(api, ProblemKind::TagInUse, *by, refusal.to_string())
        }
    }
}
