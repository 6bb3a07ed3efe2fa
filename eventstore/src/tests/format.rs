//! The bytes on disk are these, for ever: a journal that was written once is
//! read by every later version. Golden bytes are only ever added.
//!
//! Before a format is released for the first time its files may be written
//! anew: `AIRPOST_GOLDEN=rewrite cargo test -p eventstore --lib given_the_same_commit`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::given::{append, commit, everything, files, memory, names, open, part};
use crate::event::{Commit, Part};
use crate::journal::verify;
use crate::position::Position;
use crate::record::{decode, is_canonical};
use crate::store::EventStore;

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn unhex(lines: &str) -> Vec<u8> {
    let digits: Vec<_> = lines
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn golden_path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    folder.join(name)
}

fn golden() -> String {
    fs::read_to_string(golden_path("format-1.txt")).unwrap()
}

/// Compares with a golden file, or writes it where that was asked for.
fn assert_golden(name: &str, found: &str) {
    let path = golden_path(name);
    if std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("rewrite") {
        fs::write(&path, found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert!(golden == found, "{name}: the same journal has other bytes");
}

fn parts() -> Vec<Part> {
    vec![part(1, 0, &[2, 3]), part(2, 0, &[4]), part(3, 0, &[])]
}

#[test]
fn given_the_same_commit_format_1_has_exactly_the_golden_bytes() {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path(), 1 << 20);
    append(&journal, commit(1, parts())).unwrap();
    journal.close();
    let segment = fs::read(&files(folder.path(), ".seg")[0]).unwrap();
    let head = fs::read(folder.path().join("head")).unwrap();
    let found = format!("segment\n{}head\n{}", hex(&segment), hex(&head));
    assert_golden("format-1.txt", &found);
}

#[test]
fn given_the_golden_files_of_format_1_they_are_read() {
    let golden = golden();
    let (segment, head) = golden.split_once("head").unwrap();
    let folder = TempDir::new().unwrap();
    let segment = unhex(segment.strip_prefix("segment").unwrap());
    fs::write(folder.path().join("00000000000000000001.seg"), segment).unwrap();
    fs::write(folder.path().join("head"), unhex(head)).unwrap();
    let journal = open(folder.path(), 1 << 20);
    let store = memory().store;
    append(store.as_ref(), commit(1, parts())).unwrap();
    assert_eq!(everything(&journal), everything(store.as_ref()));
    assert_eq!(journal.identity(), store.identity());
}

/// The first record's body in the golden segment.
fn golden_body() -> Vec<u8> {
    let golden = golden();
    let segment = unhex(
        golden
            .split_once("head")
            .unwrap()
            .0
            .strip_prefix("segment")
            .unwrap(),
    );
    let record = &segment[64 + 36..];
    let length = u32::from_le_bytes(record[..4].try_into().unwrap());
    record[8..8 + length as usize].to_vec()
}

#[test]
fn given_a_body_with_bytes_left_over_or_missing_it_is_not_decoded() {
    let body = golden_body();
    decode(Position::new(1), &body).unwrap();
    let longer = [body.as_slice(), &[0]].concat();
    assert!(decode(Position::new(1), &longer).is_err());
    for length in 0..body.len() {
        assert!(
            decode(Position::new(1), &body[..length]).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn given_a_body_that_says_the_same_in_other_bytes_it_is_not_canonical() {
    let body = golden_body();
    assert!(is_canonical(&body));
    // The category is a varint behind the time (8), the commit id and the place (18).
    let mut overlong = body.clone();
    overlong.splice(26..27, [body[26] | 0x80, 0]);
    assert_eq!(
        decode(Position::new(1), &overlong),
        decode(Position::new(1), &body)
    );
    assert!(!is_canonical(&overlong));
}

/// The golden journals: what each is called, and how it was left.
const JOURNALS: [(&str, Left); 2] = [
    ("journal-1-closed.txt", Left::Closed),
    ("journal-1-killed.txt", Left::Killed),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// In good order; a torn write of before lies in `torn`.
    Closed,
    /// In the middle of a write, and its `head` is an older one.
    Killed,
}

/// Small enough that a few commits make a segment.
const GOLDEN_SEGMENT_BYTES: u64 = 700;

/// The commits of the golden journals: on one stream and on several, with a
/// guard, without an owner, without a cause, of several events and of none of some sizes.
fn golden_commit(id: u32) -> Commit {
    let parts = match id {
        1 => parts(),
        2 => vec![Part {
            owner: None,
            ..part(5, 0, &[0, 300])
        }],
        _ => vec![part(6, u64::from(id - 3), &[40])],
    };
    commit(id, parts)
}

fn fill_golden(store: &dyn EventStore, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        append(store, golden_commit(id)).unwrap();
    }
}

/// Writes a golden journal as this version does.
fn write_golden(folder: &Path, left: Left) {
    let lived = |ids: std::ops::Range<u32>| {
        let journal = open(folder, GOLDEN_SEGMENT_BYTES);
        fill_golden(&journal, ids);
        journal.close();
        fs::read(folder.join("head")).unwrap()
    };
    let head = lived(1..8);
    lived(8..10);
    let segments = files(folder, ".seg");
    let last = segments.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    // A block whose second half did not arrive.
    bytes.extend_from_within(64..100);
    fs::write(last, bytes).unwrap();
    match left {
        Left::Closed => drop(lived(0..0)),
        Left::Killed => fs::write(folder.join("head"), head).unwrap(),
    }
}

/// A folder as text: every file's name, and its bytes in lines.
fn listed(folder: &Path) -> String {
    let mut text = String::new();
    for prefix in ["", "torn/"] {
        let folder = folder.join(prefix);
        let names = if folder.exists() {
            names(&folder)
        } else {
            vec![]
        };
        for name in names {
            let path = folder.join(&name);
            if path.is_file() {
                let bytes = hex(&fs::read(path).unwrap());
                write!(text, "file {prefix}{name}\n{bytes}").unwrap();
            }
        }
    }
    text
}

/// The folder that was listed so.
fn unlisted(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in text.split("file ").filter(|file| !file.is_empty()) {
        let (name, bytes) = file.split_once('\n').unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, unhex(bytes)).unwrap();
    }
    folder
}

#[test]
fn given_the_same_commits_a_journals_folder_is_the_golden_one() {
    for (name, left) in JOURNALS {
        let folder = TempDir::new().unwrap();
        write_golden(folder.path(), left);
        assert_golden(name, &listed(folder.path()));
    }
}

#[test]
fn given_a_golden_journal_it_is_read_verified_and_gone_on_with() {
    let memory = memory().store;
    fill_golden(memory.as_ref(), 1..10);
    let first = everything(memory.as_ref());
    append(memory.as_ref(), commit(99, vec![part(6, 7, &[9])])).unwrap();
    let all = everything(memory.as_ref());
    for (name, left) in JOURNALS {
        for without_indexes in [false, true] {
            let folder = unlisted(&fs::read_to_string(golden_path(name)).unwrap());
            let folder = folder.path();
            assert!(files(folder, ".seg").len() > 2, "{name} has few segments");
            if without_indexes {
                for index in files(folder, ".idx") {
                    fs::remove_file(index).unwrap();
                }
            }
            let journal = open(folder, GOLDEN_SEGMENT_BYTES);
            assert_eq!(everything(&journal), first, "{name}");
            assert_eq!(journal.identity(), memory.identity(), "{name}");
            append(&journal, commit(99, vec![part(6, 7, &[9])])).unwrap();
            journal.close();
            drop(journal);
            let report = verify(folder, &mut |_, _| ()).unwrap();
            assert_eq!(
                (report.findings, report.in_flight_bytes),
                (vec![], 0),
                "{name}"
            );
            let journal = open(folder, GOLDEN_SEGMENT_BYTES);
            assert_eq!(everything(&journal), all, "{name}");
            assert_eq!(
                names(&folder.join("torn")).len(),
                1,
                "{name}, left {left:?}"
            );
        }
    }
}
