//! `verify` finds what is wrong and nothing else.

use std::fs;

use tempfile::TempDir;

use super::given::{
    append, copy_of, everything, files, fill, flip, journal_with, names, open, single,
};
use crate::journal::{VerifyReport, verify};
use crate::store::EventStore;

fn verified(folder: &std::path::Path) -> VerifyReport {
    verify(folder, &mut |_, _| ()).unwrap()
}

#[test]
fn given_a_sound_journal_it_counts_everything_and_finds_nothing() {
    let folder = journal_with(12, 500);
    let journal = open(folder.path(), 500);
    let segments = files(folder.path(), ".seg");
    let bytes: u64 = segments
        .iter()
        .map(|segment| fs::metadata(segment).unwrap().len())
        .sum();
    let mut progress = Vec::new();
    let report = verify(folder.path(), &mut |done, all| progress.push((done, all))).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.identity, Some(journal.identity()));
    assert_eq!(report.segments, segments.len() as u64);
    assert_eq!(
        (report.records, report.events, report.head.get()),
        (12, 12, 12)
    );
    assert_eq!((report.bytes, report.in_flight_bytes), (bytes, 0));
    assert!(progress.is_sorted());
    assert_eq!(progress.last(), Some(&(bytes, bytes)));
}

#[test]
fn given_any_byte_of_any_file_wrong_it_finds_it() {
    let whole = journal_with(4, 500);
    for name in names(whole.path()) {
        let length = fs::read(whole.path().join(&name)).unwrap().len();
        // The zeroes that fill an index block need not be tried one by one.
        let has_filling = files(whole.path(), ".idx").contains(&whole.path().join(&name));
        for offset in 0..length {
            if has_filling && (200..4_000).contains(&offset) && offset % 97 != 0 {
                continue;
            }
            let folder = copy_of(whole.path());
            flip(&folder.path().join(&name), offset);
            let report = verified(folder.path());
            assert!(!report.findings.is_empty(), "{name}, byte {offset}");
            assert!(
                report
                    .findings
                    .iter()
                    .all(|finding| !finding.advice.is_empty())
            );
        }
    }
}

#[test]
fn given_a_running_journal_it_can_be_verified_at_any_time() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path(), 2_000);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| fill(&journal, 300));
        while !writing.is_finished() {
            let report = verified(folder.path());
            assert_eq!(report.findings, []);
        }
    });
    assert_eq!(verified(folder.path()).head.get(), 300);
}

#[test]
fn given_a_block_in_flight_it_is_counted_apart() {
    let folder = journal_with(3, 1 << 20);
    fs::remove_file(folder.path().join("head")).unwrap();
    let segment = &files(folder.path(), ".seg")[0];
    let bytes = fs::read(segment).unwrap();
    fs::write(segment, &bytes[..bytes.len() - 5]).unwrap();
    let report = verified(folder.path());
    assert_eq!((report.findings, report.head.get()), (vec![], 2));
    assert!(report.in_flight_bytes > 0);
}

#[test]
fn given_lost_files_it_says_so() {
    let whole = journal_with(4, 1);
    for lost in 0..4 {
        let folder = copy_of(whole.path());
        fs::remove_file(&files(folder.path(), ".seg")[lost]).unwrap();
        assert!(
            !verified(folder.path()).findings.is_empty(),
            "segment {lost}"
        );
    }
    let folder = copy_of(whole.path());
    for index in files(folder.path(), ".idx") {
        fs::remove_file(index).unwrap();
    }
    assert_eq!(
        verified(folder.path()).findings,
        [],
        "an index can be deleted"
    );
}

#[test]
fn given_two_copies_of_a_log_the_chain_says_whether_they_agree() {
    let folder = journal_with(3, 1 << 20);
    let copy = copy_of(folder.path());
    let same = verified(folder.path()).chain;
    assert_eq!(verified(copy.path()).chain, same);
    for (path, id) in [(folder.path(), 90), (copy.path(), 91)] {
        let journal = open(path, 1 << 20);
        append(&journal, single(id, 9, 0)).unwrap();
        assert_eq!(everything(&journal).len(), 4);
    }
    assert_ne!(verified(copy.path()).chain, verified(folder.path()).chain);
}

#[test]
fn given_a_stream_a_check_remembers_32_bytes_of_it_as_its_documentation_counts() {
    let entry = size_of::<(crate::StreamId, crate::StreamVersion)>();
    assert_eq!(entry, 32);
}
