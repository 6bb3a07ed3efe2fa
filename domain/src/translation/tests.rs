//! What is measured, up to the very edge.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use uuid::Uuid;

use super::*;
use crate::decider::{Decider, Occurrence};
use crate::delivery::{Assignment, Confirmation, DeliveryEvent, HoldReason};
use crate::id::{DroneId, FactId, FleetId, MissionId, ProofHash, SessionId};
use crate::time::Timestamp;

const DECLARED_G: u32 = 500;

fn sender() -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0001").unwrap(),
    }
}

fn grams(grams: u32) -> MassG {
    MassG::new(grams).unwrap()
}

fn verdict(tag: Option<&str>, measured_g: Option<u32>) -> LoadVerdict {
    let tag = tag.map(|tag| Tag::new(tag).unwrap());
    let declared = (&Tag::new("QR-1").unwrap(), grams(DECLARED_G));
    load_verdict(
        (tag.as_ref(), measured_g.map(grams)),
        declared,
        &Thresholds::default(),
    )
}

#[test]
fn what_was_not_read_or_weighed_is_not_checked() {
    assert_eq!(verdict(None, None), LoadVerdict::Matches);
    assert_eq!(verdict(Some("QR-1"), None), LoadVerdict::Matches);
    assert_eq!(verdict(Some("QR-2"), None), LoadVerdict::WrongPackage);
}

#[test]
fn five_grams_are_always_forgiven() {
    let declared = (&Tag::new("QR-1").unwrap(), grams(10));
    let weighed = |measured| {
        load_verdict(
            (None, Some(grams(measured))),
            declared,
            &Thresholds::default(),
        )
    };
    assert_eq!(weighed(15), LoadVerdict::Matches);
    assert_eq!(weighed(16), LoadVerdict::Overweight);
}

#[test]
fn given_other_tolerances_then_a_package_is_overweight_beyond_the_greater_one() {
    let weighed = |overweight_permille, overweight_g_min, measured| {
        let thresholds = Thresholds {
            overweight_permille,
            overweight_g_min,
            ..Thresholds::default()
        };
        let declared = (&Tag::new("QR-1").unwrap(), grams(DECLARED_G));
        load_verdict((None, Some(grams(measured))), declared, &thresholds)
    };
    for (permille, g, accepted) in [(200, 5, 600), (0, 5, 505), (0, 0, 500), (10, 200, 700)] {
        let verdict = weighed(permille, g, accepted);
        assert_eq!(verdict, LoadVerdict::Matches, "{permille} {g}");
        let verdict = weighed(permille, g, accepted + 1);
        assert_eq!(verdict, LoadVerdict::Overweight, "{permille} {g}");
    }
}

#[test]
fn no_position_is_neither_near_nor_far() {
    let place = GeoPoint::from_e7(0, 0).unwrap();
    assert_eq!(
        nearness(None, place, &Thresholds::default()),
        Nearness::Unknown
    );
}

proptest! {
    /// I15.
    #[test]
    fn a_package_is_overweight_exactly_beyond_a_tenth(measured in 1..2_000u32) {
        let expected =
            if measured * 10 > DECLARED_G * 11 { LoadVerdict::Overweight } else { LoadVerdict::Matches };
        prop_assert_eq!(verdict(Some("QR-1"), Some(measured)), expected);
    }

    #[test]
    fn a_place_is_inside_exactly_up_to_the_radius(north_e7 in -10_000..10_000i32) {
        // 50 m are 4,496.6 units of latitude.
        let here = GeoPoint::from_e7(404_590_000 + north_e7, -797_820_000).unwrap();
        let place = GeoPoint::from_e7(404_590_000, -797_820_000).unwrap();
        let inside = matches!(nearness(Some(here), place, &Thresholds::default()), Nearness::Inside(_));
        prop_assert_eq!(inside, north_e7.abs() <= 4_496);
    }

    #[test]
    fn a_late_fact_never_turns_a_drone_round(order in crate::delivery::arbitrary::order()) {
        let at = Timestamp::from_micros(0).unwrap();
        let mission = MissionId::from_uuid(Uuid::nil());
        let events = [
            DeliveryEvent::Created(Box::new(order)),
            DeliveryEvent::Scheduled,
            DeliveryEvent::DroneAssigned(Assignment {
                mission,
                fleet: sender().fleet,
                drone: sender().drone,
                epoch: 1,
                eta_pickup: None,
                eta_dropoff: None,
            }),
            DeliveryEvent::PickedUp { mission, tag: None, mass: None },
        ];
        let events = events.map(|event| Occurrence::new(event, at));
        let delivery = Delivery::fold(&events).unwrap();
        let turned = DroneFact {
            id: FactId::new("f").unwrap(),
            mission,
            event_time: at,
            position: None,
            kind: FactKind::Departed(Leg::Return),
        };
        let translated = |late| translate(&turned, late, &sender(), &delivery, &Thresholds::default());
        prop_assert!(translated(false).is_some());
        prop_assert_eq!(translated(true), None);
    }
}

/// A delivery whose package is on board, and what a fact of its mission comes to.
fn told(kind: FactKind, late: bool) -> Option<Reported> {
    let at = Timestamp::from_micros(0).unwrap();
    let mission = MissionId::from_uuid(Uuid::nil());
    let order = crate::delivery::arbitrary::order();
    let order = order
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    let events = [
        DeliveryEvent::Created(Box::new(order)),
        DeliveryEvent::Scheduled,
        DeliveryEvent::DroneAssigned(Assignment {
            mission,
            fleet: sender().fleet,
            drone: sender().drone,
            epoch: 1,
            eta_pickup: None,
            eta_dropoff: None,
        }),
        DeliveryEvent::PickedUp {
            mission,
            tag: None,
            mass: None,
        },
    ];
    let delivery = Delivery::fold(&events.map(|event| Occurrence::new(event, at))).unwrap();
    let fact = DroneFact {
        id: FactId::new("f").unwrap(),
        mission,
        event_time: at,
        position: None,
        kind,
    };
    let report = translate(&fact, late, &sender(), &delivery, &Thresholds::default());
    report.map(|report| report.reported)
}

#[test]
fn how_a_drone_did_is_of_no_interest_once_it_was_heard_of_otherwise() {
    for kind in [
        FactKind::HoldStarted(HoldReason::Weather),
        FactKind::HoldEnded,
        FactKind::Battery(BatteryLevel::Critical),
        FactKind::Diverted {
            to: DivertPlace::Charge,
            detail: None,
        },
        FactKind::Diverted {
            to: DivertPlace::Hub,
            detail: None,
        },
        FactKind::LinkRestored,
    ] {
        assert!(told(kind.clone(), false).is_some(), "{kind:?}");
        assert_eq!(told(kind, true), None);
    }
}

#[test]
fn what_became_of_the_package_counts_however_late_it_is_heard_of() {
    for kind in [
        FactKind::PackageDropped,
        FactKind::EmergencyLanded { detail: None },
        FactKind::RecipientVerified {
            kind: Confirmation::Pin,
            proof: ProofHash::new("c0ffee").unwrap(),
        },
    ] {
        assert_eq!(told(kind.clone(), true), told(kind.clone(), false));
        assert!(told(kind, true).is_some());
    }
}

#[test]
fn a_low_battery_and_a_lost_link_alone_change_nothing() {
    assert_eq!(told(FactKind::Battery(BatteryLevel::Low), false), None);
    assert_eq!(told(FactKind::LinkLost, false), None);
}
