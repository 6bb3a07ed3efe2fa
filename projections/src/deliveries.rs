//! Which deliveries are there, of whatever user, by status and time?
//!
//! ```text
//! row  (created, delivery)       how it ended, if it did
//! index 1 delivery               the delivery's row key
//! index 2 (created, delivery)    those under way
//! index 16 + n (…, …)            those that ended in the status n, but for the complete ones
//! ```
//! Rows never move, so a page goes on exactly where the one before ended. What
//! is rare is found without looking at the rest: of many deliveries few are
//! under way and few end badly. Complete are most, so those are looked for
//! among all. Which step one under way is at changes often and is not kept
//! here: it is looked up where it is, see [`page`].

use domain::delivery::{DeliveryEvent, Status};
use domain::id::DeliveryId;
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts, KeyRange};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{Stored as _, event_time, from_bytes, instant, read_part, to_bytes};
use crate::user_deliveries::{PAGE_ITEMS_MAX, PAGE_SCAN_ROWS_MAX, PageKey};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const ROW_KEYS: u8 = 1;
const UNDER_WAY: u8 = 2;
const ENDED: u8 = 16;

/// Rows read at a time from each of the places that are looked at.
const ROWS_PER_READ: usize = 250;

/// Which deliveries are wanted, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveriesQuery {
    /// In one of these statuses; in any, if empty.
    pub statuses: Vec<Status>,
    /// Created after this instant, not at it.
    pub created_after: Option<Timestamp>,
    /// Created before this instant, not at it.
    pub created_before: Option<Timestamp>,
    /// Most items on the page; between 1 and [`PAGE_ITEMS_MAX`], or it is brought there.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<PageKey>,
}

/// Some of all deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveriesPage {
    /// The deliveries.
    pub items: Vec<DeliveryId>,
    /// Where to go on, if there may be more; then even an empty page is not the last.
    pub next: Option<PageKey>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredRow {
    #[serde(with = "crate::stored")]
    ending: Option<Status>,
    position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct Deliveries;

impl Projection for Deliveries {
    fn name(&self) -> &'static str {
        "deliveries"
    }

    fn version(&self) -> u32 {
        1
    }

    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let Facts::Delivery(events) = facts else {
            return Ok(());
        };
        let is_created = |event: &DeliveryEvent| matches!(event, DeliveryEvent::Created(_));
        let turn = events.iter().filter_map(turn_of).next_back();
        let created = events.iter().position(is_created);
        if turn.is_none() && created.is_none() {
            return Ok(());
        }
        let delivery = record.stream.key.as_bytes();
        let (place, before) = match stored(view, delivery)? {
            Some((_, row)) if row.position >= record.position => return Ok(()),
            Some((place, row)) => (place, Some(row)),
            None => match created.and_then(|at| record.events.get(at)) {
                Some(recorded) => ((event_time(recorded).micros(), *delivery), None),
                None => return Ok(()),
            },
        };
        if before.is_none() {
            let row_key = keyed(Key::row(), place).into_bytes();
            view.put(Key::index(ROW_KEYS).id(delivery), row_key);
        }
        let row = StoredRow {
            ending: match turn {
                Some(Turn::Ends(status)) => Some(status),
                Some(Turn::GoesOn) => None,
                None => before.and_then(|row| row.ending),
            },
            position: record.position,
        };
        settle(view, place, before, row);
        Ok(())
    }
}

/// Writes a row, and puts its delivery where it is looked for now.
fn settle(view: &mut Overlay<'_>, place: Place, before: Option<StoredRow>, now: StoredRow) {
    let indexed = |row: StoredRow| index_of(row.ending).map(|index| (index, row.ending));
    let (was, is) = (before.and_then(indexed), indexed(now));
    if was != is {
        if let Some((index, _)) = was {
            view.remove(keyed(Key::index(index), place));
        }
        if let Some((index, _)) = is {
            view.put(keyed(Key::index(index), place), Vec::new());
        }
    }
    view.put(keyed(Key::row(), place), to_bytes(&now));
}

/// The index in which deliveries that ended so lie, if there is one.
fn index_of(ending: Option<Status>) -> Option<u8> {
    match ending {
        None => Some(UNDER_WAY),
        Some(Status::Complete) => None,
        Some(status) => Some(ENDED + status.raw()),
    }
}

/// What an event says of a delivery's end: the status that it ends in, or that it goes on after
/// its end.
fn turn_of(event: &DeliveryEvent) -> Option<Turn> {
    match event {
        DeliveryEvent::DeliveryComplete { .. } => Some(Turn::Ends(Status::Complete)),
        DeliveryEvent::Returned { .. } => Some(Turn::Ends(Status::Returned)),
        DeliveryEvent::Cancelled => Some(Turn::Ends(Status::Cancelled)),
        DeliveryEvent::Rejected { .. } => Some(Turn::Ends(Status::Rejected)),
        DeliveryEvent::Failed { .. } => Some(Turn::Ends(Status::Failed)),
        DeliveryEvent::Reopened { .. } => Some(Turn::GoesOn),
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::DroneAssigned(_)
        | DeliveryEvent::DroneUnassigned { .. }
        | DeliveryEvent::HeadedToPickup { .. }
        | DeliveryEvent::ArrivedAtPickup { .. }
        | DeliveryEvent::PickedUp { .. }
        | DeliveryEvent::InTransit { .. }
        | DeliveryEvent::ArrivedAtDropoff { .. }
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::ReturnStarted { .. }
        | DeliveryEvent::ArrivedAtHub { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Released { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => None,
    }
}

const fn is_ending(status: Status) -> bool {
    matches!(
        status,
        Status::Complete | Status::Returned | Status::Cancelled | Status::Failed | Status::Rejected
    )
}

/// What an event says of a delivery's end.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Ends(Status),
    GoesOn,
}

/// When a delivery was created, and which it is: what all keys but one end with.
type Place = (i64, [u8; 16]);

/// A delivery at its place, and how it ended.
type Candidate = (Place, Option<Status>);

fn keyed(key: Key, (created, delivery): Place) -> Key {
    key.instant(created).id(&delivery)
}

fn stored(
    view: &Overlay<'_>,
    delivery: &[u8; 16],
) -> Result<Option<(Place, StoredRow)>, ViewStoreError> {
    let Some(key) = view.get(&Key::index(ROW_KEYS).id(delivery))? else {
        return Ok(None);
    };
    let place = Source::Rows.place(&key)?;
    let row = view
        .get(&Key::from_bytes(key))?
        .ok_or_else(|| ViewStoreError::unreadable("an indexed delivery without its row"))?;
    Ok(Some((place, from_bytes(&row)?)))
}

/// Where a page looks.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// At all deliveries.
    Rows,
    /// At those in an index, which all are so.
    Index(u8, Option<Status>),
}

impl Source {
    fn key(self) -> Key {
        match self {
            Self::Rows => Key::row(),
            Self::Index(number, _) => Key::index(number),
        }
    }

    fn place(self, key: &[u8]) -> Result<Place, ViewStoreError> {
        let parts = match self {
            Self::Rows => KeyParts::of_row(key),
            Self::Index(number, _) => KeyParts::of_index(key, number),
        };
        let place = parts.and_then(|mut parts| Some((parts.instant()?, parts.id()?)));
        place.ok_or_else(|| ViewStoreError::unreadable("a key that is too short"))
    }

    fn ending(self, value: &[u8]) -> Result<Option<Status>, ViewStoreError> {
        match self {
            Self::Rows => Ok(from_bytes::<StoredRow>(value)?.ending),
            Self::Index(_, ending) => Ok(ending),
        }
    }

    /// Its entries that were created after an instant, and before a place.
    fn range(self, created_after: Option<Timestamp>, end: Option<Place>) -> KeyRange {
        let mut range = self.key().prefix();
        if let Some(after) = created_after {
            let first = self.key().instant(after.micros().saturating_add(1));
            range.start = range.start.max(first.into_bytes());
        }
        if let Some(end) = end {
            range.end = Some(keyed(self.key(), end).into_bytes());
        }
        range
    }
}

impl DeliveriesQuery {
    /// The fewest places in which all that is wanted lies.
    fn sources(&self) -> Vec<Source> {
        if self.statuses.is_empty() || self.statuses.contains(&Status::Complete) {
            return vec![Source::Rows];
        }
        let endings = Status::ALL.iter().copied().filter(|it| is_ending(*it));
        let wanted = endings.filter(|ending| self.statuses.contains(ending));
        let mut sources: Vec<Source> = wanted
            .filter_map(|ending| Some(Source::Index(index_of(Some(ending))?, Some(ending))))
            .collect();
        if self.wants_one_under_way() {
            sources.push(Source::Index(UNDER_WAY, None));
        }
        sources
    }

    fn wants_one_under_way(&self) -> bool {
        self.statuses.iter().any(|status| !is_ending(*status))
    }

    /// The first place that is too new.
    fn end(&self) -> Option<Place> {
        let before = self.created_before.map(|at| (at.micros(), [0; 16]));
        let after = self
            .after
            .map(|page| (page.created_at.micros(), *page.delivery.uuid().as_bytes()));
        before.into_iter().chain(after).min()
    }
}

/// One page of all deliveries. `status_of` says where one that is under way is.
pub(crate) fn page(
    view: &Overlay<'_>,
    query: &DeliveriesQuery,
    status_of: impl Fn(DeliveryId) -> Result<Option<Status>, ViewStoreError>,
) -> Result<DeliveriesPage, ViewStoreError> {
    let limit = query.limit.clamp(1, PAGE_ITEMS_MAX);
    let (sources, mut end) = (query.sources(), query.end());
    let mut page = DeliveriesPage {
        items: Vec::new(),
        next: None,
    };
    let mut scanned = 0;
    loop {
        let (candidates, exhausted) = read(view, &sources, query.created_after, end)?;
        for (place, ending) in candidates {
            if page.items.len() == limit || scanned == PAGE_SCAN_ROWS_MAX {
                return Ok(page);
            }
            scanned += 1;
            end = Some(place);
            let (created, delivery) = place;
            let id = read_part(Some(delivery))?;
            page.next = Some(PageKey {
                created_at: instant(created),
                delivery: id,
            });
            let wanted = match ending {
                _ if query.statuses.is_empty() => true,
                Some(ending) => query.statuses.contains(&ending),
                None if !query.wants_one_under_way() => false,
                None => status_of(id)?.is_some_and(|status| query.statuses.contains(&status)),
            };
            if wanted {
                page.items.push(id);
            }
        }
        if exhausted {
            page.next = None;
            return Ok(page);
        }
    }
}

/// The newest of what lies before `end` in some places, with nothing left out
/// in between, and whether that is all.
fn read(
    view: &Overlay<'_>,
    sources: &[Source],
    created_after: Option<Timestamp>,
    end: Option<Place>,
) -> Result<(Vec<Candidate>, bool), ViewStoreError> {
    let mut found = Vec::new();
    // Below it some source has more than was read.
    let mut known_down_to = None;
    for source in sources {
        let range = source.range(created_after, end);
        let entries = view.scan(&range, Direction::Backward, ROWS_PER_READ)?;
        let is_cut = entries.len() == ROWS_PER_READ;
        for (key, value) in entries {
            found.push((source.place(&key)?, source.ending(&value)?));
        }
        if is_cut {
            known_down_to = known_down_to.max(found.last().map(|(place, _)| *place));
        }
    }
    found.retain(|(place, _)| Some(*place) >= known_down_to);
    found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
    Ok((found, known_down_to.is_none()))
}
