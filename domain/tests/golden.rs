//! Golden files: bytes that were once written, and what they must be read as for ever.
//!
//! `golden/<event>-v<schema>-<sample>.hex` holds one payload. A run never
//! rewrites one; `AIRPOST_GOLDEN=write` writes those that are missing, which is
//! done once, when an event or a schema is added.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, in its helpers too"
)]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::PathBuf;

use domain::codec::{StoredEvent, event_types, shapes};
use domain::delivery::{
    Anomaly, AttemptFailure, CancelReason, CancellationRefusal, ConditionWord, Confirmation,
    Correction, Failure, HoldReason, HubPlace, Milestone, OnCancelAfterPickup, OnUndeliverable,
    PackageFlag, RejectReason, ReleaseEvidence, ReleaseMethod, ReopenCause, ReopenedAs,
    ReturnReason, Size, Stranding, UnassignReason,
};
use domain::dispatch::StandDownReason;
use domain::refusals::{MessageForm, Refused};
use domain::scheduling::{Deferral, Effect, OperationKind, OperationProblem, Step};
use domain::session::ParkReason;

mod samples {
    //! The events in the golden files.

    pub(crate) mod booking;
    pub(crate) mod claim;
    pub(crate) mod drone;
    pub(crate) mod flight;
    pub(crate) mod package;
    pub(crate) mod taken;
    pub(crate) mod scheduling;
    pub(crate) mod refusals;
    pub(crate) mod task;
    pub(crate) mod user;
}

/// The file of the closed sets of words that payloads hold the numbers of.
const WORDS: &str = "words.txt";

/// The file of the shapes of all payload structs that were ever stored.
const SHAPES: &str = "shapes.txt";

/// The file of a whole log of a flight; `golden_log.rs` checks it.
const FLIGHT: &str = "flight.txt";

/// A file's sample name, its schema, and the event that it must be read as.
type Sample<E> = (&'static str, u16, E);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn file_name(event: &impl StoredEvent, schema: u16, sample: &str) -> String {
    format!("{}-v{schema}-{sample}.hex", event.name())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
        text
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap())
        .collect()
}

/// Checks every sample against its file, and returns the files' names.
fn check<E: StoredEvent + Debug + PartialEq>(samples: Vec<Sample<E>>) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (sample, schema, event) in samples {
        let name = file_name(&event, schema, sample);
        let path = folder().join(&name);
        let stored = event.encode();
        let is_newest = stored.schema == schema;
        if !path.exists() && is_newest && std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("write")
        {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, to_hex(&stored.payload)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{name}: {error}; write missing files with AIRPOST_GOLDEN=write")
        });
        let golden = from_hex(&text);
        let read = E::decode(stored.event_type, schema, &golden);
        assert_eq!(read.as_ref(), Ok(&event), "{name} is read otherwise");
        if is_newest {
            assert_eq!(golden, stored.payload, "{name} is written otherwise");
        }
        assert!(files.insert(name), "two samples of one name");
    }
    files
}

fn all_files() -> BTreeSet<String> {
    [
        check(samples::booking::samples()),
        check(samples::flight::samples()),
        check(samples::user::samples()),
        check(samples::claim::email()),
        check(samples::claim::external_id()),
        check(samples::claim::tag()),
        check(samples::package::samples()),
        check(samples::taken::samples()),
        check(samples::drone::session()),
        check(samples::drone::mission()),
        check(samples::task::samples()),
        check(samples::refusals::samples()),
        check(samples::scheduling::operation()),
        check(samples::scheduling::dispatch()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_golden_file_is_read_as_the_event_it_was() {
    let expected = all_files();
    let present: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| ![WORDS, SHAPES, FLIGHT].contains(&name.as_str()))
        .collect();
    let unread: Vec<_> = present.difference(&expected).collect();
    assert!(unread.is_empty(), "nothing checks {unread:?}");
}

#[test]
fn every_schema_of_every_event_has_a_golden_file() {
    let files = all_files();
    for event_type in event_types() {
        for schema in 1..=event_type.schema {
            let full = format!("{}-v{schema}-full.hex", event_type.name);
            assert!(files.contains(&full), "{full} is missing");
        }
    }
}

/// Every closed set of words whose numbers are stored, one line each.
fn word_lines() -> Vec<String> {
    macro_rules! lines {
        ($($name:ident)+) => {
            vec![$(line(stringify!($name), $name::ALL.iter().map(|word| word.word())),)+]
        };
    }
    lines! {
        Size PackageFlag OnUndeliverable OnCancelAfterPickup CancelReason CancellationRefusal
        UnassignReason AttemptFailure ReturnReason HubPlace Failure ReleaseMethod ReleaseEvidence
        Milestone Anomaly ParkReason Confirmation RejectReason StandDownReason OperationKind Step
        Effect Deferral OperationProblem
        ConditionWord HoldReason ReopenCause ReopenedAs Correction Stranding
        Refused MessageForm
    }
}

fn line(name: &str, words: impl Iterator<Item = &'static str>) -> String {
    let words: Vec<_> = words.collect();
    format!("{name}: {}", words.join(" "))
}

#[test]
fn a_stored_number_means_the_same_word_for_ever() {
    let path = folder().join(WORDS);
    let lines = word_lines();
    if !path.exists() && std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("write") {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert_eq!(golden.lines().count(), lines.len());
    for (was, is) in golden.lines().zip(&lines) {
        // New words come last, and are then added to the file.
        assert_eq!(was, is, "a word was moved, renamed or added");
    }
}

#[test]
fn a_stored_payload_has_the_same_shape_for_ever() {
    let path = folder().join(SHAPES);
    let mut golden = fs::read_to_string(&path).unwrap_or_default();
    let name_of = |line: &str| line.split_once(": ").unwrap().0.to_owned();
    let named: BTreeSet<_> = golden.lines().map(name_of).collect();
    let lines: Vec<_> = shapes().iter().map(ToString::to_string).collect();
    if std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("write") {
        // Only ever added to: a line that is there is never touched.
        for line in lines.iter().filter(|line| !named.contains(&name_of(line))) {
            golden.push_str(line);
            golden.push('\n');
        }
        fs::write(&path, &golden).unwrap();
    }
    for line in &lines {
        assert!(
            golden.lines().any(|was| was == line),
            "a frozen struct was changed, or AIRPOST_GOLDEN=write adds the new one: {line}"
        );
    }
    assert_eq!(golden.lines().count(), lines.len(), "a schema was removed");
}
