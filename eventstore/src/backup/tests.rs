//! A backup is a prefix of the log, whatever happens; what is restored is just that.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::journal::{Journal, JournalOptions, recover_with_loss, verify};
use crate::store::EventStore;
use crate::tests::given::{
    append, commit, contents, copy_of, everything, files, fill, flip, journal_with, names, open,
    options, part, single, stream, version,
};

// What nobody wrote, and where nothing may be written.
mod forged;
mod place;
// What is restored twice.
mod twins;

fn back_up(journal: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    backup(journal, to, 77, &mut |_, _| ())
}

fn check(folder: &Path) -> BackupCheck {
    verify_backup(folder, &mut |_, _| ()).unwrap()
}

fn restored(from: &Path, to_position: Option<u64>) -> Result<(TempDir, Restored), RestoreError> {
    let folder = TempDir::new().unwrap();
    let to_position = to_position.map(Position::new);
    let journal = folder.path().join("journal");
    restore(from, &journal, to_position, 0, &mut |_, _| ()).map(|restored| (folder, restored))
}

/// The records of a restored backup, opened.
fn records_in(from: &Path, to_position: Option<u64>) -> Vec<crate::Record> {
    let (folder, restored) = restored(from, to_position).unwrap();
    let journal = open(&folder.path().join("journal"), 1 << 20);
    assert_eq!(journal.identity(), restored.identity);
    assert_eq!(*journal.head().borrow(), restored.head);
    let records = everything(&journal);
    assert_eq!(records.len() as u64, restored.records);
    journal.close();
    let report = verify(journal.folder(), &mut |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
    records
}

#[test]
fn given_a_running_journal_every_further_run_copies_what_is_new_and_restores_to_what_was_there() {
    let (folder, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = open(folder.path(), 700);
    let (mut sealed, mut copied) = (0, 0);
    for round in 1..=6 {
        for id in round * 10..round * 10 + round {
            let expected = version(&journal, stream(1)).get();
            append(&journal, single(id, 1, expected)).unwrap();
        }
        let done = back_up(folder.path(), to.path()).unwrap();
        assert_eq!(done.manifest.head, *journal.head().borrow());
        assert_eq!(check(to.path()).report.findings, []);
        assert_eq!(records_in(to.path(), None), everything(&journal));
        let segments = files(folder.path(), ".seg").len();
        // The one that grew, and those that came after it.
        assert!(
            done.segments_copied <= (segments - sealed) as u64,
            "{done:?}"
        );
        sealed = segments - 1;
        copied += done.segments_copied;
        let names = names(to.path());
        assert_eq!(names.len(), segments + 1, "nothing is left over: {names:?}");
    }
    assert!(copied > 6);
    let again = back_up(folder.path(), to.path()).unwrap();
    assert_eq!((again.segments_copied, again.bytes_copied), (0, 0));
}

#[test]
fn given_a_backup_with_any_byte_wrong_it_is_found_and_not_restored() {
    let folder = journal_with(5, 400);
    let to = TempDir::new().unwrap();
    back_up(folder.path(), to.path()).unwrap();
    for name in names(to.path()) {
        let length = fs::read(to.path().join(&name)).unwrap().len();
        for offset in (0..length).step_by(7) {
            let damaged = copy_of(to.path());
            flip(&damaged.path().join(&name), offset);
            let found = verify_backup(damaged.path(), &mut |_, _| ());
            assert!(
                found.is_err() || found.is_ok_and(|check| !check.report.findings.is_empty()),
                "{name}, byte {offset}"
            );
            let refused = restored(damaged.path(), None).unwrap_err();
            assert!(refused.to_string().contains(&name), "{name}: {refused}");
        }
        let shorter = copy_of(to.path());
        fs::remove_file(shorter.path().join(&name)).unwrap();
        let refused = restored(shorter.path(), None).unwrap_err();
        assert!(refused.to_string().contains(&name), "{name}: {refused}");
    }
}

#[test]
fn given_a_refused_restore_there_is_no_journal_and_none_is_begun_by_opening_it() {
    let folder = journal_with(5, 400);
    let (to, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    back_up(folder.path(), to.path()).unwrap();
    let last = files(to.path(), ".seg").pop().unwrap();
    let whole = fs::read(&last).unwrap();
    flip(&last, 80);
    let journal = data.path().join("journal");
    let restore = || restore(to.path(), &journal, None, 0, &mut |_, _| ());
    assert!(matches!(restore(), Err(RestoreError::Damaged(_))));
    assert!(!journal.exists());
    let refused = Journal::open(&journal, options(1 << 20)).unwrap_err();
    assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
    fs::write(&last, whole).unwrap();
    restore().unwrap();
    assert_eq!(everything(&open(&journal, 1 << 20)).len(), 5);
    assert!(matches!(restore(), Err(RestoreError::Occupied { .. })));
}

#[test]
fn given_the_folder_of_another_log_or_of_a_log_that_went_another_way_it_is_left_alone() {
    let folder = journal_with(6, 400);
    let to = TempDir::new().unwrap();
    back_up(folder.path(), to.path()).unwrap();
    let before = contents(to.path());

    let other = TempDir::new().unwrap();
    let other_options = JournalOptions {
        new_log_id: Uuid::from_u128(9),
        ..options(400)
    };
    fill(&Journal::open(other.path(), other_options).unwrap(), 9);
    let refused = back_up(other.path(), to.path()).unwrap_err();
    assert!(matches!(refused, BackupError::OtherLog { .. }), "{refused}");

    let shorter = journal_with(4, 400);
    let refused = back_up(shorter.path(), to.path()).unwrap_err();
    assert!(
        matches!(refused, BackupError::NotAPrefix { .. }),
        "{refused}"
    );

    let branch = TempDir::new().unwrap();
    let journal = open(branch.path(), 400);
    for id in 1..=9 {
        let expected = version(&journal, stream(3)).get();
        append(&journal, single(id, 3, expected)).unwrap();
    }
    let refused = back_up(branch.path(), to.path()).unwrap_err();
    assert!(
        matches!(refused, BackupError::NotAPrefix { .. }),
        "{refused}"
    );
    assert_eq!(contents(to.path()), before);
}

#[test]
fn given_a_log_that_gave_up_what_the_backup_has_the_backup_is_kept() {
    let folder = journal_with(6, 1 << 20);
    let to = TempDir::new().unwrap();
    back_up(folder.path(), to.path()).unwrap();
    let segment = files(folder.path(), ".seg").pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let end = crate::tests::given::block_offsets(&segment)[4];
    fs::write(&segment, &bytes[..end]).unwrap();
    recover_with_loss(folder.path(), &[], 0, &mut |_, _| ()).unwrap();
    fill_on(folder.path(), 5);
    let refused = back_up(folder.path(), to.path()).unwrap_err();
    assert!(
        refused.to_string().contains("keep that backup"),
        "{refused}"
    );
    assert_eq!(records_in(to.path(), None).len(), 6);
    let fresh = TempDir::new().unwrap();
    let done = back_up(folder.path(), fresh.path()).unwrap();
    assert_eq!((done.manifest.epoch, done.manifest.head.get()), (2, 9));
    let (_, restored) = restored(fresh.path(), None).unwrap();
    assert_eq!(restored.identity.epoch, 3);
}

fn fill_on(folder: &Path, count: u32) {
    let journal = open(folder, 1 << 20);
    for id in 500..500 + count {
        let expected = version(&journal, stream(2)).get();
        append(&journal, single(id, 2, expected)).unwrap();
    }
}

#[test]
fn given_a_restored_log_its_own_backups_go_on_from_the_backup_it_came_from() {
    let folder = journal_with(6, 400);
    let to = TempDir::new().unwrap();
    back_up(folder.path(), to.path()).unwrap();
    let (data, _) = restored(to.path(), None).unwrap();
    let journal = data.path().join("journal");
    let done = back_up(&journal, to.path()).unwrap();
    assert_eq!((done.manifest.epoch, done.manifest.head.get()), (2, 6));
    fill_on(&journal, 3);
    let done = back_up(&journal, to.path()).unwrap();
    assert_eq!(done.manifest.head.get(), 9);
    assert!(done.segments_copied <= 1, "{done:?}");
}

#[test]
fn given_an_empty_log_its_backup_restores_to_an_empty_log() {
    let folder = journal_with(0, 400);
    let to = TempDir::new().unwrap();
    let done = back_up(folder.path(), to.path()).unwrap();
    assert_eq!(done.manifest.head, Position::START);
    assert_eq!(records_in(to.path(), None), []);
}

#[test]
fn given_a_torn_last_write_it_is_not_backed_up_and_damage_is_refused() {
    let folder = journal_with(6, 1 << 20);
    // As after a kill: nothing says that the last block was acknowledged.
    fs::remove_file(folder.path().join("head")).unwrap();
    let to = TempDir::new().unwrap();
    let segment = files(folder.path(), ".seg").pop().unwrap();
    let offsets = crate::tests::given::block_offsets(&segment);
    flip(&segment, offsets[5] + 30);
    let done = back_up(folder.path(), to.path()).unwrap();
    assert_eq!(done.manifest.head.get(), 5);
    flip(&segment, offsets[2] + 30);
    let refused = back_up(folder.path(), &to.path().join("other")).unwrap_err();
    assert!(refused.to_string().contains("corrupt at byte"), "{refused}");
}

#[test]
fn given_damage_in_a_sealed_segment_then_a_backup_names_the_journal_and_what_helps() {
    let folder = journal_with(6, 400);
    let (to, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let before = back_up(folder.path(), to.path()).unwrap();
    let segment = files(folder.path(), ".seg").remove(1);
    flip(&segment, 100);
    let refused = back_up(folder.path(), other.path()).unwrap_err();
    let is_of_journal = matches!(&refused, BackupError::Damaged(found) if found.file == segment);
    assert!(is_of_journal, "{refused}");
    assert!(
        refused
            .to_string()
            .contains("restore from the backup before")
    );
    assert_eq!(check(to.path()).manifest, before.manifest);
    let nothing = verify_backup(other.path(), &mut |_, _| ()).unwrap_err();
    assert!(
        nothing.to_string().contains("complete the backup"),
        "{nothing}"
    );
}

proptest! {
    #[test]
    fn a_restore_up_to_a_position_ends_with_the_last_whole_commit_before_it(
        sizes in proptest::collection::vec(1..5_u16, 1..12), segment_bytes in 200..4_000_u64, to in 0..40_u64,
    ) {
        let folder = TempDir::new().unwrap();
        let journal = open(folder.path(), segment_bytes);
        let mut ends = vec![0];
        // Sent at once, so that blocks hold several commits.
        let mut appending = Vec::new();
        for (id, streams) in (1..).zip(&sizes) {
            let fresh = |place: u16| 1_000 + 10 * u16::try_from(id).unwrap() + place;
            let parts = (0..*streams).map(|place| part(fresh(place), 0, &[20])).collect();
            appending.push(journal.append(commit(id, parts)));
            ends.push(ends.last().unwrap() + u64::from(*streams));
        }
        for appended in appending {
            crate::tests::given::wait(appended).unwrap();
        }
        let all = everything(&journal);
        journal.close();
        let backup = TempDir::new().unwrap();
        back_up(folder.path(), backup.path()).unwrap();
        let end = ends.iter().rev().find(|end| **end <= to).unwrap();
        let kept = records_in(backup.path(), Some(to));
        prop_assert_eq!(&kept[..], &all[..usize::try_from(*end).unwrap()]);
    }
}
