//! Where an event lies in the log: what rows that are made of one event are
//! sorted by, and their pages.

use eventstore::Position;

use crate::key::{Key, KeyParts};
use crate::overlay::Overlay;
use crate::view_store::{Direction, ViewStoreError};

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

/// Some of what was made of one event each, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on, if there may be more.
    pub next: Option<EventPlace>,
}

/// How large a page may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageBounds {
    /// Most items on it, one at least.
    pub(crate) items_max: usize,
    /// Most rows that are looked at for it, one at least.
    pub(crate) rows_max: usize,
}

impl<T> EventPage<T> {
    /// Looks at a view's rows before a place, newest first, and takes what
    /// `pick` makes of them. What follows on a full page is looked at too, so
    /// that only where very many rows are passed over a page that says there may
    /// be more is followed by an empty one.
    pub(crate) fn read(
        view: &Overlay<'_>,
        after: Option<EventPlace>,
        bounds: PageBounds,
        mut pick: impl FnMut(&[u8]) -> Result<Option<T>, ViewStoreError>,
    ) -> Result<Self, ViewStoreError> {
        let mut range = Key::row().prefix();
        if let Some(after) = after {
            range.end = Some(after.after(Key::row()).into_bytes());
        }
        // One more than fits tells whether there are more.
        let at_once = bounds.items_max.saturating_add(1);
        let (mut items, mut looked_at, mut next) = (Vec::new(), 0, None);
        loop {
            let rows = view.scan(&range, Direction::Backward, at_once)?;
            let is_end = rows.len() < at_once;
            for (key, row) in rows {
                if looked_at == bounds.rows_max {
                    return Ok(Self { items, next });
                }
                if let Some(item) = pick(&row)? {
                    if items.len() == bounds.items_max {
                        return Ok(Self { items, next });
                    }
                    items.push(item);
                }
                looked_at += 1;
                next = Some(EventPlace::of_row(&key)?);
                range.end = Some(key);
            }
            if is_end {
                return Ok(Self { items, next: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view_store::NoTree;

    proptest! {
        #[test]
        fn a_place_goes_into_a_cursor_and_into_a_key_and_back(position: u64, place: u32) {
            let place = EventPlace { position: Position::new(position), place };
            prop_assert_eq!(EventPlace::from_bytes(&place.to_bytes()), Some(place));
            prop_assert_eq!(EventPlace::from_bytes(&place.to_bytes()[1..]), None);
            prop_assert_eq!(EventPlace::of_row(&place.after(Key::row()).into_bytes()), Ok(place));
        }

        /// Law: pages put together are all that is picked, newest first, however
        /// few rows each looks at; and none has more than it may.
        #[test]
        fn pages_put_together_are_all_that_is_picked(
            rows in prop::collection::btree_map(0..60_u64, any::<bool>(), 0..40),
            items_max in 1..6_usize,
            rows_max in 1..12_usize,
        ) {
            let mut view = Overlay::new(&NoTree);
            for (position, is_wanted) in &rows {
                let place = EventPlace { position: Position::new(*position), place: 0 };
                view.put(place.after(Key::row()), vec![u8::try_from(*position).unwrap(), u8::from(*is_wanted)]);
            }
            let bounds = PageBounds { items_max, rows_max };
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let mut looked_at = 0;
                let page = EventPage::read(&view, after, bounds, |row| {
                    looked_at += 1;
                    Ok((row[1] == 1).then_some(u64::from(row[0])))
                });
                let page = page.unwrap();
                prop_assert!(page.items.len() <= items_max && looked_at <= rows_max);
                prop_assert!(
                    page.next.is_none() || page.items.len() == items_max || looked_at == rows_max,
                    "a short page that did not look far enough"
                );
                found.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let wanted = rows.iter().rev().filter(|(_, is_wanted)| **is_wanted);
            prop_assert_eq!(found, wanted.map(|(position, _)| *position).collect::<Vec<_>>());
        }
    }
}
