//! J1 to J5 through power cuts and kills, at every change that a whole life of
//! a journal makes on disk, with every kind of what survives; and again during
//! the opening that follows.

use proptest::collection::vec;
use proptest::prelude::*;

use super::machine::{Machine, Survivors};
use super::story::{
    Plan, SEGMENT_BYTES, STREAMS, Step, Story, at, folder, is_full_size, open_on, whole_life,
};

/// Seeds of what survives, for each moment.
fn seeds() -> u64 {
    if is_full_size() { 100 } else { 3 }
}

/// A whole life in which the power goes before the `change`th change.
fn cut_short(change: usize) -> (Machine, Story) {
    let machine = Machine::new();
    machine.cut_power_at(change);
    let mut story = Story::default();
    story.live(&machine, &whole_life(), SEGMENT_BYTES);
    (machine, story)
}

fn whole_life_changes() -> usize {
    let (machine, _) = cut_short(usize::MAX);
    let paths = machine.paths(&folder());
    let of_kind = |end: &str| {
        let paths = paths.iter();
        let paths = paths.filter(|path| path.to_str().unwrap().ends_with(end));
        paths.count()
    };
    assert_eq!((of_kind(".seg"), of_kind(".idx")), (4, 3), "{paths:?}");
    machine.counts().1
}

fn ways(seeds: u64, change: usize) -> Vec<Survivors> {
    let first = u64::try_from(change).unwrap() * 1_000;
    let mut ways = vec![Survivors::Nothing, Survivors::Everything];
    ways.extend((first..first + seeds).map(Survivors::Some));
    ways
}

#[test]
fn given_a_power_cut_at_any_change_of_a_whole_life_the_law_holds() {
    let changes = whole_life_changes();
    let mut cuts = 0;
    for change in 0..=changes {
        let (machine, story) = cut_short(change);
        for survivors in ways(seeds(), change) {
            at((change, survivors), || {
                let back = || machine.cut_power(survivors);
                story.clone().holds_on(back, SEGMENT_BYTES);
            });
            cuts += 1;
        }
    }
    println!("power cuts: {changes} changes, {cuts} cuts");
}

#[test]
fn given_a_kill_at_any_change_of_a_whole_life_the_law_holds_and_what_is_shown_is_durable() {
    let changes = whole_life_changes();
    for change in 0..=changes {
        let (machine, story) = cut_short(change);
        at(change, || story.holds_on(|| machine.kill(), SEGMENT_BYTES));
    }
    println!("kills: {changes} changes");
}

#[test]
fn given_a_second_power_cut_at_any_change_of_the_opening_after_the_first_the_law_holds() {
    let mut cuts = 0;
    for change in 0..=whole_life_changes() {
        let (machine, story) = cut_short(change);
        let seed = u64::try_from(change).unwrap();
        for survivors in [Survivors::Everything, Survivors::Some(seed)] {
            for again in 0.. {
                let back = machine.cut_power(survivors);
                back.cut_power_at(again);
                let opened = open_on(&back, SEGMENT_BYTES);
                if opened.is_ok() {
                    break;
                }
                at((change, survivors, again), || {
                    let back = || back.cut_power(Survivors::Some(seed + 1));
                    story.clone().holds_on(back, SEGMENT_BYTES);
                });
                cuts += 1;
            }
        }
    }
    println!("power cuts during the opening after one: {cuts}");
}

/// How one life of a journal ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    PowerCut(Survivors),
}

/// Steps, and after which share of their changes the life ends, of 1,000.
#[derive(Clone, Debug)]
struct Life {
    steps: Vec<Step>,
    ends_after_changes: usize,
    end: End,
    segment_bytes: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let payload = prop_oneof![20 => 0_usize..90, 4 => 400_usize..3_000, 1 => 20_000_usize..60_000];
    let part = (0..STREAMS, vec(payload, 0..4));
    vec(part, 1..4).prop_map(|mut parts| {
        parts.sort_by_key(|(number, _)| *number);
        parts.dedup_by_key(|(number, _)| *number);
        // At least one event: a commit of guards alone is malformed.
        parts[0].1.push(7);
        parts
    })
}

fn life() -> impl Strategy<Value = Life> {
    let step = prop_oneof![
        9 => vec(plan(), 1..5).prop_map(Step::Append),
        1 => Just(Step::Reopen),
    ];
    let survivors = prop_oneof![
        1 => Just(Survivors::Nothing),
        1 => Just(Survivors::Everything),
        4 => any::<u64>().prop_map(Survivors::Some),
    ];
    let end = prop_oneof![
        1 => Just(End::Kill),
        3 => survivors.prop_map(End::PowerCut),
    ];
    let segment_bytes = prop_oneof![Just(1_u64), 300_u64..5_000, Just(SEGMENT_BYTES)];
    (vec(step, 1..20), 0_usize..120, end, segment_bytes).prop_map(
        |(steps, ends_after_changes, end, segment_bytes)| Life {
            steps,
            ends_after_changes,
            end,
            segment_bytes,
        },
    )
}

proptest! {
    /// Any lives one after the other on one disk, each ended at any moment by a
    /// kill or a power cut that leaves anything: the law holds after all of them.
    #[test]
    fn the_law_holds_after_any_lives_with_any_ends(lives in vec(life(), 1..4)) {
        let mut machine = Machine::new();
        let mut story = Story::default();
        for life in &lives {
            machine.cut_power_at(life.ends_after_changes);
            story.live(&machine, &life.steps, life.segment_bytes);
            machine = match life.end {
                End::Kill => machine.kill(),
                End::PowerCut(survivors) => machine.cut_power(survivors),
            };
        }
        story.holds_on(|| machine.kill(), lives[0].segment_bytes);
    }
}
