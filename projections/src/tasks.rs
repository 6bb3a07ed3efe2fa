//! What needs a person?
//!
//! ```text
//! row  (position, place)                  an open task, by the event that made it one
//! index 1 (delivery, position, place)     the task of a delivery that somebody has to look after
//! index 2 (session, seq)                  the row key of a dead letter's task
//! index 3 stream                          the last record that opened or closed one of the stream's
//! ```
//! A task goes when its reason does: a delivery that somebody has to look after
//! comes to an end, a dead letter is applied after all. An anomaly stays.

use domain::delivery::{Anomaly, DeliveryEvent, Failure};
use domain::id::FactId;
use domain::session::{ParkReason, SessionEvent};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::event_place::EventPlace;
use crate::key::Key;
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, instant, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const OF_DELIVERY: u8 = 1;
const OF_LETTER: u8 = 2;
const CHANGED: u8 = 3;

/// Most tasks on one page.
pub const TASKS_PER_PAGE_MAX: usize = 200;

/// Something that a person has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The stream that it is about: of a delivery, or of a drone's session.
    pub stream: StreamId,
    /// The version of the event that made it a task.
    pub version: StreamVersion,
    /// When that was recorded.
    #[serde(with = "crate::stored")]
    pub since: Timestamp,
    /// What there is to look at.
    pub matter: Matter,
}

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Matter {
    /// A package is said to be on board after its mission ended. Open until the
    /// delivery comes to an end.
    LeftOnBoard,
    /// A package was let go in the wrong place. Open until the delivery comes
    /// to another end.
    Misdelivered,
    /// A drone reported what cannot be.
    Anomaly {
        /// The drone event.
        #[serde(with = "crate::stored")]
        fact: FactId,
        /// What does not fit.
        #[serde(with = "crate::stored")]
        why: Anomaly,
    },
    /// A fact could not be applied in time. Open until it is.
    DeadLetter {
        /// Its number in the session.
        seq: u64,
        /// What it waited for.
        #[serde(with = "crate::stored")]
        why: ParkReason,
    },
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct Tasks;

impl Projection for Tasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn version(&self) -> u32 {
        1
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery, Category::DroneSession]
    }

    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let is_of_interest = match facts {
            Facts::Delivery(events) => events.iter().any(|event| turn(event).is_some()),
            Facts::Session(events) => events.iter().any(is_about_a_letter),
            Facts::User(_) | Facts::Task(_) | Facts::Other | Facts::Undecodable(_) => false,
        };
        let changed = Key::index(CHANGED).id(record.stream.key.as_bytes());
        if !is_of_interest || is_held(view, &changed, record)? {
            return Ok(());
        }
        let mut list = List { view, record };
        let has_changed = match facts {
            Facts::Delivery(events) => list.follow_delivery(events)?,
            Facts::Session(events) => list.follow_session(events)?,
            Facts::User(_) | Facts::Task(_) | Facts::Other | Facts::Undecodable(_) => false,
        };
        if has_changed {
            view.put(changed, to_bytes(&record.position));
        }
        Ok(())
    }
}

/// Whether the view holds what a record says about tasks of its stream.
fn is_held(view: &Overlay<'_>, changed: &Key, record: &Record) -> Result<bool, ViewStoreError> {
    let last = view.get(changed)?;
    let last = last.map(|bytes| from_bytes::<Position>(&bytes));
    Ok(last
        .transpose()?
        .is_some_and(|last| last >= record.position))
}

/// What an event of a delivery means for its tasks.
enum Turn<'e> {
    /// There is something to look at.
    Odd(&'e FactId, Anomaly),
    /// It came to an end, in the wrong place or not.
    Ended { misdelivered: bool },
}

fn turn(event: &DeliveryEvent) -> Option<Turn<'_>> {
    match event {
        DeliveryEvent::AnomalyRecorded { fact, why } => Some(Turn::Odd(fact, *why)),
        DeliveryEvent::Failed { mission: _, reason } => Some(Turn::Ended {
            misdelivered: *reason == Failure::Misdelivered,
        }),
        DeliveryEvent::DeliveryComplete { .. }
        | DeliveryEvent::Returned { .. }
        | DeliveryEvent::Cancelled => Some(Turn::Ended {
            misdelivered: false,
        }),
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
        | DeliveryEvent::MilestoneTimeCorrected { .. } => None,
    }
}

const fn is_about_a_letter(event: &SessionEvent) -> bool {
    match event {
        SessionEvent::DeadLettered { .. } | SessionEvent::FactUnparked { .. } => true,
        SessionEvent::SessionOpened(_)
        | SessionEvent::FactReceived(_)
        | SessionEvent::GapPassed { .. }
        | SessionEvent::FactParked { .. } => false,
    }
}

/// The list, while a record changes it. What changes it says whether it did.
struct List<'a, 'v> {
    view: &'a mut Overlay<'v>,
    record: &'a Record,
}

impl List<'_, '_> {
    fn follow_delivery(&mut self, events: &[DeliveryEvent]) -> Result<bool, ViewStoreError> {
        let mut has_changed = false;
        for (place, event) in (0..).zip(events) {
            match turn(event) {
                Some(Turn::Odd(_, Anomaly::EndedWithPackage)) => {
                    self.look_after(place, Matter::LeftOnBoard)?;
                    has_changed = true;
                }
                Some(Turn::Odd(fact, why)) => {
                    let fact = fact.clone();
                    self.open(place, Matter::Anomaly { fact, why });
                }
                Some(Turn::Ended { misdelivered }) => {
                    has_changed |= self.close_all()?;
                    if misdelivered {
                        self.look_after(place, Matter::Misdelivered)?;
                        has_changed = true;
                    }
                }
                None => {}
            }
        }
        Ok(has_changed)
    }

    fn follow_session(&mut self, events: &[SessionEvent]) -> Result<bool, ViewStoreError> {
        let mut has_changed = false;
        for (place, event) in (0..).zip(events) {
            match event {
                SessionEvent::DeadLettered { seq, why } => {
                    self.close_letter(*seq)?;
                    let (seq, why) = (*seq, *why);
                    let row_key = self.open(place, Matter::DeadLetter { seq, why });
                    self.view.put(self.letter_key(seq), row_key.into_bytes());
                    has_changed = true;
                }
                SessionEvent::FactUnparked { seq } => has_changed |= self.close_letter(*seq)?,
                SessionEvent::SessionOpened(_)
                | SessionEvent::FactReceived(_)
                | SessionEvent::GapPassed { .. }
                | SessionEvent::FactParked { .. } => {}
            }
        }
        Ok(has_changed)
    }

    fn open(&mut self, place: u32, matter: Matter) -> Key {
        let record = self.record;
        let version = record.first_version.get().saturating_add(u64::from(place));
        let task = Task {
            stream: record.stream,
            version: StreamVersion::new(version),
            since: instant(record.recorded_at_us),
            matter,
        };
        let row_key = self.place(place).after(Key::row());
        self.view.put(row_key.clone(), to_bytes(&task));
        row_key
    }

    /// Opens a delivery's own task, unless it has one.
    fn look_after(&mut self, place: u32, matter: Matter) -> Result<(), ViewStoreError> {
        if self.of_delivery()?.is_empty() {
            self.open(place, matter);
            let index = self.place(place).after(self.delivery_key());
            self.view.put(index, Vec::new());
        }
        Ok(())
    }

    /// Closes a delivery's own task, if it has one.
    fn close_all(&mut self) -> Result<bool, ViewStoreError> {
        let open = self.of_delivery()?;
        for (place, index) in &open {
            self.view.remove(place.after(Key::row()));
            self.view.remove(index.clone());
        }
        Ok(!open.is_empty())
    }

    /// A delivery's own task, of which there is one at most.
    fn of_delivery(&self) -> Result<Vec<(EventPlace, Key)>, ViewStoreError> {
        let range = self.delivery_key().prefix();
        let entries = self.view.scan(&range, Direction::Forward, 1)?;
        let open = entries.into_iter().map(|(key, _)| {
            let prefix = self.delivery_key().into_bytes().len();
            let place = key.get(prefix..).and_then(EventPlace::from_bytes);
            let place = place.ok_or_else(|| ViewStoreError::unreadable("a key without a place"))?;
            Ok((place, Key::from_bytes(key)))
        });
        open.collect()
    }

    fn close_letter(&mut self, seq: u64) -> Result<bool, ViewStoreError> {
        let key = self.letter_key(seq);
        let Some(row_key) = self.view.get(&key)? else {
            return Ok(false);
        };
        self.view.remove(Key::from_bytes(row_key));
        self.view.remove(key);
        Ok(true)
    }

    fn delivery_key(&self) -> Key {
        Key::index(OF_DELIVERY).id(self.record.stream.key.as_bytes())
    }

    fn letter_key(&self, seq: u64) -> Key {
        let session = self.record.stream.key.as_bytes();
        Key::index(OF_LETTER).id(session).large_number(seq)
    }

    const fn place(&self, place: u32) -> EventPlace {
        let position = self.record.position;
        EventPlace { position, place }
    }
}

/// The open tasks before a place, newest first, at most `limit` and
/// [`TASKS_PER_PAGE_MAX`], and where to go on if there are more.
pub(crate) fn page(
    view: &Overlay<'_>,
    after: Option<EventPlace>,
    limit: usize,
) -> Result<(Vec<Task>, Option<EventPlace>), ViewStoreError> {
    let limit = limit.clamp(1, TASKS_PER_PAGE_MAX);
    let mut range = Key::row().prefix();
    if let Some(after) = after {
        range.end = Some(after.after(Key::row()).into_bytes());
    }
    let mut entries = view.scan(&range, Direction::Backward, limit + 1)?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| has_more);
    let next = last.map(|(key, _)| EventPlace::of_row(key)).transpose()?;
    let tasks = entries.iter().map(|(_, value)| from_bytes(value));
    Ok((tasks.collect::<Result<_, _>>()?, next))
}
