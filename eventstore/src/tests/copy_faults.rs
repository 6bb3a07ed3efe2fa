//! Every call of the disk that a backup, a check of one and a restore make,
//! each way to fail: the journal that is copied is untouched, what was backed
//! up before stays, half a copy is never taken for a whole one, and on a sound
//! disk the same command completes what failed.

use std::path::{Path, PathBuf};

use super::every_fault::{EFFECTS, troubles, ways_back};
use super::fault_disk::{Call, Effect};
use super::given::everything;
use super::machine::{Machine, Survivors, Trouble};
use super::story::{Step, Story, at, folder, is_full_size, open_on};
use crate::backup::{BackupError, RestoreError, backup_on, restore_on, verify_backup_on};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::event::Record;
use crate::journal::Journal;
use crate::position::Position;

/// Small, so that some are sealed and every kind of call is made.
const SEGMENT_BYTES: u64 = 1_200;

fn backup_folder() -> PathBuf {
    PathBuf::from("/backups/first")
}

fn restored_folder() -> PathBuf {
    PathBuf::from("/restored/journal")
}

/// A journal, what it holds, and a backup of its beginning or none.
struct Given {
    machine: Machine,
    story: Story,
    records: Vec<Record>,
    backed_up_to: Option<Position>,
}

impl Given {
    fn head(&self) -> Position {
        Position::new(self.records.len() as u64)
    }
}

fn some_appends() -> Vec<Step> {
    let group = |number| Step::Append(vec![vec![(number, vec![300])], vec![(5, vec![9, 40])]]);
    (0..3).map(group).collect()
}

/// A journal that was closed in good order, and its backup as of that moment.
fn given(rounds: usize, backups: usize) -> Given {
    let machine = Machine::new();
    let mut story = Story::default();
    let mut backed_up_to = None;
    for round in 0..rounds {
        story.live(&machine, &some_appends(), SEGMENT_BYTES);
        if round < backups {
            backed_up_to = Some(backs_up(&machine).unwrap());
        }
    }
    let journal = open_on(&machine, SEGMENT_BYTES).unwrap();
    let records = story.holds_for(&journal);
    journal.close();
    Given {
        machine: machine.cut_power(Survivors::Nothing),
        story,
        records,
        backed_up_to,
    }
}

fn backs_up(machine: &Machine) -> Result<Position, BackupError> {
    let (from, to) = (folder(), backup_folder());
    let backed = backup_on(machine, &from, &to, 1, &mut |_, _| ())?;
    Ok(backed.manifest.head)
}

fn restores(machine: &Machine, to_position: Option<Position>) -> Result<(), RestoreError> {
    let (from, to) = (backup_folder(), restored_folder());
    restore_on(machine, &from, &to, (to_position, 0), &mut |_, _| ()).map(|_| ())
}

fn open_restored(machine: &Machine) -> Result<Journal, OpenError> {
    let disk = std::sync::Arc::new(machine.clone());
    let options = super::given::options(SEGMENT_BYTES);
    Journal::open_on(disk, &restored_folder(), options)
}

/// Every file below a folder, and its bytes.
fn contents(machine: &Machine, below: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = machine.paths(Path::new(below)).into_iter();
    paths
        .map(|path| (path.clone(), machine.bytes(&path)))
        .collect()
}

/// For every call and every way to fail: what was asked for is tried, and the
/// law held against the machine as it comes back, with whether it was done.
fn at_every_call(
    name: &str,
    given: &Given,
    try_it: impl Fn(&Machine) -> bool,
    law: impl Fn(&dyn Fn() -> Machine, bool),
) {
    let sound = given.machine.copy();
    try_it(&sound);
    let calls = sound.counts().0;
    let mut points = 0;
    for (number, effect) in EFFECTS.into_iter().enumerate() {
        for after in 0..calls {
            for trouble in some_troubles(after, effect, number) {
                let machine = given.machine.copy();
                machine.trouble(Some(trouble));
                let is_done = at(trouble, || try_it(&machine));
                let is_harmless = trouble.times == 1 && matches!(effect, Effect::Short(_));
                if is_harmless && trouble.power_lasts.is_none() {
                    assert!(machine.went_wrong().is_some(), "it makes {calls} calls");
                }
                for way in ways_back(after + number) {
                    let back = || match way {
                        None => machine.kill(),
                        Some(survivors) => machine.cut_power(survivors),
                    };
                    at((trouble, way), || law(&back, is_done));
                }
                points += 1;
            }
        }
    }
    println!("faults, {name}: {calls} calls, {points} points");
}

/// One of the troubles for each call, or all.
fn some_troubles(after: usize, effect: Effect, number: usize) -> Vec<Trouble> {
    let troubles = troubles(after, effect);
    if is_full_size() {
        troubles.to_vec()
    } else {
        vec![troubles[(after + number) % troubles.len()]]
    }
}

/// The journal is as it was, and opens with all that was acknowledged.
fn assert_journal_untouched(machine: &Machine, given: &Given) {
    let journal = |machine: &Machine| contents(machine, "/data");
    assert_eq!(journal(machine), journal(&given.machine), "only read");
    let journal = open_on(machine, SEGMENT_BYTES).expect("the journal opens");
    assert_eq!(given.story.holds_for(&journal), given.records);
    journal.close();
}

/// What a backup that failed, or did not, leaves.
fn backup_holds(given: &Given, back: &dyn Fn() -> Machine, is_done: bool) {
    let machine = back();
    match verify_backup_on(&machine, &backup_folder(), &mut |_, _| ()) {
        Ok(check) => {
            assert_eq!(check.report.findings, [], "a manifest in place is true");
            let head = check.manifest.head;
            assert!(!is_done || head == given.head(), "what was told is there");
            assert!(Some(head) >= given.backed_up_to, "what was backed up stays");
            restores(&machine, None).expect("what is a backup can be restored");
            let restored = everything(&open_restored(&machine).unwrap());
            assert_eq!(restored.len() as u64, head.get());
            assert!(given.records.starts_with(&restored));
        }
        Err(refused) => {
            assert!(matches!(refused, BackupError::Manifest { .. }), "{refused}");
            assert!(given.backed_up_to.is_none() && !is_done, "{refused}");
            let refused = restores(&machine, None).unwrap_err();
            assert!(refused.to_string().contains("manifest"), "{refused}");
            assert_eq!(contents(&machine, "/restored"), [], "nothing is made of it");
        }
    }
    assert_journal_untouched(&machine, given);

    let machine = back();
    let head = backs_up(&machine).expect("the next backup mends it");
    assert_eq!(head, given.head());
    let machine = machine.cut_power(Survivors::Nothing);
    let check = verify_backup_on(&machine, &backup_folder(), &mut |_, _| ()).unwrap();
    assert_eq!((check.report.findings, check.manifest.head), (vec![], head));
    let is_half = |path: &PathBuf| path.extension().is_some_and(|end| end == "part");
    assert!(!machine.paths(&backup_folder()).iter().any(is_half));
    restores(&machine, None).unwrap();
    let machine = machine.cut_power(Survivors::Nothing);
    assert_eq!(everything(&open_restored(&machine).unwrap()), given.records);
    assert_journal_untouched(&machine, given);
}

#[test]
fn given_a_fault_at_any_call_of_a_first_backup_the_next_one_completes_it() {
    let given = given(2, 0);
    let try_it = |machine: &Machine| backs_up(machine).is_ok();
    let law = |back: &dyn Fn() -> Machine, is_done| backup_holds(&given, back, is_done);
    at_every_call("a first backup", &given, try_it, law);
}

#[test]
fn given_a_fault_at_any_call_of_a_further_backup_the_one_before_stays() {
    let given = given(2, 1);
    let try_it = |machine: &Machine| backs_up(machine).is_ok();
    let law = |back: &dyn Fn() -> Machine, is_done| backup_holds(&given, back, is_done);
    at_every_call("a further backup", &given, try_it, law);
}

#[test]
fn given_a_fault_at_any_call_of_a_check_of_a_backup_nothing_is_called_damaged_or_changed() {
    let given = given(2, 2);
    let before = contents(&given.machine, "/");
    let try_it = |machine: &Machine| {
        let checked = verify_backup_on(machine, &backup_folder(), &mut |_, _| ());
        let Ok(check) = checked else {
            return false;
        };
        assert_eq!(check.report.findings, []);
        assert_eq!(check.manifest.head, given.head());
        true
    };
    let law = |back: &dyn Fn() -> Machine, _| assert_eq!(contents(&back(), "/"), before);
    at_every_call("a check of a backup", &given, try_it, law);
}

/// What a restore up to a position that failed, or did not, leaves.
fn restore_holds(given: &Given, to: Option<Position>, back: &dyn Fn() -> Machine, is_done: bool) {
    let wanted = to.unwrap_or(given.head()).get();
    let wanted = &given.records[..usize::try_from(wanted).unwrap()];
    let machine = back();
    for kept in ["/backups", "/data"] {
        assert_eq!(contents(&machine, kept), contents(&given.machine, kept));
    }
    let staging = restored_folder().with_file_name("journal.restoring");
    let exists = |path: &Path| machine.exists(path).unwrap();
    let is_there = exists(&restored_folder());
    assert!(is_there || !is_done, "what was restored stays");
    if is_there || exists(&staging) {
        match open_restored(&machine) {
            Ok(journal) => assert_eq!(everything(&journal), wanted, "never a part"),
            Err(refused) => {
                assert!(!is_there, "{refused}");
                assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
            }
        }
    }

    let machine = back();
    match restores(&machine, to) {
        Ok(()) => assert!(!is_there),
        Err(RestoreError::Occupied { .. }) => {
            assert!(is_there, "all was done but told");
            // That it opens makes its place durable, as after any stop.
            drop(open_restored(&machine).unwrap());
        }
        Err(other) => panic!("it cannot be repeated: {other}"),
    }
    let machine = machine.cut_power(Survivors::Nothing);
    assert_eq!(everything(&open_restored(&machine).unwrap()), wanted);
}

#[test]
fn given_a_fault_at_any_call_of_a_restore_it_is_repeated_and_no_part_of_it_ever_opens() {
    let given = given(2, 2);
    // One ends with everything, one within a block.
    for (name, to) in [("a restore", None), ("a restore to a position", Some(7))] {
        let to = to.map(Position::new);
        let try_it = |machine: &Machine| restores(machine, to).is_ok();
        let law = |back: &dyn Fn() -> Machine, is_done| restore_holds(&given, to, back, is_done);
        at_every_call(name, &given, try_it, law);
    }
}

#[test]
fn given_a_journal_that_stands_there_a_restore_changes_nothing_whatever_fails() {
    let mut given = given(2, 2);
    restores(&given.machine, Some(Position::new(3))).unwrap();
    given.machine = given.machine.copy();
    let before = contents(&given.machine, "/");
    let try_it = |machine: &Machine| {
        assert!(restores(machine, None).is_err());
        false
    };
    let law = |back: &dyn Fn() -> Machine, _| assert_eq!(contents(&back(), "/"), before);
    at_every_call("a restore over a journal", &given, try_it, law);
}

#[test]
fn given_a_full_disk_at_any_call_a_backup_and_a_restore_say_what_is_left_and_what_to_do() {
    let given = given(2, 1);
    let full = |after, try_it: &dyn Fn(&Machine) -> String| {
        let machine = given.machine.copy();
        let effect = Effect::Fails(super::fault_disk::ENOSPC);
        machine.trouble(Some(troubles(after, effect)[1]));
        (try_it(&machine), machine.went_wrong())
    };
    for after in 0.. {
        let (backup, went_wrong) = full(after, &|machine| match backs_up(machine) {
            Ok(_) => "done".to_owned(),
            Err(refused) => refused.to_string(),
        });
        let (restore, also) = full(after, &|machine| match restores(machine, None) {
            Ok(()) => "done".to_owned(),
            Err(refused) => refused.to_string(),
        });
        if went_wrong.is_none() && also.is_none() {
            return;
        }
        let is_of = |folder: &str, went_wrong: Option<(Call, PathBuf)>| {
            went_wrong.is_some_and(|(call, path)| {
                let is_change = matches!(call, Call::Create | Call::Write | Call::CreateFolder);
                is_change && path.starts_with(folder)
            })
        };
        if is_of("/backups", went_wrong) {
            assert!(backup.contains("No space left"), "{backup}");
            assert!(
                backup.contains("free some space there and back up again"),
                "{backup}"
            );
        }
        if is_of("/restored", also) {
            assert!(restore.contains("No space left"), "{restore}");
            assert!(
                restore.contains("is in /restored/journal.restoring"),
                "{restore}"
            );
        }
    }
}
