//! A drone session: order, duplicates and gaps of one sender's facts, as a fold.
//!
//! Facts are numbered without gaps, so a missing number is a fact that is
//! still on its way: what comes after it is *held*. A fact whose turn came and
//! which cannot be applied is *parked*. A number that was passed and arrives
//! after all is *late*. All of this follows from the stream alone, so that a
//! restart, a second door or a second node come to the same conclusion.

mod event;
mod backlog;
mod seen;
pub(crate) mod payload;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use backlog::Backlog;
pub use event::{ParkReason, Parked, ReceivedFact, SessionEvent};
use seen::Seen;

use crate::drone::Sender;
use crate::time::{DurationMs, Timestamp};

/// Most facts held before the gap in front of them is passed, by default.
pub const HELD_FACTS_MAX: usize = 64;

/// How long a gap is waited for, by default.
pub const GAP_WAIT: DurationMs = DurationMs::from_seconds(5);

/// Most facts of one session that wait for a mission or a delivery; more are refused. As many may
/// wait for a release that understands their kind; more of these are given up at once.
pub const PARKED_FACTS_MAX: usize = 1_024;

/// The kind of fact that names the delivery of a mission: what others wait for.
const BINDING_KIND: &str = "mission_assigned";

/// How long a fact stays parked, by default: 15 minutes.
pub const PARK_WAIT: DurationMs = DurationMs::from_seconds(900);

/// The highest number a fact may bear, so that the next one exists.
pub const SEQ_MAX: u64 = u64::MAX - 1;

/// What is known of a sender's facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    sender: Option<Sender>,
    backlog: Backlog,
    /// The content of every number seen.
    seen: Seen,
    /// The facts that are held.
    held: BTreeMap<u64, Arc<ReceivedFact>>,
}

/// How a fact that comes in relates to what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is new.
    Accepted,
    /// It is there already.
    Duplicate,
    /// Another fact of this number is there already.
    Conflict,
    /// Too much of this session waits already.
    BacklogFull,
}

/// A fact whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The fact.
    pub fact: ReceivedFact,
    /// Facts with higher numbers were applied before it.
    pub late: bool,
}

/// Of when the facts are that have waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// They came in then or later: for what is older there is still a chance.
    pub from: Timestamp,
    /// They came in then or before.
    pub to: Timestamp,
}

impl Expired {
    /// Whether a fact that came in then has waited long enough.
    #[must_use]
    pub fn covers(self, came_in: Timestamp) -> bool {
        self.from <= came_in && came_in <= self.to
    }
}

/// What follows from facts coming in or from time passing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be appended, in order.
    pub events: Vec<SessionEvent>,
    /// To be applied in the same commit, in order.
    pub due: Vec<Due>,
}

impl Session {
    /// Who sends, once something came.
    #[must_use]
    pub const fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// What is held and parked.
    #[must_use]
    pub const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Takes in facts, which must be in the order of their numbers.
    ///
    /// Gives a verdict for each, and what follows from all of them. Within one
    /// session and while no gap is passed the facts that become due, and their
    /// order, depend only on which facts have come in, not on how. At
    /// `held_max` held facts the gap before the first is passed.
    #[must_use]
    pub fn receive(
        &self,
        sender: &Sender,
        facts: impl IntoIterator<Item = ReceivedFact>,
        held_max: usize,
    ) -> (Vec<Verdict>, Step) {
        let mut after = self.clone();
        let mut step = Step::default();
        let mut verdicts = Vec::new();
        for fact in facts {
            let verdict = after.judge(&fact);
            verdicts.push(verdict);
            if verdict != Verdict::Accepted {
                continue;
            }
            if after.sender.is_none() {
                after.note(SessionEvent::SessionOpened(sender.clone()), &mut step);
            }
            after.note(SessionEvent::FactReceived(Box::new(fact)), &mut step);
            while after.held.len() >= held_max.max(1)
                && let Some(first) = after.backlog.first_held()
            {
                after.note(SessionEvent::GapPassed { up_to: first - 1 }, &mut step);
            }
        }
        (verdicts, step)
    }

    /// Stops waiting for what is missing before facts that were held long enough.
    #[must_use]
    pub fn pass_expired_gaps(&self, expired: Expired) -> Step {
        let mut step = Step::default();
        if let Some(up_to) = self.backlog.last_expired(expired) {
            self.clone()
                .note(SessionEvent::GapPassed { up_to }, &mut step);
        }
        step
    }

    /// Waits no longer for what facts wait for that were parked long enough, at most so many at
    /// a time.
    #[must_use]
    pub fn give_up_parked(&self, expired: Expired, facts_max: usize) -> Step {
        let parked = self.backlog.parked();
        let expired = parked.filter(|(_, parked)| expired.covers(parked.since));
        let given_up = expired.take(facts_max);
        let events = given_up.map(|(seq, parked)| SessionEvent::DeadLettered {
            seq,
            why: parked.why,
        });
        Step {
            events: events.collect(),
            due: Vec::new(),
        }
    }

    /// The state after an event. Total: what makes no sense changes nothing.
    #[must_use]
    pub fn evolve(mut self, event: &SessionEvent) -> Self {
        self.apply(event);
        self
    }

    fn judge(&self, fact: &ReceivedFact) -> Verdict {
        match self.seen.hash_of(fact.seq) {
            Some(hash) if hash == fact.hash => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
            None if self.backlog.count_like(ParkReason::UnknownMission) >= parked_max(fact) => {
                Verdict::BacklogFull
            }
            None => Verdict::Accepted,
        }
    }

    fn note(&mut self, event: SessionEvent, step: &mut Step) {
        step.due.extend(self.apply(&event));
        step.events.push(event);
    }

    fn apply(&mut self, event: &SessionEvent) -> Vec<Due> {
        match event {
            SessionEvent::SessionOpened(sender) => self.sender = Some(sender.clone()),
            SessionEvent::FactReceived(fact) => {
                self.seen.note(fact.seq, fact.hash);
                self.held.insert(fact.seq, Arc::new(fact.as_ref().clone()));
            }
            SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => {}
        }
        let turns = self.backlog.apply(event);
        turns
            .into_iter()
            .filter_map(|turn| {
                let fact = Arc::unwrap_or_clone(self.held.remove(&turn.seq)?);
                let late = turn.late;
                Some(Due { fact, late })
            })
            .collect()
    }
}

/// What may release the others gets in when nothing else does any more.
fn parked_max(fact: &ReceivedFact) -> usize {
    if fact.kind == BINDING_KIND {
        2 * PARKED_FACTS_MAX
    } else {
        PARKED_FACTS_MAX
    }
}
