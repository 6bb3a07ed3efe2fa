//! A cursor of the feed, as a client gives it back.

use eventstore::EventStore;

use crate::http::cursor::out_of_date;
use crate::http::problem::{Problem, ProblemKind};
use crate::public_events::place::Place;

/// The place of a cursor that this log can still go on from.
///
/// # Errors
/// `bad-cursor` (400), saying why.
pub(super) fn place_of(log: &dyn EventStore, text: &str) -> Result<Place, Problem> {
    let place = Place::of_cursor(log, text).map_err(out_of_date)?;
    place.ok_or_else(|| {
        let detail = "this cursor is not one of the feed's; pass on next, or the cursor of an event (the id of a \
                      stream's message), as it came, or leave it out to begin at the beginning";
        Problem::new(ProblemKind::BadCursor, detail)
    })
}

#[cfg(test)]
mod tests {
    use eventstore::{MemoryEventStore, Position};
    use uuid::Uuid;

    use super::*;
    use crate::cursor::{self, Issued};

    #[test]
    fn a_cursor_of_what_the_log_does_not_hold_is_refused() {
        let log = MemoryEventStore::new(Uuid::nil());
        let identity = log.identity();
        let start = Place::START.cursor(identity);
        assert_eq!(place_of(&log, &start), Ok(Place::START));
        let ahead = [
            Place::behind(Position::new(1)),
            Place::within(Position::new(1), 1, 2),
        ];
        for place in ahead {
            let problem = place_of(&log, &place.cursor(identity)).unwrap_err();
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
            cursor::encode("feed", issued, &[0]),
            cursor::encode("feed", issued, &[0, 1]),
        ] {
            let problem = place_of(&log, &text).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::BadCursor);
            assert!(problem.detail().contains("leave it out"), "{problem:?}");
        }
    }
}
