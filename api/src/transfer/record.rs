//! What every form says of a record, and how its parts are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::codec::event_types;
use domain::stream::Category as KnownCategory;
use eventstore::limits::{COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_PARTS_MAX};
use eventstore::{
    Category, CommitPlace, Event, EventType, Label, Record, SCHEMA_CATEGORY, SchemaVersion,
};

use super::BadLine;

/// A record, and where it stands in its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) record: Record,
    pub(super) place: CommitPlace,
}

/// How much of a commit was read, held against what a commit may hold: a file
/// can say of ever more lines that they belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitSize {
    records: usize,
    events: usize,
    /// Of payloads alone: the rest of an event is bounded itself.
    payload_bytes: usize,
}

impl CommitSize {
    /// Of a commit of which nothing was read.
    pub(super) const EMPTY: Self = Self {
        records: 0,
        events: 0,
        payload_bytes: 0,
    };

    /// Takes one record more.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), BadLine> {
        self.records += 1;
        self.take_events(&record.events)
    }

    /// Takes more events of a record.
    pub(super) fn take_events(&mut self, events: &[Event]) -> Result<(), BadLine> {
        self.events += events.len();
        self.payload_bytes += events
            .iter()
            .map(|event| event.payload.len())
            .sum::<usize>();
        for (what, size, max) in [
            ("records", self.records, COMMIT_PARTS_MAX),
            ("events", self.events, COMMIT_EVENTS_MAX),
            ("bytes of payload", self.payload_bytes, COMMIT_BYTES_MAX),
        ] {
            if size > max {
                let why =
                    format!("with it its commit has {size} {what}, and none has more than {max}");
                return Err(BadLine(why));
            }
        }
        Ok(())
    }
}

/// The type of the store's own events, which name the schemas that a log has.
const SCHEMA_REGISTERED: EventType = EventType(0);

/// The name of an event type, if this release knows it.
pub(super) fn type_name(event_type: EventType) -> Option<&'static str> {
    if event_type == SCHEMA_REGISTERED {
        return Some("SchemaRegistered");
    }
    let types = event_types();
    let known = types.iter().find(|known| known.number == event_type.0);
    known.map(|known| known.name)
}

/// The name of a category, if this release knows it.
pub(super) fn category_name(category: Category) -> Option<&'static str> {
    if category == SCHEMA_CATEGORY {
        return Some("schema_registry");
    }
    KnownCategory::from_number(category.get()).map(KnownCategory::name)
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, BadLine> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|error| BadLine(format!("the payload is not base64: {error}")))
}

pub(super) fn label(text: String) -> Result<Label, BadLine> {
    Label::new(text).map_err(|error| BadLine(error.to_string()))
}

/// An event of its parts, as far as the store asks.
pub(super) fn event(
    (event_type, schema): (u16, u16),
    (event_time_us, inferred): (i64, bool),
    cause: Option<String>,
    payload: &str,
) -> Result<Event, BadLine> {
    Ok(Event {
        event_type: EventType(event_type),
        schema: SchemaVersion(schema),
        event_time_us,
        inferred,
        cause: cause.map(label).transpose()?,
        payload: from_base64(payload)?,
    })
}

/// Why a line is no line of the form.
pub(super) fn not_of_form(error: &serde_json::Error) -> BadLine {
    // The place that it names is in the line, whose number the caller adds.
    BadLine(format!("it cannot be read: {error}"))
}
