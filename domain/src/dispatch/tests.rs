//! What is asked of Drone Management, in sentences.

use uuid::Uuid;

use super::*;
use crate::decider::{Decider as _, Occurrence};
use crate::delivery::tests::order;
use crate::delivery::{Assignment, CancelReason, Delivery};
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
fn the_newest_reason_to_stand_a_mission_down_counts_and_how_often_it_was_told() {
    let [too_many, cancelled] = [StandDownReason::TwoDrones, StandDownReason::Cancelled];
    let told = asked(&[too_many, too_many, cancelled]).unwrap();
    let stood_down = told.stood_down().unwrap();
    assert_eq!((stood_down.reason, stood_down.times), (cancelled, 1));
    assert_eq!(stood_down.in_all, 3);
    assert!(!told.is_requested(), "a fleet began it by itself");
    let again = asked(&[too_many, cancelled, cancelled]).unwrap();
    assert_eq!(again.stood_down().unwrap().times, 2);
}

fn asked(reasons: &[StandDownReason]) -> Option<Dispatch> {
    let events: Vec<_> = reasons.iter().map(|reason| stood_down(*reason)).collect();
    after(&events)
}

#[test]
fn each_new_reason_to_end_is_told_once_and_who_is_not_wanted_each_time_that_it_shows_itself() {
    let each_time = [StandDownReason::TwoDrones, StandDownReason::NotWanted];
    for reason in StandDownReason::ALL {
        let wanted = Some(*reason);
        let told = |before: &[_]| reason_to_ask(asked(before).as_ref(), wanted);
        assert_eq!(told(&[]), wanted, "{reason}");
        let is_again = each_time.contains(reason);
        assert_eq!(told(&[*reason]), wanted.filter(|_| is_again), "{reason}");
        for before in StandDownReason::ALL.iter().filter(|it| *it != reason) {
            assert_eq!(told(&[*before]), wanted, "{before}, then {reason}");
            let often = [*before; STAND_DOWNS_MAX as usize];
            let [once_less @ .., _] = often.as_slice() else {
                panic!("it may be asked")
            };
            assert_eq!(told(once_less), wanted, "{reason}");
            assert_eq!(told(&often), None, "{reason}");
        }
    }
}

#[test]
fn a_mission_that_is_taken_is_asked_to_end_once_more_if_it_was_asked_before() {
    let taken = |before: &[_]| reason_to_ask(asked(before).as_ref(), None);
    assert_eq!(taken(&[]), None);
    for reason in StandDownReason::ALL {
        assert_eq!(taken(&[StandDownReason::TwoDrones, *reason]), Some(*reason));
        assert_eq!(taken(&[*reason; STAND_DOWNS_MAX as usize]), None);
    }
    let assigned = DeliveryEvent::DroneAssigned(Assignment {
        mission: LIVE,
        fleet: "pgh".parse().unwrap(),
        drone: "M100-07".parse().unwrap(),
        epoch: 1,
        eta_pickup: None,
        eta_dropoff: None,
    });
    assert_eq!(stand_downs(&[assigned], None, Some(LIVE)), [(LIVE, None)]);
}

#[test]
fn a_cancelled_delivery_stands_its_live_mission_down_if_it_has_one() {
    let cancelled = [DeliveryEvent::CancellationRequested {
        reason: CancelReason::Mistake,
        comment: None,
    }];
    assert_eq!(
        stand_downs(&cancelled, Some(LIVE), None),
        [(LIVE, Some(StandDownReason::Cancelled))]
    );
    assert_eq!(stand_downs(&cancelled, None, None), []);
}

#[test]
fn a_delivery_that_ends_by_a_persons_word_stands_its_live_mission_down_if_it_has_one() {
    let reason = || "they called".parse().unwrap();
    let words = [
        DeliveryEvent::GivenUp { reason: reason() },
        DeliveryEvent::HandedBack { reason: reason() },
        DeliveryEvent::Vouched { reason: reason() },
    ];
    for word in words {
        let word = [word];
        let not_wanted = [(LIVE, Some(StandDownReason::NotWanted))];
        assert_eq!(stand_downs(&word, Some(LIVE), None), not_wanted);
        assert_eq!(stand_downs(&word, None, None), []);
    }
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
        let due = (!turned_back).then_some((LIVE, Some(StandDownReason::AttemptFailed)));
        assert_eq!(wanted, Vec::from_iter(due), "{reason}");
    }
}

#[test]
fn a_drone_that_is_to_bring_a_package_back_is_told_why_and_not_one_that_turned_round_by_itself() {
    for reason in ReturnReason::ALL {
        let (mission, told) = match reason {
            ReturnReason::Requested | ReturnReason::Cancelled => {
                (LIVE, Some(StandDownReason::ReturnRequested))
            }
            ReturnReason::DroneReturned
            | ReturnReason::MissionAborted
            | ReturnReason::Undeliverable
            | ReturnReason::Diverted => (LIVE, None),
        };
        let reason = *reason;
        let turned = [DeliveryEvent::ReturnStarted { mission, reason }];
        let due = told.map(|told| (LIVE, Some(told)));
        assert_eq!(
            stand_downs(&turned, Some(LIVE), None),
            Vec::from_iter(due),
            "{reason}"
        );
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
        [(OTHER, Some(StandDownReason::TwoDrones))]
    );
    assert_eq!(stand_downs(&events, Some(LIVE), Some(LIVE)), []);
    let assigned_in_vain = [anomaly(Anomaly::WrongStatus)];
    assert_eq!(
        stand_downs(&assigned_in_vain, None, Some(OTHER)),
        [(OTHER, Some(StandDownReason::NotWanted))]
    );
    let outside = [anomaly(Anomaly::OutsideDropoffRadius)];
    assert_eq!(stand_downs(&outside, None, Some(OTHER)), []);
}
