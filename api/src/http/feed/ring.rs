//! The newest events, rendered once for all streams at the head.
//!
//! Without it every stream would read and render every event by itself.
//! Bounded in bytes: what no longer fits is read from the log again by the few
//! who are that far behind.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventstore::{Budget, EventStore, LogIdentity, Position, ReadError};

use super::batch::{BATCH_BYTES, Batch};
use super::frame;
use super::page::FeedError;
use super::wanted::Wanted;
use crate::public_events::item::{Unreadable, happenings};
use crate::public_events::place::Place;
use crate::public_events::shown::Traits;

/// How far behind the head a reader may be and still read on for everybody,
/// positions: farther back the disk might be met, while others wait.
const NEAR_POSITIONS: u64 = 4_096;

/// What a segment takes beside its text, and an event in it, bytes; roughly.
const SEGMENT_BYTES: usize = 128;
const EVENT_BYTES: usize = 96;

/// How much is read and rendered at a time: about a batch.
const BUDGET: Budget = Budget {
    records_max: 64,
    bytes_max: 32 * 1024,
};

/// The newest events.
#[derive(Debug)]
pub(super) struct Ring {
    log: Arc<dyn EventStore>,
    identity: LogIdentity,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

/// Consecutive segments.
#[derive(Debug, Default)]
struct Kept {
    segments: VecDeque<Arc<Segment>>,
    bytes: usize,
    /// The position before the first segment, and the last one's end.
    from: Position,
    to: Position,
}

/// What lies between two positions.
#[derive(Debug)]
struct Segment {
    to: Position,
    text: String,
    events: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    traits: Traits,
    /// Where in the text it stands, or why it does not.
    rendered: Result<Range<usize>, Unreadable>,
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Found {
    /// It goes on like this; empty at the head.
    Batch(Batch),
    /// The ring does not reach back that far: ask the log.
    Gone,
}

impl Ring {
    /// Of a log; keeps at most so much, and nothing where that is 0.
    pub(super) fn new(log: &Arc<dyn EventStore>, bytes_max: usize) -> Self {
        Self {
            log: Arc::clone(log),
            identity: log.identity(),
            bytes_max,
            kept: Mutex::default(),
        }
    }

    /// What follows a place, of what is wanted.
    ///
    /// # Errors
    /// [`FeedError`] of what comes next.
    pub(super) fn read(&self, at: Place, wanted: &Wanted) -> Result<Found, FeedError> {
        let Some(segments) = self.segments(at.after())? else {
            return Ok(Found::Gone);
        };
        let mut batch = Batch::default();
        for segment in segments {
            for event in &segment.events {
                if event.place <= at || !wanted.wants(&event.traits) {
                    continue;
                }
                if batch.is_full() {
                    return Ok(Found::Batch(batch));
                }
                match &event.rendered {
                    Ok(range) => {
                        let text = segment.text.get(range.clone());
                        batch.text.push_str(text.unwrap_or_default());
                        batch.told(event.place);
                    }
                    Err(unreadable) if batch.events == 0 => return Err(unreadable.clone().into()),
                    Err(_unreadable) => return Ok(Found::Batch(batch)),
                }
            }
            batch.to = Some(Place::behind(segment.to).max(at));
        }
        Ok(Found::Batch(batch))
    }

    /// The segments with what follows a position, about a batch of them; none
    /// at the head. Renders what nobody has come to before.
    fn segments(&self, after: Position) -> Result<Option<Vec<Arc<Segment>>>, ReadError> {
        let head = *self.log.head().borrow();
        let mut kept = self.kept();
        let is_near =
            |position: Position| head.get() - position.get().min(head.get()) <= NEAR_POSITIONS;
        // Who is on the way to the head goes there alone.
        if self.bytes_max == 0 || after < kept.from || after >= kept.to && !is_near(after) {
            return Ok(None);
        }
        if after > kept.to && !is_near(kept.to) {
            // Nobody has been at the head for long.
            *kept = Kept::begun(after);
        }
        // Also what lies before this reader, if another one is there.
        while kept.to <= after && kept.to < head {
            let segment = self.render(kept.to)?;
            kept.push(segment, self.bytes_max);
        }
        if after < kept.from {
            return Ok(None);
        }
        Ok(Some(kept.following(after)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while rendering leaves whole segments behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn render(&self, after: Position) -> Result<Segment, ReadError> {
        let page = self
            .log
            .read_all(after, &Wanted::default().filter(), BUDGET)?;
        let mut segment = Segment {
            to: page.scanned_to,
            text: String::new(),
            events: Vec::new(),
        };
        for happening in page.records.iter().flat_map(happenings) {
            let start = segment.text.len();
            let written = frame::write_event(&mut segment.text, &happening, self.identity);
            segment.events.push(Entry {
                place: happening.place,
                traits: happening.traits(),
                rendered: written.map(|()| start..segment.text.len()),
            });
        }
        Ok(segment)
    }
}

impl Segment {
    fn bytes(&self) -> usize {
        SEGMENT_BYTES + self.text.len() + self.events.len() * EVENT_BYTES
    }
}

impl Kept {
    fn begun(at: Position) -> Self {
        Self {
            from: at,
            to: at,
            ..Self::default()
        }
    }

    fn push(&mut self, segment: Segment, bytes_max: usize) {
        self.to = segment.to;
        self.bytes += segment.bytes();
        self.segments.push_back(Arc::new(segment));
        while self.bytes > bytes_max && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            self.from = oldest.to;
        }
    }

    fn following(&self, after: Position) -> Vec<Arc<Segment>> {
        let first = self.segments.partition_point(|segment| segment.to <= after);
        let mut bytes = 0;
        let following = self.segments.iter().skip(first);
        let batch = following.take_while(|segment| {
            let is_taken = bytes < BATCH_BYTES;
            bytes += segment.bytes();
            is_taken
        });
        batch.cloned().collect()
    }
}
