//! What can be flown, in sentences.

use uuid::Uuid;

use super::*;
use crate::area::Polygon;
use crate::delivery::tests::order;
use crate::geo::GeoPoint;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn rules(change: impl FnOnce(&mut ServiceRules)) -> ServiceRules {
    let mut rules = ServiceRules::default();
    change(&mut rules);
    rules
}

/// A square of a tenth of a degree around where the orders of the tests are picked up.
fn around_the_pickup(half_e7: i32) -> Area {
    let centre = order().plan.pickup.point;
    let corner = |lat: i32, lon: i32| {
        let (lat, lon) = (
            centre.lat_e7() + lat * half_e7,
            centre.lon_e7() + lon * half_e7,
        );
        GeoPoint::from_e7(lat, lon).unwrap()
    };
    let ring = [(-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)].map(|(lat, lon)| corner(lat, lon));
    Area::new(vec![Polygon::new(vec![ring.to_vec()]).unwrap()]).unwrap()
}

#[test]
fn what_is_not_configured_is_not_restricted() {
    assert_eq!(ServiceRules::default().faults(&order(), at(0)), []);
}

#[test]
fn a_package_that_is_to_stay_where_it_is_is_not_flown() {
    let mut order = order();
    order.plan.dropoff = order.plan.pickup.clone();
    let faults = ServiceRules::default().faults(&order, at(0));
    assert_eq!(faults, [Unserviceable::DropoffAtPickup]);
}

#[test]
fn the_range_is_kept_to_the_metre() {
    let plan = order().plan;
    let distance = plan.pickup.point.distance_to(plan.dropoff.point);
    let exactly = rules(|rules| rules.range_max = Some(distance));
    assert_eq!(exactly.faults(&order(), at(0)), []);
    let max = DistanceM::new(distance.get() - 1);
    let less = rules(|rules| rules.range_max = Some(max));
    assert_eq!(
        less.faults(&order(), at(0)),
        [Unserviceable::OutOfRange { distance, max }]
    );
}

#[test]
fn the_payload_is_kept_to_the_gram() {
    let mass = order().package.mass;
    let exactly = rules(|rules| rules.payload_max = Some(mass));
    assert_eq!(exactly.faults(&order(), at(0)), []);
    let max = MassG::new(mass.get() - 1).unwrap();
    let less = rules(|rules| rules.payload_max = Some(max));
    assert_eq!(
        less.faults(&order(), at(0)),
        [Unserviceable::TooHeavy { mass, max }]
    );
}

#[test]
fn both_places_must_lie_in_the_area() {
    let wide = rules(|rules| rules.area = Some(around_the_pickup(500_000)));
    assert_eq!(wide.faults(&order(), at(0)), []);
    let narrow = rules(|rules| rules.area = Some(around_the_pickup(1_000)));
    assert_eq!(
        narrow.faults(&order(), at(0)),
        [Unserviceable::DropoffOutsideArea]
    );
    let mut turned = order();
    std::mem::swap(&mut turned.plan.pickup, &mut turned.plan.dropoff);
    assert_eq!(
        narrow.faults(&turned, at(0)),
        [Unserviceable::PickupOutsideArea]
    );
}

#[test]
fn a_window_may_be_booked_only_so_long_ahead() {
    let mut order = order();
    order.plan.pickup_window = Some(Window::new(at(100), at(200)).unwrap());
    let rules = rules(|rules| rules.ahead_max = Some(DurationMs::from_seconds(60)));
    assert_eq!(rules.faults(&order, at(40)), []);
    assert_eq!(
        rules.faults(&order, at(39)),
        [Unserviceable::TooFarAhead {
            not_before: at(100),
            latest: at(99),
        }]
    );
}

#[test]
fn nothing_can_arrive_before_it_may_be_fetched() {
    let mut order = order();
    order.plan.pickup_window = Some(Window::new(at(100), at(200)).unwrap());
    order.plan.deliver_by = Some(at(100));
    assert_eq!(
        ServiceRules::default().faults(&order, at(0)),
        [Unserviceable::DueBeforePickup {
            deliver_by: at(100),
            not_before: at(100),
        }]
    );
    order.plan.deliver_by = Some(at(101));
    assert_eq!(ServiceRules::default().faults(&order, at(0)), []);
}

#[test]
fn every_fault_is_told_and_not_only_the_first() {
    let mut order = order();
    order.user = crate::id::UserId::from_uuid(Uuid::nil());
    let rules = ServiceRules {
        range_max: Some(DistanceM::new(1)),
        payload_max: MassG::new(1).ok(),
        area: Some(around_the_pickup(1_000)),
        ahead_max: None,
    };
    assert_eq!(rules.faults(&order, at(0)).len(), 3);
}

#[test]
fn what_is_not_known_is_not_at_fault_and_keeps_nothing_else_from_being_told() {
    let strict = rules(|rules| {
        rules.range_max = Some(DistanceM::new(1));
        rules.payload_max = MassG::new(1).ok();
        rules.area = Some(around_the_pickup(1_000));
        rules.ahead_max = Some(DurationMs::from_seconds(60));
    });
    assert_eq!(strict.faults(Wanted::default(), at(0)), []);
    let mut whole = Wanted::from(&order());
    (whole.not_before, whole.deliver_by) = (Some(at(100)), Some(at(100)));
    let all = strict.faults(whole, at(0));
    assert_eq!(all.len(), 5, "{all:?}");
    // Of what is left out only its own faults are missing.
    for (part, left) in [
        (
            Wanted {
                pickup: None,
                ..whole
            },
            4,
        ),
        (
            Wanted {
                dropoff: None,
                ..whole
            },
            3,
        ),
        (
            Wanted {
                not_before: None,
                ..whole
            },
            3,
        ),
        (
            Wanted {
                deliver_by: None,
                ..whole
            },
            4,
        ),
        (
            Wanted {
                mass: None,
                ..whole
            },
            4,
        ),
    ] {
        let faults = strict.faults(part, at(0));
        assert_eq!(faults.len(), left, "{part:?}");
        assert!(faults.iter().all(|fault| all.contains(fault)), "{faults:?}");
    }
}
