//! Which operations go on, and when is one to be looked at?
//!
//! ```text
//! row  operation                  an operation, and until when it waits
//! index 1 (deadline, operation)   one that is to be looked at then if nothing happens before
//! index 2 operation               one of which something is left to be done
//! ```
//! What an operation waits for is the domain's to say: see
//! [`OperationEvent::turn`](domain::scheduling::OperationEvent::turn). The row of one that has
//! ended stays, so that folding its events again does not begin it anew.

use domain::id::{DeliveryId, OperationId};
use domain::scheduling::{OperationEvent, OperationKind, Turn};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, read_part, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const DUE: u8 = 1;
const OPEN: u8 = 2;

/// Most operations of one answer.
pub const OPERATIONS_PER_PAGE_MAX: usize = 1_000;

/// An operation of which something is left to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOperation {
    /// It.
    pub id: OperationId,
    /// What it is for.
    pub kind: OperationKind,
    /// The delivery it is about.
    pub delivery: DeliveryId,
}

/// An operation that waits for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueOperation {
    /// The moment.
    pub at: Timestamp,
    /// It.
    pub id: OperationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRow {
    #[serde(with = "crate::stored")]
    kind: OperationKind,
    #[serde(with = "crate::stored")]
    delivery: DeliveryId,
    #[serde(with = "crate::stored")]
    next_at: Option<Timestamp>,
    has_ended: bool,
    position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct OpenOperations;

impl Projection for OpenOperations {
    fn name(&self) -> &'static str {
        "open_operations"
    }

    fn version(&self) -> u32 {
        1
    }

    /// Only the operation itself stands still whose record cannot be folded.
    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Operation]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let Facts::Operation(events) = facts else {
            return Ok(());
        };
        let id = record.stream.key.as_bytes();
        let key = Key::row().id(id);
        let before = match view.get(&key)? {
            Some(bytes) => Some(from_bytes::<StoredRow>(&bytes)?),
            None => None,
        };
        if before.is_some_and(|row| row.position >= record.position) {
            return Ok(());
        }
        let Some(row) = folded(before, events, record.position) else {
            return Ok(());
        };
        if let Some(at) = before.and_then(StoredRow::due_at) {
            view.remove(Key::index(DUE).instant(at.micros()).id(id));
        }
        if let Some(at) = row.due_at() {
            view.put(Key::index(DUE).instant(at.micros()).id(id), Vec::new());
        }
        if row.has_ended {
            view.remove(Key::index(OPEN).id(id));
        } else {
            view.put(Key::index(OPEN).id(id), Vec::new());
        }
        view.put(key, to_bytes(&row));
        Ok(())
    }
}

impl StoredRow {
    fn due_at(self) -> Option<Timestamp> {
        self.next_at.filter(|_| !self.has_ended)
    }
}

fn folded(
    before: Option<StoredRow>,
    events: &[OperationEvent],
    position: Position,
) -> Option<StoredRow> {
    let mut row = before;
    for event in events {
        if let OperationEvent::OperationStarted { kind, delivery, .. } = event {
            row = row.filter(|row| !row.has_ended).or(Some(StoredRow {
                kind: *kind,
                delivery: *delivery,
                next_at: None,
                has_ended: false,
                position,
            }));
        }
        let Some(row) = &mut row else { continue };
        match event.turn() {
            Turn::Same => {}
            Turn::Until(at) => row.next_at = at,
            Turn::Ended => {
                row.next_at = None;
                row.has_ended = true;
            }
            Turn::Resumed => row.has_ended = false,
        }
    }
    row.map(|row| StoredRow { position, ..row })
}

/// The operations after one that wait for a moment up to `now`, the oldest first, at most
/// [`OPERATIONS_PER_PAGE_MAX`].
pub(crate) fn due(
    view: &Overlay<'_>,
    after: Option<DueOperation>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DueOperation>, ViewStoreError> {
    let limit = limit.min(OPERATIONS_PER_PAGE_MAX);
    let place = |due: DueOperation| {
        let key = Key::index(DUE).instant(due.at.micros());
        key.id(due.id.uuid().as_bytes())
    };
    let range = match after {
        None => Key::index(DUE).prefix(),
        Some(after) => Key::index(DUE).prefix_after(place(after)),
    };
    let mut due = Vec::new();
    for (key, _) in view.scan(&range, Direction::Forward, limit)? {
        let mut parts = KeyParts::of_index(&key, DUE).ok_or_else(without_key)?;
        let at = parts
            .instant()
            .and_then(|at| Timestamp::from_micros(at).ok());
        let at = at.ok_or_else(without_key)?;
        if at > now {
            break;
        }
        let id = read_part(parts.id())?;
        due.push(DueOperation { at, id });
    }
    Ok(due)
}

/// The operations of which something is left to be done, after one, by id, at most
/// [`OPERATIONS_PER_PAGE_MAX`].
pub(crate) fn open(
    view: &Overlay<'_>,
    after: Option<OperationId>,
    limit: usize,
) -> Result<Vec<OpenOperation>, ViewStoreError> {
    let limit = limit.min(OPERATIONS_PER_PAGE_MAX);
    let range = match after {
        None => Key::index(OPEN).prefix(),
        Some(after) => Key::index(OPEN).prefix_after(Key::index(OPEN).id(after.uuid().as_bytes())),
    };
    let entries = view.scan(&range, Direction::Forward, limit)?;
    let operations = entries.iter().map(|(key, _)| {
        let id = KeyParts::of_index(key, OPEN).and_then(|mut parts| parts.id());
        let id = id.ok_or_else(without_key)?;
        let row = view.get(&Key::row().id(&id))?;
        let row = row.ok_or_else(|| ViewStoreError::unreadable("an operation without its row"))?;
        let row = from_bytes::<StoredRow>(&row)?;
        Ok(OpenOperation {
            id: read_part(Some(id))?,
            kind: row.kind,
            delivery: row.delivery,
        })
    });
    operations.collect()
}

fn without_key() -> ViewStoreError {
    ViewStoreError::unreadable("an entry without key")
}
