//! A mission that goes well, and one of which not everything is heard.

use super::*;

#[test]
fn a_flight_goes_step_by_step_at_the_times_that_the_drone_tells() {
    let heading = DeliveryEvent::HeadedToPickup { mission: M1 };
    let there = DeliveryEvent::ArrivedAtPickup { mission: M1 };
    let flown = booked()
        .when(report(M1, 1, assigned()))
        .then([now(assignment(M1, 1), 1)])
        .when(report(M1, 2, Reported::DepartedToPickup))
        .then([now(heading, 2)])
        .when(report(M1, 3, Reported::ArrivedAtPickup))
        .then([now(there, 3)])
        .when(report(M1, 4, loaded()))
        .then([now(picked_up(M1), 4)])
        .when(report(M1, 5, Reported::DepartedToDropoff))
        .then([now(DeliveryEvent::InTransit { mission: M1 }, 5)])
        .when(report(M1, 6, Reported::ArrivedAtDropoff(NEAR)))
        .then([now(arrived_at_dropoff(M1, Some(3)), 6)])
        .when(report(M1, 7, released_at(NEAR)))
        .then([now(complete(M1), 7)])
        .when(report(M1, 8, Reported::DepartedToReturn))
        .then_nothing()
        .when(report(
            M1,
            9,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Base)),
        ))
        .then_nothing()
        .when(report(M1, 10, completed(Some(false))))
        .then_nothing();
    let delivery = flown.state().unwrap();
    assert_eq!(delivery.status(), Status::Complete);
    assert_eq!(delivery.custody(), Custody::Recipient);
    assert_eq!((delivery.attempt(), delivery.epoch()), (1, 1));
    let minutes: Vec<_> = delivery
        .milestones()
        .iter()
        .map(|reached| reached.at)
        .collect();
    assert_eq!(minutes, (1..=7).map(at).collect::<Vec<_>>());
}

#[test]
fn a_release_implies_all_the_steps_before_it() {
    flown([assigned()])
        .when(report(M1, 9, released_at(NEAR)))
        .then([
            implied(DeliveryEvent::HeadedToPickup { mission: M1 }, 9),
            implied(DeliveryEvent::ArrivedAtPickup { mission: M1 }, 9),
            implied(picked_up(M1), 9),
            implied(DeliveryEvent::InTransit { mission: M1 }, 9),
            implied(arrived_at_dropoff(M1, None), 9),
            now(complete(M1), 9),
        ]);
}

#[test]
fn every_step_implies_those_between_the_last_one_and_it() {
    at_pickup()
        .when(report(M1, 9, Reported::ArrivedAtDropoff(NEAR)))
        .then([
            implied(picked_up(M1), 9),
            implied(DeliveryEvent::InTransit { mission: M1 }, 9),
            now(arrived_at_dropoff(M1, Some(3)), 9),
        ]);
    flown([assigned()]).when(report(M1, 9, loaded())).then([
        implied(DeliveryEvent::HeadedToPickup { mission: M1 }, 9),
        implied(DeliveryEvent::ArrivedAtPickup { mission: M1 }, 9),
        now(picked_up(M1), 9),
    ]);
}

#[test]
fn an_arrival_without_a_position_is_believed() {
    flown([assigned(), loaded()])
        .when(report(M1, 9, Reported::ArrivedAtDropoff(Nearness::Unknown)))
        .then_events([
            DeliveryEvent::InTransit { mission: M1 },
            arrived_at_dropoff(M1, None),
        ]);
}

#[test]
fn an_arrival_elsewhere_is_an_anomaly_and_no_step() {
    let elsewhere = report(M1, 9, Reported::ArrivedAtDropoff(FAR));
    let told = flown([assigned(), loaded()])
        .when(elsewhere.clone())
        .then_events([anomaly(&elsewhere, Anomaly::OutsideDropoffRadius)]);
    assert_eq!(status(&told), Status::Loaded);
}

#[test]
fn a_release_elsewhere_fails_the_delivery() {
    let failed = at_dropoff()
        .when(report(M1, 9, released_at(FAR)))
        .then_events([DeliveryEvent::Failed {
            mission: M1,
            reason: Failure::Misdelivered,
        }]);
    assert_eq!(failed.state().unwrap().custody(), Custody::Unknown);
}

#[test]
fn a_release_elsewhere_implies_that_the_package_had_been_taken() {
    at_pickup().when(report(M1, 9, released_at(FAR))).then([
        implied(picked_up(M1), 9),
        now(
            DeliveryEvent::Failed {
                mission: M1,
                reason: Failure::Misdelivered,
            },
            9,
        ),
    ]);
}

#[test]
fn a_release_without_position_or_confirmation_completes_nothing() {
    let nowhere = report(M1, 9, released_at(Nearness::Unknown));
    at_dropoff()
        .when(nowhere.clone())
        .then_events([anomaly(&nowhere, Anomaly::ReleaseWithoutPosition)]);
    let unconfirmed = report(M1, 9, unconfirmed_at(NEAR));
    at_dropoff()
        .when(unconfirmed.clone())
        .then_events([anomaly(&unconfirmed, Anomaly::ReleaseNotConfirmed)]);
}

#[test]
fn a_drone_that_turns_round_brings_the_package_back_to_its_sender() {
    let back = flown([assigned(), loaded(), Reported::DepartedToDropoff])
        .when(report(M1, 9, Reported::DepartedToReturn))
        .then_events([DeliveryEvent::ReturnStarted {
            mission: M1,
            reason: ReturnReason::DroneReturned,
        }])
        .when(report(M1, 10, Reported::Returned(ReturnedTo::Sender)))
        .then_events([DeliveryEvent::Returned { mission: M1 }]);
    assert_eq!(back.state().unwrap().custody(), Custody::Sender);
}

#[test]
fn a_drone_that_is_back_with_the_package_had_turned_round() {
    at_dropoff()
        .when(report(M1, 9, Reported::Returned(ReturnedTo::Sender)))
        .then([
            implied(
                DeliveryEvent::ReturnStarted {
                    mission: M1,
                    reason: ReturnReason::DroneReturned,
                },
                9,
            ),
            now(DeliveryEvent::Returned { mission: M1 }, 9),
        ]);
}

#[test]
fn a_drone_without_the_package_may_go_where_it_likes() {
    for reported in [
        Reported::DepartedToReturn,
        Reported::Returned(ReturnedTo::Sender),
        Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
    ] {
        at_pickup().when(report(M1, 9, reported)).then_nothing();
    }
}

#[test]
fn from_a_hub_another_drone_may_bring_it() {
    let delivered = at_hub()
        .when(report(M2, 20, assigned()))
        .then_events([assignment(M2, 2)])
        .when(report(M2, 21, loaded()))
        .then_events([
            DeliveryEvent::HeadedToPickup { mission: M2 },
            DeliveryEvent::ArrivedAtPickup { mission: M2 },
            picked_up(M2),
        ]);
    let delivery = delivered.state().unwrap();
    assert_eq!((delivery.attempt(), delivery.epoch()), (2, 2));
    assert_eq!(delivery.custody(), Custody::Drone);
}

#[test]
fn from_a_hub_the_same_drone_may_bring_it_to_the_sender() {
    at_hub()
        .when(report(M1, 20, Reported::Returned(ReturnedTo::Sender)))
        .then_events([DeliveryEvent::Returned { mission: M1 }]);
}
