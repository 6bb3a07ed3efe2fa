//! What every request meets, whatever it asks for: limits of size and time, a
//! request id, an answer in the right form, a line in the log and a count.
//!
//! The front lies around the router and not inside it, so that it also sees
//! what the router answers by itself (404, 405).

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{EXPECT, HOST};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use super::body::{Remains, too_slow};
use super::prefer::Preferences;
use super::problem::{Base, Problem, ProblemContext, ProblemKind, quote};
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::{HTTP_OVERLOADED, HTTP_PANICS};
use line::{Counts, Line, shown_method};

mod finish;
mod identity;
mod line;

pub use finish::STREAM_POSITION;
pub use identity::RequestIdentity;

/// The interface as a whole: what a server runs, and what a test asks.
pub type Front = BoxCloneSyncService<Request, Response<Body>, Infallible>;

/// What the front needs to know.
#[derive(Clone)]
pub struct FrontSettings {
    /// What clients reach the service by, if it is not what they say themselves.
    pub public_url: Option<Arc<str>>,
    /// All header lines of a request together, bytes.
    pub headers_bytes_max: usize,
    /// Time for an answer to begin, beside what the client asks to wait.
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
            public_url: config.public_url.as_deref().map(Arc::from),
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
        .layer(layer_fn(|inner| NotingRoute { inner }));
    BoxCloneSyncService::new(Attending {
        settings: Arc::new(settings),
        counts: Arc::default(),
        routes,
    })
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
        return no_place().into_response();
    };
    next.run(request).await
}

/// What a request hears that finds no place.
pub(super) fn no_place() -> Problem {
    metrics::counter!(HTTP_OVERLOADED).increment(1);
    Problem::overloaded("more requests are under way than can be worked on; send it again later")
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; look at the path, also at its end and its upper case letters. What there is lies at \
         /v1/users, /v1/packages, /v1/deliveries, /v1/events, /v1/drone-events, /v1/drones, /v1/tasks, /v1/dead-letters, \
         /v1/statistics, /v1/projections, /v1/operations/{{id}}, /problems, /livez, /readyz and /metrics",
        quote(uri.path())
    ))
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

/// Tells which route was chosen, on the way in.
#[derive(Clone, Debug)]
struct NotingRoute<S> {
    inner: S,
}

impl<S: Service<Request>> Service<Request> for NotingRoute<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let extensions = request.extensions();
        if let (Some(slot), Some(path)) = (
            extensions.get::<RouteSlot>(),
            extensions.get::<MatchedPath>(),
        ) {
            // The layer is met once per request.
            let _ = slot.0.set(path.clone());
        }
        self.inner.call(request)
    }
}

/// What lies around the routes.
#[derive(Clone)]
struct Attending {
    settings: Arc<FrontSettings>,
    counts: Arc<Counts>,
    routes: Router,
}

impl Service<Request> for Attending {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self {
            settings,
            counts,
            routes,
        } = self.clone();
        Box::pin(async move { Ok(attend(&settings, &counts, routes, request).await) })
    }
}

async fn attend(
    settings: &FrontSettings,
    counts: &Counts,
    routes: Router,
    mut request: Request,
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
        base: base_of(&request, settings.public_url.as_ref()),
        request: identity.uuid(),
    };
    request.extensions_mut().insert(context.clone());
    let span = tracing::info_span!("request", id = identity.text());

    let mut response = serve(settings, request, routes, &route, &identity)
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
    counts.count(&line);
    line.log(&identity);
    response
}

/// Lets the router answer, within the limits.
async fn serve(
    settings: &FrontSettings,
    mut request: Request,
    routes: Router,
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
    // What a client waits for of its own will does not count.
    let wait = Preferences::of(request.headers()).wait.unwrap_or_default();
    let time = settings.request_time.saturating_add(wait);
    let answering = AssertUnwindSafe(routes.oneshot(request)).catch_unwind();
    let response = match tokio::time::timeout(time, answering).await {
        Ok(Ok(response)) => response.unwrap_or_else(|never| match never {}),
        Ok(Err(_panic)) => {
            // The panic hook has logged the message already; it may hold what
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
/// nothing, which makes them relative. Looked into only if there is a problem.
fn base_of(request: &Request, public_url: Option<&Arc<str>>) -> Base {
    if let Some(url) = public_url {
        return Base::Url(Arc::clone(url));
    }
    if let Some(authority) = request.uri().authority() {
        return Base::Authority(authority.clone());
    }
    let host = request.headers().get(HOST);
    host.map_or(Base::Relative, |host| Base::Host(host.clone()))
}

#[cfg(test)]
mod tests;
