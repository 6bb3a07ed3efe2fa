//! Packages that come back, lives that go on after their end, and ends that are put right.

use super::*;

fn reopened(cause: ReopenCause) -> DeliveryEvent {
    let to = match cause {
        ReopenCause::PickedUp => ReopenedAs::InTransit,
        ReopenCause::DroneReturned | ReopenCause::Operator => ReopenedAs::Returning,
    };
    DeliveryEvent::Reopened {
        cause,
        to,
        reason: None,
    }
}

#[test]
fn a_drone_that_leaves_the_recipient_with_the_package_found_nobody() {
    let back = at_dropoff()
        .when(report(M1, 9, Reported::DepartedToReturn))
        .then_events([
            DeliveryEvent::AttemptFailed {
                mission: M1,
                reason: AttemptFailure::Undeliverable,
            },
            DeliveryEvent::ReturnStarted {
                mission: M1,
                reason: ReturnReason::Undeliverable,
            },
        ]);
    assert_eq!(back.state().unwrap().attempt(), 1);
    flown([assigned(), loaded(), Reported::DepartedToDropoff])
        .when(report(M1, 9, Reported::DepartedToReturn))
        .then_events([DeliveryEvent::ReturnStarted {
            mission: M1,
            reason: ReturnReason::DroneReturned,
        }]);
}

#[test]
fn what_nobody_took_is_tried_again_only_where_it_was_to_be_held() {
    for (on_undeliverable, again) in [
        (OnUndeliverable::Return, false),
        (OnUndeliverable::Hold, true),
    ] {
        let mut order = order();
        order.on_undeliverable = on_undeliverable;
        let at_hub = flown_as(
            order,
            [
                assigned(),
                loaded(),
                Reported::ArrivedAtDropoff(NEAR),
                Reported::DepartedToReturn,
                Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
            ],
        );
        assert_eq!(at_hub.state().unwrap().wants_another_attempt(), again);
    }
}

#[test]
fn whoever_wants_a_package_back_gets_it_while_a_drone_brings_it() {
    let request = DeliveryCommand::RequestReturn { now: at(9) };
    let turned = at_dropoff()
        .when(request.clone())
        .then_events([DeliveryEvent::ReturnStarted {
            mission: M1,
            reason: ReturnReason::Requested,
        }]);
    let back = turned.after(report(
        M1,
        10,
        Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
    ));
    assert!(!back.state().unwrap().wants_another_attempt());
    at_pickup().when(request.clone()).then_rejected(refusal(
        Status::AtPickup,
        "returned",
        "the drone has set out for the package; wait for the drone, cancel it, complete it, or hand it back",
    ));
    awaiting().when(request).then_rejected(refusal(
        Status::AtDropoff,
        "returned",
        "the package was let go; confirm it, complete it, or hand it back",
    ));
}

#[test]
fn a_late_release_beats_a_return_that_somebody_asked_for() {
    at_dropoff()
        .after(DeliveryCommand::RequestReturn { now: at(9) })
        .when(report(M1, 10, released_at(NEAR)))
        .then_events([complete(M1)]);
}

fn cancelled() -> Given<Delivery> {
    at_pickup()
        .after(cancel(at(5)))
        .after(report(M1, 6, ended(Ending::StoodDown)))
}

#[test]
fn a_package_that_is_taken_after_all_is_brought_back() {
    let asked_back = DeliveryEvent::ReturnStarted {
        mission: M1,
        reason: ReturnReason::Cancelled,
    };
    let back = cancelled().when(report(M1, 7, loaded())).then([
        now(reopened(ReopenCause::PickedUp), 7),
        Occurrence::inferred(asked_back, at(7)),
    ]);
    let delivery = back.state().unwrap();
    assert_eq!(delivery.status(), Status::Returning);
    assert_eq!(delivery.custody(), Custody::Drone);
    assert_eq!(delivery.attempt(), 1);
    assert!(delivery.is_to_turn_round());
    let turned = back
        .clone()
        .after(report(M1, 8, Reported::DepartedToReturn));
    assert!(!turned.state().unwrap().is_to_turn_round());
    let returned = back
        .when(report(M1, 8, Reported::Returned(ReturnedTo::Sender)))
        .then_events([DeliveryEvent::Returned { mission: M1 }]);
    assert_eq!(status(&returned), Status::Returned);
}

#[test]
fn what_another_mission_takes_after_a_cancellation_is_an_anomaly() {
    let loading = report(M2, 7, loaded());
    cancelled()
        .when(loading.clone())
        .then_events([anomaly(&loading, Anomaly::TwoDrones)]);
}

#[test]
fn a_drone_that_was_thought_lost_and_comes_back_brings_the_package() {
    let lost = || at_dropoff().after(report(M1, 9, ended(Ending::Lost)));
    lost()
        .when(report(M1, 20, Reported::Returned(ReturnedTo::Sender)))
        .then_events([
            reopened(ReopenCause::DroneReturned),
            DeliveryEvent::Returned { mission: M1 },
        ]);
    let place = HubPlace::Base;
    let at_hub = lost()
        .when(report(M1, 20, Reported::Returned(ReturnedTo::Hub(place))))
        .then_events([
            reopened(ReopenCause::DroneReturned),
            DeliveryEvent::ArrivedAtHub { mission: M1, place },
        ]);
    assert!(!at_hub.state().unwrap().action_required());
}

#[test]
fn given_a_package_that_was_given_up_at_its_hub_when_it_is_back_with_its_sender_then_it_is_returned()
 {
    let back = report(M1, 20, Reported::Returned(ReturnedTo::Sender));
    let given_up = || at_hub().after(give_up(12));
    let returned = given_up().when(back.clone()).then_events([
        DeliveryEvent::Reopened {
            cause: ReopenCause::DroneReturned,
            to: ReopenedAs::AtHub,
            reason: None,
        },
        DeliveryEvent::Returned { mission: M1 },
    ]);
    assert_eq!(status(&returned), Status::Returned);
    assert!(!returned.state().unwrap().action_required());
    returned.when(back).then_nothing();
    // That it lies there was known.
    let there = Reported::Returned(ReturnedTo::Hub(HubPlace::Hub));
    given_up().when(report(M1, 20, there)).then_nothing();
    given_up()
        .when(report(M2, 20, Reported::Returned(ReturnedTo::Sender)))
        .then_nothing();
}

#[test]
fn a_damaged_package_that_is_back_with_its_sender_stays_damaged_and_is_an_anomaly() {
    let back = report(M1, 20, Reported::Returned(ReturnedTo::Sender));
    let damaged = at_hub()
        .after(find_damaged(12))
        .when(back.clone())
        .then_events([anomaly(&back, Anomaly::ContradictsOutcome)]);
    assert_eq!(status(&damaged), Status::Failed);
}

#[test]
fn an_operator_lets_a_life_go_on_where_the_package_is() {
    for (to, goes_on) in [
        (ReopenedAs::InTransit, Status::InTransit),
        (ReopenedAs::Returning, Status::Returning),
        (ReopenedAs::AtHub, Status::AtHub),
    ] {
        for given in [
            cancelled(),
            at_dropoff().after(report(M1, 9, released_at(FAR))),
        ] {
            let reopened = given.after(reopen(to, 20));
            assert_eq!(status(&reopened), goes_on);
            let is_at_hub = to == ReopenedAs::AtHub;
            assert_eq!(!reopened.state().unwrap().action_required(), is_at_hub);
        }
    }
}

#[test]
fn what_arrived_or_never_left_is_not_reopened() {
    let complete = at_dropoff().after(report(M1, 9, released_at(NEAR)));
    let never_left = booked().after(cancel(at(5)));
    for (given, possible) in [
        (
            complete,
            "its life is over; correct what is said of it, or order a new one",
        ),
        (
            never_left,
            "its life is over; correct what is said of it, or order a new one",
        ),
    ] {
        let status = status(&given);
        given
            .when(reopen(ReopenedAs::AtHub, 20))
            .then_rejected(refusal(status, "reopened", possible));
    }
}

#[test]
fn a_life_goes_on_ten_times_at_most() {
    let often = (0..REOPENINGS_MAX).fold(cancelled(), |given, n| {
        let minute = 20 + i64::from(n);
        given
            .after(reopen(ReopenedAs::InTransit, minute))
            .after(report(M1, minute, ended(Ending::Lost)))
    });
    often
        .clone()
        .when(reopen(ReopenedAs::AtHub, 90))
        .then_rejected(DeliveryRejection::ReopenedTooOften);
    let back = report(M1, 91, Reported::Returned(ReturnedTo::Sender));
    often
        .when(back.clone())
        .then_events([anomaly(&back, Anomaly::ContradictsOutcome)]);
}

#[test]
fn an_operator_puts_right_what_is_said_of_an_end_and_the_end_stays() {
    let corrected = DeliveryEvent::Corrected {
        what: Correction::Place,
        was: None,
        now: words("in the shed"),
        reason: words("they rang"),
    };
    let put_right = at_dropoff()
        .after(report(M1, 9, released_at(NEAR)))
        .when(correct("in the shed", 20))
        .then([now(corrected, 20)]);
    assert_eq!(status(&put_right), Status::Complete);
    put_right
        .when(correct("in the shed", 21))
        .then_nothing()
        .when(correct("in the house", 22))
        .and();
    at_dropoff()
        .when(correct("in the shed", 20))
        .then_rejected(refusal(Status::AtDropoff, "corrected", "the package has left the sender; ask for its return, confirm it, complete it, or hand it back"));
}

#[test]
fn an_end_is_put_right_twenty_times_at_most() {
    let often = (0..CORRECTIONS_MAX).fold(cancelled(), |given, n| {
        given.after(correct(&format!("place {n}"), 20))
    });
    often
        .when(correct("another place", 21))
        .then_rejected(DeliveryRejection::CorrectedTooOften);
}
