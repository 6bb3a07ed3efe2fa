//! What is written down of an operation.

use crate::delivery::RejectReason;
use crate::id::{DeliveryId, MissionId, UserId};
use crate::text::Text;
use crate::time::Timestamp;
use uuid::Uuid;

/// The billing service's name of an authorization.
pub type Authorization = Text<128>;

/// An event on an operation's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationEvent {
    /// A client asked for something that goes on after the answer; always the stream's first event.
    OperationStarted {
        /// What for.
        kind: OperationKind,
        /// The delivery it is about.
        delivery: DeliveryId,
        /// Whose it is.
        user: UserId,
        /// The delivery's sequence when it was asked for.
        sequence: u64,
    },
    /// A step of the booking is in order.
    StepPassed {
        /// Which.
        step: Step,
    },
    /// A step of the booking came out badly: it is refused, and what was done is undone.
    StepFailed {
        /// Which.
        step: Step,
        /// Why.
        reason: RejectReason,
    },
    /// Somebody is about to do something outside; nobody else does it until then. Said again of
    /// the same attempt it lasts longer.
    EffectClaimed {
        /// What.
        effect: Effect,
        /// For the how-manieth time, from 1, whatever the effect.
        attempt: u32,
        /// Which running service.
        node: Uuid,
        /// From when on another may try: whoever is at it then would have said so again.
        until: Timestamp,
    },
    /// It could not be done now.
    EffectDeferred {
        /// What.
        effect: Effect,
        /// The attempt that was made.
        attempt: u32,
        /// Why.
        why: Deferral,
        /// When to try again.
        retry_at: Timestamp,
    },
    /// The billing service will pay.
    PaymentAuthorized {
        /// Its name of that.
        authorization: Authorization,
    },
    /// The billing service will not pay.
    PaymentDenied {
        /// `PaymentDeclined`; in old logs also `PaymentRefused`.
        reason: RejectReason,
    },
    /// The billing service took an authorization back.
    PaymentVoided {
        /// Which.
        authorization: Authorization,
    },
    /// The billing service does not take an authorization back: that is left to a person.
    VoidRefused {
        /// Which.
        authorization: Authorization,
    },
    /// Something may have been authorized, and the billing service refuses to say, or there is
    /// none any more: that is left to a person.
    PaymentLeftUnknown,
    /// The delivery's life goes on, and nothing is known to be authorized for it any more: that
    /// is left to a person.
    FlightUnpaid,
    /// Drone Management was asked to fly a mission.
    MissionAsked {
        /// Which.
        mission: MissionId,
        /// The how-manieth mission of the delivery it would be.
        epoch: u32,
        /// For the how-manieth time, from 1.
        ask: u8,
        /// From when on silence is an answer.
        answer_by: Timestamp,
    },
    /// The delivery's package may be in another delivery again.
    PackageFreed,
    /// The delivery's life goes on, and it has its package for itself again.
    PackageKept,
    /// The delivery's life goes on, and another one that is not over has its package, or one with
    /// the same tag, by now: that is left to a person.
    PackageShared {
        /// The delivery.
        delivery: DeliveryId,
        /// The other one.
        with: DeliveryId,
    },
    /// When the process is to be looked at again if nothing happens before.
    DeadlineSet {
        /// Then, or not at all.
        at: Option<Timestamp>,
    },
    /// What was asked for is so.
    OperationSucceeded,
    /// What was asked for will not be.
    OperationFailed {
        /// Why.
        problem: OperationProblem,
    },
    /// The delivery was cancelled before what was asked for came about.
    OperationCancelled,
    /// It was waited for long enough.
    OperationTimedOut {
        /// For what.
        problem: OperationProblem,
    },
    /// Nothing is left to be done.
    ProcessEnded,
    /// The delivery's life goes on after all, whether the process had ended by then or not: a drone
    /// is asked for anew.
    ProcessResumed,
}

/// What an event says about when its operation is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Same,
    /// Then, if nothing happens before; or only when something happens.
    Until(Option<Timestamp>),
    /// Never again.
    Ended,
    /// Again after all.
    Resumed,
}

impl OperationEvent {
    /// When the operation is to be looked at from then on.
    #[must_use]
    pub const fn turn(&self) -> Turn {
        match self {
            Self::EffectClaimed { until: at, .. }
            | Self::EffectDeferred { retry_at: at, .. }
            | Self::MissionAsked { answer_by: at, .. } => Turn::Until(Some(*at)),
            Self::DeadlineSet { at } => Turn::Until(*at),
            Self::ProcessEnded => Turn::Ended,
            // Also one that comes when all was undone: then that one is to be undone as well.
            Self::ProcessResumed | Self::PaymentAuthorized { .. } => Turn::Resumed,
            Self::OperationStarted { .. }
            | Self::StepPassed { .. }
            | Self::StepFailed { .. }
            | Self::PaymentDenied { .. }
            | Self::PaymentVoided { .. }
            | Self::VoidRefused { .. }
            | Self::PaymentLeftUnknown
            | Self::FlightUnpaid
            | Self::PackageFreed
            | Self::PackageKept
            | Self::PackageShared { .. }
            | Self::OperationSucceeded
            | Self::OperationFailed { .. }
            | Self::OperationCancelled
            | Self::OperationTimedOut { .. } => Turn::Same,
        }
    }
}

crate::delivery::words! {
    /// What an operation is for.
    OperationKind {
        /// To book a delivery, and to find it a drone.
        Schedule "schedule",
        /// To change when or where.
        Reschedule "reschedule",
        /// To cancel it.
        Cancel "cancel",
        /// To have the package brought back.
        Return "return",
    }
    /// The steps of a booking, in order.
    Step {
        /// The user may book.
        User "user",
        /// The package is in no other delivery.
        Package "package",
        /// It can be flown.
        Serviceability "serviceability",
        /// It will be paid.
        Payment "payment",
        /// Drone Management is asked.
        Dispatch "dispatch",
        /// A drone takes it.
        Assignment "assignment",
    }
    /// What is done outside.
    Effect {
        /// Have a payment authorized.
        AuthorizePayment "authorize_payment",
        /// Take the authorization back.
        VoidPayment "void_payment",
    }
    /// Why something outside could not be done now.
    Deferral {
        /// No connection came about: nothing was done.
        Unreachable "unreachable",
        /// It was said that the service cannot now. Something in front of it may have said so
        /// that gave up on the answer: it may have been done.
        Unavailable "unavailable",
        /// The service was asked too often, or something in front of it: it may have been done.
        Throttled "throttled",
        /// The answer was lost, came too late or is still to come: it may have been done.
        Unanswered "unanswered",
        /// The answer could not be understood: it may have been done.
        Unintelligible "unintelligible",
        /// The service called the request wrong: nothing was done by this attempt.
        Refused "refused",
    }
    /// Why what was asked for will not be.
    OperationProblem {
        /// The user may not book.
        UserSuspended "user_suspended",
        /// The user has as many deliveries as they may.
        Quota "quota",
        /// The package is in another delivery.
        PackageUnavailable "package_unavailable",
        /// It cannot be flown.
        NotServiceable "not_serviceable",
        /// It will not be paid.
        PaymentDeclined "payment_declined",
        /// The billing service did not understand the request.
        PaymentRefused "payment_refused",
        /// The billing service did not answer in time.
        PaymentUnavailable "payment_unavailable",
        /// No drone came.
        NoDrone "no_drone",
        /// The drone already had the package.
        AlreadyPickedUp "already_picked_up",
        /// The recipient already had the package.
        AlreadyDelivered "already_delivered",
        /// The delivery came to another end before.
        EndedOtherwise "ended_otherwise",
    }
}

impl OperationProblem {
    /// Why a booking fails whose delivery is rejected so.
    #[must_use]
    pub const fn of_rejection(reason: RejectReason) -> Self {
        match reason {
            RejectReason::UserSuspended => Self::UserSuspended,
            RejectReason::Quota => Self::Quota,
            RejectReason::PackageUnavailable => Self::PackageUnavailable,
            RejectReason::NotServiceable => Self::NotServiceable,
            RejectReason::PaymentDeclined => Self::PaymentDeclined,
            RejectReason::PaymentRefused => Self::PaymentRefused,
            RejectReason::PaymentUnavailable => Self::PaymentUnavailable,
            RejectReason::NoDrone => Self::NoDrone,
        }
    }
}
