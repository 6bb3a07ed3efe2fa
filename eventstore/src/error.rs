//! One error for each operation, saying what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::{CommitId, EventType, SchemaVersion};
use crate::journal::LockHolder;
use crate::position::{Position, StreamVersion};
use crate::stream::StreamId;

/// Why nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another commit came first. Nothing was written.
    #[error("stream {stream} is at version {actual}: load it again and decide anew")]
    Conflict {
        /// The first stream of the commit that has another version.
        stream: StreamId,
        /// Its version, staged commits included.
        actual: StreamVersion,
    },
    /// The machine failed after the write had begun: it may be on disk, or not.
    #[error("whether commit {commit_id} was written is not known: send it again with the same id")]
    Indeterminate {
        /// The commit.
        commit_id: CommitId,
    },
    /// The commit can never be accepted as it is. Nothing was written.
    #[error("the commit is malformed: {why}")]
    Malformed {
        /// Which rule of [`Commit`](crate::Commit) it breaks.
        why: &'static str,
    },
    /// An event has a schema that this release does not know. Nothing was written.
    #[error(
        "event type {}, schema {} is not known here: run a release that knows it",
        .event_type.0,
        .schema.0
    )]
    UnknownSchema {
        /// The event's type.
        event_type: EventType,
        /// Its schema.
        schema: SchemaVersion,
    },
    /// A limit of [`limits`](crate::limits) was passed. Nothing was written.
    #[error("the commit has {size} {what}, at most {max} are accepted: split it")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        size: usize,
        /// How many there may be.
        max: usize,
    },
    /// The queue is full. Nothing was written.
    #[error("the store is busy: try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When it may be worth while.
        retry_after: Duration,
    },
    /// The disk is full, or nearly so. Nothing was written.
    #[error("the disk is full: free some space, appends then resume by themselves")]
    Full,
    /// The store takes no writes until it is opened again, or is closed, or its
    /// cluster answers again. Nothing was written.
    #[error("the store takes no writes: {why}")]
    Unavailable {
        /// What happened, in words for the operator.
        why: String,
    },
}

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What lies on disk is not what was written there.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The disk did not answer.
    #[error("reading the log failed: {why}")]
    Unavailable {
        /// The operating system's words, and the file.
        why: String,
    },
}

/// A place in a file whose bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is corrupt at byte {offset}: {why}", file.display())]
pub struct Corruption {
    /// The file.
    pub file: PathBuf,
    /// Where in it, bytes from its beginning.
    pub offset: u64,
    /// What does not hold.
    pub why: String,
}

/// Why a log could not be opened. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is held by {}: stop that one first", lock.display(), holder_in_words(holder.as_ref()))]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// Who has it, as far as they left it there.
        holder: Option<LockHolder>,
    },
    /// The journal is damaged before its end, where nothing can be cut off.
    #[error(
        "{0}; restore from a backup: airpost recover only gives up what is damaged at the journal's end"
    )]
    Corrupt(#[from] Corruption),
    /// Acknowledged records at the journal's end are damaged.
    #[error("{0}; restore from a backup, or see what airpost recover can keep")]
    CorruptEnd(Corruption),
    /// The journal ends before what is known to have been durable.
    #[error(
        "the journal ends at position {head}, but position {known} was acknowledged: restore it from a backup, or see what airpost recover says about going on without"
    )]
    Regressed {
        /// Where it is known to have reached.
        known: Position,
        /// Where it ends.
        head: Position,
    },
    /// A restore or an import into this place was begun and not finished.
    #[error("{} was not filled to the end: run the same restore or import again, or remove that folder", staging.display())]
    Unfinished {
        /// What there is of it.
        staging: PathBuf,
    },
    /// It was written by another version of the format.
    #[error("{} has format version {found}, this release reads {supported}: run the release that wrote it, or a later one", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

fn holder_in_words(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), LockHolder::to_string)
}
