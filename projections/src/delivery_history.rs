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
use eventstore::{EventType, Position, Record, SchemaVersion, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, instant, to_bytes};
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
struct StoredEntry {
    sequence: StreamVersion,
    event_type: EventType,
    schema: SchemaVersion,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    event_time_us: i64,
    recorded_at_us: i64,
    actor: String,
    caused_by: Option<String>,
    correlation_id: [u8; 16],
    inferred: bool,
}

/// A piece of a delivery's entries.
#[derive(Serialize, Deserialize)]
struct Chunk {
    /// The last record that went into this or an earlier chunk.
    position: Position,
    /// The stream's version after it.
    sequence: StreamVersion,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
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

    fn needs_facts(&self) -> bool {
        false
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let delivery = record.stream.key.as_bytes();
        let (mut number, mut bytes) = match last_chunk(view, delivery)? {
            Some((_, chunk)) if chunk.position >= record.position => return Ok(()),
            Some((number, chunk)) => (number, chunk.bytes),
            None => (0, Vec::new()),
        };
        for entry in entries(record) {
            bytes.extend(to_bytes(&entry));
        }
        for piece in bytes.chunks(CHUNK_BYTES) {
            let chunk = Chunk {
                position: record.position,
                sequence: record.last_version(),
                bytes: piece.to_vec(),
            };
            view.put(Key::row().id(delivery).number(number), to_bytes(&chunk));
            number = number.saturating_add(1);
        }
        Ok(())
    }
}

fn entries(record: &Record) -> impl Iterator<Item = StoredEntry> {
    record.versioned().map(|(sequence, event)| StoredEntry {
        sequence,
        event_type: event.event_type,
        schema: event.schema,
        payload: event.payload.clone(),
        event_time_us: event.event_time_us,
        recorded_at_us: record.recorded_at_us,
        actor: record.actor.as_str().to_owned(),
        caused_by: event.cause.as_ref().map(|cause| cause.as_str().to_owned()),
        correlation_id: *record.correlation_id.as_bytes(),
        inferred: event.inferred,
    })
}

fn last_chunk(
    view: &Overlay<'_>,
    delivery: &[u8; 16],
) -> Result<Option<(u32, Chunk)>, ViewStoreError> {
    // Most deliveries have one chunk, and whatever comes after a chunk has filled it.
    let Some(first) = view.get(&Key::row().id(delivery).number(0))? else {
        return Ok(None);
    };
    let first: Chunk = from_bytes(&first)?;
    if first.bytes.len() < CHUNK_BYTES {
        return Ok(Some((0, first)));
    }
    let chunks = Key::row().id(delivery).prefix();
    let last = view.scan(&chunks, Direction::Backward, 1)?.pop();
    let Some((key, value)) = last else {
        return Ok(None);
    };
    let number = key.last_chunk().map(|number| u32::from_be_bytes(*number));
    let number = number.ok_or_else(|| ViewStoreError::unreadable("a chunk without a number"))?;
    Ok(Some((number, from_bytes(&value)?)))
}

/// How far the view knows a delivery's stream.
pub(crate) fn sequence(
    view: &Overlay<'_>,
    id: DeliveryId,
) -> Result<StreamVersion, ViewStoreError> {
    let last = last_chunk(view, id.uuid().as_bytes())?;
    Ok(last.map_or(StreamVersion::EMPTY, |(_, chunk)| chunk.sequence))
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
        let (entry, after) =
            postcard::take_from_bytes::<StoredEntry>(rest).map_err(ViewStoreError::unreadable)?;
        history.push(entry.into());
        rest = after;
    }
    Ok(history)
}

impl From<StoredEntry> for HistoryEntry {
    fn from(entry: StoredEntry) -> Self {
        Self {
            sequence: entry.sequence,
            event_type: entry.event_type,
            schema: entry.schema,
            payload: entry.payload,
            event_time: instant(entry.event_time_us),
            recorded_at: instant(entry.recorded_at_us),
            actor: entry.actor,
            caused_by: entry.caused_by,
            correlation_id: entry.correlation_id,
            inferred: entry.inferred,
        }
    }
}
