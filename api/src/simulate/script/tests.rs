//! Scripts: what follows from a seed, and what holds of all of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::city::City;
use super::*;

/// The script of an attempt at the delivery of this number.
fn script_of(seed: u64, number: u32, attempt: u32, faults: &Faults) -> Script {
    let order = Order::draw(seed, number);
    let city = City::of(seed);
    let errand = Errand {
        order: &order,
        pickup: order.pickup,
        dropoff: order.dropoff,
        is_at_hub: attempt > 2,
        base: city.base(number),
        hub: city.hub(),
    };
    script(&order.lot(seed).of_attempt(attempt), &errand, faults)
}

fn tellings(script: &Script) -> impl Iterator<Item = &Telling> {
    script.steps.iter().filter_map(Step::telling)
}

fn kinds(script: &Script) -> Vec<&'static str> {
    let facts = tellings(script).flat_map(|telling| &telling.facts);
    facts.map(|fact| fact.kind).collect()
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_script(seed: u64, number in 0..1_000_u32, attempt in 1..5_u32) {
        let faults = Faults::all();
        let script = script_of(seed, number, attempt, &faults);
        prop_assert_eq!(&script, &script_of(seed, number, attempt, &faults));
    }

    #[test]
    fn every_fact_that_happens_is_sent_and_the_turn_comes_after_the_assignment(seed: u64, number in 0..1_000_u32) {
        let script = script_of(seed, number, 1, &Faults::all());
        for telling in tellings(&script) {
            let sent: BTreeSet<_> = telling.sent.iter().copied().collect();
            prop_assert_eq!(sent, (0..telling.facts.len()).collect());
        }
        let answer = kinds(&script)[0];
        prop_assert!(answer == "mission_assigned" || answer == "mission_rejected");
        if let Some(turn) = script.steps.iter().position(|step| *step == Step::AwaitTurn) {
            let before = &script.steps[..turn];
            let is_answer = |step: &Step| matches!(step, Step::Tell(_) | Step::Change(_));
            prop_assert!(before.iter().all(is_answer), "{before:?}");
        }
    }

    #[test]
    fn nothing_is_waited_for_after_a_drone_has_left_its_delivery(seed: u64, number in 0..1_000_u32) {
        let script = script_of(seed, number, 1, &Faults::all());
        let rest = script.steps.iter().skip_while(|step| **step != Step::LeaveDelivery);
        for step in rest.skip(1) {
            prop_assert!(
                matches!(step, Step::Fly { .. } | Step::Tell(_) | Step::Restart),
                "{step:?}"
            );
        }
    }
}

#[test]
fn without_faults_every_mission_goes_well() {
    for number in 0..50 {
        let script = script_of(1, number, 1, &Faults::default());
        assert_eq!((script.faults.len(), script.anomaly), (0, None));
        assert_eq!(script.course, Course::Delivered);
        let mut kinds = kinds(&script);
        kinds.retain(|kind| *kind != "recipient_verified");
        let expected = [
            "mission_assigned",
            "departed",
            "arrived",
            "package_loaded",
            "departed",
            "arrived",
            "package_released",
            "departed",
            "mission_completed",
        ];
        assert_eq!(kinds, expected);
    }
}

#[test]
fn each_kind_of_trouble_comes_where_it_is_asked_for_and_no_other() {
    for fault in Fault::ALL {
        let faults = Faults::from_iter([fault]);
        let struck: BTreeSet<_> = (0..100)
            .flat_map(|number| script_of(1, number, 1, &faults).faults)
            .collect();
        assert_eq!(struck, BTreeSet::from([fault]));
    }
}

#[test]
fn all_kinds_of_trouble_come_in_a_small_city() {
    let faults = Faults::all();
    let struck: BTreeSet<_> = (0..150)
        .flat_map(|number| script_of(1, number, 1, &faults).faults)
        .collect();
    assert_eq!(struck, BTreeSet::from(Fault::ALL));
    let said: BTreeSet<_> = (0..500)
        .flat_map(|number| kinds(&script_of(1, number, 1, &faults)))
        .collect();
    for kind in [
        "mission_rejected",
        "hold_started",
        "battery",
        "diverted",
        "link_lost",
        "crashed",
        "lost",
        "returned",
        "mission_aborted",
        "stood_down",
    ] {
        assert!(said.contains(kind), "nobody ever says {kind}");
    }
}

#[test]
fn nobody_cancels_in_time_what_lies_at_a_hub() {
    let faults = Faults::from_iter([Fault::CancelRaces]);
    let cancels: Vec<_> = (0..200)
        .flat_map(|number| script_of(1, number, 3, &faults).steps)
        .filter(|step| matches!(step, Step::Cancel { .. }))
        .collect();
    assert!(!cancels.is_empty());
    assert!(cancels.contains(&Step::Cancel { is_taken: false }));
    assert!(!cancels.contains(&Step::Cancel { is_taken: true }));
}

#[test]
fn a_late_fact_comes_after_one_that_shows_that_it_is_missing() {
    let faults = Faults::from_iter([Fault::Late]);
    let scripts: Vec<_> = (0..100)
        .map(|number| script_of(1, number, 1, &faults))
        .collect();
    let mut late = 0;
    for step in scripts.iter().flat_map(|script| &script.steps) {
        if let Step::TellLate {
            late: fact,
            meanwhile,
        } = step
        {
            late += 1;
            assert_eq!(meanwhile.facts.len(), 1);
            assert_ne!(fact.kind, "mission_assigned");
        }
    }
    assert!(late > 10, "{late}");
}
