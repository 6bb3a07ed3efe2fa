//! What the journal survives: torn writes, kills, lost helper files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use uuid::Uuid;

use super::given::{
    LOG_ID, append, block_offsets, contents, copy_of, everything, files, fill, flip, journal_of,
    journal_with, names, open, options, single, stream, version,
};
use crate::error::OpenError;
use crate::journal::{DataLock, Journal, JournalOptions, verify};
use crate::position::LogIdentity;
use crate::store::EventStore;

fn segment_of(folder: &Path) -> std::path::PathBuf {
    files(folder, ".seg").pop().unwrap()
}

/// A journal of three blocks whose end is not known to have been durable.
fn of_three_blocks() -> TempDir {
    let folder = journal_of(3);
    fs::remove_file(folder.path().join("head")).unwrap();
    folder
}

fn assert_torn_to_two(folder: &Path, torn: &[u8]) {
    let journal = open(folder, 1 << 20);
    assert_eq!(everything(&journal).len(), 2);
    assert_eq!(journal.head().borrow().get(), 2);
    let appended = append(&journal, single(3, 3, 0)).unwrap();
    assert_eq!(appended.position().get(), 3);
    journal.close();
    let report = verify(folder, &mut |_, _| ()).unwrap();
    assert_eq!((report.findings, report.head.get()), (vec![], 3));
    let kept = files(&folder.join("torn"), ".bytes");
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(&kept[0]).unwrap(), torn);
}

#[test]
fn given_a_last_block_cut_short_at_any_byte_it_is_cut_off_and_its_bytes_are_kept() {
    let whole = of_three_blocks();
    let bytes = fs::read(segment_of(whole.path())).unwrap();
    let last = block_offsets(&segment_of(whole.path()))[2];
    for length in last + 1..bytes.len() {
        let folder = copy_of(whole.path());
        fs::write(segment_of(folder.path()), &bytes[..length]).unwrap();
        assert_torn_to_two(folder.path(), &bytes[last..length]);
    }
}

#[test]
fn given_a_last_block_with_any_byte_wrong_it_is_cut_off() {
    let whole = of_three_blocks();
    let segment = segment_of(whole.path());
    let (last, end) = (block_offsets(&segment)[2], block_offsets(&segment)[3]);
    for offset in last..end {
        let folder = copy_of(whole.path());
        let segment = segment_of(folder.path());
        flip(&segment, offset);
        let torn = fs::read(&segment).unwrap()[last..].to_vec();
        assert_torn_to_two(folder.path(), &torn);
    }
}

#[test]
fn given_a_last_block_of_zeroes_it_is_cut_off() {
    let folder = of_three_blocks();
    let segment = segment_of(folder.path());
    let last = block_offsets(&segment)[2];
    let mut bytes = fs::read(&segment).unwrap();
    bytes[last..].fill(0);
    fs::write(&segment, &bytes).unwrap();
    assert_torn_to_two(folder.path(), &bytes[last..]);
}

#[test]
fn given_a_kill_everything_acknowledged_is_there() {
    for segment_bytes in [1, 700, 1 << 20] {
        let folder = TempDir::new().unwrap();
        let journal = open(folder.path(), segment_bytes);
        fill(&journal, 9);
        let killed = copy_of(folder.path());
        assert_eq!(
            everything(&open(killed.path(), 1 << 20)),
            everything(&journal)
        );
    }
}

#[test]
fn given_a_drop_without_a_close_everything_acknowledged_is_there_and_the_head_is_noted() {
    let folder = TempDir::new().unwrap();
    fill(&open(folder.path(), 1 << 20), 9);
    assert!(folder.path().join("head").exists());
    assert_eq!(everything(&open(folder.path(), 1 << 20)).len(), 9);
}

#[test]
fn given_a_segment_that_was_being_created_it_is_removed_and_the_log_goes_on() {
    let whole = journal_with(4, 1);
    let last = segment_of(whole.path());
    let header = fs::read(&last).unwrap()[..64].to_vec();
    for length in 0..=64 {
        let folder = journal_of(4);
        let mut torn = header[..length].to_vec();
        if length == 64 {
            torn.fill(0);
        }
        fs::write(folder.path().join(format!("{:020}.seg", 5)), torn).unwrap();
        let journal = open(folder.path(), 1);
        fill_one(&journal);
        assert_eq!(everything(&journal).len(), 5);
    }
}

fn fill_one(journal: &Journal) {
    let expected = version(journal, stream(1)).get();
    append(journal, single(5, 1, expected)).unwrap();
}

#[test]
fn given_a_first_segment_that_was_being_created_a_log_is_begun() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(format!("{:020}.seg", 1)), [1, 2, 3]).unwrap();
    let journal = open(folder.path(), 1 << 20);
    fill(&journal, 1);
}

#[test]
fn given_a_lost_or_damaged_head_file_the_journal_opens_and_notes_it_anew() {
    for damage in [None, Some(0), Some(40), Some(75)] {
        let folder = journal_of(3);
        let head = folder.path().join("head");
        let before = fs::read(&head).unwrap();
        match damage {
            None => fs::remove_file(&head).unwrap(),
            Some(offset) => flip(&head, offset),
        }
        let journal = open(folder.path(), 1 << 20);
        assert_eq!(everything(&journal).len(), 3);
        journal.close();
        assert_eq!(fs::read(&head).unwrap(), before);
    }
}

#[test]
fn given_a_log_it_keeps_its_identity_and_a_restart_changes_no_segment() {
    let folder = journal_with(5, 500);
    let before = contents(folder.path());
    let other = JournalOptions {
        new_log_id: Uuid::from_u128(9),
        ..options(500)
    };
    let journal = Journal::open(folder.path(), other).unwrap();
    let log_id = LOG_ID;
    assert_eq!(journal.identity(), LogIdentity { log_id, epoch: 1 });
    journal.close();
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn given_a_folder_of_another_log_its_head_file_is_not_held_against_this_one() {
    let folder = journal_of(5);
    let other = TempDir::new().unwrap();
    let options = JournalOptions {
        new_log_id: Uuid::from_u128(9),
        ..options(1 << 20)
    };
    Journal::open(other.path(), options).unwrap().close();
    fs::copy(folder.path().join("head"), other.path().join("head")).unwrap();
    let journal = open(other.path(), 1 << 20);
    assert_eq!(journal.head().borrow().get(), 0);
    fill(&journal, 1);
}

#[test]
fn given_files_of_others_in_the_folder_they_are_left_alone() {
    let folder = journal_of(2);
    fs::write(folder.path().join("notes.seg"), "mine").unwrap();
    fs::write(folder.path().join("00000000000000000001.seg.bak"), "mine").unwrap();
    open(folder.path(), 1 << 20).close();
    assert!(names(folder.path()).contains(&"notes.seg".to_owned()));
}

#[test]
fn given_a_data_folder_that_is_locked_a_second_lock_is_refused_until_it_is_let_go() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let lock = DataLock::acquire(&data, "verify").unwrap();
    let refused = DataLock::acquire(&data, "serve").unwrap_err();
    let words = format!("held by process {} (verify):", std::process::id());
    assert!(refused.to_string().contains(&words), "{refused}");
    assert!(matches!(&refused, OpenError::Locked { lock: path, .. } if path == lock.path()));
    drop(lock);
    DataLock::acquire(&data, "serve").unwrap();
}
