//! Where an event lies in the log: what rows that are made of one event are
//! sorted by.

use eventstore::Position;

use crate::key::{Key, KeyParts};
use crate::view_store::ViewStoreError;

/// An event's place in the log. Earlier ones sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// Its record.
    pub position: Position,
    /// The how-manieth event of its record it is, from 0.
    pub place: u32,
}

impl EventPlace {
    /// For a cursor: 12 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (position, place) = bytes.split_at_mut(8);
        position.copy_from_slice(&self.position.get().to_be_bytes());
        place.copy_from_slice(&self.place.to_be_bytes());
        bytes
    }

    /// From a cursor. `None` for what no cursor holds.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (position, place) = bytes.split_first_chunk()?;
        Some(Self {
            position: Position::new(u64::from_be_bytes(*position)),
            place: u32::from_be_bytes(place.try_into().ok()?),
        })
    }

    /// A key that goes on with it.
    pub(crate) fn after(self, key: Key) -> Key {
        key.large_number(self.position.get()).number(self.place)
    }

    /// The place in the key of a row.
    pub(crate) fn of_row(key: &[u8]) -> Result<Self, ViewStoreError> {
        let parts = KeyParts::of_row(key);
        let place = parts.and_then(|mut parts| {
            Some(Self {
                position: Position::new(parts.large_number()?),
                place: parts.number()?,
            })
        });
        place.ok_or_else(|| ViewStoreError::unreadable("a key that is too short"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_goes_into_a_cursor_and_into_a_key_and_back(position: u64, place: u32) {
            let place = EventPlace { position: Position::new(position), place };
            prop_assert_eq!(EventPlace::from_bytes(&place.to_bytes()), Some(place));
            prop_assert_eq!(EventPlace::from_bytes(&place.to_bytes()[1..]), None);
            prop_assert_eq!(EventPlace::of_row(&place.after(Key::row()).into_bytes()), Ok(place));
        }
    }
}
