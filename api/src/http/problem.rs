//! Errors over HTTP: problem details as in RFC 9457.
//!
//! A handler returns a [`Problem`]; the front of the interface (`front.rs`)
//! writes it out, since only it knows the request's id and the address that
//! the client used.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use uuid::Uuid;

mod fault;
mod kind;

pub use fault::{FAULTS_MAX, Fault, Faults};
pub(crate) use fault::{escape, quote};
pub use kind::ProblemKind;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One answer that says what went wrong, and how to mend it.
///
/// Carries nothing internal: whoever makes one decides what the client reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    kind: ProblemKind,
    detail: String,
    faults: Faults,
    headers: HeaderMap,
    members: Map<String, Value>,
}

/// What the front knows about a request and a problem must show.
#[derive(Clone, Debug)]
pub struct ProblemContext {
    /// What `type` begins with.
    pub base: Base,
    /// What `instance` is made of.
    pub request: Uuid,
}

/// What the address of a problem's page begins with, without a slash at its
/// end. Cheap to clone: every request has one, and few have a problem.
#[derive(Clone, Debug)]
pub enum Base {
    /// A configured address.
    Url(Arc<str>),
    /// What the request's target names, over http.
    Authority(Authority),
    /// What the request's header says, over http; nothing if it is none.
    Host(HeaderValue),
    /// Nothing, which makes a relative reference, as RFC 9457 allows.
    Relative,
}

impl Base {
    fn text(&self) -> String {
        let named = match self {
            Self::Url(url) => return url.as_ref().to_owned(),
            Self::Authority(authority) => Some(authority.clone()),
            Self::Host(host) => host.to_str().ok().and_then(|host| host.parse().ok()),
            Self::Relative => None,
        };
        match named {
            Some(authority) if !authority.as_str().contains('@') => format!("http://{authority}"),
            Some(_) | None => String::new(),
        }
    }
}

impl Problem {
    /// A problem of this kind; `detail` says in a sentence what is wrong this
    /// time and how to mend it.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            faults: Faults::default(),
            headers: HeaderMap::new(),
            members: Map::new(),
        }))
    }

    /// The content of a request is wrong in these ways.
    #[must_use]
    pub fn invalid(faults: Faults) -> Self {
        let detail = match faults.count() {
            1 => "the request has a fault; mend what errors names".to_owned(),
            count => format!("the request has {count} faults; mend what errors names"),
        };
        let mut problem = Self::new(ProblemKind::InvalidRequest, detail);
        problem.0.faults = faults;
        problem
    }

    /// There is no such thing, as in "no delivery has this id".
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// A fault of ours, about which the client is told nothing more. Whoever
    /// makes it has logged the cause.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            ProblemKind::Internal,
            "something went wrong on our side; tell the operator the request id if it happens again",
        )
    }

    /// Too much is going on; come back in a second.
    #[must_use]
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Overloaded, detail).with_retry_after_s(1)
    }

    /// Adds a fault, so that the place is told beside the kind.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.0.faults.add(fault);
        self
    }

    /// Lists fewer faults and counts the others, where many problems stand in one answer.
    #[must_use]
    pub fn with_faults_max(mut self, faults_max: usize) -> Self {
        self.0.faults.list_only(faults_max);
        self
    }

    /// A header that the answer will have.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.headers.get(name)
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says when to come back, seconds from now.
    #[must_use]
    pub fn with_retry_after_s(self, seconds: u32) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a member of its own, such as `current` or `href`.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// What is wrong this time.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The faults it lists.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.0.faults.listed()
    }

    /// The problem as JSON, as it also stands inside other answers (a refused
    /// event of a batch): without `instance` if there is no context.
    #[must_use]
    pub fn to_json(&self, context: Option<&ProblemContext>) -> Value {
        let Inner {
            kind,
            detail,
            faults,
            members,
            ..
        } = &*self.0;
        let base = context.map_or_else(String::new, |context| context.base.text());
        let mut object = Map::new();
        object.insert(
            "type".to_owned(),
            json!(format!("{base}/problems/{}", kind.slug())),
        );
        object.insert("title".to_owned(), json!(kind.title()));
        object.insert("status".to_owned(), json!(kind.status().as_u16()));
        object.insert("detail".to_owned(), json!(detail));
        if let Some(context) = context {
            object.insert(
                "instance".to_owned(),
                json!(context.request.urn().to_string()),
            );
        }
        object.insert("code".to_owned(), json!(kind.slug()));
        let says_when = self.0.headers.contains_key(RETRY_AFTER);
        let is_retryable = kind.is_retryable() || says_when;
        object.insert("retryable".to_owned(), json!(is_retryable));
        if !faults.is_empty() {
            object.insert("errors".to_owned(), faults.to_json());
        }
        if faults.omitted() > 0 {
            object.insert("errors_omitted".to_owned(), json!(faults.omitted()));
        }
        for (name, value) in members {
            object.entry(name).or_insert_with(|| value.clone());
        }
        Value::Object(object)
    }

    /// Writes the problem into a response that came out of [`IntoResponse`],
    /// keeping the headers that were set on the way.
    pub(crate) fn write_into(&self, response: &mut Response<Body>, context: &ProblemContext) {
        let bytes = self.to_json(Some(context)).to_string();
        *response.status_mut() = self.kind().status();
        let headers = response.headers_mut();
        for (name, value) in &self.0.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *response.body_mut() = Body::from(bytes);
    }
}

/// A problem on its way to the front, inside a response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Raised(pub(crate) Problem);

impl IntoResponse for Problem {
    /// The status, and the problem for the front to write; no body of its own.
    fn into_response(self) -> axum::response::Response {
        let mut response = self.kind().status().into_response();
        response.extensions_mut().insert(Raised(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::ALLOW;

    use super::*;

    fn context() -> ProblemContext {
        ProblemContext {
            base: Base::Url("http://airpost.test".into()),
            request: Uuid::from_u128(7),
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_ours() {
        let mut faults = Faults::default();
        faults.add(Fault::new("/a~1b", "required", "missing"));
        let problem = Problem::invalid(faults)
            .with_member("href", json!("/v1/x"))
            .with_member("status", json!(1));
        assert_eq!(
            problem.to_json(Some(&context())),
            json!({
                "type": "http://airpost.test/problems/invalid-request",
                "title": "Invalid request",
                "status": 422,
                "detail": "the request has a fault; mend what errors names",
                "instance": "urn:uuid:00000000-0000-0000-0000-000000000007",
                "code": "invalid-request",
                "retryable": false,
                "errors": [{"pointer": "/a~1b", "code": "required", "detail": "missing"}],
                "href": "/v1/x",
            })
        );
    }

    #[test]
    fn an_answer_with_a_problem_is_typed_and_never_stored() {
        let problem =
            Problem::overloaded("wait").with_header(ALLOW, HeaderValue::from_static("GET"));
        let mut response = problem.clone().into_response();
        problem.write_into(&mut response, &context());
        assert_eq!(response.status(), 503);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[RETRY_AFTER], "1");
        assert_eq!(headers[ALLOW], "GET");
    }

    #[test]
    fn without_an_address_the_type_is_relative() {
        let json = Problem::internal().to_json(None);
        assert_eq!(json["type"], "/problems/internal-error");
        assert_eq!(json.get("instance"), None);
        assert_eq!(json.get("errors"), None);
    }
}
