//! Every k-th call of the disk, each way to fail: whatever happens, what was
//! acknowledged is there once, what was refused is not, and the journal verifies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::fault_disk::{EIO, ENOSPC, EROFS, Effect, Fault, FaultDisk};
use super::given::{append, everything, open, options, single, stream, version};
use crate::error::AppendError;
use crate::event::CommitId;
use crate::journal::{Journal, verify};

const COMMITS: u32 = 12;
const SEGMENT_BYTES: u64 = 600;

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Written,
    Refused,
    Nothing,
}

/// Appends until the end or until the disk has failed; gives what was told.
fn script(journal: &Journal) -> HashMap<CommitId, Told> {
    let mut told = HashMap::new();
    for id in 0..COMMITS {
        let number = u16::try_from(id % 3).unwrap();
        let expected = version(journal, stream(number)).get();
        let commit = single(id, number, expected);
        let commit_id = commit.id;
        let answer = match append(journal, commit) {
            Ok(_) => Told::Written,
            Err(AppendError::Indeterminate { .. }) => Told::Nothing,
            Err(AppendError::Full | AppendError::Unavailable { .. }) => Told::Refused,
            Err(other) => panic!("{other:?}"),
        };
        told.insert(commit_id, answer);
    }
    told
}

fn run(after: usize, effect: Effect) -> (TempDir, HashMap<CommitId, Told>, usize) {
    let folder = TempDir::new().unwrap();
    let disk = FaultDisk::default();
    disk.arm(Fault {
        call: None,
        suffix: "",
        after,
        times: 1,
        effect,
    });
    let mut options = options(SEGMENT_BYTES);
    options.full_retry = Duration::from_millis(1);
    let journal = Journal::open_on(Arc::new(disk.clone()), folder.path(), options);
    let told = journal.map(|journal| script(&journal)).unwrap_or_default();
    (folder, told, disk.take_calls().len())
}

fn check(folder: &TempDir, told: &HashMap<CommitId, Told>) {
    let journal = open(folder.path(), SEGMENT_BYTES);
    let records = everything(&journal);
    for (commit_id, told) in told {
        let times = records
            .iter()
            .filter(|record| record.commit_id == *commit_id)
            .count();
        match told {
            Told::Written => assert_eq!(times, 1, "an acknowledged commit is there once"),
            Told::Refused => assert_eq!(times, 0, "a refused commit is not there"),
            Told::Nothing => assert!(times <= 1),
        }
    }
    journal.close();
    let report = verify(folder.path(), &mut |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.records, records.len() as u64);
}

fn at_every_call(effect: Effect) {
    let (folder, told, calls) = run(usize::MAX, effect);
    check(&folder, &told);
    assert!(told.values().all(|told| *told == Told::Written));
    for after in 0..calls {
        let (folder, told, _) = run(after, effect);
        check(&folder, &told);
    }
}

#[test]
fn given_a_device_error_at_any_call_nothing_false_was_acknowledged() {
    at_every_call(Effect::Fails(EIO));
}

#[test]
fn given_a_disk_that_became_read_only_at_any_call_nothing_false_was_acknowledged() {
    at_every_call(Effect::Fails(EROFS));
}

#[test]
fn given_a_full_disk_at_any_call_nothing_false_was_acknowledged() {
    at_every_call(Effect::Fails(ENOSPC));
}

#[test]
fn given_a_write_cut_short_by_a_device_error_nothing_false_was_acknowledged() {
    at_every_call(Effect::ShortThenFails(30, EIO));
}

#[test]
fn given_a_write_cut_short_by_a_full_disk_nothing_false_was_acknowledged() {
    at_every_call(Effect::ShortThenFails(30, ENOSPC));
}

#[test]
fn given_a_short_write_at_any_call_everything_is_written() {
    at_every_call(Effect::Short(7));
}
