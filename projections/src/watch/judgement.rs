//! What the watch makes of what it sees, look by look: how old the views are,
//! whether what feeds them has stalled, and whether writes are to wait for them.
//!
//! All of it counts looks and reads no clock. A look that was missed counts for
//! nothing: while the machine or the process stood still the views had no
//! chance to move either.

use std::collections::VecDeque;

use eventstore::Position;

use crate::shared::WriteHold;

/// Looks after which a thread that has something to do and does not move is
/// given up: 10 s.
pub(super) const STALLED_LOOKS: u64 = 40;

/// Looks after which writes wait for views that are behind, and over which is
/// judged whether views that are being built catch up: 5 s.
pub(super) const HOLD_LOOKS: u64 = 20;

/// How many times what is appended views must work off that are being built:
/// then catching up takes at most twice as long as it would without any writes.
const CATCHING_UP_FACTOR: u64 = 2;

/// Most ends of the log that are remembered.
const HEADS_MAX: usize = 1_024;

/// Where the log ended at which look; only what some view has not reached.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Ascending by both.
    seen: VecDeque<(u64, Position)>,
}

impl Heads {
    /// The log ends here at this look. What every view has reached is forgotten.
    pub(super) fn note(&mut self, now: u64, head: Position, reached: Position) {
        if self.seen.back().is_none_or(|(_, last)| *last < head) {
            if self.seen.len() >= HEADS_MAX {
                self.thin_out();
            }
            self.seen.push_back((now, head));
        }
        while self.seen.front().is_some_and(|(_, head)| *head <= reached) {
            self.seen.pop_front();
        }
    }

    /// How many looks ago the log had what a view that is here has not
    /// reached. Beyond some hundred looks it is told roughly, and never too few.
    pub(super) fn age(&self, now: u64, reached: Position) -> u64 {
        let behind = self.seen.partition_point(|(_, head)| *head <= reached);
        self.seen
            .get(behind)
            .map_or(0, |(since, _)| now.saturating_sub(*since))
    }

    /// Takes two ends at a time for one, as old as the elder.
    fn thin_out(&mut self) {
        let mut thinned = VecDeque::with_capacity(HEADS_MAX);
        let mut seen = self.seen.drain(..);
        while let Some((since, head)) = seen.next() {
            let head = seen.next().map_or(head, |(_, later)| later);
            thinned.push_back((since, head));
        }
        drop(seen);
        self.seen = thinned;
    }
}

/// Whether what feeds the views moves.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: u64,
    still_looks: u64,
}

impl Pulse {
    /// Whether it has something to do and has not moved for [`STALLED_LOOKS`].
    /// Once that was said it has the same time again.
    pub(super) fn has_stalled(&mut self, beats: u64, has_work: bool) -> bool {
        let moves = beats != self.beats || !has_work;
        self.beats = beats;
        self.still_looks = if moves { 0 } else { self.still_looks + 1 };
        let has_stalled = self.still_looks >= STALLED_LOOKS;
        if has_stalled {
            self.still_looks = 0;
        }
        has_stalled
    }
}

/// What one look shows of the views that do not stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) head: Position,
    /// The record up to which all is done for the farthest behind of them,
    /// shown or not.
    pub(super) worked: Position,
    /// All of them have been where the log ended when they were opened or begun anew.
    pub(super) has_caught_up: bool,
    /// How old the farthest behind of them is.
    pub(super) age_looks: u64,
}

/// Whether writes are to wait for the views.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// The ends of the log and of the work at the last looks.
    last: VecDeque<(Position, Position)>,
    held: Option<WriteHold>,
}

impl Holding {
    /// Views that have caught up once hold writes while they are more than 5 s
    /// behind. Those that are being built are behind by nature: they hold them
    /// only where they would not get there. What was held stays so until it is
    /// known to be otherwise.
    pub(super) fn judge(&mut self, seen: Seen) -> Option<WriteHold> {
        self.note(seen.head, seen.worked);
        if seen.has_caught_up {
            let is_behind = seen.age_looks > HOLD_LOOKS;
            self.held = is_behind.then_some(WriteHold::Behind);
        } else if let Some(catches_up) = self.catches_up() {
            self.held = (!catches_up).then_some(WriteHold::Building);
        }
        self.held
    }

    fn note(&mut self, head: Position, worked: Position) {
        if self.last.back().is_some_and(|(_, before)| *before > worked) {
            // They are begun anew: what was before says nothing about them.
            self.last.clear();
        }
        self.last.push_back((head, worked));
        if u64::try_from(self.last.len()).is_ok_and(|looks| looks > HOLD_LOOKS + 1) {
            self.last.pop_front();
        }
    }

    /// Nothing as long as it is too early to tell.
    fn catches_up(&self) -> Option<bool> {
        let (first, last) = (self.last.front()?, self.last.back()?);
        if u64::try_from(self.last.len()).is_ok_and(|looks| looks <= HOLD_LOOKS) {
            return None;
        }
        let appended = last.0.get().saturating_sub(first.0.get());
        let worked = last.1.get().saturating_sub(first.1.get());
        Some(worked > 0 && worked >= appended.saturating_mul(CATCHING_UP_FACTOR))
    }
}

#[cfg(test)]
mod tests;
