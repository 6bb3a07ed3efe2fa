//! The edge to NATS: what comes in and goes out beside HTTP.
//!
//! Nothing here is needed to serve: while no server answers, everything else
//! goes on, and this is gone on with when one does.

// Who is spoken to, and what it means by what it says.
mod connection;
mod said;
// What is told of what does not work.
mod telling;
// What comes in.
mod drones;
// What goes out.
mod deliveries;
// What is wrong with them.
pub mod doctor;

pub use connection::{Connection, Teller};

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::NatsOptions;
use crate::http::Services;
use crate::observability::{drone_messages, publishing};
use deliveries::{Deliveries, Settings};

/// Speaks over NATS, as the options say and if they name servers, until `shutdown` becomes true.
pub async fn run(services: Services, options: NatsOptions, shutdown: watch::Receiver<bool>) {
    let Some(access) = options.access.access() else {
        return;
    };
    drone_messages::begin(options.cluster.is_some());
    publishing::begin();
    let log = Arc::clone(services.application.log());
    let environment = services.application.environment().clone();
    let since = environment.elapsed();
    let begun = deliveries::end_of(&*log);
    let connected = tokio::select! {
        connected = Connection::open(&access, (Teller::Connection, &environment), shutdown.clone()) => connected,
        never = deliveries::tell_of_outage(&*log, &environment, begun) => match never {},
    };
    let Some(connection) = connected else {
        return;
    };
    let deliveries = Deliveries {
        log,
        environment: environment.clone(),
        connection,
        settings: Settings::of(&options),
        begun,
    };
    let positions = async {
        // What is told to one node alone of several.
        if options.cluster.is_none() {
            return;
        }
        let connection =
            Connection::open(&access, (Teller::User, &environment), shutdown.clone()).await;
        let (services, options) = (services.clone(), options.clone());
        if let Some(connection) = connection {
            drones::positions::run(services, connection, options, shutdown.clone()).await;
        }
    };
    let drones = async {
        // Of its own: whoever may publish can send what a connection ends at. What goes out does not
        // wait for it.
        let Some(incoming) =
            Connection::open(&access, (Teller::User, &environment), shutdown.clone()).await
        else {
            return;
        };
        let incoming = (incoming, since);
        drones::run(
            services.clone(),
            incoming,
            options.clone(),
            shutdown.clone(),
        )
        .await;
    };
    tokio::join!(drones, positions, deliveries.run(shutdown.clone()));
}
