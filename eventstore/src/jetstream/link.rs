//! The connection: a thread with its own runtime, which threads that know no
//! runtime ask for one thing after the other.

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError, Statistics};
use tokio::runtime::{Builder, Runtime};

use super::access::NatsAccess;
use super::error::ClusterError;
use super::events::ConnectionTelling;
use super::hearing::{DENIED, Hearing};
use super::options::JetStreamOptions;
use super::saying::NatsTrouble;
use super::version::NatsVersion;
use crate::error::OpenError;

/// How long one answer about the log is waited for. What came of a block is found
/// out by reading its place, so a step that a server does not answer, since it
/// stands still or none of them leads, is taken again soon: several such steps
/// follow each other until the servers have a leader.
const STEP_WAIT: Duration = Duration::from_secs(1);
/// How often a silent server is asked whether it lives, while all wait for it.
const PING_EVERY: Duration = Duration::from_millis(500);

/// How long it takes until something that may have passed is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A connection that mends itself.
#[derive(Clone)]
pub(super) struct Link {
    thread: Arc<Thread>,
    pub(super) client: Client,
    pub(super) context: Context,
    /// What the servers said last that this user must not do.
    denied: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections();
        write!(f, "Link({connections} connections)")
    }
}

/// A runtime that may be dropped anywhere: it waits for nothing.
struct Thread(Option<Runtime>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Thread {
    fn start() -> Result<Self, ClusterError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let runtime = builder.thread_name("journal-cluster").build();
        let runtime = runtime.map_err(|source| OpenError::Io {
            doing: "starting the thread journal-cluster".to_owned(),
            source,
        })?;
        Ok(Self(Some(runtime)))
    }

    /// Waits for a future that runs there; `None` if it panicked. Blocks the
    /// caller's thread, also if that belongs to another runtime.
    fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = sync_channel(1);
        self.0.as_ref()?.spawn(async move {
            drop(sender.send(future.await));
        });
        answer.recv().ok()
    }
}

impl Link {
    /// Connects to one of the servers.
    pub(super) fn connect(options: &JetStreamOptions) -> Result<Self, ClusterError> {
        let thread = Thread::start()?;
        let servers = options.access.shown();
        let addresses = options.access.addresses()?;
        let (denied, hearing) = (Arc::default(), Hearing::default());
        let connecting = connect_options(&options.access, (&denied, &hearing))?;
        let connecting = connecting.connect(addresses);
        let connected = thread.run(connecting);
        let client = match connected {
            Some(Ok(client)) => client,
            Some(Err(error)) if is_refusal(error.kind()) => {
                return Err(ClusterError::Refused { servers });
            }
            Some(Err(error)) => {
                let why = error.to_string();
                return Err(if is_of_trust(error.kind(), &why) {
                    ClusterError::Untrusted { servers, why }
                } else {
                    ClusterError::Unreachable { servers, why }
                });
            }
            None => {
                let why = "the client failed".to_owned();
                return Err(ClusterError::Unreachable { servers, why });
            }
        };
        let needed = NatsVersion::OLDEST;
        if !client.is_server_compatible(needed.major, needed.minor, needed.patch) {
            return Err(ClusterError::TooOld {
                version: client.server_info().version,
                needed,
            });
        }
        let asking = client.clone();
        let context = thread.run(async move {
            let mut context = jetstream::new(asking);
            context.set_timeout(STEP_WAIT);
            context
        });
        let context = context.ok_or_else(|| ClusterError::Unanswered {
            why: "the client failed".to_owned(),
        })?;
        let link = Self {
            thread: Arc::new(thread),
            client: client.clone(),
            context,
            denied,
        };
        link.spawn(hearing.mend(move || {
            let client = client.clone();
            async move { drop(client.force_reconnect().await) }
        }));
        Ok(link)
    }

    /// What the servers said that this user must not do, if they did: whatever
    /// needs it is not answered, and they say so beside it.
    pub(super) fn denied(&self) -> Option<ClusterError> {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let words = denied.clone()?;
        Some(ClusterError::Denied { words })
    }

    /// Why nothing was answered, or not as it should have been.
    pub(super) fn unanswered(&self, why: String) -> ClusterError {
        let denied = self.denied();
        denied.unwrap_or(ClusterError::Unanswered { why })
    }

    /// Why `JetStream` refused something, by the number of its error and its words.
    pub(super) fn refused(&self, code: u64, why: String) -> ClusterError {
        match NatsTrouble::of_code(code) {
            Some(NatsTrouble::Leaderless) => ClusterError::Leaderless { why },
            Some(NatsTrouble::NotEnabled) => ClusterError::NotEnabled { why },
            Some(NatsTrouble::NoStorage | NatsTrouble::TooFewServers) | None => {
                self.unanswered(why)
            }
        }
    }

    /// How often a server was connected to: another number than before means
    /// that the servers may have been without this node for a while.
    pub(super) fn connections(&self) -> u64 {
        connections(&self.client.statistics())
    }

    /// Waits for a future; an error if it panicked.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let panicked = || "the cluster's client failed; report the log's last error".to_owned();
        self.thread.run(future).ok_or_else(panicked)
    }

    /// Has a future run for as long as the connection is there.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.thread.0 {
            runtime.spawn(future);
        }
    }
}

/// How often the client has connected. It counts before it sends anything on a
/// new connection.
pub(super) fn connections(statistics: &Statistics) -> u64 {
    statistics.connects.load(Ordering::Relaxed)
}

fn connect_options(
    access: &NatsAccess,
    (denied, hearing): (&Arc<Mutex<Option<String>>>, &Hearing),
) -> Result<ConnectOptions, ClusterError> {
    let options = access.client_options()?.name("airpost, the log");
    let options = options
        .request_timeout(Some(STEP_WAIT))
        .ping_interval(PING_EVERY);
    let (denied, hearing) = (Arc::clone(denied), hearing.clone());
    let telling = Mutex::new(ConnectionTelling::default());
    Ok(options.event_callback(move |event| {
        let mut telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
        note(&event, &mut telling);
        if let Event::ServerError(ServerError::Other(words)) = event
            && words.to_lowercase().starts_with(DENIED)
        {
            hearing.reports(&words);
            *denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        }
        std::future::ready(())
    }))
}

/// Whether the servers, or the client for them, did not accept who this is.
fn is_refusal(kind: ConnectErrorKind) -> bool {
    kind == ConnectErrorKind::AuthorizationViolation || kind == ConnectErrorKind::Authentication
}

/// Whether there is a server whose certificate is not believed, or that believes
/// none of ours: the client tells most of that as an error of the connection.
fn is_of_trust(kind: ConnectErrorKind, words: &str) -> bool {
    kind == ConnectErrorKind::Tls || words.contains("certificate")
}

fn note(event: &Event, telling: &mut ConnectionTelling) {
    match event {
        Event::Connected => {
            if telling.connected() {
                tracing::info!("the connection to the cluster is there again");
            }
        }
        Event::Disconnected => {
            if telling.lost() {
                tracing::warn!("the connection to the cluster is lost; it is made again");
            }
        }
        Event::LameDuckMode
        | Event::Draining
        | Event::Closed
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => {
            if telling.reports(&event.to_string()) {
                tracing::warn!(%event, "the cluster's client reports");
            }
        }
    }
}
