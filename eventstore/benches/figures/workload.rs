//! The reference workload: deliveries of 4 to 12 events, 8 on average, a
//! thousand of them under way at once, ten to a user, keys that are UUIDs of version 7, one event a
//! commit. Payloads, actors and causes have the lengths that the service's have.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;

use eventstore::{
    Appending, Category, Commit, CommitId, Event, EventStore, EventType, Expected, Journal,
    JournalOptions, Label, Part, SchemaVersion, StreamId, StreamVersion,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::settings::Settings;

const LOG_ID: Uuid = Uuid::from_u128(0x0a11_ce00_0000_4000_8000_0000_0000_0001);
/// 2026-01-01, in milliseconds since the Unix epoch.
const BEGIN_MS: u64 = 1_767_225_600_000;
const UNDER_WAY: usize = 1_000;
const DELIVERIES_A_USER: u64 = 10;
/// Appends that wait for their answer while a journal is filled.
const IN_FLIGHT: usize = 2_000;
/// Payload lengths by place in a delivery's life, bytes: the service's own.
const PAYLOAD_BYTES: [usize; 12] = [56, 4, 31, 16, 16, 25, 16, 18, 20, 17, 16, 16];

/// A version 7 UUID of the moment at which a thing came to be.
fn key(number: u64, kind: u64) -> Uuid {
    let random = (number ^ (kind << 60)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&[random.to_be_bytes().as_slice(), &[0; 2]].concat());
    uuid::Builder::from_unix_timestamp_millis(BEGIN_MS + number, &bytes).into_uuid()
}

fn event(place: usize, time_us: i64) -> Event {
    let bytes = PAYLOAD_BYTES.get(place).copied().unwrap_or(16);
    Event {
        event_type: EventType(101 + u16::try_from(place).unwrap_or(0)),
        schema: SchemaVersion(1),
        event_time_us: time_us,
        inferred: false,
        cause: Label::new("drone-event/m100-7/1234").ok(),
        payload: vec![0x5a; bytes],
    }
}

fn commit(number: u64, stream: StreamId, owner: Uuid, version: u64) -> Commit {
    let time_us = i64::try_from((BEGIN_MS + number) * 1_000).expect("a time of this century");
    Commit {
        id: CommitId(Uuid::new_v5(&LOG_ID, &number.to_be_bytes())),
        clock_us: time_us,
        actor: Label::new("drone:alpine-couriers/matrice-07").expect("a short text"),
        correlation_id: key(number, 3),
        parts: vec![Part {
            stream,
            owner: Some(owner),
            expected: Expected::from(StreamVersion::new(version)),
            events: vec![event(usize::try_from(version).unwrap_or(0), time_us)],
        }],
    }
}

/// First events of deliveries, no two of one delivery.
pub(crate) fn first_events(from: u64, count: u64) -> impl Iterator<Item = Commit> {
    (from..from + count).map(|number| {
        let stream = StreamId::new(Category::new(1), key(number, 1));
        commit(number, stream, key(number / DELIVERIES_A_USER, 2), 0)
    })
}

/// Whole lives of deliveries, interleaved.
struct Lives {
    number: u64,
    deliveries: u64,
    under_way: VecDeque<Life>,
}

struct Life {
    delivery: u64,
    version: u64,
    length: u64,
}

impl Lives {
    fn new() -> Self {
        Self {
            number: 0,
            deliveries: 0,
            under_way: VecDeque::with_capacity(UNDER_WAY),
        }
    }

    fn begin(&mut self) -> Life {
        let delivery = self.deliveries;
        self.deliveries += 1;
        // 4, 5, … 12 in turn.
        let length = 4 + delivery % 9;
        Life {
            delivery,
            version: 0,
            length,
        }
    }

    fn next(&mut self) -> Commit {
        let is_new = self.under_way.len() < UNDER_WAY;
        let life = (!is_new).then(|| self.under_way.pop_front()).flatten();
        let mut life = life.unwrap_or_else(|| self.begin());
        let stream = StreamId::new(Category::new(1), key(life.delivery, 1));
        let owner = key(life.delivery / DELIVERIES_A_USER, 2);
        let commit = commit(self.number, stream, owner, life.version);
        self.number += 1;
        life.version += 1;
        if life.version < life.length {
            self.under_way.push_back(life);
        }
        commit
    }
}

pub(crate) fn open(folder: &Path) -> Journal {
    Journal::open(folder, JournalOptions::new(LOG_ID)).expect("the journal opens")
}

/// Fills a journal and ends as a crash would: nothing is closed.
pub(crate) fn write_and_abort(folder: &Path, events: u64) {
    let journal = open(folder);
    let mut lives = Lives::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let mut waiting: VecDeque<Appending> = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..events {
            if waiting.len() >= IN_FLIGHT
                && let Some(oldest) = waiting.pop_front()
            {
                let _appended = oldest.await.expect("an append succeeds");
            }
            waiting.push_back(journal.append(lives.next()));
        }
        for rest in waiting {
            let _appended = rest.await.expect("an append succeeds");
        }
    });
    std::process::abort();
}

/// A journal of the reference workload, as an abort left it.
#[derive(Debug)]
pub(crate) struct JournalOf {
    pub(crate) events: u64,
    pub(crate) folder: PathBuf,
    _scratch: TempDir,
}

impl JournalOf {
    pub(crate) fn events(settings: &Settings, events: u64) -> Self {
        let scratch = TempDir::new_in(&settings.folder).expect("the folder can be written");
        let folder = scratch.path().join("journal");
        let program = std::env::current_exe().expect("a program knows itself");
        let mut child = Command::new(program);
        child.arg("write-and-abort").arg(&folder);
        let status = child.arg(events.to_string()).status();
        let status = status.expect("the program starts once more");
        assert!(!status.success(), "an abort is no success");
        Self {
            events,
            folder,
            _scratch: scratch,
        }
    }
}
