//! Where is my delivery, and when does it come?
//!
//! ```text
//! row  (delivery, 0)            the delivery, with its order
//! row  (delivery, 1 …)          an order too large to lie in the row, in pieces that fit a value
//! index 1 (user, external id)   the delivery
//! ```

use domain::delivery::{
    Assignment, CancelReason, Condition, Confirmation, DeliveryEvent, Failure, Milestone, Order,
    RejectReason, ReopenCause, Status,
};
use domain::id::{DeliveryId, DroneId, ExternalId, FleetId, MissionId, ProofHash, UserId};
use domain::stream::Category;
use domain::text::Comment;
use domain::time::Timestamp;
use eventstore::{Event, Position, Record, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::progress::{Eta, Progress};
use crate::projection::{Facts, Projection};
use crate::stored::{Carried, event_time, from_bytes, instant, read_part, to_bytes};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

/// The largest order that lies in the row itself, bytes. Most have two or three
/// hundred; what else is in a row leaves room for many more.
const ORDER_IN_ROW_BYTES_MAX: usize = 2_000;

/// Bytes of a larger order in one value.
const PIECE_BYTES: usize = 8_000;

/// Most pieces of an order: far more than its bounded parts can fill.
const PIECES_MAX: usize = 8;

/// A delivery as it stands in the log: all that is known of it but its
/// drone's live position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Which delivery.
    pub id: DeliveryId,
    /// What was ordered, as last rescheduled.
    pub order: Order,
    /// Its status.
    pub status: Status,
    /// Somebody has to look after it.
    pub action_required: bool,
    /// How it does beside its status.
    pub condition: Condition,
    /// What confirmed that the recipient took it.
    pub confirmed: Option<ConfirmedRow>,
    /// It did not come by the deadline that it has now.
    pub deadline_missed: bool,
    /// The newest mission, live or over.
    pub mission: Option<MissionRow>,
    /// Attempts begun.
    pub attempt: u8,
    /// Missions so far.
    pub epoch: u32,
    /// Reschedules so far.
    pub revision: u32,
    /// When it is expected, while a drone is under way with a known time.
    pub eta: Option<Eta>,
    /// When which step was reached.
    pub milestones: Milestones,
    /// How it came to a bad end.
    pub failure: Option<Failure>,
    /// Why the booking was refused after all.
    pub rejection: Option<RejectReason>,
    /// Who cancels or cancelled it, and why.
    pub cancellation: Option<Cancellation>,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// How many events it has: its stream's version.
    pub sequence: StreamVersion,
    /// The record of its last event.
    pub position: Position,
}

/// A mission of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionRow {
    /// The mission.
    #[serde(with = "crate::stored")]
    pub mission: MissionId,
    /// Whose drone.
    #[serde(with = "crate::stored")]
    pub fleet: FleetId,
    /// Which drone.
    #[serde(with = "crate::stored")]
    pub drone: DroneId,
    /// It ended before the drone had the package: the delivery waits for another.
    pub unassigned: bool,
    /// It was counted as an attempt.
    counted: bool,
}

/// What showed that the right person took a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmedRow {
    /// What kind of proof.
    #[serde(with = "crate::stored")]
    pub kind: Confirmation,
    /// Its hash.
    #[serde(with = "crate::stored")]
    pub proof: ProofHash,
    /// When.
    #[serde(with = "crate::stored")]
    pub at: Timestamp,
}

/// Why a delivery is or was being cancelled. Absent again once that came too late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// Why.
    #[serde(with = "crate::stored")]
    pub reason: CancelReason,
    /// In the caller's own words.
    #[serde(with = "crate::stored")]
    pub comment: Option<Comment>,
}

/// When a delivery reached which step, by `event_time`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestones {
    /// It was asked for.
    #[serde(with = "crate::stored")]
    pub created_at: Timestamp,
    /// The booking stood.
    #[serde(with = "crate::stored")]
    pub scheduled_at: Option<Timestamp>,
    /// It was cancelled.
    #[serde(with = "crate::stored")]
    pub cancelled_at: Option<Timestamp>,
    /// It came to a bad end.
    #[serde(with = "crate::stored")]
    pub failed_at: Option<Timestamp>,
    /// The booking was refused after all.
    #[serde(with = "crate::stored")]
    pub rejected_at: Option<Timestamp>,
    /// The steps of the newest mission, each once, as it was reached last, in the order they were
    /// recorded.
    #[serde(with = "crate::stored")]
    of_mission: Vec<(Milestone, Timestamp)>,
}

impl Milestones {
    /// When the newest mission reached a step, the last time: one that an operator let go on may
    /// turn round once more.
    #[must_use]
    pub fn at(&self, milestone: Milestone) -> Option<Timestamp> {
        let reached = self.of_mission.iter().find(|(step, _)| *step == milestone);
        reached.map(|(_, at)| *at)
    }

    fn reach(&mut self, milestone: Milestone, at: Timestamp) {
        self.of_mission.retain(|(step, _)| *step != milestone);
        self.of_mission.push((milestone, at));
    }

    fn correct(&mut self, milestone: Milestone, was: Timestamp, now: Timestamp) {
        for (step, at) in &mut self.of_mission {
            if *step == milestone && *at == was {
                *at = now;
            }
        }
    }
}

/// What lies in the row.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredRow {
    /// `None` if it is too large, and lies beside the row in pieces.
    order: Option<Carried>,
    progress: Progress,
    mission: Option<MissionRow>,
    attempt: u8,
    epoch: u32,
    revision: u32,
    milestones: Milestones,
    #[serde(with = "crate::stored")]
    failure: Option<Failure>,
    #[serde(with = "crate::stored")]
    rejection: Option<RejectReason>,
    cancellation: Option<Cancellation>,
    confirmed: Option<ConfirmedRow>,
    /// The deadline that was missed last.
    #[serde(with = "crate::stored")]
    missed: Option<Timestamp>,
    #[serde(with = "crate::stored")]
    updated_at: Timestamp,
    sequence: StreamVersion,
    position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct DeliveryStatus;

impl Projection for DeliveryStatus {
    fn name(&self) -> &'static str {
        "delivery_status"
    }

    fn version(&self) -> u32 {
        6
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
        let delivery = record.stream.key.as_bytes();
        let (mut ordered, mut planned) = (None, None);
        view.change(row_key(delivery), |row: &mut Option<StoredRow>| {
            if let Some(row) = row
                && row.position >= record.position
            {
                return None;
            }
            for (event, recorded) in events.iter().zip(&record.events) {
                match (event, &mut *row) {
                    (DeliveryEvent::Created(order), None) => {
                        ordered = Some((&**order, Carried::recorded(recorded)));
                        *row = Some(StoredRow::created(event_time(recorded)));
                    }
                    (_, Some(row)) => {
                        if let DeliveryEvent::Rescheduled(plan) = event {
                            planned = Some(plan);
                        }
                        row.evolve(event, recorded);
                    }
                    (_, None) => {}
                }
            }
            let row = row.as_mut()?;
            row.updated_at = instant(record.recorded_at_us);
            row.sequence = record.last_version();
            row.position = record.position;
            Some(())
        })?;
        if let Some((order, carried)) = ordered {
            put_order(view, delivery, carried)?;
            name(view, delivery, order)?;
        }
        if let Some(plan) = planned
            && let Some(row) = view.row::<StoredRow>(&row_key(delivery))?
        {
            let mut order = order(view, delivery, &row)?;
            order.plan = (**plan).clone();
            let carried = Carried::by(&DeliveryEvent::Created(Box::new(order)));
            let last = put_order(view, delivery, carried)?;
            if row.order.is_none() {
                remove_leftover(view, delivery, last)?;
            }
        }
        Ok(())
    }
}

impl Row for StoredRow {
    fn heap_bytes(&self) -> usize {
        // Two names of a few bytes, some steps; a comment is rare.
        256 + self.order.as_ref().map_or(0, Carried::bytes)
    }
}

impl StoredRow {
    fn created(at: Timestamp) -> Self {
        Self {
            order: None,
            progress: Progress::created(),
            mission: None,
            attempt: 0,
            epoch: 0,
            revision: 0,
            milestones: Milestones {
                created_at: at,
                scheduled_at: None,
                cancelled_at: None,
                failed_at: None,
                rejected_at: None,
                of_mission: Vec::new(),
            },
            failure: None,
            rejection: None,
            cancellation: None,
            confirmed: None,
            missed: None,
            updated_at: at,
            sequence: StreamVersion::EMPTY,
            position: Position::START,
        }
    }

    fn evolve(&mut self, event: &DeliveryEvent, recorded: &Event) {
        let at = event_time(recorded);
        self.progress.evolve(event, at);
        if let Some(milestone) = milestone_of(event) {
            self.milestones.reach(milestone, at);
        }
        match event {
            DeliveryEvent::Scheduled => self.milestones.scheduled_at = Some(at),
            DeliveryEvent::Rescheduled(_) => self.revision = self.revision.saturating_add(1),
            DeliveryEvent::DeadlineMissed { deliver_by } => self.missed = Some(*deliver_by),
            DeliveryEvent::Confirmed { kind, proof } => {
                let (kind, proof) = (*kind, proof.clone());
                self.confirmed = Some(ConfirmedRow { kind, proof, at });
            }
            DeliveryEvent::Reopened { cause, .. } => self.reopen(*cause),
            DeliveryEvent::DroneAssigned(assignment) => self.assign(assignment, at),
            DeliveryEvent::DroneUnassigned { .. } => {
                if let Some(mission) = &mut self.mission {
                    mission.unassigned = true;
                }
            }
            DeliveryEvent::PickedUp { .. } | DeliveryEvent::AttemptFailed { .. } => {
                self.count_attempt();
            }
            DeliveryEvent::CancellationRequested { reason, comment } => {
                self.cancellation = Some(Cancellation {
                    reason: *reason,
                    comment: comment.clone(),
                });
            }
            DeliveryEvent::CancellationRejected { .. } => self.cancellation = None,
            DeliveryEvent::Cancelled => self.milestones.cancelled_at = Some(at),
            DeliveryEvent::Failed { mission: _, reason } => {
                self.failure = Some(*reason);
                self.milestones.failed_at = Some(at);
            }
            DeliveryEvent::Rejected { reason } => {
                self.rejection = Some(*reason);
                self.milestones.rejected_at = Some(at);
            }
            DeliveryEvent::MilestoneTimeCorrected {
                milestone,
                was,
                now,
            } => self.milestones.correct(*milestone, *was, *now),
            DeliveryEvent::Created(_)
            | DeliveryEvent::HeadedToPickup { .. }
            | DeliveryEvent::ArrivedAtPickup { .. }
            | DeliveryEvent::InTransit { .. }
            | DeliveryEvent::ArrivedAtDropoff { .. }
            | DeliveryEvent::DeliveryComplete { .. }
            | DeliveryEvent::ReturnStarted { .. }
            | DeliveryEvent::ArrivedAtHub { .. }
            | DeliveryEvent::Returned { .. }
            | DeliveryEvent::AnomalyRecorded { .. }
            | DeliveryEvent::Corrected { .. }
            | DeliveryEvent::ConditionChanged { .. }
            | DeliveryEvent::EtaRevised { .. }
            | DeliveryEvent::Released { .. }
            | DeliveryEvent::ConfirmationOverdue
            | DeliveryEvent::Stranded { .. }
            | DeliveryEvent::GivenUp { .. }
            | DeliveryEvent::HandedBack { .. }
            | DeliveryEvent::Vouched { .. } => {}
        }
    }

    /// A new mission begins with none of the steps of the one before.
    fn assign(&mut self, assignment: &Assignment, at: Timestamp) {
        self.epoch = assignment.epoch;
        self.mission = Some(MissionRow {
            mission: assignment.mission,
            fleet: assignment.fleet.clone(),
            drone: assignment.drone.clone(),
            unassigned: false,
            counted: false,
        });
        self.milestones.of_mission = vec![(Milestone::Assigned, at)];
        self.confirmed = None;
    }

    /// Its end was none.
    fn reopen(&mut self, cause: ReopenCause) {
        (self.failure, self.milestones.failed_at) = (None, None);
        (self.cancellation, self.milestones.cancelled_at) = (None, None);
        if cause == ReopenCause::PickedUp {
            self.count_attempt();
        }
    }

    fn count_attempt(&mut self) {
        if let Some(mission) = self.mission.as_mut().filter(|mission| !mission.counted) {
            mission.counted = true;
            self.attempt = self.attempt.saturating_add(1);
        }
    }
}

/// The step of its mission that an event is, other than the assignment.
fn milestone_of(event: &DeliveryEvent) -> Option<Milestone> {
    match event {
        DeliveryEvent::HeadedToPickup { .. } => Some(Milestone::HeadedToPickup),
        DeliveryEvent::ArrivedAtPickup { .. } => Some(Milestone::ArrivedAtPickup),
        DeliveryEvent::PickedUp { .. }
        | DeliveryEvent::Reopened {
            cause: ReopenCause::PickedUp,
            ..
        } => Some(Milestone::PickedUp),
        DeliveryEvent::InTransit { .. } => Some(Milestone::InTransit),
        DeliveryEvent::ArrivedAtDropoff { .. } => Some(Milestone::ArrivedAtDropoff),
        DeliveryEvent::DeliveryComplete { .. } => Some(Milestone::Completed),
        DeliveryEvent::ReturnStarted { .. } => Some(Milestone::ReturnStarted),
        DeliveryEvent::ArrivedAtHub { .. } => Some(Milestone::ArrivedAtHub),
        DeliveryEvent::Returned { .. } => Some(Milestone::Returned),
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::DroneAssigned(_)
        | DeliveryEvent::DroneUnassigned { .. }
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::Cancelled
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::Failed { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Reopened { .. }
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

fn row_key(delivery: &[u8; 16]) -> Key {
    Key::row().id(delivery).number(0)
}

fn external_id_key(user: UserId, external_id: &ExternalId) -> Key {
    Key::index(1)
        .id(user.uuid().as_bytes())
        .text(external_id.as_str())
}

/// Writes an order into its row, or in pieces beside it, and says which piece is
/// the last; 0 if there are none.
fn put_order(
    view: &mut Overlay<'_>,
    delivery: &[u8; 16],
    order: Carried,
) -> Result<u32, ViewStoreError> {
    let mut number = 0;
    let in_row = if order.bytes() <= ORDER_IN_ROW_BYTES_MAX {
        Some(order)
    } else {
        for piece in to_bytes(&order).chunks(PIECE_BYTES) {
            number += 1;
            view.put(Key::row().id(delivery).number(number), piece.to_vec());
        }
        None
    };
    view.change(row_key(delivery), |row: &mut Option<StoredRow>| {
        row.as_mut()?.order = in_row;
        Some(())
    })?;
    Ok(number)
}

/// A shorter plan may need fewer pieces than the one before.
fn remove_leftover(
    view: &mut Overlay<'_>,
    delivery: &[u8; 16],
    last: u32,
) -> Result<(), ViewStoreError> {
    let last = Key::row().id(delivery).number(last);
    let leftover = Key::row().id(delivery).prefix_after(last);
    for (key, _) in view.scan(&leftover, Direction::Forward, PIECES_MAX)? {
        view.remove(Key::from_bytes(key));
    }
    Ok(())
}

/// Notes which delivery bears its user's name of it.
fn name(view: &mut Overlay<'_>, delivery: &[u8; 16], order: &Order) -> Result<(), ViewStoreError> {
    if let Some(external_id) = &order.external_id {
        let key = external_id_key(order.user, external_id);
        if view.get(&key)?.is_none() {
            view.put(key, delivery.to_vec());
        }
    }
    Ok(())
}

/// What was ordered.
fn order(
    view: &Overlay<'_>,
    delivery: &[u8; 16],
    row: &StoredRow,
) -> Result<Order, ViewStoreError> {
    let event = match &row.order {
        Some(order) => order.event()?,
        None => from_bytes::<Carried>(&pieces(view, delivery)?)?.event()?,
    };
    let DeliveryEvent::Created(order) = event else {
        return Err(ViewStoreError::unreadable("something else than an order"));
    };
    Ok(*order)
}

/// The pieces of an order too large for its row.
fn pieces(view: &Overlay<'_>, delivery: &[u8; 16]) -> Result<Vec<u8>, ViewStoreError> {
    let pieces = Key::row().id(delivery).prefix_after(row_key(delivery));
    let pieces = view.scan(&pieces, Direction::Forward, PIECES_MAX)?;
    Ok(pieces.into_iter().flat_map(|(_, piece)| piece).collect())
}

/// How far the view knows a delivery's stream.
pub(crate) fn sequence(
    view: &Overlay<'_>,
    id: DeliveryId,
) -> Result<StreamVersion, ViewStoreError> {
    let row = view.row::<StoredRow>(&row_key(id.uuid().as_bytes()))?;
    Ok(row.map_or(StreamVersion::EMPTY, |row| row.sequence))
}

/// A delivery's status, as far as the view knows; nothing of one it does not know.
pub(crate) fn status(view: &Overlay<'_>, id: DeliveryId) -> Result<Option<Status>, ViewStoreError> {
    let row = view.row::<StoredRow>(&row_key(id.uuid().as_bytes()))?;
    Ok(row.map(|row| row.progress.status))
}

/// A delivery.
pub(crate) fn delivery(
    view: &Overlay<'_>,
    id: DeliveryId,
) -> Result<Option<DeliveryRow>, ViewStoreError> {
    let Some(row) = view.row::<StoredRow>(&row_key(id.uuid().as_bytes()))? else {
        return Ok(None);
    };
    let order = order(view, id.uuid().as_bytes(), &row)?;
    let deadline_missed = row.missed.is_some() && row.missed == order.plan.deliver_by;
    Ok(Some(DeliveryRow {
        id,
        order,
        status: row.progress.status,
        action_required: row.progress.action_required(),
        condition: row.progress.condition,
        confirmed: row.confirmed,
        deadline_missed,
        mission: row.mission,
        attempt: row.attempt,
        epoch: row.epoch,
        revision: row.revision,
        eta: row.progress.eta,
        milestones: row.milestones,
        failure: row.failure,
        rejection: row.rejection,
        cancellation: row.cancellation,
        updated_at: row.updated_at,
        sequence: row.sequence,
        position: row.position,
    }))
}

/// The delivery that bears a user's own name of it, as far as the view knows.
pub(crate) fn by_external_id(
    view: &Overlay<'_>,
    user: UserId,
    external_id: &ExternalId,
) -> Result<Option<DeliveryId>, ViewStoreError> {
    let value = view.get(&external_id_key(user, external_id))?;
    value
        .map(|bytes| read_part(bytes.try_into().ok()))
        .transpose()
}
