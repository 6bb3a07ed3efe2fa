//! How tasks behave, in sentences and laws.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::decider::Occurrence;
use crate::delivery::arbitrary as any_delivery;
use crate::delivery::{
    Anomaly, Assignment, CancellationRefusal, Condition, Delivery, DeliveryCommand, DeliveryEvent,
    Failure, RejectReason, ReleaseMethod, ReopenCause, ReopenedAs, Stranding,
};
use crate::id::{DeliveryId, FactId, MissionId};
use crate::quantity::DistanceM;
use crate::scheduling::{Authorization, Deferral, Effect, Left, OperationEvent, Step};
use crate::session::{ParkReason, SessionEvent};
use crate::spec::{given, lived};
use crate::stream::{Category, StreamName};

const NOW: Timestamp = Timestamp::MIN;

fn delivery() -> StreamName {
    StreamName::delivery(DeliveryId::from_uuid(Uuid::from_u128(7)))
}

fn session() -> StreamName {
    StreamName {
        category: Category::DroneSession,
        key: Uuid::from_u128(7),
    }
}

fn task(version: u64) -> TaskId {
    TaskId::new(delivery(), version).unwrap()
}

fn acknowledge(stands: bool, note: Option<&str>) -> TaskCommand {
    TaskCommand::Acknowledge {
        task: task(3),
        stands,
        note: note.map(|note| note.parse().unwrap()),
        now: NOW,
    }
}

fn acknowledged(note: Option<&str>) -> TaskEvent {
    TaskEvent::TaskAcknowledged {
        task: task(3),
        note: note.map(|note| note.parse().unwrap()),
    }
}

#[test]
fn every_command_in_every_state_is_decided() {
    // Open, and its reason lasts.
    let seen_to = given::<Task>([])
        .when(acknowledge(true, Some("called the sender")))
        .then_events([acknowledged(Some("called the sender"))]);
    // Acknowledged, and its reason lasts: who said so first has said it.
    for again in [None, Some("called the sender")] {
        seen_to
            .clone()
            .when(acknowledge(true, again))
            .then_nothing();
    }
    // A note that would be lost is refused.
    let without_words = given::<Task>([])
        .when(acknowledge(true, None))
        .then_events([acknowledged(None)]);
    for was in [seen_to.clone(), without_words] {
        was.when(acknowledge(true, Some("so did I")))
            .then_rejected(TaskRejection::NoteStands);
    }
    // Whatever it was, without a reason there is no task.
    for was in [given::<Task>([]), seen_to] {
        was.when(acknowledge(false, None))
            .then_rejected(TaskRejection::NoSuchTask);
    }
}

#[test]
fn a_task_reads_back_from_its_own_text_and_from_no_other() {
    let id = "tsk_delivery-00000000-0000-0000-0000-000000000007-3";
    assert_eq!(task(3).to_string(), id);
    let of_session = TaskId::new(session(), u64::MAX).unwrap();
    for id in [task(3), of_session] {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    for text in [
        "",
        "tsk_",
        "delivery-00000000-0000-0000-0000-000000000007-3",
        "tsk_00000000-0000-0000-0000-000000000007-3",
        "tsk_user-00000000-0000-0000-0000-000000000007-3",
        "tsk_task-00000000-0000-0000-0000-000000000007-3",
        "tsk_delivery-00000000-0000-0000-0000-000000000007",
        "tsk_delivery-00000000-0000-0000-0000-000000000007-",
        "tsk_delivery-00000000-0000-0000-0000-000000000007-0",
        "tsk_delivery-00000000-0000-0000-0000-000000000007-03",
        "tsk_delivery-00000000-0000-0000-0000-000000000007-+3",
        "tsk_delivery-00000000-0000-0000-0000-00000000000A-3",
        "tsk_delivery-00000000000000000000000000000007-3",
        "tsk_delivery-00000000-0000-0000-0000-000000000007-18446744073709551616",
    ] {
        assert_eq!(text.parse::<TaskId>(), Err(InvalidTaskId), "{text:?}");
    }
}

#[test]
fn only_deliveries_drone_sessions_operations_and_refusals_have_tasks() {
    for category in Category::ALL {
        let key = Uuid::nil();
        let has_tasks = TaskId::new(StreamName { category, key }, 1).is_ok();
        let with_tasks = [
            Category::Delivery,
            Category::DroneSession,
            Category::Operation,
            Category::Refusals,
        ];
        let expected = with_tasks.contains(&category);
        assert_eq!(has_tasks, expected, "{category:?}");
    }
}

#[test]
fn no_two_tasks_share_a_stream() {
    let of_session = TaskId::new(session(), 3).unwrap();
    let streams = [task(3), task(4), of_session].map(StreamName::task);
    assert!(streams.iter().all(|name| name.category == Category::Task));
    assert_ne!(streams[0], streams[1]);
    assert_ne!(streams[0], streams[2]);
    assert_eq!(streams[0], StreamName::task(task(3)));
}

fn standing(turns: impl IntoIterator<Item = Option<TaskTurn>>) -> Vec<(u64, Matter)> {
    let turns = (1..)
        .zip(turns)
        .filter_map(|(version, turn)| Some((version, turn?)));
    let standing = turns.fold(StandingTasks::default(), |standing, (version, turn)| {
        standing.evolve(version, turn)
    });
    let all = standing.iter();
    all.map(|(version, matter)| (version, matter.clone()))
        .collect()
}

fn of_delivery(events: impl IntoIterator<Item = DeliveryEvent>) -> Vec<(u64, Matter)> {
    standing(events.into_iter().map(|it| TaskTurn::of_delivery(&it)))
}

fn of_session(events: impl IntoIterator<Item = SessionEvent>) -> Vec<(u64, Matter)> {
    standing(events.into_iter().map(|it| TaskTurn::of_session(&it)))
}

fn of_operation(events: impl IntoIterator<Item = OperationEvent>) -> Vec<(u64, Matter)> {
    standing(events.into_iter().map(|it| TaskTurn::of_operation(&it)))
}

fn put_off(effect: Effect, times: u32) -> Vec<OperationEvent> {
    let events = (1..=times).map(|attempt| OperationEvent::EffectDeferred {
        effect,
        attempt,
        why: Deferral::Unavailable,
        retry_at: NOW,
    });
    events.collect()
}

fn authorization() -> Authorization {
    Authorization::new("auth-1").unwrap()
}

fn fact() -> FactId {
    FactId::new("M100-07:1").unwrap()
}

fn anomaly(why: Anomaly) -> DeliveryEvent {
    DeliveryEvent::AnomalyRecorded {
        fact: fact(),
        mission: MissionId::from_uuid(Uuid::from_u128(1)),
        why,
    }
}

fn failed(reason: Failure) -> DeliveryEvent {
    let mission = MissionId::from_uuid(Uuid::nil());
    DeliveryEvent::Failed { mission, reason }
}

#[test]
fn what_cannot_be_was_looked_at_once_an_operator_says_how_the_delivery_ends() {
    let mission = MissionId::from_uuid(Uuid::nil());
    let reason = || "they rang".parse().unwrap();
    let complete = DeliveryEvent::DeliveryComplete {
        mission,
        method: None,
        evidence: None,
        distance: None,
    };
    let lost = Failure::PackageLost;
    let still_lost = vec![(4, Matter::Failed(lost))];
    for (word, end, stands) in [
        (
            DeliveryEvent::Vouched { reason: reason() },
            complete,
            vec![],
        ),
        (
            DeliveryEvent::HandedBack { reason: reason() },
            DeliveryEvent::Returned { mission },
            vec![],
        ),
        (
            DeliveryEvent::GivenUp { reason: reason() },
            failed(lost),
            still_lost,
        ),
    ] {
        let place = Stranding::OnBoard;
        let stranded = DeliveryEvent::Stranded { place };
        let life = [anomaly(Anomaly::TwoDrones), stranded, word, end];
        assert_eq!(of_delivery(life), stands);
    }
}

#[test]
fn what_cannot_be_stays_a_task_as_long_as_no_operator_ends_it() {
    let why = Anomaly::TwoDrones;
    let life = [
        DeliveryEvent::Scheduled,
        anomaly(why),
        failed(Failure::DroneLost),
    ];
    let odd = Matter::Anomaly { fact: fact(), why };
    let lost = Matter::Failed(Failure::DroneLost);
    assert_eq!(of_delivery(life), [(2, odd), (3, lost)]);
}

#[test]
fn a_delivery_has_one_task_of_its_own_until_it_comes_to_an_end() {
    let place = Stranding::OnBoard;
    let left = || DeliveryEvent::Stranded { place };
    let once = vec![(1, Matter::LeftOnBoard)];
    assert_eq!(of_delivery([left(), left()]), once);
    assert_eq!(of_delivery([left(), DeliveryEvent::Cancelled]), []);
    let misdelivered = failed(Failure::Misdelivered);
    let astray = vec![(2, Matter::Failed(Failure::Misdelivered))];
    assert_eq!(of_delivery([left(), misdelivered.clone()]), astray);
    assert_eq!(
        of_delivery([left(), misdelivered, failed(Failure::NoDrone)]),
        []
    );
}

#[test]
fn a_matter_of_another_kind_takes_the_place_of_the_one_that_stands() {
    let mission = MissionId::from_uuid(Uuid::nil());
    let down = || DeliveryEvent::ConditionChanged {
        mission,
        condition: Condition::Emergency,
    };
    let landed = [(1, Matter::EmergencyLanded)];
    assert_eq!(of_delivery([down(), down()]), landed, "the same once more");
    let overdue = DeliveryEvent::ConfirmationOverdue;
    assert_eq!(
        of_delivery([down(), overdue.clone()]),
        [(2, Matter::Unconfirmed)],
        "a task of its own, which nobody has acknowledged"
    );
    assert_eq!(of_delivery([down(), overdue, DeliveryEvent::Cancelled]), []);
}

#[test]
fn a_drone_that_was_asked_to_turn_round_is_no_task_once_it_has_the_package_and_others_are() {
    let stranded = |place| DeliveryEvent::Stranded { place };
    let too_late = || DeliveryEvent::CancellationRejected {
        why: CancellationRefusal::AlreadyPickedUp,
    };
    let not_stood_down = stranded(Stranding::WithSender);
    assert_eq!(
        of_delivery([not_stood_down.clone()]),
        [(1, Matter::NotStoodDown)]
    );
    assert_eq!(of_delivery([not_stood_down, too_late()]), []);
    let on_board = stranded(Stranding::OnBoard);
    assert_eq!(
        of_delivery([on_board, too_late()]),
        [(1, Matter::LeftOnBoard)]
    );
}

#[test]
fn a_package_said_to_be_left_on_board_is_no_task_before_it_was_waited_for() {
    let said = || anomaly(Anomaly::EndedWithPackage);
    assert_eq!(of_delivery([said()]), []);
    let place = Stranding::OnBoard;
    let stranded = DeliveryEvent::Stranded { place };
    assert_eq!(of_delivery([said(), stranded]), [(2, Matter::LeftOnBoard)]);
}

#[test]
fn a_package_that_is_left_at_a_hub_is_a_task_until_a_drone_comes_and_no_other_is() {
    let mission = MissionId::from_uuid(Uuid::nil());
    let stranded = |place| DeliveryEvent::Stranded { place };
    let assigned = || {
        DeliveryEvent::DroneAssigned(Assignment {
            mission,
            fleet: "pgh".parse().unwrap(),
            drone: "M100-07".parse().unwrap(),
            epoch: 2,
            eta_pickup: None,
            eta_dropoff: None,
        })
    };
    let waits = stranded(Stranding::AtHub);
    assert_eq!(of_delivery([waits.clone()]), [(1, Matter::LeftAtHub)]);
    assert_eq!(of_delivery([waits.clone(), assigned()]), []);
    assert_eq!(
        of_delivery([waits.clone(), DeliveryEvent::Returned { mission }]),
        []
    );
    let undeliverable = Failure::Undeliverable;
    assert_eq!(
        of_delivery([waits, failed(undeliverable)]),
        [(2, Matter::Failed(undeliverable))]
    );
    let left = stranded(Stranding::OnBoard);
    assert_eq!(
        of_delivery([left, assigned()]),
        [(1, Matter::LeftOnBoard)],
        "another drone does not have it"
    );
}

#[test]
fn a_drone_that_came_down_and_a_package_that_nobody_confirms_are_tasks_until_that_is_settled() {
    let mission = MissionId::from_uuid(Uuid::nil());
    let down = || DeliveryEvent::ConditionChanged {
        mission,
        condition: Condition::Emergency,
    };
    assert_eq!(of_delivery([down()]), [(1, Matter::EmergencyLanded)]);
    let returned = DeliveryEvent::Returned { mission };
    assert_eq!(of_delivery([down(), returned]), []);
    let overdue = DeliveryEvent::ConfirmationOverdue;
    assert_eq!(of_delivery([overdue]), [(1, Matter::Unconfirmed)]);
}

#[test]
fn a_package_that_was_let_go_at_the_right_place_is_nobodys_matter_whatever_was_before() {
    let mission = MissionId::from_uuid(Uuid::nil());
    let stranded = |place| DeliveryEvent::Stranded { place };
    let condition = Condition::Emergency;
    for before in [
        stranded(Stranding::OnBoard),
        stranded(Stranding::UnderWay),
        DeliveryEvent::ConditionChanged { mission, condition },
    ] {
        let released = DeliveryEvent::Released {
            mission,
            method: ReleaseMethod::Winch,
            evidence: None,
            distance: DistanceM::new(3),
        };
        assert_eq!(of_delivery([before.clone(), released.clone()]), []);
        assert_eq!(
            of_delivery([before, released, DeliveryEvent::ConfirmationOverdue]),
            [(3, Matter::Unconfirmed)]
        );
    }
}

#[test]
fn a_life_that_goes_on_settles_its_bad_end() {
    let reopened = DeliveryEvent::Reopened {
        cause: ReopenCause::DroneReturned,
        to: ReopenedAs::Returning,
        reason: None,
    };
    assert_eq!(of_delivery([failed(Failure::DroneLost), reopened]), []);
}

#[test]
fn a_fact_that_was_given_up_is_one_task_until_it_is_applied() {
    let why = ParkReason::UnknownMission;
    let given_up = |seq| SessionEvent::DeadLettered { seq, why };
    let applied = |seq| SessionEvent::FactUnparked { seq };
    let letter = |seq| Matter::DeadLetter { seq, why };
    assert_eq!(
        of_session([given_up(1), given_up(2), given_up(1)]),
        [(2, letter(2)), (3, letter(1))]
    );
    assert_eq!(
        of_session([given_up(1), given_up(2), applied(1), applied(3)]),
        [(2, letter(2))]
    );
}

#[test]
fn an_operation_is_stuck_from_the_tenth_time_in_a_row_until_it_goes_on() {
    let effect = Effect::AuthorizePayment;
    assert_eq!(of_operation(put_off(effect, PUT_OFF_MAX - 1)), []);
    let stuck = Matter::OperationStuck { effect };
    for times in [PUT_OFF_MAX, PUT_OFF_MAX + 1, 2 * PUT_OFF_MAX] {
        let expected = vec![(u64::from(PUT_OFF_MAX), stuck.clone())];
        assert_eq!(of_operation(put_off(effect, times)), expected, "{times}");
    }
    let authorization = authorization();
    let goes_on = [
        OperationEvent::PaymentAuthorized {
            authorization: authorization.clone(),
        },
        OperationEvent::PaymentDenied {
            reason: RejectReason::PaymentDeclined,
        },
        OperationEvent::PaymentVoided { authorization },
        OperationEvent::StepFailed {
            step: Step::Payment,
            reason: RejectReason::PaymentUnavailable,
        },
        OperationEvent::ProcessEnded,
    ];
    for event in goes_on {
        let mut life = put_off(effect, PUT_OFF_MAX);
        life.push(event.clone());
        assert_eq!(of_operation(life.clone()), [], "{event:?}");
        // What was put off before counts no more, and what is put off from then on does.
        life.extend(put_off(Effect::VoidPayment, PUT_OFF_MAX - 1));
        assert_eq!(of_operation(life.clone()), [], "{event:?}");
        life.extend(put_off(Effect::VoidPayment, 1));
        let effect = Effect::VoidPayment;
        let again = vec![(21, Matter::OperationStuck { effect })];
        assert_eq!(of_operation(life), again, "{event:?}");
    }
    // An attempt that is made and a moment that is waited for are no way on.
    let mut life = put_off(effect, PUT_OFF_MAX);
    life.push(OperationEvent::DeadlineSet { at: None });
    assert_eq!(of_operation(life).len(), 1);
}

#[test]
fn an_authorization_that_is_not_taken_back_stays_a_task_whatever_comes() {
    let authorization = authorization();
    let refused = OperationEvent::VoidRefused {
        authorization: authorization.clone(),
    };
    let mut life = put_off(Effect::VoidPayment, PUT_OFF_MAX);
    life.extend([refused, OperationEvent::ProcessEnded]);
    assert_eq!(
        of_operation(life),
        [(11, Matter::Left(Left::Authorization(authorization)))]
    );
}

#[test]
fn what_an_operation_leaves_to_a_person_stays_a_task_whatever_comes() {
    let [delivery, with] = [1, 2].map(|number| DeliveryId::from_uuid(Uuid::from_u128(number)));
    let shared = Left::SharedPackage { delivery, with };
    for (event, left) in [
        (OperationEvent::PaymentLeftUnknown, Left::UnknownPayment),
        (OperationEvent::FlightUnpaid, Left::UnpaidFlight),
        (shared.clone().event(), shared),
    ] {
        let mut life = put_off(Effect::AuthorizePayment, PUT_OFF_MAX);
        let authorization = authorization();
        life.extend([event, OperationEvent::PaymentAuthorized { authorization }]);
        life.push(OperationEvent::ProcessEnded);
        assert_eq!(of_operation(life), [(11, Matter::Left(left))]);
    }
}

/// Whether a delivery's events leave it a task of its own, one that no single fact is about.
fn own_task(events: &[Occurrence<DeliveryEvent>]) -> Option<Matter> {
    let standing = of_delivery(events.iter().map(|it| it.event.clone()));
    let mut matters = standing.into_iter().map(|(_, matter)| matter);
    matters.find(|matter| !matches!(matter, Matter::Anomaly { .. }))
}

/// What a life comes by after each of its events: whether it needs somebody, and its own task.
fn needs_and_tasks(life: &[DeliveryCommand]) -> Vec<(bool, Option<Matter>)> {
    let events = lived::<Delivery>(life);
    let moments = (1..=events.len()).map(|so_far| &events[..so_far]);
    let both = moments.map(|so_far| {
        let needs_somebody = Delivery::fold(so_far).unwrap().action_required();
        (needs_somebody, own_task(so_far))
    });
    both.collect()
}

#[test]
fn the_random_lives_reach_every_task_that_is_a_deliverys_own() {
    let mut runner = TestRunner::deterministic();
    let matters: Vec<_> = (0..4_000)
        .flat_map(|_| {
            let life = any_delivery::life().new_tree(&mut runner).unwrap();
            needs_and_tasks(&life.current())
        })
        .filter_map(|(_, matter)| matter)
        .collect();
    for matter in [
        Matter::LeftOnBoard,
        Matter::LeftAtHub,
        Matter::NotStoodDown,
        Matter::EmergencyLanded,
        Matter::Unconfirmed,
        Matter::Failed(Failure::PackageLost),
    ] {
        assert!(matters.contains(&matter), "{matter:?}");
    }
}

fn any_command() -> impl Strategy<Value = TaskCommand> {
    (any_task(), any::<bool>(), any_of::comment(), any_of::time()).prop_map(
        |(task, stands, note, now)| TaskCommand::Acknowledge {
            task,
            stands,
            note,
            now,
        },
    )
}

fn any_task() -> impl Strategy<Value = TaskId> {
    (
        any_of::word(&[
            Category::Delivery,
            Category::DroneSession,
            Category::Operation,
            Category::Refusals,
        ]),
        any_of::uuid(),
        1..=u64::MAX,
    )
        .prop_map(|(category, key, version)| {
            TaskId::new(StreamName { category, key }, version).unwrap()
        })
}

proptest! {
    #[test]
    fn a_delivery_needs_somebody_exactly_while_it_has_a_task_of_its_own(
        life in any_delivery::life(),
    ) {
        for (needs_somebody, task) in needs_and_tasks(&life) {
            prop_assert_eq!(needs_somebody, task.is_some(), "{:?}", task);
        }
    }

    #[test]
    fn the_laws_of_a_decider_hold_for_tasks(life in prop::collection::vec(any_command(), 0..20)) {
        prop_assert!(lived::<Task>(&life).len() <= 1);
    }

    #[test]
    fn what_is_stored_is_read_back(task in any_task(), note in any_of::comment()) {
        let event = TaskEvent::TaskAcknowledged { task, note };
        let stored = event.encode();
        prop_assert_eq!(TaskEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(event));
    }
}
