//! What the registry promises, over the store in memory and on disk.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::event::{CommitId, Label, Part};
use crate::journal::{Journal, JournalOptions};
use crate::memory::MemoryEventStore;
use crate::position::Position;
use crate::store::{Appended, Budget, Filter, Outcome};
use crate::stream::{Category, Expected, StreamId};

mod following;

const LOG_ID: Uuid = Uuid::from_u128(7);

const ALL: Budget = Budget {
    records_max: usize::MAX,
    bytes_max: usize::MAX,
};

/// One registration on an empty log: type 300, schema 2, fingerprint 00 01 … 0f.
const GOLDEN_ENTRY: &str = "ac0202000102030405060708090a0b0c0d0e0f";

fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new(LOG_ID))
}

fn known(event_type: u16, schema: u16) -> KnownSchema {
    KnownSchema {
        event_type: EventType(event_type),
        schema: SchemaVersion(schema),
        fingerprint: SchemaFingerprint([u8::try_from(event_type * 10 + schema).unwrap(); 16]),
    }
}

/// What this release knows: types 1 to 4, each in the schemas 1 and 2.
fn release() -> Vec<KnownSchema> {
    (1..=4)
        .flat_map(|event_type| [known(event_type, 1), known(event_type, 2)])
        .collect()
}

fn registered(store: &Arc<dyn EventStore>) -> RegisteredStore {
    RegisteredStore::open(Arc::clone(store), release()).unwrap()
}

fn stream(key: u8) -> StreamId {
    StreamId::new(Category::new(1), Uuid::from_u128(u128::from(key)))
}

/// A commit on one stream with events of these types and schemas.
fn commit(key: u8, expected: u64, pairs: &[(u16, u16)]) -> Commit {
    let events = pairs.iter().map(|&(event_type, schema)| Event {
        event_type: EventType(event_type),
        schema: SchemaVersion(schema),
        event_time_us: 5,
        inferred: false,
        cause: None,
        payload: vec![key],
    });
    let name = [&[key], expected.to_be_bytes().as_slice()].concat();
    Commit {
        id: CommitId(Uuid::new_v5(&LOG_ID, &name)),
        clock_us: 9,
        actor: Label::new("customer:1").unwrap(),
        correlation_id: Uuid::from_u128(3),
        parts: vec![Part {
            stream: stream(key),
            owner: None,
            expected: Expected::from(StreamVersion::new(expected)),
            events: events.collect(),
        }],
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn append(store: &dyn EventStore, commit: Commit) -> Result<Appended, AppendError> {
    wait(store.append(commit))
}

fn everything(store: &dyn EventStore) -> Vec<Record> {
    let page = store.read_all(Position::START, &Filter::everything(), ALL);
    page.unwrap().records
}

/// The pairs that each of the registry's records names, in order.
fn registrations(store: &dyn EventStore) -> Vec<Vec<(u16, u16)>> {
    let records = everything(store).into_iter();
    let records = records.filter(|record| record.stream == SCHEMA_STREAM);
    records
        .map(|record| {
            let entries = record.events.iter().map(KnownSchema::decode);
            let pair = |entry: KnownSchema| (entry.event_type.0, entry.schema.0);
            entries.map(|entry| pair(entry.unwrap())).collect()
        })
        .collect()
}

/// Every schema of an event is registered by a record before it, and once in all.
fn assert_in_order(store: &dyn EventStore) {
    let mut named = HashSet::new();
    for record in everything(store) {
        for event in &record.events {
            if record.stream == SCHEMA_STREAM {
                let entry = KnownSchema::decode(event).unwrap();
                assert!(
                    named.insert((entry.event_type, entry.schema)),
                    "{entry:?} twice"
                );
            } else {
                assert!(
                    named.contains(&(event.event_type, event.schema)),
                    "{event:?} before its registration"
                );
            }
        }
    }
}

#[test]
fn given_new_schemas_when_a_commit_has_them_then_one_commit_before_it_registers_all() {
    let store = memory();
    let checked = registered(&store);
    let appended = append(&checked, commit(1, 0, &[(2, 1), (1, 2), (2, 1)])).unwrap();
    assert_eq!(appended.position(), Position::new(2));
    assert_eq!(registrations(&checked), [vec![(1, 2), (2, 1)]]);
    append(&checked, commit(1, 3, &[(1, 2), (3, 1)])).unwrap();
    append(&checked, commit(1, 5, &[(1, 2), (3, 1), (2, 1)])).unwrap();
    assert_eq!(
        registrations(&checked),
        [vec![(1, 2), (2, 1)], vec![(3, 1)]]
    );
    // A restart, or an import of all records: nothing is registered again.
    let again = registered(&store);
    append(&again, commit(1, 8, &[(1, 2), (2, 1)])).unwrap();
    assert_eq!(registrations(&again).len(), 2);
    assert_in_order(&again);
}

#[test]
fn given_a_commit_that_is_there_already_when_it_comes_again_then_it_is_answered_as_then() {
    let store = memory();
    let first = append(&registered(&store), commit(1, 0, &[(1, 1)])).unwrap();
    let again = append(&registered(&store), commit(1, 0, &[(1, 1)])).unwrap();
    assert_eq!(
        (again.parts, again.outcome),
        (first.parts, Outcome::Duplicate)
    );
}

#[test]
fn given_an_event_that_this_release_does_not_know_then_nothing_of_the_commit_is_written() {
    let store = memory();
    let checked = registered(&store);
    for pair in [(1, 3), (9, 1), (0, 1)] {
        let refused = append(&checked, commit(1, 0, &[(1, 1), pair]));
        let unknown = AppendError::UnknownSchema {
            event_type: EventType(pair.0),
            schema: SchemaVersion(pair.1),
        };
        assert_eq!(refused, Err(unknown));
    }
    assert_eq!(everything(&checked), []);
}

#[test]
fn given_a_commit_to_the_registry_itself_then_it_is_refused() {
    let checked = registered(&memory());
    let mut forged = commit(1, 0, &[(1, 1)]);
    forged.parts[0].stream = SCHEMA_STREAM;
    assert!(matches!(
        append(&checked, forged),
        Err(AppendError::Malformed { .. })
    ));
}

#[test]
fn given_a_log_of_a_later_release_when_an_older_one_opens_it_then_all_that_differs_is_named() {
    let store = memory();
    let mut later = release();
    later.extend([known(1, 3), known(5, 1)]);
    later[2].fingerprint = SchemaFingerprint([0xff; 16]);
    let newest = RegisteredStore::open(Arc::clone(&store), later).unwrap();
    append(&newest, commit(1, 0, &[(1, 1), (1, 3), (5, 1), (2, 1)])).unwrap();
    let before = everything(store.as_ref());
    let refused = RegisteredStore::open(Arc::clone(&store), release()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the log holds events that this release cannot read: event type 1 in schema 3 (the \
         schema is unknown), event type 2 in schema 1 (its layout is another one here), event \
         type 5 in schema 1 (the type is unknown); run the release that wrote them, or a later one"
    );
    assert_eq!(everything(store.as_ref()), before);
}

#[test]
fn given_a_schema_that_was_known_and_never_written_when_an_older_release_opens_it_then_it_may() {
    let store = memory();
    let mut later = release();
    later.push(known(5, 1));
    let newest = RegisteredStore::open(Arc::clone(&store), later).unwrap();
    append(&newest, commit(1, 0, &[(1, 1)])).unwrap();
    append(&registered(&store), commit(1, 1, &[(1, 1)])).unwrap();
}

fn entry_log(events: Vec<Event>) -> Arc<dyn EventStore> {
    let store = memory();
    let mut forged = registration(&[known(1, 1)], StreamVersion::EMPTY, &commit(1, 0, &[]));
    forged.parts[0].events = events;
    append(store.as_ref(), forged).unwrap();
    store
}

fn entry(schema: u16, payload: Vec<u8>) -> Event {
    Event {
        schema: SchemaVersion(schema),
        event_type: EventType(0),
        payload,
        ..commit(1, 0, &[(1, 1)]).parts.remove(0).events.remove(0)
    }
}

#[test]
fn given_a_registry_of_a_later_format_then_it_is_refused_by_name() {
    let refused = RegisteredStore::open(entry_log(vec![entry(2, vec![1])]), release());
    let format = RegistryError::Format {
        found: 2,
        supported: 1,
    };
    assert_eq!(refused.unwrap_err(), format);
}

#[test]
fn given_an_entry_with_other_bytes_than_any_release_writes_then_it_is_refused_by_place() {
    let good = hex(GOLDEN_ENTRY);
    let overlong = [&[0xac, 0x82, 0x00], &good[2..]].concat();
    let longer = [good.as_slice(), &[0]].concat();
    for wrong in [overlong, longer, good[..18].to_vec(), Vec::new()] {
        let log = entry_log(vec![entry(1, known(1, 1).encode()), entry(1, wrong)]);
        let malformed = RegistryError::Malformed {
            version: StreamVersion::new(2),
        };
        assert_eq!(
            RegisteredStore::open(log, release()).unwrap_err(),
            malformed
        );
    }
}

#[test]
fn given_a_release_that_declares_a_schema_twice_then_it_does_not_open() {
    let twice = [known(1, 1), known(1, 1)];
    let refused = RegisteredStore::open(memory(), twice).unwrap_err();
    assert!(
        matches!(refused, RegistryError::DeclaredTwice { .. }),
        "{refused}"
    );
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn given_the_bytes_of_an_entry_they_are_read_and_written_so_for_ever() {
    let fingerprint = std::array::from_fn(|place| u8::try_from(place).unwrap());
    let schema = KnownSchema {
        fingerprint: SchemaFingerprint(fingerprint),
        ..KnownSchema {
            event_type: EventType(300),
            schema: SchemaVersion(2),
            ..known(1, 1)
        }
    };
    assert_eq!(schema.encode(), hex(GOLDEN_ENTRY));
    assert_eq!(
        KnownSchema::decode(&entry(1, hex(GOLDEN_ENTRY))),
        Ok(schema)
    );
    let commit = registration(&[schema], StreamVersion::EMPTY, &commit(1, 0, &[]));
    assert_eq!(
        commit.id.to_string(),
        "5ec06460-7d60-5d86-bd6b-f706064bd186"
    );
}

#[test]
fn given_many_who_append_new_schemas_at_once_then_each_is_registered_once_and_before_its_use() {
    let folder = TempDir::new().unwrap();
    let options = JournalOptions {
        disk_free_bytes_min: 0,
        ..JournalOptions::new(LOG_ID)
    };
    let journal = Arc::new(Journal::open(folder.path(), options).unwrap());
    let checked = registered(&(Arc::clone(&journal) as Arc<dyn EventStore>));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let callers: Vec<_> = (0..64_u8)
            .map(|key| {
                let pair = |place: u8| (u16::from((key + place) % 4 + 1), u16::from(key % 2 + 1));
                let appending = checked.append(commit(key, 0, &[pair(0), pair(1)]));
                tokio::spawn(appending)
            })
            .collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
    assert_in_order(&checked);
    assert_eq!(
        everything(&checked).len(),
        64 + registrations(&checked).len()
    );
    journal.close();
    drop(checked);
    drop(journal);
    let journal: Arc<dyn EventStore> = Arc::new(Journal::open(folder.path(), options).unwrap());
    registered(&journal);
}

#[test]
fn given_two_processes_on_one_log_when_both_register_then_each_schema_is_named_once() {
    let store = memory();
    let (one, other) = (registered(&store), registered(&store));
    append(&one, commit(1, 0, &[(1, 1), (2, 1)])).unwrap();
    append(&other, commit(2, 0, &[(2, 1), (3, 1)])).unwrap();
    append(&one, commit(3, 0, &[(3, 1), (4, 1)])).unwrap();
    assert_in_order(&one);
}

/// Answers that it does not know, whatever it did.
#[derive(Debug)]
struct Unsure {
    store: Arc<dyn EventStore>,
    writes: bool,
}

impl StoreLayer for Unsure {
    fn beneath(&self) -> &dyn EventStore {
        &*self.store
    }

    fn on_append(&self, commit: Commit) -> Appending {
        let commit_id = commit.id;
        let written = self.writes.then(|| self.store.append(commit));
        Box::pin(async move {
            if let Some(written) = written {
                written.await.unwrap();
            }
            Err(AppendError::Indeterminate { commit_id })
        })
    }
}

#[test]
fn given_a_registration_whose_fate_is_open_then_the_commit_is_not_written_and_a_retry_goes_on() {
    for writes in [false, true] {
        let store = memory();
        let unsure = Unsure {
            store: Arc::clone(&store),
            writes,
        };
        let checked = registered(&(Arc::new(unsure) as Arc<dyn EventStore>));
        let refused = append(&checked, commit(1, 0, &[(1, 1)]));
        assert!(matches!(refused, Err(AppendError::Unavailable { .. })));
        assert_eq!(everything(store.as_ref()).len(), usize::from(writes));
        append(&registered(&store), commit(1, 0, &[(1, 1)])).unwrap();
        assert_eq!(everything(store.as_ref()).len(), 2);
        assert_in_order(store.as_ref());
    }
}

proptest! {
    #[test]
    fn whatever_is_appended_the_registered_store_answers_as_the_store_but_for_its_own_records(
        commits in vec((0..4_u8, 0..4_u64, vec((1..6_u16, 1..3_u16), 1..4)), 0..20),
        restarts in vec(any::<bool>(), 20),
    ) {
        let (plain, store) = (memory(), memory());
        let mut checked = registered(&store);
        for ((key, expected, pairs), restart) in commits.into_iter().zip(restarts) {
            let commit = commit(key, expected, &pairs);
            if restart {
                checked = registered(&store);
            }
            let answer = append(&checked, commit.clone());
            if pairs.iter().any(|(event_type, _)| *event_type == 5) {
                let is_refused = matches!(answer, Err(AppendError::UnknownSchema { .. }));
                prop_assert!(is_refused);
                continue;
            }
            let versions = |answer: Result<Appended, AppendError>| {
                answer.map(|appended| {
                    let versions: Vec<_> =
                        appended.parts.iter().map(|part| (part.stream, part.version)).collect();
                    (versions, appended.outcome)
                })
            };
            prop_assert_eq!(versions(answer), versions(append(plain.as_ref(), commit)));
        }
        let others = everything(&checked).into_iter();
        let others = others.filter(|record| record.stream != SCHEMA_STREAM);
        let unplaced = |record: Record| Record { position: Position::START, ..record };
        let expected: Vec<_> = everything(plain.as_ref()).into_iter().map(unplaced).collect();
        prop_assert_eq!(others.map(unplaced).collect::<Vec<_>>(), expected);
        assert_in_order(&checked);
    }
}
