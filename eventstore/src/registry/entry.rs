//! One entry of the registry, and the commit that adds some.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Commit, CommitId, Event, EventType, Label, Part, SchemaVersion};
use crate::position::StreamVersion;
use crate::stream::{Category, Expected, StreamId};

/// The category of the store's own streams; no caller writes to it.
pub const SCHEMA_CATEGORY: Category = Category::new(0);

/// The stream that names the schemas of a log.
pub const SCHEMA_STREAM: StreamId = StreamId::new(SCHEMA_CATEGORY, Uuid::nil());

/// The type of the registry's own events.
const REGISTERED: EventType = EventType(0);

/// The format of the registry, which is the schema of its events.
const FORMAT: SchemaVersion = SchemaVersion(1);

/// Who registers schemas, as an actor.
const ACTOR: &str = "system";

/// Under which the ids of registrations are made.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d0c_5c7e_9d0f_5b46_8a53_2f1e_71c4_b6a9);

/// What the bytes of a schema look like, as a hash that the caller makes: the
/// same as long as they mean the same. The store only compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchemaFingerprint(pub [u8; 16]);

/// A schema that a release can read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KnownSchema {
    /// The event type.
    pub event_type: EventType,
    /// The schema.
    pub schema: SchemaVersion,
    /// What its bytes look like.
    pub fingerprint: SchemaFingerprint,
}

/// FROZEN: these fields in this order lie in logs, as postcard writes them.
/// Another layout is another format, read beside this one.
#[derive(Debug, Serialize, Deserialize)]
struct RegisteredV1 {
    event_type: u16,
    schema: u16,
    fingerprint: [u8; 16],
}

/// Why an entry is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryError {
    /// It has another format.
    Format { found: u16, supported: u16 },
    /// No release writes such bytes.
    Malformed,
}

impl KnownSchema {
    pub(super) fn encode(&self) -> Vec<u8> {
        let entry = RegisteredV1 {
            event_type: self.event_type.0,
            schema: self.schema.0,
            fingerprint: self.fingerprint.0,
        };
        postcard::to_stdvec(&entry).expect("integers and an array can always be written")
    }

    /// Reads an entry, strictly.
    pub(super) fn decode(event: &Event) -> Result<Self, EntryError> {
        if event.event_type != REGISTERED || event.schema != FORMAT {
            return Err(EntryError::Format {
                found: event.schema.0,
                supported: FORMAT.0,
            });
        }
        let entry: RegisteredV1 =
            postcard::from_bytes(&event.payload).map_err(|_| EntryError::Malformed)?;
        let entry = Self {
            event_type: EventType(entry.event_type),
            schema: SchemaVersion(entry.schema),
            fingerprint: SchemaFingerprint(entry.fingerprint),
        };
        // Also finds bytes that are left over.
        if entry.encode() == event.payload {
            Ok(entry)
        } else {
            Err(EntryError::Malformed)
        }
    }
}

/// The commit that registers these schemas, on behalf of the first that needs
/// them. Its id follows from what it says and where, so that a retry is the same.
pub(super) fn registration(
    schemas: &[KnownSchema],
    version: StreamVersion,
    on_behalf_of: &Commit,
) -> Commit {
    let mut name = version.get().to_be_bytes().to_vec();
    let events: Vec<_> = schemas
        .iter()
        .map(|schema| Event {
            event_type: REGISTERED,
            schema: FORMAT,
            event_time_us: on_behalf_of.clock_us,
            inferred: false,
            cause: None,
            payload: schema.encode(),
        })
        .collect();
    name.extend(events.iter().flat_map(|event| &event.payload));
    Commit {
        id: CommitId(Uuid::new_v5(&NAMESPACE, &name)),
        clock_us: on_behalf_of.clock_us,
        actor: Label::new(ACTOR).expect("the word is short"),
        correlation_id: on_behalf_of.correlation_id,
        parts: vec![Part {
            stream: SCHEMA_STREAM,
            owner: None,
            expected: Expected::from(version),
            events,
        }],
    }
}
