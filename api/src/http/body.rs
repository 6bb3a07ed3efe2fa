//! Bodies of requests: read whole, under a limit and in time; and what is left
//! of one when its handler did not want it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    HeaderValue,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::json::Document;
use super::problem::{Problem, ProblemKind, quote};
use crate::config::HttpLimits;

/// The media type of bodies.
pub const JSON: &str = "application/json";
/// The media type of merge patches (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// How much of a body that nobody wants is read and dropped, bytes, so that
/// the client sees the answer and not a reset: the largest batch and as much
/// again, since one that says its length is refused before any of it is read.
const DROPPED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How long that may take.
const DROPPING_TIME_MAX: Duration = Duration::from_secs(5);

/// What the bodies that are being read take of memory is counted in these units, bytes.
const UNIT_BYTES: usize = 1024;

/// Reads bodies for one kind of route. Clones share one budget of memory.
#[derive(Clone, Debug)]
pub struct BodyReader {
    bytes_max: usize,
    idle_time: Duration,
    budget: Arc<Semaphore>,
}

/// A body that was read whole. While it lives, it counts against the budget.
#[derive(Debug)]
pub struct WholeBody {
    /// The body.
    pub bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

impl BodyReader {
    /// A reader of bodies of the usual size.
    #[must_use]
    pub fn new(limits: &HttpLimits) -> Self {
        let units = usize::try_from(limits.bodies_mib_max)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024 * 1024 / UNIT_BYTES);
        Self {
            bytes_max: usize::try_from(limits.body_bytes_max).unwrap_or(usize::MAX),
            idle_time: Duration::from_millis(limits.body_idle_ms),
            budget: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// The same with another limit.
    #[must_use]
    pub fn with_bytes_max(&self, bytes_max: u64) -> Self {
        Self {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            ..self.clone()
        }
    }

    /// Reads a body of one of the accepted types as JSON.
    ///
    /// # Errors
    /// As [`content_type`], [`BodyReader::read`] and [`Document::parse`].
    pub async fn read_json(
        &self,
        headers: &HeaderMap,
        body: Body,
        accepted: &[&'static str],
    ) -> Result<Document, Problem> {
        content_type(headers, &body, accepted)?;
        let whole = self.read(headers, body).await?;
        Document::parse(&whole.bytes)
    }

    /// Reads a body whole. What is left of one that is refused is for the
    /// front to drop.
    ///
    /// # Errors
    /// `content-too-large` (413), `request-timeout` (408) if it stands still,
    /// `overloaded` (503) if all bodies together take too much memory,
    /// `malformed-request` (400) if it breaks off.
    pub async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<WholeBody, Problem> {
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > self.bytes_max) {
            return Err(self.too_large());
        }
        let mut bytes = Vec::new();
        let mut held: Option<OwnedSemaphorePermit> = None;
        loop {
            let frame = tokio::time::timeout(self.idle_time, body.frame())
                .await
                .map_err(|_| too_slow())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| {
                Problem::new(
                    ProblemKind::MalformedRequest,
                    "the body broke off; send it whole",
                )
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if data.len() > self.bytes_max.saturating_sub(bytes.len()) {
                return Err(self.too_large());
            }
            self.hold(&mut held, bytes.len().saturating_add(data.len()))?;
            bytes.extend_from_slice(&data);
        }
        Ok(WholeBody {
            bytes: bytes.into(),
            _held: held,
        })
    }

    /// Makes what is held cover so many bytes.
    fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = bytes
            .div_ceil(UNIT_BYTES)
            .checked_sub(has)
            .filter(|more| *more > 0)
        else {
            return Ok(());
        };
        let more = u32::try_from(more)
            .ok()
            .and_then(|more| self.budget.clone().try_acquire_many_owned(more).ok());
        let Some(more) = more else {
            return Err(Problem::overloaded(
                "too many large bodies are being read at once; send it again later",
            ));
        };
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    fn too_large(&self) -> Problem {
        Problem::new(
            ProblemKind::ContentTooLarge,
            format!(
                "the body is larger than the {} bytes that are taken here; split it up",
                self.bytes_max
            ),
        )
        .with_member("limit", self.bytes_max.into())
    }
}

pub(crate) fn too_slow() -> Problem {
    Problem::new(
        ProblemKind::RequestTimeout,
        "the body did not arrive in time; send it again without pauses",
    )
}

/// Which of the accepted types a body has. Parameters do not matter, but a
/// `charset` must be UTF-8, and the body must not be encoded.
///
/// # Errors
/// `malformed-body` (400) where neither a body nor a type was sent, else
/// `unsupported-media-type` (415).
pub fn content_type(
    headers: &HeaderMap,
    body: &Body,
    accepted: &[&'static str],
) -> Result<&'static str, Problem> {
    let refuse = |found: String| {
        let list = accepted.join(", ");
        let problem = Problem::new(
            ProblemKind::UnsupportedMediaType,
            format!(
                "{found}; send {} in UTF-8 with its Content-Type",
                accepted.join(" or ")
            ),
        );
        let list = HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(JSON));
        let problem = problem.with_header(ACCEPT, list.clone());
        if accepted.contains(&MERGE_PATCH) {
            problem.with_header(HeaderName::from_static("accept-patch"), list)
        } else {
            problem
        }
    };
    if let Some(encoding) = headers
        .get(CONTENT_ENCODING)
        .filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Problem::new(
            ProblemKind::UnsupportedMediaType,
            format!(
                "bodies encoded as {} are not taken; send it as it is",
                quote(&lossy(encoding))
            ),
        )
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let Some(line) = lines.next() else {
        if body.is_end_stream() {
            let form = accepted.join(" or ");
            let detail = format!("the request has no body; send one, with the Content-Type {form}");
            return Err(Problem::new(ProblemKind::MalformedBody, detail));
        }
        return Err(refuse("the body has no Content-Type".to_owned()));
    };
    let text = lossy(line);
    if lines.next().is_some() {
        return Err(refuse("the body has more than one Content-Type".to_owned()));
    }
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let Some(known) = accepted
        .iter()
        .find(|known| known.eq_ignore_ascii_case(essence))
    else {
        return Err(refuse(format!(
            "bodies of type {} are not taken here",
            quote(essence)
        )));
    };
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Err(refuse(format!(
                "bodies in the charset {} are not taken",
                quote(value)
            )));
        }
    }
    Ok(known)
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// What is left of a request's body, whoever reads it.
///
/// The front lends the body to the handler and keeps the other end: what the
/// handler did not read is still on its way when the answer is ready, and a
/// server that closes the connection then makes many clients see a reset
/// instead of the answer.
#[derive(Debug)]
pub(crate) struct Remains(Option<Arc<Lent>>);

#[derive(Debug)]
struct Lent {
    body: Mutex<Body>,
    begun: AtomicBool,
    ended: AtomicBool,
}

struct LentBody(Arc<Lent>);

impl Remains {
    /// Lends a body out.
    pub(crate) fn of(body: Body) -> (Self, Body) {
        if body.is_end_stream() {
            // There is none: nothing of it will be left.
            return (Self(None), body);
        }
        let lent = Arc::new(Lent {
            ended: AtomicBool::new(false),
            body: Mutex::new(body),
            begun: AtomicBool::new(false),
        });
        (Self(Some(Arc::clone(&lent))), Body::new(LentBody(lent)))
    }

    /// Whether somebody began to read it: until then a client that asked with
    /// `Expect: 100-continue` sends nothing.
    pub(crate) fn is_begun(&self) -> bool {
        let lent = self.0.as_ref();
        lent.is_some_and(|lent| lent.begun.load(Ordering::Relaxed))
    }

    /// Whether all of it was read.
    pub(crate) fn is_ended(&self) -> bool {
        let lent = self.0.as_ref();
        lent.is_none_or(|lent| lent.ended.load(Ordering::Relaxed))
    }

    /// Reads what is left and drops it, within the limits.
    pub(crate) async fn drop_rest(self) {
        if self.is_ended() {
            return;
        }
        let Some(remains) = self.0 else { return };
        let mut body = LentBody(remains);
        let mut left = DROPPED_BYTES_MAX;
        let dropping = async {
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(rest) = left.checked_sub(length) else {
                    return;
                };
                left = rest;
            }
        };
        // Late or not, the answer goes out now.
        let _ = tokio::time::timeout(DROPPING_TIME_MAX, dropping).await;
    }
}

impl HttpBody for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.0.begun.store(true, Ordering::Relaxed);
        let mut body = self.0.body.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = Pin::new(&mut *body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || body.is_end_stream() {
            self.0.ended.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .body
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .body
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size_hint()
    }
}

#[cfg(test)]
mod tests;
