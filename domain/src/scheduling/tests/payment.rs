//! A payment that may have been authorized is never forgotten, and a flight that nobody pays for
//! is not either.

use super::*;
use crate::delivery::{Ending, Failure, LoadVerdict, Phase, Status};

/// A booking whose first attempt at the payment was done, and the answer lost.
fn unheard() -> World {
    let mut world = World::new(with_billing());
    world.run();
    world.bill_times(Bill::ActsUnheard, 1);
    world
}

/// A delivery that was paid, assigned and cancelled, and whose drone did not fetch it.
fn cancelled() -> (World, MissionId) {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Answers);
    let (mission, _) = world.asked.last().copied().unwrap();
    world.assign(mission);
    assert!(world.cancel());
    world.end_mission(mission, Ending::StoodDown);
    world.run();
    assert_eq!(world.status(), Status::Cancelled);
    assert_eq!(
        world.claimed.map(|(effect, _)| effect),
        Some(Effect::VoidPayment)
    );
    (world, mission)
}

#[test]
fn a_request_that_is_called_wrong_before_anything_can_have_been_done_refuses_the_booking_at_once() {
    for before in [None, Some(Bill::Unreachable)] {
        let mut world = World::new(with_billing());
        world.run();
        if let Some(before) = before {
            world.bill_times(before, 1);
        }
        world.bill(Bill::Refuses);
        let refused = Outcome::Failed(OperationProblem::PaymentRefused);
        assert_eq!(world.outcome(), Some(refused), "after {before:?}");
        assert!(world.has_ended() && !world.is_package_held);
        assert_eq!(world.left(), []);
    }
}

#[test]
fn a_request_that_is_called_wrong_after_one_that_may_have_been_done_refuses_the_booking_at_once_and_a_person_looks()
 {
    // What said 503 or 429 may have been in front of a service that did it.
    for before in [
        Bill::ActsUnheard,
        Bill::ActsUnavailable,
        Bill::Unavailable,
        Bill::Hangs,
    ] {
        let mut world = World::new(with_billing());
        world.run();
        world.bill_times(before, 3);
        world.bill(Bill::Refuses);
        let refused = Outcome::Failed(OperationProblem::PaymentRefused);
        assert_eq!(world.outcome(), Some(refused), "after {before:?}");
        assert_eq!(world.left(), [Left::UnknownPayment], "after {before:?}");
        assert!(world.has_ended() && !world.is_package_held);
    }
}

#[test]
fn what_may_have_been_authorized_by_somebody_who_is_gone_is_unknown_as_well() {
    let mut world = World::new(with_billing());
    let until = world.run().unwrap();
    world.claimed = None;
    world.pass_to(until);
    world.bill(Bill::Refuses);
    assert_eq!(world.left(), [Left::UnknownPayment]);
}

#[test]
fn what_may_have_been_authorized_behind_a_503_is_found_out_and_taken_back_when_it_is_cancelled() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill_times(Bill::ActsUnavailable, 1);
    assert!(world.cancel());
    world.run();
    world.bill_times(Bill::Unavailable, 100);
    // Neither is said to be undone before it is, nor does the package wait for that.
    assert_eq!((world.status(), world.outcome()), (Status::Cancelled, None));
    assert!(!world.is_package_held);
    world.bill(Bill::Answers);
    world.bill(Bill::Answers);
    assert_eq!(world.outcome(), Some(Outcome::Cancelled));
    assert!(world.billing.is_voided && world.has_ended());
}

#[test]
fn given_a_payment_to_be_undone_and_nobody_to_do_it_then_the_package_and_the_place_are_free_at_once()
 {
    // What was booked and is cancelled, and what the billing service did not answer in time.
    let (cancelled, _) = cancelled();
    let mut overdue = unheard();
    overdue.pass_to(at(86_400));
    overdue.bill_times(Bill::Hangs, 1);
    for mut world in [cancelled, overdue] {
        assert!(world.status().is_terminal() && !world.is_package_held);
        assert!(!world.has_ended());
        world.bill_times(Bill::Unreachable, 3);
        assert!(!world.has_ended());
    }
}

#[test]
fn a_payment_that_was_asked_for_is_waited_for_where_nobody_can_be_asked_any_more() {
    let mut world = unheard();
    world.settings.has_billing = false;
    world.claimed = None;
    // Whoever looks is told to claim it, and nobody may.
    world.now = at(60);
    for _ in 0..2 {
        let next = world.next();
        let asks = matches!(
            next,
            Next::Claim {
                effect: Effect::AuthorizePayment,
                ..
            }
        );
        assert!(asks, "{next:?}");
        assert_eq!(world.run(), Some(at(86_400)), "when it is over");
    }
    assert_eq!(world.status(), Status::Pending);
    world.settings.has_billing = true;
    world.run();
    world.bill(Bill::Answers);
    assert_eq!(world.status(), Status::Scheduled);
    assert_eq!(world.billing.requests, 2);
}

#[test]
fn a_payment_that_nobody_can_be_asked_for_any_more_is_over_in_time_and_what_may_be_charged_is_left_to_a_person()
 {
    let mut away = World::new(with_billing());
    away.run();
    away.bill(Bill::Unreachable);
    // Whoever asked was stopped before the answer.
    let mut gone = World::new(with_billing());
    gone.run();
    let unknown = || vec![Left::UnknownPayment];
    for (mut world, left) in [(away, vec![]), (unheard(), unknown()), (gone, unknown())] {
        world.settings.has_billing = false;
        world.claimed = None;
        world.pass_to(at(86_399));
        assert_eq!(world.run(), Some(at(86_400)));
        assert_eq!((world.status(), world.outcome()), (Status::Pending, None));
        world.pass_to(at(86_400));
        world.run();
        let unavailable = Outcome::TimedOut(OperationProblem::PaymentUnavailable);
        assert_eq!(world.outcome(), Some(unavailable));
        assert!(world.has_ended() && !world.is_package_held);
        assert_eq!(world.left(), left);
    }
}

#[test]
fn a_booking_that_is_cancelled_where_nobody_can_be_asked_any_more_is_over_in_time_as_well() {
    let mut world = unheard();
    world.settings.has_billing = false;
    world.claimed = None;
    assert!(world.cancel());
    world.pass_to(at(60));
    assert_eq!(world.run(), Some(at(86_400)));
    assert_eq!((world.status(), world.outcome()), (Status::Cancelled, None));
    assert!(!world.is_package_held);
    world.pass_to(at(86_400));
    world.run();
    assert_eq!(world.outcome(), Some(Outcome::Cancelled));
    assert_eq!(world.left(), [Left::UnknownPayment]);
}

#[test]
fn a_refusal_that_comes_after_another_attempt_was_claimed_says_nothing_about_that() {
    let mut world = unheard();
    let (claimed, next) = (world.claimed, world.next());
    world.write(OperationEvent::EffectDeferred {
        effect: Effect::AuthorizePayment,
        attempt: 1,
        why: Deferral::Refused,
        retry_at: world.now,
    });
    assert_eq!((world.claimed, world.next()), (claimed, next));
}

#[test]
fn given_a_refusal_after_the_deadline_then_what_may_have_been_authorized_is_left_to_a_person_once()
{
    let mut world = unheard();
    world.pass_to(at(86_400));
    // Time alone is no reason: a service that is away comes back.
    world.bill_times(Bill::Unavailable, 100);
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!((world.left(), world.outcome()), (vec![], None));

    world.bill(Bill::Refuses);
    assert_eq!(world.left(), [Left::UnknownPayment]);
    let timed_out = Outcome::TimedOut(OperationProblem::PaymentUnavailable);
    assert_eq!(world.outcome(), Some(timed_out));
    assert!(world.has_ended() && !world.is_package_held);
}

#[test]
fn an_answer_that_comes_after_a_payment_was_left_unknown_is_taken_back() {
    let mut world = unheard();
    world.bill(Bill::Refuses);
    assert!(world.has_ended(), "{:#?}", world.written);
    let authorization = "auth-1".parse().unwrap();
    world.write(OperationEvent::PaymentAuthorized { authorization });
    world.run();
    world.bill(Bill::Answers);
    assert!(world.billing.is_voided && world.has_ended());
}

#[test]
fn an_authorization_that_is_refused_to_be_taken_back_is_left_to_a_person_at_once() {
    let (mut world, _) = cancelled();
    world.bill_times(Bill::Unavailable, 20);
    assert_eq!(world.left(), []);
    world.bill(Bill::Refuses);
    let authorization = "auth-1".parse().unwrap();
    assert_eq!(world.left(), [Left::Authorization(authorization)]);
    assert!(world.has_ended() && !world.is_package_held);
}

#[test]
fn of_two_authorizations_each_is_taken_back_or_left_to_a_person() {
    let (mut world, _) = cancelled();
    let authorization: Authorization = "auth-2".parse().unwrap();
    world.write(OperationEvent::PaymentAuthorized {
        authorization: authorization.clone(),
    });
    world.run();
    let to_void = |world: &World| {
        let operation = world.operation.as_ref().unwrap();
        operation.authorization_to_void().cloned()
    };
    assert_eq!(to_void(&world), Some(authorization.clone()));
    world.bill(Bill::Refuses);
    assert_eq!(world.left(), [Left::Authorization(authorization)]);
    // The refusal of the one is not the other's.
    assert_eq!(to_void(&world), "auth-1".parse().ok());
    world.bill(Bill::Answers);
    assert!(world.billing.is_voided && world.has_ended());
}

#[test]
fn a_delivery_that_flies_after_its_payment_was_taken_back_is_left_to_a_person_once() {
    let (mut world, mission) = cancelled();
    world.bill(Bill::Answers);
    assert!(world.has_ended());
    world.load(mission);
    world.run();
    assert_eq!(world.status(), Status::Returning);
    assert_eq!(world.left(), [Left::UnpaidFlight]);
    let back = crate::delivery::ReturnedTo::Sender;
    world.report(mission, crate::delivery::Reported::Returned(back));
    world.run();
    assert!(world.has_ended());
    assert_eq!(world.left(), [Left::UnpaidFlight]);
}

#[test]
fn a_delivery_that_flies_before_its_payment_was_taken_back_keeps_it_unless_nobody_knows() {
    // Whoever was told to take it back by hand may have done so.
    let by_hand = Left::Authorization("auth-1".parse().unwrap());
    for (before, left) in [
        (Bill::Unreachable, vec![]),
        (Bill::Refuses, vec![by_hand, Left::UnpaidFlight]),
        (Bill::ActsUnheard, vec![Left::UnpaidFlight]),
        (Bill::ActsUnavailable, vec![Left::UnpaidFlight]),
        (Bill::Hangs, vec![Left::UnpaidFlight]),
    ] {
        let (mut world, mission) = cancelled();
        world.bill(before);
        world.load(mission);
        world.run();
        assert_eq!(world.status(), Status::Returning);
        assert_eq!((world.claimed, world.left()), (None, left), "{before:?}");
    }
    // Whoever was at it answers when the package is in the air.
    let (mut world, mission) = cancelled();
    world.load(mission);
    world.run();
    assert_eq!(world.left(), []);
    let mut gone = world.clone();
    world.bill(Bill::Answers);
    assert_eq!(world.left(), [Left::UnpaidFlight]);
    // Or is never heard of again.
    gone.claimed = None;
    gone.pass_to(at(15));
    assert_eq!(gone.left(), [Left::UnpaidFlight]);
}

#[test]
fn a_delivery_whose_life_is_over_while_somebody_takes_back_its_payment_waits_for_what_comes_of_it()
{
    let ends = [
        crate::delivery::Reported::Returned(crate::delivery::ReturnedTo::Sender),
        crate::delivery::Reported::Ended {
            how: crate::delivery::Ending::Lost,
            detail: None,
        },
    ];
    for end in ends {
        let (mut world, mission) = cancelled();
        world.load(mission);
        world.run();
        world.report(mission, end.clone());
        world.run();
        assert!(!world.has_ended(), "{end:?}");
        let mut voided = world.clone();
        voided.bill(Bill::ActsUnheard);
        assert_eq!(voided.left(), [Left::UnpaidFlight], "{end:?}");
        assert!(voided.has_ended());
        world.bill(Bill::Unreachable);
        assert_eq!(world.left(), [], "{end:?}");
        assert!(world.has_ended() && !world.billing.is_voided);
    }
}

#[test]
fn a_booking_that_finds_no_other_drone_after_the_wrong_package_was_loaded_is_paid_by_nobody() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Answers);
    let (mission, _) = world.asked[0];
    world.assign(mission);
    world.load_as(mission, LoadVerdict::WrongPackage);
    while world.claimed.is_none() {
        let until = world.run().unwrap();
        world.pass_to(until);
    }
    let delivery = world.delivery.as_ref().unwrap();
    let no_drone = Phase::Failed(Failure::NoDrone);
    assert_eq!((delivery.phase(), delivery.attempt()), (no_drone, 1));
    world.bill(Bill::Answers);
    assert!(world.has_ended() && world.billing.is_voided);
    assert_eq!(world.left(), [], "nobody flew unpaid");
}
