//! Taking in what was read, by whichever door it came: facts into the log, telemetry into memory.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use domain::session::Verdict;
use futures_util::{StreamExt as _, stream};
use projections::{LiveDrones, Observation};

use super::receive::{FactOutcome, Ingest};
use super::wire::{self, DroneEvent};
use crate::application::{Failure, LoadError};
use crate::observability::DRONE_EVENTS_UNKNOWN;

/// Most deliveries that are told at once when their drones expect to be there.
const EXPECTED_AT_ONCE: usize = 64;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is new: a fact is durable, telemetry is known until a restart.
    Accepted {
        /// The kind of a fact that this release does not understand, which it keeps and does
        /// nothing about.
        unknown: Option<String>,
    },
    /// It is there already.
    Duplicate,
    /// Another fact of its session has its number.
    Conflict,
    /// Too much of its session waits already: it may come in later.
    BacklogFull,
    /// What is stored of its session, mission or delivery cannot be read.
    Unreadable(LoadError),
    /// The machine could not: it is not known to be durable.
    Failed(Failure),
}

impl Ingest {
    /// Takes in events, facts first, since they must last. Gives what became of each, in the
    /// order given. Sending all again is safe, whatever that was.
    ///
    /// Damage to what is stored of one drone or delivery is no failure of the machine: sending
    /// again does not mend it, and must not keep the events of all others out.
    pub async fn take(&self, live: &LiveDrones, events: Vec<DroneEvent>) -> Vec<Taken> {
        let mut taken = Vec::with_capacity(events.len());
        let (mut facts, mut places, mut telemetry) = (Vec::new(), Vec::new(), Vec::new());
        for (place, event) in events.into_iter().enumerate() {
            taken.push(Taken::Duplicate);
            match event {
                DroneEvent::Telemetry(event) => telemetry.push((place, event)),
                DroneEvent::Fact { sender, fact } => {
                    let unknown = !wire::is_understood(&fact.kind);
                    places.push((place, unknown.then(|| fact.kind.clone())));
                    facts.push((sender, *fact));
                }
            }
        }
        let mut became = Vec::with_capacity(taken.len());
        for ((place, unknown), outcome) in places.into_iter().zip(self.receive(facts).await) {
            became.push((place, Taken::of(outcome, unknown)));
        }
        let mut expecting = BTreeMap::new();
        for (place, event) in telemetry {
            let mission = event.mission.filter(|_| event.eta_next.is_some());
            let expected = mission.map(|mission| (mission, event.clone()));
            let unknown = None;
            became.push(match live.note(*event) {
                Observation::Newest => {
                    // The newest of each mission.
                    expecting.extend(expected);
                    (place, Taken::Accepted { unknown })
                }
                Observation::Superseded => (place, Taken::Accepted { unknown }),
                Observation::Repeated => (place, Taken::Duplicate),
            });
        }
        for (place, outcome) in became {
            if let Taken::Unreadable(error) = &outcome {
                self.tell_of_unreadable(error);
            }
            if let Some(taken) = taken.get_mut(place) {
                *taken = outcome;
            }
        }
        // Together, so that they share the disk's syncs.
        let telling = stream::iter(expecting.into_values());
        let telling = telling.for_each_concurrent(EXPECTED_AT_ONCE, async |event| {
            if let Err(error) = self.expect(&event).await {
                // What is lost of it the next one says again.
                tracing::debug!(%error, "a delivery does not know when its drone expects to be there");
            }
        });
        telling.await;
        taken
    }

    /// Whoever may send can have it met any number of times, so it is told once a minute.
    fn tell_of_unreadable(&self, error: &LoadError) {
        let now = self.application().environment().elapsed();
        let lines = self.unreadable().lock();
        let (is_told, untold) = lines.unwrap_or_else(PoisonError::into_inner).next(now);
        if is_told {
            tracing::error!(
                %error,
                untold,
                "a drone event was not taken: a stream could not be read; so many others of the minute before were not \
                 told of"
            );
        } else {
            tracing::debug!(%error, "a drone event was not taken: a stream could not be read");
        }
    }
}

impl Taken {
    fn of(outcome: FactOutcome, unknown: Option<String>) -> Self {
        match outcome {
            FactOutcome::Judged(Verdict::Accepted) => {
                if unknown.is_some() {
                    metrics::counter!(DRONE_EVENTS_UNKNOWN).increment(1);
                }
                Self::Accepted { unknown }
            }
            FactOutcome::Judged(Verdict::Duplicate) => Self::Duplicate,
            FactOutcome::Judged(Verdict::Conflict) => Self::Conflict,
            FactOutcome::Judged(Verdict::BacklogFull) => Self::BacklogFull,
            FactOutcome::Failed(Failure::Load(error)) => Self::Unreadable(error),
            FactOutcome::Failed(failure) => Self::Failed(failure),
        }
    }
}
