//! Index files say what their segments say, or are built again.

use std::fs;
use std::sync::Arc;

use super::fault_disk::{Call, FaultDisk};
use super::given::{
    ALL, append, commit, copy_of, everything, files, flip, journal_with, memory, open, options,
    part, single, stream, version,
};
use crate::error::{AppendError, ReadError};
use crate::journal::Journal;
use crate::position::StreamVersion;
use crate::store::{EventStore, Outcome};

#[test]
fn given_deleted_index_files_they_are_built_again_and_say_the_same() {
    let folder = journal_with(12, 500);
    let indexes = files(folder.path(), ".idx");
    assert!(indexes.len() > 2);
    let before: Vec<_> = indexes
        .iter()
        .map(|index| fs::read(index).unwrap())
        .collect();
    for index in &indexes {
        fs::remove_file(index).unwrap();
    }
    open(folder.path(), 500).close();
    let after: Vec<_> = indexes
        .iter()
        .map(|index| fs::read(index).unwrap())
        .collect();
    assert_eq!(after, before);
}

#[test]
fn given_an_index_of_another_segment_it_is_built_again() {
    let folder = journal_with(12, 500);
    let indexes = files(folder.path(), ".idx");
    let before = fs::read(&indexes[1]).unwrap();
    fs::copy(&indexes[0], &indexes[1]).unwrap();
    open(folder.path(), 500).close();
    assert_eq!(fs::read(&indexes[1]).unwrap(), before);
}

#[test]
fn given_an_index_with_any_byte_wrong_it_is_built_again_or_refused_but_never_believed() {
    let whole = journal_with(6, 1);
    let journal = open(copy_of(whole.path()).path(), 1);
    let expected = everything(&journal);
    journal.close();
    let wanted = expected[1].stream;
    let index = &files(whole.path(), ".idx")[1];
    let length = fs::read(index).unwrap().len();
    let offsets = (0..200)
        .chain((200..4_000).step_by(97))
        .chain(4_090..length);
    for offset in offsets {
        let folder = copy_of(whole.path());
        flip(&files(folder.path(), ".idx")[1], offset);
        let journal = open(folder.path(), 1);
        match journal.read_stream(wanted, StreamVersion::EMPTY, ALL) {
            Ok(page) => assert!(page.records.contains(&expected[1]), "byte {offset}"),
            Err(ReadError::Corrupt(found)) => assert!(found.why.contains("delete"), "{found}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn given_a_damaged_index_an_append_that_needs_it_is_refused_and_not_guessed() {
    let folder = journal_with(6, 1);
    flip(&files(folder.path(), ".idx")[1], 30);
    let journal = open(folder.path(), 1);
    let written = everything(&journal)[1].stream;
    let number = (0..4).find(|number| stream(*number) == written).unwrap();
    let refused = append(&journal, single(90, number, 0));
    assert!(
        matches!(
            refused,
            Err(AppendError::Conflict { .. } | AppendError::Unavailable { .. })
        ),
        "{refused:?}"
    );
}

#[test]
fn given_streams_that_live_in_sealed_segments_only_the_version_check_is_right() {
    let folder = journal_with(12, 1);
    let journal = open(folder.path(), 1);
    let known = version(&journal, stream(1)).get();
    let refused = append(&journal, single(90, 1, known - 1));
    assert!(matches!(refused, Err(AppendError::Conflict { actual, .. }) if actual.get() == known));
    let retried = append(&journal, single(1, 1, 0)).unwrap();
    assert_eq!(
        (retried.outcome, retried.position().get()),
        (Outcome::Duplicate, 1)
    );
    append(&journal, single(91, 1, known)).unwrap();
    append(&journal, single(92, 2, version(&journal, stream(2)).get())).unwrap();
    append(&journal, single(93, 1, known + 1)).unwrap();
    let refused = append(&journal, single(94, 1, known + 1));
    assert!(
        matches!(refused, Err(AppendError::Conflict { .. })),
        "{refused:?}"
    );
}

#[test]
fn given_more_streams_and_longer_ones_than_an_index_block_holds_all_are_found() {
    let oracle = memory();
    let folder = tempfile::TempDir::new().unwrap();
    // Large enough for thousands of records, so that runs cross index blocks.
    let journal = open(folder.path(), 300_000);
    let mut id = 0;
    for round in 0..30 {
        for chunk in 0..10 {
            let parts: Vec<_> = (0..30_u16)
                .map(|place| part(chunk * 30 + place, round, &[3]))
                .chain([part(1_000, round * 10 + u64::from(chunk), &[1])])
                .collect();
            id += 1;
            append(oracle.store.as_ref(), commit(id, parts.clone())).unwrap();
            append(&journal, commit(id, parts)).unwrap();
        }
    }
    journal.close();
    assert!(files(folder.path(), ".idx").len() > 2);
    let journal = open(folder.path(), 300_000);
    for number in (0..300).chain([1_000, 1_001]) {
        let read =
            |store: &dyn EventStore| store.read_stream(stream(number), StreamVersion::EMPTY, ALL);
        assert_eq!(
            read(&journal),
            read(oracle.store.as_ref()),
            "stream {number}"
        );
    }
    assert_eq!(everything(&journal), everything(oracle.store.as_ref()));
}

#[test]
fn given_an_append_that_waits_for_an_index_then_others_append_meanwhile() {
    let folder = journal_with(8, 300);
    let disk = FaultDisk::default();
    let journal = Journal::open_on(Arc::new(disk.clone()), folder.path(), options(1 << 20));
    let journal = journal.unwrap();
    let cold = version(&journal, stream(1)).get();
    std::thread::scope(|scope| {
        let hold = disk.hold(Call::Read);
        let waits = scope.spawn(|| append(&journal, single(90, 1, cold)));
        disk.until_somebody_waits();
        let fresh = append(&journal, single(91, 900, 0)).unwrap();
        assert_eq!(fresh.position().get(), 9, "it was not waited for");
        append(&journal, single(92, 900, 1)).unwrap();
        drop(hold);
        let late = waits.join().unwrap().unwrap();
        assert_eq!(late.position().get(), 11);
    });
    // What was read is known from then on, and right.
    let stale = append(&journal, single(93, 1, cold)).unwrap_err();
    let actual = StreamVersion::new(cold + 1);
    let stream = stream(1);
    assert_eq!(stale, AppendError::Conflict { stream, actual });
}
