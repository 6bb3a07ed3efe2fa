//! What the people who keep the service going ask: about all deliveries, not one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::drone::Sender;
use domain::id::{DeliveryId, DroneId, MissionId, OperationId};
use domain::session::{ParkReason, ReceivedFact, SessionEvent};
use domain::task::{Matter, TaskId};
use domain::time::Timestamp;
use eventstore::{Filter, StreamId, StreamVersion};

use super::current::Unfolded;
use super::{AsKnown, QueryError, Views};
use crate::dead_letters::{self, DeadLetters, LetterRow, Received};
use crate::deliveries::{self, Deliveries, DeliveriesPage, DeliveriesQuery};
use crate::delivery_status::{self, DeliveryStatus};
use crate::event_place::{EventPage, EventPlace};
use crate::feeding::ONE_RECORD;
use crate::fleet::{self, DroneRow, Fleet};
use crate::live::DroneName;
use crate::open_operations::{self, DueOperation, OpenOperation, OpenOperations};
use crate::projection::Facts;
use crate::statistics::{self, HourlyStatistics, StatisticsPage, StatisticsQuery};
use crate::tasks::{self, Task, Tasks, TasksQuery};

/// A fact that could not be applied in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its session's stream.
    pub stream: StreamId,
    /// The version of the event that gave it up.
    pub version: StreamVersion,
    /// Its number in the session.
    pub seq: u64,
    /// What it waited for.
    pub why: ParkReason,
    /// The mission that it is about.
    pub mission: Option<MissionId>,
    /// The delivery that its mission was to be bound to, where that was what it waited for.
    pub delivery: Option<DeliveryId>,
    /// Since when it waited, if that is known.
    pub since: Option<Timestamp>,
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// Who sent it, if that is known.
    pub sender: Option<Sender>,
    /// What it says, if that is known.
    pub fact: Option<ReceivedFact>,
}

impl Views {
    /// The drones that the log tells of after one, sorted by name, then by
    /// fleet, at most `limit` and [`DRONES_PER_ANSWER_MAX`](crate::DRONES_PER_ANSWER_MAX),
    /// as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn drones(
        &self,
        after: Option<&DroneName>,
        limit: usize,
    ) -> Result<Vec<DroneRow>, QueryError> {
        self.query(|set| {
            let view = set.view(&Fleet);
            let view = self.caught_up(&view)?;
            Ok(fleet::drones(&view.overlay(), after, limit)?)
        })
    }

    /// The drones of one name, of whatever fleet, at most
    /// [`DRONES_PER_ANSWER_MAX`](crate::DRONES_PER_ANSWER_MAX), current. Far behind
    /// the log it waits up to two seconds for the view, so it wants a runtime
    /// with timers. A record that cannot be folded may concern any of them.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` if the view did not come near enough in time.
    pub async fn drones_named(
        &self,
        drone: &DroneId,
    ) -> Result<AsKnown<Vec<DroneRow>>, QueryError> {
        let ask = || {
            self.query(|set| {
                let fleet = set.view(&Fleet);
                let view = fleet.read();
                // The view leaves out what cannot be folded as well, and counts it.
                let mut unfolded = Unfolded::default();
                let overlay = self.with_later(&view, &Filter::everything(), &mut unfolded)?;
                let later = unfolded.records.first().copied();
                Ok(AsKnown {
                    shown: fleet::named(&overlay, drone)?,
                    degraded_since: fleet.parked().since(|_| true).or(later),
                })
            })
        };
        self.current(&Fleet, ask).await
    }

    /// The operations after one that wait for a moment up to `now`, the oldest first, at most
    /// `limit` and [`OPERATIONS_PER_PAGE_MAX`](crate::OPERATIONS_PER_PAGE_MAX), as of the view's
    /// position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn due_operations(
        &self,
        after: Option<DueOperation>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueOperation>, QueryError> {
        self.query(|set| {
            let view = set.view(&OpenOperations);
            let view = self.caught_up(&view)?;
            Ok(open_operations::due(&view.overlay(), after, now, limit)?)
        })
    }

    /// The operations of which something is left to be done, after one, by id, at most `limit`
    /// and [`OPERATIONS_PER_PAGE_MAX`](crate::OPERATIONS_PER_PAGE_MAX), as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn open_operations(
        &self,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<OpenOperation>, QueryError> {
        self.query(|set| {
            let view = set.view(&OpenOperations);
            let view = self.caught_up(&view)?;
            Ok(open_operations::open(&view.overlay(), after, limit)?)
        })
    }

    /// A page of all deliveries, of whatever user, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn deliveries(&self, query: &DeliveriesQuery) -> Result<DeliveriesPage, QueryError> {
        self.query(|set| {
            let (list, status) = (set.view(&Deliveries), set.view(&DeliveryStatus));
            let (list, status) = (self.caught_up(&list)?, self.caught_up(&status)?);
            let status = status.overlay();
            let status_of = |id| delivery_status::status(&status, id);
            Ok(deliveries::page(&list.overlay(), query, status_of)?)
        })
    }

    /// How well it went, period by period, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn statistics(&self, query: &StatisticsQuery) -> Result<StatisticsPage, QueryError> {
        self.query(|set| {
            let view = set.view(&HourlyStatistics);
            let view = self.caught_up(&view)?;
            Ok(statistics::page(&view.overlay(), query)?)
        })
    }

    /// A page of what needs a person, newest first, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn tasks(&self, query: TasksQuery) -> Result<EventPage<Task>, QueryError> {
        self.query(|set| {
            let view = set.view(&Tasks);
            let view = self.caught_up(&view)?;
            Ok(tasks::page(&view.overlay(), query)?)
        })
    }

    /// A task, current; `None` if there is no such task, or no longer. It is
    /// read from the log and asks no view.
    ///
    /// # Errors
    /// [`QueryError`], but never `Lagging`; `Halted` where an event that it
    /// follows from cannot be read.
    pub fn task(&self, id: TaskId) -> Result<Option<Task>, QueryError> {
        tasks::task(&*self.log, id)
    }

    /// A page of facts that were given up, newest first, as of the view's
    /// position, with what they say read from the log.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn dead_letters(
        &self,
        after: Option<EventPlace>,
        limit: usize,
    ) -> Result<EventPage<DeadLetter>, QueryError> {
        let page = self.query(|set| {
            let view = set.view(&DeadLetters);
            let view = self.caught_up(&view)?;
            Ok(dead_letters::page(&view.overlay(), after, limit)?)
        })?;
        let mut senders = HashMap::new();
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            let sender = match senders.entry(row.stream) {
                Entry::Occupied(known) => Option::clone(known.get()),
                Entry::Vacant(place) => place.insert(self.sender(row.stream)?).clone(),
            };
            items.push(self.letter(&row, sender)?);
        }
        let next = page.next;
        Ok(EventPage { items, next })
    }

    /// The dead letter that a task is about, as of the view's position; `None` if
    /// the task is about something else, or there is none any more.
    ///
    /// # Errors
    /// As [`Views::dead_letters`].
    pub fn dead_letter_of(&self, task: &Task) -> Result<Option<DeadLetter>, QueryError> {
        let Matter::DeadLetter { seq, why: _ } = task.matter else {
            return Ok(None);
        };
        let session = task.id.subject().key;
        let row = self.query(|set| {
            let view = set.view(&DeadLetters);
            let view = self.caught_up(&view)?;
            Ok(dead_letters::of_fact(
                &view.overlay(),
                session.as_bytes(),
                seq,
            )?)
        })?;
        row.map(|row| self.letter(&row, self.sender(row.stream)?))
            .transpose()
    }

    /// A dead letter with what it says.
    fn letter(&self, row: &LetterRow, sender: Option<Sender>) -> Result<DeadLetter, QueryError> {
        let fact = match row.received {
            Some(received) => self.fact(row.stream, received)?,
            None => None,
        };
        Ok(DeadLetter::new(row, sender, fact))
    }

    /// Whose session a stream is.
    fn sender(&self, stream: StreamId) -> Result<Option<Sender>, QueryError> {
        let events = self.session_record(stream, StreamVersion::EMPTY)?;
        Ok(events.into_iter().find_map(|event| match event {
            SessionEvent::SessionOpened(sender) => Some(sender),
            SessionEvent::FactReceived(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => None,
        }))
    }

    /// What was received at a place of a session.
    fn fact(
        &self,
        stream: StreamId,
        received: Received,
    ) -> Result<Option<ReceivedFact>, QueryError> {
        let events = self.session_record(stream, received.after)?;
        let place = usize::try_from(received.place).unwrap_or(usize::MAX);
        Ok(events.into_iter().nth(place).and_then(|event| match event {
            SessionEvent::FactReceived(fact) => Some(*fact),
            SessionEvent::SessionOpened(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => None,
        }))
    }

    /// The events of the record of a session that begins after a version; none
    /// where it cannot be read, which is told elsewhere.
    fn session_record(
        &self,
        stream: StreamId,
        after: StreamVersion,
    ) -> Result<Vec<SessionEvent>, QueryError> {
        let page = self.log.read_stream(stream, after, ONE_RECORD)?;
        Ok(match page.records.first().map(Facts::of) {
            Some(Facts::Session(events)) => events,
            Some(
                Facts::Delivery(_)
                | Facts::User(_)
                | Facts::Task(_)
                | Facts::Operation(_)
                | Facts::Other
                | Facts::Undecodable(_),
            )
            | None => Vec::new(),
        })
    }
}

impl DeadLetter {
    fn new(row: &LetterRow, sender: Option<Sender>, fact: Option<ReceivedFact>) -> Self {
        let parked = row.parked;
        let mission = fact.as_ref().and_then(|fact| fact.mission);
        Self {
            stream: row.stream,
            version: row.version,
            seq: row.seq,
            why: row.why,
            mission: mission.or(parked.and_then(|parked| parked.mission)),
            delivery: parked.and_then(|parked| parked.delivery),
            since: parked.map(|parked| parked.since),
            given_up_at: row.given_up_at,
            sender,
            fact,
        }
    }
}
