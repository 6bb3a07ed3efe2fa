//! How far a reader of the feed has come, and the text of it, the cursor.
//!
//! A place is one of the log and of no filter, so a cursor fits every filter
//! and both addresses of the feed.

use eventstore::{EventStore, LogIdentity, Position};

use crate::http::cursor::{self, Issued};
use crate::http::problem::{Problem, ProblemKind};

/// What the feed's cursors fit with.
const LIST: &str = "feed";

/// Between two events of the log: all records up to `after` lie before it,
/// and the first `events` events of the record that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    after: Position,
    events: u16,
}

impl Place {
    /// Before the first event.
    pub(super) const START: Self = Self::behind(Position::START);

    /// Behind a whole record.
    pub(super) const fn behind(record: Position) -> Self {
        Self {
            after: record,
            events: 0,
        }
    }

    /// Behind so many events of a record that has `of`.
    ///
    /// # Panics
    /// For a record at the start, where there is none.
    pub(super) fn within(record: Position, taken: usize, of: usize) -> Self {
        if taken >= of {
            return Self::behind(record);
        }
        let before = record.get().checked_sub(1);
        let after = Position::new(before.expect("positions of records begin at 1"));
        let events = u16::try_from(taken).expect("a record has at most 1,024 events");
        Self { after, events }
    }

    /// The last record that lies before it as a whole.
    pub(super) const fn after(self) -> Position {
        self.after
    }

    /// Its text, for a client.
    pub(super) fn cursor(self, identity: LogIdentity) -> String {
        let position = match self.events {
            0 => self.after,
            // Part of this one has been seen, so the log must still hold it.
            _ => self.after.next(),
        };
        let issued = Issued { identity, position };
        cursor::encode(LIST, issued, &self.events.to_be_bytes())
    }

    /// The place of a cursor that this log can still go on from.
    ///
    /// # Errors
    /// `bad-cursor` (400), saying why.
    pub(super) fn of_cursor(log: &dyn EventStore, text: &str) -> Result<Self, Problem> {
        let opened = cursor::open(LIST, log, text)?;
        let place = opened.and_then(|(issued, events)| {
            let events = u16::from_be_bytes(events.try_into().ok()?);
            let after = match events {
                0 => issued.position,
                _ => Position::new(issued.position.get().checked_sub(1)?),
            };
            Some(Self { after, events })
        });
        place.ok_or_else(|| {
            let detail = "this cursor is not one of the feed's; pass on next, or the cursor of an event (the id of a \
                          stream's message), as it came, or leave it out to begin at the beginning";
            Problem::new(ProblemKind::BadCursor, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use eventstore::MemoryEventStore;
    use proptest::prelude::*;
    use uuid::Uuid;

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

    #[test]
    fn a_cursor_of_what_the_log_does_not_hold_is_refused() {
        let log = MemoryEventStore::new(Uuid::nil());
        let identity = log.identity();
        let start = Place::START.cursor(identity);
        assert_eq!(Place::of_cursor(&log, &start), Ok(Place::START));
        let ahead = [
            Place::behind(Position::new(1)),
            Place::within(Position::new(1), 1, 2),
        ];
        for place in ahead {
            let problem = Place::of_cursor(&log, &place.cursor(identity)).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::BadCursor);
            assert!(problem.detail().contains("given up"), "{problem:?}");
        }
    }

    #[test]
    fn what_no_feed_made_is_refused_whatever_it_holds() {
        let log = MemoryEventStore::new(Uuid::nil());
        let issued = Issued::now(&log, Position::START);
        for text in [
            String::new(),
            "rubbish".to_owned(),
            cursor::encode("drones", issued, &[0, 0]),
            cursor::encode(LIST, issued, &[0]),
            cursor::encode(LIST, issued, &[0, 1]),
        ] {
            let problem = Place::of_cursor(&log, &text).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::BadCursor);
            assert!(problem.detail().contains("leave it out"), "{problem:?}");
        }
    }
}
