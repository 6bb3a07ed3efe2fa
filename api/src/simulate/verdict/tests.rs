//! That a verdict can fail: a life that went wrong in each way, shown as if nothing had.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::ears::Heard;
use super::super::outlook::{Course, Flown};
use super::*;

/// A history of these types, whose data fits them.
fn items(types: &[&str]) -> Vec<Value> {
    let mut epoch = 0;
    let item = |name: &&str| {
        epoch += u64::from(*name == "DroneAssigned");
        json!({"type": name, "data": {
            "mission_id": format!("msn_{epoch}"), "epoch": epoch, "distance_m": 3, "kind": "pin",
            "reason": "no_drone", "why": "wrong_status",
        }})
    };
    types.iter().map(item).collect()
}

/// What a service shows whose only operation, the booking, came about.
fn shown(status: &str, types: &[&str]) -> Shown {
    Shown {
        status: status.to_owned(),
        items: items(types),
        operations: vec![("schedule", "succeeded".to_owned())],
    }
}

fn flown(course: Course) -> Flown {
    Flown {
        course,
        ask: 1,
        leaves: vec![],
        anomaly: None,
    }
}

/// What was lived where the feed told the same.
fn lived(shown: &Shown, flown: Vec<Flown>, confirmation: Option<&'static str>) -> Lived {
    let types = shown.types().into_iter().map(str::to_owned).collect();
    Lived {
        order: Order {
            confirmation,
            ..Order::draw(1, 1)
        },
        delivery: None,
        heard: Heard {
            types,
            ..Heard::default()
        },
        faults: BTreeSet::new(),
        flown,
        asked: vec![],
        trouble: None,
    }
}

const BROUGHT: [&str; 7] = [
    "Created",
    "Scheduled",
    "DroneAssigned",
    "PickedUp",
    "InTransit",
    "Confirmed",
    "DeliveryComplete",
];

/// What is said of this after a mission that went well.
fn faults_after_delivery(shown: &Shown) -> Vec<String> {
    shown.faults(&lived(shown, vec![flown(Course::Delivered)], Some("pin")))
}

#[test]
fn a_life_that_is_as_it_should_be_has_no_fault() {
    let told = faults_after_delivery(&shown("complete", &BROUGHT));
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn given_a_flawless_delivery_when_it_is_shown_with_another_end_then_that_is_told() {
    let begun = ["Created", "Scheduled"];
    for (status, end) in [("rejected", "Rejected"), ("cancelled", "Cancelled")] {
        let told = faults_after_delivery(&shown(status, &[&begun[..], &[end]].concat()));
        let expected = format!("it should be complete, and is {status}");
        assert!(told.contains(&expected), "{told:?}");
    }
    let failed = [
        &begun[..],
        &["DroneAssigned", "PickedUp", "InTransit", "Failed"],
    ]
    .concat();
    let told = faults_after_delivery(&shown("failed", &failed));
    assert!(told.contains(&"it should be complete, and is failed".to_owned()));
}

#[test]
fn given_a_lost_drone_when_the_failure_is_told_for_another_reason_then_that_is_told() {
    let types = [
        "Created",
        "Scheduled",
        "DroneAssigned",
        "PickedUp",
        "Failed",
    ];
    let shown = shown("failed", &types);
    let told = shown.faults(&lived(&shown, vec![flown(Course::Wrecked)], None));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("drone_lost"), "{told:?}");
}

#[test]
fn given_a_package_that_waits_for_another_drone_when_its_life_is_over_then_that_is_told() {
    let types = [
        "Created",
        "Scheduled",
        "DroneAssigned",
        "DroneUnassigned",
        "Failed",
    ];
    let shown = shown("failed", &types);
    let told = shown.faults(&lived(&shown, vec![flown(Course::NotFetched)], None));
    assert_eq!(told, ["it is failed, and a drone should have come"]);
}

#[test]
fn given_a_delivered_package_when_another_drone_was_asked_for_then_that_is_told() {
    let shown = shown("complete", &BROUGHT);
    let missions = vec![flown(Course::Delivered), flown(Course::Delivered)];
    let told = shown.faults(&lived(&shown, missions, Some("pin")));
    assert_eq!(told, ["a drone was asked for after its life was over"]);
}

#[test]
fn each_event_that_is_missing_and_each_rule_that_is_broken_is_told() {
    for (missing, word) in [
        ("InTransit", "no InTransit"),
        ("PickedUp", "no PickedUp"),
        ("Confirmed", "asked for"),
        ("DeliveryComplete", "no outcome"),
    ] {
        let types: Vec<_> = BROUGHT.into_iter().filter(|it| *it != missing).collect();
        let told = faults_after_delivery(&shown("complete", &types));
        assert!(told.iter().any(|it| it.contains(word)), "{told:?}");
    }
}

#[test]
fn an_anomaly_that_nothing_explains_and_one_that_is_missing_are_told() {
    let odd = || Flown {
        anomaly: Some("wrong_status"),
        ..flown(Course::Delivered)
    };
    let calm = shown("complete", &BROUGHT);
    let strange = shown("complete", &[&BROUGHT[..], &["AnomalyRecorded"]].concat());
    let faults = |shown: &Shown, flown| shown.faults(&lived(shown, vec![flown], Some("pin")));
    assert_eq!(faults(&strange, odd()), Vec::<String>::new());
    assert_eq!(faults(&calm, odd()).len(), 1);
    assert_eq!(faults(&strange, flown(Course::Delivered)).len(), 1);
    let two_drones = Flown {
        anomaly: Some("two_drones"),
        ..odd()
    };
    assert_eq!(faults(&strange, two_drones).len(), 1);
}

#[test]
fn two_ends_a_status_off_the_history_and_a_feed_that_tells_otherwise_are_told() {
    let twice = shown("complete", &[&BROUGHT[..], &["DeliveryComplete"]].concat());
    let told = faults_after_delivery(&twice);
    assert!(told.contains(&"it has 2 outcomes".to_owned()), "{told:?}");
    let told = faults_after_delivery(&shown("in_transit", &BROUGHT));
    assert!(told.iter().any(|it| it.contains("history says complete")));
    let complete = shown("complete", &BROUGHT);
    let mut lived = lived(&complete, vec![flown(Course::Delivered)], Some("pin"));
    lived.heard.types.pop();
    let told = complete.faults(&lived);
    assert_eq!(told, ["the feed and its history tell of it differently"]);
}

#[test]
fn an_operation_that_came_to_something_else_than_its_delivery_is_told() {
    for (kind, outcome, is_right) in [
        ("schedule", "succeeded", true),
        ("schedule", "failed", false),
        ("schedule", "running", false),
        ("reschedule", "succeeded", true),
        ("reschedule", "failed", false),
        ("cancel", "failed", true),
        ("cancel", "succeeded", false),
        ("return", "failed", true),
        ("return", "succeeded", false),
    ] {
        let shown = Shown {
            operations: vec![(kind, outcome.to_owned())],
            ..shown("complete", &BROUGHT)
        };
        let told = faults_after_delivery(&shown);
        assert_eq!(told.is_empty(), is_right, "{kind} {outcome}: {told:?}");
    }
}
