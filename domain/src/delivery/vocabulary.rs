//! The closed sets of words in a delivery's events.

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
    /// What shows that the right person took a package, in the order of how much it shows.
    Confirmation {
        /// Nothing: that it was let go in the right place is enough.
        None "none",
        /// A number that only the recipient was told.
        Pin "pin",
        /// The recipient's device read the tag.
        TagScan "tag_scan",
        /// A picture of the package where it lies.
        Photo "photo",
        /// The recipient's own sign.
        Signature "signature",
    }
    /// How a delivery does beside its status, without what is waited for.
    ConditionWord {
        /// As it should.
        Nominal "nominal",
        /// It will take longer.
        Delayed "delayed",
        /// It waits.
        Holding "holding",
        /// It flies elsewhere first.
        Diverted "diverted",
        /// Nothing is heard of it.
        LinkLost "link_lost",
        /// It had to come down with the package.
        Emergency "emergency",
    }
    /// What a drone, or a package that it let go, waits for.
    HoldReason {
        /// Better weather.
        Weather "weather",
        /// Leave to fly there.
        Airspace "airspace",
        /// Others to pass.
        Traffic "traffic",
        /// Something at its fleet.
        Operations "operations",
        /// That somebody confirms that they took the package.
        AwaitingConfirmation "awaiting_confirmation",
    }
    /// Why a life goes on after its end.
    ReopenCause {
        /// A drone took the package after all, though it was cancelled.
        PickedUp "picked_up",
        /// A drone that was thought lost came back.
        DroneReturned "drone_returned",
        /// An operator knows better.
        Operator "operator",
    }
    /// Where a life goes on after its end.
    ReopenedAs {
        /// The newest mission brings the package.
        InTransit "in_transit",
        /// The newest mission brings the package back.
        Returning "returning",
        /// The package waits at a hub.
        AtHub "at_hub",
    }
    /// Where a package is that nobody comes for by themselves.
    Stranding {
        /// On a drone whose mission is over.
        OnBoard "on_board",
        /// At a hub, from where it is not tried once more.
        AtHub "at_hub",
        /// With the sender; whether the drone comes that was asked to turn round nobody says.
        WithSender "with_sender",
        /// Under way otherwise; whether the drone turns round that was asked to nobody says.
        UnderWay "under_way",
    }
    /// What an operator puts right about a delivery's end.
    Correction {
        /// How it ended.
        Outcome "outcome",
        /// Who has the package.
        Recipient "recipient",
        /// Where the package is.
        Place "place",
        /// When something happened.
        Time "time",
        /// Something else.
        Other "other",
    }
    /// Why a booking is refused after all.
    RejectReason {
        /// The user may not book.
        UserSuspended "user_suspended",
        /// The user has as many deliveries under way as they may.
        Quota "quota",
        /// The package is not there, or is in another delivery.
        PackageUnavailable "package_unavailable",
        /// Too far, too heavy, not allowed there or not then.
        NotServiceable "not_serviceable",
        /// The billing service says no.
        PaymentDeclined "payment_declined",
        /// The billing service will not judge such a request.
        PaymentRefused "payment_refused",
        /// The billing service did not answer in time.
        PaymentUnavailable "payment_unavailable",
        /// No fleet gave it to a drone in time.
        NoDrone "no_drone",
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
        /// The drone flew to a hub or its base instead.
        Diverted "diverted",
        /// The drone had to come down.
        EmergencyLanded "emergency_landed",
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
        /// Somebody asked for it.
        Requested "requested",
        /// The drone was sent to a hub or its base.
        Diverted "diverted",
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
        /// A confirmation of a weaker kind than was asked for.
        ConfirmationTooWeak "confirmation_too_weak",
    }
}
