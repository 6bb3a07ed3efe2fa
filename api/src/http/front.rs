//! What every request meets, whatever it asks for: limits of size and time, a
//! request id, an answer in the right form, a line in the log and a count.
//!
//! The front lies around the router and not inside it, so that it also sees
//! what the router answers by itself (404, 405).

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{EXPECT, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tower::Layer as _;
use tower::util::BoxCloneSyncService;
use tracing::Instrument as _;

use super::body::{Remains, too_slow};
use super::problem::{Problem, ProblemContext, ProblemKind};
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::{HTTP_OVERLOADED, HTTP_PANICS, HTTP_REQUEST_SECONDS, HTTP_REQUESTS};

mod finish;
mod identity;

pub use finish::STREAM_POSITION;
pub use identity::RequestIdentity;

/// The interface as a whole: what a server runs, and what a test asks.
pub type Front = BoxCloneSyncService<Request, Response<Body>, Infallible>;

/// What the front needs to know.
#[derive(Clone)]
pub struct FrontSettings {
    /// What clients reach the service by, if it is not what they say themselves.
    pub public_url: Option<String>,
    /// All header lines of a request together, bytes.
    pub headers_bytes_max: usize,
    /// Time for an answer to begin.
    pub request_time: Duration,
    /// Times and ids.
    pub environment: Environment,
    /// The position of the last durable event, for answers that name none themselves.
    pub head: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl FrontSettings {
    /// The settings in force, with a source of the log's head.
    #[must_use]
    pub fn new(
        config: &Config,
        environment: Environment,
        head: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        Self {
            public_url: config.public_url.clone(),
            headers_bytes_max: usize::try_from(config.http.headers_bytes_max).unwrap_or(usize::MAX),
            request_time: Duration::from_millis(config.http.request_time_ms),
            environment,
            head,
        }
    }
}

impl fmt::Debug for FrontSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontSettings")
            .field("request_time", &self.request_time)
            .finish_non_exhaustive()
    }
}

/// Puts the front around all routes.
#[must_use]
pub fn front(routes: Router, settings: FrontSettings) -> Front {
    let routes = routes
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(note_route));
    let attended = middleware::from_fn_with_state(Arc::new(settings), attend).layer(routes);
    BoxCloneSyncService::new(attended)
}

/// A layer that works on so many requests at once and refuses the rest at
/// once (503): for the routes that do work, not for the ones that tell how
/// the service is.
pub async fn gate(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let Ok(_place) = places.try_acquire() else {
        metrics::counter!(HTTP_OVERLOADED).increment(1);
        return Problem::overloaded(
            "more requests are under way than can be worked on; send it again later",
        )
        .into_response();
    };
    next.run(request).await
}

async fn nothing_here() -> Problem {
    Problem::not_found(
        "there is nothing at this address; look at the path, also at its end and its upper case letters",
    )
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        format!(
            "this address does not take {}; the header Allow lists what it takes",
            shown_method(&method)
        ),
    )
}

/// Where the router tells the front which route it chose.
#[derive(Clone, Default)]
struct RouteSlot(Arc<OnceLock<MatchedPath>>);

async fn note_route(request: Request, next: Next) -> Response<Body> {
    if let (Some(slot), Some(path)) = (
        request.extensions().get::<RouteSlot>(),
        request.extensions().get::<MatchedPath>(),
    ) {
        // The layer is met once per request.
        let _ = slot.0.set(path.clone());
    }
    next.run(request).await
}

async fn attend(
    State(settings): State<Arc<FrontSettings>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let started = settings.environment.elapsed();
    // Before the handler looks at anything, so that it promises no more than
    // the answer shows.
    let head = (settings.head)();
    let identity = RequestIdentity::of(request.headers(), &settings.environment);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = RouteSlot::default();
    let context = ProblemContext {
        base: base_of(&request, settings.public_url.as_deref()),
        request: identity.uuid(),
    };
    request.extensions_mut().insert(context.clone());
    let span = tracing::info_span!("request", id = identity.text());

    let mut response = serve(&settings, request, next, &route, &identity)
        .instrument(span)
        .await;
    let code = finish::finish(&mut response, &method, &context);
    finish::add_headers(&mut response, &method, &identity, head);

    let elapsed = settings.environment.elapsed().saturating_sub(started);
    let route = route.0.get().map(MatchedPath::as_str);
    let line = Line {
        method: shown_method(&method),
        route,
        path: &path,
        status: response.status(),
        code,
        elapsed,
    };
    line.count();
    line.log(&identity);
    response
}

/// Lets the router answer, within the limits.
async fn serve(
    settings: &FrontSettings,
    mut request: Request,
    next: Next,
    route: &RouteSlot,
    identity: &RequestIdentity,
) -> Response<Body> {
    let awaits_word = request.headers().contains_key(EXPECT);
    let (remains, lent) = Remains::of(std::mem::take(request.body_mut()));
    *request.body_mut() = lent;
    request.extensions_mut().insert(route.clone());
    request.extensions_mut().insert(identity.clone());
    if let Some(problem) = oversized(&request, settings) {
        remains.drop_rest().await;
        return problem.into_response();
    }
    let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match tokio::time::timeout(settings.request_time, answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            // The panic hook has printed the message already; it may hold what
            // a client sent, so it is not repeated.
            tracing::error!("panic while answering");
            metrics::counter!(HTTP_PANICS).increment(1);
            Problem::internal().into_response()
        }
        Err(_late) if remains.is_begun() && !remains.is_ended() => too_slow().into_response(),
        Err(_late) => late().into_response(),
    };
    let is_coming = remains.is_begun() || !awaits_word;
    if is_coming && response.status() != StatusCode::REQUEST_TIMEOUT {
        remains.drop_rest().await;
    }
    response
}

fn late() -> Problem {
    Problem::new(
        ProblemKind::TimedOut,
        "the answer took too long, and whether the request had an effect is not known; look, then send it again",
    )
    .with_retry_after_s(1)
}

/// The longest request target, bytes.
const TARGET_BYTES_MAX: usize = 8 * 1024;

fn oversized(request: &Request, settings: &FrontSettings) -> Option<Problem> {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES_MAX {
        let detail =
            format!("the address is {target} bytes long; at most {TARGET_BYTES_MAX} are taken");
        return Some(Problem::new(ProblemKind::UriTooLong, detail));
    }
    let size = header_bytes(request.headers());
    let limit = settings.headers_bytes_max;
    (size > limit).then(|| {
        let detail =
            format!("the header lines are {size} bytes long together; at most {limit} are taken");
        Problem::new(ProblemKind::HeadersTooLarge, detail)
    })
}

/// The header lines as they stand on the wire, bytes.
fn header_bytes(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = ": \r\n".len();
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS)
        .sum()
}

/// What links to problems begin with: the configured address; else what the
/// client used, over http, since this server speaks nothing else; else
/// nothing, which makes them relative.
fn base_of(request: &Request, public_url: Option<&str>) -> String {
    if let Some(url) = public_url {
        return url.to_owned();
    }
    let named = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    match request.uri().authority().or(named.as_ref()) {
        Some(authority) if !authority.as_str().contains('@') => format!("http://{authority}"),
        Some(_) | None => String::new(),
    }
}

/// The method, unless somebody made it up: labels must stay few.
fn shown_method(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    const NAMES: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    KNOWN
        .iter()
        .zip(NAMES)
        .find(|(known, _)| *known == method)
        .map_or("other", |(_, name)| name)
}

/// What the log and the metrics say about a request.
struct Line<'a> {
    method: &'static str,
    route: Option<&'a str>,
    path: &'a str,
    status: StatusCode,
    code: Option<&'static str>,
    elapsed: Duration,
}

/// Routes that are asked every few seconds by machines.
const QUIET: [&str; 3] = ["/livez", "/readyz", "/metrics"];

impl Line<'_> {
    fn count(&self) {
        let labels = [
            ("method", self.method.to_owned()),
            ("route", self.route.unwrap_or("none").to_owned()),
            ("status", self.status.as_u16().to_string()),
        ];
        metrics::counter!(HTTP_REQUESTS, &labels).increment(1);
        metrics::histogram!(HTTP_REQUEST_SECONDS, &labels).record(self.elapsed);
    }

    /// One line. The path is told only where a route took it, so that it is
    /// of ids; the query is never told.
    fn log(&self, identity: &RequestIdentity) {
        let path = self.route.map_or("", |_| self.path);
        let (request, trace) = (identity.text(), identity.trace_id().unwrap_or(""));
        let (method, route, status) = (
            self.method,
            self.route.unwrap_or("none"),
            self.status.as_u16(),
        );
        let code = self.code.unwrap_or("");
        let elapsed_us = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        if self.status.is_server_error() {
            tracing::warn!(
                method, route, path, status, code, elapsed_us, request, trace, "answered"
            );
        } else if QUIET.contains(&route) {
            tracing::debug!(
                method, route, path, status, code, elapsed_us, request, trace, "answered"
            );
        } else {
            tracing::info!(
                method, route, path, status, code, elapsed_us, request, trace, "answered"
            );
        }
    }
}

#[cfg(test)]
mod tests;
