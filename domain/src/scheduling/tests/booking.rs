//! From the order to the booking that stands, or does not.

use uuid::Uuid;

use super::*;
use crate::delivery::Status;

fn statuses(world: &World) -> (Status, OperationStatus, Option<Step>) {
    let operation = world.operation.as_ref().unwrap();
    (world.status(), operation.status(), operation.step())
}

#[test]
fn given_nothing_outside_when_an_order_is_taken_then_the_booking_stands_at_once() {
    let mut world = World::new(SchedulingSettings::default());
    assert_eq!(
        statuses(&world),
        (Status::Pending, OperationStatus::Pending, None)
    );
    world.run();
    assert_eq!(
        statuses(&world),
        (
            Status::Scheduled,
            OperationStatus::Succeeded,
            Some(Step::Assignment)
        )
    );
    assert!(world.is_package_held);
    assert_eq!(world.asked.len(), 1, "Drone Management is asked at once");
}

#[test]
fn a_billing_service_that_is_away_keeps_the_booking_waiting_and_never_fails_it() {
    let mut world = World::new(with_billing());
    world.run();
    let mut waits = Vec::new();
    for bill in [
        Bill::Unavailable,
        Bill::Unreachable,
        Bill::Hangs,
        Bill::Unavailable,
        Bill::Unavailable,
    ] {
        let retry_at = world.bill(bill).unwrap();
        waits.push((retry_at.micros() - world.now.micros()) / 1_000_000);
        assert_eq!(
            statuses(&world),
            (
                Status::Pending,
                OperationStatus::Running,
                Some(Step::Payment)
            )
        );
        world.pass_to(retry_at);
    }
    assert_eq!(waits, [1, 2, 4, 8, 10]);
    world.bill(Bill::Answers);
    assert_eq!(world.status(), Status::Scheduled);
    assert_eq!(world.billing.requests, 1);
}

#[test]
fn nobody_else_acts_before_a_claim_is_over_and_then_the_same_is_asked_again() {
    let mut world = World::new(with_billing());
    let until = world.run().unwrap();
    assert_eq!(world.claimed, Some((Effect::AuthorizePayment, 1)));
    // Whoever claimed it is never heard of again.
    world.claimed = None;
    world.now = at(14);
    assert_eq!(world.run(), Some(until));
    assert_eq!(world.claimed, None);
    world.pass_to(until);
    assert_eq!(world.claimed, Some((Effect::AuthorizePayment, 2)));
}

#[test]
fn who_is_at_it_longer_says_so_again_and_nobody_else_acts_before_that_is_over_either() {
    let mut world = World::new(with_billing());
    let until = world.run().unwrap();
    let again = |until| OperationEvent::EffectClaimed {
        effect: Effect::AuthorizePayment,
        attempt: 1,
        node: Uuid::from_u128(1),
        until,
    };
    let longer = until.plus(DurationMs::from_seconds(5));
    world.write(again(longer));
    world.pass_to(until);
    assert_eq!(world.run(), Some(longer));
    assert_eq!(world.claimed, Some((Effect::AuthorizePayment, 1)));
    // It counts as one attempt, whatever came of it.
    world.bill(Bill::Answers);
    assert_eq!(world.status(), Status::Scheduled);
    assert_eq!(world.billing.requests, 1);
    // Said after the answer it claims what comes next: a look at the state keeps it from being said.
    assert_eq!(world.operation.as_ref().unwrap().claimed(), None);
}

#[test]
fn a_payment_that_is_declined_refuses_the_booking_and_undoes_what_was_done() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Declines);
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!(
        world.outcome(),
        Some(Outcome::Failed(OperationProblem::PaymentDeclined))
    );
    assert!(!world.is_package_held && world.has_ended());
}

#[test]
fn a_step_that_does_not_pass_refuses_the_booking() {
    for (step, reason) in [
        (Step::User, RejectReason::UserSuspended),
        (Step::User, RejectReason::Quota),
        (Step::Package, RejectReason::PackageUnavailable),
        (Step::Serviceability, RejectReason::NotServiceable),
    ] {
        let mut world = World::new(with_billing());
        world.faults.insert((step, reason));
        world.run();
        assert_eq!(world.status(), Status::Rejected, "{step}");
        let problem = OperationProblem::of_rejection(reason);
        assert_eq!(world.outcome(), Some(Outcome::Failed(problem)));
        assert!(!world.is_package_held && world.has_ended());
        assert_eq!(world.billing.requests, 0, "nobody was asked to pay");
    }
}

#[test]
fn a_booking_that_is_cancelled_while_the_payment_is_unknown_asks_again_and_takes_it_back() {
    let mut world = World::new(with_billing());
    world.run();
    let retry_at = world.bill(Bill::ActsUnheard).unwrap();
    assert!(world.cancel());
    world.pass_to(retry_at);
    assert_eq!(world.claimed, Some((Effect::AuthorizePayment, 2)));
    assert_eq!(
        world.outcome(),
        None,
        "it is not said to be undone before it is"
    );
    world.bill(Bill::Answers);
    assert_eq!(world.claimed, Some((Effect::VoidPayment, 3)));
    world.bill(Bill::Answers);
    assert!(world.billing.is_voided && world.has_ended());
    assert_eq!(world.outcome(), Some(Outcome::Cancelled));
}

#[test]
fn a_booking_that_is_cancelled_before_anybody_acted_takes_nothing_back() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Unreachable);
    assert!(world.cancel());
    world.run();
    assert!(world.has_ended() && world.claimed.is_none());
    assert_eq!(world.outcome(), Some(Outcome::Cancelled));
}

#[test]
fn an_answer_that_comes_after_all_was_undone_is_undone_again() {
    let mut world = World::new(with_billing());
    world.run();
    let claim_over = at(15);
    world.claimed = None;
    assert!(world.cancel());
    world.pass_to(claim_over);
    world.bill(Bill::Answers);
    world.bill(Bill::Answers);
    assert!(world.has_ended());
    // The first one, which everybody had given up, had got another authorization.
    world.write(OperationEvent::PaymentAuthorized {
        authorization: "auth-2".parse().unwrap(),
    });
    world.run();
    assert_eq!(
        world.claimed.map(|(effect, _)| effect),
        Some(Effect::VoidPayment)
    );
}

#[test]
fn a_billing_service_that_never_comes_back_ends_the_booking_after_a_day_or_with_its_window() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Unreachable);
    world.pass_to(at(86_400));
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!(
        world.outcome(),
        Some(Outcome::TimedOut(OperationProblem::PaymentUnavailable))
    );
    let mut order = crate::delivery::tests::order();
    order.plan.deliver_by = Some(at(100));
    let mut world = World::ordering(order, with_billing());
    world.run();
    world.bill(Bill::Unavailable);
    world.pass_to(at(100));
    assert_eq!(world.status(), Status::Rejected);
}

#[test]
fn no_deadline_is_over_before_what_came_meanwhile_is_heard() {
    let mut world = World::new(with_billing());
    world.run();
    world.bill(Bill::Unavailable);
    // As after a restart.
    world.deadlines_to = Some(Timestamp::MIN);
    world.pass_to(at(86_400));
    assert_eq!(world.status(), Status::Pending);
    world.bill(Bill::Answers);
    assert_eq!(world.status(), Status::Scheduled);
}
