//! Dead letters with what they say, which stays in the log and is read there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::drone::Sender;
use domain::id::{DeliveryId, MissionId};
use domain::refusals::{RefusalEvent, Refused, RefusedMessage};
use domain::session::{ParkReason, ReceivedFact, SessionEvent};
use domain::task::Matter;
use domain::time::Timestamp;
use eventstore::{StreamId, StreamVersion};

use super::super::{QueryError, Views};
use crate::dead_letters::{self, DeadLetters, LetterRow, MessageRow, Received, Row};
use crate::event_place::{EventPage, EventPlace};
use crate::feeding::ONE_RECORD;
use crate::projection::Facts;
use crate::tasks::Task;

/// What came and had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// A fact that could not be applied in time.
    Fact(Box<GivenUpFact>),
    /// A message that could not be read.
    Message(Box<RefusedLetter>),
}

/// A fact that could not be applied in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUpFact {
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

/// A message that was refused where nobody could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLetter {
    /// The stream of its hour.
    pub stream: StreamId,
    /// The version of the event that says so.
    pub version: StreamVersion,
    /// What is the matter with it.
    pub why: Refused,
    /// When that was recorded.
    pub refused_at: Timestamp,
    /// What came, if that can be read.
    pub message: Option<RefusedMessage>,
}

impl Views {
    /// A page of facts that were given up and of messages that were refused, newest first, as of
    /// the view's position, with what they say read from the log.
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
            items.push(match row {
                Row::Fact(row) => {
                    let sender = match senders.entry(row.stream) {
                        Entry::Occupied(known) => Option::clone(known.get()),
                        Entry::Vacant(place) => place.insert(self.sender(row.stream)?).clone(),
                    };
                    self.fact_letter(&row, sender)?
                }
                Row::Message(row) => self.message_letter(&row)?,
            });
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
        let number = match task.matter {
            Matter::DeadLetter { seq: number, .. } | Matter::RefusedMessage { number, .. } => {
                number
            }
            Matter::LeftOnBoard
            | Matter::LeftAtHub
            | Matter::NotStoodDown
            | Matter::EmergencyLanded
            | Matter::Unconfirmed
            | Matter::Failed(_)
            | Matter::Anomaly { .. }
            | Matter::OperationStuck { .. }
            | Matter::Left(_) => return Ok(None),
        };
        let stream = task.id.subject().key;
        let row = self.query(|set| {
            let view = set.view(&DeadLetters);
            let view = self.caught_up(&view)?;
            let overlay = view.overlay();
            Ok(dead_letters::of_number(
                &overlay,
                stream.as_bytes(),
                number,
            )?)
        })?;
        row.map(|row| match row {
            Row::Fact(row) => self.fact_letter(&row, self.sender(row.stream)?),
            Row::Message(row) => self.message_letter(&row),
        })
        .transpose()
    }

    /// A dead letter with what it says.
    fn fact_letter(
        &self,
        row: &LetterRow,
        sender: Option<Sender>,
    ) -> Result<DeadLetter, QueryError> {
        let fact = match row.received {
            Some(received) => self.fact(row.stream, received)?,
            None => None,
        };
        Ok(DeadLetter::Fact(Box::new(GivenUpFact::new(
            row, sender, fact,
        ))))
    }

    /// A message that was refused, with what came.
    fn message_letter(&self, row: &MessageRow) -> Result<DeadLetter, QueryError> {
        let place = usize::try_from(row.at.place).unwrap_or(usize::MAX);
        let events = match self.record(row.stream, row.at.after)? {
            Some(Facts::Refusals(events)) => events,
            Some(
                Facts::Delivery(_)
                | Facts::User(_)
                | Facts::Session(_)
                | Facts::Task(_)
                | Facts::Operation(_)
                | Facts::Other
                | Facts::Undecodable(_),
            )
            | None => Vec::new(),
        };
        let message = events.into_iter().nth(place).and_then(|event| match event {
            RefusalEvent::MessageRefused { message, .. } => Some(*message),
            RefusalEvent::FurtherRefused { .. } | RefusalEvent::RefusalLifted { .. } => None,
        });
        Ok(DeadLetter::Message(Box::new(RefusedLetter {
            stream: row.stream,
            version: row.version,
            why: row.why,
            refused_at: row.refused_at,
            message,
        })))
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
        Ok(match self.record(stream, after)? {
            Some(Facts::Session(events)) => events,
            Some(
                Facts::Delivery(_)
                | Facts::User(_)
                | Facts::Refusals(_)
                | Facts::Task(_)
                | Facts::Operation(_)
                | Facts::Other
                | Facts::Undecodable(_),
            )
            | None => Vec::new(),
        })
    }

    /// The record of a stream that begins after a version.
    fn record(&self, stream: StreamId, after: StreamVersion) -> Result<Option<Facts>, QueryError> {
        let page = self.log.read_stream(stream, after, ONE_RECORD)?;
        Ok(page.records.first().map(Facts::of))
    }
}

impl GivenUpFact {
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
