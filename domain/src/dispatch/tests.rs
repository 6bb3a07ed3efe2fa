//! What is asked of Drone Management, in sentences.

use uuid::Uuid;

use super::*;
use crate::decider::{Decider as _, Occurrence};
use crate::delivery::tests::order;
use crate::delivery::{CancelReason, Delivery};
use crate::id::FactId;

const DELIVERY: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(1));
const LIVE: MissionId = MissionId::from_uuid(Uuid::from_u128(2));
const OTHER: MissionId = MissionId::from_uuid(Uuid::from_u128(3));

fn requested() -> DispatchEvent {
    let created = DeliveryEvent::Created(Box::new(order()));
    let delivery = Delivery::fold(&[Occurrence::new(created, Timestamp::MIN)]).unwrap();
    DispatchEvent::MissionRequested(Box::new(MissionRequest::of(DELIVERY, &delivery, 1, 1)))
}

const fn stood_down(reason: StandDownReason) -> DispatchEvent {
    DispatchEvent::StandDownRequested {
        delivery: DELIVERY,
        reason,
    }
}

const REFUSED: DispatchEvent = DispatchEvent::MissionRefused { detail: None };

fn after(events: &[DispatchEvent]) -> Option<Dispatch> {
    events.iter().fold(None, |state, event| {
        Dispatch::evolve(state, &Occurrence::new(event.clone(), Timestamp::MIN))
    })
}

#[test]
fn a_request_says_all_that_a_fleet_needs_and_no_address() {
    let DispatchEvent::MissionRequested(request) = requested() else {
        panic!("it is a request")
    };
    let order = order();
    assert_eq!(request.pickup, order.plan.pickup.point);
    assert_eq!(request.dropoff, order.plan.dropoff.point);
    assert_eq!(
        (request.tag, request.mass),
        (order.package.tag, order.package.mass)
    );
    assert!(!request.is_at_hub);
}

#[test]
fn what_was_asked_and_answered_is_remembered() {
    let asked = after(&[requested()]).unwrap();
    assert!(asked.is_requested() && !asked.is_refused());
    assert!(after(&[requested(), REFUSED]).unwrap().is_refused());
    assert_eq!(after(&[REFUSED]), None, "nobody asked for it");
}

#[test]
fn the_first_reason_to_stand_a_mission_down_stays() {
    let twice = after(&[
        stood_down(StandDownReason::TwoDrones),
        stood_down(StandDownReason::Cancelled),
    ]);
    let dispatch = twice.unwrap();
    let stood_down = dispatch.stood_down().unwrap();
    assert_eq!(stood_down.reason, StandDownReason::TwoDrones);
    assert_eq!(stood_down.times, 2);
    assert!(!dispatch.is_requested(), "a fleet began it by itself");
}

#[test]
fn a_mission_is_asked_to_end_once_and_one_drone_too_many_each_time_that_it_shows_itself() {
    let asked = |reasons: &[StandDownReason]| {
        let events: Vec<_> = reasons.iter().map(|reason| stood_down(*reason)).collect();
        after(&events)
    };
    for reason in StandDownReason::ALL {
        assert!(is_to_be_asked(asked(&[]).as_ref(), *reason), "{reason}");
        let before = asked(&[StandDownReason::Replanned]);
        let is_again = *reason == StandDownReason::TwoDrones;
        assert_eq!(
            is_to_be_asked(before.as_ref(), *reason),
            is_again,
            "{reason}"
        );
    }
    let too_many = StandDownReason::TwoDrones;
    let often = vec![too_many; usize::from(STAND_DOWNS_MAX)];
    let [once_less @ .., _] = often.as_slice() else {
        panic!("it may be asked")
    };
    assert!(is_to_be_asked(asked(once_less).as_ref(), too_many));
    assert!(!is_to_be_asked(asked(&often).as_ref(), too_many));
}

#[test]
fn a_cancelled_delivery_stands_its_live_mission_down_if_it_has_one() {
    let cancelled = [DeliveryEvent::CancellationRequested {
        reason: CancelReason::Mistake,
        comment: None,
    }];
    assert_eq!(
        stand_downs(&cancelled, Some(LIVE), None),
        [(LIVE, StandDownReason::Cancelled)]
    );
    assert_eq!(stand_downs(&cancelled, None, None), []);
}

#[test]
fn only_who_was_replanned_away_is_stood_down_and_not_who_ended_by_itself() {
    let unassigned = |reason| DeliveryEvent::DroneUnassigned {
        mission: LIVE,
        reason,
        detail: None,
    };
    for reason in UnassignReason::ALL {
        let wanted = stand_downs(&[unassigned(*reason)], Some(LIVE), None);
        let is_replanned = *reason == UnassignReason::Replanned;
        assert_eq!(wanted.len(), usize::from(is_replanned), "{reason}");
    }
}

#[test]
fn a_drone_with_a_bad_package_is_stood_down_and_not_one_that_turned_back_by_itself() {
    let mission = LIVE;
    for reason in AttemptFailure::ALL {
        let failed = DeliveryEvent::AttemptFailed {
            mission,
            reason: *reason,
        };
        let wanted = stand_downs(&[failed], Some(LIVE), Some(LIVE));
        let turned_back = *reason == AttemptFailure::Undeliverable;
        let due = (!turned_back).then_some((LIVE, StandDownReason::AttemptFailed));
        assert_eq!(wanted, Vec::from_iter(due), "{reason}");
    }
}

#[test]
fn a_drone_that_reports_what_it_should_not_do_is_stood_down_unless_it_is_the_live_one() {
    let anomaly = |why| DeliveryEvent::AnomalyRecorded {
        fact: FactId::new("f").unwrap(),
        mission: OTHER,
        why,
    };
    let events = [anomaly(Anomaly::TwoDrones)];
    assert_eq!(
        stand_downs(&events, Some(LIVE), Some(OTHER)),
        [(OTHER, StandDownReason::TwoDrones)]
    );
    assert_eq!(stand_downs(&events, Some(LIVE), Some(LIVE)), []);
    let assigned_in_vain = [anomaly(Anomaly::WrongStatus)];
    assert_eq!(
        stand_downs(&assigned_in_vain, None, Some(OTHER)),
        [(OTHER, StandDownReason::NotWanted)]
    );
    let outside = [anomaly(Anomaly::OutsideDropoffRadius)];
    assert_eq!(stand_downs(&outside, None, Some(OTHER)), []);
}
