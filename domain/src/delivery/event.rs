//! What happens to a delivery.

use super::condition::Condition;
use super::vocabulary::{
    Anomaly, AttemptFailure, CancelReason, CancellationRefusal, Confirmation, Correction, Failure,
    HubPlace, Milestone, OnCancelAfterPickup, OnUndeliverable, PackageFlag, RejectReason,
    ReleaseEvidence, ReleaseMethod, ReopenCause, ReopenedAs, ReturnReason, Size, Stranding,
    UnassignReason,
};
use crate::geo::GeoPoint;
use crate::id::{
    DroneId, ExternalId, FactId, FleetId, MissionId, PackageId, ProofHash, Tag, UserId,
};
use crate::quantity::{DimensionsMm, DistanceM, MassG};
use crate::text::{Address, Comment, Text};
use crate::time::{Timestamp, Window};

/// An event in a delivery's life. The names are what clients read in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// A client asked for it.
    Created(Box<Order>),
    /// Everything that it needs was found to be in order: the booking stands.
    Scheduled,
    /// The client changed when or where; the whole plan as it is now.
    Rescheduled(Box<Plan>),
    /// A drone was given its mission.
    DroneAssigned(Assignment),
    /// The mission ended before the package was taken.
    DroneUnassigned {
        /// The mission that ended.
        mission: MissionId,
        /// Why.
        reason: UnassignReason,
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// The drone set out for the package.
    HeadedToPickup {
        /// Its mission.
        mission: MissionId,
    },
    /// The drone is where the package is.
    ArrivedAtPickup {
        /// Its mission.
        mission: MissionId,
    },
    /// The drone has the package.
    PickedUp {
        /// Its mission.
        mission: MissionId,
        /// What the drone read on the package, if it reads tags.
        tag: Option<Tag>,
        /// What the drone weighed, if it weighs.
        mass: Option<MassG>,
    },
    /// The drone set out for the recipient.
    InTransit {
        /// Its mission.
        mission: MissionId,
    },
    /// The drone is where the recipient is.
    ArrivedAtDropoff {
        /// Its mission.
        mission: MissionId,
        /// How far from the agreed place, if it said where it is.
        distance: Option<DistanceM>,
    },
    /// The recipient has the package.
    DeliveryComplete {
        /// The mission that brought it.
        mission: MissionId,
        /// How the package was let go; unknown where an operator vouches for it.
        method: Option<ReleaseMethod>,
        /// What shows that it was.
        evidence: Option<ReleaseEvidence>,
        /// How far from the agreed place; unknown where an operator vouches for it.
        distance: Option<DistanceM>,
    },
    /// The attempt came to nothing; what follows from it is the next event.
    AttemptFailed {
        /// The mission.
        mission: MissionId,
        /// Why.
        reason: AttemptFailure,
    },
    /// The drone brings the package back.
    ReturnStarted {
        /// Its mission.
        mission: MissionId,
        /// Why.
        reason: ReturnReason,
    },
    /// The package waits at a hub.
    ArrivedAtHub {
        /// The mission that brought it there.
        mission: MissionId,
        /// Which kind of place.
        place: HubPlace,
    },
    /// The sender has the package again.
    Returned {
        /// The mission that brought it back, or had it last.
        mission: MissionId,
    },
    /// Somebody asked to cancel.
    CancellationRequested {
        /// Why.
        reason: CancelReason,
        /// In their own words.
        comment: Option<Comment>,
    },
    /// It was cancelled; the package never left the sender.
    Cancelled,
    /// The cancellation came too late.
    CancellationRejected {
        /// Why.
        why: CancellationRefusal,
    },
    /// It came to a bad end.
    Failed {
        /// The mission it happened to.
        mission: MissionId,
        /// What happened.
        reason: Failure,
    },
    /// A late fact told when something happened that had been inferred.
    MilestoneTimeCorrected {
        /// What happened.
        milestone: Milestone,
        /// When it was thought to have happened.
        was: Timestamp,
        /// When it did.
        now: Timestamp,
    },
    /// A drone reported what cannot be: kept, visible, without effect.
    AnomalyRecorded {
        /// The drone event. What it is called is unique per sender, as is its mission.
        fact: FactId,
        /// Whose mission reported it.
        mission: MissionId,
        /// What does not fit.
        why: Anomaly,
    },
    /// The booking was refused after all; what had been done for it is undone.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
    /// It was shown that the right person takes it.
    Confirmed {
        /// What kind of proof; at least what was asked for.
        kind: Confirmation,
        /// The proof's hash. The proof itself is never kept.
        proof: ProofHash,
    },
    /// Its life goes on after its end.
    Reopened {
        /// Why.
        cause: ReopenCause,
        /// Where it goes on.
        to: ReopenedAs,
        /// What the operator says, if one did it.
        reason: Option<Comment>,
    },
    /// An operator put right what is said of its end. The status stays.
    Corrected {
        /// What is put right.
        what: Correction,
        /// What was said.
        was: Option<Comment>,
        /// What is so.
        now: Comment,
        /// How the operator knows.
        reason: Comment,
    },
    /// It does better or worse beside its status.
    ConditionChanged {
        /// The mission that does.
        mission: MissionId,
        /// How it does now.
        condition: Condition,
    },
    /// It is expected at other times, as far as that is known.
    EtaRevised {
        /// The mission that says so.
        mission: MissionId,
        /// At the pick-up.
        pickup_at: Option<Timestamp>,
        /// At the drop-off.
        dropoff_at: Option<Timestamp>,
    },
    /// The drone let the package go at the right place; that somebody took it has to be confirmed.
    Released {
        /// The mission that brought it.
        mission: MissionId,
        /// How the package was let go.
        method: ReleaseMethod,
        /// What shows that it was.
        evidence: Option<ReleaseEvidence>,
        /// How far from the agreed place.
        distance: DistanceM,
    },
    /// Nobody confirmed in time that they took the package.
    ConfirmationOverdue,
    /// An operator vouches for it that the recipient has the package.
    Vouched {
        /// How they know.
        reason: Comment,
    },
    /// Nobody comes for the package by themselves: somebody has to look after it.
    Stranded {
        /// Where it is.
        place: Stranding,
    },
    /// An operator gives it up; what that comes to is the next event.
    GivenUp {
        /// Why.
        reason: Comment,
    },
    /// An operator says that the sender has the package again; that it came back is the next event.
    HandedBack {
        /// How they know.
        reason: Comment,
    },
    /// It should have arrived by then, and had not.
    DeadlineMissed {
        /// The deadline.
        deliver_by: Timestamp,
    },
}

/// What a client ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// For whom.
    pub user: UserId,
    /// The client's own name of it.
    pub external_id: Option<ExternalId>,
    /// Where from, where to, when.
    pub plan: Plan,
    /// What.
    pub package: Package,
    /// What has to show that the right person took it, at least.
    pub confirmation: Confirmation,
    /// Whether it goes before others.
    pub expedited: bool,
    /// What becomes of a package that nobody takes.
    pub on_undeliverable: OnUndeliverable,
    /// What becomes of a package that was picked up while being cancelled.
    pub on_cancel_after_pickup: OnCancelAfterPickup,
    /// The client's own notes, at most [`METADATA_ENTRIES_MAX`], sorted by key.
    pub metadata: Vec<(Text<40>, Text<200>)>,
}

impl Order {
    /// The same order in the form it is stored in: metadata by key, flags once
    /// each. One order has one form, whatever order its parts came in.
    #[must_use]
    pub fn in_stored_order(&self) -> Self {
        let mut order = self.clone();
        order
            .metadata
            .sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        order.package.flags.sort_unstable();
        order.package.flags.dedup();
        order
    }
}

/// Most entries in an order's metadata.
pub const METADATA_ENTRIES_MAX: usize = 10;

/// Where from, where to, and when: what a reschedule may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the package waits.
    pub pickup: Place,
    /// Where it is wanted.
    pub dropoff: Place,
    /// When it may be fetched; at once and without end if absent.
    pub pickup_window: Option<Window>,
    /// When it should have arrived.
    pub deliver_by: Option<Timestamp>,
}

/// What of a plan a drone has to know to fly it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightPlan {
    /// Where the package waits.
    pub pickup: GeoPoint,
    /// Where it is wanted.
    pub dropoff: GeoPoint,
    /// When it may be fetched.
    pub window: Option<Window>,
}

impl Plan {
    /// What a drone has to know of it. A deadline and an address in words make no other flight.
    #[must_use]
    pub const fn flight(&self) -> FlightPlan {
        FlightPlan {
            pickup: self.pickup.point,
            dropoff: self.dropoff.point,
            window: self.pickup_window,
        }
    }
}

/// A place to land or to hover over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub point: GeoPoint,
    /// In words. Personal data.
    pub address: Option<Address>,
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The registered package, if it is one.
    pub id: Option<PackageId>,
    /// What is printed on it.
    pub tag: Tag,
    /// Its size class.
    pub size: Size,
    /// Its declared mass.
    pub mass: MassG,
    /// Its declared dimensions.
    pub dimensions: Option<DimensionsMm>,
    /// What to mind, without repetition.
    pub flags: Vec<PackageFlag>,
}

/// A drone's mission for a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The mission.
    pub mission: MissionId,
    /// Whose drone.
    pub fleet: FleetId,
    /// Which drone.
    pub drone: DroneId,
    /// The how-manieth mission of this delivery it is, from 1.
    pub epoch: u32,
    /// When the fleet expects to be at the pick-up.
    pub eta_pickup: Option<Timestamp>,
    /// When the fleet expects to be at the drop-off.
    pub eta_dropoff: Option<Timestamp>,
}
