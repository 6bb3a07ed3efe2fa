//! Tests of which operations go on.

use domain::decider::Occurrence;
use domain::id::UserId;
use domain::process::Process as _;
use domain::scheduling::{Operation, Scheduling};
use domain::stream::StreamName;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::any_log::operation_event;
use crate::test_log::{Appending, TestLog, at, delivery};

fn operation(number: u128) -> OperationId {
    OperationId::from_uuid(Uuid::from_u128(number))
}

fn started() -> OperationEvent {
    OperationEvent::OperationStarted {
        kind: OperationKind::Schedule,
        delivery: delivery(7),
        user: UserId::from_uuid(Uuid::nil()),
        sequence: 1,
    }
}

fn append(log: &mut TestLog, number: u128, events: Vec<OperationEvent>) {
    let events = events
        .into_iter()
        .map(|event| Occurrence::new(event, at(0)));
    log.append(vec![Appending::new(
        StreamName::operation(operation(number)),
        None,
        events,
    )]);
}

fn asked<T>(log: &TestLog, question: impl Fn(&Overlay<'_>) -> Result<T, ViewStoreError>) -> T {
    let set = log.folded();
    let answering = set.view(&OpenOperations);
    let view = answering.read();
    question(&view.overlay()).unwrap()
}

fn due_at(log: &TestLog, now: Timestamp) -> Vec<OperationId> {
    let all = asked(log, |view| due(view, None, now, 100));
    all.into_iter().map(|due| due.id).collect()
}

fn open_ones(log: &TestLog) -> Vec<OperationId> {
    let all = asked(log, |view| open(view, None, 100));
    all.into_iter().map(|operation| operation.id).collect()
}

#[test]
fn an_operation_is_due_from_its_deadline_on_until_another_is_set() {
    let mut log = TestLog::new();
    append(
        &mut log,
        1,
        vec![started(), OperationEvent::DeadlineSet { at: Some(at(5)) }],
    );
    assert_eq!(due_at(&log, at(4)), []);
    assert_eq!(due_at(&log, at(5)), [operation(1)]);
    append(
        &mut log,
        1,
        vec![OperationEvent::DeadlineSet { at: Some(at(9)) }],
    );
    assert_eq!(due_at(&log, at(8)), []);
    append(&mut log, 1, vec![OperationEvent::DeadlineSet { at: None }]);
    assert_eq!(due_at(&log, at(99)), []);
    assert_eq!(open_ones(&log), [operation(1)]);
}

#[test]
fn the_oldest_deadlines_come_first_and_both_they_and_open_operations_come_in_pages() {
    let mut log = TestLog::new();
    for (number, second) in [(1, 30), (2, 10), (3, 20)] {
        append(
            &mut log,
            number,
            vec![
                started(),
                OperationEvent::DeadlineSet {
                    at: Some(at(second)),
                },
            ],
        );
    }
    assert_eq!(due_at(&log, at(25)), [operation(2), operation(3)]);
    let first = asked(&log, |view| due(view, None, at(25), 1));
    let wanted = DueOperation {
        at: at(10),
        id: operation(2),
    };
    assert_eq!(first, [wanted]);
    let rest = asked(&log, |view| due(view, Some(wanted), at(25), 5));
    assert_eq!((rest.len(), rest[0].id), (1, operation(3)));
    let page = asked(&log, |view| open(view, Some(operation(1)), 1));
    assert_eq!(page.len(), 1);
    assert_eq!((page[0].id, page[0].delivery), (operation(2), delivery(7)));
}

#[test]
fn what_has_ended_is_neither_open_nor_due_until_it_goes_on_after_all() {
    let mut log = TestLog::new();
    append(
        &mut log,
        1,
        vec![started(), OperationEvent::DeadlineSet { at: Some(at(5)) }],
    );
    append(&mut log, 1, vec![OperationEvent::ProcessEnded]);
    assert_eq!((due_at(&log, at(99)), open_ones(&log)), (vec![], vec![]));
    append(&mut log, 1, vec![OperationEvent::ProcessResumed]);
    assert_eq!(open_ones(&log), [operation(1)]);
}

proptest! {
    /// Law: what is open and what is due is what the domain's own fold says.
    #[test]
    fn what_is_due_agrees_with_the_domain(
        events in prop::collection::vec((1..4_u128, operation_event()), 0..40), now in 0..60_i64,
    ) {
        let mut log = TestLog::new();
        let mut operations = std::collections::BTreeMap::<u128, Option<Operation>>::new();
        for (number, event) in events {
            let state = operations.remove(&number).flatten();
            let occurrence = Occurrence::new(event.clone(), at(0));
            operations.insert(number, Scheduling::evolve(state, &occurrence));
            append(&mut log, number, vec![event]);
        }
        let is = |wanted: &dyn Fn(&Operation) -> bool| -> Vec<OperationId> {
            let operations = operations.iter();
            let known = operations.filter_map(|(number, state)| Some((number, state.as_ref()?)));
            known.filter(|(_, it)| wanted(it)).map(|(number, _)| operation(*number)).collect()
        };
        prop_assert_eq!(open_ones(&log), is(&|it| !it.has_ended()));
        let mut due = due_at(&log, at(now));
        due.sort_unstable();
        let is_due = |it: &Operation| !it.has_ended() && it.next_at().is_some_and(|next| next <= at(now));
        prop_assert_eq!(due, is(&is_due));
    }
}
