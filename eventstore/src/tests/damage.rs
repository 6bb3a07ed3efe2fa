//! What the journal refuses to open, changing nothing, and never reads silently.

use std::fs;
use std::path::{Path, PathBuf};

use super::given::{
    ALL, block_offsets, contents, copy_of, files, flip, journal_of, journal_with, open, options,
};
use crate::error::{Corruption, OpenError, ReadError};
use crate::journal::Journal;
use crate::position::{Position, StreamVersion};
use crate::store::{EventStore, Filter};

/// Opens a folder that must be refused, and left as it was.
fn refused(folder: &Path) -> OpenError {
    let before = contents(folder);
    let refused = Journal::open(folder, options(1 << 20)).unwrap_err();
    let after = contents(folder);
    let truth = |contents: &[(String, Vec<u8>)]| {
        let segments = contents.iter().filter(|(name, _)| !name.contains(".idx"));
        segments.cloned().collect::<Vec<_>>()
    };
    assert_eq!(truth(&before), truth(&after), "{refused}");
    assert!(!folder.join("torn").exists());
    refused
}

fn corruption(folder: &Path) -> Corruption {
    let refused = refused(folder);
    let (OpenError::Corrupt(corruption) | OpenError::CorruptEnd(corruption)) = refused else {
        panic!("{refused}");
    };
    corruption
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    files(folder, ".seg")
}

#[test]
fn given_any_byte_wrong_before_the_last_block_the_journal_refuses_and_names_the_block() {
    let whole = journal_of(4);
    fs::remove_file(whole.path().join("head")).unwrap();
    let blocks = block_offsets(&segments(whole.path())[0]);
    for offset in 0..blocks[3] {
        let folder = copy_of(whole.path());
        let segment = &segments(folder.path())[0];
        flip(segment, offset);
        let found = corruption(folder.path());
        let begins = blocks.iter().rev().find(|begins| **begins <= offset);
        assert_eq!(
            found.offset,
            begins.map_or(0, |begins| *begins as u64),
            "byte {offset}"
        );
        assert_eq!(&found.file, segment);
    }
}

#[test]
fn given_a_last_block_that_was_acknowledged_damage_to_it_is_not_taken_for_a_torn_write() {
    let whole = journal_of(3);
    let segment = &segments(whole.path())[0];
    let blocks = block_offsets(segment);
    for offset in [blocks[2], blocks[2] + 20, blocks[3] - 1] {
        let folder = copy_of(whole.path());
        flip(&segments(folder.path())[0], offset);
        assert_eq!(corruption(folder.path()).offset, blocks[2] as u64);
    }
}

#[test]
fn given_more_bytes_than_one_block_behind_the_last_intact_one_the_journal_refuses() {
    let folder = journal_of(2);
    let segment = &segments(folder.path())[0];
    let mut bytes = fs::read(segment).unwrap();
    let end = bytes.len();
    bytes.resize(end + crate::limits::BLOCK_BYTES_MAX + 1, 0);
    fs::write(segment, bytes).unwrap();
    assert_eq!(corruption(folder.path()).offset, end as u64);
}

#[test]
fn given_a_journal_that_ends_before_what_was_acknowledged_it_refuses() {
    let folder = journal_of(3);
    let segment = &segments(folder.path())[0];
    let last = block_offsets(segment)[2];
    let bytes = fs::read(segment).unwrap();
    fs::write(segment, &bytes[..last]).unwrap();
    let refused = refused(folder.path());
    let OpenError::Regressed { known, head } = refused else {
        panic!("{refused}");
    };
    assert_eq!((known, head), (Position::new(3), Position::new(2)));
}

#[test]
fn given_lost_last_segments_the_journal_refuses() {
    let whole = journal_with(4, 1);
    for kept in 0..4 {
        let folder = copy_of(whole.path());
        for segment in &segments(folder.path())[kept..] {
            fs::remove_file(segment).unwrap();
        }
        assert!(
            matches!(refused(folder.path()), OpenError::Regressed { .. }),
            "{kept}"
        );
    }
}

#[test]
fn given_a_kill_the_head_noted_at_the_last_roll_still_tells_of_lost_segments() {
    let whole = tempfile::TempDir::new().unwrap();
    let journal = open(whole.path(), 1);
    super::given::fill(&journal, 5);
    let folder = copy_of(whole.path());
    for segment in &segments(folder.path())[3..] {
        fs::remove_file(segment).unwrap();
    }
    let refused = refused(folder.path());
    let OpenError::Regressed { known, head } = refused else {
        panic!("{refused}");
    };
    assert_eq!((known, head), (Position::new(4), Position::new(3)));
}

#[test]
fn given_a_lost_segment_before_others_the_journal_refuses() {
    let whole = journal_with(4, 1);
    for lost in 0..3 {
        let folder = copy_of(whole.path());
        fs::remove_file(&segments(folder.path())[lost]).unwrap();
        corruption(folder.path());
    }
}

#[test]
fn given_a_segment_of_another_log_the_journal_refuses() {
    let folder = journal_with(3, 1);
    let other = tempfile::TempDir::new().unwrap();
    let mut other_log = options(1);
    other_log.new_log_id = uuid::Uuid::from_u128(9);
    let journal = Journal::open(other.path(), other_log).unwrap();
    super::given::fill(&journal, 3);
    journal.close();
    fs::copy(&segments(other.path())[1], &segments(folder.path())[1]).unwrap();
    corruption(folder.path());
}

#[test]
fn given_another_format_version_the_journal_refuses_and_says_which() {
    let folder = journal_of(1);
    let segment = &segments(folder.path())[0];
    let mut bytes = fs::read(segment).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(segment, bytes).unwrap();
    let refused = refused(folder.path());
    let OpenError::Format {
        found, supported, ..
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((found, supported), (2, 1));
}

#[test]
fn given_a_block_that_was_exchanged_with_a_right_checksum_the_chain_tells() {
    let folder = journal_of(3);
    let segment = &segments(folder.path())[0];
    let blocks = block_offsets(segment);
    let mut bytes = fs::read(segment).unwrap();
    // The last record's last byte is of its payload; all checksums are made right again.
    bytes[blocks[1] - 1] ^= 1;
    let record = blocks[0] + 36;
    let crc = crc32fast::hash(&bytes[record + 8..blocks[1]]);
    bytes[record + 4..record + 8].copy_from_slice(&crc.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[blocks[0]..blocks[0] + 4]);
    hasher.update(&bytes[blocks[0] + 8..blocks[1]]);
    let crc = hasher.finalize();
    bytes[blocks[0] + 4..blocks[0] + 8].copy_from_slice(&crc.to_le_bytes());
    fs::write(segment, bytes).unwrap();
    let found = corruption(folder.path());
    assert!(found.why.contains("chain"), "{found}");
}

#[test]
fn given_any_byte_wrong_in_a_sealed_segment_no_read_gives_another_record() {
    let whole = journal_with(3, 1);
    let expected = super::given::everything(&open(copy_of(whole.path()).path(), 1 << 20));
    let length = fs::read(&segments(whole.path())[1]).unwrap().len();
    for offset in 64..length {
        let folder = copy_of(whole.path());
        let segment = &segments(folder.path())[1];
        flip(segment, offset);
        let journal = open(folder.path(), 1 << 20);
        let first = journal.read_all(
            Position::START,
            &Filter::everything(),
            crate::Budget {
                records_max: 1,
                ..ALL
            },
        );
        assert_eq!(first.unwrap().records, expected[..1]);
        let read = journal.read_all(Position::new(1), &Filter::everything(), ALL);
        let Err(ReadError::Corrupt(found)) = read else {
            panic!("byte {offset} was not noticed");
        };
        assert_eq!(&found.file, segment);
        let by_stream = journal.read_stream(expected[1].stream, StreamVersion::EMPTY, ALL);
        if let Ok(page) = by_stream {
            assert_eq!(page.records, expected[1..2], "byte {offset}");
        }
    }
}

#[test]
fn given_a_damaged_sealed_segment_without_its_index_the_journal_refuses() {
    let folder = journal_with(3, 1);
    flip(&segments(folder.path())[1], 90);
    fs::remove_file(&files(folder.path(), ".idx")[1]).unwrap();
    assert_eq!(corruption(folder.path()).file, segments(folder.path())[1]);
}
