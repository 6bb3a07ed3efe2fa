//! What a projection is: one question, answered by folding the log into a view.

use domain::codec::{DecodeError, StoredEvent};
use domain::delivery::DeliveryEvent;
use domain::refusals::RefusalEvent;
use domain::scheduling::OperationEvent;
use domain::session::SessionEvent;
use domain::stream::Category;
use domain::task::TaskEvent;
use domain::user::UserEvent;
use eventstore::{Position, Record, StreamId};

use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::view_store::ViewStoreError;

/// Folds records into a view, one after the other.
///
/// * It is pure: no clock, no I/O but on the view, no side effect, so that a
///   rebuild gives the same bytes.
/// * It is total: whatever can be decoded is folded, also what no correct
///   writer would have written.
/// * Projecting a record again that the view already holds changes nothing.
///
/// A record that cannot be decoded, or at which a projection panics, concerns
/// this projection and no other: [`Projection::poison`] says what becomes of it.
pub(crate) trait Projection: Send + Sync {
    /// What the view is called, for ever.
    fn name(&self) -> &'static str;

    /// Grows whenever the same records give other entries: the view is then built anew.
    fn version(&self) -> u32;

    /// The code of the version before, for as long as a release brings it along:
    /// the view that it has built then goes on answering and following the log
    /// until the new one is there. The queries of this release must be able to
    /// read the entries of both.
    fn retired(&self) -> Option<&'static dyn Projection> {
        None
    }

    /// What becomes of a record that it cannot fold.
    fn poison(&self) -> Poison {
        Poison::Halt
    }

    /// The categories of the streams it folds.
    fn categories(&self) -> &'static [Category];

    /// What each of its entries comes from, so that a fold of that alone tells
    /// what they must be.
    fn sources(&self) -> Sources {
        if self.poison() == Poison::ParkStream {
            Sources::Stream
        } else {
            Sources::Log
        }
    }

    /// Whether it looks into this record's events; if not, it takes them undecoded.
    fn needs_facts(&self, _record: &Record) -> bool {
        true
    }

    /// The streams whose first record ends a wait that this record begins. Where
    /// this record is folded late, because its stream was parked, they are folded
    /// once more behind it: so it does not matter when it is folded.
    fn awaits(&self, _facts: &Facts) -> Vec<StreamId> {
        Vec::new()
    }

    /// Folds a whole record of one of its categories.
    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError>;

    /// Whether it folds this record.
    fn wants(&self, record: &Record) -> bool {
        let number = record.stream.category.get();
        self.categories()
            .iter()
            .any(|category| category.number() == number)
    }
}

/// What an entry of a view comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sources {
    /// One stream.
    Stream,
    /// A user's own stream, and those of all their deliveries.
    User,
    /// A drone session's stream, and that there is what its facts wait for.
    Session,
    /// Any streams, in the order of the log: only the whole log tells.
    Log,
}

/// A record's events, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// Of a delivery.
    Delivery(Vec<DeliveryEvent>),
    /// Of a user.
    User(Vec<UserEvent>),
    /// Of a drone session.
    Session(Vec<SessionEvent>),
    /// Of an hour's refused messages.
    Refusals(Vec<RefusalEvent>),
    /// Of something that a person has to look at.
    Task(Vec<TaskEvent>),
    /// Of something that goes on after its request was answered.
    Operation(Vec<OperationEvent>),
    /// Of a stream that no view is made from.
    Other,
    /// They cannot be read.
    Undecodable(Undecodable),
}

/// A recorded event that this release cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record at position {position} cannot be read: {why}")]
pub struct Undecodable {
    /// Where it lies.
    pub position: Position,
    /// What does not fit, and what helps.
    pub why: DecodeError,
}

/// Why a projection stands still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The next record cannot be read.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// Folding the next record panicked: a bug.
    #[error("folding the record at position {position} panicked: {why}")]
    Panicked {
        /// The record.
        position: Position,
        /// The panic's words.
        why: String,
    },
}

impl Halt {
    /// The record that cannot be folded.
    #[must_use]
    pub const fn position(&self) -> Position {
        match self {
            Self::Undecodable(undecodable) => undecodable.position,
            Self::Panicked { position, .. } => *position,
        }
    }
}

impl Facts {
    /// Decodes a record.
    pub(crate) fn of(record: &Record) -> Self {
        let decoded = match category(record.stream) {
            Some(Category::Delivery) => decode(record).map(Self::Delivery),
            Some(Category::User) => decode(record).map(Self::User),
            Some(Category::DroneSession) => decode(record).map(Self::Session),
            Some(Category::Refusals) => decode(record).map(Self::Refusals),
            Some(Category::Task) => decode(record).map(Self::Task),
            Some(Category::Operation) => decode(record).map(Self::Operation),
            Some(
                Category::EmailClaim
                | Category::ExternalIdClaim
                | Category::Mission
                | Category::Package
                | Category::TagClaim
                | Category::Command
                | Category::Dispatch,
            )
            | None => Ok(Self::Other),
        };
        decoded.unwrap_or_else(Self::Undecodable)
    }
}

/// The kind of a stream, if this release knows it.
pub(crate) fn category(stream: StreamId) -> Option<Category> {
    Category::from_number(stream.category.get())
}

fn decode<E: StoredEvent>(record: &Record) -> Result<Vec<E>, Undecodable> {
    let events = record.events.iter();
    let decoded = events.map(|event| E::decode(event.event_type.0, event.schema.0, &event.payload));
    decoded.collect::<Result<_, _>>().map_err(|why| {
        let position = record.position;
        Undecodable { position, why }
    })
}
