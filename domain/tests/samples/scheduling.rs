//! Events of operations, and of what is asked of Drone Management.

use domain::delivery::{Confirmation, RejectReason, Size};
use domain::dispatch::{DispatchEvent, MissionRequest, StandDownReason};
use domain::geo::GeoPoint;
use domain::id::{DeliveryId, MissionId, Tag, UserId};
use domain::quantity::MassG;
use domain::scheduling::{Deferral, Effect, OperationEvent, OperationKind, OperationProblem, Step};
use domain::time::Window;
use uuid::Uuid;

const NAME: Uuid = Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55);
const DELIVERY: DeliveryId = DeliveryId::from_uuid(NAME);

fn time() -> domain::time::Timestamp {
    "2026-10-24T15:04:05.120Z".parse().unwrap()
}

pub(crate) fn operation() -> Vec<(&'static str, u16, OperationEvent)> {
    use OperationEvent as E;
    let authorization = || "auth-4711".parse().unwrap();
    let full = [
        E::OperationStarted {
            kind: OperationKind::Cancel,
            delivery: DELIVERY,
            user: UserId::from_uuid(NAME),
            sequence: 300,
        },
        E::StepPassed {
            step: Step::Serviceability,
        },
        E::StepFailed {
            step: Step::Payment,
            reason: RejectReason::PaymentDeclined,
        },
        E::EffectClaimed {
            effect: Effect::VoidPayment,
            attempt: 300,
            node: NAME,
            until: time(),
        },
        E::EffectDeferred {
            effect: Effect::VoidPayment,
            attempt: 300,
            why: Deferral::Unintelligible,
            retry_at: time(),
        },
        E::PaymentAuthorized {
            authorization: authorization(),
        },
        E::PaymentDenied {
            reason: RejectReason::PaymentRefused,
        },
        E::PaymentVoided {
            authorization: authorization(),
        },
        E::VoidRefused {
            authorization: authorization(),
        },
        E::PaymentLeftUnknown,
        E::FlightUnpaid,
        E::MissionAsked {
            mission: MissionId::from_uuid(NAME),
            epoch: 300,
            ask: 3,
            answer_by: time(),
        },
        E::PackageFreed,
        E::PackageKept,
        E::PackageShared {
            delivery: DELIVERY,
            with: DeliveryId::from_uuid(Uuid::from_u128(NAME.as_u128() + 1)),
        },
        E::DeadlineSet { at: Some(time()) },
        E::OperationSucceeded,
        E::OperationFailed {
            problem: OperationProblem::EndedOtherwise,
        },
        E::OperationCancelled,
        E::OperationTimedOut {
            problem: OperationProblem::PaymentUnavailable,
        },
        E::ProcessEnded,
        E::ProcessResumed,
    ];
    let full = full.into_iter().map(|event| ("full", 1, event));
    full.chain([("minimal", 1, E::DeadlineSet { at: None })])
        .collect()
}

pub(crate) fn dispatch() -> Vec<(&'static str, u16, DispatchEvent)> {
    vec![
        ("full", 1, requested(true)),
        ("minimal", 1, requested(false)),
        (
            "full",
            1,
            DispatchEvent::MissionRefused {
                detail: "Böen über 12 m/s".parse().ok(),
            },
        ),
        ("minimal", 1, DispatchEvent::MissionRefused { detail: None }),
        (
            "full",
            1,
            DispatchEvent::StandDownRequested {
                delivery: DELIVERY,
                reason: StandDownReason::TwoDrones,
            },
        ),
    ]
}

fn requested(is_full: bool) -> DispatchEvent {
    let later = "2026-10-24T16:04:05Z".parse().unwrap();
    DispatchEvent::MissionRequested(Box::new(MissionRequest {
        delivery: DELIVERY,
        epoch: 2,
        ask: 3,
        is_at_hub: is_full,
        pickup: GeoPoint::from_degrees(40.4587, -79.7824).unwrap(),
        dropoff: GeoPoint::from_degrees(-40.4612, 79.779).unwrap(),
        tag: Tag::new("QR-1").unwrap(),
        size: Size::Large,
        mass: MassG::new(450).unwrap(),
        window: is_full.then(|| Window::new(time(), later).unwrap()),
        deliver_by: is_full.then_some(later),
        confirmation: Confirmation::Signature,
        expedited: is_full,
    }))
}
