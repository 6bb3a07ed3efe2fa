//! The server: accepts connections and answers what comes in over them, by
//! HTTP/1.1 and HTTP/2, until it is told to stop.
//!
//! Our own loop, because axum's has no limit on how long a client may take
//! for a request's head: slow ones would hold connections for ever.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::front::Front;
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::HTTP_CONNECTIONS;

mod connection;
mod open_files;
mod wire;

/// How long accepting pauses after an error that concerns us and not one
/// client (no file descriptor, no memory): connections that end make room.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What a server keeps to.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Open connections; more wait in the system's queue.
    pub connections_max: usize,
    /// Time for a request's head to arrive.
    pub headers_time: Duration,
    /// Time that a connection may stand still between requests, or that a
    /// client may take none of an answer.
    pub idle_time: Duration,
    /// Time for requests and streams under way to end when the server stops.
    pub shutdown_grace: Duration,
    /// Ids, for answers to what is no request.
    pub environment: Environment,
}

impl ServerSettings {
    /// The settings in force. Of connections no more are open than leave the
    /// process files for the log.
    #[must_use]
    pub fn new(config: &Config, environment: Environment) -> Self {
        let wanted = usize::try_from(config.http.connections_max)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        let fitting = open_files::connections_that_fit().unwrap_or(usize::MAX);
        if fitting < wanted {
            tracing::warn!(
                wanted,
                connections_max = fitting,
                "the limit of open files allows fewer connections; raise it with ulimit -n"
            );
        }
        Self {
            connections_max: wanted.min(fitting),
            headers_time: Duration::from_millis(config.http.headers_time_ms),
            idle_time: Duration::from_millis(config.http.idle_time_ms),
            shutdown_grace: config.shutdown_grace(),
            environment,
        }
    }
}

/// Serves until `shutdown` resolves, then lets requests under way finish
/// within the grace and closes what is left.
///
/// When it returns, every connection is closed and every task it started has
/// ended. It survives every error of accepting.
pub async fn run(
    listener: TcpListener,
    front: Front,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            // Tasks that ended are forgotten at once, so that the set stays small.
            Some(_ended) = connections.join_next() => {}
            (stream, _peer, place) = next_connection(&listener, &places) => {
                let (front, settings, stopping) = (front.clone(), settings.clone(), stopping.clone());
                connections.spawn(async move {
                    let gauge = OpenConnection::count();
                    connection::serve(stream, front, &settings, stopping).await;
                    drop((gauge, place));
                });
            }
        }
    }
    // From here on the system refuses new connections.
    drop(listener);
    // Without receivers there are no connections to tell.
    let _ = stop.send(true);
    finish(connections, settings.shutdown_grace).await;
}

/// Waits for the connections to end by themselves, then ends them.
async fn finish(mut connections: JoinSet<()>, grace: Duration) {
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "closing connections that did not finish in time"
        );
        connections.shutdown().await;
    }
}

/// The next connection, and its place among those that may be open.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now; raise the limit of open files if it says so");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether a client went away before it was accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Counts a connection as open while it lives.
struct OpenConnection;

impl OpenConnection {
    fn count() -> Self {
        metrics::gauge!(HTTP_CONNECTIONS).increment(1);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_CONNECTIONS).decrement(1);
    }
}

#[cfg(test)]
mod tests;
