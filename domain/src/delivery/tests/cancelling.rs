//! Cancelling, in time and too late.

use super::*;

fn keep_going() -> Order {
    Order {
        on_cancel_after_pickup: OnCancelAfterPickup::Continue,
        ..order()
    }
}

const TURNED: DeliveryEvent = DeliveryEvent::ReturnStarted {
    mission: M1,
    reason: ReturnReason::Cancelled,
};

#[test]
fn without_a_drone_it_is_cancelled_at_once() {
    for given in [
        given::<Delivery>([]).after(create(order(), at(0))),
        booked(),
        flown([assigned(), ended(Ending::Aborted)]),
    ] {
        let cancelled = given
            .when(cancel(at(9)))
            .then_events([REQUESTED, DeliveryEvent::Cancelled]);
        assert_eq!(status(&cancelled), Status::Cancelled);
        cancelled.when(cancel(at(10))).then_nothing();
    }
}

#[test]
fn with_a_drone_on_its_way_it_waits_for_the_stand_down() {
    for given in [
        flown([assigned()]),
        flown([assigned(), Reported::DepartedToPickup]),
        at_pickup(),
    ] {
        let waiting = given.when(cancel(at(9))).then_events([REQUESTED]);
        assert_eq!(status(&waiting), Status::Cancelling);
        waiting.clone().when(cancel(at(10))).then_nothing();
        for how in Ending::ALL {
            waiting
                .clone()
                .when(report(M1, 11, ended(how)))
                .then_events([DeliveryEvent::Cancelled]);
        }
        for payload_on_board in [None, Some(false)] {
            waiting
                .clone()
                .when(report(M1, 11, completed(payload_on_board)))
                .then_events([DeliveryEvent::Cancelled]);
        }
    }
}

#[test]
fn a_mission_that_ends_with_a_package_is_not_yet_cancelled() {
    let over = report(M1, 11, completed(Some(true)));
    at_pickup()
        .after(cancel(at(9)))
        .when(over.clone())
        .then_events([anomaly(&over, Anomaly::EndedWithPackage)]);
}

#[test]
fn while_cancelling_the_drone_is_still_followed() {
    let followed = flown([assigned()])
        .after(cancel(at(9)))
        .when(report(M1, 10, Reported::ArrivedAtPickup))
        .then([
            implied(DeliveryEvent::HeadedToPickup { mission: M1 }, 10),
            now(DeliveryEvent::ArrivedAtPickup { mission: M1 }, 10),
        ]);
    assert_eq!(
        followed.state().unwrap().phase(),
        Phase::Cancelling {
            stage: FetchStage::AtPickup
        }
    );
}

#[test]
fn once_picked_up_a_cancellation_is_refused_and_the_package_comes_back() {
    let back = at_pickup()
        .after(cancel(at(9)))
        .when(report(M1, 10, loaded()))
        .then_events([TOO_LATE, picked_up(M1), TURNED]);
    assert_eq!(status(&back), Status::Returning);
}

#[test]
fn once_picked_up_the_delivery_goes_on_if_the_customer_wants_it_so() {
    let goes_on = flown_as(keep_going(), [assigned()])
        .after(cancel(at(9)))
        .when(report(M1, 10, loaded()))
        .then_events([
            TOO_LATE,
            DeliveryEvent::HeadedToPickup { mission: M1 },
            DeliveryEvent::ArrivedAtPickup { mission: M1 },
            picked_up(M1),
        ]);
    assert_eq!(status(&goes_on), Status::Loaded);
}

#[test]
fn a_departure_with_the_package_refuses_a_cancellation_too() {
    at_pickup()
        .after(cancel(at(9)))
        .when(report(M1, 10, Reported::DepartedToDropoff))
        .then_events([
            TOO_LATE,
            picked_up(M1),
            DeliveryEvent::InTransit { mission: M1 },
            TURNED,
        ]);
}

#[test]
fn what_was_handed_over_while_being_cancelled_is_complete() {
    at_pickup()
        .after(cancel(at(9)))
        .when(report(M1, 10, released_at(NEAR)))
        .then_events([
            TOO_LATE,
            picked_up(M1),
            DeliveryEvent::InTransit { mission: M1 },
            arrived_at_dropoff(M1, None),
            complete(M1),
        ]);
}

#[test]
fn a_wrong_package_taken_while_being_cancelled_is_an_attempt_and_no_more() {
    let told = at_pickup()
        .after(cancel(at(9)))
        .when(report(M1, 10, loaded_as(LoadVerdict::WrongPackage)))
        .then_events([DeliveryEvent::AttemptFailed {
            mission: M1,
            reason: AttemptFailure::WrongPackage,
        }]);
    assert_eq!(status(&told), Status::Cancelling);
    assert_eq!(told.state().unwrap().attempt(), 1);
}

#[test]
fn a_drone_that_turns_back_empty_has_not_been_stood_down_yet() {
    for reported in [
        Reported::DepartedToReturn,
        Reported::Returned(ReturnedTo::Hub(HubPlace::Base)),
    ] {
        at_pickup()
            .after(cancel(at(9)))
            .when(report(M1, 10, reported))
            .then_nothing();
    }
}

#[test]
fn nothing_is_cancelled_once_it_left_the_sender() {
    let refused = |given: Given<Delivery>, possible| {
        let status = status(&given);
        given
            .when(cancel(at(30)))
            .then_rejected(refusal(status, "cancelled", possible));
    };
    refused(
        flown([assigned(), loaded()]),
        "the package has left the sender; ask for its return, complete it, or hand it back",
    );
    refused(
        at_hub(),
        "the package is at a hub; hand it back, or give it up",
    );
    refused(
        at_hub().after(report(M2, 20, assigned())),
        "a drone is to fetch the package from a hub; wait for the drone, complete it, hand it back, or give it up",
    );
    refused(
        at_dropoff().after(report(M1, 9, Reported::DepartedToReturn)),
        "the package is on its way back; wait for it, complete it, or hand it back",
    );
    let correct = "its life is over; correct what is said of it, or order a new one";
    let reopen = "its life is over; reopen it, or correct what is said of it";
    for (ending, possible) in [
        (released_at(NEAR), correct),
        (released_at(FAR), reopen),
        (Reported::Returned(ReturnedTo::Sender), correct),
    ] {
        refused(at_dropoff().after(report(M1, 9, ending)), possible);
    }
}
