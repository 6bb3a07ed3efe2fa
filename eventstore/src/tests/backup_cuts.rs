//! Backups and restores through power cuts and kills at every change they make
//! on disk: a manifest that is in place is true, what was reported done stays
//! done, and whatever was interrupted can be done again.

use std::path::PathBuf;

use super::given::everything;
use super::machine::{Machine, Survivors};
use super::story::{Step, Story, at, folder, is_full_size, open_on};
use crate::backup::{RestoreError, backup_on, restore_on, verify_backup_on};
use crate::event::Record;
use crate::journal::Journal;
use crate::position::Position;

const SEGMENT_BYTES: u64 = 1_500;

fn backup_folder() -> PathBuf {
    PathBuf::from("/backups/first")
}

fn restored_folder() -> PathBuf {
    PathBuf::from("/restored/journal")
}

fn some_appends() -> Vec<Step> {
    let group = |number| Step::Append(vec![vec![(number, vec![300])], vec![(5, vec![9, 40])]]);
    (0..4).map(group).collect()
}

/// What was reported done before the machine stopped.
#[derive(Clone, Debug, Default)]
struct Done {
    story: Story,
    backed_up_to: Option<Position>,
    restored: bool,
}

impl Done {
    fn back_up(&mut self, machine: &Machine) {
        let backed = backup_on(machine, &folder(), &backup_folder(), 1, &mut |_, _| ());
        if let Ok(backed) = backed {
            self.backed_up_to = Some(backed.manifest.head);
        }
    }

    /// Writes, backs up, writes more, backs up what is new, restores.
    fn until_the_power_goes(change: usize) -> (Machine, Self) {
        let machine = Machine::new();
        machine.cut_power_at(change);
        let mut done = Self::default();
        for _ in 0..2 {
            done.story.live(&machine, &some_appends(), SEGMENT_BYTES);
            done.back_up(&machine);
        }
        done.restored = restores(&machine).is_ok();
        (machine, done)
    }

    /// The law, for a machine that is back.
    fn holds_on(&self, machine: &Machine) {
        let checked = verify_backup_on(machine, &backup_folder(), &mut |_, _| ());
        if let Ok(check) = &checked {
            assert_eq!(check.report.findings, [], "a manifest in place is true");
        }
        let head = checked.ok().map(|check| check.manifest.head);
        assert!(head >= self.backed_up_to, "a backup that was taken stays");

        // A backup holds nothing that a power cut could still take from the journal.
        let mut again = self.clone();
        again.back_up(machine);
        let machine = &machine.cut_power(Survivors::Nothing);
        let journal = open_on(machine, SEGMENT_BYTES).expect("the journal opens");
        let records = self.story.holds_for(&journal);
        journal.close();
        again.back_up(machine);
        let head = Position::new(u64::try_from(records.len()).unwrap());
        assert_eq!(again.backed_up_to, Some(head), "it is backed up anew");
        if self.restored {
            assert!(matches!(
                restores(machine),
                Err(RestoreError::Occupied { .. })
            ));
        } else {
            restores_at_last(machine);
        }
        let machine = machine.cut_power(Survivors::Nothing);
        let restored = open_restored(&machine);
        let there = everything(&restored);
        assert!(
            records.starts_with(&there),
            "what was restored is what was written"
        );
        assert!(
            Some(Position::new(there.len() as u64)) >= self.backed_up_to.filter(|_| self.restored)
        );
    }
}

fn restores(machine: &Machine) -> Result<(), RestoreError> {
    let restored = restore_on(
        machine,
        &backup_folder(),
        &restored_folder(),
        (None, 0),
        &mut |_, _| (),
    );
    restored.map(|_| ())
}

/// A restore that was interrupted when all was done but told.
fn restores_at_last(machine: &Machine) {
    match restores(machine) {
        Ok(()) => {}
        Err(RestoreError::Occupied { .. }) => drop(open_restored(machine)),
        Err(other) => panic!("{other}"),
    }
}

fn open_restored(machine: &Machine) -> Journal {
    let disk = std::sync::Arc::new(machine.clone());
    let options = super::given::options(SEGMENT_BYTES);
    Journal::open_on(disk, &restored_folder(), options).expect("what was restored opens")
}

fn ways(change: usize) -> Vec<Option<Survivors>> {
    let first = u64::try_from(change).unwrap() * 1_000;
    let seeds = first..first + if is_full_size() { 100 } else { 2 };
    let mut ways = vec![None, Some(Survivors::Nothing), Some(Survivors::Everything)];
    ways.extend(seeds.map(|seed| Some(Survivors::Some(seed))));
    ways
}

#[test]
fn given_a_power_cut_or_kill_at_any_change_of_backups_and_a_restore_the_law_holds() {
    let (machine, done) = Done::until_the_power_goes(usize::MAX);
    assert!(done.restored);
    let records: Vec<Record> = everything(&open_restored(&machine));
    assert_eq!(Some(Position::new(records.len() as u64)), done.backed_up_to);
    let changes = machine.counts().1;
    for change in 0..=changes {
        let (machine, done) = Done::until_the_power_goes(change);
        for way in ways(change) {
            at((change, way), || {
                let back = way.map_or_else(|| machine.kill(), |way| machine.cut_power(way));
                done.holds_on(&back);
            });
        }
    }
    println!("backups and a restore: {changes} changes");
}
