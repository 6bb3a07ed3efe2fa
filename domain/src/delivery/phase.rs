//! Where in its life a delivery is, the status that clients see of it, and who has the package.

use std::fmt;

use super::vocabulary::{Failure, RejectReason, ReleaseEvidence, ReleaseMethod};
use crate::quantity::DistanceM;
use crate::time::Timestamp;

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
    /// The drone let the package go at the right place, and nobody has confirmed yet that they
    /// took it.
    Released(Release),
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

/// How and when a package was let go that is not confirmed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Release {
    /// How it was let go.
    pub method: ReleaseMethod,
    /// What shows that it was.
    pub evidence: Option<ReleaseEvidence>,
    /// How far from the agreed place.
    pub distance: DistanceM,
    /// When.
    pub at: Timestamp,
    /// When we were told.
    pub told_at: Timestamp,
    /// Whether it was waited for the confirmation as long as anybody waits.
    pub overdue: bool,
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
            Self::Carrying(CarryStage::AtDropoff) | Self::Released(_) => Status::AtDropoff,
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
            Self::Released(_)
            | Self::Failed(
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
            | Self::Released(_)
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

    /// Whether a drone is on its way that may yet turn round: it did not let the package go.
    pub(super) const fn has_drone_on_its_way(self) -> bool {
        self.has_live_mission() && !matches!(self, Self::Released(_))
    }

    /// Whether a drone has the package, or let it go for somebody who has not confirmed it yet.
    pub(super) fn is_out(self) -> bool {
        self.custody() == Custody::Drone || matches!(self, Self::Released(_))
    }

    /// Whether the package waits at a hub, for a drone that is on its way there or for none.
    pub(super) fn waits_at_hub(self) -> bool {
        self.custody() == Custody::Hub && !self.status().is_terminal()
    }

    /// Whether the package is out of the sender's hands and nobody else's for good.
    pub(super) fn has_left_sender(self) -> bool {
        self.is_out() || self.waits_at_hub()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}
