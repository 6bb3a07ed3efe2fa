//! What is written down of operations.

use domain::decider::Occurrence;
use domain::delivery::RejectReason;
use domain::scheduling::{
    Authorization, Deferral, Effect, OperationEvent, OperationKind, OperationProblem, Step,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::{Service, operation_stream};
use crate::test_log::{Appending, at, delivery, mission, user};

/// What may be written down of an operation, as far as it matters when it is looked at.
pub(crate) fn operation_event() -> impl Strategy<Value = OperationEvent> {
    prop_oneof![
        2 => Just(OperationEvent::OperationStarted {
            kind: OperationKind::Schedule,
            delivery: delivery(7),
            user: user(1),
            sequence: 1,
        }),
        4 => option::of(0..50_i64)
            .prop_map(|second| OperationEvent::DeadlineSet { at: second.map(at) }),
        1 => Just(OperationEvent::OperationSucceeded),
        1 => Just(OperationEvent::ProcessEnded),
        1 => Just(OperationEvent::ProcessResumed),
        1 => Just(OperationEvent::PaymentAuthorized { authorization: authorization() }),
        1 => Just(OperationEvent::VoidRefused { authorization: authorization() }),
        1 => Just(OperationEvent::PaymentLeftUnknown),
        1 => Just(OperationEvent::FlightUnpaid),
        1 => Just(OperationEvent::PackageShared { delivery: delivery(7), with: delivery(8) }),
        1 => on_the_way(),
        1 => at_the_end(),
    ]
}

fn on_the_way() -> impl Strategy<Value = OperationEvent> {
    let (step, reason) = (Step::Payment, RejectReason::PaymentDeclined);
    let events = (0..50_i64).prop_map(move |second| {
        vec![
            OperationEvent::StepPassed { step },
            OperationEvent::StepFailed { step, reason },
            OperationEvent::EffectClaimed {
                effect: Effect::AuthorizePayment,
                attempt: 1,
                node: Uuid::nil(),
                until: at(second),
            },
            OperationEvent::PaymentDenied { reason },
            OperationEvent::PaymentVoided {
                authorization: authorization(),
            },
            OperationEvent::MissionAsked {
                mission: mission(1),
                epoch: 1,
                ask: 1,
                answer_by: at(second),
            },
        ]
    });
    events.prop_flat_map(select)
}

fn at_the_end() -> impl Strategy<Value = OperationEvent> {
    let problem = OperationProblem::NoDrone;
    select(vec![
        OperationEvent::PackageFreed,
        OperationEvent::PackageKept,
        OperationEvent::OperationFailed { problem },
        OperationEvent::OperationCancelled,
        OperationEvent::OperationTimedOut { problem },
    ])
}

/// What an operation does outside is put off so many times.
pub(crate) fn put_off(effect: Effect, times: u32) -> Vec<OperationEvent> {
    let events = (1..=times).map(|attempt| OperationEvent::EffectDeferred {
        effect,
        attempt,
        why: Deferral::Unavailable,
        retry_at: at(0),
    });
    events.collect()
}

fn authorization() -> Authorization {
    Authorization::new("auth-1").unwrap()
}

impl Service {
    pub(super) fn operate(&mut self, number: u128, events: Vec<OperationEvent>) {
        let now = self.log.clock();
        let occurrences = events.into_iter().map(|event| Occurrence::new(event, now));
        let part = Appending::new(operation_stream(number), None, occurrences);
        self.log.append(vec![part]);
    }
}
