//! A booking that is refused, that no drone comes for, or that is late.

use super::*;

const REJECTED: DeliveryEvent = DeliveryEvent::Rejected {
    reason: RejectReason::NoDrone,
};

fn failed(reason: Failure) -> DeliveryEvent {
    DeliveryEvent::Failed {
        mission: M1,
        reason,
    }
}

#[test]
fn a_booking_that_no_drone_was_given_is_refused_and_the_sender_keeps_the_package() {
    let pending = given([]).after(create(order(), at(0)));
    for given in [pending, booked()] {
        let refused = given.when(reject(at(5))).then([now(REJECTED, 5)]);
        assert_eq!(status(&refused), Status::Rejected);
        assert_eq!(refused.state().unwrap().custody(), Custody::Sender);
        assert!(status(&refused).is_terminal());
        refused.when(reject(at(6))).then_nothing();
    }
}

#[test]
fn what_a_drone_once_had_is_not_refused_but_given_up() {
    let waits_again = || flown([assigned(), ended(Ending::Aborted)]);
    waits_again().when(reject(at(5))).then_rejected(refusal(
        Status::Scheduled,
        "rejected",
        "the sender has the package still; cancel it, reschedule it, or give it up",
    ));
    let given_up = waits_again()
        .when(give_up(5))
        .then_events([failed(Failure::NoDrone)]);
    assert_eq!(given_up.state().unwrap().custody(), Custody::Sender);
    given_up.when(give_up(6)).then_nothing();
}

#[test]
fn a_package_that_is_given_up_at_a_hub_lies_there() {
    let given_up = at_hub()
        .when(give_up(20))
        .then_events([failed(Failure::Undeliverable)]);
    assert_eq!(given_up.state().unwrap().custody(), Custody::Hub);
}

#[test]
fn what_no_drone_ever_had_is_not_given_up() {
    let rejected = Delivery::decide(&give_up(5), &booked().state());
    assert_eq!(
        rejected,
        Err(refusal(
            Status::Scheduled,
            "given up",
            "the sender has the package still; cancel it, or reschedule it"
        ))
    );
}

fn due_by(minute: i64) -> Order {
    let mut order = order();
    order.plan.deliver_by = Some(at(minute));
    order
}

const fn miss(now: Timestamp) -> DeliveryCommand {
    DeliveryCommand::MissDeadline { now }
}

#[test]
fn a_missed_deadline_is_noted_once_as_of_itself() {
    let deliver_by = at(30);
    let missed = booked_as(due_by(30))
        .when(miss(at(45)))
        .then([now(DeliveryEvent::DeadlineMissed { deliver_by }, 30)]);
    assert!(missed.state().unwrap().is_deadline_missed());
    missed.when(miss(at(50))).then_nothing();
}

#[test]
fn no_deadline_and_one_to_come_are_not_missed() {
    booked().when(miss(at(45))).then_nothing();
    booked_as(due_by(30)).when(miss(at(29))).then_nothing();
    booked_as(due_by(30))
        .after(cancel(at(20)))
        .when(miss(at(45)))
        .then_nothing();
}

#[test]
fn another_deadline_can_be_missed_again() {
    let later = booked_as(due_by(30))
        .after(miss(at(31)))
        .after(DeliveryCommand::Reschedule {
            plan: Box::new(due_by(60).plan),
            now: at(32),
        });
    assert!(!later.state().unwrap().is_deadline_missed());
    let deliver_by = at(60);
    later
        .when(miss(at(61)))
        .then_events([DeliveryEvent::DeadlineMissed { deliver_by }]);
}

/// A package that the first mission turned back with, for a reason that `turned` makes.
fn back_at_a_hub(order: Order, turned: impl IntoIterator<Item = Reported>) -> Delivery {
    let fetched = [assigned(), loaded()];
    let to = Reported::Returned(ReturnedTo::Hub(HubPlace::Hub));
    flown_as(order, fetched.into_iter().chain(turned).chain([to]))
        .state()
        .unwrap()
}

#[test]
fn a_package_at_a_hub_is_tried_again_where_what_turned_it_back_may_pass() {
    assert!(back_at_a_hub(order(), [Reported::DepartedToReturn]).wants_another_attempt());
    assert!(back_at_a_hub(order(), [ended(Ending::Aborted)]).wants_another_attempt());
    assert!(!booked().state().unwrap().wants_another_attempt());
}

#[test]
fn a_package_that_was_cancelled_is_not_tried_again() {
    let cancelled = flown([assigned()])
        .after(cancel(at(5)))
        .after(report(M1, 6, loaded()))
        .after(report(
            M1,
            7,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        ));
    assert_eq!(status(&cancelled), Status::AtHub);
    assert!(!cancelled.state().unwrap().wants_another_attempt());
}

#[test]
fn what_is_not_the_package_that_was_ordered_is_not_tried_again() {
    let wrong = flown([assigned(), Reported::DepartedToDropoff])
        .after(report(M1, 1, loaded_as(LoadVerdict::WrongPackage)))
        .after(report(
            M1,
            7,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        ));
    assert_eq!(status(&wrong), Status::AtHub);
    assert!(!wrong.state().unwrap().wants_another_attempt());
}

#[test]
fn three_attempts_are_enough() {
    let mut given = booked();
    for n in 1..=3_u8 {
        let minute = i64::from(n) * 10;
        let n = mission(u128::from(n));
        given = given
            .after(report(n, minute, assigned()))
            .after(report(n, minute + 1, loaded()))
            .after(report(n, minute + 2, Reported::DepartedToReturn))
            .after(report(
                n,
                minute + 3,
                Reported::Returned(ReturnedTo::Hub(HubPlace::Base)),
            ));
    }
    let delivery = given.state().unwrap();
    assert_eq!(delivery.attempt(), ATTEMPTS_MAX);
    assert!(!delivery.may_be_assigned_again());
    assert!(!delivery.wants_another_attempt());
}
