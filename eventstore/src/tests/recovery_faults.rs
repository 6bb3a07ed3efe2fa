//! Going on with a loss on a disk that fails, at every call it makes and in
//! each way: it can be done again, the journal never opens in the epoch that is
//! given up, and no record is cut off but those that were told.

use super::every_fault::{EFFECTS, troubles, ways_back};
use super::machine::Machine;
use super::recovery_cuts::{Lossy, every_lossy};
use super::story::{at, folder, is_full_size};
use crate::journal::recovery::{Loss, RecoverError, assess_loss_on};

fn assess(lossy: &Lossy, machine: &Machine) -> Result<Loss, RecoverError> {
    let witnesses = (&lossy.witnesses[..], 0);
    assess_loss_on(machine, &folder(), witnesses, &mut |_, _| ())
}

/// Gives how many calls there are, and at how many points they failed.
fn at_every_call(lossy: &Lossy, try_it: impl Fn(&Machine) -> bool) -> (usize, usize) {
    let sound = lossy.machine.copy();
    assert!(try_it(&sound));
    let calls = sound.counts().0;
    let mut points = 0;
    for (number, effect) in EFFECTS.into_iter().enumerate() {
        for after in 0..calls {
            let troubles = troubles(after, effect);
            let one = (after + number) % troubles.len();
            for (at_trouble, trouble) in troubles.into_iter().enumerate() {
                if at_trouble != one && !is_full_size() {
                    continue;
                }
                let machine = lossy.machine.copy();
                machine.trouble(Some(trouble));
                let was_done = at(trouble, || try_it(&machine));
                for way in ways_back(after + number) {
                    let back = || match way {
                        None => machine.kill(),
                        Some(survivors) => machine.cut_power(survivors),
                    };
                    at((trouble, way), || lossy.holds_for(back, was_done));
                }
                points += 1;
            }
        }
    }
    (calls, points)
}

#[test]
fn given_a_fault_at_any_call_of_a_recovery_the_old_epoch_does_not_open_and_it_can_be_repeated() {
    for (name, lossy) in every_lossy() {
        let try_it = |machine: &Machine| lossy.recover(machine).is_ok();
        let (calls, points) = at(name, || at_every_call(&lossy, try_it));
        println!("faults, recovery, {name}: {calls} calls, {points} points");
    }
}

#[test]
fn given_a_fault_at_any_call_of_telling_a_loss_it_tells_the_same_or_nothing_and_changes_nothing() {
    for (name, lossy) in every_lossy() {
        let told = assess(&lossy, &lossy.machine.copy()).unwrap();
        let files = |machine: &Machine| {
            let paths = machine.paths(&folder()).into_iter();
            let file = |path: std::path::PathBuf| (path.clone(), machine.bytes(&path));
            paths.map(file).collect::<Vec<_>>()
        };
        let before = files(&lossy.machine);
        let calls = {
            let sound = lossy.machine.copy();
            assess(&lossy, &sound).unwrap();
            sound.counts().0
        };
        for (after, effect) in (0..calls).flat_map(|call| EFFECTS.map(|effect| (call, effect))) {
            for trouble in troubles(after, effect) {
                let machine = lossy.machine.copy();
                machine.trouble(Some(trouble));
                if let Ok(loss) = assess(&lossy, &machine) {
                    at((name, trouble), || assert_eq!(loss, told));
                }
                at((name, trouble), || assert_eq!(files(&machine), before));
            }
        }
        println!("faults, telling a loss, {name}: {calls} calls");
    }
}
