//! The lives of a log, and which positions of an earlier one still hold.
//!
//! A log that goes on after acknowledged records were given up (recovered with
//! loss, restored from a backup) begins a new epoch. What was noted under an
//! older epoch, a checkpoint or a token, holds as far as that epoch was kept.

use uuid::Uuid;

use crate::position::{LogIdentity, Position};

/// An epoch and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number.
    pub epoch: u32,
    /// The position of its first record, there or to come.
    pub first_position: Position,
}

/// Which log this is, and where each of its epochs begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistory {
    log_id: Uuid,
    /// By number; so their first positions never fall.
    epochs: Vec<EpochStart>,
}

/// What a position that was noted under an identity is worth in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The log holds just the records up to there that it held then.
    Valid,
    /// It was noted in another log.
    OtherLog,
    /// Its epoch ended, and was kept up to here only: the records behind it
    /// were given up, and others may stand at their positions.
    Beyond {
        /// The last position of that epoch that was kept.
        kept_to: Position,
    },
    /// The same log, and it does not reach that far (or not that epoch):
    /// records that were acknowledged are missing.
    Ahead,
}

/// The number of an epoch that begins now, by the caller's clock in
/// microseconds since the Unix epoch, behind another one.
///
/// It is the clock's second, if that is a later number: so logs that go on
/// from one copy at different times do not go on under one number. A clock
/// that shows no time from 1970 to 2106 counts for nothing.
///
/// # Panics
/// Behind `u32::MAX`, which no clock gives.
pub(crate) fn epoch_after(before: u32, now_us: i64) -> u32 {
    let second = u32::try_from(now_us.div_euclid(1_000_000)).ok();
    let second = second.filter(|second| *second < u32::MAX);
    second.unwrap_or_default().max(before + 1)
}

impl LogHistory {
    /// A log that has one epoch.
    #[must_use]
    pub fn one_epoch(identity: LogIdentity) -> Self {
        let LogIdentity { log_id, epoch } = identity;
        let first_position = Position::START.next();
        Self {
            log_id,
            epochs: vec![EpochStart {
                epoch,
                first_position,
            }],
        }
    }

    /// The same log, going on in a later epoch.
    ///
    /// # Panics
    /// If the epoch is not later than the current one, or begins before it.
    #[must_use]
    pub fn followed_by(mut self, next: EpochStart) -> Self {
        let last = self.epochs.last();
        let follows = last.is_none_or(|last| {
            last.epoch < next.epoch && last.first_position <= next.first_position
        });
        assert!(follows, "{next:?} does not follow {last:?}");
        self.epochs.push(next);
        self
    }

    /// The history that a log's segments tell, oldest first; `None` without one.
    pub(crate) fn of_segments(
        segments: impl IntoIterator<Item = (LogIdentity, Position)>,
    ) -> Option<Self> {
        let mut history: Option<Self> = None;
        for (LogIdentity { log_id, epoch }, first_position) in segments {
            let start = EpochStart {
                epoch,
                first_position,
            };
            match &mut history {
                None => {
                    let epochs = vec![start];
                    history = Some(Self { log_id, epochs });
                }
                Some(history) if history.identity().epoch < epoch => history.epochs.push(start),
                Some(_) => {}
            }
        }
        history
    }

    /// The history with these epochs; `None` unless they are in order, each
    /// behind at least one record of the one before, from the log's first on.
    pub(crate) fn of_epochs(log_id: Uuid, epochs: Vec<EpochStart>) -> Option<Self> {
        let first = epochs.first()?.first_position;
        let is_ordered = epochs
            .array_windows()
            .all(|[one, next]| one.epoch < next.epoch && one.first_position < next.first_position);
        let is_whole = first == Position::START.next() && is_ordered;
        is_whole.then_some(Self { log_id, epochs })
    }

    /// The log and the epoch that a record at a position is of.
    pub(crate) fn identity_at(&self, position: Position) -> LogIdentity {
        let mut epochs = self.epochs.iter().rev();
        let start = epochs.find(|start| start.first_position <= position);
        LogIdentity {
            epoch: start.map_or(self.identity().epoch, |start| start.epoch),
            log_id: self.log_id,
        }
    }

    /// Whether a log with this history, up to its head, can be the beginning
    /// of the log with the other one. An epoch that begins right behind the
    /// head may be missing.
    pub(crate) fn begins(&self, whole: &Self, head: Position) -> bool {
        let expected = whole.epochs.iter();
        let expected = expected.filter(|start| start.first_position <= head);
        self.log_id == whole.log_id
            && whole.epochs.starts_with(&self.epochs)
            && self.epochs.len() >= expected.count()
    }

    /// The log and its current epoch.
    ///
    /// # Panics
    /// Never: a history has an epoch.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        let last = self.epochs.last().expect("a history has an epoch");
        LogIdentity {
            log_id: self.log_id,
            epoch: last.epoch,
        }
    }

    /// The epochs, oldest first; at least one. One that ended without a record
    /// of its own is not listed.
    #[must_use]
    pub fn epochs(&self) -> &[EpochStart] {
        &self.epochs
    }

    /// What a position noted under an identity is worth in this log, which ends at `head`.
    ///
    /// A position of epoch e holds exactly if it lies before the first
    /// position of the next epoch. That two logs which went on from one backup
    /// under the same number are told apart is not promised; nor that an epoch
    /// which only the other one lived is, before this one's next epoch.
    #[must_use]
    pub fn judge(&self, noted: LogIdentity, position: Position, head: Position) -> Standing {
        let current = self.identity();
        if noted.log_id != current.log_id {
            return Standing::OtherLog;
        }
        let mut epochs = self.epochs.iter();
        match epochs.find(|start| start.epoch > noted.epoch) {
            Some(next) if position < next.first_position => Standing::Valid,
            Some(next) => Standing::Beyond {
                kept_to: Position::new(next.first_position.get().saturating_sub(1)),
            },
            None if noted.epoch == current.epoch && position <= head => Standing::Valid,
            None => Standing::Ahead,
        }
    }
}

#[cfg(test)]
mod tests;
