//! A page of the feed.

use std::sync::Arc;

use eventstore::{EventStore, Position, ReadError};
use serde_json::Value;

use super::source::Source;
use super::wanted::Wanted;
use crate::public_events::item::{Happening, Unreadable, happenings};
use crate::public_events::place::Place;

/// How often the log is read on for one page where nothing is wanted of what
/// was read: with a mebibyte each time, a fraction of a second.
const STRETCHES_MAX: usize = 32;

/// Events in order, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    /// The events, as they were rendered.
    pub(super) items: Vec<Value>,
    /// Behind all that was looked at.
    pub(super) next: Place,
    /// Whether the log went on behind it when it was read.
    pub(super) more: bool,
    /// The end of the log, as it was then.
    pub(super) head: Position,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FeedError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The next event could not.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Reads a page of at most `limit` events after a place.
///
/// Where little is wanted it may have fewer, or none, and more follow: so the
/// work for one answer is bounded. What lies before an event that cannot be
/// read is a page of its own; the event itself is an error, again and again.
///
/// # Errors
/// [`FeedError`].
pub(super) async fn read_page(
    log: Arc<dyn EventStore>,
    wanted: &Wanted,
    after: Place,
    limit: usize,
    render: impl Fn(&Happening<'_>) -> Result<Value, Unreadable> + Send,
) -> Result<Page, FeedError> {
    let mut source = Source::of(wanted);
    let mut page = Page {
        items: Vec::new(),
        next: after,
        more: true,
        head: Position::START,
    };
    for _ in 0..STRETCHES_MAX {
        let stretch = source.read(&*log, page.next, limit)?;
        page.head = stretch.head;
        for happening in stretch.records.iter().flat_map(happenings) {
            if happening.place <= page.next || !wanted.wants(&happening.traits()) {
                continue;
            }
            if page.items.len() == limit {
                return Ok(page);
            }
            match render(&happening) {
                Ok(item) => page.items.push(item),
                Err(unreadable) if page.items.is_empty() => return Err(unreadable.into()),
                Err(_unreadable) => return Ok(page),
            }
            page.next = happening.place;
        }
        page.next = page.next.max(stretch.to);
        page.more = page.next.after() < page.head;
        if !page.more || page.items.len() == limit {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(page)
}
