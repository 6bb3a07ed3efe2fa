//! The problems of cursors that clients give back.

use eventstore::EventStore;

use super::prefer::behind;
use super::problem::{Problem, ProblemKind};
use crate::cursor::{self, OutOfDate};

/// The place in a cursor that was handed out for the same list, of a log that
/// still holds what it held then.
///
/// # Errors
/// `bad-cursor` (400) for every other text, saying why; 503 for one of another
/// node that is farther, which is to be sent again.
pub(super) fn decode(list: &str, log: &dyn EventStore, cursor: &str) -> Result<Vec<u8>, Problem> {
    let opened = cursor::open(list, log, cursor).map_err(out_of_date)?;
    opened.map(|(_issued, place)| place).ok_or_else(bad)
}

/// The problem of a cursor of what is not there any more, or not yet.
pub(super) fn out_of_date(why: OutOfDate) -> Problem {
    if why == OutOfDate::NotYet {
        return behind();
    }
    let detail = format!("{why}; leave it out to begin again");
    Problem::new(ProblemKind::BadCursor, detail)
}

/// The problem of a cursor that leads nowhere.
pub(super) fn bad() -> Problem {
    Problem::new(
        ProblemKind::BadCursor,
        "this cursor was not handed out by this list with these parameters; pass on next as it is, or leave \
         cursor out to begin again",
    )
}
