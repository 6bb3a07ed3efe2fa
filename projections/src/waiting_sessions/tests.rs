//! Tests of what need not wait any longer.

use domain::decider::Occurrence;
use domain::mission::MissionEvent;
use domain::stream::StreamName;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Happening, Service, SessionStep, happenings};
use crate::test_log::{Appending, TestLog, at, mission, stream_id};

fn until(to: Timestamp) -> Expired {
    let from = Timestamp::MIN;
    Expired { from, to }
}

fn due_at(log: &TestLog, held: Timestamp, parked: Timestamp) -> Vec<DueSession> {
    let deadlines = Deadlines {
        held: until(held),
        parked: until(parked),
    };
    due_in(log, deadlines)
}

fn due_in(log: &TestLog, deadlines: Deadlines) -> Vec<DueSession> {
    let set = log.folded();
    let answering = set.view(&WaitingSessions);
    let view = answering.read();
    due(&view.overlay(), deadlines, &BTreeSet::new()).unwrap()
}

proptest! {
    /// Law: exactly the sessions are due that the domain's own fold says are.
    #[test]
    fn what_is_due_agrees_with_the_domain(
        happenings in happenings(120), from in 0..130_i64, held in 0..130_i64, parked in 0..130_i64,
    ) {
        let service = Service::after(&happenings);
        let [held, parked] = [held, parked].map(|to| Expired { from: at(from), to: at(to) });
        let mut expected: Vec<(StreamId, bool, bool)> = service
            .sessions()
            .filter_map(|(stream, session)| {
                let backlog = session.backlog();
                let gap = backlog.oldest_held().is_some_and(|since| held.covers(since));
                let expired = backlog.parked().any(|(_, fact)| parked.covers(fact.since));
                (gap || expired).then(|| (stream_id(stream), gap, expired))
            })
            .collect();
        expected.sort_unstable();
        let due = due_in(&service.log, Deadlines { held, parked });
        let mut due: Vec<_> = due
            .into_iter()
            .filter(|due| due.gap || due.expired)
            .map(|due| (due.stream, due.gap, due.expired))
            .collect();
        due.sort_unstable();
        prop_assert_eq!(due, expected);
    }
}

#[test]
fn a_session_is_due_from_when_its_oldest_held_fact_is_old_enough_until_the_gap_is_filled() {
    let mut service = Service::new();
    let facts = |numbers: &[u64]| Happening::Session(1, SessionStep::Facts(numbers.to_vec()));
    service.happen(&facts(&[1]));
    service.happen(&facts(&[3]));
    service.happen(&facts(&[4]));
    assert_eq!(due_at(&service.log, at(1), at(0)), []);
    assert!(due_at(&service.log, at(2), at(0))[0].gap);
    service.happen(&facts(&[2]));
    assert_eq!(due_at(&service.log, at(99), at(0)), []);
}

fn session() -> StreamName {
    StreamName {
        category: Category::DroneSession,
        key: mission(1).uuid(),
    }
}

fn append(log: &mut TestLog, stream: StreamName, event: SessionEvent) {
    log.append(vec![Appending::new(
        stream,
        None,
        [Occurrence::new(event, at(0))],
    )]);
}

fn parked(seq: u64, of: u128) -> SessionEvent {
    let why = ParkReason::UnknownMission;
    let parked = Parked {
        why,
        mission: Some(mission(of)),
        delivery: None,
        since: at(5),
        late: false,
    };
    SessionEvent::FactParked { seq, parked }
}

fn bound(number: u128) -> Appending {
    let sender = domain::drone::Sender {
        fleet: "f".parse().unwrap(),
        drone: "d".parse().unwrap(),
        session: "s".parse().unwrap(),
    };
    let delivery = DeliveryId::from_uuid(mission(9).uuid());
    let bound = MissionEvent::MissionBound {
        delivery,
        epoch: 1,
        sender,
    };
    Appending::new(
        StreamName::mission(mission(number)),
        None,
        [Occurrence::new(bound, at(0))],
    )
}

#[test]
fn a_parked_fact_is_ready_once_its_mission_is_there_and_not_another() {
    let mut log = TestLog::new();
    append(&mut log, session(), parked(1, 8));
    log.append(vec![bound(7)]);
    assert_eq!(due_at(&log, at(0), at(0)), []);
    log.append(vec![bound(8)]);
    let due = due_at(&log, at(0), at(0));
    assert_eq!(
        due,
        [DueSession {
            stream: stream_id(session()),
            gap: false,
            ready: true,
            expired: false
        }]
    );
    append(&mut log, session(), SessionEvent::FactUnparked { seq: 1 });
    assert_eq!(due_at(&log, at(0), at(99)), []);
}

#[test]
fn a_parked_fact_of_an_unknown_kind_is_due_when_its_wait_is_over_and_not_when_its_mission_is_there()
{
    let mut log = TestLog::new();
    let parked = Parked {
        why: ParkReason::UnknownKind,
        mission: Some(mission(8)),
        delivery: None,
        since: at(5),
        late: false,
    };
    let fact = SessionEvent::FactParked { seq: 1, parked };
    append(&mut log, session(), fact);
    log.append(vec![bound(8)]);
    assert_eq!(due_at(&log, at(0), at(4)), []);
    let due = due_at(&log, at(0), at(5));
    assert_eq!(
        due,
        [DueSession {
            stream: stream_id(session()),
            gap: false,
            ready: false,
            expired: true
        }]
    );
}

#[test]
fn a_parked_fact_whose_commit_had_no_room_is_ready_at_once_until_it_is_applied() {
    let mut log = TestLog::new();
    log.append(vec![bound(8)]);
    let parked = Parked {
        why: ParkReason::Room,
        mission: Some(mission(8)),
        delivery: None,
        since: at(5),
        late: false,
    };
    append(
        &mut log,
        session(),
        SessionEvent::FactParked { seq: 1, parked },
    );
    let due = due_at(&log, at(0), at(0));
    assert_eq!(
        due,
        [DueSession {
            stream: stream_id(session()),
            gap: false,
            ready: true,
            expired: false
        }]
    );
    append(&mut log, session(), SessionEvent::FactUnparked { seq: 1 });
    assert_eq!(due_at(&log, at(0), at(99)), []);
}

#[test]
fn a_thousand_parked_facts_fit_and_go_again() {
    let mut log = TestLog::new();
    for seq in 1..=1_024_u64 {
        append(&mut log, session(), parked(seq, u128::from(seq)));
    }
    assert_eq!(due_at(&log, at(0), at(4)), []);
    assert!(due_at(&log, at(0), at(5))[0].expired);
    for seq in 1..=1_024 {
        let why = ParkReason::UnknownMission;
        append(&mut log, session(), SessionEvent::DeadLettered { seq, why });
    }
    assert_eq!(due_at(&log, at(0), at(99)), []);
}

#[test]
fn a_session_that_is_left_out_keeps_no_other_waiting_however_much_of_it_is_due() {
    let mut log = TestLog::new();
    for seq in 1..=1_024_u64 {
        append(&mut log, session(), parked(seq, u128::from(seq)));
    }
    let other = StreamName {
        category: Category::DroneSession,
        key: mission(2).uuid(),
    };
    append(&mut log, other, parked(1, 9));
    let set = log.folded();
    let answering = set.view(&WaitingSessions);
    let deadlines = Deadlines {
        held: until(at(0)),
        parked: until(at(99)),
    };
    let left_out = BTreeSet::from([*stream_id(session()).key.as_bytes()]);
    let due = due(&answering.read().overlay(), deadlines, &left_out).unwrap();
    let due: Vec<_> = due.iter().map(|due| (due.stream, due.expired)).collect();
    assert_eq!(due, [(stream_id(other), true)]);
}
