//! States as bytes, for as long as the code that folded them is the same.
//!
//! A snapshot is no truth and has no history: nothing here is frozen, there are
//! no schemas and no upcasts. Whoever keeps one notes [`CODE`] beside it and
//! throws it away under any other code. What can be said as an event is kept as
//! that event's stored form, so that it is checked when it is read as every
//! event is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::StoredEvent;

/// A fingerprint of the sources of this crate and of the versions of the
/// crates it is built with, 32 hexadecimal digits. Made when it is built.
pub const CODE: &str = env!("AIRPOST_DOMAIN_CODE");

/// A state that can be kept instead of being folded anew.
///
/// `from_snapshot` of what `to_snapshot` gave, under the same [`CODE`], is the
/// same state. Under another code nothing is promised.
pub trait Snapshot: Sized {
    /// The state as bytes. They grow with the state and are not bounded here.
    fn to_snapshot(&self) -> Vec<u8>;

    /// The state in these bytes; `None` if they are not exactly what would be
    /// written of it. Never panics, whatever the bytes are.
    fn from_snapshot(bytes: &[u8]) -> Option<Self>;
}

/// Something that an event says, as the event's stored form.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    event_type: u16,
    schema: u16,
    payload: Vec<u8>,
}

impl Kept {
    pub(crate) fn of(event: &impl StoredEvent) -> Self {
        let encoded = event.encode();
        Self {
            event_type: encoded.event_type,
            schema: encoded.schema,
            payload: encoded.payload,
        }
    }

    pub(crate) fn event<E: StoredEvent>(&self) -> Option<E> {
        E::decode(self.event_type, self.schema, &self.payload).ok()
    }
}

/// An id, as it is kept.
pub(crate) type KeptId = [u8; 16];

pub(crate) const fn uuid(id: KeptId) -> Uuid {
    Uuid::from_bytes(id)
}

/// A state as a struct that can be written: what [`Snapshot`] is made of.
pub(crate) trait Keep: Sized {
    /// The struct.
    type Kept: Serialize + DeserializeOwned;

    /// What is kept of the state: all of it.
    fn kept(&self) -> Self::Kept;

    /// The state again; `None` for what cannot be one.
    fn state(kept: Self::Kept) -> Option<Self>;
}

impl<S: Keep> Snapshot for S {
    fn to_snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.kept())
            .expect("what is kept of a state holds nothing that postcard cannot write")
    }

    fn from_snapshot(bytes: &[u8]) -> Option<Self> {
        let (kept, rest) = postcard::take_from_bytes(bytes).ok()?;
        let state = Self::state(kept)?;
        // Nothing is left over, nothing is in another order or spelling.
        (rest.is_empty() && state.to_snapshot() == bytes).then_some(state)
    }
}

#[cfg(test)]
mod tests;
