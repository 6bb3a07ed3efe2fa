//! What the log and the metrics say about a request that was answered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

use super::identity::RequestIdentity;
use crate::observability::{HTTP_REQUEST_SECONDS, HTTP_REQUESTS};

/// The method, unless somebody made it up: labels must stay few.
pub(super) fn shown_method(method: &Method) -> &'static str {
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
pub(super) struct Line<'a> {
    pub(super) method: &'static str,
    pub(super) route: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) status: StatusCode,
    pub(super) code: Option<&'static str>,
    pub(super) elapsed: Duration,
}

/// Routes that are asked every few seconds by machines.
const QUIET: [&str; 3] = ["/livez", "/readyz", "/metrics"];

impl Line<'_> {
    /// One line. The path is told only where a route took it, so that it is
    /// of ids; the query is never told.
    pub(super) fn log(&self, identity: &RequestIdentity) {
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

/// The counters of requests, each looked up once: their labels are texts, and
/// there are as many sets of them as routes, methods and statuses.
#[derive(Default)]
pub(super) struct Counts(RwLock<HashMap<Box<str>, Vec<Counted>>>);

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

/// What is counted of a route, for one method and status.
struct Counted {
    method: &'static str,
    status: StatusCode,
    requests: Counter,
    seconds: Histogram,
}

impl Counts {
    /// Counts a request.
    pub(super) fn count(&self, line: &Line<'_>) {
        let route = line.route.unwrap_or("none");
        let is_counted = {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let of_route = known.get(route).map_or(&[][..], Vec::as_slice);
            let counted = of_route
                .iter()
                .find(|counted| counted.method == line.method && counted.status == line.status);
            counted.inspect(|counted| counted.count(line)).is_some()
        };
        if !is_counted {
            let counted = Counted::new(route, line);
            counted.count(line);
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.entry(route.into()).or_default().push(counted);
        }
    }
}

impl Counted {
    fn new(route: &str, line: &Line<'_>) -> Self {
        let labels = [
            ("method", line.method.to_owned()),
            ("route", route.to_owned()),
            ("status", line.status.as_u16().to_string()),
        ];
        Self {
            method: line.method,
            status: line.status,
            requests: metrics::counter!(HTTP_REQUESTS, &labels),
            seconds: metrics::histogram!(HTTP_REQUEST_SECONDS, &labels),
        }
    }

    fn count(&self, line: &Line<'_>) {
        self.requests.increment(1);
        self.seconds.record(line.elapsed);
    }
}
