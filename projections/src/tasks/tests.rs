//! Tests of what needs a person.

use std::collections::BTreeSet;

use domain::decider::Occurrence;
use domain::id::DeliveryId;
use domain::stream::StreamName;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Service, happenings};
use crate::delivery_status::{self, DeliveryStatus};
use crate::test_log::{Appending, TestLog, at, created, delivery, mission, stream_id, user};

fn open_in(log: &TestLog) -> Vec<Task> {
    let set = log.folded();
    let answering = set.view(&Tasks);
    let view = answering.read();
    page(&view.overlay(), None, usize::MAX).unwrap().0
}

fn stream_of(id: DeliveryId) -> StreamId {
    stream_id(StreamName::delivery(id))
}

proptest! {
    /// Law: a delivery has a task of its own exactly as long as somebody has to look after it.
    #[test]
    fn a_delivery_has_a_task_as_long_as_it_is_to_be_looked_after(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let mut own: Vec<StreamId> = open_in(&service.log)
            .into_iter()
            .filter(|task| matches!(task.matter, Matter::LeftOnBoard | Matter::Misdelivered))
            .map(|task| task.stream)
            .collect();
        own.sort_unstable();
        let set = service.log.folded();
        let answering = set.view(&DeliveryStatus);
        let view = answering.read();
        let expected: Vec<StreamId> = (0..6)
            .filter_map(|number| delivery_status::delivery(&view.overlay(), delivery(number)).unwrap())
            .filter(|row| row.action_required)
            .map(|row| stream_of(row.id))
            .collect();
        prop_assert_eq!(own, expected);
    }

    /// Law: every anomaly is a task, once; the one that a delivery is looked after for is that.
    #[test]
    fn every_anomaly_is_a_task(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let mut expected = BTreeSet::new();
        for number in 0..6 {
            for occurrence in service.occurrences(number) {
                if let DeliveryEvent::AnomalyRecorded { fact, why } = occurrence.event
                    && why != Anomaly::EndedWithPackage
                {
                    expected.insert((stream_of(delivery(number)), fact));
                }
            }
        }
        let tasks = open_in(&service.log).into_iter();
        let found: Vec<_> = tasks
            .filter_map(|task| match task.matter {
                Matter::Anomaly { fact, .. } => Some((task.stream, fact)),
                Matter::LeftOnBoard | Matter::Misdelivered | Matter::DeadLetter { .. } => None,
            })
            .collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

fn anomaly(why: Anomaly) -> DeliveryEvent {
    let fact = FactId::new("fact-1").unwrap();
    DeliveryEvent::AnomalyRecorded { fact, why }
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
    assert_eq!((first.version, first.since), (StreamVersion::new(2), at(1)));
    assert_eq!(
        (second.version, &second.matter),
        (StreamVersion::new(3), &Matter::Misdelivered)
    );
    assert_eq!(second.stream, stream_of(delivery(1)));
}

#[test]
fn a_package_left_on_board_is_one_task_until_the_delivery_ends() {
    let mut log = TestLog::new();
    let left = || anomaly(Anomaly::EndedWithPackage);
    log.delivery(delivery(1), user(1), [created(user(1)), left(), left()]);
    log.delivery(delivery(1), user(1), [left()]);
    assert_eq!(open_in(&log).len(), 1);
    log.delivery(delivery(1), user(1), [failed(Failure::PackageLost)]);
    assert_eq!(open_in(&log), []);
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
    let (first, next) = page(&view.overlay(), None, 1).unwrap();
    let (second, last) = page(&view.overlay(), next, 1).unwrap();
    assert_eq!(
        (first[0].version, second[0].version),
        (StreamVersion::new(3), StreamVersion::new(2))
    );
    assert_eq!(last, None);
}
