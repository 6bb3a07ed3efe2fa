//! What a session still waits for: the part of its fold that needs no fact's body.

use std::collections::BTreeMap;

use super::event::{ParkReason, Parked, SessionEvent};
use super::{Expired, PARKED_FACTS_MAX};
use crate::time::Timestamp;

/// The numbers of a session: which is next, which are held, which are parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    next: u64,
    held: BTreeMap<u64, Timestamp>,
    parked: BTreeMap<u64, Parked>,
}

/// A number whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) seq: u64,
    /// Higher numbers had theirs before.
    pub(super) late: bool,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            next: 1,
            held: BTreeMap::new(),
            parked: BTreeMap::new(),
        }
    }
}

impl Backlog {
    /// A backlog as a read model kept it.
    #[must_use]
    pub fn restore(
        next: u64,
        held: impl IntoIterator<Item = (u64, Timestamp)>,
        parked: impl IntoIterator<Item = (u64, Parked)>,
    ) -> Self {
        Self {
            next,
            held: held.into_iter().collect(),
            parked: parked.into_iter().collect(),
        }
    }

    /// The lowest number that has not had its turn and was not passed.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The numbers that came too early, and when each came in.
    #[must_use]
    pub fn held(&self) -> impl ExactSizeIterator<Item = (u64, Timestamp)> {
        self.held
            .iter()
            .map(|(seq, received_at)| (*seq, *received_at))
    }

    /// The numbers whose turn came and that may yet be applied.
    #[must_use]
    pub fn parked(&self) -> impl ExactSizeIterator<Item = (u64, Parked)> {
        self.parked.iter().map(|(seq, parked)| (*seq, *parked))
    }

    /// Whether this number's turn came and it may yet be applied.
    #[must_use]
    pub fn is_parked(&self, seq: u64) -> bool {
        self.parked.contains_key(&seq)
    }

    /// Whether as many facts are parked for this as may be. What only another release would
    /// understand is counted apart, so that it keeps nothing out that means something to this one.
    #[must_use]
    pub fn is_full(&self, why: ParkReason) -> bool {
        self.count_like(why) >= PARKED_FACTS_MAX
    }

    pub(super) fn count_like(&self, why: ParkReason) -> usize {
        let is_strange = |why| why == ParkReason::UnknownKind;
        let like = |parked: &&Parked| is_strange(parked.why) == is_strange(why);
        self.parked.values().filter(like).count()
    }

    /// When the oldest held fact came in.
    #[must_use]
    pub fn oldest_held(&self) -> Option<Timestamp> {
        self.held.values().min().copied()
    }

    /// The highest number that was held long enough; none while there is a chance for what the
    /// oldest one waits for.
    #[must_use]
    pub fn last_expired(&self, expired: Expired) -> Option<u64> {
        let oldest = self.oldest_held()?;
        let held = self.held().filter(|_| expired.covers(oldest));
        held.filter(|(_, received_at)| expired.covers(*received_at))
            .map(|(seq, _)| seq)
            .last()
    }

    /// The lowest number that is held.
    #[must_use]
    pub fn first_held(&self) -> Option<u64> {
        self.held.keys().next().copied()
    }

    /// Applies an event. Total: what makes no sense changes nothing.
    pub fn evolve(&mut self, event: &SessionEvent) {
        self.apply(event);
    }

    /// Applies an event and gives the numbers whose turn it brings, in order.
    pub(super) fn apply(&mut self, event: &SessionEvent) -> Vec<Turn> {
        match event {
            SessionEvent::SessionOpened(_) => Vec::new(),
            SessionEvent::FactReceived(fact) if fact.seq < self.next => {
                vec![Turn {
                    seq: fact.seq,
                    late: true,
                }]
            }
            SessionEvent::FactReceived(fact) => {
                self.held.insert(fact.seq, fact.received_at);
                self.take_turns()
            }
            SessionEvent::GapPassed { up_to } => {
                let mut turns = Vec::new();
                while let Some(first) = self.held.first_entry().filter(|first| first.key() <= up_to)
                {
                    turns.push(Turn {
                        seq: first.remove_entry().0,
                        late: false,
                    });
                }
                self.next = self.next.max(up_to.saturating_add(1));
                turns.extend(self.take_turns());
                turns
            }
            SessionEvent::FactParked { seq, parked } => {
                self.parked.insert(*seq, *parked);
                Vec::new()
            }
            SessionEvent::FactUnparked { seq } | SessionEvent::DeadLettered { seq, why: _ } => {
                self.parked.remove(seq);
                Vec::new()
            }
        }
    }

    fn take_turns(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        while self.held.remove(&self.next).is_some() {
            turns.push(Turn {
                seq: self.next,
                late: false,
            });
            self.next = self.next.saturating_add(1);
        }
        turns
    }
}
