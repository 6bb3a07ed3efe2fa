//! Which drones are known, doing what, since when?
//!
//! ```text
//! row  (drone, fleet)     what it does, since when, and when it was last heard
//! index 1 session         whose session it is
//! index 2 delivery        the drone that flies for it, and its mission; or that flew last, as
//!                         long as that flight may go on after all
//! ```
//! It is what the log tells: what a drone does is what becomes of the delivery
//! it flies for. Where it is lies in memory only, see [`live`](crate::live).

use std::rc::Rc;

use domain::delivery::{Assignment, DeliveryEvent, Failure, ReopenedAs, UnassignReason};
use domain::drone::Sender;
use domain::id::{DeliveryId, DroneId, FleetId, MissionId, SessionId};
use domain::session::SessionEvent;
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyRange};
use crate::live::DroneName;
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::{event_time, from_bytes, instant, read_part};
use crate::view_store::{Direction, Entry, ViewStoreError};

#[cfg(test)]
mod tests;

const SESSIONS: u8 = 1;
const FLYING: u8 = 2;

/// Most drones that one answer holds.
pub const DRONES_PER_ANSWER_MAX: usize = 500;

/// A drone, as far as the log tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroneRow {
    /// Whose drone.
    #[serde(with = "crate::stored")]
    pub fleet: FleetId,
    /// Which drone.
    #[serde(with = "crate::stored")]
    pub drone: DroneId,
    /// Its newest session, once it sent a fact.
    #[serde(with = "crate::stored")]
    pub session: Option<SessionId>,
    /// When the log first told of it.
    #[serde(with = "crate::stored")]
    pub known_since: Timestamp,
    /// When its newest fact came in. Telemetry is no fact.
    #[serde(with = "crate::stored")]
    pub fact_received_at: Option<Timestamp>,
    /// What it does.
    #[serde(with = "crate::stored")]
    pub activity: DroneActivity,
    /// Since when, by the time of the event that said so.
    #[serde(with = "crate::stored")]
    pub since: Timestamp,
    /// What it flies for, if it does.
    pub flight: Option<Flight>,
    position: Position,
}

/// What a drone flies for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its mission.
    #[serde(with = "crate::stored")]
    pub mission: MissionId,
    /// The delivery that the mission is for.
    #[serde(with = "crate::stored")]
    pub delivery: DeliveryId,
}

/// What a drone does, as far as deliveries are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DroneActivity {
    /// It has no mission for a delivery. It may be on its way home.
    Free,
    /// It has one.
    Assigned,
    /// It set out for the package.
    HeadedToPickup,
    /// It is where the package is.
    AtPickup,
    /// It has the package.
    Loaded,
    /// It set out for the recipient.
    InTransit,
    /// It is where the recipient is.
    AtDropoff,
    /// It brings the package back.
    Returning,
    /// Its last mission ended with its crash.
    Crashed,
    /// Its last mission ended with its loss.
    Lost,
}

impl DroneActivity {
    /// Every value, in the order of the stored numbers.
    pub const ALL: &'static [Self] = &[
        Self::Free,
        Self::Assigned,
        Self::HeadedToPickup,
        Self::AtPickup,
        Self::Loaded,
        Self::InTransit,
        Self::AtDropoff,
        Self::Returning,
        Self::Crashed,
        Self::Lost,
    ];

    /// The word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Assigned => "assigned",
            Self::HeadedToPickup => "headed_to_pickup",
            Self::AtPickup => "at_pickup",
            Self::Loaded => "loaded",
            Self::InTransit => "in_transit",
            Self::AtDropoff => "at_dropoff",
            Self::Returning => "returning",
            Self::Crashed => "crashed",
            Self::Lost => "lost",
        }
    }
}

/// Whose session a stream is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredSession {
    #[serde(with = "crate::stored")]
    fleet: FleetId,
    #[serde(with = "crate::stored")]
    drone: DroneId,
    #[serde(with = "crate::stored")]
    session: SessionId,
}

/// Which drone flies for a delivery, or flew last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredFlight {
    #[serde(with = "crate::stored")]
    fleet: FleetId,
    #[serde(with = "crate::stored")]
    drone: DroneId,
    #[serde(with = "crate::stored")]
    mission: MissionId,
    /// The flight is over, unless the delivery's life goes on after its end.
    is_over: bool,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct Fleet;

impl Projection for Fleet {
    fn name(&self) -> &'static str {
        "fleet"
    }

    fn version(&self) -> u32 {
        3
    }

    /// A drone's row comes from many streams, in the order of the log, so none of
    /// them can be folded later. The record is left out: the delivery's next one
    /// says again what its drone does, and a rebuild makes good for it.
    fn poison(&self) -> Poison {
        Poison::Skip
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::DroneSession, Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        match facts {
            Facts::Session(events) => hear(view, record, events),
            Facts::Delivery(events) => follow(view, record, events),
            Facts::User(_)
            | Facts::Refusals(_)
            | Facts::Task(_)
            | Facts::Operation(_)
            | Facts::Other
            | Facts::Undecodable(_) => Ok(()),
        }
    }
}

/// What a drone's sender said.
fn hear(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[SessionEvent],
) -> Result<(), ViewStoreError> {
    let index = Key::index(SESSIONS).id(record.stream.key.as_bytes());
    let mut session = view.row::<StoredSession>(&index)?;
    let mut heard_at = None;
    for event in events {
        match event {
            SessionEvent::SessionOpened(sender) if session.is_none() => {
                let opened = StoredSession::of(sender);
                view.put_row(index.clone(), opened.clone());
                session = Some(opened);
            }
            SessionEvent::FactReceived(fact) => heard_at = heard_at.max(Some(fact.received_at)),
            SessionEvent::SessionOpened(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => {}
        }
    }
    let (Some(session), Some(heard_at)) = (session, heard_at) else {
        return Ok(());
    };
    let key = row_key(&session.drone, &session.fleet);
    view.change(key, |row: &mut Option<DroneRow>| {
        let row = row.get_or_insert_with(|| DroneRow::new(&session.drone, &session.fleet, record));
        if row.position >= record.position {
            return None;
        }
        row.position = record.position;
        if row.session.as_ref() < Some(&session.session) {
            // A session that was superseded may still bring a late fact.
            row.session = Some(session.session);
        }
        row.fact_received_at = row.fact_received_at.max(Some(heard_at));
        Some(())
    })?;
    Ok(())
}

/// What becomes of a delivery is what its drone does.
fn follow(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[DeliveryEvent],
) -> Result<(), ViewStoreError> {
    let steps = events.iter().zip(&record.events);
    let steps = steps.filter_map(|(event, recorded)| Some((step(event)?, event_time(recorded))));
    let steps: Vec<_> = steps.collect();
    if steps.is_empty() {
        return Ok(());
    }
    let index = Key::index(FLYING).id(record.stream.key.as_bytes());
    let delivery = read_part(Some(*record.stream.key.as_bytes()))?;
    let mut flying = view.row::<StoredFlight>(&index)?.map(Rc::new);
    let (mut is_changed, mut touched) = (false, Vec::new());
    for (step, at) in steps {
        let of = match (&step, &flying) {
            (Step::Begin(assignment), _) => Rc::new(StoredFlight::of(assignment)),
            (Step::Go(mission, _) | Step::End(Some(mission), ..), Some(flight))
                if flight.mission == *mission && !flight.is_over =>
            {
                Rc::clone(flight)
            }
            (Step::End(None, ..), Some(flight)) if !flight.is_over => Rc::clone(flight),
            (Step::Resume(_), Some(flight)) if flight.is_over => Rc::clone(flight),
            // Of a mission that is over, or of one that nobody was told of.
            (Step::Go(..) | Step::End(..) | Step::Resume(_), _) => continue,
        };
        let mission = of.mission;
        let flight = Flight { mission, delivery };
        let key = row_key(&of.drone, &of.fleet);
        let is_touched = touched.contains(&key);
        let goes_on = view.change(key.clone(), |row: &mut Option<DroneRow>| {
            let row = row.get_or_insert_with(|| DroneRow::new(&of.drone, &of.fleet, record));
            if row.position >= record.position && !is_touched {
                return None;
            }
            row.position = record.position;
            Some(row.take(&step, at, flight))
        })?;
        // What a drone's row holds already has followed from it.
        if let Some(goes_on) = goes_on {
            is_changed |= !matches!(step, Step::Go(..));
            flying = (!matches!(step, Step::End(_, _, Ending::Final))).then(|| {
                let is_over = !goes_on;
                let same = (of.is_over == is_over).then(|| Rc::clone(&of));
                same.unwrap_or_else(|| {
                    Rc::new(StoredFlight {
                        is_over,
                        ..StoredFlight::clone(&of)
                    })
                })
            });
            touched.push(key);
        }
    }
    match flying {
        _ if !is_changed => {}
        Some(flight) => view.put_row(index, Rc::unwrap_or_clone(flight)),
        None => view.remove(index),
    }
    Ok(())
}

/// What an event of a delivery means for its drone.
#[derive(Clone, Copy, Debug)]
enum Step<'e> {
    /// A drone gets a mission.
    Begin(&'e Assignment),
    /// The drone of a mission does something else.
    Go(MissionId, DroneActivity),
    /// A mission is over, or whichever there is.
    End(Option<MissionId>, DroneActivity, Ending),
    /// The mission that was over goes on.
    Resume(DroneActivity),
}

/// Whether a mission that is over may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It may: its delivery's life is not over, or can be opened again.
    Open,
    /// It cannot.
    Final,
}

fn step(event: &DeliveryEvent) -> Option<Step<'_>> {
    use DroneActivity as Now;
    Some(match event {
        DeliveryEvent::DroneAssigned(assignment) => Step::Begin(assignment),
        DeliveryEvent::HeadedToPickup { mission } => Step::Go(*mission, Now::HeadedToPickup),
        DeliveryEvent::ArrivedAtPickup { mission } => Step::Go(*mission, Now::AtPickup),
        DeliveryEvent::PickedUp { mission, .. } => Step::Go(*mission, Now::Loaded),
        DeliveryEvent::InTransit { mission } => Step::Go(*mission, Now::InTransit),
        // Also one that was to turn round, and let the package go all the same.
        DeliveryEvent::ArrivedAtDropoff { mission, .. }
        | DeliveryEvent::Released { mission, .. } => Step::Go(*mission, Now::AtDropoff),
        DeliveryEvent::ReturnStarted { mission, .. } => Step::Go(*mission, Now::Returning),
        DeliveryEvent::DroneUnassigned {
            mission, reason, ..
        } => Step::End(Some(*mission), without_mission(*reason), Ending::Open),
        DeliveryEvent::ArrivedAtHub { mission, .. } => {
            Step::End(Some(*mission), Now::Free, Ending::Open)
        }
        DeliveryEvent::DeliveryComplete { mission, .. } | DeliveryEvent::Returned { mission } => {
            Step::End(Some(*mission), Now::Free, Ending::Final)
        }
        DeliveryEvent::Failed { mission, reason } => {
            let lost = *reason == Failure::DroneLost;
            let activity = if lost { Now::Lost } else { Now::Free };
            Step::End(Some(*mission), activity, Ending::Open)
        }
        DeliveryEvent::Cancelled => Step::End(None, Now::Free, Ending::Open),
        DeliveryEvent::Reopened { to, .. } => match to {
            ReopenedAs::InTransit => Step::Resume(Now::InTransit),
            ReopenedAs::Returning => Step::Resume(Now::Returning),
            // No drone has it.
            ReopenedAs::AtHub => return None,
        },
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => return None,
    })
}

const fn without_mission(reason: UnassignReason) -> DroneActivity {
    match reason {
        UnassignReason::Crashed | UnassignReason::EmergencyLanded => DroneActivity::Crashed,
        UnassignReason::Lost => DroneActivity::Lost,
        UnassignReason::Rejected
        | UnassignReason::Aborted
        | UnassignReason::StoodDown
        | UnassignReason::MissionEnded
        | UnassignReason::Replanned
        | UnassignReason::AttemptFailed
        | UnassignReason::Diverted => DroneActivity::Free,
    }
}

impl StoredSession {
    fn of(sender: &Sender) -> Self {
        Self {
            fleet: sender.fleet.clone(),
            drone: sender.drone.clone(),
            session: sender.session.clone(),
        }
    }
}

impl StoredFlight {
    fn of(assignment: &Assignment) -> Self {
        Self {
            fleet: assignment.fleet.clone(),
            drone: assignment.drone.clone(),
            mission: assignment.mission,
            is_over: false,
        }
    }
}

impl DroneRow {
    /// A drone that nothing is known of yet but that a record names it.
    fn new(drone: &DroneId, fleet: &FleetId, record: &Record) -> Self {
        let at = instant(record.recorded_at_us);
        Self {
            fleet: fleet.clone(),
            drone: drone.clone(),
            session: None,
            known_since: at,
            fact_received_at: None,
            activity: DroneActivity::Free,
            since: at,
            flight: None,
            position: Position::START,
        }
    }

    /// Takes a step of one of its flights, and says whether that goes on. What
    /// it does is what its newest flight says.
    fn take(&mut self, step: &Step<'_>, at: Timestamp, flight: Flight) -> bool {
        let (activity, goes_on) = match step {
            Step::Begin(_) => (DroneActivity::Assigned, true),
            Step::Go(_, activity) | Step::Resume(activity) => (*activity, true),
            Step::End(_, activity, _) => (*activity, false),
        };
        let is_its_own = match step {
            Step::Begin(_) => true,
            // It may have another one by now.
            Step::Resume(_) => self.flight.is_none(),
            Step::Go(..) | Step::End(..) => self.flight == Some(flight),
        };
        if is_its_own {
            self.flight = goes_on.then_some(flight);
            if self.activity != activity {
                self.since = at;
            }
            self.activity = activity;
        }
        goes_on
    }
}

fn row_key(drone: &DroneId, fleet: &FleetId) -> Key {
    Key::row().text(drone.as_str()).text(fleet.as_str())
}

impl Row for DroneRow {
    fn heap_bytes(&self) -> usize {
        let session = self.session.as_ref().map_or(0, |it| it.as_str().len());
        self.drone.as_str().len() + self.fleet.as_str().len() + session
    }
}

impl Row for StoredSession {
    fn heap_bytes(&self) -> usize {
        self.fleet.as_str().len() + self.drone.as_str().len() + self.session.as_str().len()
    }
}

impl Row for StoredFlight {
    fn heap_bytes(&self) -> usize {
        self.fleet.as_str().len() + self.drone.as_str().len()
    }
}

/// The drones after one, sorted by name, then by fleet, at most `limit` and
/// [`DRONES_PER_ANSWER_MAX`].
pub(crate) fn drones(
    view: &Overlay<'_>,
    after: Option<&DroneName>,
    limit: usize,
) -> Result<Vec<DroneRow>, ViewStoreError> {
    let all = Key::row().prefix();
    let range = after.map_or(all, |after| {
        Key::row().prefix_after(row_key(&after.0, &after.1))
    });
    rows(view, &range, limit)
}

/// The drones of one name, of whatever fleet.
pub(crate) fn named(view: &Overlay<'_>, drone: &DroneId) -> Result<Vec<DroneRow>, ViewStoreError> {
    let range = Key::row().text(drone.as_str()).prefix();
    rows(view, &range, DRONES_PER_ANSWER_MAX)
}

fn rows(
    view: &Overlay<'_>,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<DroneRow>, ViewStoreError> {
    let limit = limit.min(DRONES_PER_ANSWER_MAX);
    let entries = view.scan(range, Direction::Forward, limit)?;
    let row = |(_, value): Entry| from_bytes::<DroneRow>(&value);
    entries.into_iter().map(row).collect()
}
