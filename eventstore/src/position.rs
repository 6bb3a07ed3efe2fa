//! Where a record lies in the log, and how far a stream has come.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The place of a record in the log: dense from 1, the global order.
///
/// Once a position is visible there is never a gap before it and it is never
/// given to another record of the same [`LogIdentity`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(u64);

impl Position {
    /// Before the first record: the head of an empty log.
    pub const START: Self = Self(0);

    /// The position with this number; 0 is [`Position::START`].
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of records up to and including this position.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position that many records further on.
    ///
    /// # Panics
    /// Past `u64::MAX`, which no log reaches.
    #[must_use]
    pub const fn plus(self, records: u64) -> Self {
        Self(
            self.0
                .checked_add(records)
                .expect("a log holds fewer than 2^64 records"),
        )
    }

    /// The position right after this one.
    ///
    /// # Panics
    /// Past `u64::MAX`: of a number that did not come from a log,
    /// [`Position::checked_next`] is to be asked.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The position right after this one; `None` past `u64::MAX`.
    #[must_use]
    pub const fn checked_next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of events in a stream; 0 for a stream that does not exist.
///
/// The event that made a stream reach version `n` *is* version `n` of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamVersion(u64);

impl StreamVersion {
    /// The version of a stream without events.
    pub const EMPTY: Self = Self(0);

    /// The version of a stream of that many events.
    #[must_use]
    pub const fn new(events: u64) -> Self {
        Self(events)
    }

    /// The number of events in the stream.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after that many more events.
    ///
    /// # Panics
    /// Past `u64::MAX`, which no stream reaches.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(
            self.0
                .checked_add(events)
                .expect("a stream holds fewer than 2^64 events"),
        )
    }
}

impl fmt::Display for StreamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log this is, and which life of it.
///
/// Part of every checkpoint, so that derived state is never judged by
/// positions of another log. `epoch` grows when a log goes on after acknowledged
/// records were knowingly given up (restore, recovery with loss).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogIdentity {
    /// Drawn once, when the log is created.
    pub log_id: Uuid,
    /// 1 for a log that never lost a record.
    pub epoch: u32,
}

impl fmt::Display for LogIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log_id, self.epoch)
    }
}
