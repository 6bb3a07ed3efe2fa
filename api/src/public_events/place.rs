//! How far a reader of what is public has come, and the text of it, the cursor.
//!
//! A place is one of the log and of no filter, so a cursor fits every filter
//! and both addresses of the feed.

use eventstore::{EventStore, LogIdentity, Position};

use crate::cursor::{self, Issued, OutOfDate};

/// What the feed's cursors fit with.
const LIST: &str = "feed";

/// Between two events of the log: all records up to `after` lie before it,
/// and the first `events` events of the record that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    after: Position,
    events: u16,
}

impl Place {
    /// Before the first event.
    pub(crate) const START: Self = Self::behind(Position::START);

    /// Behind a whole record.
    pub(crate) const fn behind(record: Position) -> Self {
        Self {
            after: record,
            events: 0,
        }
    }

    /// Behind so many events of a record that has `of`.
    ///
    /// # Panics
    /// For a record at the start, where there is none.
    pub(crate) fn within(record: Position, taken: usize, of: usize) -> Self {
        if taken >= of {
            return Self::behind(record);
        }
        let before = record.get().checked_sub(1);
        let after = Position::new(before.expect("positions of records begin at 1"));
        let events = u16::try_from(taken).expect("a record has at most 1,024 events");
        Self { after, events }
    }

    /// The last record that lies before it as a whole.
    pub(crate) const fn after(self) -> Position {
        self.after
    }

    /// The last record of which something lies before it: the log must still hold it.
    pub(crate) const fn position(self) -> Position {
        match self.events {
            0 => self.after,
            _ => self.after.next(),
        }
    }

    /// Its text, for a client.
    pub(crate) fn cursor(self, identity: LogIdentity) -> String {
        let position = self.position();
        let issued = Issued { identity, position };
        cursor::encode(LIST, issued, &self.events.to_be_bytes())
    }

    /// The place of a cursor, if it is one; of a log that can still go on from it.
    ///
    /// # Errors
    /// [`OutOfDate`].
    pub(crate) fn of_cursor(log: &dyn EventStore, text: &str) -> Result<Option<Self>, OutOfDate> {
        let opened = cursor::open(LIST, log, text)?;
        Ok(opened.and_then(|(issued, events)| Self::in_cursor(issued, events)))
    }

    /// When a cursor was handed out, and its place, whatever the log has become
    /// since; `None` for another text.
    pub(crate) fn noted(text: &str) -> Option<(Issued, Self)> {
        let (issued, events) = cursor::read(LIST, text)?;
        Some((issued, Self::in_cursor(issued, events)?))
    }

    fn in_cursor(issued: Issued, events: Vec<u8>) -> Option<Self> {
        let events = u16::from_be_bytes(events.try_into().ok()?);
        let after = match events {
            0 => issued.position,
            _ => Position::new(issued.position.get().checked_sub(1)?),
        };
        Some(Self { after, events })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_ordered_as_the_events_before_them(records in proptest::collection::vec(1..5_usize, 1..10)) {
            let mut places = vec![Place::START];
            for (position, of) in (1..).map(Position::new).zip(records) {
                places.extend((1..=of).map(|taken| Place::within(position, taken, of)));
            }
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", places);
        }
    }
}
