//! What is appended, and what is read back.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::LABEL_BYTES_MAX;
use crate::position::{Position, StreamVersion};
use crate::stream::{Expected, StreamId};

/// Identifies one commit, also over retries: derived from what caused it
/// (UUID v5 of source and command id), never drawn anew for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommitId(pub Uuid);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an event type. The numbers belong to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventType(pub u16);

/// The version of an event type's payload layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaVersion(pub u16);

/// A short text that the store keeps and does not read: who acted, what caused it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label(String);

/// A text was longer than a [`Label`] may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label has {bytes} bytes, at most {LABEL_BYTES_MAX} are kept")]
pub struct LabelTooLong {
    /// Its length, bytes.
    pub bytes: usize,
}

impl Label {
    /// Takes a text of at most [`LABEL_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`LabelTooLong`] for a longer one.
    pub fn new(text: impl Into<String>) -> Result<Self, LabelTooLong> {
        let text = text.into();
        if text.len() > LABEL_BYTES_MAX {
            return Err(LabelTooLong { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One event: a type, a schema version and bytes that the store never interprets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// What happened.
    pub event_type: EventType,
    /// The layout of `payload`.
    pub schema: SchemaVersion,
    /// When it happened, microseconds since the Unix epoch, UTC. May lie
    /// before or after its neighbours': only positions are ordered.
    pub event_time_us: i64,
    /// Concluded from a later fact and not reported itself.
    pub inferred: bool,
    /// What made it happen (a command's id, a drone event's id), if anything named did.
    pub cause: Option<Label>,
    /// The encoded event.
    pub payload: Vec<u8>,
}

/// The events of one commit on one stream. Without events it is a *guard*:
/// the expected version is checked and nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The stream.
    pub stream: StreamId,
    /// Whose stream it is (a user's id), so that a filter by owner needs no look-up.
    pub owner: Option<Uuid>,
    /// The version the stream must have.
    pub expected: Expected,
    /// What is appended, in order.
    pub events: Vec<Event>,
}

/// All or nothing: the parts become visible together, on consecutive
/// positions in the order given, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Same id, same commit: see [`EventStore::append`](crate::EventStore::append).
    pub id: CommitId,
    /// The caller's clock, microseconds since the Unix epoch, UTC. What is
    /// recorded is the larger of this and the previous record's time.
    pub clock_us: i64,
    /// Who acted.
    pub actor: Label,
    /// Ties together everything that one request set in motion.
    pub correlation_id: Uuid,
    /// At least one part has events; no stream occurs twice.
    pub parts: Vec<Part>,
}

/// One commit's events on one stream, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub position: Position,
    /// The commit it belongs to.
    pub commit_id: CommitId,
    /// The stream.
    pub stream: StreamId,
    /// Whose stream it is.
    pub owner: Option<Uuid>,
    /// The version its first event gave the stream; the others follow densely.
    pub first_version: StreamVersion,
    /// When it was appended, microseconds since the Unix epoch, UTC; never
    /// smaller than that of the record before it.
    pub recorded_at_us: i64,
    /// Who acted.
    pub actor: Label,
    /// The request it belongs to.
    pub correlation_id: Uuid,
    /// Never empty.
    pub events: Vec<Event>,
}

impl Record {
    /// The stream's version after this record.
    #[must_use]
    pub fn last_version(&self) -> StreamVersion {
        StreamVersion::new(self.first_version.get() + self.events.len() as u64 - 1)
    }

    /// Each event with its version.
    pub fn versioned(&self) -> impl Iterator<Item = (StreamVersion, &Event)> {
        (self.first_version.get()..)
            .map(StreamVersion::new)
            .zip(&self.events)
    }
}

/// The id of an event: UUID v5 of its stream and version, so it is the same
/// wherever and whenever it is asked for, and takes no room in the log.
#[must_use]
pub fn event_id(stream: StreamId, version: StreamVersion) -> Uuid {
    let mut name = [0; 10];
    let (category, number) = name.split_at_mut(2);
    category.copy_from_slice(&stream.category.get().to_be_bytes());
    number.copy_from_slice(&version.get().to_be_bytes());
    Uuid::new_v5(&stream.key, &name)
}
