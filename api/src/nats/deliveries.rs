//! What happens goes out: every public event of the log, in its order, once.
//!
//! Of several services on one log each may publish: a message is stored right
//! behind the one that it follows or not at all, so one of them has each
//! place, and the others stand aside while it goes on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use eventstore::EventStore;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Connection;
use crate::config::NatsOptions;
use crate::environment::Environment;
use crate::public_events::place::Place;
use flow::{Flow, Left};
use sending::Sender;
pub(super) use settings::Settings;
use stream::Outlet;
use telling::{Told, lag, nothing_goes_out};
use trouble::Trouble;

// What goes out, and where.
mod message;
mod mark;
mod ahead;
// By which stream, and how far that is.
mod settings;
mod stream;
mod fork;
// How, and what is told of it.
mod sending;
mod flow;
mod trouble;
mod telling;

/// How long it takes from one try to the next while nothing can go out.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How long who was overtaken leaves the stream to others before it looks
/// whether they go on.
const STAND_ASIDE: Duration = Duration::from_secs(1);

/// Publishes a log's events.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    /// The log.
    pub(super) log: Arc<dyn EventStore>,
    /// The clock.
    pub(super) environment: Environment,
    /// To whom.
    pub(super) connection: Connection,
    /// What its stream is like, where it is made.
    pub(super) settings: Settings,
    /// Where the log ended when the service began: what follows it did not go out before.
    pub(super) begun: Place,
}

/// Where a log ends now.
pub(super) fn end_of(log: &dyn EventStore) -> Place {
    Place::behind(*log.head().borrow())
}

/// Tells for as long as no server is there how far events are behind, of which none goes out.
pub(super) async fn tell_of_outage(
    log: &dyn EventStore,
    environment: &Environment,
    begun: Place,
) -> Infallible {
    nothing_goes_out();
    let mut beat = tokio::time::interval(TRY_AGAIN);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        lag(log, environment, begun).await;
    }
}

/// What is wrong with a stream that is there, for delivery events to go out by it; nothing if it
/// will do.
pub(super) fn wrong_with_stream(options: &NatsOptions, found: &Config) -> Vec<String> {
    Settings::of(options).wrong(found)
}

/// What an operator may want to change of one that will do.
pub(super) fn advice_on_stream(found: &Config) -> Vec<String> {
    let is_slow = !found.allow_atomic_publish;
    let advice = "what is to go out after an outage goes out one by one: let it take batches (nats stream edit \
                  --interactive, allow_atomic: true)";
    is_slow.then(|| advice.to_owned()).into_iter().collect()
}

/// The stream that keeps the place beside it.
pub(super) fn note_stream(options: &NatsOptions) -> String {
    Settings::of(options).note_stream()
}

/// What is wrong with that one.
pub(super) fn wrong_with_note(options: &NatsOptions, found: &Config) -> Vec<String> {
    Settings::of(options).wrong_note(found)
}

impl Deliveries {
    /// Publishes until `shutdown` becomes true, over every outage.
    pub(super) async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let jetstream = self.connection.jetstream.clone();
        let outlet = Outlet::new(jetstream, Arc::clone(&self.log), self.settings.clone());
        let (mut telling, mut known) = (Told::default(), self.begun);
        loop {
            let stop = shutdown.clone();
            let ended = self.publish(&outlet, &mut known, &mut telling, stop);
            let Err(trouble) = ended.await else {
                return;
            };
            telling.trouble(&self.settings.stream, trouble, self.environment.elapsed());
            self.lag(known).await;
            if stops_within(TRY_AGAIN, &mut shutdown).await {
                return;
            }
        }
    }

    /// Publishes until the end of the service, or something is in the way.
    async fn publish(
        &self,
        outlet: &Outlet,
        known: &mut Place,
        telling: &mut Told,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), Trouble> {
        let mut losses = self.connection.losses.clone();
        losses.mark_unchanged();
        let Some(end) = unless_stopped(outlet.end(), &mut shutdown).await else {
            return Ok(());
        };
        let mut end = end?;
        // Whoever is stopped at any moment, there is always a place to count from.
        let noting = async {
            outlet.open_note().await?;
            outlet.note(&end).await
        };
        let Some(noted) = unless_stopped(noting, &mut shutdown).await else {
            return Ok(());
        };
        noted?;
        loop {
            let flow = Flow {
                log: &self.log,
                environment: &self.environment,
                sender: Sender {
                    client: &self.connection.client,
                    jetstream: &self.connection.jetstream,
                    environment: &self.environment,
                    stream: &self.settings.stream,
                },
                outlet,
                losses: losses.clone(),
                shutdown: shutdown.clone(),
                alone: 0,
            };
            let left = flow.run(&mut end, telling).await;
            *known = end.place;
            if left? == Left::Stopped {
                return Ok(());
            }
            telling.all_is_well(self.environment.elapsed());
            // Whoever was quicker goes on as long as the stream does.
            loop {
                if stops_within(STAND_ASIDE, &mut shutdown).await {
                    return Ok(());
                }
                let Some(now) = unless_stopped(outlet.end(), &mut shutdown).await else {
                    return Ok(());
                };
                let before = std::mem::replace(&mut end, now?);
                *known = end.place;
                self.lag(*known).await;
                if before.sequence == end.sequence {
                    break;
                }
            }
        }
    }

    async fn lag(&self, known: Place) {
        lag(&*self.log, &self.environment, known).await;
    }
}

/// Whether the service ends before so much time is over.
async fn stops_within(time: Duration, shutdown: &mut watch::Receiver<bool>) -> bool {
    // An error means that nobody can give the signal any more, which is one too.
    let stopping = shutdown.wait_for(|stop| *stop);
    tokio::time::timeout(time, stopping).await.is_ok()
}

/// What comes of something, unless the service ends before.
async fn unless_stopped<T>(
    doing: impl Future<Output = T>,
    shutdown: &mut watch::Receiver<bool>,
) -> Option<T> {
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => None,
        done = doing => Some(done),
    }
}
