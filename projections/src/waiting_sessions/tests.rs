//! Tests of what is still waited for.

use domain::decider::Occurrence;
use domain::stream::StreamName;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Happening, Service, SessionStep, happenings};
use crate::test_log::{Appending, TestLog, at, mission, stream_id};

fn waiting_in(log: &TestLog) -> Vec<WaitingSession> {
    let set = log.folded();
    let view = set.waiting_sessions.read();
    super::waiting(&view.overlay()).unwrap()
}

proptest! {
    /// Law: exactly the sessions wait that the domain's own fold says wait, for what it says.
    #[test]
    fn what_waits_agrees_with_the_domain(happenings in happenings(120)) {
        let service = Service::after(&happenings);
        let mut expected: Vec<WaitingSession> = service
            .sessions()
            .filter_map(|(stream, session)| {
                let retriable = |parked: &Parked| parked.why != ParkReason::UnknownKind;
                let parked = session.backlog().parked().map(|(_, parked)| parked);
                let parked: Vec<Parked> = parked.filter(retriable).collect();
                let oldest_held = session.backlog().oldest_held();
                let mut missions: Vec<_> = parked.iter().filter_map(|p| p.mission).collect();
                missions.sort_unstable();
                missions.dedup();
                (oldest_held.is_some() || !parked.is_empty()).then(|| WaitingSession {
                    stream: stream_id(stream),
                    oldest_held,
                    oldest_parked: parked.iter().map(|parked| parked.since).min(),
                    parked_missions: missions,
                })
            })
            .collect();
        expected.sort_by_key(|waiting| waiting.stream);
        prop_assert_eq!(waiting_in(&service.log), expected);
    }
}

#[test]
fn a_session_waits_from_a_held_fact_until_the_gap_is_filled() {
    let mut service = Service::new();
    let facts = |numbers: &[u64]| Happening::Session(1, SessionStep::Facts(numbers.to_vec()));
    service.happen(&facts(&[1]));
    assert_eq!(waiting_in(&service.log), []);
    service.happen(&facts(&[3]));
    service.happen(&facts(&[4]));
    assert_eq!(waiting_in(&service.log)[0].oldest_held, Some(at(2)));
    service.happen(&facts(&[2]));
    assert_eq!(waiting_in(&service.log), []);
}

#[test]
fn a_thousand_parked_facts_fit_and_go_again() {
    let mut log = TestLog::new();
    let stream = StreamName {
        category: Category::DroneSession,
        key: mission(1).uuid(),
    };
    let append = |log: &mut TestLog, event| {
        let occurrence = Occurrence::new(event, at(0));
        log.append(vec![Appending::new(stream, None, [occurrence])]);
    };
    for seq in 1..=1_024_u64 {
        let parked = Parked {
            why: ParkReason::UnknownMission,
            mission: Some(mission(u128::from(seq))),
            since: at(0),
        };
        append(&mut log, SessionEvent::FactParked { seq, parked });
    }
    assert_eq!(waiting_in(&log)[0].parked_missions.len(), 1_024);
    for seq in 1..=1_024 {
        append(&mut log, SessionEvent::FactUnparked { seq });
    }
    assert_eq!(waiting_in(&log), []);
}
