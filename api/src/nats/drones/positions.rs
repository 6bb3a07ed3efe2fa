//! Where drones are, shown by every node of a cluster.
//!
//! Telemetry is not in the log, and what the shared consumer hands one node it hands no other. So each
//! node reads telemetry once more, by a consumer of its own that is not answered: first what each
//! drone said last, so that a node which has just started knows it, then all that comes. Nothing else
//! comes of it here. What cannot be read is passed over: the shared consumer's is the dead letter.

use async_nats::jetstream::consumer::{Consumer, pull};
use futures_util::StreamExt as _;
use metrics::gauge;
use tokio::sync::watch;

use super::source::{self, SourceError, Wanted};
use super::{Losses, PAUSE, ack_wait, again_within, batch, now, requests, rest_of_batch};
use crate::config::NatsOptions;
use crate::http::Services;
use crate::ingest::wire::{DroneEvent, Receipt};
use crate::nats::Connection;
use crate::nats::telling::Telling;
use crate::observability::drone_messages::{DRONE_POSITIONS_FLOWING, DRONE_POSITIONS_PENDING};

/// Shows where drones are until `shutdown` becomes true. The connection is used for nothing else,
/// since whoever may publish can send what a connection ends at.
pub(in crate::nats) async fn run(
    services: Services,
    connection: Connection,
    options: NatsOptions,
    mut shutdown: watch::Receiver<bool>,
) {
    let wanted = Wanted::new(
        &options,
        services.views.log().identity(),
        ack_wait(services.ingest.gap_wait()),
    );
    let environment = services.application.environment().clone();
    let (mut telling, mut losses) = (Telling::default(), Losses::default());
    let mut consumer = None;
    loop {
        let stopping = shutdown.clone();
        let on_open = || {
            let lasted = telling.over(environment.elapsed());
            if let Some(lasted_s) = lasted.map(|lasted| lasted.as_secs()) {
                tracing::info!(stream = %wanted.stream, lasted_s, "where drones are that speak to other nodes is shown again");
            }
        };
        let ways = (&services, &connection, &wanted);
        let followed = follow(ways, on_open, &mut consumer, stopping).await;
        gauge!(DRONE_POSITIONS_FLOWING).set(0.0);
        let Err(trouble) = followed else {
            return;
        };
        // What was on its way is gone, and a new consumer begins with what each drone said last. Where
        // that is what the connection ended at it is lost again at once: then this one goes on, behind
        // that message.
        let is_lost = matches!(trouble, SourceError::Lost);
        if !is_lost || !losses.is_again(environment.elapsed(), again_within(&wanted)) {
            consumer = None;
        }
        if let Some(lasts) = telling.trouble(&trouble.to_string(), environment.elapsed()) {
            let lasts_s = lasts.as_secs();
            tracing::warn!(stream = %wanted.stream, lasts_s, "where drones are that speak to other nodes is not shown: {trouble}; trying again");
        }
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Shows what comes until there is trouble; until `shutdown` becomes true, if there is none.
async fn follow(
    (services, connection, wanted): (&Services, &Connection, &Wanted),
    on_open: impl FnOnce(),
    consumer: &mut Option<Consumer<pull::Config>>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), SourceError> {
    let mut losses = connection.losses.clone();
    losses.mark_unchanged();
    let opening = async {
        let opened = if let Some(opened) = consumer.take() {
            opened
        } else {
            let id = services.application.environment().new_id();
            source::open_positions(&connection.jetstream, wanted, id).await?
        };
        requests(consumer.insert(opened)).await
    };
    let mut messages = tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
        messages = opening => messages?,
    };
    gauge!(DRONE_POSITIONS_FLOWING).set(1.0);
    on_open();
    loop {
        let first = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            _ = losses.changed() => break,
            first = messages.next() => first,
        };
        let (batch, trouble) = rest_of_batch(Some(first), &mut messages);
        show(services, batch).await;
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
    }
    // Nothing comes again that was handed out.
    while let Some(next) = now(&mut messages) {
        let (batch, trouble) = rest_of_batch(Some(next), &mut messages);
        show(services, batch).await;
        if trouble.is_some() || *shutdown.borrow() {
            break;
        }
    }
    Err(SourceError::Lost)
}

async fn show(services: &Services, messages: Vec<async_nats::jetstream::Message>) {
    // Without a time the next one says it again.
    let Ok(now) = services.application.now() else {
        return;
    };
    // It is counted by whom the shared consumer hands it to.
    let receipt = Receipt {
        counts_skew: false,
        ..services.ingest.receipt(now)
    };
    let reading = tokio::task::spawn_blocking(move || batch::read_all(messages, receipt));
    let Ok(arrived) = reading.await else {
        tracing::error!("panic while reading where drones are");
        return;
    };
    batch::note_pending(DRONE_POSITIONS_PENDING, &arrived);
    for arrived in arrived {
        if let Ok(DroneEvent::Telemetry(telemetry)) = arrived.event {
            services.live.note(*telemetry);
        }
    }
}
