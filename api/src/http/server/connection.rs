//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::ServerSettings;
use super::wire::{Progress, Wire};
use crate::http::front::Front;

/// The most a request's head may take before hyper refuses it by itself,
/// bytes: above the front's own limit, which answers more precisely.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most header lines of a request.
const HEADERS_MAX: usize = 256;

/// The most requests at once on a connection of HTTP/2.
const STREAMS_MAX: u32 = 100;

/// Answers what comes in until the client is done, stands still for too long,
/// or the server stops.
pub(super) async fn serve(
    stream: TcpStream,
    front: Front,
    settings: &ServerSettings,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are written whole, so waiting for more to send only costs time.
    // A connection that is gone already shows when it is read.
    let _ = stream.set_nodelay(true);
    let progress = Arc::new(Progress::default());
    let wire = Wire::new(stream, Arc::clone(&progress), settings.environment.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (front, working) = (front.clone(), progress.begin());
        async move {
            let response = front.oneshot(request.map(Body::new)).await;
            drop(working);
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let builder = builder(settings);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let mut patience = Patience::new(settings, &progress);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if ended.is_err_and(|error| is_late_head(&*error)) {
                    progress.say_late();
                }
                return;
            }
            () = patience.wait() => {
                if patience.is_over() {
                    progress.say_late();
                    return;
                }
            }
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                if progress.requests() == 0 {
                    return;
                }
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(settings: &ServerSettings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.headers_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

fn is_late_head(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_timeout)
}

/// When a connection has stood still for too long.
///
/// hyper's own timer for heads begins only once it knows the protocol, and
/// knows nothing of clients that do not take their answers.
struct Patience<'a> {
    settings: &'a ServerSettings,
    progress: &'a Progress,
    seen: Option<(u64, u64)>,
}

impl<'a> Patience<'a> {
    fn new(settings: &'a ServerSettings, progress: &'a Progress) -> Self {
        Self {
            settings,
            progress,
            seen: None,
        }
    }

    /// Until the first request is there, the time for a head; then as long as
    /// a connection may stand still.
    async fn wait(&self) {
        let time = if self.seen.is_none() {
            self.settings.headers_time
        } else {
            self.settings.idle_time
        };
        tokio::time::sleep(time).await;
    }

    /// After [`Patience::wait`]: whether nothing came of it.
    fn is_over(&mut self) -> bool {
        let now = (self.progress.requests(), self.progress.bytes());
        let before = self.seen.replace(now);
        let is_waiting_for_us = self.progress.is_working();
        !is_waiting_for_us && before.map_or(now.0 == 0, |before| before == now)
    }
}
