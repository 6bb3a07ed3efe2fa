//! The laws of a drone session.

use proptest::prelude::*;

use super::*;
use crate::id::{DroneId, FactId, FleetId, SessionId};

fn sender() -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0001").unwrap(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

/// What has waited so long by then.
fn by(seconds: i64, wait: DurationMs) -> Expired {
    Expired {
        from: Timestamp::MIN,
        to: at(seconds).minus(wait),
    }
}

fn fact(seq: u64) -> ReceivedFact {
    ReceivedFact {
        seq,
        id: FactId::new(format!("M100-07:0001:f{seq}")).unwrap(),
        hash: u128::from(seq).to_be_bytes(),
        kind: "departed".into(),
        mission: None,
        event_time: at(0),
        received_at: at(0),
        skewed_time: None,
        data: b"{}".to_vec(),
    }
}

/// Facts come in a request at a time; what is kept is folded from the events alone.
struct Inbox {
    session: Session,
    due: Vec<Due>,
}

impl Inbox {
    fn empty() -> Self {
        Self {
            session: Session::default(),
            due: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        self.session = step
            .events
            .iter()
            .fold(self.session.clone(), Session::evolve);
        self.due.extend(step.due);
    }

    fn receive(&mut self, seqs: &[u64]) -> Vec<Verdict> {
        let mut sorted: Vec<_> = seqs.iter().map(|seq| fact(*seq)).collect();
        sorted.sort_by_key(|fact| fact.seq);
        let (verdicts, step) = self.session.receive(&sender(), sorted, HELD_FACTS_MAX);
        self.take(step);
        verdicts
    }

    fn due(&self) -> Vec<(u64, bool)> {
        self.due
            .iter()
            .map(|due| (due.fact.seq, due.late))
            .collect()
    }
}

#[test]
fn given_a_gap_when_it_fills_then_what_was_held_follows_in_order() {
    let mut inbox = Inbox::empty();
    inbox.receive(&[1]);
    inbox.receive(&[4, 3]);
    assert_eq!(inbox.due(), [(1, false)]);
    inbox.receive(&[2]);
    assert_eq!(
        inbox.due(),
        [(1, false), (2, false), (3, false), (4, false)]
    );
    assert_eq!(inbox.session.backlog().held().len(), 0);
}

#[test]
fn given_a_fact_when_it_comes_again_then_it_is_a_duplicate_and_another_content_a_conflict() {
    let mut inbox = Inbox::empty();
    assert_eq!(
        inbox.receive(&[1, 1]),
        [Verdict::Accepted, Verdict::Duplicate]
    );
    assert_eq!(inbox.receive(&[1]), [Verdict::Duplicate]);
    let other = ReceivedFact {
        hash: [9; 16],
        ..fact(1)
    };
    let (verdicts, step) = inbox.session.receive(&sender(), [other], HELD_FACTS_MAX);
    assert_eq!((verdicts, step), (vec![Verdict::Conflict], Step::default()));
}

#[test]
fn given_held_facts_when_the_wait_is_over_then_the_gap_is_passed_and_its_facts_are_late() {
    let mut inbox = Inbox::empty();
    inbox.receive(&[1, 3, 6]);
    assert_eq!(
        inbox.session.pass_expired_gaps(by(4, GAP_WAIT)),
        Step::default()
    );
    let step = inbox.session.pass_expired_gaps(by(5, GAP_WAIT));
    assert_eq!(step.events, [SessionEvent::GapPassed { up_to: 6 }]);
    inbox.take(step);
    inbox.receive(&[7, 2]);
    assert_eq!(
        inbox.due(),
        [(1, false), (3, false), (6, false), (2, true), (7, false)]
    );
}

#[test]
fn given_facts_for_which_there_is_still_a_chance_then_nothing_before_or_behind_them_is_passed() {
    let mut inbox = Inbox::empty();
    inbox.receive(&[2]);
    let newer = ReceivedFact {
        received_at: at(6),
        ..fact(4)
    };
    let (_, step) = inbox.session.receive(&sender(), [newer], HELD_FACTS_MAX);
    inbox.take(step);
    let to = at(11).minus(GAP_WAIT);
    let expired = |from| inbox.session.pass_expired_gaps(Expired { from, to }).events;
    assert_eq!(expired(at(6)), []);
    let passed = SessionEvent::GapPassed { up_to: 4 };
    assert_eq!(expired(at(0)), [passed]);
}

#[test]
fn given_as_many_held_facts_as_may_be_then_the_gap_is_passed_without_waiting() {
    let mut inbox = Inbox::empty();
    let seqs: Vec<u64> = (2..=65).collect();
    inbox.receive(&seqs[..63]);
    assert_eq!(inbox.due(), []);
    inbox.receive(&seqs[63..]);
    assert_eq!(inbox.due().len(), 64);
    assert_eq!(inbox.session.backlog().next(), 66);
}

#[test]
fn given_the_largest_number_then_nothing_overflows() {
    let mut inbox = Inbox::empty();
    inbox.receive(&[SEQ_MAX]);
    let step = inbox.session.pass_expired_gaps(by(9, GAP_WAIT));
    inbox.take(step);
    assert_eq!(inbox.due(), [(SEQ_MAX, false)]);
    assert_eq!(inbox.session.backlog().next(), u64::MAX);
}

fn parked(why: ParkReason, since: Timestamp) -> Parked {
    Parked {
        why,
        mission: None,
        delivery: None,
        since,
        late: false,
    }
}

#[test]
fn given_kinds_that_nobody_understands_then_they_never_fill_the_backlog() {
    let mut session = Session::default();
    for seq in 1..=PARKED_FACTS_MAX as u64 + 1 {
        session = session.evolve(&SessionEvent::FactReceived(Box::new(fact(seq))));
        let parked = parked(ParkReason::UnknownKind, at(0));
        session = session.evolve(&SessionEvent::FactParked { seq, parked });
    }
    let next = fact(PARKED_FACTS_MAX as u64 + 2);
    let (verdicts, _) = session.receive(&sender(), [next], HELD_FACTS_MAX);
    assert_eq!(verdicts, [Verdict::Accepted]);
    assert!(session.backlog().is_full(ParkReason::UnknownKind));
    assert!(!session.backlog().is_full(ParkReason::UnknownMission));
}

#[test]
fn given_a_kind_that_nobody_understands_when_its_wait_is_over_then_it_is_a_dead_letter() {
    let why = ParkReason::UnknownKind;
    let events = [
        SessionEvent::FactReceived(Box::new(fact(1))),
        SessionEvent::FactParked {
            seq: 1,
            parked: parked(why, at(0)),
        },
    ];
    let session = events.iter().fold(Session::default(), Session::evolve);
    assert!(session.backlog().is_parked(1));
    let given_up = session.give_up_parked(by(900, PARK_WAIT), 9).events;
    assert_eq!(given_up, [SessionEvent::DeadLettered { seq: 1, why }]);
}

#[test]
fn given_a_full_backlog_then_only_what_may_release_it_gets_in() {
    let mut session = Session::default();
    for seq in 1..=PARKED_FACTS_MAX as u64 {
        session = session.evolve(&SessionEvent::FactReceived(Box::new(fact(seq))));
        let parked = parked(ParkReason::UnknownMission, at(0));
        session = session.evolve(&SessionEvent::FactParked { seq, parked });
    }
    let next = PARKED_FACTS_MAX as u64 + 1;
    let verdict = |fact| session.receive(&sender(), [fact], HELD_FACTS_MAX).0;
    assert_eq!(verdict(fact(next)), [Verdict::BacklogFull]);
    let binding = ReceivedFact {
        kind: "mission_assigned".into(),
        ..fact(next)
    };
    assert_eq!(verdict(binding), [Verdict::Accepted]);
}

#[test]
fn given_a_parked_fact_when_its_wait_is_over_then_it_is_a_dead_letter() {
    let mut session = Session::default();
    for seq in 1..=3 {
        session = session.evolve(&SessionEvent::FactReceived(Box::new(fact(seq))));
        let parked = parked(ParkReason::UnknownMission, at(i64::try_from(seq).unwrap()));
        session = session.evolve(&SessionEvent::FactParked { seq, parked });
    }
    let given_up = |now, most| {
        let expired = by(now, PARK_WAIT);
        session.give_up_parked(expired, most).events
    };
    assert_eq!(given_up(900, 9), []);
    let dead = |seq| SessionEvent::DeadLettered {
        seq,
        why: ParkReason::UnknownMission,
    };
    assert_eq!(given_up(902, 9), [dead(1), dead(2)]);
    assert_eq!(given_up(999, 1), [dead(1)]);
    assert!(!session.clone().evolve(&dead(1)).backlog().is_parked(1));
}

proptest! {
    /// I11, as far as the session decides it.
    #[test]
    fn any_order_duplication_and_split_makes_the_same_facts_due_in_the_same_order(
        order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec(1..=40u64, 0..30),
        cuts in prop::collection::vec(1..8usize, 70),
    ) {
        let mut stream: Vec<u64> = order;
        stream.extend(again);
        let mut inbox = Inbox::empty();
        let mut rest = stream.as_slice();
        for cut in cuts {
            let (request, later) = rest.split_at(cut.min(rest.len()));
            inbox.receive(request);
            rest = later;
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(inbox.due(), (1..=40).map(|seq| (seq, false)).collect::<Vec<_>>());
    }

    #[test]
    fn every_fact_becomes_due_exactly_once_whatever_gaps_are_passed(
        steps in prop::collection::vec((prop::collection::vec(1..60u64, 0..6), any::<bool>()), 0..40),
    ) {
        let mut inbox = Inbox::empty();
        let mut sent = std::collections::BTreeSet::new();
        for (seqs, time_passes) in steps {
            inbox.receive(&seqs);
            sent.extend(seqs);
            if time_passes {
                let step = inbox.session.pass_expired_gaps(by(100, GAP_WAIT));
                inbox.take(step);
            }
        }
        let step = inbox.session.pass_expired_gaps(by(100, GAP_WAIT));
        inbox.take(step);
        let mut due: Vec<_> = inbox.due().into_iter().map(|(seq, _)| seq).collect();
        due.sort_unstable();
        prop_assert_eq!(due, sent.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_fact_is_late_exactly_if_a_higher_number_was_due_before(
        steps in prop::collection::vec((prop::collection::vec(1..60u64, 0..6), any::<bool>()), 0..40),
    ) {
        let mut inbox = Inbox::empty();
        for (seqs, time_passes) in steps {
            inbox.receive(&seqs);
            if time_passes {
                let step = inbox.session.pass_expired_gaps(by(100, GAP_WAIT));
                inbox.take(step);
            }
        }
        let mut highest = 0;
        for (seq, late) in inbox.due() {
            prop_assert_eq!(late, seq < highest, "{} after {}", seq, highest);
            highest = highest.max(seq);
        }
    }
}
