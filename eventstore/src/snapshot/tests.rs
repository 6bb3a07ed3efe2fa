//! What is given is right, whatever happened to the files and to the log.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::event::{Commit, CommitId, Event, EventType, Label, Part, SchemaVersion};
use crate::memory::MemoryEventStore;
use crate::stream::{Category, Expected};

// A disk that fails at any call.
mod failing_disk;

const CODE: CodeFingerprint = CodeFingerprint([7; 16]);

fn stream(key: u8) -> StreamId {
    StreamId::new(Category::new(5), Uuid::from_u128(u128::from(key)))
}

fn log(log_id: u128) -> MemoryEventStore {
    MemoryEventStore::new(Uuid::from_u128(log_id))
}

/// Appends that many events to a stream in one record; gives the record.
fn append(log: &dyn EventStore, key: u8, events: u8) -> Record {
    append_as(log, key, events, 0)
}

fn append_as(log: &dyn EventStore, key: u8, events: u8, clock_us: i64) -> Record {
    let whole = Budget {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let read = || {
        log.read_stream(stream(key), StreamVersion::EMPTY, whole)
            .unwrap()
    };
    let version = read().version;
    let event = |number: u8| Event {
        event_type: EventType(1),
        schema: SchemaVersion(1),
        event_time_us: 0,
        inferred: false,
        cause: None,
        payload: vec![number],
    };
    let commit = Commit {
        id: CommitId(Uuid::from_u128(u128::from(version.get()))),
        clock_us,
        actor: Label::new("system").unwrap(),
        correlation_id: Uuid::nil(),
        parts: vec![Part {
            stream: stream(key),
            owner: None,
            expected: Expected::from(version),
            events: (0..events).map(event).collect(),
        }],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(log.append(commit)).unwrap();
    read().records.pop().unwrap()
}

/// A state that says which record it is of, so that a wrong one shows.
fn state_of(record: &Record) -> Vec<u8> {
    format!("{} at {}", record.stream, record.last_version()).into_bytes()
}

fn snapshot(log: &dyn EventStore, record: &Record) -> Snapshot {
    Snapshot::after(record, log.identity(), state_of(record))
}

fn open(folder: &Path) -> SnapshotStore {
    SnapshotStore::open(folder, CODE).unwrap()
}

fn small(folder: &Path, limits: SnapshotLimits) -> SnapshotStore {
    SnapshotStore::open_on(Arc::new(RealDisk), folder, CODE, limits).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    RealDisk.names(folder).unwrap()
}

fn only_file(folder: &Path) -> PathBuf {
    let names = names(folder);
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

fn discarded(why: DiscardReason) -> SnapshotLookup {
    SnapshotLookup::Discarded(why)
}

#[test]
fn given_a_state_that_was_kept_it_is_given_also_after_a_restart_and_a_longer_stream() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let store = open(folder.path());
    assert_eq!(store.get(&log, stream(1)), Ok(SnapshotLookup::Absent));
    let kept = snapshot(&log, &append(&log, 1, 3));
    store.put(&kept).unwrap();
    let found = Ok(SnapshotLookup::Found(kept));
    assert_eq!(store.get(&log, stream(1)), found);
    append(&log, 1, 2);
    assert_eq!(open(folder.path()).get(&log, stream(1)), found);
    assert_eq!(
        open(folder.path()).get(&log, stream(2)),
        Ok(SnapshotLookup::Absent)
    );
}

#[test]
fn given_a_newer_state_it_takes_the_place_of_the_older_one() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let store = open(folder.path());
    store.put(&snapshot(&log, &append(&log, 1, 3))).unwrap();
    let newer = snapshot(&log, &append(&log, 1, 2));
    store.put(&newer).unwrap();
    only_file(folder.path());
    assert_eq!(
        store.get(&log, stream(1)),
        Ok(SnapshotLookup::Found(newer.clone()))
    );
    assert_eq!(
        open(folder.path()).get(&log, stream(1)),
        Ok(SnapshotLookup::Found(newer))
    );
}

#[test]
fn given_another_code_another_log_or_a_shorter_one_it_is_thrown_away_with_the_reason() {
    let kept = |folder: &Path, log: &MemoryEventStore| {
        append(log, 1, 3);
        let store = open(folder);
        store.put(&snapshot(log, &append(log, 1, 1))).unwrap();
    };
    let original = log(1);
    let other_code = CodeFingerprint([8; 16]);
    let shorter = log(1);
    append(&shorter, 1, 3);
    let different = log(1);
    append(&different, 1, 3);
    append_as(&different, 1, 1, 9);
    let grouped = log(1);
    append(&grouped, 2, 1);
    append(&grouped, 1, 3);
    append(&grouped, 1, 2);
    for (log_then, code, why) in [
        (&original, other_code, DiscardReason::OtherCode),
        (&log(2), CODE, DiscardReason::OtherLog),
        (&shorter, CODE, DiscardReason::Ahead),
        (&log(1), CODE, DiscardReason::Ahead),
        // The same commit id on the same version and position, recorded at another time.
        (&different, CODE, DiscardReason::OtherRecord),
        (&grouped, CODE, DiscardReason::OtherRecord),
    ] {
        let folder = TempDir::new().unwrap();
        kept(folder.path(), &log(1));
        let store = SnapshotStore::open(folder.path(), code).unwrap();
        assert_eq!(store.get(log_then, stream(1)), Ok(discarded(why)));
        assert_eq!(store.get(log_then, stream(1)), Ok(SnapshotLookup::Absent));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn given_any_byte_changed_or_any_end_missing_it_is_thrown_away() {
    let log = log(1);
    let record = append(&log, 1, 3);
    let folder = TempDir::new().unwrap();
    let put = |store: &SnapshotStore| {
        store.put(&snapshot(&log, &record)).unwrap();
        let path = only_file(folder.path());
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    let store = open(folder.path());
    let length = put(&store).1.len();
    for place in 0..length {
        let (path, mut bytes) = put(&store);
        bytes[place] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let found = store.get(&log, stream(1));
        assert_eq!(found, Ok(discarded(DiscardReason::Damaged)), "byte {place}");
        let (path, bytes) = put(&store);
        fs::write(&path, &bytes[..place]).unwrap();
        let found = store.get(&log, stream(1));
        assert_eq!(
            found,
            Ok(discarded(DiscardReason::Damaged)),
            "cut at {place}"
        );
    }
}

#[test]
fn given_a_file_of_another_format_or_under_another_streams_name_it_is_thrown_away() {
    let log = log(1);
    let record = append(&log, 1, 3);
    append(&log, 2, 3);
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    store.put(&snapshot(&log, &record)).unwrap();
    let path = only_file(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    fs::write(folder.path().join(name_of(9, stream(2))), &bytes).unwrap();
    bytes[8] = 2;
    let checked = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..checked]).to_le_bytes();
    bytes[checked..].copy_from_slice(&crc);
    fs::write(&path, bytes).unwrap();
    let store = open(folder.path());
    let found = store.get(&log, stream(1));
    assert_eq!(found, Ok(discarded(DiscardReason::OtherFormat)));
    let found = store.get(&log, stream(2));
    assert_eq!(found, Ok(discarded(DiscardReason::OtherStream)));
}

#[test]
fn given_more_states_than_are_kept_the_oldest_go_also_at_the_next_opening() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let limits = SnapshotLimits {
        snapshots_max: 3,
        ..SnapshotLimits::default()
    };
    let store = small(folder.path(), limits);
    for key in 1..=5 {
        store.put(&snapshot(&log, &append(&log, key, 1))).unwrap();
    }
    store.put(&snapshot(&log, &append(&log, 3, 1))).unwrap();
    store.put(&snapshot(&log, &append(&log, 6, 1))).unwrap();
    let is_there = |store: &SnapshotStore, key| {
        matches!(store.get(&log, stream(key)), Ok(SnapshotLookup::Found(_)))
    };
    let there: Vec<_> = (1..=6).filter(|key| is_there(&store, *key)).collect();
    assert_eq!(there, [3, 5, 6]);
    let fewer = SnapshotLimits {
        all_bytes_max: 200,
        ..limits
    };
    let store = small(folder.path(), fewer);
    assert_eq!((store.len(), names(folder.path()).len()), (1, 1));
    assert!(is_there(&store, 6));
}

#[test]
fn given_a_state_that_is_too_large_the_former_one_is_kept() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let limits = SnapshotLimits {
        state_bytes_max: 100,
        ..SnapshotLimits::default()
    };
    let store = small(folder.path(), limits);
    let kept = snapshot(&log, &append(&log, 1, 3));
    store.put(&kept).unwrap();
    let large = Snapshot {
        state: vec![0; 101],
        ..snapshot(&log, &append(&log, 1, 1))
    };
    assert!(matches!(
        store.put(&large),
        Err(SnapshotError::TooLarge {
            bytes: 101,
            max: 100
        })
    ));
    assert_eq!(store.get(&log, stream(1)), Ok(SnapshotLookup::Found(kept)));
}

#[test]
fn given_leftovers_of_unfinished_writes_they_are_removed_and_others_files_are_not() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let kept = snapshot(&log, &append(&log, 1, 3));
    open(folder.path()).put(&kept).unwrap();
    let name = names(folder.path()).remove(0);
    // Killed between the new file's rename and the old one's removal, and while writing.
    fs::write(folder.path().join(name_of(0, stream(1))), b"older").unwrap();
    fs::write(folder.path().join(format!("{name}.new")), b"half").unwrap();
    fs::write(folder.path().join("notes.txt"), b"mine").unwrap();
    let store = open(folder.path());
    assert_eq!(store.get(&log, stream(1)), Ok(SnapshotLookup::Found(kept)));
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, [name, "notes.txt".to_owned()]);
}

#[test]
fn given_a_state_that_its_owner_does_not_understand_it_is_gone() {
    let (folder, log) = (TempDir::new().unwrap(), log(1));
    let store = open(folder.path());
    store.put(&snapshot(&log, &append(&log, 1, 3))).unwrap();
    store.discard(stream(1));
    store.discard(stream(2));
    assert!(store.is_empty());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: std::collections::HashSet<_> =
        DiscardReason::ALL.iter().map(|why| why.word()).collect();
    assert_eq!(words.len(), DiscardReason::ALL.len());
}

/// A state that is given is the stream's own at the version it says.
fn assert_right(found: &SnapshotLookup, key: u8) {
    if let SnapshotLookup::Found(found) = found {
        let state = format!("{} at {}", stream(key), found.version);
        assert_eq!(found.state, state.into_bytes());
    }
}

/// What may happen to the folder, the log and the service.
#[derive(Clone, Debug)]
enum Happening {
    Append {
        key: u8,
        events: u8,
    },
    Keep {
        key: u8,
    },
    Damage {
        file: Index,
        place: Index,
        by: u8,
    },
    Cut {
        file: Index,
        place: Index,
    },
    Swap {
        one: Index,
        other: Index,
    },
    Delete {
        file: Index,
    },
    Restart {
        code: u8,
    },
    /// The log is replaced by another one with the same events and this id.
    Replace {
        log_id: u8,
    },
    /// The log loses everything, keeps its id, and goes on.
    Lose,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1..4_u8, 1..4_u8).prop_map(|(key, events)| Happening::Append { key, events }),
        6 => (1..4_u8).prop_map(|key| Happening::Keep { key }),
        1 => any::<(Index, Index)>().prop_flat_map(|(file, place)| (1..=255_u8)
            .prop_map(move |by| Happening::Damage { file, place, by })),
        1 => any::<(Index, Index)>().prop_map(|(file, place)| Happening::Cut { file, place }),
        1 => any::<(Index, Index)>().prop_map(|(one, other)| Happening::Swap { one, other }),
        1 => any::<Index>().prop_map(|file| Happening::Delete { file }),
        1 => (7..9_u8).prop_map(|code| Happening::Restart { code }),
        1 => (1..3_u8).prop_map(|log_id| Happening::Replace { log_id }),
        1 => Just(Happening::Lose),
    ]
}

fn file(folder: &Path, place: Index) -> Option<PathBuf> {
    let names = names(folder);
    (!names.is_empty()).then(|| folder.join(place.get(&names)))
}

fn tamper(folder: &Path, happening: &Happening) -> Option<()> {
    match happening {
        Happening::Damage {
            file: name,
            place,
            by,
        } => {
            let path = file(folder, *name)?;
            let mut bytes = fs::read(&path).unwrap();
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= by;
            }
            fs::write(path, bytes).unwrap();
        }
        Happening::Cut { file: name, place } => {
            let path = file(folder, *name)?;
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..place.index(bytes.len() + 1)]).unwrap();
        }
        Happening::Swap { one, other } => {
            let (one, other) = (file(folder, *one)?, file(folder, *other)?);
            let bytes = fs::read(&one).unwrap();
            fs::write(&one, fs::read(&other).unwrap()).unwrap();
            fs::write(&other, bytes).unwrap();
        }
        Happening::Delete { file: name } => fs::remove_file(file(folder, *name)?).unwrap(),
        Happening::Append { .. }
        | Happening::Keep { .. }
        | Happening::Restart { .. }
        | Happening::Replace { .. }
        | Happening::Lose => {}
    }
    Some(())
}

/// The states fold to this: which log wrote it, and all of the stream's records.
fn folded(log: &dyn EventStore, key: u8, up_to: StreamVersion) -> Vec<u8> {
    let page = log
        .read_stream(stream(key), StreamVersion::EMPTY, Budget::PAGE)
        .unwrap();
    let records = page.records.iter();
    let records = records.filter(|record| record.last_version() <= up_to);
    let digests: Vec<_> = records.map(digest).collect();
    digests.concat()
}

proptest! {
    #[test]
    fn whatever_happens_a_state_that_is_given_is_the_one_that_folding_gives(
        happenings in vec(happening(), 0..60),
    ) {
        let folder = TempDir::new().unwrap();
        let mut current = log(1);
        let (mut store, mut clock_us) = (open(folder.path()), 0);
        for happening in happenings {
            match &happening {
                Happening::Append { key, events } => {
                    clock_us += 1;
                    append_as(&current, *key, *events, clock_us);
                }
                Happening::Keep { key } => {
                    let page = current.read_stream(stream(*key), StreamVersion::EMPTY, Budget::PAGE);
                    if let Some(last) = page.unwrap().records.last() {
                        let state = folded(&current, *key, last.last_version());
                        store.put(&Snapshot::after(last, current.identity(), state)).unwrap();
                    }
                }
                Happening::Restart { code } => {
                    store = SnapshotStore::open(folder.path(), CodeFingerprint([*code; 16])).unwrap();
                }
                Happening::Replace { log_id } => {
                    current = log(u128::from(*log_id));
                    for key in 1..4 {
                        clock_us += 1;
                        append_as(&current, key, 2, clock_us);
                    }
                }
                Happening::Lose => current = log(current.identity().log_id.as_u128()),
                Happening::Damage { .. }
                | Happening::Cut { .. }
                | Happening::Swap { .. }
                | Happening::Delete { .. } => {
                    tamper(folder.path(), &happening);
                }
            }
            for key in 1..4 {
                if let SnapshotLookup::Found(found) = store.get(&current, stream(key)).unwrap() {
                    let right = folded(&current, key, found.version);
                    prop_assert!(found.state == right, "{:?}", found);
                }
            }
        }
    }
}
