//! Tests of what needs a person.

use std::collections::BTreeSet;

use domain::decider::Occurrence;
use domain::delivery::{Condition, DeliveryEvent, Failure, Stranding};
use domain::id::{DeliveryId, OperationId};
use domain::scheduling::{Authorization, Effect, Left, OperationEvent};
use domain::session::SessionEvent;
use eventstore::{Budget, EventStore, Filter};
use proptest::prelude::*;

use super::*;
use crate::any_log::{Service, happenings, put_off};
use crate::delivery_status::{self, DeliveryStatus};
use crate::test_log::{Appending, TestLog, at, created, delivery, mission, user};
use crate::view_store::NoTree;

/// All tasks of a status that a view has, in pages of so many.
fn in_pages(log: &TestLog, status: Option<TaskStatus>, limit: usize) -> Vec<Task> {
    let set = log.folded();
    let answering = set.view(&Tasks);
    let view = answering.read();
    let (mut tasks, mut after) = (Vec::new(), None);
    loop {
        let query = TasksQuery {
            status,
            kind: None,
            after,
            limit,
        };
        let page = page(&view.overlay(), query).unwrap();
        assert!(page.items.len() <= limit);
        tasks.extend(page.items);
        after = page.next;
        if after.is_none() {
            return tasks;
        }
    }
}

fn standing_in(log: &TestLog) -> Vec<Task> {
    in_pages(log, None, TASKS_PER_PAGE_MAX)
}

fn open_in(log: &TestLog) -> Vec<Task> {
    in_pages(log, Some(TaskStatus::Open), TASKS_PER_PAGE_MAX)
}

fn stream_of(id: DeliveryId) -> StreamName {
    StreamName::delivery(id)
}

proptest! {
    /// Law: a delivery has a task of its own exactly as long as somebody has to look after it.
    #[test]
    fn a_delivery_has_a_task_as_long_as_it_is_to_be_looked_after(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let mut own: Vec<StreamName> = standing_in(&service.log)
            .into_iter()
            .filter(|task| task.kind() == TaskKind::ActionRequired)
            .map(|task| task.id.subject())
            .collect();
        own.sort_unstable();
        let set = service.log.folded();
        let answering = set.view(&DeliveryStatus);
        let view = answering.read();
        let expected: Vec<StreamName> = (0..6)
            .filter_map(|number| delivery_status::delivery(&view.overlay(), delivery(number)).unwrap())
            .filter(|row| row.action_required)
            .map(|row| stream_of(row.id))
            .collect();
        prop_assert_eq!(own, expected);
    }

    /// Law: every anomaly is a task, once, until an operator says how the delivery ends; but for
    /// that of a package left on board, which is waited for first.
    #[test]
    fn every_anomaly_is_a_task(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let mut expected = BTreeSet::new();
        for number in 0..6 {
            let occurrences = service.occurrences(number);
            let is_looked_at = |it: &Occurrence<DeliveryEvent>| {
                TaskTurn::of_delivery(&it.event) == Some(TaskTurn::LookedAt)
            };
            let after = occurrences.iter().rposition(is_looked_at).map_or(0, |place| place + 1);
            for occurrence in occurrences.into_iter().skip(after) {
                if let DeliveryEvent::AnomalyRecorded { fact, why, .. } = occurrence.event
                    && why != Anomaly::EndedWithPackage
                {
                    expected.insert((stream_of(delivery(number)), fact));
                }
            }
        }
        let tasks = standing_in(&service.log).into_iter();
        let found: Vec<_> = tasks
            .filter_map(|task| match task.matter {
                Matter::Anomaly { fact, .. } => Some((task.id.subject(), fact)),
                Matter::LeftOnBoard
                | Matter::LeftAtHub
                | Matter::NotStoodDown
                | Matter::EmergencyLanded
                | Matter::Unconfirmed
                | Matter::Failed(_)
                | Matter::DeadLetter { .. }
                | Matter::RefusedMessage { .. }
                | Matter::OperationStuck { .. }
                | Matter::Left(_) => None,
            })
            .collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    /// Law: the list has exactly the tasks that stand by the domain's own fold of
    /// every stream; those that somebody has seen to, and no others, are acknowledged.
    #[test]
    fn the_list_is_what_the_domain_says(happenings in happenings(200), limit in 1..20_usize) {
        let service = Service::after(&happenings);
        let mut expected: Vec<_> = service.standing_tasks();
        let mut listed: Vec<_> = in_pages(&service.log, None, limit)
            .into_iter()
            .map(|task| (task.id, task.matter, task.acknowledgement.is_some()))
            .collect();
        expected.sort_by_key(|(id, ..)| *id);
        listed.sort_by_key(|(id, ..)| *id);
        prop_assert_eq!(listed, expected);
    }

    /// Law: what one status lists and what the other does are together what is
    /// listed of all, in its order; and a task asked for by its name is as listed.
    #[test]
    fn a_task_is_as_listed_under_its_status_and_by_its_name(happenings in happenings(120), limit in 1..20_usize) {
        let log = Service::after(&happenings).log;
        let all = in_pages(&log, None, limit);
        for status in [TaskStatus::Open, TaskStatus::Acknowledged] {
            let of_status: Vec<_> = all.iter().filter(|task| task.status() == status).cloned().collect();
            prop_assert_eq!(in_pages(&log, Some(status), limit), of_status);
        }
        for listed in &all {
            let by_name = task(&*log.store, listed.id).unwrap();
            prop_assert_eq!(by_name.as_ref(), Some(listed));
        }
        let names: BTreeSet<_> = all.iter().map(|task| task.id).collect();
        for version in 1..40 {
            let id = TaskId::new(stream_of(delivery(0)), version).unwrap();
            prop_assert_eq!(task(&*log.store, id).unwrap().is_some(), names.contains(&id));
        }
    }

    /// Law: whichever of its two streams is folded first, a task is the same.
    #[test]
    fn it_does_not_matter_which_stream_is_folded_first(happenings in happenings(80)) {
        let log = Service::after(&happenings).log;
        let everything = Budget { records_max: usize::MAX, bytes_max: usize::MAX };
        let records = log.store.read_all(Position::START, &Filter::everything(), everything).unwrap().records;
        let folded = |of_tasks_first: bool| {
            let mut view = Overlay::new(&NoTree);
            for is_first in [true, false] {
                for record in records.iter().filter(|record| Tasks.wants(record)) {
                    let is_of_task = record.stream.category.get() == Category::Task.number();
                    if (is_of_task == of_tasks_first) == is_first {
                        Tasks.project(&mut view, record, &Facts::of(record)).unwrap();
                    }
                }
            }
            let written = view.into_writes().into_iter();
            written.filter_map(|(key, value, _)| Some((key, value?))).collect::<Vec<_>>()
        };
        prop_assert_eq!(folded(true), folded(false));
    }
}

fn anomaly(why: Anomaly) -> DeliveryEvent {
    let fact = FactId::new("fact-1").unwrap();
    DeliveryEvent::AnomalyRecorded {
        fact,
        mission: mission(1),
        why,
    }
}

fn failed(reason: Failure) -> DeliveryEvent {
    DeliveryEvent::Failed {
        mission: mission(1),
        reason,
    }
}

#[test]
fn a_task_bears_the_event_that_made_it_one_and_the_newest_comes_first() {
    let mut log = TestLog::new();
    log.delivery(
        delivery(1),
        user(1),
        [created(user(1)), anomaly(Anomaly::TwoDrones)],
    );
    log.delivery(delivery(1), user(1), [failed(Failure::Misdelivered)]);
    let open = open_in(&log);
    let [second, first] = open.as_slice() else {
        panic!("two tasks: {open:?}");
    };
    assert_eq!((first.id.version(), first.since), (2, at(1)));
    assert_eq!(
        (second.id.version(), &second.matter),
        (3, &Matter::Failed(Failure::Misdelivered))
    );
    assert_eq!(second.id.subject(), stream_of(delivery(1)));
}

#[test]
fn a_package_left_on_board_is_one_task_until_the_delivery_ends() {
    let mut log = TestLog::new();
    let place = Stranding::OnBoard;
    let left = || DeliveryEvent::Stranded { place };
    log.delivery(delivery(1), user(1), [created(user(1)), left(), left()]);
    log.delivery(delivery(1), user(1), [left()]);
    assert_eq!(open_in(&log).len(), 1);
    log.delivery(delivery(1), user(1), [failed(Failure::NoDrone)]);
    assert_eq!(open_in(&log), []);
}

#[test]
fn an_operator_who_ends_a_delivery_closes_all_its_tasks_and_no_other_ones() {
    let mut log = TestLog::new();
    for number in [1, 2] {
        let odd = [
            created(user(1)),
            anomaly(Anomaly::TwoDrones),
            anomaly(Anomaly::WrongStatus),
            DeliveryEvent::Stranded {
                place: Stranding::OnBoard,
            },
        ];
        log.delivery(delivery(number), user(1), odd);
    }
    let reason = "the sender has it".parse().unwrap();
    let handed_back = [
        DeliveryEvent::HandedBack { reason },
        DeliveryEvent::Returned {
            mission: mission(1),
        },
    ];
    log.delivery(delivery(1), user(1), handed_back);
    let of: Vec<_> = open_in(&log).iter().map(|task| task.id.subject()).collect();
    assert_eq!(of, [stream_of(delivery(2)); 3]);
}

#[test]
fn a_dead_letter_is_a_task_until_it_is_applied() {
    let mut log = TestLog::new();
    let session = StreamName {
        category: Category::DroneSession,
        key: mission(1).uuid(),
    };
    let append = |log: &mut TestLog, event: SessionEvent| {
        log.append(vec![Appending::new(
            session,
            None,
            [Occurrence::new(event, at(0))],
        )]);
    };
    let why = ParkReason::UnknownDelivery;
    append(&mut log, SessionEvent::DeadLettered { seq: 7, why });
    append(&mut log, SessionEvent::FactUnparked { seq: 8 });
    let open = open_in(&log);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].matter, Matter::DeadLetter { seq: 7, why });
    append(&mut log, SessionEvent::FactUnparked { seq: 7 });
    assert_eq!(open_in(&log), []);
}

fn acknowledge(log: &mut TestLog, task: TaskId, note: &str) {
    let note = note.parse().ok();
    let event = TaskEvent::TaskAcknowledged { task, note };
    let said = [Occurrence::new(event, at(0))];
    log.append(vec![Appending::new(StreamName::task(task), None, said)]);
}

#[test]
fn a_task_that_somebody_has_seen_to_is_not_open_and_says_who_and_what() {
    let mut log = TestLog::new();
    let odd = [created(user(1)), anomaly(Anomaly::TwoDrones)];
    log.delivery(delivery(1), user(1), odd);
    let id = open_in(&log)[0].id;
    acknowledge(&mut log, id, "both are back");
    acknowledge(&mut log, id, "so I heard");
    assert_eq!(open_in(&log), []);
    let seen_to = in_pages(&log, Some(TaskStatus::Acknowledged), 1);
    let expected = Acknowledgement {
        at: at(2),
        by: "customer:ada".to_owned(),
        note: "both are back".parse().ok(),
    };
    assert_eq!(seen_to.len(), 1);
    assert_eq!(
        (seen_to[0].id, &seen_to[0].acknowledgement),
        (id, &Some(expected))
    );
}

#[test]
fn a_task_that_somebody_has_seen_to_goes_when_its_reason_does_and_a_new_one_is_open() {
    let mut log = TestLog::new();
    let place = Stranding::OnBoard;
    let left = [created(user(1)), DeliveryEvent::Stranded { place }];
    log.delivery(delivery(1), user(1), left);
    let id = open_in(&log)[0].id;
    acknowledge(&mut log, id, "on my way");
    assert_eq!(standing_in(&log).len(), 1);
    log.delivery(delivery(1), user(1), [failed(Failure::Misdelivered)]);
    let standing = standing_in(&log);
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].status(), TaskStatus::Open);
    assert_eq!(task(&*log.store, id), Ok(None));
}

#[test]
fn a_matter_of_another_kind_is_open_although_the_one_before_was_seen_to() {
    let mut log = TestLog::new();
    let down = || DeliveryEvent::ConditionChanged {
        mission: mission(1),
        condition: Condition::Emergency,
    };
    log.delivery(delivery(1), user(1), [created(user(1)), down()]);
    let landed = open_in(&log)[0].id;
    acknowledge(&mut log, landed, "it took off again");
    log.delivery(delivery(1), user(1), [down()]);
    assert_eq!(open_in(&log), [], "the same once more");
    let overdue = DeliveryEvent::ConfirmationOverdue;
    log.delivery(delivery(1), user(1), [overdue]);
    let standing = standing_in(&log);
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].matter, Matter::Unconfirmed);
    assert_eq!(standing[0].status(), TaskStatus::Open);
    assert_eq!(task(&*log.store, landed), Ok(None));
    log.delivery(delivery(1), user(1), [failed(Failure::NoDrone)]);
    assert_eq!(standing_in(&log), []);
}

#[test]
fn an_operation_that_is_put_off_ten_times_is_one_task_until_it_goes_on() {
    let mut log = TestLog::new();
    let operation = StreamName::operation(OperationId::from_uuid(mission(1).uuid()));
    let append = |log: &mut TestLog, events: Vec<OperationEvent>| {
        let events = events
            .into_iter()
            .map(|event| Occurrence::new(event, at(0)));
        log.append(vec![Appending::new(operation, None, events)]);
    };
    let effect = Effect::AuthorizePayment;
    append(&mut log, put_off(effect, 9));
    assert_eq!(standing_in(&log), []);
    append(&mut log, put_off(effect, 3));
    let open = open_in(&log);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].matter, Matter::OperationStuck { effect });
    assert_eq!(
        (open[0].id.subject(), open[0].id.version()),
        (operation, 10)
    );
    assert_eq!(open[0].kind(), TaskKind::Operation);
    let authorization = Authorization::new("auth-1").unwrap();
    let refused = OperationEvent::VoidRefused {
        authorization: authorization.clone(),
    };
    append(&mut log, vec![refused]);
    append(&mut log, vec![OperationEvent::ProcessEnded]);
    let open = open_in(&log);
    assert_eq!(open.len(), 1);
    assert_eq!(
        open[0].matter,
        Matter::Left(Left::Authorization(authorization))
    );
}

#[test]
fn the_last_page_of_tasks_says_so() {
    let mut log = TestLog::new();
    log.delivery(
        delivery(1),
        user(1),
        [
            created(user(1)),
            anomaly(Anomaly::TwoDrones),
            anomaly(Anomaly::WrongStatus),
        ],
    );
    let set = log.folded();
    let answering = set.view(&Tasks);
    let view = answering.read();
    let ask = |after| {
        let query = TasksQuery {
            status: None,
            kind: None,
            after,
            limit: 1,
        };
        page(&view.overlay(), query).unwrap()
    };
    let first = ask(None);
    let second = ask(first.next);
    assert_eq!(
        (first.items[0].id.version(), second.items[0].id.version()),
        (3, 2)
    );
    assert_eq!(second.next, None);
}
