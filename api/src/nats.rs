//! The edge to NATS: what comes in and goes out beside HTTP.
//!
//! Nothing here is needed to serve: while no server answers, everything else
//! goes on, and this is gone on with when one does.

// Who is spoken to.
mod connection;
// What comes in.
mod drones;
// What goes out.
mod deliveries;
// What is wrong with them.
pub mod doctor;

pub use connection::Connection;

use std::sync::Arc;

use eventstore::NatsAccess;
use tokio::sync::watch;

use crate::config::NatsOptions;
use crate::http::Services;
use deliveries::Deliveries;

/// Speaks over NATS, as the options say and if they name servers, until `shutdown` becomes true.
pub async fn run(services: Services, options: NatsOptions, shutdown: watch::Receiver<bool>) {
    let Some(access) = options.access.access() else {
        return;
    };
    let began = services.application.environment().elapsed();
    let Some(connection) = connect(&access, shutdown.clone()).await else {
        return;
    };
    // What comes in has one of its own: whoever may publish can send what a connection ends at.
    let Some(incoming) = connect(&access, shutdown.clone()).await else {
        return;
    };
    let deliveries = Deliveries {
        log: Arc::clone(services.application.log()),
        environment: services.application.environment().clone(),
        jetstream: connection.jetstream.clone(),
        stream: options.nats_delivery_stream.clone(),
        copies: options.copies(),
        keep: options.keep_deliveries(),
    };
    let drones = drones::run(services, (incoming, began), options, shutdown.clone());
    tokio::join!(drones, deliveries.run(shutdown));
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
