//! What need not wait any longer, also after a restart?
//!
//! ```text
//! row  session                        what comes next and what is held
//! index 1 (came in, session)          the session's oldest held fact
//! index 2 (session, seq)              a fact that is parked, as a rule until its mission or delivery is known
//! index 3 (came in, session, seq)     the same, by age
//! index 4 (mission, session, seq)     the same, by the mission it waits for
//! index 5 (delivery, session, seq)    the same, by the delivery it waits for
//! index 6 (session, seq)              a parked fact whose mission or delivery is there now, or that had no room
//! ```
//! Only what is due is looked at, oldest first, however much waits. That a
//! parked fact is found when its mission comes rests on the log: whoever parks
//! it for its mission commits on the condition that the mission is not there yet. One for which
//! its commit had no room waits for nothing that has to come: it is in index 6 from the start.
//!
//! Facts of a kind that this release does not know are parked for nothing that
//! the log could tell: they stay until they are given up.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{DeliveryId, MissionId};
use domain::session::{Backlog, Expired, ParkReason, Parked, SessionEvent};
use domain::stream::{Category, StreamName};
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts, KeyRange};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection, Sources, category};
use crate::stored::{from_bytes, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const HELD: u8 = 1;
const PARKED: u8 = 2;
const BY_AGE: u8 = 3;
const BY_MISSION: u8 = 4;
const BY_DELIVERY: u8 = 5;
const READY: u8 = 6;

/// Most entries of each kind that one answer looks at.
pub const DUE_ENTRIES_MAX: usize = 1_000;

/// Most entries that are looked at to find them: a session that cannot be read
/// may have hundreds that stay due.
const DUE_SCANNED_MAX: usize = 20 * DUE_ENTRIES_MAX;

/// Entries read at a time when a mission or delivery comes.
const RELEASED_PER_READ: usize = 500;

/// Of when what still waits is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A session, by its oldest held fact.
    pub held: Expired,
    /// A parked fact.
    pub parked: Expired,
}

/// A drone session for which something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueSession {
    /// Its stream.
    pub stream: StreamId,
    /// A gap was waited for long enough.
    pub gap: bool,
    /// What a parked fact waits for is there, or it waits for room in a commit alone.
    pub ready: bool,
    /// A parked fact was kept long enough.
    pub expired: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredRow {
    stream: StreamId,
    next: u64,
    #[serde(with = "crate::stored")]
    held: Vec<(u64, Timestamp)>,
    position: Position,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredParked {
    #[serde(with = "crate::stored")]
    mission: Option<MissionId>,
    #[serde(with = "crate::stored")]
    delivery: Option<DeliveryId>,
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
        2
    }

    /// Only the session itself waits where its record cannot be folded.
    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    /// A session's facts are released by missions and deliveries.
    fn sources(&self) -> Sources {
        Sources::Session
    }

    fn categories(&self) -> &'static [Category] {
        &[
            Category::DroneSession,
            Category::Mission,
            Category::Delivery,
        ]
    }

    /// Of missions and deliveries it matters only that they are there.
    fn needs_facts(&self, record: &Record) -> bool {
        category(record.stream) == Some(Category::DroneSession)
    }

    /// What a parked fact waits for may have come before the fact is folded.
    fn awaits(&self, facts: &Facts) -> Vec<StreamId> {
        let Facts::Session(events) = facts else {
            return Vec::new();
        };
        events.iter().filter_map(awaited).collect()
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        if let Facts::Session(events) = facts {
            return project_session(view, record, events);
        }
        // The first event of either stream says that the thing is there.
        if record.first_version != StreamVersion::new(1) {
            return Ok(());
        }
        let id = record.stream.key.as_bytes();
        let category = record.stream.category.get();
        if category == Category::Mission.number() {
            release(view, &Key::index(BY_MISSION).id(id), BY_MISSION)
        } else if category == Category::Delivery.number() {
            release(view, &Key::index(BY_DELIVERY).id(id), BY_DELIVERY)
        } else {
            Ok(())
        }
    }
}

/// The stream of the mission or delivery that a fact is parked for.
fn awaited(event: &SessionEvent) -> Option<StreamId> {
    let SessionEvent::FactParked { seq: _, parked } = event else {
        return None;
    };
    let name = match (parked.delivery, mission_waited_for(parked)) {
        // What waits for a delivery waits for nothing else.
        (Some(delivery), _) => StreamName::delivery(delivery),
        (None, Some(mission)) => StreamName::mission(mission),
        (None, None) => return None,
    };
    let category = eventstore::Category::new(name.category.number());
    Some(StreamId::new(category, name.key))
}

/// No mission makes a kind of facts understood, and that of a fact for which there was no room is
/// there.
fn mission_waited_for(parked: &Parked) -> Option<MissionId> {
    match parked.why {
        ParkReason::UnknownKind | ParkReason::Room => None,
        ParkReason::UnknownMission
        | ParkReason::UnknownDelivery
        | ParkReason::CodeFailed
        | ParkReason::Undecodable => parked.mission,
    }
}

fn project_session(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[SessionEvent],
) -> Result<(), ViewStoreError> {
    let session = record.stream.key.as_bytes();
    let key = Key::row().id(session);
    let mut row = match view.get(&key)? {
        Some(bytes) => from_bytes(&bytes)?,
        None => StoredRow::new(record.stream),
    };
    if row.position >= record.position {
        return Ok(());
    }
    let held_before = row.oldest_held();
    // Parked facts have keys of their own, so the fold need not know them.
    let mut backlog = Backlog::restore(row.next, row.held.iter().copied(), []);
    for event in events {
        match event {
            SessionEvent::FactParked { seq, parked } => park(view, session, *seq, parked)?,
            SessionEvent::FactUnparked { seq } | SessionEvent::DeadLettered { seq, why: _ } => {
                unpark(view, session, *seq)?;
            }
            SessionEvent::SessionOpened(_)
            | SessionEvent::FactReceived(_)
            | SessionEvent::GapPassed { .. } => backlog.evolve(event),
        }
    }
    row.next = backlog.next();
    row.held = backlog.held().collect();
    row.position = record.position;
    if held_before != row.oldest_held() {
        let place = |since: Timestamp| Key::index(HELD).instant(since.micros()).id(session);
        if let Some(since) = held_before {
            view.remove(place(since));
        }
        if let Some(since) = row.oldest_held() {
            view.put(place(since), Vec::new());
        }
    }
    view.put(key, to_bytes(&row));
    Ok(())
}

impl StoredRow {
    const fn new(stream: StreamId) -> Self {
        Self {
            stream,
            next: 1,
            held: Vec::new(),
            position: Position::START,
        }
    }

    fn oldest_held(&self) -> Option<Timestamp> {
        self.held.iter().map(|(_, received_at)| *received_at).min()
    }
}

/// The keys of a parked fact beside its own.
fn places(session: &[u8; 16], seq: u64, parked: &StoredParked) -> [Option<Key>; 3] {
    let of = |index, id: &[u8; 16]| Key::index(index).id(id).id(session).large_number(seq);
    [
        Some(
            Key::index(BY_AGE)
                .instant(parked.since.micros())
                .id(session)
                .large_number(seq),
        ),
        // What waits for a delivery waits for nothing else.
        parked
            .mission
            .filter(|_| parked.delivery.is_none())
            .map(|mission| of(BY_MISSION, mission.uuid().as_bytes())),
        parked
            .delivery
            .map(|delivery| of(BY_DELIVERY, delivery.uuid().as_bytes())),
    ]
}

fn park(
    view: &mut Overlay<'_>,
    session: &[u8; 16],
    seq: u64,
    parked: &Parked,
) -> Result<(), ViewStoreError> {
    unpark(view, session, seq)?;
    let stored = StoredParked {
        mission: mission_waited_for(parked),
        delivery: parked.delivery,
        since: parked.since,
    };
    for place in places(session, seq, &stored).into_iter().flatten() {
        view.put(place, Vec::new());
    }
    if parked.why == ParkReason::Room {
        view.put(Key::index(READY).id(session).large_number(seq), Vec::new());
    }
    view.put(
        Key::index(PARKED).id(session).large_number(seq),
        to_bytes(&stored),
    );
    Ok(())
}

fn unpark(view: &mut Overlay<'_>, session: &[u8; 16], seq: u64) -> Result<(), ViewStoreError> {
    let key = Key::index(PARKED).id(session).large_number(seq);
    let Some(bytes) = view.get(&key)? else {
        return Ok(());
    };
    let stored = from_bytes::<StoredParked>(&bytes)?;
    for place in places(session, seq, &stored).into_iter().flatten() {
        view.remove(place);
    }
    view.remove(Key::index(READY).id(session).large_number(seq));
    view.remove(key);
    Ok(())
}

/// Marks as ready what waited for something that is there now.
fn release(view: &mut Overlay<'_>, awaited: &Key, index: u8) -> Result<(), ViewStoreError> {
    let mut range = awaited.clone().prefix();
    loop {
        let waiting = view.scan(&range, Direction::Forward, RELEASED_PER_READ)?;
        let Some((last, _)) = waiting.last() else {
            return Ok(());
        };
        range = range.after(last);
        for (key, _) in &waiting {
            let parts = KeyParts::of_index(key, index).and_then(|mut parts| {
                let _awaited = parts.id()?;
                Some((parts.id()?, parts.large_number()?))
            });
            let (session, seq) = parts.ok_or_else(without_key)?;
            view.put(Key::index(READY).id(&session).large_number(seq), Vec::new());
            view.remove(Key::from_bytes(key.clone()));
        }
    }
}

/// The sessions for which something is to be done, in no particular order, but
/// for those that are left out: they cannot be moved on, and stay due. Of each
/// kind the oldest are found, at most [`DUE_ENTRIES_MAX`] entries.
pub(crate) fn due(
    view: &Overlay<'_>,
    deadlines: Deadlines,
    left_out: &BTreeSet<[u8; 16]>,
) -> Result<Vec<DueSession>, ViewStoreError> {
    let mut due: BTreeMap<[u8; 16], (bool, bool, bool)> = BTreeMap::new();
    let by_age = |index, expired: Expired| {
        let session = |mut parts: KeyParts<'_>| {
            let is_due = parts.instant()? <= expired.to.micros();
            Some((is_due, parts.id()?))
        };
        let from = Key::index(index).instant(expired.from.micros());
        let range = Key::index(index).prefix_after(from);
        oldest(view, (index, range), left_out, session)
    };
    for session in by_age(HELD, deadlines.held)? {
        due.entry(session).or_default().0 = true;
    }
    let ready = |mut parts: KeyParts<'_>| Some((true, parts.id()?));
    let all_ready = (READY, Key::index(READY).prefix());
    for session in oldest(view, all_ready, left_out, ready)? {
        due.entry(session).or_default().1 = true;
    }
    for session in by_age(BY_AGE, deadlines.parked)? {
        due.entry(session).or_default().2 = true;
    }
    let sessions = due.into_iter().map(|(session, (gap, ready, expired))| {
        let row = view.get(&Key::row().id(&session))?;
        let row =
            row.ok_or_else(|| ViewStoreError::unreadable("an indexed session without its row"))?;
        let stream = from_bytes::<StoredRow>(&row)?.stream;
        Ok(DueSession {
            stream,
            gap,
            ready,
            expired,
        })
    });
    sessions.collect()
}

/// The sessions of a part of an index up to the first entry that is not due.
fn oldest(
    view: &Overlay<'_>,
    (index, mut range): (u8, KeyRange),
    left_out: &BTreeSet<[u8; 16]>,
    session: impl Fn(KeyParts<'_>) -> Option<(bool, [u8; 16])>,
) -> Result<Vec<[u8; 16]>, ViewStoreError> {
    let mut sessions = Vec::new();
    let mut scanned = 0;
    while sessions.len() < DUE_ENTRIES_MAX && scanned < DUE_SCANNED_MAX {
        let entries = view.scan(&range, Direction::Forward, DUE_ENTRIES_MAX)?;
        let Some((last, _)) = entries.last() else {
            break;
        };
        range = range.after(last);
        scanned += entries.len();
        for (key, _) in &entries {
            let found = KeyParts::of_index(key, index).and_then(&session);
            let (is_due, session) = found.ok_or_else(without_key)?;
            if !is_due {
                return Ok(sessions);
            }
            if !left_out.contains(&session) {
                sessions.push(session);
            }
        }
        if entries.len() < DUE_ENTRIES_MAX {
            break;
        }
    }
    sessions.truncate(DUE_ENTRIES_MAX);
    Ok(sessions)
}

fn without_key() -> ViewStoreError {
    ViewStoreError::unreadable("an entry without key")
}
