//! What happens to a delivery.

use crate::geo::GeoPoint;
use crate::id::{DroneId, ExternalId, FactId, FleetId, MissionId, PackageId, Tag, UserId};
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
        /// How the package was let go.
        method: ReleaseMethod,
        /// What shows that it was.
        evidence: Option<ReleaseEvidence>,
        /// How far from the agreed place.
        distance: DistanceM,
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
        /// The mission that brought it back.
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
        /// The drone event.
        fact: FactId,
        /// What does not fit.
        why: Anomaly,
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

/// Closed sets of words. `word` is what JSON shows; the order is the stored
/// number, so that variants are only ever added at the end.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident $word:literal,)+ })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the stored numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    )*};
}
pub(crate) use words;

words! {
    /// A package's size class.
    Size {
        /// Fits the smallest drones.
        Small "small",
        /// Fits most drones.
        Medium "medium",
        /// Fits the largest drones only.
        Large "large",
    }
    /// What to mind about a package.
    PackageFlag {
        /// Breaks easily.
        Fragile "fragile",
        /// Must stay upright.
        Upright "upright",
        /// Must stay cold.
        Cold "cold",
        /// Medicine or samples.
        Medical "medical",
    }
    /// What becomes of a package that nobody takes.
    OnUndeliverable {
        /// It goes back to the sender.
        Return "return",
        /// It waits at a hub.
        Hold "hold",
    }
    /// What becomes of a package that was picked up while being cancelled.
    OnCancelAfterPickup {
        /// It goes back to the sender.
        Return "return",
        /// It goes on to the recipient.
        Continue "continue",
    }
    /// Why somebody cancels.
    CancelReason {
        /// The customer does not want it any more.
        CustomerRequest "customer_request",
        /// It was ordered by mistake or twice.
        Mistake "mistake",
        /// It is not ready, or not there.
        NotAvailable "not_available",
        /// It cannot come in time.
        TooLate "too_late",
        /// The operator said so.
        Operator "operator",
        /// Something else: see the comment.
        Other "other",
    }
    /// Why a cancellation was refused.
    CancellationRefusal {
        /// The drone already has the package.
        AlreadyPickedUp "already_picked_up",
    }
    /// Why a mission ended before the package was taken.
    UnassignReason {
        /// The fleet refused it after all.
        Rejected "rejected",
        /// The fleet broke it off.
        Aborted "aborted",
        /// The drone crashed.
        Crashed "crashed",
        /// The drone is lost.
        Lost "lost",
        /// The mission was stood down.
        StoodDown "stood_down",
        /// The mission was over without the package.
        MissionEnded "mission_ended",
        /// When or where changed.
        Replanned "replanned",
        /// The attempt failed at the pick-up.
        AttemptFailed "attempt_failed",
    }
    /// Why an attempt failed.
    AttemptFailure {
        /// Another package lay there.
        WrongPackage "wrong_package",
        /// It weighs more than declared.
        Overweight "overweight",
        /// Nobody took it.
        Undeliverable "undeliverable",
    }
    /// Why a package comes back.
    ReturnReason {
        /// The drone turned round with it.
        DroneReturned "drone_returned",
        /// The mission was broken off.
        MissionAborted "mission_aborted",
        /// The cancellation came after the pick-up.
        Cancelled "cancelled",
        /// Nobody took it.
        Undeliverable "undeliverable",
    }
    /// Where a package waits.
    HubPlace {
        /// A hub.
        Hub "hub",
        /// The drone's base.
        Base "base",
    }
    /// The bad ends.
    Failure {
        /// The drone was lost or crashed with the package.
        DroneLost "drone_lost",
        /// The package was lost.
        PackageLost "package_lost",
        /// The package was damaged.
        Damaged "damaged",
        /// It was let go in the wrong place.
        Misdelivered "misdelivered",
        /// Nobody could take it.
        Undeliverable "undeliverable",
        /// No drone came.
        NoDrone "no_drone",
    }
    /// How a package is let go.
    ReleaseMethod {
        /// Let down on a line.
        Winch "winch",
        /// Let go from a gripper.
        Gripper "gripper",
        /// After landing.
        Land "land",
        /// Dropped from the air.
        Drop "drop",
    }
    /// What shows that a package was let go.
    ReleaseEvidence {
        /// The autopilot acknowledged.
        Ack "ack",
        /// The mission item was reached.
        ItemReached "item_reached",
        /// The winch's own status.
        WinchStatus "winch_status",
        /// Somebody said so.
        Manual "manual",
    }
    /// The steps whose times are kept.
    Milestone {
        /// A drone was assigned.
        Assigned "assigned",
        /// It set out for the package.
        HeadedToPickup "headed_to_pickup",
        /// It was where the package was.
        ArrivedAtPickup "arrived_at_pickup",
        /// It had the package.
        PickedUp "picked_up",
        /// It set out for the recipient.
        InTransit "in_transit",
        /// It was where the recipient was.
        ArrivedAtDropoff "arrived_at_dropoff",
        /// The recipient had the package.
        Completed "completed",
        /// It turned back with the package.
        ReturnStarted "return_started",
        /// The package lay at a hub.
        ArrivedAtHub "arrived_at_hub",
        /// The sender had the package again.
        Returned "returned",
    }
    /// What does not fit about a drone event.
    Anomaly {
        /// The delivery's status does not allow it.
        WrongStatus "wrong_status",
        /// It contradicts the outcome.
        ContradictsOutcome "contradicts_outcome",
        /// A mission that is no longer the live one has the package in its hands.
        TwoDrones "two_drones",
        /// The mission is another drone's.
        ForeignDrone "foreign_drone",
        /// The mission is already bound to another delivery.
        MissionAlreadyBound "mission_already_bound",
        /// There is no such delivery.
        UnknownDelivery "unknown_delivery",
        /// It says it is at the drop-off and is too far from it.
        OutsideDropoffRadius "outside_dropoff_radius",
        /// A release without a position.
        ReleaseWithoutPosition "release_without_position",
        /// A release that was not confirmed.
        ReleaseNotConfirmed "release_not_confirmed",
        /// The mission ended and the package is still said to be on the drone.
        EndedWithPackage "ended_with_package",
        /// All attempts are used up.
        NoAttemptsLeft "no_attempts_left",
    }
}
