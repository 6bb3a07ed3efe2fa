//! What the watch makes of what it sees.

use proptest::prelude::*;

use super::*;

fn at(position: u64) -> Position {
    Position::new(position)
}

#[test]
fn what_has_work_and_does_not_move_has_stalled_after_ten_seconds_of_looks() {
    let mut pulse = Pulse::default();
    for _ in 1..STALLED_LOOKS {
        assert!(!pulse.has_stalled(0, true));
    }
    assert!(pulse.has_stalled(0, true));
    assert!(!pulse.has_stalled(0, true), "it has the same time again");
}

#[test]
fn one_beat_or_nothing_to_do_begins_the_time_anew() {
    for (beats, has_work) in [(1, true), (0, false)] {
        let mut pulse = Pulse::default();
        for _ in 1..STALLED_LOOKS {
            assert!(!pulse.has_stalled(0, true));
        }
        assert!(!pulse.has_stalled(beats, has_work));
        for _ in 1..STALLED_LOOKS {
            assert!(!pulse.has_stalled(beats, true));
        }
        assert!(pulse.has_stalled(beats, true));
    }
}

#[test]
fn a_view_is_as_old_as_the_first_record_that_it_has_not_reached() {
    let mut heads = Heads::default();
    for (now, head) in [(1, 10), (2, 10), (3, 20), (4, 30)] {
        heads.note(now, at(head), Position::START);
    }
    let ages = [0, 9, 10, 19, 20, 29, 30].map(|reached| heads.age(5, at(reached)));
    assert_eq!(ages, [4, 4, 2, 2, 1, 1, 0]);
    heads.note(6, at(30), at(20));
    assert_eq!(
        heads.age(6, at(20)),
        2,
        "what is reached is forgotten alone"
    );
}

proptest! {
    #[test]
    fn however_long_nothing_is_reached_little_is_remembered_and_no_age_is_too_low(
        looks in 1_u64..6_000,
        reached in 0_u64..6_000,
    ) {
        let mut heads = Heads::default();
        for now in 1..=looks {
            heads.note(now, at(now), Position::START);
        }
        prop_assert!(heads.seen.len() <= HEADS_MAX);
        let true_age = looks.saturating_sub(reached.saturating_add(1));
        let told = heads.age(looks, at(reached));
        prop_assert!(told >= true_age);
        // The last half of what is remembered was thinned out once at most.
        if true_age < HEADS_MAX as u64 / 2 {
            prop_assert!(told <= true_age + 1, "{told} {true_age}");
        }
    }
}

fn following(age_looks: u64) -> Seen {
    Seen {
        head: at(10),
        worked: at(9),
        has_caught_up: true,
        age_looks,
    }
}

fn building(head: u64, worked: u64) -> Seen {
    Seen {
        head: at(head),
        worked: at(worked),
        has_caught_up: false,
        age_looks: u64::MAX,
    }
}

#[test]
fn views_that_follow_hold_writes_while_they_are_more_than_five_seconds_behind() {
    let mut holding = Holding::default();
    assert_eq!(holding.judge(following(0)), None);
    assert_eq!(holding.judge(following(HOLD_LOOKS)), None);
    let held = holding.judge(following(HOLD_LOOKS + 1));
    assert_eq!(held, Some(WriteHold::Behind));
    assert_eq!(holding.judge(following(HOLD_LOOKS)), None);
}

/// What is held at the end, where so much is appended and worked off at every look.
fn held_at_last(holding: &mut Holding, appended: u64, worked: u64) -> Option<WriteHold> {
    let judged = (0..=HOLD_LOOKS).map(|look| {
        let head = 1_000_000 + look * appended;
        holding.judge(building(head, look * worked))
    });
    judged.last().flatten()
}

#[test]
fn views_that_are_being_built_hold_writes_only_where_they_would_not_get_there() {
    let held = |appended, worked| held_at_last(&mut Holding::default(), appended, worked);
    assert_eq!(held(0, 1), None);
    assert_eq!(held(50, 100), None);
    assert_eq!(held(51, 100), Some(WriteHold::Building));
    assert_eq!(held(0, 0), Some(WriteHold::Building), "they hang");
}

#[test]
fn views_that_are_begun_anew_are_given_five_seconds_and_change_nothing_meanwhile() {
    let mut free = Holding::default();
    for _ in 1..HOLD_LOOKS {
        assert_eq!(free.judge(building(100, 0)), None);
    }
    let mut held = Holding::default();
    assert!(held.judge(following(HOLD_LOOKS + 1)).is_some());
    for _ in 1..HOLD_LOOKS {
        assert!(held.judge(building(100, 0)).is_some());
    }
    assert_eq!(held_at_last(&mut held, 1, 2), None);
}
