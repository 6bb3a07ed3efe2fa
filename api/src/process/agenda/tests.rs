//! Tests of what is looked at, and when.

use uuid::Uuid;

use super::*;

/// More than is ever taken here.
const ALL: usize = 1_000_000;

/// Nobody is at any.
const NOBODY: BTreeSet<OperationId> = BTreeSet::new();

fn id(number: usize) -> OperationId {
    OperationId::from_uuid(Uuid::from_u128(number.try_into().unwrap()))
}

fn operation(number: usize) -> Subject {
    Subject::Operation(id(number))
}

fn second(second: u64) -> Duration {
    Duration::from_secs(second)
}

/// Little, so that a test can go beyond it.
const LIMITS: AgendaLimits = AgendaLimits {
    failing: 5,
    crowd: 7,
};

fn agenda() -> Agenda {
    Agenda::new(TimeScale::REAL, LIMITS)
}

fn taken(agenda: &mut Agenda, at: u64, places: usize) -> Vec<Subject> {
    agenda
        .take(second(at), places, ALL, &NOBODY)
        .into_iter()
        .collect()
}

#[test]
fn given_what_happened_then_it_is_looked_at_once_whatever_it_waits_for() {
    let mut agenda = agenda();
    agenda.failed(operation(1), second(0));
    agenda.crowded(id(2), second(0));
    for subject in [operation(1), operation(2), operation(3)] {
        agenda.note(subject);
    }
    let all = [operation(1), operation(2), operation(3)];
    assert_eq!(taken(&mut agenda, 0, 0), all);
    assert_eq!(taken(&mut agenda, 0, 0), []);
}

#[test]
fn given_what_a_view_says_then_who_waits_for_something_else_is_left_alone() {
    let mut agenda = agenda();
    agenda.failed(operation(1), second(0));
    agenda.crowded(id(2), second(0));
    for number in 1..4 {
        agenda.found(id(number));
    }
    assert_eq!(taken(&mut agenda, 0, 0), [operation(3)]);
}

#[test]
fn given_one_that_fails_then_it_is_left_alone_for_a_second_doubled_up_to_sixty() {
    let mut agenda = agenda();
    let mut now = 0;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let begins = agenda.failed(operation(1), second(now));
        assert_eq!(begins, (now == 0).then_some(1), "it is said once");
        assert_eq!(taken(&mut agenda, now + wait - 1, 0), []);
        assert_eq!(taken(&mut agenda, now + wait, 0), [operation(1)]);
        now += wait;
    }
    assert_eq!(agenda.looked_at(operation(1)), Some(1));
    assert_eq!(agenda.looked_at(operation(1)), None);
    assert_eq!(taken(&mut agenda, 10_000, 0), []);
    assert!(agenda.failing.is_empty() && agenda.again.is_empty());

    agenda.failed(operation(1), second(0));
    assert_eq!(taken(&mut agenda, 1, 0), [operation(1)], "it begins anew");
}

#[test]
fn given_time_that_passes_faster_then_what_fails_is_looked_at_sooner() {
    let mut agenda = Agenda::new(TimeScale::new(1_000).unwrap(), LIMITS);
    agenda.failed(operation(1), second(0));
    let after = |agenda: &mut Agenda, ms| {
        agenda
            .take(Duration::from_millis(ms), 0, ALL, &NOBODY)
            .len()
    };
    assert_eq!((after(&mut agenda, 0), after(&mut agenda, 1)), (0, 1));
}

#[test]
fn given_a_crowd_then_the_first_of_it_are_looked_at_as_places_come_free_and_keep_their_turn() {
    let mut agenda = agenda();
    for number in [3, 1, 2] {
        agenda.crowded(id(number), second(0));
    }
    assert_eq!(taken(&mut agenda, 9, 0), []);
    assert_eq!(taken(&mut agenda, 9, 2), [operation(1), operation(3)]);
    // A place that somebody else was quicker to take.
    agenda.crowded(id(3), second(9));
    agenda.looked_at(operation(1));
    assert_eq!(taken(&mut agenda, 9, 1), [operation(3)]);
    agenda.looked_at(operation(3));
    assert_eq!(taken(&mut agenda, 9, 5), [operation(2)]);
    agenda.failed(operation(2), second(9));
    assert_eq!(taken(&mut agenda, 9, 5), []);
    assert!(agenda.crowd.is_empty() && agenda.tickets.is_empty());
}

#[test]
fn given_more_than_finds_a_place_then_all_that_is_open_is_looked_at_again_after_a_minute() {
    type Add = fn(&mut Agenda, usize);
    let overflow: [(usize, Add); 2] = [
        (LIMITS.crowd, |agenda, number| {
            agenda.crowded(id(number), second(0));
        }),
        (LIMITS.failing, |agenda, number| {
            agenda.failed(operation(number), second(0));
        }),
    ];
    for (max, add) in overflow {
        let mut agenda = agenda();
        agenda.swept(None);
        for number in 0..max {
            add(&mut agenda, number);
        }
        assert_eq!(agenda.sweep(second(10_000)), Sweep::Rests);
        add(&mut agenda, max);
        assert_eq!(agenda.tickets.len().max(agenda.failing.len()), max);
        assert_eq!(agenda.sweep(second(59)), Sweep::Rests);
        assert_eq!(agenda.sweep(second(60)), Sweep::Begins);
        agenda.swept(None);
        assert_eq!(agenda.sweep(second(10_000)), Sweep::Rests);
    }
}

#[test]
fn a_sweep_goes_on_where_it_was_until_a_page_is_empty() {
    let mut agenda = agenda();
    assert_eq!(agenda.sweep(second(0)), Sweep::Begins);
    assert_eq!(agenda.sweep(second(0)), Sweep::Begins);
    agenda.swept(Some(id(7)));
    assert_eq!(agenda.sweep(second(0)), Sweep::After(id(7)));
    assert!(!agenda.has_swept());
    agenda.swept(None);
    assert_eq!(agenda.sweep(second(0)), Sweep::Rests);
    assert!(agenda.has_swept());
}

#[test]
fn given_a_cluster_that_was_away_then_all_that_was_put_off_is_looked_at_at_once_and_none_of_it_failed()
 {
    let mut agenda = agenda();
    agenda.failed(operation(1), second(0));
    agenda.crowded(id(2), second(0));
    for number in 1..4 {
        agenda.put_off(operation(number), second(0));
    }
    agenda.found(id(3));
    assert_eq!(taken(&mut agenda, 100, 5), []);
    assert_eq!(agenda.failing(), 0);
    agenda.take_up();
    let all = [operation(1), operation(2), operation(3)];
    assert_eq!(taken(&mut agenda, 100, 0), all);
    assert_eq!(taken(&mut agenda, 100, 5), []);
}

#[test]
fn given_one_that_somebody_is_at_then_it_is_looked_at_again_afterwards() {
    let mut agenda = agenda();
    agenda.failed(operation(1), second(0));
    agenda.crowded(id(2), second(0));
    for number in [3, 4] {
        agenda.note(operation(number));
    }
    let busy = BTreeSet::from([id(1), id(2), id(3)]);
    let taken_beside = agenda.take(second(1), 5, ALL, &busy);
    assert_eq!(taken_beside, BTreeSet::from([operation(4)]));
    let all = [operation(1), operation(2), operation(3)];
    assert_eq!(taken(&mut agenda, 1, 5), all);
    // Of many, no more than there is room for.
    for number in 0..5 {
        agenda.note(operation(number));
    }
    assert_eq!(agenda.take(second(0), 0, 2, &NOBODY).len(), 2);
    assert_eq!(taken(&mut agenda, 0, 0).len(), 3);
}
