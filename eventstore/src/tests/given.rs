//! Commits to append, journals to open, and answers awaited.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use uuid::Uuid;

use crate::error::AppendError;
use crate::event::{Commit, CommitId, Event, EventType, Label, Part, Record, SchemaVersion};
use crate::journal::{Journal, JournalOptions};
use crate::position::{Position, StreamVersion};
use crate::store::{Appended, Budget, EventStore, Filter};
use crate::stream::{Category, Expected, StreamId};

pub(crate) const LOG_ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

/// More than any test holds.
pub(crate) const ALL: Budget = Budget {
    records_max: usize::MAX,
    bytes_max: usize::MAX,
};

pub(crate) fn stream(number: u16) -> StreamId {
    let key = Uuid::new_v5(&LOG_ID, &number.to_be_bytes());
    StreamId::new(Category::new(number % 3), key)
}

pub(crate) fn owner(number: u16) -> Uuid {
    Uuid::from_u128(u128::from(number % 2))
}

pub(crate) fn commit_id(number: u32) -> CommitId {
    CommitId(Uuid::new_v5(&LOG_ID, &number.to_be_bytes()))
}

pub(crate) fn event(payload_bytes: usize) -> Event {
    Event {
        event_type: EventType(u16::try_from(payload_bytes % 3).unwrap()),
        schema: SchemaVersion(1),
        event_time_us: 1_700_000_000_000_000,
        inferred: payload_bytes % 2 == 1,
        cause: (!payload_bytes.is_multiple_of(4)).then(|| Label::new("drone-event/7").unwrap()),
        payload: vec![0xa5; payload_bytes],
    }
}

/// A part with as many events as payload sizes; a guard without any.
pub(crate) fn part(number: u16, expected: u64, payloads: &[usize]) -> Part {
    Part {
        stream: stream(number),
        owner: Some(owner(number)),
        expected: Expected::from(StreamVersion::new(expected)),
        events: payloads.iter().map(|bytes| event(*bytes)).collect(),
    }
}

pub(crate) fn commit(id: u32, parts: Vec<Part>) -> Commit {
    Commit {
        id: commit_id(id),
        clock_us: 1_800_000_000_000_000 + i64::from(id),
        actor: Label::new("api-key/1").unwrap(),
        correlation_id: Uuid::from_u128(u128::from(id)),
        parts,
    }
}

/// One event on one stream.
pub(crate) fn single(id: u32, number: u16, expected: u64) -> Commit {
    commit(id, vec![part(number, expected, &[24])])
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

pub(crate) fn append(store: &dyn EventStore, commit: Commit) -> Result<Appended, AppendError> {
    wait(store.append(commit))
}

/// Appends commits `1..=count`, one event each, spread over four streams.
pub(crate) fn fill(store: &dyn EventStore, count: u32) {
    for id in 1..=count {
        let number = u16::try_from(id % 4).unwrap();
        let expected = version(store, stream(number)).get();
        append(store, single(id, number, expected)).unwrap();
    }
}

pub(crate) fn version(store: &dyn EventStore, stream: StreamId) -> StreamVersion {
    let page = store.read_stream(stream, StreamVersion::EMPTY, ALL);
    page.unwrap().version
}

pub(crate) fn everything(store: &dyn EventStore) -> Vec<Record> {
    let page = store.read_all(Position::START, &Filter::everything(), ALL);
    page.unwrap().records
}

/// Settings under which nothing happens by the clock and the disk is never too full.
pub(crate) fn options(segment_bytes: u64) -> JournalOptions {
    JournalOptions {
        segment_bytes,
        disk_free_bytes_min: 0,
        head_idle: std::time::Duration::from_hours(1),
        ..JournalOptions::new(LOG_ID)
    }
}

pub(crate) fn open(folder: &Path, segment_bytes: u64) -> Journal {
    Journal::open(folder, options(segment_bytes)).unwrap()
}

/// A folder with a closed journal of that many commits, all in one segment.
pub(crate) fn journal_of(count: u32) -> TempDir {
    journal_with(count, 1 << 20)
}

/// The same with segments of that size.
pub(crate) fn journal_with(count: u32, segment_bytes: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path(), segment_bytes);
    fill(&journal, count);
    journal.close();
    folder
}

/// Copies a journal's files as they are at this moment: what a kill leaves
/// behind, as long as the machine stays on.
pub(crate) fn copy_of(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            continue;
        }
        // An index is renamed by the helper's thread whenever it is done.
        match fs::read(&path) {
            Ok(bytes) => fs::write(copy.path().join(&name), bytes).unwrap(),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    }
    copy
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let names = names(folder).into_iter();
    let names = names.filter(|name| name.ends_with(extension));
    names.map(|name| folder.join(name)).collect()
}

/// Every file and its bytes, to see that nothing was changed.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = names(folder).into_iter();
    names
        .filter(|name| folder.join(name).is_file())
        .map(|name| {
            let bytes = fs::read(folder.join(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Where each block of a segment begins, and where the last one ends.
pub(crate) fn block_offsets(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    let mut offsets = vec![64];
    let mut offset = 64;
    while offset < bytes.len() {
        let length = u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
        offset += length as usize;
        offsets.push(offset);
    }
    offsets
}

/// A store of one implementation, and how it is closed.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) close: Box<dyn Fn()>,
    _folder: Option<TempDir>,
}

impl Fixture {
    pub(crate) fn new(
        store: Arc<dyn EventStore>,
        close: Box<dyn Fn()>,
        folder: Option<TempDir>,
    ) -> Self {
        Self {
            store,
            close,
            _folder: folder,
        }
    }
}

pub(crate) fn memory() -> Fixture {
    let store = Arc::new(crate::MemoryEventStore::new(LOG_ID));
    Fixture {
        store: Arc::clone(&store) as Arc<dyn EventStore>,
        close: Box::new(move || store.close()),
        _folder: None,
    }
}

pub(crate) fn journal() -> Fixture {
    on_disk(1 << 20)
}

/// Every block seals its segment.
pub(crate) fn journal_of_tiny_segments() -> Fixture {
    on_disk(1)
}

fn on_disk(segment_bytes: u64) -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(open(folder.path(), segment_bytes));
    Fixture {
        store: Arc::clone(&store) as Arc<dyn EventStore>,
        close: Box::new(move || store.close()),
        _folder: Some(folder),
    }
}
