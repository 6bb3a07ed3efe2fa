//! What is asked of a delivery, and what drones report of it.

use super::event::{Order, Plan};
use super::state::{RESCHEDULES_MAX, Status};
use super::vocabulary::{
    Anomaly, CancelReason, HubPlace, RejectReason, ReleaseEvidence, ReleaseMethod, UnassignReason,
};
use crate::id::{DroneId, FactId, FleetId, MissionId, Tag};
use crate::quantity::{DistanceM, MassG};
use crate::text::Comment;
use crate::time::Timestamp;

/// A command to a delivery. Whatever had to be measured or looked up is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryCommand {
    /// Take an order.
    Create {
        /// What is ordered.
        order: Box<Order>,
        /// The clock.
        now: Timestamp,
    },
    /// Confirm the booking: all that it needs is in order.
    Schedule {
        /// The clock.
        now: Timestamp,
    },
    /// Change when or where.
    Reschedule {
        /// The whole plan as it should be.
        plan: Box<Plan>,
        /// The clock.
        now: Timestamp,
    },
    /// Cancel it.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// In the caller's own words.
        comment: Option<Comment>,
        /// The clock.
        now: Timestamp,
    },
    /// Refuse the booking after all, while no drone was ever given its mission.
    Reject {
        /// Why.
        reason: RejectReason,
        /// The clock.
        now: Timestamp,
    },
    /// Stop looking for another drone.
    GiveUp {
        /// The clock.
        now: Timestamp,
    },
    /// Note that it did not come in time. Nothing follows while there is time, if there is no
    /// deadline, or if that was noted already.
    MissDeadline {
        /// The clock.
        now: Timestamp,
    },
    /// Take note of what a drone reports. Never rejected: what does not fit is an anomaly.
    Report(Report),
}

/// A drone event about a mission of the delivery, judged against its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The drone event.
    pub fact: FactId,
    /// Its mission.
    pub mission: MissionId,
    /// When it happened.
    pub event_time: Timestamp,
    /// What is reported.
    pub reported: Reported,
}

/// What a drone reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The fleet gave the mission to a drone.
    Assigned {
        /// Whose drone.
        fleet: FleetId,
        /// Which drone.
        drone: DroneId,
        /// When it expects to be at the pick-up.
        eta_pickup: Option<Timestamp>,
        /// When it expects to be at the drop-off.
        eta_dropoff: Option<Timestamp>,
    },
    /// The fleet will not fly it, or not to its end.
    Ended {
        /// `Rejected`, `Aborted`, `StoodDown`, `Crashed` or `Lost`.
        how: Ending,
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// It set out for the package.
    DepartedToPickup,
    /// It is where the package is.
    ArrivedAtPickup,
    /// It took a package.
    Loaded {
        /// Whether it is the right one.
        verdict: LoadVerdict,
        /// What it read.
        tag: Option<Tag>,
        /// What it weighed.
        mass: Option<MassG>,
    },
    /// It set out for the recipient.
    DepartedToDropoff,
    /// It is where the recipient is.
    ArrivedAtDropoff(Nearness),
    /// It let the package go.
    Released {
        /// How.
        method: ReleaseMethod,
        /// What shows it.
        evidence: Option<ReleaseEvidence>,
        /// Whether the release was confirmed.
        confirmed: bool,
        /// Where.
        nearness: Nearness,
    },
    /// It set out for home.
    DepartedToReturn,
    /// It is back.
    Returned(ReturnedTo),
    /// Its mission is over.
    Completed {
        /// Whether the package is still on board, if it knows.
        payload_on_board: Option<bool>,
    },
    /// It cannot be about this delivery, whatever its status: an anomaly.
    Misplaced(Anomaly),
}

/// How a mission ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The fleet refused it.
    Rejected,
    /// The fleet broke it off.
    Aborted,
    /// It was stood down, as asked.
    StoodDown,
    /// The drone crashed.
    Crashed,
    /// The drone is lost.
    Lost,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] = [
        Self::Rejected,
        Self::Aborted,
        Self::StoodDown,
        Self::Crashed,
        Self::Lost,
    ];

    /// The reason of a `DroneUnassigned` that follows from it.
    #[must_use]
    pub const fn unassign_reason(self) -> UnassignReason {
        match self {
            Self::Rejected => UnassignReason::Rejected,
            Self::Aborted => UnassignReason::Aborted,
            Self::StoodDown => UnassignReason::StoodDown,
            Self::Crashed => UnassignReason::Crashed,
            Self::Lost => UnassignReason::Lost,
        }
    }
}

/// Whether a drone took the right package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadVerdict {
    /// Nothing speaks against it.
    Matches,
    /// It bears another tag.
    WrongPackage,
    /// It weighs too much more than declared.
    Overweight,
}

/// Where a drone is, seen from the agreed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nearness {
    /// Within the accepted radius.
    Inside(DistanceM),
    /// Too far.
    Outside(DistanceM),
    /// It did not say where it is.
    Unknown,
}

/// Where a drone came back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnedTo {
    /// The sender.
    Sender,
    /// A hub or base.
    Hub(HubPlace),
}

/// Which rule said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRejection {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    Unknown,
    /// A delivery of this id exists and was ordered otherwise.
    #[error("a delivery of this id exists already")]
    AlreadyExists,
    /// The status does not allow it.
    #[error("a delivery that is {status} cannot be {attempted}: {possible}")]
    WrongStatus {
        /// The status it has.
        status: Status,
        /// What was wanted, as in "rescheduled" or "cancelled".
        attempted: &'static str,
        /// What is possible now.
        possible: &'static str,
    },
    /// It was rescheduled as often as a delivery may be.
    #[error(
        "a delivery is rescheduled {RESCHEDULES_MAX} times at most, and this one was: leave it as it is, \
         or cancel it and order a new one"
    )]
    RescheduledTooOften,
    /// The pick-up window is over before it begins.
    #[error("the pick-up window ends at {not_after}, which is past")]
    WindowInPast {
        /// Its end.
        not_after: Timestamp,
    },
    /// The deadline is past.
    #[error("deliver_by is {deliver_by}, which is past")]
    DeadlineInPast {
        /// The deadline.
        deliver_by: Timestamp,
    },
}
