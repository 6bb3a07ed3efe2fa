//! Missions that end early, wrong packages, drones too many.

use super::*;

#[test]
fn a_mission_that_ends_before_the_pickup_leaves_the_delivery_to_another() {
    let endings = [
        (Ending::Rejected, UnassignReason::Rejected),
        (Ending::Aborted, UnassignReason::Aborted),
        (Ending::StoodDown, UnassignReason::StoodDown),
        (Ending::Crashed, UnassignReason::Crashed),
        (Ending::Lost, UnassignReason::Lost),
    ];
    for (how, reason) in endings {
        let waiting = at_pickup()
            .when(report(M1, 9, ended(how)))
            .then_events([unassigned(M1, reason)]);
        let delivery = waiting.state().unwrap();
        assert_eq!(delivery.status(), Status::Scheduled);
        assert_eq!(delivery.attempt(), 0, "nothing was tried");
        waiting
            .when(report(M2, 10, assigned()))
            .then_events([assignment(M2, 2)]);
    }
}

#[test]
fn a_mission_that_ends_on_the_way_from_a_hub_leaves_the_package_there() {
    let waiting = at_hub()
        .after(report(M2, 20, assigned()))
        .when(report(M2, 21, ended(Ending::Aborted)))
        .then_events([unassigned(M2, UnassignReason::Aborted)]);
    assert_eq!(status(&waiting), Status::AtHub);
}

#[test]
fn a_mission_that_is_refused_before_it_was_taken_concerns_the_delivery_not() {
    booked()
        .when(report(M1, 1, ended(Ending::Rejected)))
        .then_nothing();
}

#[test]
fn a_mission_broken_off_with_the_package_brings_it_back() {
    for how in [Ending::Rejected, Ending::Aborted, Ending::StoodDown] {
        let back = at_dropoff().when(report(M1, 9, ended(how))).then_events([
            DeliveryEvent::ReturnStarted {
                mission: M1,
                reason: ReturnReason::MissionAborted,
            },
        ]);
        assert_eq!(status(&back), Status::Returning);
    }
}

#[test]
fn a_drone_lost_with_the_package_fails_the_delivery() {
    for how in [Ending::Crashed, Ending::Lost] {
        for given in [
            at_dropoff(),
            at_dropoff().after(report(M1, 8, Reported::DepartedToReturn)),
        ] {
            given
                .when(report(M1, 9, ended(how)))
                .then_events([DeliveryEvent::Failed {
                    mission: M1,
                    reason: Failure::DroneLost,
                }]);
        }
    }
}

#[test]
fn a_wrong_or_heavy_package_is_a_failed_attempt() {
    for (verdict, reason) in [
        (LoadVerdict::WrongPackage, AttemptFailure::WrongPackage),
        (LoadVerdict::Overweight, AttemptFailure::Overweight),
    ] {
        let failed = at_pickup()
            .when(report(M1, 9, loaded_as(verdict)))
            .then_events([
                DeliveryEvent::AttemptFailed {
                    mission: M1,
                    reason,
                },
                unassigned(M1, UnassignReason::AttemptFailed),
            ]);
        let delivery = failed.state().unwrap();
        assert_eq!(delivery.status(), Status::Scheduled);
        assert_eq!(delivery.attempt(), 1);
    }
}

#[test]
fn after_three_attempts_no_drone_is_taken_any_more() {
    let tried = (1..=3).fold(booked(), |given, n| {
        let minute = i64::try_from(n).unwrap() * 10;
        given
            .after(report(mission(n), minute, assigned()))
            .after(report(
                mission(n),
                minute + 1,
                loaded_as(LoadVerdict::Overweight),
            ))
    });
    assert_eq!(tried.state().unwrap().attempt(), ATTEMPTS_MAX);
    let fourth = report(mission(4), 40, assigned());
    tried
        .when(fourth.clone())
        .then_events([anomaly(&fourth, Anomaly::NoAttemptsLeft)]);
}

#[test]
fn missions_are_bounded_even_if_none_is_an_attempt() {
    let tried = (1..=u128::from(MISSIONS_MAX)).fold(booked(), |given, n| {
        given.after(report(mission(n), 1, assigned())).after(report(
            mission(n),
            2,
            ended(Ending::Aborted),
        ))
    });
    let another = report(mission(1_000), 3, assigned());
    tried
        .when(another.clone())
        .then_events([anomaly(&another, Anomaly::NoAttemptsLeft)]);
}

#[test]
fn a_mission_that_is_over_before_the_pickup_was_in_vain() {
    for payload_on_board in [None, Some(false)] {
        at_pickup()
            .when(report(M1, 9, completed(payload_on_board)))
            .then_events([unassigned(M1, UnassignReason::MissionEnded)]);
    }
}

#[test]
fn a_mission_that_is_over_with_the_package_is_an_anomaly() {
    for (given, payload_on_board) in [
        (at_dropoff(), None),
        (at_dropoff(), Some(false)),
        (at_dropoff(), Some(true)),
        (at_pickup(), Some(true)),
    ] {
        let before = status(&given);
        let over = report(M1, 9, completed(payload_on_board));
        let told = given
            .when(over.clone())
            .then_events([anomaly(&over, Anomaly::EndedWithPackage)]);
        assert_eq!(status(&told), before);
    }
}

#[test]
fn a_mission_is_assigned_once() {
    for given in [
        flown([assigned()]),
        at_dropoff(),
        flown([assigned(), ended(Ending::Aborted)]),
        flown([assigned(), ended(Ending::Aborted)]).after(report(M2, 5, assigned())),
    ] {
        given.when(report(M1, 9, assigned())).then_nothing();
    }
}

#[test]
fn a_mission_that_another_drone_claims_is_an_anomaly() {
    let claimed = report(M1, 9, assigned_to("M100-08"));
    at_pickup()
        .when(claimed.clone())
        .then_events([anomaly(&claimed, Anomaly::ForeignDrone)]);
}

#[test]
fn a_second_mission_beside_a_live_one_is_an_anomaly() {
    for given in [
        flown([assigned()]),
        at_dropoff(),
        at_dropoff().after(report(M1, 8, Reported::DepartedToReturn)),
        at_pickup().after(cancel(at(8))),
        at_dropoff().after(report(M1, 8, released_at(NEAR))),
        given::<Delivery>([]).after(create(order(), at(0))),
    ] {
        let second = report(M2, 9, assigned());
        given
            .when(second.clone())
            .then_events([anomaly(&second, Anomaly::WrongStatus)]);
    }
}

#[test]
fn a_mission_that_is_no_longer_live_moves_nothing() {
    let with_second = flown([assigned(), ended(Ending::Aborted)]).after(report(M2, 5, assigned()));
    for reported in [
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
        Reported::DepartedToReturn,
        Reported::Returned(ReturnedTo::Sender),
        ended(Ending::Crashed),
        completed(None),
        unconfirmed_at(NEAR),
    ] {
        with_second
            .clone()
            .when(report(M1, 9, reported))
            .then_nothing();
    }
}

#[test]
fn a_mission_that_is_no_longer_live_and_has_the_package_makes_two_drones() {
    let over = flown([assigned(), ended(Ending::Aborted)]);
    let with_second = over.clone().after(report(M2, 5, assigned()));
    for given in [over, with_second] {
        for reported in [
            loaded(),
            loaded_as(LoadVerdict::Overweight),
            Reported::DepartedToDropoff,
            Reported::ArrivedAtDropoff(NEAR),
            released_at(NEAR),
            completed(Some(true)),
        ] {
            let before = status(&given);
            let zombie = report(M1, 9, reported);
            let told = given
                .clone()
                .when(zombie.clone())
                .then_events([anomaly(&zombie, Anomaly::TwoDrones)]);
            assert_eq!(status(&told), before);
        }
    }
}

#[test]
fn an_anomaly_is_recorded_once_and_at_most_twenty_are() {
    let full = (0..25).fold(booked(), |given, minute| {
        given.after(report(M1, minute, released_at(NEAR)))
    });
    assert_eq!(full.state().unwrap().anomalies.len(), ANOMALIES_MAX);
    full.clone()
        .when(report(M1, 3, released_at(NEAR)))
        .then_nothing();
    full.when(report(M1, 99, released_at(NEAR))).then_nothing();
}

#[test]
fn what_two_drones_call_the_same_is_an_anomaly_of_each() {
    let named = |mission| {
        let DeliveryCommand::Report(report) = report(mission, 3, released_at(NEAR)) else {
            panic!("it is a report")
        };
        let fact = FactId::new("f1").unwrap();
        DeliveryCommand::Report(Report { fact, ..report })
    };
    let once = booked().after(named(M1));
    once.clone().when(named(M1)).then_nothing();
    let both = once.after(named(M2)).state().unwrap();
    assert_eq!(both.anomalies.len(), 2);
}

#[test]
fn a_package_that_was_left_on_board_is_told_of_however_odd_the_delivery_is() {
    let odd = |given| {
        (0..25).fold(given, |given: Given<Delivery>, minute| {
            given.after(report(M2, minute, loaded()))
        })
    };
    let ended = report(M1, 40, completed(Some(true)));
    odd(at_dropoff())
        .when(ended.clone())
        .then_events([anomaly(&ended, Anomaly::EndedWithPackage)]);
}

#[test]
fn what_is_misplaced_is_an_anomaly_in_any_status() {
    for given in [
        booked(),
        at_dropoff(),
        at_dropoff().after(report(M1, 8, released_at(NEAR))),
    ] {
        let misplaced = report(M1, 9, Reported::Misplaced(Anomaly::MissionAlreadyBound));
        given
            .when(misplaced.clone())
            .then_events([anomaly(&misplaced, Anomaly::MissionAlreadyBound)]);
    }
}
