//! Dispatch: what Airpost asks of Drone Management about a mission.
//!
//! ```text
//! MissionRequested, once more if nobody answers ──▶ the fleet's own facts
//!      ├──MissionRefused        the fleet will not fly it
//!      └──StandDownRequested    it is not wanted any more
//! ```
//! Drone Management reads the requests in the event feed, and answers with
//! drone events. They lie on a stream of their own beside the mission's, so that asking
//! never competes with what drones report.

pub(crate) mod payload;

#[cfg(test)]
mod tests;

use crate::decider::Occurrence;
use crate::delivery::{
    Anomaly, AttemptFailure, Confirmation, Delivery, DeliveryEvent, FlightPlan, Phase, Plan,
    ReturnReason, Size, UnassignReason,
};
use crate::geo::GeoPoint;
use crate::id::{DeliveryId, MissionId, Tag};
use crate::quantity::MassG;
use crate::text::Comment;
use crate::time::{Timestamp, Window};

/// An event of what is asked about a mission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchEvent {
    /// Drone Management is asked to fly the mission; once more, if it did not answer.
    MissionRequested(Box<MissionRequest>),
    /// Drone Management will not fly it.
    MissionRefused {
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// Drone Management is asked to end it, also one that it began by itself.
    StandDownRequested {
        /// The delivery it was for.
        delivery: DeliveryId,
        /// Why.
        reason: StandDownReason,
    },
}

impl DispatchEvent {
    /// The delivery that something is asked for; an answer does not tell it.
    #[must_use]
    pub const fn delivery(&self) -> Option<DeliveryId> {
        match self {
            Self::MissionRequested(request) => Some(request.delivery),
            Self::StandDownRequested { delivery, .. } => Some(*delivery),
            Self::MissionRefused { .. } => None,
        }
    }
}

/// What Drone Management is asked to fly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissionRequest {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The how-manieth mission of the delivery it will be.
    pub epoch: u32,
    /// The how-manieth time that a drone is asked for since the delivery had none, from 1.
    pub ask: u8,
    /// Whether the package waits at a hub; where that is, the fleet that brought it there knows.
    pub is_at_hub: bool,
    /// Where the sender is.
    pub pickup: GeoPoint,
    /// Where the package is wanted.
    pub dropoff: GeoPoint,
    /// What is printed on the package.
    pub tag: Tag,
    /// Its size class.
    pub size: Size,
    /// Its declared mass.
    pub mass: MassG,
    /// When it may be fetched.
    pub window: Option<Window>,
    /// When it should have arrived.
    pub deliver_by: Option<Timestamp>,
    /// What the recipient has to show.
    pub confirmation: Confirmation,
    /// Whether it goes before others.
    pub expedited: bool,
}

impl MissionRequest {
    /// A request to fly a delivery as it is ordered now.
    #[must_use]
    pub fn of(id: DeliveryId, delivery: &Delivery, epoch: u32, ask: u8) -> Self {
        let order = delivery.order();
        Self {
            delivery: id,
            epoch,
            ask,
            is_at_hub: delivery.phase() == Phase::AtHub,
            pickup: order.plan.pickup.point,
            dropoff: order.plan.dropoff.point,
            tag: order.package.tag.clone(),
            size: order.package.size,
            mass: order.package.mass,
            window: order.plan.pickup_window,
            deliver_by: order.plan.deliver_by,
            confirmation: order.confirmation,
            expedited: order.expedited,
        }
    }
}

crate::delivery::words! {
    /// Why a mission is to be ended.
    StandDownReason {
        /// The delivery is being cancelled.
        Cancelled "cancelled",
        /// When or where changed.
        Replanned "replanned",
        /// The attempt failed.
        AttemptFailed "attempt_failed",
        /// The package is wanted back.
        ReturnRequested "return_requested",
        /// The delivery needs no drone, or has another one.
        NotWanted "not_wanted",
        /// Another drone flies for the delivery by now.
        TwoDrones "two_drones",
    }
}

/// What was asked about a mission, and whether it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    delivery: DeliveryId,
    requested: Option<FlightPlan>,
    is_refused: bool,
    stood_down: Option<StoodDown>,
}

/// How a mission was to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoodDown {
    /// Why: the newest reason.
    pub reason: StandDownReason,
    /// How often that was asked since it is for this reason.
    pub times: u8,
    /// How often that was asked in all, for whatever reason.
    pub in_all: u8,
    /// When last.
    pub last: Timestamp,
}

impl StoodDown {
    /// Whether it was asked as often as anybody is asked.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.in_all >= STAND_DOWNS_MAX
    }

    fn once_more(before: Option<Self>, reason: StandDownReason, last: Timestamp) -> Self {
        let in_all = before.map_or(0, |before| before.in_all);
        let since = before.filter(|before| before.reason == reason);
        Self {
            reason,
            times: since.map_or(0, |since| since.times).saturating_add(1),
            in_all: in_all.saturating_add(1),
            last,
        }
    }
}

impl Dispatch {
    /// The delivery that the mission is for.
    #[must_use]
    pub const fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Whether Airpost asked for it; not so of one that a fleet began by itself.
    #[must_use]
    pub const fn is_requested(&self) -> bool {
        self.requested.is_some()
    }

    /// Whether Airpost asked for it by a plan that would be flown otherwise.
    #[must_use]
    pub fn is_outdated(&self, plan: &Plan) -> bool {
        let requested = self.requested;
        requested.is_some_and(|requested| requested != plan.flight())
    }

    /// Whether Airpost asked for it by a plan that would bring the package elsewhere. Once that is
    /// on board, where and when it was fetched is over.
    #[must_use]
    pub fn is_misdirected(&self, plan: &Plan) -> bool {
        let requested = self.requested;
        requested.is_some_and(|requested| requested.dropoff != plan.flight().dropoff)
    }

    /// Whether Drone Management said that it will not fly it.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether nobody waits for its assignment any more: it was refused, or was to be ended.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.is_refused || self.stood_down.is_some()
    }

    /// How it was to be ended, if it was.
    #[must_use]
    pub const fn stood_down(&self) -> Option<StoodDown> {
        self.stood_down
    }

    /// The state after an event. Total: what makes no sense changes nothing.
    #[must_use]
    pub fn evolve(state: Option<Self>, occurrence: &Occurrence<DispatchEvent>) -> Option<Self> {
        let begun = |delivery| Self {
            delivery,
            requested: None,
            is_refused: false,
            stood_down: None,
        };
        match &occurrence.event {
            DispatchEvent::MissionRequested(request) => Some(Self {
                requested: Some(FlightPlan {
                    pickup: request.pickup,
                    dropoff: request.dropoff,
                    window: request.window,
                }),
                ..state.unwrap_or_else(|| begun(request.delivery))
            }),
            DispatchEvent::MissionRefused { detail: _ } => state.map(|dispatch| Self {
                is_refused: true,
                ..dispatch
            }),
            DispatchEvent::StandDownRequested { delivery, reason } => {
                let dispatch = state.unwrap_or_else(|| begun(*delivery));
                let (before, last) = (dispatch.stood_down, occurrence.event_time);
                Some(Self {
                    stood_down: Some(StoodDown::once_more(before, *reason, last)),
                    ..dispatch
                })
            }
        }
    }
}

/// Most times that a mission is asked to end, for whatever reasons. A drone that does not obey so
/// often will not: the anomalies, or the delivery's task, say to a person what it does.
pub const STAND_DOWNS_MAX: u8 = 10;

/// Why a mission is to be asked to end now, if it is, by what was asked about it so far: once for
/// each reason that is another one than the last, and a drone too many, or one that is not wanted,
/// each time that it shows itself, since it did not do what it was asked before, or was not given
/// the mission yet; up to [`STAND_DOWNS_MAX`] in all.
///
/// Without a reason it was just taken: who was to end it before may not have heard of that, and is
/// asked again for the same.
#[must_use]
pub fn reason_to_ask(
    dispatch: Option<&Dispatch>,
    wanted: Option<StandDownReason>,
) -> Option<StandDownReason> {
    let Some(before) = dispatch.and_then(Dispatch::stood_down) else {
        return wanted;
    };
    let reason = wanted.unwrap_or(before.reason);
    let is_again = match reason {
        StandDownReason::TwoDrones | StandDownReason::NotWanted => true,
        StandDownReason::Cancelled
        | StandDownReason::Replanned
        | StandDownReason::AttemptFailed
        | StandDownReason::ReturnRequested => wanted.is_none(),
    };
    let is_due = is_again || reason != before.reason;
    (is_due && !before.is_enough()).then_some(reason)
}

/// The missions that some events of a delivery leave without a purpose, and why; without a reason
/// the one that was just taken, which may have been to be ended before. [`reason_to_ask`] says what
/// is asked of each.
///
/// `live` is the mission that was live before them; `reporting` the one whose drone
/// event they follow from, if they do.
#[must_use]
pub fn stand_downs(
    events: &[DeliveryEvent],
    live: Option<MissionId>,
    reporting: Option<MissionId>,
) -> Vec<(MissionId, Option<StandDownReason>)> {
    let foreign = reporting.filter(|mission| Some(*mission) != live);
    let wanted = events.iter().filter_map(|event| match event {
        DeliveryEvent::DroneAssigned(assignment) => Some((assignment.mission, None)),
        DeliveryEvent::CancellationRequested { .. } => {
            Some((live?, Some(StandDownReason::Cancelled)))
        }
        // Their word ends the delivery, whatever its drone does.
        DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => Some((live?, Some(StandDownReason::NotWanted))),
        DeliveryEvent::DroneUnassigned {
            mission, reason, ..
        } => (*reason == UnassignReason::Replanned)
            .then_some((*mission, Some(StandDownReason::Replanned))),
        DeliveryEvent::AttemptFailed { mission, reason } => match reason {
            AttemptFailure::WrongPackage | AttemptFailure::Overweight => {
                Some((*mission, Some(StandDownReason::AttemptFailed)))
            }
            // Its drone said so by turning back: it does already what it would be asked to do.
            AttemptFailure::Undeliverable => None,
        },
        DeliveryEvent::AnomalyRecorded { why, .. } => Some((foreign?, Some(unwanted_by(*why)?))),
        DeliveryEvent::ReturnStarted { mission, reason } => match reason {
            // Whoever was told in vain that it is cancelled has the package now, and is to do
            // something else.
            ReturnReason::Requested | ReturnReason::Cancelled => {
                Some((*mission, Some(StandDownReason::ReturnRequested)))
            }
            // Its drone turned round by itself, or was told by what came before.
            ReturnReason::DroneReturned
            | ReturnReason::MissionAborted
            | ReturnReason::Undeliverable
            | ReturnReason::Diverted => None,
        },
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::HeadedToPickup { .. }
        | DeliveryEvent::ArrivedAtPickup { .. }
        | DeliveryEvent::PickedUp { .. }
        | DeliveryEvent::InTransit { .. }
        | DeliveryEvent::ArrivedAtDropoff { .. }
        | DeliveryEvent::DeliveryComplete { .. }
        | DeliveryEvent::ArrivedAtHub { .. }
        | DeliveryEvent::Returned { .. }
        | DeliveryEvent::Cancelled
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::Failed { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Reopened { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Released { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. } => None,
    });
    wanted.collect()
}

/// Why a mission is not wanted that reported what its delivery could not take.
const fn unwanted_by(anomaly: Anomaly) -> Option<StandDownReason> {
    match anomaly {
        Anomaly::TwoDrones => Some(StandDownReason::TwoDrones),
        // An assignment that came when the delivery could not have one.
        Anomaly::WrongStatus | Anomaly::NoAttemptsLeft => Some(StandDownReason::NotWanted),
        Anomaly::ContradictsOutcome
        | Anomaly::ForeignDrone
        | Anomaly::MissionAlreadyBound
        | Anomaly::UnknownDelivery
        | Anomaly::OutsideDropoffRadius
        | Anomaly::ReleaseWithoutPosition
        | Anomaly::ReleaseNotConfirmed
        | Anomaly::ConfirmationTooWeak
        | Anomaly::EndedWithPackage => None,
    }
}
