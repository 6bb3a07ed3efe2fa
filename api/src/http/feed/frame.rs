//! What goes over a stream of server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use eventstore::LogIdentity;
use serde_json::json;

use super::page::FeedError;
use super::stopped;
use crate::public_events::item::{Happening, Unreadable};
use crate::public_events::place::Place;

/// The first words: when a client that lost its stream comes back, milliseconds.
pub(super) const RETRY: &str = "retry: 3000\n\n";

/// Tells that the stream lives, and that it goes on later from this place. An
/// event without data is not dispatched, but a browser keeps its id.
pub(super) fn heartbeat(moved: Option<Place>, identity: LogIdentity) -> String {
    let id = moved.map(|place| id_line(place, identity));
    format!(": hb\n{}\n", id.unwrap_or_default())
}

/// The last words of a service that stops.
pub(super) fn bye(moved: Option<Place>, identity: LogIdentity) -> String {
    let id = moved.map(|place| id_line(place, identity));
    format!("{}event: bye\ndata: {{}}\n\n", id.unwrap_or_default())
}

/// The last words before what cannot be read: the problem that a client meets
/// when it comes back. Logs the cause.
pub(super) fn halt(error: &FeedError) -> String {
    let problem = stopped(error).to_json(None);
    format!("event: halt\ndata: {problem}\n\n")
}

/// Adds an event.
///
/// # Errors
/// [`Unreadable`]; then nothing was added.
pub(super) fn write_event(
    text: &mut String,
    happening: &Happening<'_>,
    identity: LogIdentity,
) -> Result<(), Unreadable> {
    let (name, item) = happening.item(identity)?;
    let cursor = item.get("cursor").unwrap_or(&json!(null)).as_str();
    let cursor = cursor.unwrap_or_default();
    // JSON as it is written here has no line breaks.
    for part in ["id: ", cursor, "\nevent: ", name, "\ndata: "] {
        text.push_str(part);
    }
    text.push_str(&item.to_string());
    text.push_str("\n\n");
    Ok(())
}

fn id_line(place: Place, identity: LogIdentity) -> String {
    format!("id: {}\n", place.cursor(identity))
}
