//! The last touch to every answer: problems written out, methods listed,
//! headers that no answer may lack.

use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::identity::{REQUEST_ID, RequestIdentity, TRACEPARENT};
use crate::http::problem::{PROBLEM_JSON, Problem, ProblemContext, ProblemKind, Raised};

/// The header with a position of the log: on an answer to a write the
/// position it was written at, else one that the answer is at least as new as.
pub const STREAM_POSITION: HeaderName = HeaderName::from_static("stream-position");

/// Gives the answer its final form. Returns the problem's code if it is one.
pub(super) fn finish(
    response: &mut Response<Body>,
    method: &Method,
    context: &ProblemContext,
) -> Option<&'static str> {
    list_methods(response);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && *method == Method::OPTIONS {
        response.extensions_mut().remove::<Raised>();
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    let raised = response
        .extensions_mut()
        .remove::<Raised>()
        .map(|Raised(problem)| problem);
    let problem = raised.or_else(|| unspoken(response));
    if let Some(problem) = &problem {
        problem.write_into(response, context);
    }
    let status = response.status();
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // Neither has a length of its own (RFC 9110, 8.6).
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().remove(CONTENT_TYPE);
    }
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    problem.map(|problem| problem.kind().slug())
}

/// An error that did not come from us (the router's own, a rejected
/// extraction) as a problem: its text may tell what is nobody's business.
fn unspoken(response: &Response<Body>) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == PROBLEM_JSON)
    {
        return None;
    }
    let kind = ProblemKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.status() == status);
    let kind = match kind {
        Some(kind) => kind,
        None if status.is_client_error() => ProblemKind::MalformedRequest,
        None => ProblemKind::Internal,
    };
    Some(Problem::new(kind, kind.explanation()))
}

/// Every address also answers OPTIONS, which the router does not know.
fn list_methods(response: &mut Response<Body>) {
    let Some(allow) = response
        .headers()
        .get(ALLOW)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    let methods: Vec<&str> = allow
        .split(',')
        .map(str::trim)
        .filter(|method| !method.is_empty())
        .collect();
    if methods.contains(&"OPTIONS") {
        return;
    }
    let listed = methods
        .into_iter()
        .chain(["OPTIONS"])
        .collect::<Vec<_>>()
        .join(", ");
    if let Ok(value) = HeaderValue::from_str(&listed) {
        response.headers_mut().insert(ALLOW, value);
    }
}

/// Adds what no answer may lack, and keeps what a handler said. `head` is a
/// position that the answer is at least as new as.
pub(super) fn add_headers(
    response: &mut Response<Body>,
    method: &Method,
    identity: &RequestIdentity,
    head: u64,
) {
    let status = response.status();
    let is_view = matches!(*method, Method::GET | Method::HEAD)
        && (status.is_success() || status == StatusCode::NOT_MODIFIED);
    let caching = if is_view {
        "private, no-cache"
    } else {
        "no-store"
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, identity.request_id_value());
    if let Some(value) = identity.traceparent_value() {
        headers.insert(TRACEPARENT, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(caching));
    // Whether there is an answer at all hangs on Accept everywhere.
    headers
        .entry(VARY)
        .or_insert(HeaderValue::from_static("Accept"));
    headers
        .entry(STREAM_POSITION)
        .or_insert_with(|| HeaderValue::from(head));
    if status == StatusCode::REQUEST_TIMEOUT {
        // What the client may still send is not the next request (RFC 9110, 15.5.9).
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
