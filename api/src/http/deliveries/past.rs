//! A delivery at another time: `as_of` and `known_at`.
//!
//! What is known up to a record is the same for ever, so that answer may be
//! kept. What had happened by some time is not: a late event may tell of it
//! tomorrow. So `as_of` alone is read again each time, by its tag.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use domain::time::Timestamp;
use eventstore::Position;
use projections::{Found, KnownAt, Moment, QueryError};

use crate::http::answer::{current, json_bytes, unanswered};
use crate::http::conditional::{EntityTag, Preconditions};
use crate::http::fields::{Fields, parsed};
use crate::http::path::{Thing, unknown};
use crate::http::problem::{Fault, Problem};

/// An answer that stays the same may be kept for a day unasked. Not for longer:
/// a restored log may have given up what it tells, and people may have asked
/// to be forgotten.
const FINAL: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");

/// Reads `as_of` and `known_at`; `None` where neither is asked for.
pub(super) fn read_moment(query: &mut Fields<'_>) -> Option<Moment> {
    let moment = Moment {
        as_of: query.optional("as_of", parsed(read_instant)),
        known_at: query.optional("known_at", parsed(read_known_at)),
    };
    (moment != Moment::default()).then_some(moment)
}

fn read_instant(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|error| format!("{error}{}", hint(text)))
}

/// Digits are a position, as `Stream-Position` has them.
fn read_known_at(text: &str) -> Result<KnownAt, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // A number too large for any log is one that lies beyond this log's end.
        let number = text.parse().unwrap_or(u64::MAX);
        return Ok(KnownAt::Position(Position::new(number)));
    }
    let instant = text.parse().map(KnownAt::Time);
    instant.map_err(|error| {
        let hint = hint(text);
        format!("{error}, or a position as Stream-Position tells it{hint}")
    })
}

/// In a query a plus sign means a space.
fn hint(text: &str) -> &'static str {
    if text.contains(' ') {
        "; write + as %2B in an address"
    } else {
        ""
    }
}

/// The answer about a moment, from the log that ended at `head` before it was read.
///
/// Its tag is of its bytes and of no sequence: what was so once is nothing to
/// base an edit on.
pub(super) fn answer<T>(
    head: Position,
    moment: Moment,
    preconditions: &Preconditions,
    look: impl FnOnce() -> Result<Found<T>, QueryError>,
    show: impl FnOnce(&T) -> Vec<u8>,
) -> Result<Response, Problem> {
    if let Some(KnownAt::Position(asked)) = moment.known_at
        && asked > head
    {
        return Err(beyond(head));
    }
    let found = look().map_err(|error| unanswered(&error))?;
    let past = match found {
        Found::There(past) => past,
        Found::Unknown => return Err(unknown(Thing::Delivery)),
        Found::NotKnownYet {
            first_recorded_at,
            first_position,
        } => {
            return Err(Problem::not_found(format!(
                "nothing of this delivery was known then; what is known begins at {first_recorded_at}, with \
                 position {first_position}"
            )));
        }
        Found::NotYet { earliest } => {
            return Err(Problem::not_found(format!(
                "nothing of this delivery had happened by then; the first that is known of it happened at {earliest}"
            )));
        }
    };
    let position = match moment.known_at {
        None => head,
        Some(KnownAt::Position(position)) => position,
        Some(KnownAt::Time(_)) => past.known_to,
    };
    let body = show(&past.shown);
    let tag = EntityTag::of_bytes(&body);
    let mut response = preconditions.answer(tag, || json_bytes(StatusCode::OK, body));
    if past.is_final {
        response.headers_mut().insert(CACHE_CONTROL, FINAL);
    }
    Ok(current(position, past.degraded_since, response))
}

fn beyond(head: Position) -> Problem {
    let detail = format!(
        "the log ends at position {head}; a later one is not there yet, or was given up when the log was restored"
    );
    let fault = Fault::new("/known_at", "beyond-head", detail).with_limit(head.get());
    Problem::invalid(fault.into())
}
