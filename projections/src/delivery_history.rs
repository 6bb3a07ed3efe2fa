//! What happened to my delivery, when, and who said so?
//!
//! ```text
//! row  (delivery, chunk)   position and version after the chunk, then bytes of entries
//! ```
//! The entries of a delivery are one sequence of bytes, cut into chunks that fit
//! a value: so an entry may be larger than a chunk, and a new event rewrites
//! the last chunk at most. The events are kept as they were recorded, undecoded:
//! a history can be kept and read even where this release does not know an event.

use domain::id::DeliveryId;
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{EventType, Label, Position, Record, SchemaVersion, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, instant};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

/// Bytes of entries in one chunk; its header fits beside them.
const CHUNK_BYTES: usize = 8_000;

/// Chunks read at a time.
const CHUNKS_PER_READ: usize = 64;

/// One event of a delivery, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The how-manieth event of the delivery it is, from 1.
    pub sequence: StreamVersion,
    /// What happened.
    pub event_type: EventType,
    /// The layout of `payload`.
    pub schema: SchemaVersion,
    /// The event; `domain::codec` reads it.
    pub payload: Vec<u8>,
    /// When it happened.
    pub event_time: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who acted, as recorded.
    pub actor: String,
    /// What made it happen, if anything named did.
    pub caused_by: Option<String>,
    /// The request it belongs to, a UUID's bytes.
    pub correlation_id: [u8; 16],
    /// Concluded from a later fact and not reported itself.
    pub inferred: bool,
}

/// An entry as its bytes are. Times are as recorded, in microseconds.
#[derive(Serialize, Deserialize)]
struct StoredEntry<'e> {
    sequence: StreamVersion,
    event_type: EventType,
    schema: SchemaVersion,
    #[serde(with = "serde_bytes")]
    payload: &'e [u8],
    event_time_us: i64,
    recorded_at_us: i64,
    actor: &'e str,
    caused_by: Option<&'e str>,
    correlation_id: [u8; 16],
    inferred: bool,
}

/// A piece of a delivery's entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    /// The last record that went into this or an earlier chunk.
    position: Position,
    /// The stream's version after it.
    sequence: StreamVersion,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Row for Chunk {
    fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct DeliveryHistory;

impl Projection for DeliveryHistory {
    fn name(&self) -> &'static str {
        "delivery_history"
    }

    fn version(&self) -> u32 {
        1
    }

    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn needs_facts(&self, _record: &Record) -> bool {
        false
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let delivery = record.stream.key.as_bytes();
        let mut number = 0;
        let mut is_full = false;
        // Most deliveries have one chunk, and whatever comes after a chunk has filled it.
        let mut rest = view.change(chunk_key(delivery, number), |chunk| {
            is_full = chunk.as_ref().is_some_and(Chunk::is_full);
            if is_full { None } else { append(chunk, record) }
        })?;
        if is_full {
            number = last_number(view, delivery)?;
            rest = view.change(chunk_key(delivery, number), |chunk| append(chunk, record))?;
        }
        for piece in rest.unwrap_or_default().chunks(CHUNK_BYTES) {
            number = number.saturating_add(1);
            let chunk = Chunk {
                position: record.position,
                sequence: record.last_version(),
                bytes: piece.to_vec(),
            };
            view.put_row(chunk_key(delivery, number), chunk);
        }
        Ok(())
    }
}

impl Chunk {
    const fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }
}

/// Appends a record to the last chunk of its delivery and gives what does not
/// go into it. Nothing if it is there already.
fn append(chunk: &mut Option<Chunk>, record: &Record) -> Option<Vec<u8>> {
    let held = chunk.as_ref().map_or(Position::START, |it| it.position);
    if held >= record.position {
        return None;
    }
    let mut bytes = chunk.take().map_or_else(Vec::new, |chunk| chunk.bytes);
    for entry in entries(record) {
        bytes = postcard::to_extend(&entry, bytes)
            .expect("entries hold nothing that postcard cannot write");
    }
    let rest = bytes.split_off(bytes.len().min(CHUNK_BYTES));
    *chunk = Some(Chunk {
        position: record.position,
        sequence: record.last_version(),
        bytes,
    });
    Some(rest)
}

fn entries(record: &Record) -> impl Iterator<Item = StoredEntry<'_>> {
    record.versioned().map(|(sequence, event)| StoredEntry {
        sequence,
        event_type: event.event_type,
        schema: event.schema,
        payload: &event.payload,
        event_time_us: event.event_time_us,
        recorded_at_us: record.recorded_at_us,
        actor: record.actor.as_str(),
        caused_by: event.cause.as_ref().map(Label::as_str),
        correlation_id: *record.correlation_id.as_bytes(),
        inferred: event.inferred,
    })
}

fn chunk_key(delivery: &[u8; 16], number: u32) -> Key {
    Key::row().id(delivery).number(number)
}

/// The number of the last chunk of a delivery that has some.
fn last_number(view: &Overlay<'_>, delivery: &[u8; 16]) -> Result<u32, ViewStoreError> {
    let chunks = Key::row().id(delivery).prefix();
    let last = view.scan(&chunks, Direction::Backward, 1)?.pop();
    let number = last.and_then(|(key, _)| key.last_chunk().copied());
    number
        .map(u32::from_be_bytes)
        .ok_or_else(|| ViewStoreError::unreadable("a chunk without a number"))
}

/// How far the view knows a delivery's stream.
pub(crate) fn sequence(
    view: &Overlay<'_>,
    id: DeliveryId,
) -> Result<StreamVersion, ViewStoreError> {
    let id = id.uuid();
    let delivery = id.as_bytes();
    let mut last = view.row::<Chunk>(&chunk_key(delivery, 0))?;
    if last.as_ref().is_some_and(Chunk::is_full) {
        last = view.row(&chunk_key(delivery, last_number(view, delivery)?))?;
    }
    Ok(last.map_or(StreamVersion::EMPTY, |chunk| chunk.sequence))
}

/// All events of a delivery, oldest first; none if there is no such delivery.
///
/// A delivery's events are bounded by the domain: few missions, few anomalies.
pub(crate) fn history(
    view: &Overlay<'_>,
    id: DeliveryId,
) -> Result<Vec<HistoryEntry>, ViewStoreError> {
    let mut range = Key::row().id(id.uuid().as_bytes()).prefix();
    let mut bytes = Vec::new();
    loop {
        let chunks = view.scan(&range, Direction::Forward, CHUNKS_PER_READ)?;
        let Some((last, _)) = chunks.last() else {
            break;
        };
        range = range.after(last);
        for (_, value) in &chunks {
            bytes.extend(from_bytes::<Chunk>(value)?.bytes);
        }
    }
    let mut rest = bytes.as_slice();
    let mut history = Vec::new();
    while !rest.is_empty() {
        let (entry, after) = postcard::take_from_bytes::<StoredEntry<'_>>(rest)
            .map_err(ViewStoreError::unreadable)?;
        history.push(entry.into());
        rest = after;
    }
    Ok(history)
}

impl From<StoredEntry<'_>> for HistoryEntry {
    fn from(entry: StoredEntry<'_>) -> Self {
        Self {
            sequence: entry.sequence,
            event_type: entry.event_type,
            schema: entry.schema,
            payload: entry.payload.to_vec(),
            event_time: instant(entry.event_time_us),
            recorded_at: instant(entry.recorded_at_us),
            actor: entry.actor.to_owned(),
            caused_by: entry.caused_by.map(str::to_owned),
            correlation_id: entry.correlation_id,
            inferred: entry.inferred,
        }
    }
}
