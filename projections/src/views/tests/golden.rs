//! What every version of a view has made of one log, byte for byte, in `projections/golden/`.
//!
//! Views on disk outlive a release: one that writes other bytes under the same
//! version goes on from rows that it may read wrongly. So the bytes of a version
//! never change. The log is kept too, as it was recorded, so that nothing but
//! the views' own code can change them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use domain::id::UserId;
use domain::stream::{Category, StreamName};
use eventstore::{Event, EventType, Label, Record, SchemaVersion};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::*;
use crate::any_log::{Service, happenings};
use crate::key::KeyRange;
use crate::stored::read_part;
use crate::test_log::Appending;
use crate::view_store::Direction;

/// Set, what is missing is written; what is there never is.
const WRITE: &str = "AIRPOST_WRITE_GOLDEN";

/// The most that happens in the log.
const HAPPENINGS_MAX: usize = 200;

/// Among how many it is chosen.
const LOGS: usize = 1_000;

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    folder.join(format!("{name}.txt"))
}

/// What a golden file says; where there is none it is made, if that is wanted.
fn golden(name: &str, make: impl FnOnce() -> String) -> String {
    let path = file(name);
    if !path.exists() && std::env::var_os(WRITE).is_some() {
        fs::write(&path, make()).unwrap();
    }
    let missing = |error| {
        panic!(
            "{}: {error}; set {WRITE}=1 to write it, and check it in",
            path.display()
        )
    };
    fs::read_to_string(&path).unwrap_or_else(missing)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    let bytes = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    bytes.map(byte).collect()
}

/// A record: its commit, category, key and owner, then each event's type,
/// schema, time, whether it was inferred, and payload.
fn line(record: &Record) -> String {
    let category = record.stream.category.get();
    let (commit, key) = (record.commit_id.0.as_u128(), record.stream.key);
    let owner = record
        .owner
        .map_or_else(|| "-".to_owned(), |owner| owner.to_string());
    let mut line = format!("{commit} {category} {key} {owner}");
    for event in &record.events {
        let (number, schema) = (event.event_type.0, event.schema.0);
        let (time, inferred) = (event.event_time_us, event.inferred);
        let payload = hex(&event.payload);
        write!(line, " {number}:{schema}:{time}:{inferred}:{payload}").unwrap();
    }
    line + "\n"
}

fn event(written: &str) -> Event {
    let parts: Vec<_> = written.split(':').collect();
    let [number, schema, time, inferred, payload] = parts[..] else {
        panic!("no event: {written}");
    };
    Event {
        event_type: EventType(number.parse().unwrap()),
        schema: SchemaVersion(schema.parse().unwrap()),
        event_time_us: time.parse().unwrap(),
        inferred: inferred.parse().unwrap(),
        cause: Some(Label::new("fact-1").unwrap()),
        payload: unhex(payload),
    }
}

/// The commit that a line belongs to, and its part of it.
fn part(line: &str) -> (u128, Appending) {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap();
    let commit = next().parse().unwrap();
    let category = Category::from_number(next().parse().unwrap()).unwrap();
    let key = Uuid::parse_str(next()).unwrap();
    let owner = next();
    let owner = (owner != "-").then(|| Uuid::parse_str(owner).unwrap());
    let owner: Option<UserId> = owner.map(|owner| read_part(Some(*owner.as_bytes())).unwrap());
    let part = Appending {
        stream: StreamName { category, key },
        owner,
        events: words.map(event).collect(),
    };
    (commit, part)
}

/// The log with most kinds of events among many, written down.
fn any_log() -> String {
    let mut runner = TestRunner::deterministic();
    let drawn = (0..LOGS).map(|_| {
        let drawn = happenings(HAPPENINGS_MAX).new_tree(&mut runner);
        let service = Service::after(&drawn.unwrap().current());
        let everything = Budget {
            records_max: usize::MAX,
            bytes_max: usize::MAX,
        };
        let page = service
            .log
            .store
            .read_all(Position::START, &Filter::everything(), everything);
        page.unwrap().records
    });
    let kinds = |records: &Vec<Record>| {
        let events = records.iter().flat_map(|record| &record.events);
        let kinds: BTreeSet<u16> = events.map(|event| event.event_type.0).collect();
        kinds.len()
    };
    let records = drawn.max_by_key(kinds).unwrap();
    records.iter().map(line).collect()
}

/// The log as it was written down.
fn golden_log() -> TestLog {
    let mut log = TestLog::new();
    let written = golden("log", any_log);
    let mut parts = written.lines().map(part).peekable();
    while let Some((commit, first)) = parts.next() {
        let mut all = vec![first];
        while let Some((_, next)) = parts.next_if(|(other, _)| *other == commit) {
            all.push(next);
        }
        log.append(all);
    }
    log
}

/// The entries of a view, a line each.
fn lines(view: &View) -> String {
    let entries = view
        .tree()
        .scan(&KeyRange::all(), Direction::Forward, usize::MAX)
        .unwrap();
    let lines = entries
        .iter()
        .map(|(key, value)| format!("{} {}\n", hex(key), hex(value)));
    lines.collect()
}

#[test]
fn what_a_version_of_a_view_writes_never_changes() {
    let set = golden_log().folded();
    let mut changed = Vec::new();
    for view in set.views() {
        let (name, version) = (view.name(), view.version());
        let written = lines(&view);
        assert!(!written.is_empty(), "{name} shows nothing of the log");
        if golden(&format!("{name}-v{version}"), || written.clone()) != written {
            changed.push(format!("{name}: raise its VERSION, which is {version}"));
        }
    }
    assert!(
        changed.is_empty(),
        "these views write other bytes than before, and views on disk would be read wrongly:\n{}\n\
         Then set {WRITE}=1, and check the new files in, in the place of the old ones.",
        changed.join("\n")
    );
}
