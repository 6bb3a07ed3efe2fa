//! Events as they are stored: a type number, a schema version, and bytes.
//!
//! An event enum is never serialised itself. Every (type, schema) has a frozen
//! payload struct of its own, in its aggregate's `payload.rs`; a change of it is a
//! new struct with the next schema number, an upcast from the one before, and a
//! new golden file. The bytes are postcard's, read strictly:
//! postcard alone would ignore what is left over and take several spellings
//! of one number.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::{EmailClaimEvent, ExternalIdClaimEvent, TagClaimEvent};
use crate::delivery::DeliveryEvent;
use crate::dispatch::DispatchEvent;
use crate::mission::MissionEvent;
use crate::package::PackageEvent;
use crate::refusals::RefusalEvent;
use crate::scheduling::OperationEvent;
use crate::session::SessionEvent;
use crate::taken::TakenCommandEvent;
use crate::task::TaskEvent;
use crate::user::UserEvent;

mod shape;
mod field;

pub use shape::Shape;
pub(crate) use shape::shapes_of;

pub(crate) use field::{InvalidField, at, checked, number_of, word_of};

/// An event's type, as it is stored and as clients read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// The stored number: never reused, never changed.
    pub number: u16,
    /// The schema that is written; all from 1 up to it can be read.
    pub schema: u16,
    /// The name in the history and in the feed.
    pub name: &'static str,
}

/// All event types of all aggregates, sorted by number.
///
/// No number and no name occurs twice.
#[must_use]
pub fn event_types() -> Vec<EventType> {
    let mut types = [
        DeliveryEvent::TYPES,
        UserEvent::TYPES,
        EmailClaimEvent::TYPES,
        ExternalIdClaimEvent::TYPES,
        SessionEvent::TYPES,
        RefusalEvent::TYPES,
        MissionEvent::TYPES,
        DispatchEvent::TYPES,
        TaskEvent::TYPES,
        PackageEvent::TYPES,
        TagClaimEvent::TYPES,
        TakenCommandEvent::TYPES,
        OperationEvent::TYPES,
    ]
    .concat();
    types.sort_by_key(|event_type| event_type.number);
    types
}

/// The shapes of the payloads of all event types in all schemas that can be
/// read, sorted by type and schema.
///
/// A log notes them beside what it holds, so that no release reads bytes as
/// something that they are not.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    let mut shapes = [
        DeliveryEvent::shapes(),
        UserEvent::shapes(),
        EmailClaimEvent::shapes(),
        ExternalIdClaimEvent::shapes(),
        SessionEvent::shapes(),
        RefusalEvent::shapes(),
        MissionEvent::shapes(),
        DispatchEvent::shapes(),
        TaskEvent::shapes(),
        PackageEvent::shapes(),
        TagClaimEvent::shapes(),
        TakenCommandEvent::shapes(),
        OperationEvent::shapes(),
    ]
    .concat();
    shapes.sort_by_key(|shape| (shape.event_type, shape.schema));
    shapes
}

/// An event ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Its type's number.
    pub event_type: u16,
    /// Its payload's schema: always the newest one of the type.
    pub schema: u16,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Events that can be stored and read back.
///
/// `decode` of what `encode` gave is the same event. Nothing is promised about
/// how large a payload is, but that every part of an event is bounded.
pub trait StoredEvent: Sized {
    /// The types of these events.
    const TYPES: &'static [EventType];

    /// The shapes of their payloads, in every schema that can be read.
    fn shapes() -> Vec<Shape>;

    /// The event's name as clients read it, such as `InTransit`.
    fn name(&self) -> &'static str;

    /// The event as it is stored.
    fn encode(&self) -> Encoded;

    /// The event that was stored, brought up to the newest schema.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes are.
    fn decode(event_type: u16, schema: u16, payload: &[u8]) -> Result<Self, DecodeError>;
}

/// A stored event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The type is not one of this aggregate.
    #[error(
        "event type {event_type} is not known here: run the release that wrote it, or a later one"
    )]
    UnknownType {
        /// Its number.
        event_type: u16,
    },
    /// The type is known, the schema is not.
    #[error(
        "schema {schema} of {name} is not known here, only 1 to {newest}: run the release that wrote it, or a later one"
    )]
    UnknownSchema {
        /// The type's name.
        name: &'static str,
        /// The unknown schema.
        schema: u16,
        /// The newest that is known.
        newest: u16,
    },
    /// The bytes are not a payload of this type and schema.
    #[error(
        "the payload of {name}, schema {schema}, is malformed: {why}; verify the log and restore it from a backup"
    )]
    Malformed {
        /// The type's name.
        name: &'static str,
        /// The schema it was stored under.
        schema: u16,
        /// What is wrong with it.
        why: Malformation,
    },
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformation {
    /// It ends early, or holds what its fields cannot be.
    NotThisPayload,
    /// Bytes follow after its end.
    TrailingBytes,
    /// The same value is written otherwise by this codec.
    NotCanonical,
    /// A field has a value that the domain does not know.
    InvalidField(&'static str),
}

impl fmt::Display for Malformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThisPayload => f.write_str("its bytes are of another shape"),
            Self::TrailingBytes => f.write_str("bytes follow after its end"),
            Self::NotCanonical => f.write_str("its bytes are not the canonical ones"),
            Self::InvalidField(field) => write!(f, "the value of {field} is not possible"),
        }
    }
}

/// A frozen payload struct: the bytes of one (type, schema) for ever.
///
/// Its fields are integers, bool, String, Vec, Option, arrays and other frozen
/// structs; no maps, floats, usize, enums or serde attributes.
pub(crate) trait Payload: Serialize + DeserializeOwned {
    /// Its schema, from 1.
    const SCHEMA: u16;
    /// The payload of the schema before; [`NoPayload`] for schema 1.
    type Previous: Payload;

    /// The same facts in this schema. Pure and total.
    fn upcast(previous: Self::Previous) -> Self;
}

/// What was there before schema 1: nothing, so it has no values.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum NoPayload {}

impl Payload for NoPayload {
    const SCHEMA: u16 = 0;
    type Previous = Self;

    fn upcast(previous: Self) -> Self {
        match previous {}
    }
}

/// Marks frozen structs as the first schema of their types.
macro_rules! first_schema {
    ($($payload:ty),+ $(,)?) => {$(
        impl $crate::codec::Payload for $payload {
            const SCHEMA: u16 = 1;
            type Previous = $crate::codec::NoPayload;

            fn upcast(previous: Self::Previous) -> Self {
                match previous {}
            }
        }
    )+};
}
pub(crate) use first_schema;

/// Implements [`StoredEvent`] by a table: number, variant, newest payload
/// struct, how the event is written into it, and how it is read from it.
/// A variant that is missing in the table does not compile.
macro_rules! stored_events {
    ($event:ty { $(
        $number:literal $name:ident $payload:ty
        { $written:pat => $write:expr } { $read:pat => $event_read:expr }
    )+ }) => {
        impl $crate::codec::StoredEvent for $event {
            const TYPES: &'static [$crate::codec::EventType] = &[$(
                $crate::codec::EventType {
                    number: $number,
                    schema: <$payload as $crate::codec::Payload>::SCHEMA,
                    name: stringify!($name),
                },
            )+];

            fn shapes() -> Vec<$crate::codec::Shape> {
                [$($crate::codec::shapes_of::<$payload>($number, stringify!($name)),)+].concat()
            }

            fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name),)+ }
            }

            fn encode(&self) -> $crate::codec::Encoded {
                match self { $(
                    $written => {
                        let payload: $payload = $write;
                        $crate::codec::written($number, &payload)
                    }
                )+ }
            }

            fn decode(
                event_type: u16,
                schema: u16,
                payload: &[u8],
            ) -> Result<Self, $crate::codec::DecodeError> {
                match event_type {
                    $($number => $crate::codec::read(
                        stringify!($name),
                        schema,
                        payload,
                        |$read: $payload| Ok($event_read),
                    ),)+
                    _ => Err($crate::codec::DecodeError::UnknownType { event_type }),
                }
            }
        }
    };
}
pub(crate) use stored_events;

/// The stored form of a payload. For [`stored_events`] alone.
pub(crate) fn written<P: Payload>(event_type: u16, payload: &P) -> Encoded {
    Encoded {
        event_type,
        schema: P::SCHEMA,
        payload: bytes_of(payload),
    }
}

/// The event in a stored payload. For [`stored_events`] alone.
pub(crate) fn read<P: Payload, E>(
    name: &'static str,
    schema: u16,
    payload: &[u8],
    event: impl FnOnce(P) -> Result<E, InvalidField>,
) -> Result<E, DecodeError> {
    if schema == 0 || schema > P::SCHEMA {
        let newest = P::SCHEMA;
        return Err(DecodeError::UnknownSchema {
            name,
            schema,
            newest,
        });
    }
    upcast_from::<P>(schema, payload)
        .and_then(|payload| {
            event(payload).map_err(|InvalidField(field)| Malformation::InvalidField(field))
        })
        .map_err(|why| DecodeError::Malformed { name, schema, why })
}

/// Reads a payload of an older schema with that schema's own struct, then
/// goes up step by step.
fn upcast_from<P: Payload>(schema: u16, payload: &[u8]) -> Result<P, Malformation> {
    if schema < P::SCHEMA {
        upcast_from::<P::Previous>(schema, payload).map(P::upcast)
    } else {
        strictly(payload)
    }
}

fn strictly<P: Payload>(bytes: &[u8]) -> Result<P, Malformation> {
    let (payload, rest) =
        postcard::take_from_bytes::<P>(bytes).map_err(|_| Malformation::NotThisPayload)?;
    if !rest.is_empty() {
        return Err(Malformation::TrailingBytes);
    }
    if bytes_of(&payload) != bytes {
        return Err(Malformation::NotCanonical);
    }
    Ok(payload)
}

fn bytes_of<P: Payload>(payload: &P) -> Vec<u8> {
    postcard::to_stdvec(payload).expect("frozen payloads hold nothing that postcard cannot write")
}

#[cfg(test)]
mod tests;
