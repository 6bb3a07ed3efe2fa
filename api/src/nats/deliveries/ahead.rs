//! What is to go out next: the log's public events behind a place, read on as
//! they are taken.

use std::collections::VecDeque;
use std::sync::Arc;

use eventstore::{Budget, EventStore, Filter, LogIdentity, Position, ReadError};

use super::message::Outgoing;
use crate::public_events::item::{Happening, Unreadable, happenings};
use crate::public_events::place::Place;
use crate::public_events::shown::{CATEGORIES, is_shown};

/// How much is read at a time: some milliseconds of work, after which others
/// have their turn.
const BUDGET: Budget = Budget {
    records_max: 64,
    bytes_max: 1024 * 1024,
};

/// Why it is not known what comes next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Halted {
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Read(#[from] ReadError),
    /// The next event could not, and nothing is left out.
    #[error("{0}; find the cause with airpost verify")]
    Unreadable(#[from] Unreadable),
}

/// Reads on from a place. Holds no more than what was asked for, and what one read gave.
#[derive(Debug)]
pub(super) struct Ahead {
    log: Arc<dyn EventStore>,
    identity: LogIdentity,
    /// All before it was read.
    at: Place,
    next: VecDeque<Outgoing>,
}

impl Ahead {
    /// What follows a place.
    pub(super) fn of(log: &Arc<dyn EventStore>, place: Place) -> Self {
        Self {
            identity: log.identity(),
            log: Arc::clone(log),
            at: place,
            next: VecDeque::new(),
        }
    }

    /// All before it was read.
    pub(super) const fn at(&self) -> Place {
        self.at
    }

    /// What comes next, as far as was read.
    pub(super) const fn next(&self) -> &VecDeque<Outgoing> {
        &self.next
    }

    /// So many of it are out.
    pub(super) fn drop_first(&mut self, events: usize) {
        self.next.drain(..events.min(self.next.len()));
    }

    /// Reads on; whether there was something to read, be it public or not.
    ///
    /// # Errors
    /// [`Halted`], of the very next event: those before it come first.
    pub(super) fn read(&mut self) -> Result<bool, Halted> {
        match self.read_on() {
            Err(_halted) if !self.next.is_empty() => Ok(false),
            read => read,
        }
    }

    fn read_on(&mut self) -> Result<bool, Halted> {
        let was = self.at;
        let page = read(&*self.log, self.at)?;
        for happening in page.records.iter().flat_map(happenings) {
            if !is_public(&happening) || happening.place <= self.at {
                continue;
            }
            let outgoing = Outgoing::of(&happening, self.identity)?;
            self.at = outgoing.place;
            self.next.push_back(outgoing);
        }
        self.at = self.at.max(Place::behind(page.scanned_to));
        Ok(self.at > was)
    }
}

fn read(log: &dyn EventStore, after: Place) -> Result<eventstore::Page, ReadError> {
    let filter = Filter {
        categories: CATEGORIES.to_vec(),
        ..Filter::everything()
    };
    log.read_all(after.after(), &filter, BUDGET)
}

fn is_public(happening: &Happening<'_>) -> bool {
    is_shown(happening.traits().event_type)
}

/// The place behind so many public events after another one; `None` where the
/// log has fewer.
///
/// # Errors
/// [`ReadError`].
pub(super) async fn skip(
    log: &dyn EventStore,
    mut from: Place,
    mut events: u64,
) -> Result<Option<Place>, ReadError> {
    while events > 0 {
        let before = from;
        let page = read(log, from)?;
        for happening in page.records.iter().flat_map(happenings) {
            if events > 0 && is_public(&happening) && happening.place > from {
                from = happening.place;
                events -= 1;
            }
        }
        if events > 0 {
            from = from.max(Place::behind(page.scanned_to));
            if from == before {
                return Ok(None);
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(Some(from))
}

/// How many public events lie before a place.
///
/// # Errors
/// [`ReadError`].
pub(super) async fn count(log: &dyn EventStore, until: Place) -> Result<u64, ReadError> {
    let (mut events, mut from) = (0, Place::START);
    while from < until {
        let page = read(log, from)?;
        let happened = page.records.iter().flat_map(happenings);
        let before = happened.filter(|it| is_public(it) && it.place > from && it.place <= until);
        events += before.count() as u64;
        let next = from.max(Place::behind(page.scanned_to));
        if next == from {
            break;
        }
        from = next;
        tokio::task::yield_now().await;
    }
    Ok(events)
}

/// How many positions lie behind a place, and when the first public event of
/// those was recorded; as far as the log can be read.
pub(super) async fn behind(log: &dyn EventStore, place: Place) -> (u64, Option<i64>) {
    let head: Position = *log.head().borrow();
    let positions = head.get().saturating_sub(place.after().get());
    (positions, first_behind(log, place).await)
}

async fn first_behind(log: &dyn EventStore, mut from: Place) -> Option<i64> {
    loop {
        let page = read(log, from).ok()?;
        let mut open = page.records.iter().flat_map(happenings);
        let open = open.find(|happening| is_public(happening) && happening.place > from);
        if let Some(happening) = open {
            return Some(happening.recorded_at_us());
        }
        let next = from.max(Place::behind(page.scanned_to));
        if next == from {
            return None;
        }
        from = next;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests;
