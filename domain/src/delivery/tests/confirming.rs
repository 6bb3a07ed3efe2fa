//! Who took the package.

use super::*;

fn confirmed(kind: Confirmation) -> DeliveryEvent {
    let proof = proof();
    DeliveryEvent::Confirmed { kind, proof }
}

#[test]
fn a_release_waits_for_the_confirmation_that_was_asked_for() {
    let released = DeliveryEvent::Released {
        mission: M1,
        method: ReleaseMethod::Winch,
        evidence: None,
        distance: DistanceM::new(3),
    };
    let waits = DeliveryEvent::ConditionChanged {
        mission: M1,
        condition: Condition::Holding(HoldReason::AwaitingConfirmation),
    };
    let awaiting = flown_as(
        pin_order(),
        [assigned(), loaded(), Reported::ArrivedAtDropoff(NEAR)],
    )
    .when(report(M1, 4, released_at(NEAR)))
    .then_events([released, waits]);
    let delivery = awaiting.state().unwrap();
    assert_eq!(delivery.status(), Status::AtDropoff);
    assert_eq!(delivery.custody(), Custody::Unknown);
    assert_eq!(delivery.released_unconfirmed_since(), Some(at(4)));
    awaiting
        .when(confirm(Confirmation::Pin, 6))
        .then([now(confirmed(Confirmation::Pin), 6), now(complete(M1), 6)]);
}

#[test]
fn a_confirmation_may_come_before_the_release_too() {
    let arrived = || {
        flown_as(
            pin_order(),
            [assigned(), loaded(), Reported::ArrivedAtDropoff(NEAR)],
        )
    };
    let first = arrived()
        .when(confirm(Confirmation::Signature, 4))
        .then([now(confirmed(Confirmation::Signature), 4)]);
    first
        .when(report(M1, 6, released_at(NEAR)))
        .then([now(complete(M1), 6)]);
    // Whichever is heard of first: it is complete as of the later of both.
    arrived()
        .after(confirm(Confirmation::Pin, 8))
        .when(report(M1, 6, released_at(NEAR)))
        .then([now(complete(M1), 8)]);
}

#[test]
fn a_drone_that_saw_the_recipient_was_on_its_way_to_them() {
    flown_as(pin_order(), [assigned(), loaded()])
        .when(report(M1, 5, verified(Confirmation::Photo)))
        .then([
            implied(DeliveryEvent::InTransit { mission: M1 }, 5),
            now(confirmed(Confirmation::Photo), 5),
        ])
        .when(report(M1, 6, released_at(NEAR)))
        .then([
            implied(arrived_at_dropoff(M1, None), 6),
            now(complete(M1), 6),
        ]);
    awaiting()
        .when(report(M1, 9, verified(Confirmation::Pin)))
        .then([now(confirmed(Confirmation::Pin), 9), now(complete(M1), 9)]);
}

#[test]
fn a_weaker_proof_than_was_asked_for_confirms_nothing() {
    let mut order = order();
    order.confirmation = Confirmation::Photo;
    let arrived = flown_as(
        order,
        [assigned(), loaded(), Reported::ArrivedAtDropoff(NEAR)],
    );
    let rejected = DeliveryRejection::ConfirmationTooWeak {
        required: Confirmation::Photo,
    };
    arrived
        .clone()
        .when(confirm(Confirmation::TagScan, 5))
        .then_rejected(rejected);
    let weak = report(M1, 5, verified(Confirmation::TagScan));
    arrived
        .when(weak.clone())
        .then_events([anomaly(&weak, Anomaly::ConfirmationTooWeak)]);
}

#[test]
fn a_delivery_is_confirmed_once() {
    let once = at_dropoff().after(confirm(Confirmation::Pin, 9));
    once.clone()
        .when(confirm(Confirmation::Pin, 10))
        .then_nothing();
    once.clone()
        .when(report(M1, 10, verified(Confirmation::Photo)))
        .then_nothing();
    once.when(confirm(Confirmation::Photo, 10))
        .then_rejected(DeliveryRejection::ConfirmedOtherwise);
}

#[test]
fn a_confirmation_is_of_one_mission_and_not_of_the_next() {
    let next = at_dropoff()
        .after(confirm(Confirmation::Pin, 9))
        .after(report(M1, 10, ended(Ending::Aborted)))
        .after(report(
            M1,
            11,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        ))
        .after(report(M2, 12, assigned()));
    assert_eq!(next.state().unwrap().confirmed(), None);
}

#[test]
fn a_drone_that_flies_home_after_the_release_brings_nothing_back() {
    for reported in [
        Reported::DepartedToReturn,
        Reported::Returned(ReturnedTo::Hub(HubPlace::Base)),
        ended(Ending::Crashed),
        completed(Some(false)),
        completed(None),
        released_at(NEAR),
    ] {
        awaiting().when(report(M1, 9, reported)).then_nothing();
    }
}

#[test]
fn who_does_not_confirm_in_time_is_noted_once_and_wanted() {
    let overdue = DeliveryCommand::OverdueConfirmation { now: at(30) };
    let noted = awaiting()
        .when(overdue.clone())
        .then([now(DeliveryEvent::ConfirmationOverdue, 30)]);
    assert!(noted.state().unwrap().action_required());
    assert_eq!(noted.state().unwrap().released_unconfirmed_since(), None);
    let late = noted
        .when(confirm(Confirmation::Pin, 40))
        .then([now(confirmed(Confirmation::Pin), 40), now(complete(M1), 40)]);
    assert!(!late.state().unwrap().action_required());
    booked().when(overdue).then_nothing();
}

#[test]
fn an_operator_may_vouch_for_it_that_the_recipient_has_the_package() {
    let vouched = DeliveryEvent::Vouched {
        reason: words("they rang"),
    };
    awaiting()
        .when(vouch(40))
        .then([now(vouched.clone(), 40), now(complete(M1), 40)]);
    let unseen = DeliveryEvent::DeliveryComplete {
        mission: M1,
        method: None,
        evidence: Some(ReleaseEvidence::Manual),
        distance: None,
    };
    at_dropoff()
        .when(vouch(40))
        .then([now(vouched, 40), now(unseen, 40)]);
    at_hub().when(vouch(40)).then_rejected(refusal(
        Status::AtHub,
        "completed",
        "the package is at a hub; hand it back, or give it up",
    ));
}
