//! A journal can be read by somebody who does not own it.

use super::*;
use crate::Record;
use crate::store::EventStore;
use crate::tests::given::{
    append, commit, contents, everything, files, fill, flip, journal_with, open, part, single,
    stream, version,
};

fn read(reader: &JournalReader, after: u64) -> Vec<(Record, CommitPlace)> {
    let mut read = Vec::new();
    let walked = reader.walk(Position::new(after), &mut |record, place| {
        read.push((record, place));
        ControlFlow::Continue(())
    });
    walked.unwrap();
    read
}

#[test]
fn given_a_journal_it_is_read_from_any_position_and_nothing_is_changed() {
    for segment_bytes in [1, 700, 1 << 20] {
        let folder = journal_with(9, segment_bytes);
        let before = contents(folder.path());
        let reader = JournalReader::open(folder.path()).unwrap();
        assert_eq!(reader.head().get(), 9);
        let all: Vec<_> = read(&reader, 0)
            .into_iter()
            .map(|(record, _)| record)
            .collect();
        for after in (0..=10).chain([u64::MAX - 1, u64::MAX]) {
            let rest: Vec<_> = read(&reader, after).into_iter().map(|(r, _)| r).collect();
            let known = usize::try_from(after.min(9)).unwrap();
            assert_eq!(rest, all[known..]);
        }
        assert_eq!(contents(folder.path()), before);
        assert_eq!(all, everything(&open(folder.path(), 1 << 20)));
    }
}

#[test]
fn given_a_running_journal_each_look_shows_what_was_there_then() {
    let folder = tempfile::TempDir::new().unwrap();
    let journal = open(folder.path(), 500);
    fill(&journal, 3);
    let early = JournalReader::open(folder.path()).unwrap();
    for id in 10..20 {
        let expected = version(&journal, stream(1)).get();
        append(&journal, single(id, 1, expected)).unwrap();
    }
    assert_eq!(read(&early, 0).len(), 3);
    let late = JournalReader::open(folder.path()).unwrap();
    assert_eq!(late.head(), *journal.head().borrow());
    assert_eq!(*late.history(), journal.history());
}

#[test]
fn given_a_commit_of_several_records_each_says_where_it_stands() {
    let folder = tempfile::TempDir::new().unwrap();
    let journal = open(folder.path(), 500);
    let parts = (1..4).map(|number| part(number, 0, &[10])).collect();
    append(&journal, commit(1, parts)).unwrap();
    let reader = JournalReader::open(folder.path()).unwrap();
    let places: Vec<_> = read(&reader, 0).iter().map(|(_, place)| *place).collect();
    let place = |place| CommitPlace { place, records: 3 };
    assert_eq!(places, [place(0), place(1), place(2)]);
}

#[test]
fn given_damage_it_is_told_and_not_passed_on() {
    let folder = journal_with(6, 500);
    let first = files(folder.path(), ".seg").remove(0);
    flip(&first, 200);
    let reader = JournalReader::open(folder.path()).unwrap();
    let walked = reader.walk(Position::START, &mut |_, _| ControlFlow::Continue(()));
    assert!(walked.unwrap_err().to_string().contains("corrupt"));
    let nothing = JournalReader::open(&folder.path().join("torn"));
    assert!(nothing.is_err());
}

/// Reading, backing up: neither takes for all what is left of the journal.
fn is_refused(folder: &std::path::Path, advice: &str) {
    let refused = JournalReader::open(folder).unwrap_err().to_string();
    assert!(refused.contains(advice), "{refused}");
    let to = tempfile::TempDir::new().unwrap();
    let backed_up = crate::backup(folder, to.path(), 0, &mut |_, _| ());
    assert_eq!(backed_up.unwrap_err().to_string(), refused);
    assert_eq!(contents(to.path()), []);
}

#[test]
fn given_an_acknowledged_end_that_is_missing_then_nobody_reads_or_backs_up_the_rest() {
    for segment_bytes in [1, 1 << 20] {
        let folder = journal_with(4, segment_bytes);
        let last = files(folder.path(), ".seg").pop().unwrap();
        std::fs::remove_file(last).unwrap();
        is_refused(folder.path(), "position 4 was acknowledged");
    }
    let folder = journal_with(4, 1 << 20);
    let segment = files(folder.path(), ".seg").pop().unwrap();
    let offsets = crate::tests::given::block_offsets(&segment);
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..offsets[3]]).unwrap();
    is_refused(folder.path(), "position 4 was acknowledged");
    std::fs::write(&segment, &bytes).unwrap();
    flip(&segment, offsets[3] + 30);
    is_refused(folder.path(), "position 4 behind it was acknowledged");
    // Without the head file it is a torn write as far as anybody knows.
    std::fs::remove_file(folder.path().join("head")).unwrap();
    assert_eq!(JournalReader::open(folder.path()).unwrap().head().get(), 3);
}
