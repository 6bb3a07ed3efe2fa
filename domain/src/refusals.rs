//! Messages that were refused where nobody can be told: over a broker there is no answer.
//!
//! ```text
//! (nothing) ──MessageRefused──▶ kept ──RefusalLifted──▶ read after all
//! ```
//! What comes over HTTP and cannot be read is refused at its index, and its sender knows. What
//! comes over a broker is kept here, as it came and with the reason, so that a person finds it
//! and a later release may read it.
//!
//! Whoever may publish can publish garbage without end, so there is one stream for each hour in
//! which messages were sent, and it keeps so many, [`KEPT_PER_HOUR_MAX`], of so many bytes,
//! [`KEPT_BYTES_PER_HOUR_MAX`], whatever comes. A fleet may take [a part](SHARE) of the room that is
//! left beside its own, so that those who come later find some as well, however much those
//! before them sent. What is more is counted, and noted each time that it has doubled. What is
//! refused once more in the same hour is kept once.

use std::collections::BTreeMap;

use crate::decider::{Decider, Occurrence};
use crate::text::{Comment, Text};
use crate::time::Timestamp;

mod payload;

#[cfg(test)]
mod tests;

/// Most messages that are kept of an hour, of all fleets together.
pub const KEPT_PER_HOUR_MAX: usize = 128;

/// Most bytes of messages, headers and contents, that are kept of an hour: they are in the log for
/// ever, and a year of garbage without end takes some 36 GB.
pub const KEPT_BYTES_PER_HOUR_MAX: usize = 4 * 1024 * 1024;

/// A fleet has no more than what is left, divided by this: a quarter of what it found. So the first
/// one may have 32 messages of a mebibyte together, the fifth one still ten, and the fifteenth one.
pub const SHARE: usize = 3;

/// Most bytes that are kept of a message's content.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Most bytes that are kept of a message's headers, names and values together.
pub const KEPT_HEADER_BYTES_MAX: usize = 16 * 1024;

const HOUR_US: i64 = 3_600_000_000;

/// Why a message was refused, in words, each fault with its pointer.
pub type Explanation = Text<2_000>;

crate::delivery::words! {
    /// What is the matter with a message.
    Refused {
        /// It is not a drone event, or one of its fields is wrong.
        Malformed "malformed",
        /// It is larger than a drone event may be.
        TooLarge "too_large",
        /// Its subject names another fleet, drone or kind than it says itself.
        Misaddressed "misaddressed",
        /// It is of a form that is not taken here, such as a batch.
        UnknownForm "unknown_form",
        /// Another fact of its session has its number already.
        NumberTaken "number_taken",
        /// There was no room for it in its session for as long as a fact may wait.
        NoRoom "no_room",
        /// What is stored of its session, mission or delivery could not be read for so long.
        Unreadable "unreadable",
    }
}

crate::delivery::words! {
    /// In which form a message is.
    MessageForm {
        /// All of it is one JSON text.
        Structured "structured",
        /// Its attributes are headers, and the content is its data.
        Binary "binary",
        /// Another one.
        Other "other",
    }
}

/// Which hour a message was sent in: whole hours since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalHour(i64);

impl RefusalHour {
    /// The hour of a moment.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self(time.micros().div_euclid(HOUR_US))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// A message as it came, and why it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// Over all that came, so that the same is told from another.
    pub digest: [u8; 16],
    /// What is the matter with it.
    pub why: Refused,
    /// The same in words.
    pub explanation: Explanation,
    /// Where it was sent to; where that is longer than this may be, its beginning.
    pub subject: Comment,
    /// Of which form it is.
    pub form: MessageForm,
    /// Those of its headers that a drone event may have, by name and value, as far as
    /// [`KEPT_HEADER_BYTES_MAX`].
    pub headers: Vec<(String, String)>,
    /// Its content, as far as [`KEPT_BYTES_MAX`].
    pub data: Vec<u8>,
    /// How many bytes there were, of those headers and of the content together.
    pub size_bytes: u64,
    /// When it came in first.
    pub received_at: Timestamp,
}

impl RefusedMessage {
    /// Whether nothing of it is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        u64::try_from(self.kept_bytes()) == Ok(self.size_bytes)
    }

    /// How many bytes are kept of it, of headers and content together.
    fn kept_bytes(&self) -> usize {
        let of_headers = self.headers.iter();
        let of_headers = of_headers.map(|(name, value)| name.len() + value.len());
        of_headers.sum::<usize>() + self.data.len()
    }

    /// Whose share of the hour it takes: what stands in its subject where a fleet's name does.
    #[must_use]
    pub fn fleet(&self) -> &str {
        self.subject.as_str().split('.').nth(2).unwrap_or_default()
    }
}

/// An event of an hour's refused messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalEvent {
    /// A message was refused, and is kept.
    MessageRefused {
        /// Its number among the hour's kept ones, from 1.
        number: u64,
        /// What came.
        message: Box<RefusedMessage>,
    },
    /// More were refused than are kept.
    FurtherRefused {
        /// How many at least, since the hour began.
        count: u64,
    },
    /// A message that was kept could be read after all, and was taken.
    RefusalLifted {
        /// Its number.
        number: u64,
    },
}

/// What is asked about an hour's refused messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalCommand {
    /// Keep one.
    Refuse {
        /// What came.
        message: Box<RefusedMessage>,
    },
    /// Note how many were refused beside those that are kept.
    Count {
        /// How many at least, since the hour began.
        count: u64,
        /// The clock.
        now: Timestamp,
    },
    /// Note that one could be read after all.
    Lift {
        /// Its number.
        number: u64,
        /// The clock.
        now: Timestamp,
    },
}

/// Why a message is not kept, or does not become one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalRejection {
    /// So much is kept of this fleet and this hour that it is not.
    #[error("there is no room for a message of this fleet and hour: count it")]
    Full,
    /// There is none of this number.
    #[error("no message of this number was refused in this hour")]
    Unknown,
}

/// The messages that were refused in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// By number: whether each was read after all.
    lifted: BTreeMap<u64, bool>,
    /// The number of each content.
    digests: BTreeMap<[u8; 16], u64>,
    /// What is kept of each fleet.
    fleets: BTreeMap<String, Room>,
    /// The same of all.
    all: Room,
    further: u64,
}

/// What some messages take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    messages: usize,
    bytes: usize,
}

impl Room {
    /// With one message more.
    fn with(self, message: &RefusedMessage) -> Self {
        Self {
            messages: self.messages.saturating_add(1),
            bytes: self.bytes.saturating_add(message.kept_bytes()),
        }
    }
}

impl Refusals {
    /// How many were refused beside those that are kept, as far as that is noted.
    #[must_use]
    pub const fn further(&self) -> u64 {
        self.further
    }

    /// Whether the message of a number was read after all; `None` if there is none.
    #[must_use]
    pub fn is_lifted(&self, number: u64) -> Option<bool> {
        self.lifted.get(&number).copied()
    }

    fn has_room(&self, message: &RefusedMessage) -> bool {
        let of_fleet = self.fleets.get(message.fleet()).copied();
        let wanted = of_fleet.unwrap_or_default().with(message);
        let taken = self.all.with(message);
        let fits = |wanted: usize, taken: usize, most: usize| {
            most.checked_sub(taken)
                .is_some_and(|left| wanted <= left.div_ceil(SHARE))
        };
        fits(wanted.messages, taken.messages, KEPT_PER_HOUR_MAX)
            && fits(wanted.bytes, taken.bytes, KEPT_BYTES_PER_HOUR_MAX)
    }
}

impl Decider for Refusals {
    type State = Self;
    type Command = RefusalCommand;
    type Event = RefusalEvent;
    type Rejection = RefusalRejection;

    fn initial() -> Self {
        Self::default()
    }

    fn decide(
        command: &RefusalCommand,
        state: &Self,
    ) -> Result<Vec<Occurrence<RefusalEvent>>, RefusalRejection> {
        match command {
            RefusalCommand::Refuse { message } if state.digests.contains_key(&message.digest) => {
                Ok(vec![])
            }
            RefusalCommand::Refuse { message } if !state.has_room(message) => {
                Err(RefusalRejection::Full)
            }
            RefusalCommand::Refuse { message } => {
                let last = state
                    .lifted
                    .last_key_value()
                    .map_or(0, |(number, _)| *number);
                let event = RefusalEvent::MessageRefused {
                    number: last.saturating_add(1),
                    message: message.clone(),
                };
                Ok(vec![Occurrence::new(event, message.received_at)])
            }
            RefusalCommand::Count { count, .. } if *count <= state.further => Ok(vec![]),
            RefusalCommand::Count { count, now } => Ok(vec![Occurrence::new(
                RefusalEvent::FurtherRefused { count: *count },
                *now,
            )]),
            RefusalCommand::Lift { number, now } => match state.is_lifted(*number) {
                None => Err(RefusalRejection::Unknown),
                Some(true) => Ok(vec![]),
                Some(false) => Ok(vec![Occurrence::new(
                    RefusalEvent::RefusalLifted { number: *number },
                    *now,
                )]),
            },
        }
    }

    fn evolve(mut state: Self, occurrence: &Occurrence<RefusalEvent>) -> Self {
        match &occurrence.event {
            RefusalEvent::MessageRefused { number, message } => {
                if !state.lifted.contains_key(number) {
                    state.lifted.insert(*number, false);
                    state.digests.insert(message.digest, *number);
                    let of_fleet = state.fleets.entry(message.fleet().to_owned());
                    let of_fleet = of_fleet.or_default();
                    *of_fleet = of_fleet.with(message);
                    state.all = state.all.with(message);
                }
            }
            RefusalEvent::FurtherRefused { count } => state.further = state.further.max(*count),
            RefusalEvent::RefusalLifted { number } => {
                if let Some(is_lifted) = state.lifted.get_mut(number) {
                    *is_lifted = true;
                }
            }
        }
        state
    }
}
