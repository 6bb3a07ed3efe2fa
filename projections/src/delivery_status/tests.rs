//! Tests of the delivery's status.

use domain::decider::Decider;
use domain::delivery::{Delivery, Ending, Failure, LoadVerdict, ReopenedAs, Reported};
use domain::id::{DroneId, FleetId};
use domain::stream::StreamName;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Asked, DeliveryStep, Happening, Service, delivery_life};
use crate::test_log::{Appending, TestLog, assigned, at, created, delivery, mission, order, user};

fn row(log: &TestLog, number: u128) -> DeliveryRow {
    let set = log.folded();
    let answering = set.view(&DeliveryStatus);
    let view = answering.read();
    super::delivery(&view.overlay(), delivery(number))
        .unwrap()
        .unwrap()
}

/// Of the steps of the newest mission, each as it was reached last.
fn times_of_newest_mission(delivery: &Delivery) -> Vec<(Milestone, Timestamp)> {
    let newest = delivery.mission().map(|mission| mission.assignment.mission);
    let reached = delivery.milestones().iter();
    let mut times = Vec::new();
    for reached in reached.filter(|reached| Some(reached.mission) == newest) {
        times.retain(|(milestone, _)| *milestone != reached.milestone);
        times.push((reached.milestone, reached.at));
    }
    times
}

proptest! {
    /// Law: after every single event the row of a delivery says what the domain's own fold says.
    #[test]
    fn a_row_agrees_with_the_domain(life in delivery_life(60)) {
        let create = DeliveryStep::Create { with_long_texts: false, named: true };
        let mut service = Service::new();
        for step in [create].into_iter().chain(life) {
            service.happen(&Happening::Delivery(0, step));
        }
        let mut log = TestLog::new();
        let set = log.unfolded();
        let mut folded = Delivery::initial();
        for occurrence in service.occurrences(0) {
            let part = Appending::new(StreamName::delivery(delivery(0)), None, [occurrence.clone()]);
            log.append(vec![part]);
            log.feed(&set);
            folded = Delivery::evolve(folded, &occurrence);
            let answering = set.view(&DeliveryStatus);
    let view = answering.read();
            let row = super::delivery(&view.overlay(), delivery(0)).unwrap().unwrap();
            let folded = folded.as_ref().unwrap();

            prop_assert_eq!(&row.order, folded.order());
            prop_assert_eq!(row.status, folded.status());
            prop_assert_eq!(row.condition, folded.condition());
            prop_assert_eq!(row.action_required, folded.action_required());
            prop_assert_eq!(row.deadline_missed, folded.is_deadline_missed());
            let confirmed = folded.confirmed();
            let confirmed = confirmed.map(|it| (it.kind, it.proof.clone(), it.at));
            prop_assert_eq!(row.confirmed.map(|it| (it.kind, it.proof, it.at)), confirmed);
            let eta = folded.eta().map(|it| (it.pickup_at, it.dropoff_at, it.computed_at));
            prop_assert_eq!(row.eta.map(|it| (it.pickup_at, it.dropoff_at, it.computed_at)), eta);
            prop_assert_eq!(row.attempt, folded.attempt());
            prop_assert_eq!(row.epoch, folded.epoch());
            prop_assert_eq!(row.revision, folded.revision());
            let newest = folded.mission().map(|mission| &mission.assignment);
            let shown = row.mission.as_ref();
            prop_assert_eq!(shown.map(|mission| mission.mission), newest.map(|a| a.mission));
            prop_assert_eq!(shown.map(|mission| &mission.drone), newest.map(|a| &a.drone));
            prop_assert_eq!(row.milestones.of_mission, times_of_newest_mission(folded));
        }
        prop_assert_eq!(folded.as_ref(), service.delivery(0));
    }
}

#[test]
fn an_order_too_large_for_a_value_is_kept_and_its_leftover_goes_when_it_shrinks() {
    let mut service = Service::new();
    let create = DeliveryStep::Create {
        with_long_texts: true,
        named: false,
    };
    service.happen(&Happening::Delivery(1, create));
    let large = row(&service.log, 1).order;
    assert_eq!(&large, service.delivery(1).unwrap().order());

    let mut log = TestLog::new();
    let mut plan = large.plan.clone();
    plan.pickup.address.clone_from(&plan.dropoff.address);
    let large = DeliveryEvent::Created(Box::new(Order {
        plan: plan.clone(),
        ..large
    }));
    let grown = DeliveryEvent::Rescheduled(Box::new(plan.clone()));
    let small = DeliveryEvent::Rescheduled(Box::new(order(user(1)).plan));
    log.delivery(delivery(1), user(1), [large]);
    let pieces = |log: &TestLog| {
        let set = log.folded();
        let of_delivery = Key::row().id(delivery(1).uuid().as_bytes()).prefix();
        let answering = set.view(&DeliveryStatus);
        let view = answering.read();
        let entries = view.overlay().scan(&of_delivery, Direction::Forward, 10);
        entries.unwrap().len() - 1
    };
    assert_eq!(pieces(&log), 2);
    log.delivery(delivery(1), user(1), [small]);
    assert_eq!(row(&log, 1).order.plan, order(user(1)).plan);
    assert_eq!(pieces(&log), 1);
    log.delivery(delivery(1), user(1), [grown]);
    assert_eq!(row(&log, 1).order.plan, plan);
    assert_eq!(pieces(&log), 2);

    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    assert_eq!(
        pieces(&log),
        0,
        "an order of the usual size lies in its row"
    );
}

#[test]
fn the_arrival_is_known_from_the_assignment_until_the_flight_ends_otherwise() {
    let mut log = TestLog::new();
    let (id, mission) = (delivery(1), mission(1));
    log.delivery(id, user(1), [created(user(1)), DeliveryEvent::Scheduled]);
    assert_eq!(row(&log, 1).eta, None);

    let computed_at = log.clock();
    log.delivery(id, user(1), [assigned(mission, 1, Some(at(600)))]);
    let eta = Eta {
        pickup_at: Some(at(600)),
        dropoff_at: Some(at(600)),
        computed_at,
    };
    assert_eq!(row(&log, 1).eta, Some(eta));

    let (tag, mass) = (None, None);
    log.delivery(
        id,
        user(1),
        [DeliveryEvent::PickedUp { mission, tag, mass }],
    );
    let loaded = Eta {
        pickup_at: None,
        ..eta
    };
    assert_eq!(row(&log, 1).eta, Some(loaded));

    let reason = domain::delivery::ReturnReason::DroneReturned;
    log.delivery(
        id,
        user(1),
        [DeliveryEvent::ReturnStarted { mission, reason }],
    );
    assert_eq!(row(&log, 1).eta, None);
}

#[test]
fn a_drone_that_turned_round_went_on_and_turns_round_again_does_so_since_the_last_time() {
    let report = |reported| DeliveryStep::Report {
        mission: 2,
        reported,
    };
    let life = [
        DeliveryStep::Create {
            with_long_texts: false,
            named: true,
        },
        report(Reported::Assigned {
            fleet: FleetId::new("pgh").unwrap(),
            drone: DroneId::new("M100-07").unwrap(),
            eta_pickup: None,
            eta_dropoff: None,
        }),
        DeliveryStep::Cancel,
        report(Reported::Loaded {
            verdict: LoadVerdict::Matches,
            tag: None,
            mass: None,
        }),
        report(Reported::Ended {
            how: Ending::Crashed,
            detail: None,
        }),
        DeliveryStep::Ask(Asked::Reopen(ReopenedAs::InTransit)),
        DeliveryStep::Ask(Asked::RequestReturn),
    ];
    let mut service = Service::new();
    for step in life {
        service.happen(&Happening::Delivery(1, step));
    }
    let turns = service.delivery(1).unwrap().milestones().iter();
    let turns = turns.filter(|step| step.milestone == Milestone::ReturnStarted);
    let turns: Vec<_> = turns.map(|step| step.at).collect();
    let [first, last] = turns[..] else {
        panic!("it turned round twice: {turns:?}");
    };
    assert!(first < last);
    let shown = row(&service.log, 1).milestones;
    assert_eq!(shown.at(Milestone::ReturnStarted), Some(last));
}

#[test]
fn a_misdelivery_and_a_package_left_on_board_want_somebody() {
    let mut log = TestLog::new();
    let (id, mission) = (delivery(1), mission(1));
    log.delivery(id, user(1), [created(user(1)), DeliveryEvent::Scheduled]);
    log.delivery(id, user(1), [assigned(mission, 1, None)]);
    assert!(!row(&log, 1).action_required);

    let place = domain::delivery::Stranding::OnBoard;
    log.delivery(id, user(1), [DeliveryEvent::Stranded { place }]);
    assert!(row(&log, 1).action_required);

    log.delivery(id, user(1), [DeliveryEvent::Returned { mission }]);
    assert!(!row(&log, 1).action_required, "it has come to an end");

    let id = delivery(2);
    let reason = Failure::Misdelivered;
    log.delivery(
        id,
        user(1),
        [created(user(1)), DeliveryEvent::Failed { mission, reason }],
    );
    assert!(row(&log, 2).action_required);
    assert_eq!(row(&log, 2).failure, Some(reason));
}

#[test]
fn a_row_tells_when_and_where_its_last_event_was_recorded() {
    let mut log = TestLog::new();
    log.user(
        user(1),
        [domain::user::UserEvent::UserCreated(
            crate::test_log::contact("ada"),
        )],
    );
    let (created_at, position) = (log.clock(), log.head());
    log.delivery(
        delivery(1),
        user(1),
        [created(user(1)), DeliveryEvent::Scheduled],
    );
    let row = row(&log, 1);
    assert_eq!(row.updated_at, created_at);
    assert_eq!(row.milestones.created_at, created_at);
    assert_eq!(row.milestones.scheduled_at, Some(created_at));
    assert_eq!(row.sequence, StreamVersion::new(2));
    assert_eq!(row.position, position.next());
}
