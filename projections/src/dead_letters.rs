//! Which facts could not be applied, which messages could not be read, and why?
//!
//! ```text
//! row  (position, place)    a dead letter, by the event that made it one
//! index 1 session           how far its numbers have come, where that does not follow
//! index 2 (session, seq)    a fact that waits: where it lies in its stream, what it waits for
//! index 3 (stream, number)   the row key of a dead letter
//! index 4 refusals           the last record that was followed of an hour's refused messages
//! ```
//! What a dead letter says stays in the log and is read there. To find it, the
//! places of facts that may yet become one are kept; which those are follows
//! from the session's numbers. Of a session whose facts came in order and none
//! of which waited, nothing is kept at all: its numbers follow from the version
//! of its stream. A fact that is applied after all is a dead letter no more.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{DeliveryId, MissionId};
use domain::session::{Backlog, ParkReason, Parked, SessionEvent};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::event_place::{EventPage, EventPlace, PageBounds};
use crate::key::Key;
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, instant, to_bytes};
use crate::view_store::ViewStoreError;

// Messages that were refused.
mod refused;

pub(crate) use refused::MessageRow;

#[cfg(test)]
mod tests;

const NUMBERS: u8 = 1;
const WAITING: u8 = 2;
const LETTERS: u8 = 3;
const REFUSED: u8 = 4;

/// Most dead letters on one page.
pub const DEAD_LETTERS_PER_PAGE_MAX: usize = 200;

/// A dead letter, as the view keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Row {
    /// A fact that was given up.
    Fact(LetterRow),
    /// A message that was refused.
    Message(MessageRow),
}

/// A fact that was given up, as the view keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LetterRow {
    /// Its session.
    pub(crate) stream: StreamId,
    /// The version of the event that gave it up.
    pub(crate) version: StreamVersion,
    /// Its number in the session.
    pub(crate) seq: u64,
    /// What it waited for.
    #[serde(with = "crate::stored")]
    pub(crate) why: ParkReason,
    /// When that was recorded.
    #[serde(with = "crate::stored")]
    pub(crate) given_up_at: Timestamp,
    /// What it waited for, and since when, if that is known.
    pub(crate) parked: Option<StoredParked>,
    /// Where the fact itself lies, if that is known.
    pub(crate) received: Option<Received>,
}

/// Where a fact lies in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    /// The version after which its record begins.
    pub(crate) after: StreamVersion,
    /// The how-manieth event of the record it is, from 0.
    pub(crate) place: u32,
}

/// What a fact waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredParked {
    #[serde(with = "crate::stored")]
    pub(crate) mission: Option<MissionId>,
    #[serde(with = "crate::stored")]
    pub(crate) delivery: Option<DeliveryId>,
    #[serde(with = "crate::stored")]
    pub(crate) since: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Waiting {
    received: Option<Received>,
    parked: Option<StoredParked>,
}

/// How far a session's numbers had come at a version of its stream. Behind it
/// lie none but facts in order, if nothing is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Numbers {
    version: StreamVersion,
    next: u64,
    #[serde(with = "crate::stored")]
    held: Vec<(u64, Timestamp)>,
    position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct DeadLetters;

impl Projection for DeadLetters {
    fn name(&self) -> &'static str {
        "dead_letters"
    }

    fn version(&self) -> u32 {
        3
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::DroneSession, Category::Refusals]
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
        if let Facts::Refusals(events) = facts {
            return refused::follow(view, record, events);
        }
        let Facts::Session(events) = facts else {
            return Ok(());
        };
        let key = Key::index(NUMBERS).id(record.stream.key.as_bytes());
        let numbers = match view.get(&key)? {
            Some(bytes) => from_bytes(&bytes)?,
            None => Numbers::at_first(),
        };
        if numbers.position >= record.position {
            return Ok(());
        }
        let next = numbers.next_before(record);
        if numbers.held.is_empty() && are_facts_in_order(record, events, next) {
            return Ok(());
        }
        let numbers = Session { view, record }.follow(events, next, &numbers.held)?;
        view.put(key, to_bytes(&numbers));
        Ok(())
    }
}

impl Numbers {
    /// Behind the first event of every session, which is no fact.
    const fn at_first() -> Self {
        Self {
            version: StreamVersion::new(1),
            next: 1,
            held: Vec::new(),
            position: Position::START,
        }
    }

    /// The number that is awaited before a record.
    fn next_before(&self, record: &Record) -> u64 {
        let passed_over = record.first_version.get().saturating_sub(1);
        let in_order = passed_over.saturating_sub(self.version.get());
        self.next.saturating_add(in_order)
    }
}

/// Whether a record tells nothing but that the awaited facts came.
fn are_facts_in_order(record: &Record, events: &[SessionEvent], next: u64) -> bool {
    let opens = |version| version == StreamVersion::new(1);
    let mut awaited = next;
    let mut versions = record.versioned().map(|(version, _)| version);
    events.iter().all(|event| {
        let version = versions.next();
        match event {
            SessionEvent::SessionOpened(_) => version.is_some_and(opens),
            SessionEvent::FactReceived(fact) => {
                let is_awaited = fact.seq == awaited && !version.is_some_and(opens);
                awaited = awaited.saturating_add(1);
                is_awaited
            }
            SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => false,
        }
    })
}

/// A session to which something happens that is to be noted.
struct Session<'a, 'v> {
    view: &'a mut Overlay<'v>,
    record: &'a Record,
}

impl Session<'_, '_> {
    fn follow(
        mut self,
        events: &[SessionEvent],
        next: u64,
        held: &[(u64, Timestamp)],
    ) -> Result<Numbers, ViewStoreError> {
        let mut backlog = Backlog::restore(next, held.iter().copied(), []);
        let (mut received, mut touched) = (BTreeMap::new(), BTreeSet::new());
        for (place, event) in (0..).zip(events) {
            match event {
                SessionEvent::FactReceived(fact) => {
                    let after = self.record.first_version.get().saturating_sub(1);
                    let after = StreamVersion::new(after);
                    received.insert(fact.seq, Received { after, place });
                    backlog.evolve(event);
                }
                SessionEvent::GapPassed { .. } => backlog.evolve(event),
                SessionEvent::FactParked { seq, parked } => {
                    touched.insert(*seq);
                    self.park(*seq, parked, received.get(seq).copied())?;
                }
                SessionEvent::FactUnparked { seq } => {
                    touched.insert(*seq);
                    self.release(*seq)?;
                }
                SessionEvent::DeadLettered { seq, why } => {
                    touched.insert(*seq);
                    // One that was never parked came in with this record, or was held.
                    self.give_up(*seq, *why, (place, received.get(seq).copied()))?;
                }
                SessionEvent::SessionOpened(_) => {}
            }
        }
        let still_held: BTreeSet<u64> = backlog.held().map(|(seq, _)| seq).collect();
        for (seq, received) in received {
            if still_held.contains(&seq) {
                let mut waiting = self.waiting(seq)?.unwrap_or_default();
                waiting.received = Some(received);
                self.put_waiting(seq, &waiting);
            }
        }
        touched.extend(held.iter().map(|(seq, _)| *seq));
        for seq in touched.difference(&still_held) {
            if self.waiting(*seq)?.is_some_and(|it| it.parked.is_none()) {
                self.view.remove(self.waiting_key(*seq));
            }
        }
        Ok(Numbers {
            version: self.record.last_version(),
            next: backlog.next(),
            held: backlog.held().collect(),
            position: self.record.position,
        })
    }

    fn waiting_key(&self, seq: u64) -> Key {
        let session = self.record.stream.key.as_bytes();
        Key::index(WAITING).id(session).large_number(seq)
    }

    fn waiting(&self, seq: u64) -> Result<Option<Waiting>, ViewStoreError> {
        let bytes = self.view.get(&self.waiting_key(seq))?;
        bytes.map(|bytes| from_bytes(&bytes)).transpose()
    }

    fn put_waiting(&mut self, seq: u64, waiting: &Waiting) {
        self.view.put(self.waiting_key(seq), to_bytes(waiting));
    }

    fn park(
        &mut self,
        seq: u64,
        parked: &Parked,
        received: Option<Received>,
    ) -> Result<(), ViewStoreError> {
        let mut waiting = self.waiting(seq)?.unwrap_or_default();
        waiting.received = received.or(waiting.received);
        waiting.parked = Some(StoredParked {
            mission: parked.mission,
            delivery: parked.delivery,
            since: parked.since,
        });
        self.put_waiting(seq, &waiting);
        Ok(())
    }

    /// It waits for nothing any more, and is no dead letter.
    fn release(&mut self, seq: u64) -> Result<(), ViewStoreError> {
        if let Some(waiting) = self.waiting(seq)? {
            let parked = None;
            self.put_waiting(seq, &Waiting { parked, ..waiting });
        }
        refused::close(self.view, self.record.stream.key.as_bytes(), seq)
    }

    fn give_up(
        &mut self,
        seq: u64,
        why: ParkReason,
        (place, received): (u32, Option<Received>),
    ) -> Result<(), ViewStoreError> {
        let waiting = self.waiting(seq)?.unwrap_or_default();
        // What was given up twice is one dead letter.
        self.release(seq)?;
        let record = self.record;
        let version = record.first_version.get().saturating_add(u64::from(place));
        let row = LetterRow {
            stream: record.stream,
            version: StreamVersion::new(version),
            seq,
            why,
            given_up_at: instant(record.recorded_at_us),
            parked: waiting.parked,
            received: received.or(waiting.received),
        };
        let position = record.position;
        let row_key = EventPlace { position, place }.after(Key::row());
        let letter = letter_key(record.stream.key.as_bytes(), seq);
        self.view.put(letter, row_key.clone().into_bytes());
        self.view.put(row_key, to_bytes(&Row::Fact(row)));
        Ok(())
    }
}

/// The dead letter that a stream's fact or message of this number is, if it is one.
pub(crate) fn of_number(
    view: &Overlay<'_>,
    stream: &[u8; 16],
    number: u64,
) -> Result<Option<Row>, ViewStoreError> {
    let Some(row_key) = view.get(&letter_key(stream, number))? else {
        return Ok(None);
    };
    let row = view.get(&Key::from_bytes(row_key))?;
    row.map(|row| from_bytes(&row)).transpose()
}

fn letter_key(stream: &[u8; 16], number: u64) -> Key {
    Key::index(LETTERS).id(stream).large_number(number)
}

/// The dead letters before a place, newest first, at most `limit` and
/// [`DEAD_LETTERS_PER_PAGE_MAX`].
pub(crate) fn page(
    view: &Overlay<'_>,
    after: Option<EventPlace>,
    limit: usize,
) -> Result<EventPage<Row>, ViewStoreError> {
    let items_max = limit.clamp(1, DEAD_LETTERS_PER_PAGE_MAX);
    // Every row is an item.
    let bounds = PageBounds {
        items_max,
        rows_max: items_max,
    };
    EventPage::read(view, after, bounds, |row| from_bytes(row).map(Some))
}
