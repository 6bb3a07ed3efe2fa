//! Scheduling: what turns a client's request into a flying delivery, as a process on the log.
//!
//! ```text
//! booking:  user → package → serviceability → payment (where one is asked for) → Scheduled
//! a drone:  mission requested → assigned; refused or 60 s of silence: asked again, three times
//! undone:   Rejected, then mission stood down → package freed → payment voided
//! reopened: package kept again
//! ```
//! Each request that goes on after its answer is an *operation* with a stream of
//! its own. That of a booking lives as long as its delivery: it finds the delivery
//! a drone again when it loses one, and keeps its deadlines. The others, to
//! cancel, to change or to bring back, end when the delivery says how it came out.
//!
//! [`react`](Process::react) looks at what is so, the operation, its delivery and the mission it
//! asked for, and says what is next. So nothing has to be remembered between two looks, a look
//! too many changes nothing, and a restart is a look like any other. What is done outside is
//! *claimed* before: whoever wins the claim acts, and when nobody says what came of it in time,
//! the next one makes the same request again, under the same idempotency key.

mod event;
mod state;
mod react;
pub(crate) mod payload;
mod snapshot;

#[cfg(test)]
mod tests;

pub use event::{
    Authorization, Deferral, Effect, OperationEvent, OperationKind, OperationProblem, Step, Turn,
};
pub use state::{AUTHORIZATIONS_MAX, Operation, OperationStatus, Outcome};

use crate::codec::StoredEvent as _;
use crate::decider::Occurrence;
use crate::delivery::{Delivery, DeliveryCommand, DeliveryEvent, RejectReason};
use crate::dispatch::{Dispatch, StandDownReason};
use crate::id::{DeliveryId, MissionId, OperationId};
use crate::mission::Mission;
use crate::process::Process;
use crate::stream::derived;
use crate::time::{DurationMs, Timestamp};

/// How the process goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulingSettings {
    /// Whether a payment is to be authorized before a booking stands.
    pub has_billing: bool,
    /// How long before the pick-up window a drone is asked for.
    pub dispatch_lead: DurationMs,
    /// How long Drone Management's silence is no answer.
    pub answer_wait: DurationMs,
    /// How often a drone is asked for before it is said that none comes.
    pub asks_max: u8,
    /// How long the billing service may take to come back.
    pub payment_wait: DurationMs,
    /// How long a confirmation may come after we were told that the package was let go.
    pub confirmation_wait: DurationMs,
    /// How long after we were told that a mission ended with the package on board it may be told
    /// where that went.
    pub left_on_board_wait: DurationMs,
    /// How long a drone may be silent before its delivery says so.
    pub link_wait: DurationMs,
}

impl Default for SchedulingSettings {
    /// No billing; asked for 10 minutes before, three times, each after 60 s;
    /// a day for the billing service, 5 minutes for a confirmation, 2 for a package that was left
    /// on board, 30 s for a link.
    fn default() -> Self {
        Self {
            has_billing: false,
            dispatch_lead: DurationMs::from_seconds(600),
            answer_wait: DurationMs::from_seconds(60),
            asks_max: 3,
            payment_wait: DurationMs::from_seconds(86_400),
            confirmation_wait: DurationMs::from_seconds(300),
            left_on_board_wait: DurationMs::from_seconds(120),
            link_wait: DurationMs::from_seconds(30),
        }
    }
}

/// What is so outside of the operation, when it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The delivery.
    pub delivery: &'a Delivery,
    /// What became of the mission that was asked for last, if one was.
    pub asked: Option<&'a Dispatch>,
    /// The delivery's live mission, if it has one.
    pub live: Option<&'a Mission>,
    /// What was asked about that one, if anything.
    pub live_dispatch: Option<&'a Dispatch>,
    /// The other delivery that has the package, or one with the same tag, if one has. It matters
    /// only where [`Operation::has_freed_package`].
    pub package_holder: Option<DeliveryId>,
    /// The clock.
    pub now: Timestamp,
    /// Deadlines up to then are over. Behind the clock for a while after a
    /// start, so that what came in meanwhile is heard before it is too late.
    pub deadlines_to: Timestamp,
    /// How the process goes about it.
    pub settings: &'a SchedulingSettings,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look whether a step is in order, do what belongs to it, and write down how it came out.
    Check(Step),
    /// Write down that a step is in order.
    Pass(Step),
    /// Write down that a step came out badly.
    Fail(Step, RejectReason),
    /// Claim something outside; then do it, and write down what came of it.
    Claim {
        /// What.
        effect: Effect,
        /// For the how-manieth time.
        attempt: u32,
        /// When it is looked at again at the latest, where nobody may claim it.
        latest: Option<Timestamp>,
    },
    /// Let the delivery decide.
    Decide(DeliveryCommand),
    /// Ask Drone Management for a mission.
    Ask(Ask),
    /// Ask Drone Management to end a mission.
    StandDown(MissionId, StandDownReason),
    /// Write down that something is left to a person.
    Leave(Left),
    /// Let the package be in another delivery.
    FreePackage,
    /// Have the package for the delivery again, whatever was declared of it meanwhile.
    KeepPackage,
    /// Write down what came of the operation.
    Conclude(Outcome),
    /// Write down that nothing is left.
    End,
    /// Nothing, until something happens, or until then.
    Wait(Option<Timestamp>),
}

/// What is left to a person, since nothing helps that the process does itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// An authorization that the billing service does not take back.
    Authorization(Authorization),
    /// Whether something was authorized, which the billing service refuses to say, or of which
    /// none can be asked any more.
    UnknownPayment,
    /// A delivery that flies, and that nobody is known to pay for.
    UnpaidFlight,
    /// Two deliveries that are not over, and that have one package or packages of one tag.
    SharedPackage {
        /// The one whose life went on after its end.
        delivery: DeliveryId,
        /// The one that took the package meanwhile.
        with: DeliveryId,
    },
}

impl Left {
    /// What is written down of it.
    #[must_use]
    pub fn event(self) -> OperationEvent {
        match self {
            Self::Authorization(authorization) => OperationEvent::VoidRefused { authorization },
            Self::UnknownPayment => OperationEvent::PaymentLeftUnknown,
            Self::UnpaidFlight => OperationEvent::FlightUnpaid,
            Self::SharedPackage { delivery, with } => {
                OperationEvent::PackageShared { delivery, with }
            }
        }
    }
}

/// A mission to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which.
    pub mission: MissionId,
    /// The how-manieth of its delivery it would be.
    pub epoch: u32,
    /// For the how-manieth time.
    pub ask: u8,
    /// From when on silence is an answer.
    pub answer_by: Timestamp,
}

/// The scheduling process. Its state is an operation, once that was started.
#[derive(Clone, Copy, Debug)]
pub struct Scheduling;

impl Process for Scheduling {
    type State = Option<Operation>;
    type Event = OperationEvent;
    type Around<'a> = Around<'a>;
    type Next = Next;

    fn initial() -> Option<Operation> {
        None
    }

    fn evolve(
        state: Option<Operation>,
        occurrence: &Occurrence<OperationEvent>,
    ) -> Option<Operation> {
        Operation::after(state, occurrence)
    }

    fn react(state: &Option<Operation>, around: &Around<'_>) -> Next {
        let operation = state.as_ref();
        operation.map_or(Next::Wait(None), |operation| {
            react::react(operation, around)
        })
    }
}

impl OperationId {
    /// The operation that books a delivery.
    #[must_use]
    pub fn of_booking(delivery: DeliveryId) -> Self {
        Self::of(OperationKind::Schedule, delivery, 0)
    }

    /// The operation that changes a delivery for the how-manieth time, cancels it, or has it
    /// brought back; of the last two there is one.
    #[must_use]
    pub fn of(kind: OperationKind, delivery: DeliveryId, revision: u32) -> Self {
        let (delivery, revision) = (delivery.to_string(), revision.to_string());
        Self::from_uuid(derived(&["operation", kind.word(), &delivery, &revision]))
    }
}

/// The mission that is asked for a delivery as it is now, for the how-manieth time: the same whoever
/// asks, so that nobody asks for two, and another one in each of its lives, by each of its plans.
fn mission_id(id: DeliveryId, delivery: &Delivery, ask: u8) -> MissionId {
    let id = id.to_string();
    let (epoch, revision) = (delivery.epoch().saturating_add(1), delivery.revision());
    let numbers = [epoch, revision, delivery.reopenings().into(), ask.into()];
    let [epoch, revision, life, ask] = numbers.map(|number: u32| number.to_string());
    let parts = ["mission", &id, &epoch, &revision, &life, &ask];
    MissionId::from_uuid(derived(&parts))
}

/// How long to wait after so many attempts in a row came to nothing: a second,
/// doubled each time, up to ten.
#[must_use]
pub fn backoff(deferrals: u32) -> DurationMs {
    const FIRST_MS: u32 = 1_000;
    const MAX_MS: u32 = 10_000;
    let doubled = 2_u32.saturating_pow(deferrals.min(16));
    DurationMs::new(FIRST_MS.saturating_mul(doubled).min(MAX_MS))
}

/// The delivery's events after which the process may have something to do. The others only bring
/// a flight on.
const HEARD: [&str; 18] = [
    "Scheduled",
    "Rejected",
    "Rescheduled",
    "DroneAssigned",
    "DroneUnassigned",
    "DeliveryComplete",
    "ReturnStarted",
    "ArrivedAtHub",
    "Returned",
    "CancellationRequested",
    "CancellationRejected",
    "Cancelled",
    "Failed",
    "Confirmed",
    "ConditionChanged",
    "AnomalyRecorded",
    "Reopened",
    "Corrected",
];

/// Whether the process may have something to do after an event of a delivery of this type.
#[must_use]
pub fn hears(event_type: u16) -> bool {
    DeliveryEvent::TYPES
        .iter()
        .find(|known| known.number == event_type)
        .is_none_or(|known| HEARD.contains(&known.name))
}
