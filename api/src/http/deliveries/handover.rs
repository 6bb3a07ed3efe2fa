//! Confirming a delivery, and what operators say of one.

use axum::Extension;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LOCATION, HeaderName, LOCATION};
use axum::response::Response;
use axum::routing::post;
use domain::delivery::{Confirmation, Correction, ReopenedAs};
use domain::text::Comment;

use super::{existing, refused, unchanged, written};
use crate::application::deliveries::handover::{OperatorsWord, Proof};
use crate::http::Api;
use crate::http::body::JSON;
use crate::http::conditional::Preconditions;
use crate::http::fields::{self, Fields, boolean, known, parsed, text};
use crate::http::front::RequestIdentity;
use crate::http::path::PathId;
use crate::http::prefer::Preferences;
use crate::http::problem::Problem;

/// What shows that somebody is the recipient.
const PROOFS: &[Confirmation] = &[
    Confirmation::Pin,
    Confirmation::TagScan,
    Confirmation::Photo,
    Confirmation::Signature,
];

/// Longest proof, characters: a PIN, a tag, or the address of a picture.
const PROOF_CHARS_MAX: usize = 4_096;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/deliveries/{id}/confirmations", post(confirm))
        .route("/v1/deliveries/{id}/complete", post(vouch))
        .route("/v1/deliveries/{id}/hand-back", post(hand_back))
        .route("/v1/deliveries/{id}/give-up", post(give_up))
        .route("/v1/deliveries/{id}/reopen", post(reopen))
        .route("/v1/deliveries/{id}/correct", post(correct))
}

/// What somebody says of a delivery.
enum Said {
    Proof(Proof),
    Operator(OperatorsWord),
}

async fn confirm(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    let answer = (StatusCode::CREATED, LOCATION);
    let read = |body: &mut Fields<'_>| read_proof(body).map(Said::Proof);
    take(&api, &identity, &id, request, read, answer).await
}

async fn vouch(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    heed(&api, &identity, &id, request, read_vouching).await
}

async fn hand_back(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    heed(&api, &identity, &id, request, read_handing_back).await
}

async fn give_up(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    heed(&api, &identity, &id, request, read_giving_up).await
}

async fn reopen(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    heed(&api, &identity, &id, request, read_reopening).await
}

async fn correct(
    State(api): State<Api>,
    Extension(identity): Extension<RequestIdentity>,
    id: PathId,
    request: Request,
) -> Result<Response, Problem> {
    heed(&api, &identity, &id, request, read_correction).await
}

async fn heed(
    api: &Api,
    identity: &RequestIdentity,
    id: &PathId,
    request: Request,
    read: fn(&mut Fields<'_>) -> Option<OperatorsWord>,
) -> Result<Response, Problem> {
    let answer = (StatusCode::OK, CONTENT_LOCATION);
    let read = |body: &mut Fields<'_>| read(body).map(Said::Operator);
    take(api, identity, id, request, read, answer).await
}

async fn take(
    api: &Api,
    identity: &RequestIdentity,
    id: &PathId,
    request: Request,
    read: impl FnOnce(&mut Fields<'_>) -> Option<Said>,
    (status, address): (StatusCode, HeaderName),
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let id = id.delivery(api, &parts.uri)?;
    let row = existing(api, id)?;
    let preconditions = Preconditions::of(&parts.method, &parts.headers)?;
    unchanged(&row, &preconditions)?;
    let document = api.bodies.read_json(&parts.headers, body, &[JSON]).await?;
    let said = fields::read(document, read)?;
    let seen = preconditions.seen();
    let asked = identity.fresh();
    let done = match said {
        Said::Proof(proof) => api.application.confirm(asked, id, seen, &proof).await,
        Said::Operator(word) => api.application.heed(asked, id, seen, word).await,
    };
    let done = done.map_err(|error| refused(api, id, error, |never| match never {}))?;
    let response = written(api, id, status, done.position, &address)?;
    Ok(Preferences::of(&parts.headers).apply_return(response))
}

fn read_proof(body: &mut Fields<'_>) -> Option<Proof> {
    let kind = body.required("kind", known(PROOFS, Confirmation::word));
    let proof = body.required("proof", text(1..=PROOF_CHARS_MAX));
    Some(Proof {
        kind: kind?,
        text: proof?,
    })
}

fn read_vouching(body: &mut Fields<'_>) -> Option<OperatorsWord> {
    let reason = read_reason(body)?;
    Some(OperatorsWord::Vouch { reason })
}

fn read_handing_back(body: &mut Fields<'_>) -> Option<OperatorsWord> {
    let reason = read_reason(body)?;
    Some(OperatorsWord::HandBack { reason })
}

fn read_giving_up(body: &mut Fields<'_>) -> Option<OperatorsWord> {
    let reason = read_reason(body);
    let damaged = body.optional("damaged", boolean);
    let reason = reason?;
    Some(if damaged == Some(true) {
        OperatorsWord::FindDamaged { reason }
    } else {
        OperatorsWord::GiveUp { reason }
    })
}

fn read_reopening(body: &mut Fields<'_>) -> Option<OperatorsWord> {
    let to = body.required("to", known(ReopenedAs::ALL, ReopenedAs::word));
    let reason = read_reason(body);
    Some(OperatorsWord::Reopen {
        to: to?,
        reason: reason?,
    })
}

fn read_correction(body: &mut Fields<'_>) -> Option<OperatorsWord> {
    let what = body.required("what", known(Correction::ALL, Correction::word));
    let was = body.optional("was", parsed(str::parse::<Comment>));
    let now_is = body.required("now", parsed(str::parse::<Comment>));
    let reason = read_reason(body);
    Some(OperatorsWord::Correct {
        what: what?,
        was,
        now_is: now_is?,
        reason: reason?,
    })
}

fn read_reason(body: &mut Fields<'_>) -> Option<Comment> {
    body.required("reason", parsed(str::parse::<Comment>))
}
