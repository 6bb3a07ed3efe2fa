//! What do we still have to wait for, after a restart?
//!
//! ```text
//! row  session            what comes next and what is held
//! index 1 session         empty: the session has something held or parked
//! index 2 (session, seq)  a fact that is parked until its mission or delivery is known
//! ```
//! Facts of a kind that this release does not know are parked for a later
//! release and for nothing that could happen: they are not waited for here.

use domain::id::MissionId;
use domain::session::{Backlog, ParkReason, Parked, SessionEvent};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts};
use crate::overlay::Overlay;
use crate::projection::{Facts, Projection};
use crate::stored::{from_bytes, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const WAITING: u8 = 1;
const PARKED: u8 = 2;

/// Most sessions that one answer lists.
pub const WAITING_SESSIONS_MAX: usize = 10_000;

/// Parked facts read at a time.
const PARKED_PER_READ: usize = 500;

/// A drone session that waits for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingSession {
    /// Its stream.
    pub stream: StreamId,
    /// When the oldest fact that is held for a missing one came in.
    pub oldest_held: Option<Timestamp>,
    /// When the oldest parked fact came in.
    pub oldest_parked: Option<Timestamp>,
    /// The missions of the parked facts, each once.
    pub parked_missions: Vec<MissionId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredRow {
    stream: StreamId,
    next: u64,
    #[serde(with = "crate::stored")]
    held: Vec<(u64, Timestamp)>,
    /// How many facts are parked in the index.
    parked: u32,
    position: Position,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredParked {
    #[serde(with = "crate::stored")]
    why: ParkReason,
    #[serde(with = "crate::stored")]
    mission: Option<MissionId>,
    #[serde(with = "crate::stored")]
    since: Timestamp,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct WaitingSessions;

impl Projection for WaitingSessions {
    fn name(&self) -> &'static str {
        "waiting_sessions"
    }

    fn version(&self) -> u32 {
        1
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::DroneSession]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let Facts::Session(events) = facts else {
            return Ok(());
        };
        let session = record.stream.key.as_bytes();
        let key = Key::row().id(session);
        let mut row = match view.get(&key)? {
            Some(bytes) => from_bytes(&bytes)?,
            None => StoredRow::new(record.stream),
        };
        if row.position >= record.position {
            return Ok(());
        }
        let waited = row.waits();
        // Parked facts have keys of their own, so the fold need not know them.
        let mut backlog = Backlog::restore(row.next, row.held.iter().copied(), []);
        for event in events {
            match event {
                SessionEvent::FactParked { seq, parked } => park(view, &mut row, *seq, parked)?,
                SessionEvent::FactUnparked { seq } => unpark(view, &mut row, *seq)?,
                SessionEvent::SessionOpened(_)
                | SessionEvent::FactReceived(_)
                | SessionEvent::GapPassed { .. } => backlog.evolve(event),
            }
        }
        row.next = backlog.next();
        row.held = backlog.held().collect();
        row.position = record.position;
        match (waited, row.waits()) {
            (false, true) => view.put(Key::index(WAITING).id(session), Vec::new()),
            (true, false) => view.remove(Key::index(WAITING).id(session)),
            (true, true) | (false, false) => {}
        }
        view.put(key, to_bytes(&row));
        Ok(())
    }
}

impl StoredRow {
    fn new(stream: StreamId) -> Self {
        Self {
            stream,
            next: Backlog::default().next(),
            held: Vec::new(),
            parked: 0,
            position: Position::START,
        }
    }

    fn waits(&self) -> bool {
        !self.held.is_empty() || self.parked > 0
    }
}

fn parked_key(row: &StoredRow, seq: u64) -> Key {
    Key::index(PARKED)
        .id(row.stream.key.as_bytes())
        .large_number(seq)
}

fn park(
    view: &mut Overlay<'_>,
    row: &mut StoredRow,
    seq: u64,
    parked: &Parked,
) -> Result<(), ViewStoreError> {
    match parked.why {
        ParkReason::UnknownMission | ParkReason::UnknownDelivery => {}
        ParkReason::UnknownKind => return unpark(view, row, seq),
    }
    let key = parked_key(row, seq);
    if view.get(&key)?.is_none() {
        row.parked = row.parked.saturating_add(1);
    }
    let stored = StoredParked {
        why: parked.why,
        mission: parked.mission,
        since: parked.since,
    };
    view.put(key, to_bytes(&stored));
    Ok(())
}

fn unpark(view: &mut Overlay<'_>, row: &mut StoredRow, seq: u64) -> Result<(), ViewStoreError> {
    let key = parked_key(row, seq);
    if view.get(&key)?.is_some() {
        row.parked = row.parked.saturating_sub(1);
        view.remove(key);
    }
    Ok(())
}

/// The sessions that wait for something, at most [`WAITING_SESSIONS_MAX`].
pub(crate) fn waiting(view: &Overlay<'_>) -> Result<Vec<WaitingSession>, ViewStoreError> {
    let waiting = Key::index(WAITING).prefix();
    let keys = view.scan(&waiting, Direction::Forward, WAITING_SESSIONS_MAX)?;
    let sessions = keys.iter().map(|(key, _)| {
        let session = KeyParts::of_index(key, WAITING).and_then(|mut parts| parts.id());
        let session = session.ok_or_else(|| ViewStoreError::unreadable("an entry without key"))?;
        waiting_session(view, &session)
    });
    sessions.collect()
}

fn waiting_session(
    view: &Overlay<'_>,
    session: &[u8; 16],
) -> Result<WaitingSession, ViewStoreError> {
    let row = view
        .get(&Key::row().id(session))?
        .ok_or_else(|| ViewStoreError::unreadable("an indexed session without its row"))?;
    let row = from_bytes::<StoredRow>(&row)?;
    let mut waiting = WaitingSession {
        stream: row.stream,
        oldest_held: row.held.iter().map(|(_, received_at)| *received_at).min(),
        oldest_parked: None,
        parked_missions: Vec::new(),
    };
    let mut range = Key::index(PARKED).id(session).prefix();
    loop {
        let parked = view.scan(&range, Direction::Forward, PARKED_PER_READ)?;
        let Some((last, _)) = parked.last() else {
            waiting.parked_missions.sort_unstable();
            waiting.parked_missions.dedup();
            return Ok(waiting);
        };
        range = range.after(last);
        for (_, value) in &parked {
            let parked = from_bytes::<StoredParked>(value)?;
            let oldest = waiting.oldest_parked.unwrap_or(parked.since);
            waiting.oldest_parked = Some(oldest.min(parked.since));
            waiting.parked_missions.extend(parked.mission);
        }
    }
}
