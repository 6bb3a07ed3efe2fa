//! The connection to the NATS servers, which mends itself.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, Event};
use eventstore::{AccessError, NatsAccess};
use tokio::sync::watch;

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
    /// Connects to one of the servers, however long that takes; what is in the way is logged when
    /// it changes. `None` if `shutdown` became true before.
    ///
    /// # Errors
    /// [`AccessError`]: with these settings there is nothing to try.
    pub async fn open(
        access: &NatsAccess,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<Option<Self>, AccessError> {
        let servers = access.shown();
        let mut told = None;
        loop {
            let options = access.client_options()?.name("airpost");
            let (losing, losses) = watch::channel(0);
            let options = options.event_callback(move |event| {
                note(&event);
                if event == Event::Disconnected {
                    losing.send_modify(|losses| *losses += 1);
                }
                std::future::ready(())
            });
            let connected = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return Ok(None),
                connected = options.connect(access.addresses()?) => connected,
            };
            let error = match connected {
                Ok(client) => {
                    tracing::info!(%servers, "connected to NATS");
                    let mut jetstream = jetstream::new(client.clone());
                    jetstream.set_timeout(ANSWER_WAIT);
                    return Ok(Some(Self {
                        client,
                        jetstream,
                        losses,
                    }));
                }
                Err(error) => error,
            };
            if told.replace(error.kind()) != Some(error.kind()) {
                let advice = advice(error.kind());
                tracing::warn!(%servers, %error, advice, "NATS is not reached; trying again until it is");
            }
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return Ok(None),
                () = tokio::time::sleep(CONNECT_PAUSE) => {}
            }
        }
    }
}

/// What an operator can do about it.
pub(super) const fn advice(kind: ConnectErrorKind) -> &'static str {
    match kind {
        ConnectErrorKind::ServerParse | ConnectErrorKind::Dns => "see the addresses in --nats",
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "see the user and its password, its nkey (--nats-nkey) or its credentials (--nats-creds)"
        }
        ConnectErrorKind::Tls => {
            "see the servers' certificates, --nats-ca, and --nats-cert with --nats-key"
        }
        ConnectErrorKind::TimedOut | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            "see that the servers run and can be reached from here"
        }
    }
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::debug!("a server of NATS is connected to"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; it is made again"),
        Event::LameDuckMode
        | Event::Draining
        | Event::Closed
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => tracing::warn!(%event, "the client of NATS reports"),
    }
}
