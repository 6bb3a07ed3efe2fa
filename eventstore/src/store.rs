//! The contract of an event store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;

use crate::error::{AppendError, ReadError};
use crate::event::{Commit, EventType, Record};
use crate::history::LogHistory;
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::stream::{Category, StreamId};
use uuid::Uuid;

/// The answer of an append, when it comes.
///
/// Dropping it does not take the commit back.
pub type Appending = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

/// An append-only log of commits over streams.
///
/// * J1 A commit is atomic: nobody sees part of it.
/// * J2 Positions are dense: `n + 1` visible means `n` visible.
/// * J3 Nothing is visible before it is durable, to its writer neither.
/// * J4 What was acknowledged survives a crash and a power cut, as far as the
///   implementation has a disk at all.
/// * J5 Stream versions are contiguous.
/// * J6 The same commit id on the same streams with the same expected versions
///   is one commit, however often it is appended.
/// * J7 Of two appends that expect the same version of a stream exactly one wins.
/// * J8 A page says how far it was scanned; a hole is an error, never skipped.
/// * J10 A filter that lets nothing through still advances.
///
/// Reads are synchronous: they come from memory or the page cache and take
/// microseconds, but may wait for a disk.
pub trait EventStore: Send + Sync + fmt::Debug {
    /// Appends all of a commit, or nothing.
    ///
    /// The streams' versions are checked against everything appended before,
    /// also what is not durable yet. When the answer is `Ok` the commit is
    /// durable and visible. A commit that is already there (its id is that of
    /// the record right after the expected version of its first stream with
    /// events) is answered as it was the first time, as `Duplicate`.
    ///
    /// # Errors
    /// [`AppendError`]; only `Indeterminate` leaves open whether it was written.
    fn append(&self, commit: Commit) -> Appending;

    /// The records of a stream that hold events after version `after`, oldest
    /// first, whole, within the budget (but at least one, if there is one).
    ///
    /// # Errors
    /// [`ReadError`].
    fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError>;

    /// The records after position `after` that the filter lets through, in
    /// order, within the budget (but at least one position is scanned, if there is one).
    ///
    /// # Errors
    /// [`ReadError`].
    fn read_all(&self, after: Position, filter: &Filter, budget: Budget)
    -> Result<Page, ReadError>;

    /// The last visible position, now and whenever it moves.
    fn head(&self) -> watch::Receiver<Position>;

    /// Which log this is, and its current epoch.
    fn identity(&self) -> LogIdentity;

    /// Where each of its epochs begins: what older checkpoints and tokens are judged by.
    fn history(&self) -> LogHistory {
        LogHistory::one_epoch(self.identity())
    }

    /// Whether appends are taken at this moment, and why not.
    fn health(&self) -> Health;

    /// Whether other nodes write the same log, so that what they know of it may
    /// not be here yet.
    fn is_shared(&self) -> bool {
        false
    }
}

/// What a store can do at this moment. Reads go on in every state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Appends are taken.
    Writable,
    /// The disk is full, or nearly so: appends are answered `Full` until there
    /// is space again; it is looked for by itself.
    Full,
    /// The disk failed in a way after which nothing it says about earlier
    /// writes can be trusted: appends are refused until the store is opened
    /// again.
    ReadOnly {
        /// What happened.
        why: String,
    },
    /// The log is on a cluster, which takes nothing at this moment: appends wait,
    /// or are refused, and succeed again by themselves when it does.
    Outage {
        /// What is in the way.
        kind: OutageKind,
        /// What the cluster said, or that it said nothing.
        why: String,
    },
    /// It was closed.
    Closed,
}

/// What is in the way while a cluster takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// Its servers do not answer, or too few of them do for one to lead.
    Unanswered,
    /// They answer, and have no room for what is written.
    Full,
    /// They have less of the log than this node: what is missing has to be
    /// published again from the longest journal, if it does not come back.
    Behind,
    /// They do not give a part of the log that they should have.
    Unreadable,
    /// They refuse what is written, by the stream's settings.
    Refused,
    /// They know nothing of the log, or of another one in its place: somebody removed it.
    Missing,
    /// They keep the log in a way that could lose what they acknowledge: somebody changed that.
    Unfit,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Each part that has events, in the commit's order.
    pub parts: Vec<AppendedPart>,
    /// Whether this call wrote it.
    pub outcome: Outcome,
}

impl Appended {
    /// The commit's last position.
    #[must_use]
    pub fn position(&self) -> Position {
        self.parts
            .last()
            .map_or(Position::START, |part| part.position)
    }
}

/// Where one part of a commit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedPart {
    /// The stream.
    pub stream: StreamId,
    /// The record's position.
    pub position: Position,
    /// The stream's version after it.
    pub version: StreamVersion,
}

/// Whether an append wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written now.
    Committed,
    /// It had been written before.
    Duplicate,
}

/// How much one read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most records returned.
    pub records_max: usize,
    /// Most bytes of payload returned or scanned, roughly.
    pub bytes_max: usize,
}

impl Budget {
    /// A page for one look-up or one step of a subscription.
    pub const PAGE: Self = Self {
        records_max: 1_000,
        bytes_max: 4 * 1024 * 1024,
    };
}

/// Which records a reader wants. Empty lists and `None` want everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Streams of these categories.
    pub categories: Vec<Category>,
    /// Records with at least one event of these types.
    pub event_types: Vec<EventType>,
    /// Streams of this owner.
    pub owner: Option<Uuid>,
}

impl Filter {
    /// Lets everything through.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether a record is wanted. A record is passed on whole or not at all.
    #[must_use]
    pub fn wants(&self, record: &Record) -> bool {
        (self.categories.is_empty() || self.categories.contains(&record.stream.category))
            && self.owner.is_none_or(|owner| record.owner == Some(owner))
            && (self.event_types.is_empty()
                || record
                    .events
                    .iter()
                    .any(|event| self.event_types.contains(&event.event_type)))
    }
}

/// A piece of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPage {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// The version after the last record returned; `after` if there is none.
    pub read_to: StreamVersion,
    /// The stream's version when it was read.
    pub version: StreamVersion,
}

/// A piece of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records that the filter let through, in order.
    pub records: Vec<Record>,
    /// How far the log was read, also where the filter let nothing through.
    pub scanned_to: Position,
    /// The head when it was read.
    pub head: Position,
}
