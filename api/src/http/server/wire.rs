//! The socket under hyper: counts what moves, and puts what hyper says by
//! itself about a request that it cannot read into the form of all errors.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::environment::Environment;
use crate::http::problem::{Base, PROBLEM_JSON, Problem, ProblemContext, ProblemKind};

/// How the client's next request begins if it is by HTTP/2, in which a head has
/// no beginning that could be seen from outside (RFC 9113, section 3.4).
const HTTP_2: &[u8] = b"PRI * ";

/// What has happened on a connection so far.
#[derive(Debug)]
pub(super) struct Progress {
    environment: Environment,
    began: Duration,
    requests: AtomicU64,
    working: AtomicU64,
    unanswered_bytes: AtomicU64,
    is_late: AtomicBool,
    /// How many bytes of [`HTTP_2`] the client began with.
    preface_bytes: AtomicUsize,
    /// When something moved last, in either direction, and when the head began
    /// that has not come whole, if one has: nanoseconds after `began`.
    moved_at: AtomicU64,
    head_at: AtomicU64,
}

/// No head has begun.
const NO_HEAD: u64 = u64::MAX;

/// How a connection stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandsStill {
    /// Part of a request's head has come.
    InHead {
        /// When its first byte did, or when the connection began if no request has come on it.
        since: Duration,
    },
    /// The client asks for nothing, or does not take an answer.
    Otherwise {
        /// When something moved last.
        since: Duration,
    },
}

impl Progress {
    /// Of a connection that begins now.
    pub(super) fn new(environment: Environment) -> Self {
        Self {
            began: environment.elapsed(),
            environment,
            requests: AtomicU64::new(0),
            working: AtomicU64::new(0),
            unanswered_bytes: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            preface_bytes: AtomicUsize::new(0),
            moved_at: AtomicU64::new(0),
            head_at: AtomicU64::new(NO_HEAD),
        }
    }

    /// Notes that a request has come and is being worked on while the guard lives.
    pub(super) fn begin(self: &Arc<Self>) -> Working {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.working.fetch_add(1, Ordering::Relaxed);
        self.head_at.store(NO_HEAD, Ordering::Relaxed);
        Working(Arc::clone(self))
    }

    /// How many requests have come.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How it stands still; `None` while a request is being worked on, since that is our doing.
    pub(super) fn stands_still(&self) -> Option<StandsStill> {
        if self.is_working() {
            return None;
        }
        let at = |nanos: &AtomicU64| {
            let nanos = nanos.load(Ordering::Relaxed);
            self.began.saturating_add(Duration::from_nanos(nanos))
        };
        Some(if self.requests() == 0 {
            StandsStill::InHead { since: self.began }
        } else if self.head_at.load(Ordering::Relaxed) == NO_HEAD {
            StandsStill::Otherwise {
                since: at(&self.moved_at),
            }
        } else {
            StandsStill::InHead {
                since: at(&self.head_at),
            }
        })
    }

    /// Makes the wire say, when it is let go, that a request's head came too
    /// late, if part of one has come.
    pub(super) fn say_late(&self) {
        self.is_late.store(true, Ordering::Relaxed);
    }

    fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed) > 0
    }

    fn is_http_2(&self) -> bool {
        self.preface_bytes.load(Ordering::Relaxed) == HTTP_2.len()
    }

    fn was_read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let now = self.moved();
        if self.requests() == 0 {
            self.compare_with_preface(bytes);
        }
        self.unanswered_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let is_in_head = !self.is_working() && !self.is_http_2();
        if is_in_head && self.head_at.load(Ordering::Relaxed) == NO_HEAD {
            self.head_at.store(now, Ordering::Relaxed);
        }
    }

    fn was_written(&self, bytes: usize) {
        if bytes > 0 {
            self.moved();
            self.unanswered_bytes.store(0, Ordering::Relaxed);
            // What came behind a request waits for its answer to be out.
            self.head_at.store(NO_HEAD, Ordering::Relaxed);
        }
    }

    /// Notes that something moved, and says when.
    fn moved(&self) -> u64 {
        let now = self.environment.elapsed().saturating_sub(self.began);
        let now = u64::try_from(now.as_nanos()).unwrap_or(NO_HEAD - 1);
        self.moved_at.store(now, Ordering::Relaxed);
        now
    }

    /// What the client begins with may come byte by byte.
    fn compare_with_preface(&self, bytes: &[u8]) {
        let before = self.unanswered_bytes.load(Ordering::Relaxed);
        let same = self.preface_bytes.load(Ordering::Relaxed);
        // Once a byte differs, nothing that follows counts.
        if before == same as u64 {
            let rest = HTTP_2.get(same..).unwrap_or_default();
            let more = rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            self.preface_bytes.store(same + more, Ordering::Relaxed);
        }
    }
}

/// A request is being worked on.
#[derive(Debug)]
pub(super) struct Working(Arc<Progress>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    progress: Arc<Progress>,
    environment: Environment,
    /// What goes out before anything else, and how much of it is out.
    instead: Option<(Vec<u8>, usize)>,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        progress: Arc<Progress>,
        environment: Environment,
    ) -> Self {
        Self {
            stream,
            progress,
            environment,
            instead: None,
        }
    }

    /// Sends what goes out first.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, sent)) = &mut self.instead {
            let rest = bytes.get(*sent..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += written;
            self.progress.was_written(written);
        }
        Poll::Ready(Ok(()))
    }

    /// A whole answer of HTTP/1.1, after which the connection ends.
    fn last_words(&self, problem: &Problem) -> Vec<u8> {
        let context = ProblemContext {
            base: Base::Relative,
            request: self.environment.new_id(),
        };
        let body = problem.to_json(Some(&context)).to_string();
        let status = problem.kind().status();
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nrequest-id: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            context.request,
            body.len(),
        )
        .into_bytes()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let has_part_of_a_head = self.progress.unanswered_bytes.load(Ordering::Relaxed) > 0
            && !(self.progress.is_http_2() && self.progress.requests() > 0);
        if self.progress.is_late.load(Ordering::Relaxed) && has_part_of_a_head {
            let detail =
                "the head of the request did not arrive in time; send it again without pauses";
            let words = self.last_words(&Problem::new(ProblemKind::RequestTimeout, detail));
            // Nothing else waits to be sent, so there is room, unless the
            // client is gone.
            let _ = self.stream.try_write(&words);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut wire.stream).poll_read(cx, buf);
        let read = buf.filled().get(before..).unwrap_or_default();
        wire.progress.was_read(read);
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        ready!(wire.poll_instead(cx))?;
        if let Some(problem) = bare_refusal(bytes) {
            wire.instead = Some((wire.last_words(&problem), 0));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut wire.stream).poll_write(cx, bytes))?;
        wire.progress.was_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_instead(cx))?;
        Pin::new(&mut wire.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_instead(cx))?;
        Pin::new(&mut wire.stream).poll_shutdown(cx)
    }
}

/// The longest answer that hyper makes by itself, bytes.
const BARE_BYTES_MAX: usize = 256;

/// What hyper says about a request that it cannot read: a status line and no
/// body. Every answer of ours to a request has a `request-id`, and none of
/// our bodies begins like a status line.
fn bare_refusal(bytes: &[u8]) -> Option<Problem> {
    if bytes.len() > BARE_BYTES_MAX
        || !bytes.starts_with(b"HTTP/1.1 4")
        || !bytes.ends_with(b"\r\n\r\n")
    {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    if head.to_ascii_lowercase().contains("\r\nrequest-id:") {
        return None;
    }
    let status = StatusCode::from_bytes(head.get(9..12)?.as_bytes()).ok()?;
    Some(match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(
            ProblemKind::HeadersTooLarge,
            "the head of the request is too large; send fewer or shorter header lines",
        ),
        StatusCode::URI_TOO_LONG => Problem::new(
            ProblemKind::UriTooLong,
            "the address is too long; shorten it",
        ),
        _ => Problem::new(
            ProblemKind::MalformedRequest,
            "the request line or a header line is not HTTP/1.1; look for characters that must be escaped",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_says_by_itself_is_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(
            bare_refusal(bare).unwrap().kind(),
            ProblemKind::HeadersTooLarge
        );
        for ours in [
            &b"HTTP/1.1 404 Not Found\r\nrequest-id: 1\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"{\"a\": 1}",
            b"",
        ] {
            assert_eq!(bare_refusal(ours), None);
        }
    }
}
