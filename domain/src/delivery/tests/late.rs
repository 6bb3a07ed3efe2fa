//! Facts that come after what they led to.

use proptest::prelude::*;

use super::*;

fn corrected(milestone: Milestone, was: i64, now: i64) -> DeliveryEvent {
    DeliveryEvent::MilestoneTimeCorrected {
        milestone,
        was: at(was),
        now: at(now),
    }
}

#[test]
fn a_late_fact_tells_the_time_of_a_step_that_was_only_implied() {
    let delivered = flown([assigned()]).after(report(M1, 9, released_at(NEAR)));
    let told = delivered
        .when(report(M1, 2, Reported::DepartedToPickup))
        .then([now(corrected(Milestone::HeadedToPickup, 9, 2), 2)])
        .when(report(M1, 3, Reported::ArrivedAtPickup))
        .then([now(corrected(Milestone::ArrivedAtPickup, 9, 3), 3)])
        .when(report(M1, 4, loaded()))
        .then([now(corrected(Milestone::PickedUp, 9, 4), 4)])
        .when(report(M1, 5, Reported::DepartedToDropoff))
        .then([now(corrected(Milestone::InTransit, 9, 5), 5)])
        .when(report(M1, 6, Reported::ArrivedAtDropoff(NEAR)))
        .then([now(corrected(Milestone::ArrivedAtDropoff, 9, 6), 6)]);
    let delivery = told.state().unwrap();
    assert_eq!(delivery.status(), Status::Complete);
    let in_order = at_dropoff().after(report(M1, 9, released_at(NEAR)));
    let times = |delivery: &Delivery| {
        delivery
            .milestones()
            .iter()
            .map(|reached| (reached.milestone, reached.inferred))
            .collect::<Vec<_>>()
    };
    assert_eq!(times(&delivery), times(&in_order.state().unwrap()));
}

/// A whole flight but its assignment, each fact with its minute.
fn flight() -> Vec<(i64, Reported)> {
    let facts = [
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
        loaded(),
        Reported::DepartedToDropoff,
        Reported::ArrivedAtDropoff(NEAR),
        released_at(NEAR),
    ];
    (2..).zip(facts).collect()
}

fn flown_in(order: &[(i64, Reported)]) -> Delivery {
    order
        .iter()
        .fold(flown([assigned()]), |given, (minute, reported)| {
            given.after(report(M1, *minute, reported.clone()))
        })
        .state()
        .unwrap()
}

proptest! {
    #[test]
    fn a_flight_told_in_any_order_has_the_same_outcome_and_times(
        order in Just(flight()).prop_shuffle(),
        again in prop::collection::vec(0..6_usize, 0..6),
    ) {
        let told: Vec<_> = order
            .iter()
            .chain(again.iter().map(|place| &order[*place]))
            .cloned()
            .collect();
        prop_assert_eq!(flown_in(&told), flown_in(&flight()));
    }
}

#[test]
fn what_was_told_once_is_not_told_otherwise() {
    for reported in [
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
        loaded(),
        Reported::DepartedToDropoff,
        Reported::ArrivedAtDropoff(NEAR),
        Reported::ArrivedAtDropoff(FAR),
    ] {
        at_dropoff().when(report(M1, 99, reported)).then_nothing();
    }
}

#[test]
fn a_late_departure_for_home_tells_when_an_implied_return_began() {
    at_dropoff()
        .after(report(M1, 9, Reported::Returned(ReturnedTo::Sender)))
        .when(report(M1, 8, Reported::DepartedToReturn))
        .then_events([corrected(Milestone::ReturnStarted, 9, 8)]);
}

#[test]
fn a_late_fact_is_believed_even_if_its_clock_ran_ahead() {
    flown([assigned(), Reported::ArrivedAtDropoff(NEAR)])
        .when(report(M1, 9, Reported::DepartedToPickup))
        .then_events([corrected(Milestone::HeadedToPickup, 2, 9)]);
}

#[test]
fn only_the_newest_mission_corrects_its_times() {
    let second = flown([
        assigned(),
        Reported::ArrivedAtPickup,
        ended(Ending::Aborted),
    ])
    .after(report(M2, 5, assigned()))
    .after(report(M2, 6, Reported::ArrivedAtPickup));
    second
        .clone()
        .when(report(M1, 1, Reported::DepartedToPickup))
        .then_nothing();
    second
        .when(report(M2, 5, Reported::DepartedToPickup))
        .then_events([corrected(Milestone::HeadedToPickup, 6, 5)]);
}

#[test]
fn a_late_step_that_was_never_implied_is_too_late() {
    flown([assigned(), loaded(), Reported::DepartedToReturn])
        .when(report(M1, 2, Reported::DepartedToDropoff))
        .then_nothing();
    flown([assigned(), ended(Ending::Aborted)])
        .when(report(M1, 2, Reported::DepartedToPickup))
        .then_nothing();
}

#[test]
fn a_late_release_beats_a_return_already_begun() {
    let done = at_dropoff()
        .after(report(M1, 9, Reported::DepartedToReturn))
        .when(report(M1, 8, released_at(NEAR)))
        .then([now(complete(M1), 8)]);
    assert_eq!(done.state().unwrap().custody(), Custody::Recipient);
}

#[test]
fn a_package_put_down_elsewhere_on_the_way_back_is_not_misdelivered() {
    let put_down = report(M1, 10, released_at(FAR));
    let told = at_dropoff()
        .after(report(M1, 9, Reported::DepartedToReturn))
        .when(put_down.clone())
        .then_events([anomaly(&put_down, Anomaly::WrongStatus)]);
    assert_eq!(status(&told), Status::Returning);
}

#[test]
fn a_release_after_the_package_came_to_a_hub_is_an_anomaly() {
    let release = report(M1, 8, released_at(NEAR));
    at_hub()
        .when(release.clone())
        .then_events([anomaly(&release, Anomaly::TwoDrones)]);
}

#[test]
fn a_loading_that_went_wrong_turns_a_drone_back_that_seemed_to_bring_it() {
    flown([assigned(), Reported::DepartedToDropoff])
        .when(report(M1, 1, loaded_as(LoadVerdict::WrongPackage)))
        .then_events([
            corrected(Milestone::PickedUp, 2, 1),
            DeliveryEvent::AttemptFailed {
                mission: M1,
                reason: AttemptFailure::WrongPackage,
            },
            DeliveryEvent::ReturnStarted {
                mission: M1,
                reason: ReturnReason::MissionAborted,
            },
        ]);
    let again = report(M1, 9, loaded_as(LoadVerdict::WrongPackage));
    at_dropoff()
        .when(again.clone())
        .then_events([anomaly(&again, Anomaly::WrongStatus)]);
    let late = report(M1, 1, loaded_as(LoadVerdict::WrongPackage));
    flown([assigned(), released_at(NEAR)])
        .when(late.clone())
        .then_events([
            corrected(Milestone::PickedUp, 2, 1),
            anomaly(&late, Anomaly::ContradictsOutcome),
        ]);
}

#[test]
fn what_contradicts_an_outcome_is_an_anomaly_and_leaves_it() {
    let complete = || at_dropoff().after(report(M1, 9, released_at(NEAR)));
    let misdelivered = || at_dropoff().after(report(M1, 9, released_at(FAR)));
    let lost = || at_dropoff().after(report(M1, 9, ended(Ending::Lost)));
    let returned = || at_dropoff().after(report(M1, 9, Reported::Returned(ReturnedTo::Sender)));
    for (given, reported) in [
        (complete(), released_at(FAR)),
        (complete(), completed(Some(true))),
        (misdelivered(), released_at(NEAR)),
        (lost(), released_at(NEAR)),
        (returned(), released_at(NEAR)),
    ] {
        let before = given.state().unwrap().phase();
        let contradiction = report(M1, 20, reported);
        let told = given
            .when(contradiction.clone())
            .then_events([anomaly(&contradiction, Anomaly::ContradictsOutcome)]);
        assert_eq!(told.state().unwrap().phase(), before);
    }
}

#[test]
fn what_a_mission_does_afterwards_is_no_contradiction() {
    let complete = || at_dropoff().after(report(M1, 9, released_at(NEAR)));
    let misdelivered = || at_dropoff().after(report(M1, 9, released_at(FAR)));
    let returned = || {
        at_dropoff()
            .after(report(M1, 8, Reported::DepartedToReturn))
            .after(report(M1, 9, Reported::Returned(ReturnedTo::Sender)))
    };
    for given in [complete(), misdelivered(), returned()] {
        for reported in [
            Reported::DepartedToReturn,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Base)),
            ended(Ending::Aborted),
            ended(Ending::StoodDown),
            ended(Ending::Crashed),
            completed(None),
            completed(Some(false)),
            unconfirmed_at(NEAR),
        ] {
            given.clone().when(report(M1, 20, reported)).then_nothing();
        }
    }
    complete()
        .when(report(M1, 20, released_at(NEAR)))
        .then_nothing();
    misdelivered()
        .when(report(M1, 20, released_at(FAR)))
        .then_nothing();
    for reported in [released_at(FAR), completed(Some(true))] {
        returned().when(report(M1, 20, reported)).then_nothing();
    }
}
