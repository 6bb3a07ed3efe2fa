//! The bytes on disk are these, for ever: a journal that was written once is
//! read by every later version. Golden bytes are only ever added.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::given::{append, commit, everything, files, memory, open, part};
use crate::event::Part;
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

fn golden() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/format-1.txt");
    fs::read_to_string(path).unwrap()
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
    assert_eq!(found, golden());
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
