//! What happened to a delivery, event by event.

use domain::codec::StoredEvent as _;
use domain::delivery::DeliveryEvent;
use projections::HistoryEntry;
use serde_json::Value;

use crate::http::conditional::EntityTag;
use crate::public_events::told::{Frame, data};

/// Grows when the bytes of a history change for the same events.
const VERSION: u16 = 1;

/// The tag of a history.
pub(crate) fn tag(entries: &[HistoryEntry]) -> EntityTag {
    EntityTag::new(
        entries.last().map_or(0, |entry| entry.sequence.get()),
        VERSION,
    )
}

/// A history, oldest first. It is bounded by the domain (how often a delivery is
/// rescheduled, how many missions it has, how many anomalies), so it has one page.
/// It is written event by event: the longest would make a large tree of values.
pub(crate) fn history_bytes(entries: &[HistoryEntry]) -> Vec<u8> {
    let mut bytes = br#"{"items":["#.to_vec();
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, &item(entry)).expect("a value is written into memory");
    }
    bytes.extend_from_slice(br#"],"next":null}"#);
    bytes
}

fn item(entry: &HistoryEntry) -> Value {
    let event = DeliveryEvent::decode(entry.event_type.0, entry.schema.0, &entry.payload).ok();
    let frame = Frame {
        sequence: entry.sequence.get(),
        event_time: entry.event_time,
        recorded_at: entry.recorded_at,
        actor: &entry.actor,
        caused_by: entry.caused_by.as_deref(),
        inferred: entry.inferred,
    };
    // An event of a later release is shown as far as it is understood.
    let name = event.as_ref().map_or("Unknown", |event| event.name());
    frame.around(name, event.as_ref().map_or(Value::Null, data))
}
