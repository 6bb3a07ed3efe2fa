//! The connection to the NATS servers, which mends itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, Event, ServerError};
use eventstore::{AccessError, ConnectionTelling, Hearing, NatsAccess, NatsVersion};
use tokio::sync::watch;

use super::telling::Telling;
use crate::environment::Environment;

/// How long an answer of `JetStream` is waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long it takes from one try to reach a first server to the next.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// A connection to the NATS servers. Cheap to clone.
///
/// Once it was there it comes back by itself whenever it is lost; what is asked
/// meanwhile fails after its own time.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The same, for streams.
    pub jetstream: Context,
    /// How often it was lost.
    pub losses: watch::Receiver<u64>,
}

impl Connection {
    /// Connects to one of the servers, however long that takes. What is in the way is logged once
    /// and each minute, and what becomes of the connection by whoever tells that. A server that is
    /// too old is left again, and nothing said to it: servers are replaced one after the other.
    /// `None` if `shutdown` became true before.
    pub async fn open(
        access: &NatsAccess,
        (teller, environment): (Teller, &Environment),
        mut shutdown: watch::Receiver<bool>,
    ) -> Option<Self> {
        let servers = access.shown();
        let mut trouble = Telling::default();
        loop {
            let (losing, losses) = watch::channel(0);
            let telling = Mutex::new(ConnectionTelling::default());
            let hearing = Hearing::default();
            let heard = hearing.clone();
            let note = move |event: Event| {
                let mut telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
                match teller {
                    Teller::Connection => note(&event, &mut telling),
                    Teller::User => tracing::debug!(%event, "the client of NATS reports"),
                }
                if let Event::ServerError(ServerError::Other(words)) = &event {
                    heard.reports(words);
                }
                if event == Event::Disconnected {
                    losing.send_modify(|losses| *losses += 1);
                }
                std::future::ready(())
            };
            let connecting = async {
                let options = access.client_options()?.name("airpost");
                let options = options.event_callback(note);
                Ok::<_, AccessError>(options.connect(access.addresses()?).await)
            };
            let connected = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return None,
                connected = connecting => connected,
            };
            let in_the_way = match connected {
                // They were in order when the service was started: one may be just written anew.
                Err(error) => InTheWay::NoAccess(error),
                Ok(Ok(client)) if is_too_old(&client) => InTheWay::TooOld {
                    version: client.server_info().version,
                },
                Ok(Ok(client)) => {
                    match teller {
                        Teller::Connection => tracing::info!(%servers, "connected to NATS"),
                        Teller::User => tracing::debug!(%servers, "connected to NATS once more"),
                    }
                    tokio::spawn(keep_hearing(client.clone(), hearing, shutdown));
                    let mut jetstream = jetstream::new(client.clone());
                    jetstream.set_timeout(ANSWER_WAIT);
                    return Some(Self {
                        client,
                        jetstream,
                        losses,
                    });
                }
                Ok(Err(error)) => {
                    let (kind, words) = (error.kind(), error.to_string());
                    InTheWay::NotReached { kind, words }
                }
            };
            if let Some(lasts) = trouble.trouble(&in_the_way.kind(), environment.elapsed()) {
                in_the_way.tell(&servers, lasts.as_secs());
            }
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return None,
                () = tokio::time::sleep(CONNECT_PAUSE) => {}
            }
        }
    }
}

/// Has a connection made anew for what the servers ended, until the end of the service.
async fn keep_hearing(client: Client, hearing: Hearing, mut shutdown: watch::Receiver<bool>) {
    let mending = hearing.mend(|| async { drop(client.force_reconnect().await) });
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = mending => {}
    }
}

/// Who tells how a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// It itself.
    Connection,
    /// Whoever uses it, who tells what does not go on without it.
    User,
}

/// Why a server is not spoken with.
#[derive(Debug)]
enum InTheWay {
    /// There is no connection to one.
    NotReached {
        kind: ConnectErrorKind,
        words: String,
    },
    /// There was one.
    TooOld { version: String },
    /// It is not tried: a file that says who this is, or whom to believe, cannot be used.
    NoAccess(AccessError),
}

impl InTheWay {
    /// In words that are the same for what an operator does the same about.
    fn kind(&self) -> String {
        match self {
            Self::NotReached { kind, .. } => kind.to_string(),
            Self::TooOld { version } => format!("version {version}"),
            Self::NoAccess(error) => error.to_string(),
        }
    }

    fn tell(&self, servers: &str, lasts_s: u64) {
        match self {
            Self::NotReached { kind, words } => {
                let advice = advice(*kind, words);
                tracing::warn!(%servers, error = words, lasts_s, advice, "NATS is not reached; trying again until it is");
            }
            Self::TooOld { version } => {
                let oldest = NatsVersion::OLDEST;
                tracing::warn!(%servers, lasts_s, "the NATS server is of version {version} and is not used: run {oldest} or \
                     later; trying again until it is");
            }
            Self::NoAccess(error) => {
                tracing::warn!(%servers, %error, lasts_s, "NATS is not spoken to; trying again until it can be");
            }
        }
    }
}

/// Whether the server that is connected to is none that will do.
pub(super) fn is_too_old(client: &Client) -> bool {
    let oldest = NatsVersion::OLDEST;
    !client.is_server_compatible(oldest.major, oldest.minor, oldest.patch)
}

/// What an operator can do where one side does not believe the other's certificate.
const CERTIFICATES: &str = "name the authority that vouches for the servers' certificate (--nats-ca, a PEM file), and see \
                            that it is for the address in --nats; where they ask for one, give --nats-cert and --nats-key";

/// What an operator can do about it.
pub(super) fn advice(kind: ConnectErrorKind, words: &str) -> &'static str {
    match kind {
        // Most of what is wrong with certificates the client tells as an error of the connection.
        ConnectErrorKind::Io if words.contains("certificate") => CERTIFICATES,
        ConnectErrorKind::ServerParse | ConnectErrorKind::Dns => "see the addresses in --nats",
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "see the user and its password, its nkey (--nats-nkey) or its credentials (--nats-creds)"
        }
        ConnectErrorKind::Tls => CERTIFICATES,
        ConnectErrorKind::TimedOut | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            "see that the servers run and can be reached from here"
        }
    }
}

fn note(event: &Event, telling: &mut ConnectionTelling) {
    match event {
        Event::Connected => {
            if telling.connected() {
                tracing::info!("the connection to NATS is there again");
            }
        }
        Event::Disconnected => {
            if telling.lost() {
                tracing::warn!("the connection to NATS is lost; it is made again");
            }
        }
        // By this side alone.
        Event::Closed => tracing::debug!("a connection to NATS is closed"),
        Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => {
            if telling.reports(&event.to_string()) {
                tracing::warn!(%event, "the client of NATS reports");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_believed_is_no_server_that_is_down() {
        let words = "IO error: invalid peer certificate: UnknownIssuer";
        assert!(advice(ConnectErrorKind::Io, words).contains("--nats-ca"));
        let refused = "IO error: Connection refused (os error 111)";
        assert!(advice(ConnectErrorKind::Io, refused).contains("servers run"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_flaps_all_the_time_is_told_so_again_after_a_minute() {
        let mut telling = ConnectionTelling::default();
        let mut told = 0;
        for _ in 0..119 {
            told += usize::from(telling.lost());
            telling.connected();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, 2);
    }
}
