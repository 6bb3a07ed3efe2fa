//! Tests of the dead letters.

use std::collections::BTreeMap;

use domain::decider::Occurrence;
use domain::drone::Sender;
use domain::id::FactId;
use domain::refusals::RefusalEvent;
use domain::session::ReceivedFact;
use domain::stream::StreamName;
use domain::task::Matter;
use eventstore::{Budget, EventStore as _};
use proptest::prelude::*;

use super::*;
use crate::any_log::{Service, happenings};
use crate::projection::Facts;
use crate::test_log::{Appending, TestLog, at, mission, stream_id};
use crate::view_set::ViewSet;
use crate::view_store::Direction;

const UNLIMITED: Budget = Budget {
    records_max: usize::MAX,
    bytes_max: usize::MAX,
};

fn rows_in(set: &ViewSet) -> Vec<Row> {
    let answering = set.view(&DeadLetters);
    let view = answering.read();
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = page(&view.overlay(), after, usize::MAX).unwrap();
        rows.extend(page.items);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

fn letters_in(set: &ViewSet) -> Vec<LetterRow> {
    rows_in(set).into_iter().filter_map(fact_row).collect()
}

fn fact_row(row: Row) -> Option<LetterRow> {
    match row {
        Row::Fact(row) => Some(row),
        Row::Message(_) => None,
    }
}

fn records(log: &TestLog, stream: StreamId) -> Vec<Record> {
    let page = log
        .store
        .read_stream(stream, StreamVersion::EMPTY, UNLIMITED);
    page.unwrap().records
}

fn events_of(record: &Record) -> Vec<SessionEvent> {
    let Facts::Session(events) = Facts::of(record) else {
        panic!("no session: {record:?}");
    };
    events
}

/// The number of the fact that lies at a place.
fn seq_at(log: &TestLog, stream: StreamId, received: Received) -> u64 {
    let records = records(log, stream);
    let begins = |record: &&Record| record.first_version.get() == received.after.get() + 1;
    let record = records.iter().find(begins).unwrap();
    let SessionEvent::FactReceived(fact) = &events_of(record)[received.place as usize] else {
        panic!("no fact at {received:?}");
    };
    fact.seq
}

proptest! {
    /// Law: the dead letters are what was given up and not applied since, and
    /// where one is said to lie it lies.
    #[test]
    fn what_was_given_up_and_not_applied_since_is_there(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let mut expected = BTreeMap::new();
        for (name, _) in service.sessions() {
            let stream = stream_id(name);
            for event in records(&service.log, stream).iter().flat_map(events_of) {
                match event {
                    SessionEvent::DeadLettered { seq, why } => {
                        expected.insert((stream, seq), why);
                    }
                    SessionEvent::FactUnparked { seq } => {
                        expected.remove(&(stream, seq));
                    }
                    SessionEvent::SessionOpened(_)
                    | SessionEvent::FactReceived(_)
                    | SessionEvent::GapPassed { .. }
                    | SessionEvent::FactParked { .. } => {}
                }
            }
        }
        let found = letters_in(&service.log.folded());
        for letter in &found {
            if let Some(received) = letter.received {
                prop_assert_eq!(seq_at(&service.log, letter.stream, received), letter.seq);
            }
        }
        let found: BTreeMap<_, _> = found.iter().map(|it| ((it.stream, it.seq), it.why)).collect();
        prop_assert_eq!(found, expected);
    }

    /// Law: the messages that are there are those that were refused and not read since, by
    /// the domain's own fold of their hours, and where one is said to lie it lies.
    #[test]
    fn messages_that_were_refused_and_not_read_since_are_there(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let tasks = service.standing_tasks().into_iter();
        let expected: BTreeSet<_> = tasks
            .filter_map(|(task, matter, _)| {
                let Matter::RefusedMessage { number, .. } = matter else {
                    return None;
                };
                let stream = stream_id(task.subject());
                Some((stream, StreamVersion::new(task.version()), number))
            })
            .collect();
        let found: Vec<_> = rows_in(&service.log.folded())
            .into_iter()
            .filter_map(|row| match row {
                Row::Fact(_) => None,
                Row::Message(row) => Some(row),
            })
            .collect();
        for row in &found {
            let records = records(&service.log, row.stream);
            let mut records = records.iter();
            let record = records.find(|it| it.first_version.get() == row.at.after.get() + 1);
            let Facts::Refusals(events) = Facts::of(record.unwrap()) else {
                panic!("no refused messages");
            };
            let event = &events[row.at.place as usize];
            let is_it = matches!(event, RefusalEvent::MessageRefused { number, .. } if *number == row.number);
            prop_assert!(is_it, "{:?}", event);
        }
        let found: BTreeSet<_> = found.iter().map(|it| (it.stream, it.version, it.number)).collect();
        prop_assert_eq!(found, expected);
    }

    /// Law: exactly what is held or parked is remembered, and where all of that
    /// is held lies.
    #[test]
    fn what_waits_is_what_the_domain_says_waits(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        let answering = set.view(&DeadLetters);
        let view = answering.read();
        let view = view.overlay();
        for (name, session) in service.sessions() {
            let backlog = session.backlog();
            let held: BTreeSet<u64> = backlog.held().map(|(seq, _)| seq).collect();
            for seq in 1..20 {
                let key = Key::index(WAITING).id(name.key.as_bytes()).large_number(seq);
                let waiting = view.get(&key).unwrap().map(|bytes| from_bytes::<Waiting>(&bytes).unwrap());
                prop_assert_eq!(waiting.is_some(), held.contains(&seq) || backlog.is_parked(seq), "{}", seq);
                if held.contains(&seq) {
                    let received = waiting.and_then(|waiting| waiting.received).unwrap();
                    prop_assert_eq!(seq_at(&service.log, stream_id(name), received), seq);
                }
            }
        }
    }
}

fn sender() -> Sender {
    Sender {
        fleet: "f".parse().unwrap(),
        drone: "d".parse().unwrap(),
        session: "s".parse().unwrap(),
    }
}

fn session() -> StreamName {
    let Sender {
        fleet,
        drone,
        session,
    } = sender();
    StreamName::drone_session(&fleet, &drone, &session)
}

fn fact(seq: u64) -> SessionEvent {
    SessionEvent::FactReceived(Box::new(ReceivedFact {
        seq,
        id: FactId::new(format!("fact-{seq}")).unwrap(),
        hash: [0; 16],
        kind: "departed".to_owned(),
        mission: Some(mission(1)),
        event_time: at(0),
        received_at: at(0),
        skewed_time: None,
        data: b"{}".to_vec(),
    }))
}

fn parked(seq: u64) -> SessionEvent {
    let parked = Parked {
        why: ParkReason::UnknownMission,
        mission: Some(mission(1)),
        delivery: None,
        since: at(0),
        late: false,
    };
    SessionEvent::FactParked { seq, parked }
}

fn given_up(seq: u64) -> SessionEvent {
    let why = ParkReason::UnknownMission;
    SessionEvent::DeadLettered { seq, why }
}

fn append(log: &mut TestLog, events: impl IntoIterator<Item = SessionEvent>) {
    let events = events
        .into_iter()
        .map(|event| Occurrence::new(event, at(0)));
    log.append(vec![Appending::new(session(), None, events)]);
}

fn entries(set: &ViewSet) -> usize {
    let answering = set.view(&DeadLetters);
    let view = answering.read();
    let all = crate::key::KeyRange::all();
    let entries = view.overlay().scan(&all, Direction::Forward, usize::MAX);
    entries.unwrap().len()
}

#[test]
fn of_a_session_in_order_nothing_is_kept() {
    let mut log = TestLog::new();
    append(
        &mut log,
        [SessionEvent::SessionOpened(sender()), fact(1), fact(2)],
    );
    append(&mut log, [fact(3)]);
    assert_eq!(entries(&log.folded()), 0);
}

#[test]
fn a_fact_that_waited_in_whatever_way_is_found_in_the_log() {
    let mut log = TestLog::new();
    append(&mut log, [SessionEvent::SessionOpened(sender()), fact(1)]);
    append(&mut log, [fact(2), fact(3), parked(3)]);
    append(&mut log, [fact(4)]);
    append(&mut log, [fact(6)]);
    append(
        &mut log,
        [
            fact(7),
            SessionEvent::GapPassed { up_to: 5 },
            parked(6),
            parked(7),
        ],
    );
    append(&mut log, [fact(5), parked(5)]);
    append(&mut log, [given_up(3), given_up(5)]);
    append(&mut log, [given_up(6), given_up(7)]);
    let letters = letters_in(&log.folded());
    let numbers: Vec<u64> = letters.iter().map(|letter| letter.seq).collect();
    assert_eq!(numbers, [7, 6, 5, 3], "newest first");
    for letter in &letters {
        let received = letter.received.unwrap();
        assert_eq!(seq_at(&log, letter.stream, received), letter.seq);
        assert_eq!(letter.parked.unwrap().mission, Some(mission(1)));
    }
    append(&mut log, [SessionEvent::FactUnparked { seq: 6 }]);
    assert_eq!(
        letters_in(&log.folded()).len(),
        3,
        "what was applied after all is none"
    );
}

#[test]
fn a_fact_that_was_given_up_when_its_turn_came_is_found_in_the_log() {
    let mut log = TestLog::new();
    let failed = |seq| SessionEvent::DeadLettered {
        seq,
        why: ParkReason::CodeFailed,
    };
    append(&mut log, [SessionEvent::SessionOpened(sender()), fact(1)]);
    append(&mut log, [fact(2), fact(3), failed(2)]);
    // One that was held for one that came now.
    append(&mut log, [fact(5)]);
    append(&mut log, [fact(4), failed(5)]);
    let set = log.folded();
    let letters = letters_in(&set);
    let numbers: Vec<u64> = letters.iter().map(|letter| letter.seq).collect();
    assert_eq!(numbers, [5, 2]);
    for letter in &letters {
        assert_eq!(
            (letter.why, &letter.parked),
            (ParkReason::CodeFailed, &None)
        );
        let received = letter.received.unwrap();
        assert_eq!(seq_at(&log, letter.stream, received), letter.seq);
    }
}

#[test]
fn dead_letters_come_page_by_page() {
    let mut log = TestLog::new();
    for seq in 1..=5 {
        append(&mut log, [given_up(seq), given_up(seq + 10)]);
    }
    let set = log.folded();
    let answering = set.view(&DeadLetters);
    let view = answering.read();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let EventPage { items: rows, next } = page(&view.overlay(), after, 3).unwrap();
        found.extend(rows.into_iter().filter_map(fact_row).map(|row| row.seq));
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!(found, [15, 5, 14, 4, 13, 3, 12, 2, 11, 1]);
}
