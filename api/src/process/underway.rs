//! Which operations are not over, and since when they are at their step: for whoever watches.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::id::OperationId;
use domain::scheduling::{Deferral, Effect, Operation, OperationEvent, OperationKind};
use domain::time::Timestamp;

use crate::observability::processes::{
    EFFECTS, OPERATIONS_BEGUN, OPERATIONS_ENDED, OPERATIONS_OPEN, OPERATIONS_STEP_SECONDS,
    PROCESSES_FAILING, PROCESSES_OPEN,
};

/// Most operations that are counted as open. Some 150 bytes each.
const OPEN_MAX: usize = 1_000_000;

/// The operations that are not over as their clients see it, and those that may still have
/// something to do: a booking that stands is over, and goes on as long as its delivery.
#[derive(Debug, Default)]
pub(super) struct Underway {
    going_on: HashSet<OperationId>,
    since: HashMap<OperationId, (OperationKind, Timestamp)>,
    by_age: HashMap<OperationKind, BTreeSet<(Timestamp, OperationId)>>,
    /// Which attempt somebody is at outside.
    attempts: HashMap<OperationId, u32>,
}

impl Underway {
    /// Takes in how an operation is now.
    pub(super) fn take_in(&mut self, id: OperationId, operation: &Operation) {
        if let Some((kind, since)) = self.since.remove(&id)
            && let Some(ages) = self.by_age.get_mut(&kind)
        {
            ages.remove(&(since, id));
        }
        if operation.claimed().is_none() {
            self.attempts.remove(&id);
        }
        if operation.has_ended() {
            self.going_on.remove(&id);
        } else if self.going_on.len() < OPEN_MAX {
            self.going_on.insert(id);
        }
        if operation.outcome().is_none() && self.since.len() < OPEN_MAX {
            let (kind, since) = (operation.kind(), operation.step_since());
            self.since.insert(id, (kind, since));
            self.by_age.entry(kind).or_default().insert((since, id));
        }
    }

    /// Whether an event tells of something new, and not that an attempt still goes on.
    pub(super) fn is_new(&mut self, id: OperationId, event: &OperationEvent) -> bool {
        let OperationEvent::EffectClaimed { attempt, .. } = event else {
            return true;
        };
        if self.attempts.len() >= OPEN_MAX {
            self.attempts.clear();
        }
        self.attempts.insert(id, *attempt) != Some(*attempt)
    }

    /// How many of a kind there are, and for how long the one that has not got on for longest
    /// is at its step, microseconds.
    fn of(&self, kind: OperationKind, now: Timestamp) -> (usize, i64) {
        let Some(ages) = self.by_age.get(&kind) else {
            return (0, 0);
        };
        let oldest = ages.first().map_or(now, |(since, _)| *since);
        let age_us = now.micros().saturating_sub(oldest.micros()).max(0);
        (ages.len(), age_us)
    }

    /// Shows them in the metrics, and how many of them do not go on.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; counts and microseconds are exact up to 2^53"
    )]
    pub(super) fn show(&self, now: Timestamp, failing: usize) {
        metrics::gauge!(PROCESSES_OPEN).set(self.going_on.len() as f64);
        metrics::gauge!(PROCESSES_FAILING).set(failing as f64);
        for kind in OperationKind::ALL {
            let (open, oldest_us) = self.of(*kind, now);
            metrics::gauge!(OPERATIONS_OPEN, "kind" => kind.word()).set(open as f64);
            let seconds = oldest_us as f64 / 1e6;
            metrics::gauge!(OPERATIONS_STEP_SECONDS, "kind" => kind.word()).set(seconds);
        }
    }
}

/// Counts what was written down of an operation of this kind.
pub(super) fn count(kind: OperationKind, event: &OperationEvent) {
    let ended = |outcome| {
        metrics::counter!(OPERATIONS_ENDED, "kind" => kind.word(), "outcome" => outcome)
            .increment(1);
    };
    let went = |effect: Effect, outcome| {
        metrics::counter!(EFFECTS, "effect" => effect.word(), "outcome" => outcome).increment(1);
    };
    match event {
        OperationEvent::OperationStarted { .. } => {
            metrics::counter!(OPERATIONS_BEGUN, "kind" => kind.word()).increment(1);
        }
        OperationEvent::OperationSucceeded => ended("succeeded"),
        OperationEvent::OperationFailed { .. } => ended("failed"),
        OperationEvent::OperationCancelled => ended("cancelled"),
        OperationEvent::OperationTimedOut { .. } => ended("timed_out"),
        OperationEvent::EffectClaimed { effect, .. } => went(*effect, "claimed"),
        OperationEvent::EffectDeferred { effect, why, .. } => match why {
            Deferral::Refused => went(*effect, "refused"),
            Deferral::Unreachable
            | Deferral::Unavailable
            | Deferral::Throttled
            | Deferral::Unanswered
            | Deferral::Unintelligible => went(*effect, "deferred"),
        },
        OperationEvent::PaymentAuthorized { .. } => went(Effect::AuthorizePayment, "done"),
        OperationEvent::PaymentDenied { .. } => went(Effect::AuthorizePayment, "refused"),
        OperationEvent::PaymentVoided { .. } => went(Effect::VoidPayment, "done"),
        OperationEvent::StepPassed { .. }
        | OperationEvent::StepFailed { .. }
        | OperationEvent::MissionAsked { .. }
        | OperationEvent::VoidRefused { .. }
        | OperationEvent::PaymentLeftUnknown
        | OperationEvent::FlightUnpaid
        | OperationEvent::PackageFreed
        | OperationEvent::PackageKept
        | OperationEvent::PackageShared { .. }
        | OperationEvent::DeadlineSet { .. }
        | OperationEvent::ProcessEnded
        | OperationEvent::ProcessResumed => {}
    }
}

#[cfg(test)]
mod tests {
    use domain::decider::Occurrence;
    use domain::id::{DeliveryId, UserId};
    use domain::process::Process as _;
    use domain::scheduling::{Scheduling, Step};
    use uuid::Uuid;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    fn booking(events: &[(OperationEvent, i64)]) -> Operation {
        let started = OperationEvent::OperationStarted {
            kind: OperationKind::Schedule,
            delivery: DeliveryId::from_uuid(Uuid::from_u128(1)),
            user: UserId::from_uuid(Uuid::from_u128(2)),
            sequence: 1,
        };
        let all = [(started, 10)].into_iter().chain(events.iter().cloned());
        let folded = all.fold(None, |state, (event, at)| {
            Scheduling::evolve(state, &Occurrence::new(event, second(at)))
        });
        folded.unwrap()
    }

    fn id(number: u128) -> OperationId {
        OperationId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn the_age_is_that_of_the_step_however_often_it_is_tried_and_nothing_is_left_of_what_is_over() {
        let mut underway = Underway::default();
        let user = OperationEvent::StepPassed { step: Step::User };
        let tried = OperationEvent::EffectClaimed {
            effect: Effect::AuthorizePayment,
            attempt: 1,
            node: Uuid::from_u128(3),
            until: second(90),
        };
        underway.take_in(id(1), &booking(&[]));
        underway.take_in(id(2), &booking(&[(user.clone(), 30)]));
        let now = second(100);
        let schedule = |underway: &Underway| underway.of(OperationKind::Schedule, now);
        assert_eq!(schedule(&underway), (2, 90_000_000));
        assert_eq!(underway.of(OperationKind::Cancel, now), (0, 0));

        assert!(underway.is_new(id(1), &tried) && !underway.is_new(id(1), &tried));
        assert!(underway.is_new(id(1), &user));
        underway.take_in(id(1), &booking(&[(user.clone(), 40), (tried, 80)]));
        assert_eq!(schedule(&underway), (2, 70_000_000));
        let over = [(user, 30), (OperationEvent::OperationSucceeded, 50)];
        underway.take_in(id(2), &booking(&over));
        assert_eq!(schedule(&underway), (1, 60_000_000));
        underway.take_in(id(1), &booking(&over));
        assert_eq!(schedule(&underway), (0, 0));
        assert!(underway.since.is_empty() && underway.attempts.is_empty());
        assert_eq!(underway.going_on, HashSet::from([id(1), id(2)]));
        underway.take_in(id(1), &booking(&[(OperationEvent::ProcessEnded, 60)]));
        assert_eq!(underway.going_on, HashSet::from([id(2)]));
    }
}
