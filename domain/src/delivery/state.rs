//! What is known of a delivery by having folded its events.

use std::fmt;

use super::event::{Assignment, Order};
use super::vocabulary::{Failure, Milestone, OnUndeliverable, RejectReason, ReturnReason};
use crate::id::{FactId, MissionId};
use crate::time::Timestamp;

/// Most attempts at delivering one package.
pub const ATTEMPTS_MAX: u8 = 3;

/// Most missions for one delivery. Far more than a fleet needs that refuses
/// now and then; it bounds what is kept of them.
pub const MISSIONS_MAX: u32 = 100;

/// Most reschedules of one delivery. Far more than anybody needs who changes
/// their mind; it bounds a delivery's history.
pub const RESCHEDULES_MAX: u32 = 100;

/// Most anomalies recorded for one delivery; more are only counted.
pub const ANOMALIES_MAX: usize = 20;

/// A delivery that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub(super) order: Order,
    pub(super) phase: Phase,
    /// Attempts begun: grows once per mission, at `PickedUp` or `AttemptFailed`.
    pub(super) attempt: u8,
    /// Missions so far.
    pub(super) epoch: u32,
    /// Reschedules so far.
    pub(super) revision: u32,
    /// The newest mission, live or over.
    pub(super) mission: Option<Mission>,
    /// Why the package came back the last time, if it did.
    pub(super) returned_for: Option<ReturnReason>,
    /// What the newest mission took is not what was ordered.
    pub(super) misloaded: bool,
    /// It did not come by the deadline that its plan has now.
    pub(super) deadline_missed: bool,
    pub(super) milestones: Vec<Reached>,
    /// The drone events that were recorded as anomalies.
    pub(super) anomalies: Vec<FactId>,
}

/// Where in its life a delivery is. What a phase needs is in it, so that no
/// impossible combination can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Asked for.
    Pending,
    /// The booking stands; no drone yet.
    Scheduled,
    /// A drone is on its way to the package, which waits with `holder`.
    Fetching {
        /// How far it is.
        stage: FetchStage,
        /// Who has the package.
        holder: Holder,
    },
    /// The drone has the package and brings it.
    Carrying(CarryStage),
    /// The drone brings the package back.
    Returning,
    /// The package waits at a hub; no drone yet.
    AtHub,
    /// Somebody cancelled; the drone has not been stood down yet.
    Cancelling {
        /// How far the drone is.
        stage: FetchStage,
    },
    /// The recipient has it.
    Complete,
    /// The sender has it again.
    Returned,
    /// It never left the sender.
    Cancelled,
    /// The booking was refused after all.
    Rejected(RejectReason),
    /// It came to a bad end.
    Failed(Failure),
}

/// A drone without the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FetchStage {
    /// It has its mission.
    Assigned,
    /// It set out.
    HeadedToPickup,
    /// It is there.
    AtPickup,
}

/// A drone with the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarryStage {
    /// It took the package.
    Loaded,
    /// It set out.
    InTransit,
    /// It is there.
    AtDropoff,
}

/// Who has a package that waits for a drone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The sender.
    Sender,
    /// A hub.
    Hub,
}

/// The newest mission of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    /// Which drone, and the how-manieth mission.
    pub assignment: Assignment,
    /// Whether it was counted as an attempt.
    pub counted: bool,
}

/// A step that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Which step.
    pub milestone: Milestone,
    /// In which mission.
    pub mission: MissionId,
    /// When.
    pub at: Timestamp,
    /// Whether the time is only that of the fact that implied it.
    pub inferred: bool,
}

/// Who has the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Custody {
    /// The sender.
    Sender,
    /// A drone.
    Drone,
    /// A hub.
    Hub,
    /// The recipient.
    Recipient,
    /// Nobody knows.
    Unknown,
}

super::vocabulary::words! {
    /// A delivery's status, as clients see it.
    Status {
        /// Asked for.
        Pending "pending",
        /// Booked.
        Scheduled "scheduled",
        /// A drone has the mission.
        Assigned "assigned",
        /// The drone set out for the package.
        HeadedToPickup "headed_to_pickup",
        /// The drone is at the package.
        AtPickup "at_pickup",
        /// The drone has the package.
        Loaded "loaded",
        /// The drone set out for the recipient.
        InTransit "in_transit",
        /// The drone is at the recipient.
        AtDropoff "at_dropoff",
        /// The recipient has the package.
        Complete "complete",
        /// The booking was refused.
        Rejected "rejected",
        /// Being cancelled.
        Cancelling "cancelling",
        /// Cancelled.
        Cancelled "cancelled",
        /// On its way back.
        Returning "returning",
        /// At a hub.
        AtHub "at_hub",
        /// Back with the sender.
        Returned "returned",
        /// Came to a bad end.
        Failed "failed",
    }
}

impl Status {
    /// Whether the delivery's life is over.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Complete | Self::Rejected | Self::Cancelled | Self::Returned | Self::Failed => {
                true
            }
            Self::Pending
            | Self::Scheduled
            | Self::Assigned
            | Self::HeadedToPickup
            | Self::AtPickup
            | Self::Loaded
            | Self::InTransit
            | Self::AtDropoff
            | Self::Cancelling
            | Self::Returning
            | Self::AtHub => false,
        }
    }
}

impl Phase {
    /// The status that clients see.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Scheduled => Status::Scheduled,
            Self::Fetching { stage, holder: _ } => match stage {
                FetchStage::Assigned => Status::Assigned,
                FetchStage::HeadedToPickup => Status::HeadedToPickup,
                FetchStage::AtPickup => Status::AtPickup,
            },
            Self::Carrying(CarryStage::Loaded) => Status::Loaded,
            Self::Carrying(CarryStage::InTransit) => Status::InTransit,
            Self::Carrying(CarryStage::AtDropoff) => Status::AtDropoff,
            Self::Returning => Status::Returning,
            Self::AtHub => Status::AtHub,
            Self::Cancelling { stage: _ } => Status::Cancelling,
            Self::Complete => Status::Complete,
            Self::Returned => Status::Returned,
            Self::Cancelled => Status::Cancelled,
            Self::Rejected(_) => Status::Rejected,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// Who has the package.
    #[must_use]
    pub const fn custody(self) -> Custody {
        match self {
            Self::Pending
            | Self::Scheduled
            | Self::Fetching {
                holder: Holder::Sender,
                ..
            }
            | Self::Cancelling { .. }
            | Self::Returned
            | Self::Cancelled
            | Self::Rejected(_)
            | Self::Failed(Failure::NoDrone) => Custody::Sender,
            Self::Fetching {
                holder: Holder::Hub,
                ..
            }
            | Self::AtHub
            | Self::Failed(Failure::Undeliverable) => Custody::Hub,
            Self::Carrying(_) | Self::Returning => Custody::Drone,
            Self::Complete => Custody::Recipient,
            Self::Failed(
                Failure::DroneLost
                | Failure::PackageLost
                | Failure::Damaged
                | Failure::Misdelivered,
            ) => Custody::Unknown,
        }
    }

    /// Whether a mission is under way.
    #[must_use]
    pub const fn has_live_mission(self) -> bool {
        match self {
            Self::Fetching { .. }
            | Self::Carrying(_)
            | Self::Returning
            | Self::Cancelling { .. } => true,
            Self::Pending
            | Self::Scheduled
            | Self::AtHub
            | Self::Complete
            | Self::Returned
            | Self::Cancelled
            | Self::Rejected(_)
            | Self::Failed(_) => false,
        }
    }
}

impl Delivery {
    /// What was ordered, as last rescheduled.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// Where in its life it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The status that clients see.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.phase.status()
    }

    /// Who has the package.
    #[must_use]
    pub const fn custody(&self) -> Custody {
        self.phase.custody()
    }

    /// Attempts begun, 0 to [`ATTEMPTS_MAX`].
    #[must_use]
    pub const fn attempt(&self) -> u8 {
        self.attempt
    }

    /// Missions so far.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Reschedules so far.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// Whether it may have another mission at all: few enough missions, and attempts among them.
    #[must_use]
    pub const fn may_be_assigned_again(&self) -> bool {
        self.attempt < ATTEMPTS_MAX && self.epoch < MISSIONS_MAX
    }

    /// Whether a package that waits at a hub should be brought from there once more: it came back
    /// for a reason that may pass, and it may have another mission. Whether there is still time
    /// is not asked here.
    #[must_use]
    pub fn wants_another_attempt(&self) -> bool {
        let may_pass = match self.returned_for {
            None | Some(ReturnReason::DroneReturned | ReturnReason::MissionAborted) => true,
            Some(ReturnReason::Undeliverable) => {
                self.order.on_undeliverable == OnUndeliverable::Hold
            }
            Some(ReturnReason::Cancelled) => false,
        };
        self.phase == Phase::AtHub && may_pass && !self.misloaded && self.may_be_assigned_again()
    }

    /// Whether it is noted that it did not come by the deadline that it has now.
    #[must_use]
    pub const fn is_deadline_missed(&self) -> bool {
        self.deadline_missed
    }

    /// The newest mission, live or over.
    #[must_use]
    pub const fn mission(&self) -> Option<&Mission> {
        self.mission.as_ref()
    }

    /// The mission under way.
    #[must_use]
    pub fn live_mission(&self) -> Option<&Mission> {
        self.mission
            .as_ref()
            .filter(|_| self.phase.has_live_mission())
    }

    /// Whether a mission is the newest, live or over.
    pub(super) fn is_newest(&self, mission: MissionId) -> bool {
        self.mission
            .as_ref()
            .is_some_and(|newest| newest.assignment.mission == mission)
    }

    /// A step that a mission reached.
    pub(super) fn reached(&self, mission: MissionId, milestone: Milestone) -> Option<&Reached> {
        self.milestones
            .iter()
            .rev()
            .find(|reached| reached.mission == mission && reached.milestone == milestone)
    }

    /// The steps reached, in stream order, of all missions.
    #[must_use]
    pub fn milestones(&self) -> &[Reached] {
        &self.milestones
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}
