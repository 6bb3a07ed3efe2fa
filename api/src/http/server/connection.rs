//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::ServerSettings;
use super::wire::{Progress, StandsStill, Wire};
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
    let progress = Arc::new(Progress::new(settings.environment.clone()));
    let wire = Wire::new(stream, Arc::clone(&progress), settings.environment.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (front, working) = (front.clone(), progress.begin());
        async move {
            let response = front.oneshot(request.map(Body::new)).await;
            drop(working);
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let mut patience = Patience::new(settings, &progress);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // What has come counts before the time that it took.
            biased;
            // Whatever ended it, the client was told or is gone.
            _ended = connection.as_mut() => return,
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

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It would also end connections that are idle: see `Patience`.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

/// When a connection has stood still for too long.
///
/// Not hyper's own timer for heads: it runs while a connection is idle as well,
/// begins only once hyper knows the protocol, and knows nothing of clients that
/// do not take their answers.
struct Patience<'a> {
    settings: &'a ServerSettings,
    progress: &'a Progress,
    /// How long to wait until it can be over.
    left: Duration,
}

impl<'a> Patience<'a> {
    fn new(settings: &'a ServerSettings, progress: &'a Progress) -> Self {
        Self {
            settings,
            progress,
            left: settings.headers_time.min(settings.idle_time),
        }
    }

    /// Waits as long as nothing can be over.
    async fn wait(&self) {
        tokio::time::sleep(self.left).await;
    }

    /// After [`Patience::wait`]: whether nothing came of it.
    fn is_over(&mut self) -> bool {
        let ServerSettings {
            headers_time,
            idle_time,
            environment,
            ..
        } = self.settings;
        let now = environment.elapsed();
        let left_of = |time: &Duration, since| time.saturating_sub(now.saturating_sub(since));
        let left = match self.progress.stands_still() {
            // What is worked on is our doing.
            None => *headers_time,
            Some(StandsStill::InHead { since }) => left_of(headers_time, since),
            Some(StandsStill::Otherwise { since }) => left_of(idle_time, since),
        };
        // Whatever begins this moment has its own time from here.
        self.left = left.min(*headers_time).min(*idle_time);
        left.is_zero()
    }
}
