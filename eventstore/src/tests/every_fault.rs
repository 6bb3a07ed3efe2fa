//! J9: every call of the disk that a whole life of a journal makes, each way to
//! fail, once and for good: nothing false is acknowledged, and on a sound disk
//! everything is well again.

use super::dice::Dice;
use super::fault_disk::{EIO, EMFILE, ENOSPC, EROFS, Effect};
use super::machine::{Machine, Survivors, Trouble};
use super::story::{SEGMENT_BYTES, Story, Told, at, is_full_size, open_on, whole_life};

/// The ways in which a call fails.
pub(super) const EFFECTS: [Effect; 7] = [
    Effect::Fails(EIO),
    Effect::Fails(EROFS),
    Effect::Fails(ENOSPC),
    Effect::Fails(EMFILE),
    Effect::Short(7),
    Effect::ShortThenFails(700, EIO),
    Effect::ShortThenFails(700, ENOSPC),
];

/// A whole life in which calls go wrong.
fn troubled(trouble: Trouble) -> (Machine, Story) {
    let machine = Machine::new();
    machine.trouble(Some(trouble));
    let mut story = Story::default();
    story.live(&machine, &whole_life(), SEGMENT_BYTES);
    (machine, story)
}

fn whole_life_calls() -> usize {
    let (machine, story) = troubled(Trouble {
        after: usize::MAX,
        times: 0,
        effect: Effect::Fails(EIO),
        power_lasts: None,
    });
    assert!(all_written(&story));
    machine.counts().0
}

fn all_written(story: &Story) -> bool {
    let mut sent = story.sent.iter();
    sent.all(|sent| matches!(sent.told, Told::Written(_)))
}

/// The ways in which a machine comes back, one of them for each call, or all.
pub(super) fn ways_back(call: usize) -> Vec<Option<Survivors>> {
    let seed = u64::try_from(call).unwrap();
    let ways = [None, Some(Survivors::Nothing), Some(Survivors::Some(seed))];
    if is_full_size() {
        ways.to_vec()
    } else {
        vec![ways[call % ways.len()]]
    }
}

fn back(machine: &Machine, way: Option<Survivors>) -> Machine {
    match way {
        None => machine.kill(),
        Some(survivors) => machine.cut_power(survivors),
    }
}

/// What a fault must not keep anybody from.
fn assert_appends_went_on(machine: &Machine, story: &Story, effect: Effect) {
    let Some((call, path)) = machine.went_wrong() else {
        return;
    };
    let is_of_an_index = call.changes() && path.to_str().unwrap().contains(".idx");
    if is_of_an_index || call == super::fault_disk::Call::FreeBytes {
        assert!(all_written(story), "{call:?} of {}", path.display());
    }
    if matches!(effect, Effect::Short(_)) {
        assert!(all_written(story), "what is cut short is continued");
    }
}

/// Once, for good, and once with the power going a little later.
pub(super) fn troubles(after: usize, effect: Effect) -> [Trouble; 3] {
    let once = Trouble {
        after,
        times: 1,
        effect,
        power_lasts: None,
    };
    let for_good = Trouble {
        times: usize::MAX,
        ..once
    };
    let changes = 1 + Dice::new(u64::try_from(after).unwrap()).below(10);
    let and_a_power_cut = Trouble {
        power_lasts: Some(changes),
        ..once
    };
    [once, for_good, and_a_power_cut]
}

fn at_every_call(name: &str, effect: Effect) {
    let calls = whole_life_calls();
    let mut points = 0;
    for after in 0..calls {
        for (trouble, number) in troubles(after, effect).into_iter().zip(0..) {
            at(trouble, || {
                let (machine, story) = troubled(trouble);
                if number == 0 {
                    assert_appends_went_on(&machine, &story, effect);
                }
                for way in ways_back(after + number) {
                    let back = || back(&machine, way);
                    at(way, || story.clone().holds_on(back, SEGMENT_BYTES));
                }
            });
            points += 1;
        }
    }
    println!("faults, {name}: {calls} calls, {points} points");
}

#[test]
fn given_a_device_error_at_any_call_nothing_false_was_acknowledged() {
    at_every_call("EIO", Effect::Fails(EIO));
}

#[test]
fn given_a_disk_that_became_read_only_at_any_call_nothing_false_was_acknowledged() {
    at_every_call("EROFS", Effect::Fails(EROFS));
}

#[test]
fn given_a_full_disk_at_any_call_nothing_false_was_acknowledged() {
    at_every_call("ENOSPC", Effect::Fails(ENOSPC));
}

#[test]
fn given_a_write_cut_short_by_a_device_error_nothing_false_was_acknowledged() {
    at_every_call("short, then EIO", Effect::ShortThenFails(700, EIO));
}

#[test]
fn given_a_write_cut_short_by_a_full_disk_nothing_false_was_acknowledged() {
    at_every_call("short, then ENOSPC", Effect::ShortThenFails(700, ENOSPC));
}

#[test]
fn given_a_short_read_or_write_at_any_call_everything_is_written() {
    at_every_call("short", Effect::Short(7));
}

/// After power cuts all through a life, a fault at every call of the opening:
/// it fails or is right, and the next one on a sound disk is right.
#[test]
fn given_a_fault_at_any_call_of_the_opening_after_a_power_cut_the_law_holds() {
    let (machine, _) = troubled(Trouble {
        after: usize::MAX,
        times: 0,
        effect: Effect::Fails(EIO),
        power_lasts: None,
    });
    let changes = machine.counts().1;
    let mut points = 0;
    for change in (0..=changes).step_by(if is_full_size() { 1 } else { 9 }) {
        let cut = Machine::new();
        cut.cut_power_at(change);
        let mut story = Story::default();
        story.live(&cut, &whole_life(), SEGMENT_BYTES);
        for errno in [EIO, ENOSPC, EROFS] {
            points += at((change, errno), || {
                opening_fails(&cut, &story, change, errno)
            });
        }
    }
    println!("faults during the opening after a power cut: {points} points");
}

/// Gives at how many calls.
fn opening_fails(cut: &Machine, story: &Story, change: usize, errno: i32) -> usize {
    let seed = u64::try_from(change).unwrap();
    for after in 0.. {
        let machine = cut.cut_power(Survivors::Some(seed));
        machine.trouble(Some(Trouble {
            after,
            times: 1,
            effect: Effect::Fails(errno),
            power_lasts: None,
        }));
        let opened = open_on(&machine, SEGMENT_BYTES);
        machine.trouble(None);
        if let Ok(journal) = &opened {
            story.holds_for(journal);
        }
        let went_wrong = machine.went_wrong();
        let again = machine.cut_power(Survivors::Some(seed + 1));
        drop(opened);
        if went_wrong.is_none() {
            return after;
        }
        at((after, went_wrong), || {
            story.clone().holds_on(|| again.kill(), SEGMENT_BYTES);
        });
    }
    unreachable!("an opening makes finitely many calls")
}
