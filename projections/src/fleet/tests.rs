//! Tests of the fleet.

use domain::decider::Occurrence;
use domain::delivery::{Delivery, ReleaseMethod, ReopenCause, ReturnReason, Status};
use domain::id::FactId;
use domain::quantity::DistanceM;
use domain::session::ReceivedFact;
use domain::stream::StreamName;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Service, happenings};
use crate::test_log::{Appending, TestLog, assigned, at, created, delivery, mission, user};
use crate::view_set::ViewSet;

fn all_in(set: &ViewSet) -> Vec<DroneRow> {
    let answering = set.view(&Fleet);
    let view = answering.read();
    drones(&view.overlay(), None, usize::MAX).unwrap()
}

fn only(log: &TestLog) -> DroneRow {
    let mut drones = all_in(&log.folded());
    assert_eq!(drones.len(), 1, "{drones:?}");
    drones.remove(0)
}

proptest! {
    /// Law: a drone that flies flies for a delivery that says so, and does what
    /// that delivery does.
    #[test]
    fn a_drone_does_what_its_delivery_does(happenings in happenings(150)) {
        let service = Service::after(&happenings);
        for row in all_in(&service.log.folded()) {
            let Some(flight) = row.flight else { continue };
            let number = flight.delivery.uuid().as_u128() - delivery(0).uuid().as_u128();
            let state = service.delivery(number).unwrap();
            let live = &state.live_mission().unwrap().assignment;
            prop_assert_eq!(live.mission, flight.mission);
            prop_assert_eq!((&live.drone, &live.fleet), (&row.drone, &row.fleet));
            let status = state.status().word();
            prop_assert!(status == "cancelling" || status == row.activity.word(), "{}: {:?}", status, row);
        }
    }

    /// Law: which drone flies for a delivery is kept exactly as long as it does, or may again.
    #[test]
    fn what_flies_is_kept_as_long_as_it_flies_or_may_fly_on(happenings in happenings(150)) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        let answering = set.view(&Fleet);
        let view = answering.read();
        for number in 0..6 {
            let kept = view.overlay().get(&Key::index(FLYING).id(delivery(number).uuid().as_bytes())).unwrap();
            let kept = kept.map(|bytes| from_bytes::<StoredFlight>(&bytes).unwrap());
            let state = service.delivery(number);
            let status = state.map(Delivery::status);
            if matches!(status, Some(Status::Complete | Status::Returned)) {
                prop_assert_eq!(&kept, &None);
            }
            let live = state.and_then(|delivery| delivery.live_mission());
            let flies = kept.filter(|flight| !flight.is_over);
            prop_assert_eq!(flies, live.map(|mission| StoredFlight::of(&mission.assignment)));
        }
    }

    /// Law: pages of whatever length, one after the other, are all drones, each once.
    #[test]
    fn pages_put_together_are_the_fleet(happenings in happenings(60), limit in 1..3_usize) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        let answering = set.view(&Fleet);
        let view = answering.read();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = drones(&view.overlay(), after.as_ref(), limit).unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.drone.clone(), last.fleet.clone()));
            found.extend(page);
        }
        prop_assert_eq!(found, all_in(&set));
    }
}

fn flying(log: &mut TestLog, events: impl IntoIterator<Item = DeliveryEvent>) -> Position {
    log.delivery(delivery(1), user(1), events)
}

#[test]
fn a_drone_is_known_from_its_first_mission_on_and_free_again_after_it() {
    let mut log = TestLog::new();
    flying(&mut log, [created(user(1)), DeliveryEvent::Scheduled]);
    assert_eq!(all_in(&log.folded()), []);
    flying(&mut log, [assigned(mission(1), 1, None)]);
    let begun = only(&log);
    assert_eq!(
        (begun.activity, begun.since),
        (DroneActivity::Assigned, at(2))
    );
    assert_eq!(
        begun.flight,
        Some(Flight {
            mission: mission(1),
            delivery: delivery(1)
        })
    );
    flying(
        &mut log,
        [DeliveryEvent::HeadedToPickup {
            mission: mission(1),
        }],
    );
    // A drone of an older mission says nothing about the one that flies.
    flying(
        &mut log,
        [DeliveryEvent::ArrivedAtPickup {
            mission: mission(0),
        }],
    );
    let headed = only(&log);
    assert_eq!(
        (headed.activity, headed.since),
        (DroneActivity::HeadedToPickup, at(3))
    );
    flying(&mut log, [DeliveryEvent::Cancelled]);
    let free = only(&log);
    assert_eq!(
        (free.activity, free.since, free.flight),
        (DroneActivity::Free, at(5), None)
    );
    assert_eq!(free.known_since, begun.known_since);
}

#[test]
fn a_drone_flies_on_when_its_delivery_is_opened_again_unless_it_has_another() {
    let reopened = DeliveryEvent::Reopened {
        cause: ReopenCause::PickedUp,
        to: ReopenedAs::Returning,
        reason: None,
    };
    let ended = || {
        let mut log = TestLog::new();
        let begun = [created(user(1)), DeliveryEvent::Scheduled];
        flying(&mut log, begun);
        let flown = [assigned(mission(1), 1, None), DeliveryEvent::Cancelled];
        flying(&mut log, flown);
        log
    };
    let mut log = ended();
    flying(&mut log, [reopened.clone()]);
    let returning = only(&log);
    let flight = Flight {
        mission: mission(1),
        delivery: delivery(1),
    };
    assert_eq!(
        (returning.activity, returning.flight),
        (DroneActivity::Returning, Some(flight))
    );
    flying(
        &mut log,
        [DeliveryEvent::Returned {
            mission: mission(1),
        }],
    );
    assert_eq!(only(&log).activity, DroneActivity::Free);

    let mut log = ended();
    let another = [
        created(user(1)),
        DeliveryEvent::Scheduled,
        assigned(mission(2), 1, None),
    ];
    log.delivery(delivery(2), user(1), another);
    flying(&mut log, [reopened]);
    assert_eq!(only(&log).activity, DroneActivity::Assigned);
}

#[test]
fn a_drone_that_was_to_turn_round_and_lets_the_package_go_is_at_the_dropoff() {
    let mut log = TestLog::new();
    flying(&mut log, [created(user(1)), DeliveryEvent::Scheduled]);
    flying(&mut log, [assigned(mission(1), 1, None)]);
    let (mission, tag, mass) = (mission(1), None, None);
    flying(&mut log, [DeliveryEvent::PickedUp { mission, tag, mass }]);
    let reason = ReturnReason::Requested;
    flying(&mut log, [DeliveryEvent::ReturnStarted { mission, reason }]);
    assert_eq!(only(&log).activity, DroneActivity::Returning);
    let released = DeliveryEvent::Released {
        mission,
        method: ReleaseMethod::Winch,
        evidence: None,
        distance: DistanceM::new(3),
    };
    flying(&mut log, [released]);
    assert_eq!(only(&log).activity, DroneActivity::AtDropoff);
}

#[test]
fn a_drone_that_crashed_or_was_lost_is_said_to_be_until_it_flies_again() {
    let ends = [
        (
            DeliveryEvent::DroneUnassigned {
                mission: mission(1),
                reason: UnassignReason::Crashed,
                detail: None,
            },
            DroneActivity::Crashed,
        ),
        (
            DeliveryEvent::Failed {
                mission: mission(1),
                reason: Failure::DroneLost,
            },
            DroneActivity::Lost,
        ),
    ];
    for (end, activity) in ends {
        let mut log = TestLog::new();
        flying(
            &mut log,
            [created(user(1)), assigned(mission(1), 1, None), end],
        );
        let down = only(&log);
        assert_eq!((down.activity, down.flight), (activity, None));
        log.delivery(
            delivery(2),
            user(1),
            [created(user(1)), assigned(mission(2), 1, None)],
        );
        assert_eq!(only(&log).activity, DroneActivity::Assigned);
    }
}

fn sender(session: &str) -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new(session).unwrap(),
    }
}

fn said(log: &mut TestLog, session: &str, seq: u64) {
    let of = sender(session);
    let now = log.clock();
    let fact = ReceivedFact {
        seq,
        id: FactId::new(format!("fact-{seq}")).unwrap(),
        hash: [0; 16],
        kind: "departed".to_owned(),
        mission: None,
        event_time: now,
        received_at: now,
        skewed_time: None,
        data: b"{}".to_vec(),
    };
    let opened = (seq == 1).then(|| SessionEvent::SessionOpened(of.clone()));
    let events = opened
        .into_iter()
        .chain([SessionEvent::FactReceived(Box::new(fact))]);
    let events = events.map(|event| Occurrence::new(event, now));
    let stream = StreamName::drone_session(&of.fleet, &of.drone, &of.session);
    log.append(vec![Appending::new(stream, None, events)]);
}

#[test]
fn a_drone_that_only_spoke_is_known_with_its_newest_session() {
    let mut log = TestLog::new();
    said(&mut log, "0002", 1);
    said(&mut log, "0001", 1);
    said(&mut log, "0002", 2);
    let heard = only(&log);
    assert_eq!(heard.session, Some(sender("0002").session));
    assert_eq!(
        (heard.known_since, heard.fact_received_at),
        (at(1), Some(at(3)))
    );
    assert_eq!((heard.activity, heard.flight), (DroneActivity::Free, None));
}

#[test]
fn drones_of_one_name_are_told_apart_by_their_fleets_and_from_longer_names() {
    let mut log = TestLog::new();
    for (number, (fleet, drone)) in (1..).zip([("b", "x"), ("a", "x"), ("a", "x-1")]) {
        let DeliveryEvent::DroneAssigned(mut assignment) = assigned(mission(number), 1, None)
        else {
            unreachable!("it is an assignment");
        };
        assignment.fleet = FleetId::new(fleet).unwrap();
        assignment.drone = DroneId::new(drone).unwrap();
        let events = [created(user(1)), DeliveryEvent::DroneAssigned(assignment)];
        log.delivery(delivery(number), user(1), events);
    }
    let set = log.folded();
    let names = |rows: Vec<DroneRow>| {
        let names = rows
            .into_iter()
            .map(|row| format!("{}/{}", row.drone, row.fleet));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(all_in(&set)), ["x/a", "x/b", "x-1/a"]);
    let answering = set.view(&Fleet);
    let view = answering.read();
    let of_x = named(&view.overlay(), &DroneId::new("x").unwrap()).unwrap();
    assert_eq!(names(of_x), ["x/a", "x/b"]);
}
