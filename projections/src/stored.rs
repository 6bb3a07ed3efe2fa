//! How domain values lie in rows: as numbers, bytes and texts, checked when read.
//!
//! A row is derived data: a change of its layout is a new version of its
//! projection, never a migration. Fields of domain types are written with
//! `#[serde(with = "crate::stored")]`.

use domain::codec::{Encoded, StoredEvent};
use domain::delivery::{
    Anomaly, CancelReason, Condition, ConditionWord, Confirmation, Failure, HoldReason, Milestone,
    RejectReason, Status,
};
use domain::id::{
    DeliveryId, DroneId, ExternalId, FactId, FleetId, MissionId, OperationId, ProofHash, SessionId,
    UserId,
};
use domain::refusals::Refused;
use domain::scheduling::{Authorization, Effect, OperationKind};
use domain::session::ParkReason;
use domain::text::Comment;
use domain::time::Timestamp;
use domain::user::UserStatus;
use eventstore::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fleet::DroneActivity;
use crate::view_store::ViewStoreError;

/// The bytes of a row.
pub(crate) fn to_bytes<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("rows hold nothing that postcard cannot write")
}

/// The row in some bytes, all of them.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ViewStoreError> {
    let (row, rest) = postcard::take_from_bytes(bytes).map_err(ViewStoreError::unreadable)?;
    if rest.is_empty() {
        Ok(row)
    } else {
        Err(ViewStoreError::unreadable("bytes follow after its end"))
    }
}

/// Writes a domain value; for `#[serde(with = "crate::stored")]`.
pub(crate) fn serialize<T: Stored, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.raw().serialize(serializer)
}

/// Reads a domain value; for `#[serde(with = "crate::stored")]`.
pub(crate) fn deserialize<'de, T: Stored, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = T::Raw::deserialize(deserializer)?;
    T::from_raw(raw).ok_or_else(|| serde::de::Error::custom("a value that the domain refuses"))
}

/// A domain value that can lie in a row.
pub(crate) trait Stored: Sized {
    /// What is written.
    type Raw: Serialize + DeserializeOwned;

    /// As it is written.
    fn raw(&self) -> Self::Raw;

    /// As it was, if it is possible.
    fn from_raw(raw: Self::Raw) -> Option<Self>;
}

impl<T: Stored> Stored for Option<T> {
    type Raw = Option<T::Raw>;

    fn raw(&self) -> Self::Raw {
        self.as_ref().map(T::raw)
    }

    fn from_raw(raw: Self::Raw) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(raw) => T::from_raw(raw).map(Some),
        }
    }
}

impl<T: Stored> Stored for Vec<T> {
    type Raw = Vec<T::Raw>;

    fn raw(&self) -> Self::Raw {
        self.iter().map(T::raw).collect()
    }

    fn from_raw(raw: Self::Raw) -> Option<Self> {
        raw.into_iter().map(T::from_raw).collect()
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    type Raw = (A::Raw, B::Raw);

    fn raw(&self) -> Self::Raw {
        (self.0.raw(), self.1.raw())
    }

    fn from_raw((a, b): Self::Raw) -> Option<Self> {
        Some((A::from_raw(a)?, B::from_raw(b)?))
    }
}

impl Stored for u64 {
    type Raw = Self;

    fn raw(&self) -> Self {
        *self
    }

    fn from_raw(raw: Self) -> Option<Self> {
        Some(raw)
    }
}

impl Stored for Timestamp {
    type Raw = i64;

    fn raw(&self) -> i64 {
        self.micros()
    }

    fn from_raw(micros: i64) -> Option<Self> {
        Self::from_micros(micros).ok()
    }
}

/// Closed sets of words, as their place in the list of all.
macro_rules! words {
    ($($word:ty),+ $(,)?) => {$(
        impl Stored for $word {
            type Raw = u8;

            fn raw(&self) -> u8 {
                let place = Self::ALL.iter().position(|other| other == self);
                place
                    .and_then(|place| u8::try_from(place).ok())
                    .expect("a closed set of words lists each of its few words")
            }

            fn from_raw(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }
        }
    )+};
}

words!(
    Anomaly,
    CancelReason,
    ConditionWord,
    Confirmation,
    DroneActivity,
    Effect,
    Failure,
    HoldReason,
    Milestone,
    OperationKind,
    ParkReason,
    Refused,
    RejectReason,
    Status,
    UserStatus
);

/// A condition as its word and the reason of a hold.
impl Stored for Condition {
    type Raw = (u8, Option<u8>);

    fn raw(&self) -> Self::Raw {
        (self.word().raw(), self.hold().map(|hold| hold.raw()))
    }

    fn from_raw((word, hold): Self::Raw) -> Option<Self> {
        let word = ConditionWord::from_raw(word)?;
        match hold {
            None => Self::of(word, None),
            Some(hold) => Self::of(word, Some(HoldReason::from_raw(hold)?)),
        }
    }
}

/// Names and texts, as they are.
macro_rules! texts {
    ($($text:ty),+ $(,)?) => {$(
        impl Stored for $text {
            type Raw = String;

            fn raw(&self) -> String {
                self.as_str().to_owned()
            }

            fn from_raw(text: String) -> Option<Self> {
                Self::new(text).ok()
            }
        }
    )+};
}

texts!(
    Authorization,
    Comment,
    DroneId,
    ExternalId,
    FactId,
    FleetId,
    ProofHash,
    SessionId
);

/// Ids, as their UUID's bytes. The UUID's own type belongs to the crates
/// below; here it only passes through.
macro_rules! ids {
    ($($id:ty),+ $(,)?) => {$(
        impl Stored for $id {
            type Raw = [u8; 16];

            fn raw(&self) -> [u8; 16] {
                *self.uuid().as_bytes()
            }

            fn from_raw(bytes: [u8; 16]) -> Option<Self> {
                Vec::from(bytes).try_into().ok().map(Self::from_uuid)
            }
        }
    )+};
}

ids!(DeliveryId, MissionId, OperationId, UserId);

/// A value that a row's key or value holds.
pub(crate) fn read_part<T: Stored>(raw: Option<T::Raw>) -> Result<T, ViewStoreError> {
    raw.and_then(T::from_raw)
        .ok_or_else(|| ViewStoreError::unreadable("a part of its key is not possible"))
}

/// An event's time. Outside the years that the domain knows, the nearest that
/// it does: nobody writes such a time, and a projection is total.
pub(crate) fn instant(micros: i64) -> Timestamp {
    let micros = micros.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros());
    Timestamp::from_micros(micros).expect("it was just brought within the bounds")
}

/// When an event happened.
pub(crate) fn event_time(event: &Event) -> Timestamp {
    instant(event.event_time_us)
}

/// A part of the domain inside a row, kept as the event that carries it: so
/// that its layout is the codec's and is known in one place only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    event_type: u16,
    schema: u16,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

impl Carried {
    /// The event as the codec writes it.
    pub(crate) fn by<E: StoredEvent>(event: &E) -> Self {
        let Encoded {
            event_type,
            schema,
            payload,
        } = event.encode();
        Self {
            event_type,
            schema,
            payload,
        }
    }

    /// The event as it was recorded.
    pub(crate) fn recorded(event: &Event) -> Self {
        Self {
            event_type: event.event_type.0,
            schema: event.schema.0,
            payload: event.payload.clone(),
        }
    }

    /// How long its payload is, bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The event again.
    pub(crate) fn event<E: StoredEvent>(&self) -> Result<E, ViewStoreError> {
        E::decode(self.event_type, self.schema, &self.payload).map_err(ViewStoreError::unreadable)
    }
}
