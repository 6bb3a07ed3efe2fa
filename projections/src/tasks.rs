//! What needs a person?
//!
//! ```text
//! row  (position, place)                  a task whose reason lasts, by the event that made it one
//! index 1 (delivery, position, place)     the task of a delivery that somebody has to look after
//! index 2 (session or hour, number)       the row key of a dead letter's task
//! index 3 stream                          the last record that opened or closed one of the stream's
//! index 4 (stream, version)               that somebody has seen to a task, by its own stream
//! index 5 operation                       how often it was put off in a row, and the row key of the task
//! index 6 (delivery, position, place)     a task about what was reported of the delivery and cannot be
//! ```
//! What makes a task and what ends it is the domain's to say: see
//! [`StandingTasks`](domain::task::StandingTasks). Each entry comes from one
//! stream: that a task was acknowledged lies beside it and not in it, so it does
//! not matter which of the two streams is folded first.

use domain::delivery::{ANOMALIES_MAX, Anomaly, Failure};
use domain::id::{DeliveryId, FactId};
use domain::refusals::Refused;
use domain::scheduling::{Authorization, Effect, Left};
use domain::session::ParkReason;
use domain::stream::{Category, StreamName};
use domain::task::{Matter, PUT_OFF_MAX, TaskEvent, TaskId, TaskTurn};
use domain::text::Comment;
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::event_place::{EventPage, EventPlace, PageBounds};
use crate::key::Key;
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{Stored, from_bytes, instant, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

// One task, from the log alone.
mod by_id;

pub(crate) use by_id::task;

#[cfg(test)]
mod tests;

const OF_DELIVERY: u8 = 1;
const OF_LETTER: u8 = 2;
const CHANGED: u8 = 3;
const ACKNOWLEDGED: u8 = 4;
const PUT_OFF: u8 = 5;
const ANOMALY: u8 = 6;

/// Most tasks on one page.
pub const TASKS_PER_PAGE_MAX: usize = 200;

/// Most tasks that one page looks at: where nearly all were acknowledged the
/// pages of the others are short and not slow.
pub const TASKS_SCANNED_MAX: usize = 5_000;

/// Something that a person has to look at, and whether somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name: the event that made it a task.
    pub id: TaskId,
    /// When that was recorded.
    pub since: Timestamp,
    /// What there is to look at.
    pub matter: Matter,
    /// Who has seen to it, if anybody has.
    pub acknowledgement: Option<Acknowledgement>,
}

/// That somebody has seen to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When that was recorded.
    #[serde(with = "crate::stored")]
    pub at: Timestamp,
    /// Who acted, as recorded.
    pub by: String,
    /// What they had to say.
    #[serde(with = "crate::stored")]
    pub note: Option<Comment>,
}

/// Whether somebody has seen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Nobody has.
    Open,
    /// Somebody has, and its reason lasts.
    Acknowledged,
}

/// Of what kind a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Something was reported that cannot be.
    Anomaly,
    /// Somebody has to look after a delivery.
    ActionRequired,
    /// A fact was given up, or a message refused.
    DeadLetter,
    /// Something that an operation does outside does not come about.
    Operation,
}

/// Which tasks are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TasksQuery {
    /// Those of this status; all without one.
    pub status: Option<TaskStatus>,
    /// Those of this kind; all without one.
    pub kind: Option<TaskKind>,
    /// Where the page before ended.
    pub after: Option<EventPlace>,
    /// At most so many, and [`TASKS_PER_PAGE_MAX`].
    pub limit: usize,
}

impl Task {
    /// Whether somebody has seen to it.
    #[must_use]
    pub const fn status(&self) -> TaskStatus {
        match self.acknowledgement {
            None => TaskStatus::Open,
            Some(_) => TaskStatus::Acknowledged,
        }
    }

    /// Of what kind it is.
    #[must_use]
    pub const fn kind(&self) -> TaskKind {
        match self.matter {
            Matter::Anomaly { .. } => TaskKind::Anomaly,
            Matter::LeftOnBoard
            | Matter::LeftAtHub
            | Matter::NotStoodDown
            | Matter::EmergencyLanded
            | Matter::Unconfirmed
            | Matter::Failed(_) => TaskKind::ActionRequired,
            Matter::DeadLetter { .. } | Matter::RefusedMessage { .. } => TaskKind::DeadLetter,
            Matter::OperationStuck { .. } | Matter::Left(_) => TaskKind::Operation,
        }
    }
}

impl Acknowledgement {
    fn of(record: &Record, note: Option<Comment>) -> Self {
        Self {
            at: instant(record.recorded_at_us),
            by: record.actor.as_str().to_owned(),
            note,
        }
    }
}

/// A task as the view keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    stream: StreamId,
    version: StreamVersion,
    #[serde(with = "crate::stored")]
    since: Timestamp,
    #[serde(with = "crate::stored")]
    matter: Matter,
}

/// What there is to look at, as it lies in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum StoredMatter {
    LeftOnBoard,
    LeftAtHub,
    NotStoodDown,
    EmergencyLanded,
    Unconfirmed,
    Failed(#[serde(with = "crate::stored")] Failure),
    Anomaly {
        #[serde(with = "crate::stored")]
        fact: FactId,
        #[serde(with = "crate::stored")]
        why: Anomaly,
    },
    DeadLetter {
        seq: u64,
        #[serde(with = "crate::stored")]
        why: ParkReason,
    },
    RefusedMessage {
        number: u64,
        #[serde(with = "crate::stored")]
        why: Refused,
    },
    OperationStuck {
        #[serde(with = "crate::stored")]
        effect: Effect,
    },
    VoidRefused {
        #[serde(with = "crate::stored")]
        authorization: Authorization,
    },
    PaymentLeftUnknown,
    FlightUnpaid,
    PackageShared {
        #[serde(with = "crate::stored")]
        delivery: DeliveryId,
        #[serde(with = "crate::stored")]
        with: DeliveryId,
    },
}

/// How often an operation was put off in a row, and the key of its task's row, if that was too
/// often.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct PutOff {
    times: u32,
    row_key: Option<Vec<u8>>,
}

impl Stored for Matter {
    type Raw = StoredMatter;

    fn raw(&self) -> StoredMatter {
        match self.clone() {
            Self::LeftOnBoard => StoredMatter::LeftOnBoard,
            Self::LeftAtHub => StoredMatter::LeftAtHub,
            Self::NotStoodDown => StoredMatter::NotStoodDown,
            Self::EmergencyLanded => StoredMatter::EmergencyLanded,
            Self::Unconfirmed => StoredMatter::Unconfirmed,
            Self::Failed(failure) => StoredMatter::Failed(failure),
            Self::Anomaly { fact, why } => StoredMatter::Anomaly { fact, why },
            Self::DeadLetter { seq, why } => StoredMatter::DeadLetter { seq, why },
            Self::RefusedMessage { number, why } => StoredMatter::RefusedMessage { number, why },
            Self::OperationStuck { effect } => StoredMatter::OperationStuck { effect },
            Self::Left(Left::Authorization(authorization)) => {
                StoredMatter::VoidRefused { authorization }
            }
            Self::Left(Left::UnknownPayment) => StoredMatter::PaymentLeftUnknown,
            Self::Left(Left::UnpaidFlight) => StoredMatter::FlightUnpaid,
            Self::Left(Left::SharedPackage { delivery, with }) => {
                StoredMatter::PackageShared { delivery, with }
            }
        }
    }

    fn from_raw(raw: StoredMatter) -> Option<Self> {
        Some(match raw {
            StoredMatter::LeftOnBoard => Self::LeftOnBoard,
            StoredMatter::LeftAtHub => Self::LeftAtHub,
            StoredMatter::NotStoodDown => Self::NotStoodDown,
            StoredMatter::EmergencyLanded => Self::EmergencyLanded,
            StoredMatter::Unconfirmed => Self::Unconfirmed,
            StoredMatter::Failed(failure) => Self::Failed(failure),
            StoredMatter::Anomaly { fact, why } => Self::Anomaly { fact, why },
            StoredMatter::DeadLetter { seq, why } => Self::DeadLetter { seq, why },
            StoredMatter::RefusedMessage { number, why } => Self::RefusedMessage { number, why },
            StoredMatter::OperationStuck { effect } => Self::OperationStuck { effect },
            StoredMatter::VoidRefused { authorization } => {
                Self::Left(Left::Authorization(authorization))
            }
            StoredMatter::PaymentLeftUnknown => Self::Left(Left::UnknownPayment),
            StoredMatter::FlightUnpaid => Self::Left(Left::UnpaidFlight),
            StoredMatter::PackageShared { delivery, with } => {
                Self::Left(Left::SharedPackage { delivery, with })
            }
        })
    }
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct Tasks;

impl Projection for Tasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn version(&self) -> u32 {
        10
    }

    fn categories(&self) -> &'static [Category] {
        &[
            Category::Delivery,
            Category::DroneSession,
            Category::Operation,
            Category::Refusals,
            Category::Task,
        ]
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
        if let Facts::Task(events) = facts {
            return acknowledge(view, record, events);
        }
        let turns = turns(facts);
        let changed = Key::index(CHANGED).id(record.stream.key.as_bytes());
        if turns.is_empty() || is_held(view, &changed, record)? {
            return Ok(());
        }
        if (List { view, record }).follow(turns)? {
            view.put(changed, to_bytes(&record.position));
        }
        Ok(())
    }
}

/// What a record's events mean for tasks, each with its place among them.
fn turns(facts: &Facts) -> Vec<(u32, TaskTurn)> {
    fn all<E>(events: &[E], turn: fn(&E) -> Option<TaskTurn>) -> Vec<(u32, TaskTurn)> {
        let turns = (0..).zip(events);
        turns
            .filter_map(|(place, event)| Some((place, turn(event)?)))
            .collect()
    }
    match facts {
        Facts::Delivery(events) => all(events, TaskTurn::of_delivery),
        Facts::Session(events) => all(events, TaskTurn::of_session),
        Facts::Refusals(events) => all(events, TaskTurn::of_refusals),
        Facts::Operation(events) => all(events, TaskTurn::of_operation),
        Facts::User(_) | Facts::Task(_) | Facts::Other | Facts::Undecodable(_) => Vec::new(),
    }
}

/// Notes who has seen to a task first, whether or not the view knows of it yet.
fn acknowledge(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[TaskEvent],
) -> Result<(), ViewStoreError> {
    for TaskEvent::TaskAcknowledged { task, note } in events {
        let key = acknowledgement_key(*task);
        if view.get(&key)?.is_none() {
            let acknowledgement = Acknowledgement::of(record, note.clone());
            view.put(key, to_bytes(&acknowledgement));
        }
    }
    Ok(())
}

fn acknowledgement_key(task: TaskId) -> Key {
    let subject = task.subject();
    Key::index(ACKNOWLEDGED)
        .number(u32::from(subject.category.number()))
        .id(subject.key.as_bytes())
        .large_number(task.version())
}

/// Whether the view holds what a record says about tasks of its stream.
fn is_held(view: &Overlay<'_>, changed: &Key, record: &Record) -> Result<bool, ViewStoreError> {
    let last = view.get(changed)?;
    let last = last.map(|bytes| from_bytes::<Position>(&bytes));
    Ok(last
        .transpose()?
        .is_some_and(|last| last >= record.position))
}

/// The list, while a record changes it. What changes it says whether it did.
struct List<'a, 'v> {
    view: &'a mut Overlay<'v>,
    record: &'a Record,
}

impl List<'_, '_> {
    fn follow(mut self, turns: Vec<(u32, TaskTurn)>) -> Result<bool, ViewStoreError> {
        let mut has_changed = false;
        for (place, turn) in turns {
            match turn {
                TaskTurn::Odd { fact, why } => {
                    self.open(place, Matter::Anomaly { fact, why });
                    let index = self.place(place).after(self.index_key(ANOMALY));
                    self.view.put(index, Vec::new());
                }
                TaskTurn::LookedAt => {
                    self.close_all(ANOMALY)?;
                    // Also where none was open: projected again it must not close a later one.
                    has_changed = true;
                }
                TaskTurn::LookAfter(matter) => {
                    self.look_after(place, matter)?;
                    has_changed = true;
                }
                TaskTurn::Over(matter) => {
                    if self.own()?.as_ref() == Some(&matter) {
                        has_changed |= self.close_all(OF_DELIVERY)?;
                    }
                }
                TaskTurn::Settled => has_changed |= self.close_all(OF_DELIVERY)?,
                TaskTurn::Failed(failure) => {
                    self.close_all(OF_DELIVERY)?;
                    self.look_after(place, Matter::Failed(failure))?;
                    has_changed = true;
                }
                TaskTurn::GivenUp { seq, why } => {
                    self.close_letter(seq)?;
                    let row_key = self.open(place, Matter::DeadLetter { seq, why });
                    self.view.put(self.letter_key(seq), row_key.into_bytes());
                    has_changed = true;
                }
                TaskTurn::Refused { number, why } => {
                    self.close_letter(number)?;
                    let row_key = self.open(place, Matter::RefusedMessage { number, why });
                    self.view.put(self.letter_key(number), row_key.into_bytes());
                    has_changed = true;
                }
                TaskTurn::Applied { seq } => has_changed |= self.close_letter(seq)?,
                TaskTurn::PutOff { effect } => {
                    self.put_off(place, effect)?;
                    has_changed = true;
                }
                TaskTurn::WentOn => has_changed |= self.go_on()?,
                TaskTurn::Left(left) => {
                    has_changed |= self.go_on()?;
                    self.open(place, Matter::Left(left));
                }
            }
        }
        Ok(has_changed)
    }

    fn open(&mut self, place: u32, matter: Matter) -> Key {
        let record = self.record;
        let version = record.first_version.get().saturating_add(u64::from(place));
        let task = Row {
            stream: record.stream,
            version: StreamVersion::new(version),
            since: instant(record.recorded_at_us),
            matter,
        };
        let row_key = self.place(place).after(Key::row());
        self.view.put(row_key.clone(), to_bytes(&task));
        row_key
    }

    /// Opens a delivery's own task in place of one about something else.
    fn look_after(&mut self, place: u32, matter: Matter) -> Result<(), ViewStoreError> {
        if self.own()?.as_ref() != Some(&matter) {
            self.close_all(OF_DELIVERY)?;
            self.open(place, matter);
            let index = self.place(place).after(self.index_key(OF_DELIVERY));
            self.view.put(index, Vec::new());
        }
        Ok(())
    }

    /// Closes a delivery's tasks that an index tells of, if there are any.
    fn close_all(&mut self, index: u8) -> Result<bool, ViewStoreError> {
        let open = self.open_in(index)?;
        for (place, index) in &open {
            self.view.remove(place.after(Key::row()));
            self.view.remove(index.clone());
        }
        Ok(!open.is_empty())
    }

    /// What a delivery's own task is about, if it has one.
    fn own(&self) -> Result<Option<Matter>, ViewStoreError> {
        let Some((place, _)) = self.open_in(OF_DELIVERY)?.into_iter().next() else {
            return Ok(None);
        };
        let row = self.view.get(&place.after(Key::row()))?;
        let row = row.map(|row| from_bytes::<Row>(&row)).transpose()?;
        Ok(row.map(|row| row.matter))
    }

    /// A delivery's tasks that an index tells of: one of its own at most, and as many as it has
    /// anomalies recorded.
    fn open_in(&self, index: u8) -> Result<Vec<(EventPlace, Key)>, ViewStoreError> {
        let range = self.index_key(index).prefix();
        let entries = self.view.scan(&range, Direction::Forward, ANOMALIES_MAX)?;
        let open = entries.into_iter().map(|(key, _)| {
            let prefix = self.index_key(index).into_bytes().len();
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

    /// Counts that an operation was put off, and opens a task once that is too often.
    fn put_off(&mut self, place: u32, effect: Effect) -> Result<(), ViewStoreError> {
        let key = self.operation_key();
        let before = self.view.get(&key)?;
        let before = before
            .map(|bytes| from_bytes::<PutOff>(&bytes))
            .transpose()?;
        let mut put_off = before.unwrap_or_default();
        put_off.times = put_off.times.saturating_add(1);
        if put_off.times == PUT_OFF_MAX {
            let row_key = self.open(place, Matter::OperationStuck { effect });
            put_off.row_key = Some(row_key.into_bytes());
        }
        self.view.put(key, to_bytes(&put_off));
        Ok(())
    }

    /// Closes the task of an operation that was stuck, and counts anew.
    fn go_on(&mut self) -> Result<bool, ViewStoreError> {
        let key = self.operation_key();
        let Some(put_off) = self.view.get(&key)? else {
            return Ok(false);
        };
        if let Some(row_key) = from_bytes::<PutOff>(&put_off)?.row_key {
            self.view.remove(Key::from_bytes(row_key));
        }
        self.view.remove(key);
        Ok(true)
    }

    fn operation_key(&self) -> Key {
        Key::index(PUT_OFF).id(self.record.stream.key.as_bytes())
    }

    fn index_key(&self, index: u8) -> Key {
        Key::index(index).id(self.record.stream.key.as_bytes())
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

/// The tasks that are wanted, newest first.
pub(crate) fn page(
    view: &Overlay<'_>,
    query: TasksQuery,
) -> Result<EventPage<Task>, ViewStoreError> {
    let bounds = PageBounds {
        items_max: query.limit.clamp(1, TASKS_PER_PAGE_MAX),
        rows_max: TASKS_SCANNED_MAX,
    };
    EventPage::read(view, query.after, bounds, |row| {
        let task = listed(view, row)?;
        let is_wanted = query.status.is_none_or(|status| task.status() == status)
            && query.kind.is_none_or(|kind| task.kind() == kind);
        Ok(is_wanted.then_some(task))
    })
}

fn listed(view: &Overlay<'_>, row: &[u8]) -> Result<Task, ViewStoreError> {
    let row = from_bytes::<Row>(row)?;
    let category = Category::from_number(row.stream.category.get());
    let id = category.and_then(|category| {
        let key = row.stream.key;
        TaskId::new(StreamName { category, key }, row.version.get()).ok()
    });
    let id = id.ok_or_else(|| ViewStoreError::unreadable("a task of a stream that has none"))?;
    let acknowledgement = view.get(&acknowledgement_key(id))?;
    Ok(Task {
        id,
        since: row.since,
        matter: row.matter,
        acknowledgement: acknowledgement.map(|it| from_bytes(&it)).transpose()?,
    })
}
