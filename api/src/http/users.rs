//! `/v1/users`: who books.

use std::convert::Infallible;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use domain::id::UserId;
use domain::text::{Comment, Email, Locale, Name, Phone};
use domain::user::Contact;
use eventstore::{Position, StreamVersion};
use projections::UserRow;
use serde_json::json;

use super::Api;
use super::answer::{at, current, degraded, failed, json as json_answer, tagged, unanswered};
use super::body::{JSON, MERGE_PATCH};
use super::conditional::{EntityTag, Preconditions, Verdict, precondition_failed};
use super::fields::{self, Fields, Patch, parsed, read_query};
use super::front::RequestIdentity;
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::Preferences;
use super::problem::{Fault, Problem, ProblemKind};
use super::representation::user as representation;
use crate::application::users::{Standing, UserError};
use crate::application::{ClientRequest, Precondition, TransactError};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/users", post(create).get(find))
        .route("/v1/users/{id}", get(read).put(replace).patch(change))
        .route("/v1/users/{id}/suspend", post(suspend))
        .route("/v1/users/{id}/reinstate", post(reinstate))
}

async fn create(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let contact = fields::read(document, read_contact)?;
    let asked = identity.fresh();
    let id = UserId::from_uuid(api.application.created_id(asked));
    let done = match api.application.create_user(asked, id, contact).await {
        Ok(done) => done,
        Err(error) => return Err(refused(&api, id, error).await),
    };
    let response = written(&api, id, StatusCode::CREATED, done.position).await?;
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

/// The users with an e-mail address: one or none. It is looked up in the log, so
/// it is current and waits for no view.
async fn find(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let email = read_query(&uri, |query| query.required("email", parsed(Email::new)))?;
    let position = api.application.head();
    let holder = api
        .application
        .user_by_email(&email)
        .map_err(|error| failed(&error.into()))?;
    let (row, degraded_since) = match holder {
        Some(id) => looked_up(&api, id).await?,
        None => (None, None),
    };
    let items: Vec<_> = row.iter().map(representation::user).collect();
    let page = json!({ "items": items, "next": null });
    let tag = EntityTag::of_bytes(page.to_string().as_bytes());
    let response =
        Preconditions::of(&method, &headers)?.answer(tag, || json_answer(StatusCode::OK, &page));
    Ok(current(position, degraded_since, response))
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
    let (row, degraded_since) = looked_up(&api, id.parse(Thing::User)?).await?;
    let row = row.ok_or_else(|| unknown(Thing::User))?;
    let response = preconditions.answer(representation::tag(&row, degraded_since), || {
        json_answer(StatusCode::OK, &representation::user(&row))
    });
    Ok(current(position, degraded_since, response))
}

async fn replace(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (id, seen, headers, body) = editing(&api, &id, request).await?;
    let document = api.bodies.read_json(&headers, body, &[JSON]).await?;
    let contact = fields::read(document, read_contact)?;
    let done = api
        .application
        .update_user(identity.fresh(), id, &seen, |_| {
            Ok::<_, Infallible>(contact.clone())
        })
        .await;
    edited(&api, id, &headers, done.map(|done| done.position)).await
}

async fn change(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let (id, seen, headers, body) = editing(&api, &id, request).await?;
    let document = api
        .bodies
        .read_json(&headers, body, &[JSON, MERGE_PATCH])
        .await?;
    let patch = fields::read(document, read_patch)?;
    let done = api
        .application
        .update_user(identity.fresh(), id, &seen, |was| {
            Ok::<_, Infallible>(patch.apply(was))
        })
        .await;
    edited(&api, id, &headers, done.map(|done| done.position)).await
}

async fn suspend(
    state: State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    change_standing(state.0, identity.fresh(), id, request, Standing::Suspended).await
}

async fn reinstate(
    state: State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    change_standing(state.0, identity.fresh(), id, request, Standing::Reinstated).await
}

async fn change_standing(
    api: Api,
    asked: ClientRequest,
    id: PathId,
    request: Request,
    standing: Standing,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: UserId = id.parse(Thing::User)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    unchanged(&existing(&api, id).await?, &preconditions)?;
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let reason = fields::read(document, |fields| {
        fields.required("reason", parsed(str::parse::<Comment>))
    })?;
    let seen = preconditions.seen();
    let done = api
        .application
        .change_standing(asked, id, seen, (standing, reason))
        .await;
    edited(&api, id, &parts.headers, done.map(|done| done.position)).await
}

/// What an edit needs before its body is read: who, based on what.
async fn editing(
    api: &Api,
    id: &PathId,
    request: Request,
) -> Result<(UserId, Precondition, HeaderMap, axum::body::Body), Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let id: UserId = id.parse(Thing::User)?;
    let row = existing(api, id).await?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    let seen = preconditions.required()?.clone();
    unchanged(&row, &preconditions)?;
    Ok((id, seen, parts.headers, body))
}

async fn edited<E>(
    api: &Api,
    id: UserId,
    headers: &HeaderMap,
    done: Result<Position, TransactError<UserError<E>>>,
) -> Result<Response, Problem> {
    match done {
        Ok(position) => {
            let response = written(api, id, StatusCode::OK, position).await?;
            Ok(Preferences::of(headers).apply_return(response))
        }
        Err(error) => Err(refused(api, id, error).await),
    }
}

async fn existing(api: &Api, id: UserId) -> Result<UserRow, Problem> {
    let (row, _) = as_known(api, id).await?;
    row.ok_or_else(|| unknown(Thing::User))
}

/// A user, if there is one, and since when what is known of them is not current,
/// if it is not.
async fn as_known(api: &Api, id: UserId) -> Result<(Option<UserRow>, Option<Position>), Problem> {
    let known = api.views.user_as_known(id).await;
    let known = known.map_err(|error| unanswered(&error))?;
    Ok((known.shown, known.degraded_since))
}

/// The same for who only looks, and far behind the log waits among those who do.
async fn looked_up(api: &Api, id: UserId) -> Result<(Option<UserRow>, Option<Position>), Problem> {
    api.waiting.wait(as_known(api, id)).await?
}

/// The user as it is after a change. The position is the change's, also where the
/// answer cannot show it.
async fn written(
    api: &Api,
    id: UserId,
    status: StatusCode,
    position: Position,
) -> Result<Response, Problem> {
    let (row, degraded_since) = as_known(api, id).await?;
    let row = row.ok_or_else(|| unknown(Thing::User))?;
    Ok(shown(&row, degraded_since, status, position))
}

/// The user as it was right after a change that is asked for again: what is
/// said of the user is as it was, what is counted of their deliveries as it is.
pub(super) async fn replayed(
    api: &Api,
    id: UserId,
    version: StreamVersion,
    status: StatusCode,
    position: Position,
) -> Result<Response, Problem> {
    let (row, degraded_since) = as_known(api, id).await?;
    let then = api
        .application
        .user_at(id, version)
        .map_err(|error| failed(&error.into()))?;
    let (Some(row), Some((user, updated_at))) = (row, then) else {
        return Err(unknown(Thing::User));
    };
    let row = UserRow {
        contact: user.contact().clone(),
        status: user.status(),
        sequence: version,
        updated_at,
        ..row
    };
    Ok(shown(&row, degraded_since, status, position))
}

/// A user, with the address of one that is new.
fn shown(
    row: &UserRow,
    degraded_since: Option<Position>,
    status: StatusCode,
    position: Position,
) -> Response {
    let tag = representation::tag(row, degraded_since);
    let mut response = tagged(tag, json_answer(status, &representation::user(row)));
    if status == StatusCode::CREATED {
        let location = HeaderValue::try_from(representation::path(row.id));
        let location = location.ok().map(|location| (LOCATION, location));
        response.headers_mut().extend(location);
    }
    degraded(degraded_since, at(position, response))
}

/// Tells an editor early that their copy is out of date; the use case looks
/// again when it appends.
fn unchanged(row: &UserRow, preconditions: &Preconditions) -> Result<(), Problem> {
    match preconditions.evaluate(representation::tag(row, None)) {
        Verdict::Failed => Err(outdated(row)),
        Verdict::Proceed | Verdict::NotModified => Ok(()),
    }
}

fn outdated(row: &UserRow) -> Problem {
    precondition_failed(representation::tag(row, None), representation::user(row))
}

async fn refused<E>(api: &Api, id: UserId, error: TransactError<UserError<E>>) -> Problem {
    match error {
        TransactError::Failed(failure) => failed(&failure),
        TransactError::Rejected(UserError::Unknown) => unknown(Thing::User),
        TransactError::Rejected(UserError::EmailTaken) => Problem::new(
            ProblemKind::EmailTaken,
            "another user has this e-mail address; use another one",
        )
        .with_fault(Fault::new(
            "/email",
            "taken",
            "another user has this e-mail address",
        )),
        TransactError::Rejected(UserError::Changed { .. }) => match existing(api, id).await {
            Ok(row) => outdated(&row),
            Err(problem) => problem,
        },
        TransactError::Rejected(UserError::Invalid(_)) => Problem::new(
            ProblemKind::InvalidRequest,
            "the change does not fit the user as it is",
        ),
    }
}

fn read_contact(fields: &mut Fields<'_>) -> Option<Contact> {
    let name = fields.required("name", parsed(str::parse::<Name>));
    let email = fields.required("email", parsed(Email::new));
    let phone = fields.optional("phone", parsed(Phone::new));
    let locale = fields.optional("locale", parsed(Locale::new));
    Some(Contact {
        name: name?,
        email: email?,
        phone,
        locale,
    })
}

/// A merge patch of a user.
struct ContactPatch {
    name: Option<Name>,
    email: Option<Email>,
    phone: Patch<Phone>,
    locale: Patch<Locale>,
}

impl ContactPatch {
    fn apply(&self, was: &Contact) -> Contact {
        Contact {
            name: self.name.clone().unwrap_or_else(|| was.name.clone()),
            email: self.email.clone().unwrap_or_else(|| was.email.clone()),
            phone: self.phone.clone().apply(was.phone.clone()),
            locale: self.locale.clone().apply(was.locale.clone()),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_patch(fields: &mut Fields<'_>) -> Option<ContactPatch> {
    Some(ContactPatch {
        name: fields.replaced("name", parsed(str::parse::<Name>)),
        email: fields.replaced("email", parsed(Email::new)),
        phone: fields.patched("phone", parsed(Phone::new)),
        locale: fields.patched("locale", parsed(Locale::new)),
    })
}
