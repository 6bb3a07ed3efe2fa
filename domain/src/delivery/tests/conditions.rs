//! What a drone does beside its course, and when it is expected.

use super::*;
use crate::time::DurationMs;

fn changed(condition: Condition) -> DeliveryEvent {
    DeliveryEvent::ConditionChanged {
        mission: M1,
        condition,
    }
}

const WEATHER: Condition = Condition::Holding(HoldReason::Weather);

fn condition(given: &Given<Delivery>) -> Condition {
    given.state().unwrap().condition()
}

#[test]
fn a_drone_that_holds_is_told_of_until_it_goes_on() {
    let held = at_pickup()
        .when(report(M1, 5, Reported::HoldStarted(HoldReason::Weather)))
        .then_events([changed(WEATHER)]);
    assert_eq!(condition(&held), WEATHER);
    let ended = held
        .when(report(M1, 6, Reported::HoldEnded))
        .then_events([changed(Condition::Nominal)]);
    ended
        .when(report(M1, 7, Reported::HoldEnded))
        .then_nothing();
}

#[test]
fn whoever_gets_on_is_held_up_no_longer() {
    let held = at_pickup().after(report(M1, 5, Reported::HoldStarted(HoldReason::Traffic)));
    let gone_on = held.after(report(M1, 6, loaded()));
    assert_eq!(condition(&gone_on), Condition::Nominal);
}

#[test]
fn a_cancellation_says_nothing_of_the_drone() {
    let held = at_pickup().after(report(M1, 5, Reported::HoldStarted(HoldReason::Weather)));
    assert_eq!(condition(&held.after(cancel(at(6)))), WEATHER);
}

#[test]
fn a_battery_that_ends_the_mission_delays_the_delivery() {
    at_dropoff()
        .when(report(M1, 9, Reported::BatteryCritical))
        .then_events([changed(Condition::Delayed)])
        .when(report(M1, 10, Reported::BatteryCritical))
        .then_nothing();
}

#[test]
fn a_drone_that_flies_to_charge_comes_nobody_knows_when_and_then_goes_on() {
    let mut expected = assigned();
    if let Reported::Assigned { eta_dropoff, .. } = &mut expected {
        *eta_dropoff = Some(at(20));
    }
    let unknown = DeliveryEvent::EtaRevised {
        mission: M1,
        pickup_at: None,
        dropoff_at: None,
    };
    let charging = flown([expected, loaded(), Reported::DepartedToDropoff])
        .when(report(M1, 9, diverted(Diversion::Charge)))
        .then_events([changed(Condition::Diverted), unknown]);
    assert_eq!(charging.state().unwrap().eta(), None);
    let gone_on = charging
        .when(report(M1, 30, Reported::DepartedToDropoff))
        .then_events([changed(Condition::Nominal)]);
    assert_eq!(status(&gone_on), Status::InTransit);
}

#[test]
fn a_drone_that_flies_home_instead_brings_the_package_back_or_is_replaced() {
    at_dropoff()
        .when(report(M1, 9, diverted(Diversion::Home)))
        .then_events([DeliveryEvent::ReturnStarted {
            mission: M1,
            reason: ReturnReason::Diverted,
        }]);
    at_pickup()
        .when(report(M1, 9, diverted(Diversion::Home)))
        .then_events([unassigned(M1, UnassignReason::Diverted)]);
    at_pickup()
        .after(cancel(at(8)))
        .when(report(M1, 9, diverted(Diversion::Home)))
        .then_events([DeliveryEvent::Cancelled]);
}

#[test]
fn what_was_before_a_lost_link_is_so_again_once_it_is_restored() {
    let lost = at_pickup()
        .after(report(M1, 5, Reported::HoldStarted(HoldReason::Airspace)))
        .when(report(M1, 6, Reported::LinkLost))
        .then_events([changed(Condition::LinkLost)])
        .when(report(M1, 7, Reported::LinkLost))
        .then_nothing();
    lost.clone()
        .when(report(M1, 8, Reported::LinkRestored))
        .then_events([changed(Condition::Holding(HoldReason::Airspace))]);
    lost.when(report(M1, 8, Reported::HoldEnded))
        .then_events([changed(Condition::Nominal)]);
    at_pickup()
        .when(report(M1, 8, Reported::LinkRestored))
        .then_nothing();
}

/// The conditions that clients see one after the other, of a drone that brings the package.
fn seen(reported: impl IntoIterator<Item = Reported>) -> Vec<Condition> {
    let mut given = at_dropoff();
    let mut seen = Vec::new();
    for (minute, reported) in (20..).zip(reported) {
        given = given.after(report(M1, minute, reported));
        seen.push(condition(&given));
    }
    seen
}

#[test]
fn what_was_before_a_hold_is_so_again_once_it_ends() {
    let hold = || Reported::HoldStarted(HoldReason::Weather);
    let worse = [
        (diverted(Diversion::Charge), Condition::Diverted),
        (Reported::BatteryCritical, Condition::Delayed),
    ];
    for (reported, is) in worse {
        assert_eq!(
            seen([reported.clone(), hold(), Reported::HoldEnded]),
            [is, WEATHER, is]
        );
        let another = Reported::HoldStarted(HoldReason::Traffic);
        let traffic = Condition::Holding(HoldReason::Traffic);
        assert_eq!(
            seen([reported.clone(), hold(), another, Reported::HoldEnded]),
            [is, WEATHER, traffic, is]
        );
        assert_eq!(
            seen([
                reported.clone(),
                hold(),
                Reported::LinkLost,
                Reported::LinkRestored,
                Reported::HoldEnded
            ]),
            [is, WEATHER, Condition::LinkLost, WEATHER, is],
            "a link that is lost within the hold"
        );
        assert_eq!(
            seen([
                reported.clone(),
                hold(),
                Reported::LinkLost,
                Reported::HoldEnded
            ]),
            [is, WEATHER, Condition::LinkLost, is],
            "and restored only after it"
        );
        assert_eq!(
            seen([reported, Reported::LinkLost, hold(), Reported::HoldEnded]),
            [is, Condition::LinkLost, WEATHER, is],
            "a hold within a lost link"
        );
    }
}

#[test]
fn a_battery_that_becomes_critical_on_the_way_to_charge_ends_no_hold() {
    let hold = || Reported::HoldStarted(HoldReason::Weather);
    let charge = || diverted(Diversion::Charge);
    let is = Condition::Diverted;
    assert_eq!(
        seen([
            charge(),
            hold(),
            Reported::BatteryCritical,
            Reported::HoldEnded
        ]),
        [is, WEATHER, WEATHER, is]
    );
    assert_eq!(
        seen([
            charge(),
            Reported::LinkLost,
            Reported::BatteryCritical,
            Reported::LinkRestored
        ]),
        [is, Condition::LinkLost, Condition::LinkLost, is]
    );
    assert_eq!(
        seen([
            Reported::BatteryCritical,
            hold(),
            charge(),
            hold(),
            Reported::HoldEnded
        ]),
        [Condition::Delayed, WEATHER, is, WEATHER, is]
    );
}

#[test]
fn whoever_goes_on_after_charging_is_diverted_no_longer_although_it_held_or_was_not_heard() {
    let hold = Reported::HoldStarted(HoldReason::Weather);
    for (hidden_by, over) in [
        (hold, Reported::HoldEnded),
        (Reported::LinkLost, Reported::LinkRestored),
    ] {
        let on_its_way = flown([assigned(), loaded(), Reported::DepartedToDropoff]);
        let gone_on = on_its_way
            .after(report(M1, 9, diverted(Diversion::Charge)))
            .after(report(M1, 10, hidden_by))
            .after(report(M1, 11, Reported::DepartedToDropoff))
            .after(report(M1, 12, over));
        assert_eq!(condition(&gone_on), Condition::Nominal);
    }
}

#[test]
fn a_drone_that_comes_down_with_the_package_wants_somebody() {
    let down = at_dropoff()
        .when(report(M1, 9, Reported::EmergencyLanded { detail: None }))
        .then_events([changed(Condition::Emergency)]);
    assert!(down.state().unwrap().action_required());
    let still = down
        .when(report(M1, 10, Reported::HoldStarted(HoldReason::Weather)))
        .then_nothing();
    let fetched = still.after(report(
        M1,
        90,
        Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
    ));
    assert!(!fetched.state().unwrap().action_required());
}

#[test]
fn a_drone_that_comes_down_without_the_package_is_replaced() {
    at_pickup()
        .when(report(M1, 9, Reported::EmergencyLanded { detail: None }))
        .then_events([unassigned(M1, UnassignReason::EmergencyLanded)]);
}

#[test]
fn a_package_that_was_dropped_is_lost_and_had_been_taken() {
    let lost = DeliveryEvent::Failed {
        mission: M1,
        reason: Failure::PackageLost,
    };
    let failed = at_dropoff()
        .when(report(M1, 9, Reported::Dropped))
        .then_events([lost.clone()]);
    assert_eq!(failed.state().unwrap().custody(), Custody::Unknown);
    assert!(failed.state().unwrap().action_required());
    at_pickup()
        .when(report(M1, 9, Reported::Dropped))
        .then([implied(picked_up(M1), 9), now(lost, 9)]);
}

#[test]
fn what_was_lost_already_is_not_lost_twice() {
    at_dropoff()
        .after(report(M1, 9, ended(Ending::Lost)))
        .when(report(M1, 10, Reported::Dropped))
        .then_nothing();
    let complete = at_dropoff().after(report(M1, 9, released_at(NEAR)));
    let dropped = report(M1, 10, Reported::Dropped);
    complete
        .when(dropped.clone())
        .then_events([anomaly(&dropped, Anomaly::ContradictsOutcome)]);
}

#[test]
fn nothing_beside_its_course_concerns_a_mission_that_is_over() {
    for given in [
        booked(),
        at_hub(),
        at_dropoff().after(report(M1, 9, released_at(NEAR))),
        awaiting(),
    ] {
        for reported in [
            Reported::HoldStarted(HoldReason::Weather),
            Reported::BatteryCritical,
            diverted(Diversion::Charge),
            diverted(Diversion::Home),
            Reported::LinkLost,
            Reported::EmergencyLanded { detail: None },
        ] {
            given.clone().when(report(M1, 20, reported)).then_nothing();
        }
    }
}

fn revise(dropoff_s: i64, at_s: i64) -> DeliveryCommand {
    revise_by(EtaThresholds::default(), dropoff_s, at_s)
}

fn revise_by(thresholds: EtaThresholds, dropoff_s: i64, at_s: i64) -> DeliveryCommand {
    let second = |s: i64| Timestamp::from_micros(s * 1_000_000).unwrap();
    DeliveryCommand::ReviseEta {
        mission: M1,
        estimate: Estimate {
            pickup_at: None,
            dropoff_at: Some(second(dropoff_s)),
        },
        thresholds,
        now: second(at_s),
    }
}

/// Under way since second 60, expected at second 1000.
fn expected() -> Given<Delivery> {
    let mut expected = assigned();
    if let Reported::Assigned { eta_dropoff, .. } = &mut expected {
        *eta_dropoff = Some(Timestamp::from_micros(1_000_000_000).unwrap());
    }
    flown([expected])
}

fn told(command: &DeliveryCommand, given: &Given<Delivery>) -> usize {
    Delivery::decide(command, &given.state()).unwrap().len()
}

#[test]
fn another_expected_time_is_told_from_a_minute_or_a_tenth_on() {
    assert_eq!(told(&revise(1_059, 100), &expected()), 0);
    assert_eq!(told(&revise(1_060, 100), &expected()), 1);
    assert_eq!(told(&revise(940, 100), &expected()), 1);
    // 200 s are left: a tenth are 20 s.
    assert_eq!(told(&revise(1_019, 800), &expected()), 0);
    assert_eq!(told(&revise(1_020, 800), &expected()), 1);
    assert_eq!(told(&revise(1_000, 1_000), &expected()), 0);
}

#[test]
fn an_expected_time_is_told_once_in_fifteen_seconds_at_most() {
    let revised = expected().after(revise(2_000, 100));
    assert_eq!(told(&revise(3_000, 114), &revised), 0);
    assert_eq!(told(&revise(3_000, 115), &revised), 1);
}

#[test]
fn given_other_thresholds_then_another_expected_time_is_news_by_those() {
    let thresholds = EtaThresholds {
        moved_min: DurationMs::from_seconds(30),
        moved_percent_min: 50,
        revised_every: DurationMs::from_seconds(2),
    };
    let revise = |dropoff_s, at_s| revise_by(thresholds, dropoff_s, at_s);
    assert_eq!(told(&revise(1_029, 100), &expected()), 0);
    assert_eq!(told(&revise(1_030, 100), &expected()), 1);
    // 20 s are left: a half are 10 s.
    assert_eq!(told(&revise(1_009, 980), &expected()), 0);
    assert_eq!(told(&revise(1_010, 980), &expected()), 1);
    let revised = expected().after(revise(2_000, 100));
    assert_eq!(told(&revise(3_000, 101), &revised), 0);
    assert_eq!(told(&revise(3_000, 102), &revised), 1);
    // A time that did not move is none, however little is news.
    let any = EtaThresholds {
        moved_min: DurationMs::from_seconds(0),
        ..thresholds
    };
    assert_eq!(told(&revise_by(any, 1_000, 100), &expected()), 0);
}

#[test]
fn a_time_is_expected_only_while_a_drone_is_under_way() {
    assert_eq!(told(&revise(2_000, 100), &booked()), 0);
    let back = expected().after(report(M1, 3, ended(Ending::Aborted)));
    assert_eq!(back.state().unwrap().eta(), None);
    assert_eq!(told(&revise(2_000, 300), &back), 0);
}
