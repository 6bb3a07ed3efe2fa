//! The frozen payloads of operations' events.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{
    Authorization, Deferral, Effect, OperationEvent, OperationKind, OperationProblem, Step,
};
use crate::codec::{at, checked, first_schema, number_of, stored_events, word_of};
use crate::delivery::RejectReason;
use crate::id::{DeliveryId, MissionId, UserId};
use crate::time::Timestamp;

#[derive(Debug, Serialize, Deserialize)]
struct OperationStartedV1 {
    kind: u8,
    delivery: [u8; 16],
    user: [u8; 16],
    sequence: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct StepPassedV1 {
    step: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct StepFailedV1 {
    step: u8,
    reason: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct EffectClaimedV1 {
    effect: u8,
    attempt: u32,
    node: [u8; 16],
    until_us: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct EffectDeferredV1 {
    effect: u8,
    attempt: u32,
    why: u8,
    retry_at_us: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct PackageSharedV1 {
    delivery: [u8; 16],
    with: [u8; 16],
}

/// `PaymentAuthorized`, `PaymentVoided` and `VoidRefused`.
#[derive(Debug, Serialize, Deserialize)]
struct AuthorizationV1 {
    authorization: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct PaymentDeniedV1 {
    reason: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct MissionAskedV1 {
    mission: [u8; 16],
    epoch: u32,
    ask: u8,
    answer_by_us: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeadlineSetV1 {
    at_us: Option<i64>,
}

/// `OperationFailed` and `OperationTimedOut`.
#[derive(Debug, Serialize, Deserialize)]
struct ProblemV1 {
    problem: u8,
}

/// What says all by its type.
#[derive(Debug, Serialize, Deserialize)]
struct BareV1 {}

first_schema!(
    OperationStartedV1,
    StepPassedV1,
    StepFailedV1,
    EffectClaimedV1,
    EffectDeferredV1,
    PackageSharedV1,
    AuthorizationV1,
    PaymentDeniedV1,
    MissionAskedV1,
    DeadlineSetV1,
    ProblemV1,
    BareV1
);

stored_events!(OperationEvent {
    801 OperationStarted OperationStartedV1
    { Self::OperationStarted { kind, delivery, user, sequence } => OperationStartedV1 {
        kind: number_of(OperationKind::ALL, kind),
        delivery: delivery.uuid().into_bytes(),
        user: user.uuid().into_bytes(),
        sequence: *sequence,
    } }
    { stored => OperationEvent::OperationStarted {
        kind: word_of("kind", OperationKind::ALL, stored.kind)?,
        delivery: DeliveryId::from_uuid(Uuid::from_bytes(stored.delivery)),
        user: UserId::from_uuid(Uuid::from_bytes(stored.user)),
        sequence: stored.sequence,
    } }

    802 StepPassed StepPassedV1
    { Self::StepPassed { step } => StepPassedV1 { step: number_of(Step::ALL, step) } }
    { stored => OperationEvent::StepPassed { step: word_of("step", Step::ALL, stored.step)? } }

    803 StepFailed StepFailedV1
    { Self::StepFailed { step, reason } => StepFailedV1 {
        step: number_of(Step::ALL, step),
        reason: number_of(RejectReason::ALL, reason),
    } }
    { stored => OperationEvent::StepFailed {
        step: word_of("step", Step::ALL, stored.step)?,
        reason: word_of("reason", RejectReason::ALL, stored.reason)?,
    } }

    804 EffectClaimed EffectClaimedV1
    { Self::EffectClaimed { effect, attempt, node, until } => EffectClaimedV1 {
        effect: number_of(Effect::ALL, effect),
        attempt: *attempt,
        node: node.into_bytes(),
        until_us: until.micros(),
    } }
    { stored => OperationEvent::EffectClaimed {
        effect: word_of("effect", Effect::ALL, stored.effect)?,
        attempt: stored.attempt,
        node: Uuid::from_bytes(stored.node),
        until: at("until_us", stored.until_us)?,
    } }

    805 EffectDeferred EffectDeferredV1
    { Self::EffectDeferred { effect, attempt, why, retry_at } => EffectDeferredV1 {
        effect: number_of(Effect::ALL, effect),
        attempt: *attempt,
        why: number_of(Deferral::ALL, why),
        retry_at_us: retry_at.micros(),
    } }
    { stored => OperationEvent::EffectDeferred {
        effect: word_of("effect", Effect::ALL, stored.effect)?,
        attempt: stored.attempt,
        why: word_of("why", Deferral::ALL, stored.why)?,
        retry_at: at("retry_at_us", stored.retry_at_us)?,
    } }

    806 PaymentAuthorized AuthorizationV1
    { Self::PaymentAuthorized { authorization } => AuthorizationV1 {
        authorization: authorization.to_string(),
    } }
    { stored => OperationEvent::PaymentAuthorized {
        authorization: checked("authorization", Authorization::new(stored.authorization))?,
    } }

    807 PaymentDenied PaymentDeniedV1
    { Self::PaymentDenied { reason } => PaymentDeniedV1 {
        reason: number_of(RejectReason::ALL, reason),
    } }
    { stored => OperationEvent::PaymentDenied {
        reason: word_of("reason", RejectReason::ALL, stored.reason)?,
    } }

    808 PaymentVoided AuthorizationV1
    { Self::PaymentVoided { authorization } => AuthorizationV1 {
        authorization: authorization.to_string(),
    } }
    { stored => OperationEvent::PaymentVoided {
        authorization: checked("authorization", Authorization::new(stored.authorization))?,
    } }

    809 MissionAsked MissionAskedV1
    { Self::MissionAsked { mission, epoch, ask, answer_by } => MissionAskedV1 {
        mission: mission.uuid().into_bytes(),
        epoch: *epoch,
        ask: *ask,
        answer_by_us: answer_by.micros(),
    } }
    { stored => OperationEvent::MissionAsked {
        mission: MissionId::from_uuid(Uuid::from_bytes(stored.mission)),
        epoch: stored.epoch,
        ask: stored.ask,
        answer_by: at("answer_by_us", stored.answer_by_us)?,
    } }

    810 PackageFreed BareV1
    { Self::PackageFreed => BareV1 {} }
    { BareV1 {} => OperationEvent::PackageFreed }

    811 DeadlineSet DeadlineSetV1
    { Self::DeadlineSet { at } => DeadlineSetV1 { at_us: at.map(Timestamp::micros) } }
    { stored => OperationEvent::DeadlineSet {
        at: stored.at_us.map(|us| at("at_us", us)).transpose()?,
    } }

    812 OperationSucceeded BareV1
    { Self::OperationSucceeded => BareV1 {} }
    { BareV1 {} => OperationEvent::OperationSucceeded }

    813 OperationFailed ProblemV1
    { Self::OperationFailed { problem } => ProblemV1 {
        problem: number_of(OperationProblem::ALL, problem),
    } }
    { stored => OperationEvent::OperationFailed {
        problem: word_of("problem", OperationProblem::ALL, stored.problem)?,
    } }

    814 OperationCancelled BareV1
    { Self::OperationCancelled => BareV1 {} }
    { BareV1 {} => OperationEvent::OperationCancelled }

    815 OperationTimedOut ProblemV1
    { Self::OperationTimedOut { problem } => ProblemV1 {
        problem: number_of(OperationProblem::ALL, problem),
    } }
    { stored => OperationEvent::OperationTimedOut {
        problem: word_of("problem", OperationProblem::ALL, stored.problem)?,
    } }

    816 ProcessEnded BareV1
    { Self::ProcessEnded => BareV1 {} }
    { BareV1 {} => OperationEvent::ProcessEnded }

    817 ProcessResumed BareV1
    { Self::ProcessResumed => BareV1 {} }
    { BareV1 {} => OperationEvent::ProcessResumed }

    818 VoidRefused AuthorizationV1
    { Self::VoidRefused { authorization } => AuthorizationV1 {
        authorization: authorization.to_string(),
    } }
    { stored => OperationEvent::VoidRefused {
        authorization: checked("authorization", Authorization::new(stored.authorization))?,
    } }

    819 PaymentLeftUnknown BareV1
    { Self::PaymentLeftUnknown => BareV1 {} }
    { BareV1 {} => OperationEvent::PaymentLeftUnknown }

    820 FlightUnpaid BareV1
    { Self::FlightUnpaid => BareV1 {} }
    { BareV1 {} => OperationEvent::FlightUnpaid }

    821 PackageKept BareV1
    { Self::PackageKept => BareV1 {} }
    { BareV1 {} => OperationEvent::PackageKept }

    822 PackageShared PackageSharedV1
    { Self::PackageShared { delivery, with } => PackageSharedV1 {
        delivery: delivery.uuid().into_bytes(),
        with: with.uuid().into_bytes(),
    } }
    { stored => OperationEvent::PackageShared {
        delivery: DeliveryId::from_uuid(Uuid::from_bytes(stored.delivery)),
        with: DeliveryId::from_uuid(Uuid::from_bytes(stored.with)),
    } }
});
