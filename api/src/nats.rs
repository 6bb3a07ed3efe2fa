//! The edge to NATS: what comes in and goes out beside HTTP.
//!
//! Nothing here is needed to serve: while no server answers, everything else
//! goes on, and this is gone on with when one does.

// Who is spoken to.
mod connection;

pub use connection::Connection;

use eventstore::NatsAccess;
use tokio::sync::watch;

use crate::config::NatsOptions;
use crate::http::Services;

/// Speaks over NATS, as the options say and if they name servers, until `shutdown` becomes true.
pub async fn run(_services: Services, options: NatsOptions, mut shutdown: watch::Receiver<bool>) {
    let Some(access) = options.access.access() else {
        return;
    };
    let Some(_connection) = connect(&access, shutdown.clone()).await else {
        return;
    };
    // An error means that nobody can give the signal any more, which is one too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn connect(access: &NatsAccess, shutdown: watch::Receiver<bool>) -> Option<Connection> {
    match Connection::open(access, shutdown).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(%error, "nothing is spoken over NATS until the service is started again");
            None
        }
    }
}
