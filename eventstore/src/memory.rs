//! An event store in memory: the executable specification, and the oracle of
//! the property tests. It is as simple as it can be, and keeps nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::error::{AppendError, ReadError};
use crate::event::{Commit, Record};
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::record::AdmittedCommit;
use crate::store::{
    Appended, AppendedPart, Appending, Budget, EventStore, Filter, Health, Outcome, Page,
    StreamPage,
};
use crate::stream::StreamId;

/// Keeps the whole [`EventStore`] contract, but for a disk: everything is gone
/// when it is dropped.
#[derive(Debug)]
pub struct MemoryEventStore {
    identity: LogIdentity,
    log: Mutex<Log>,
    head: watch::Receiver<Position>,
}

#[derive(Debug)]
struct Log {
    /// The record at position `n` is the entry `n - 1`.
    entries: Vec<Entry>,
    /// The places of a stream's records in `entries`, oldest first.
    streams: HashMap<StreamId, Vec<usize>>,
    /// `None` once closed.
    head: Option<watch::Sender<Position>>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// What it costs of a budget, bytes.
    cost: usize,
    /// The position before the first record of its commit.
    commit_after: Position,
    /// How many records its commit has.
    commit_records: usize,
}

impl MemoryEventStore {
    /// An empty log with this identity, epoch 1.
    #[must_use]
    pub fn new(log_id: Uuid) -> Self {
        let (sender, head) = watch::channel(Position::START);
        Self {
            identity: LogIdentity { log_id, epoch: 1 },
            log: Mutex::new(Log {
                entries: Vec::new(),
                streams: HashMap::new(),
                head: Some(sender),
            }),
            head,
        }
    }

    /// Takes no more commits and ends the subscriptions once they have read
    /// everything. Reads go on.
    pub fn close(&self) {
        self.log().head = None;
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStore for MemoryEventStore {
    fn append(&self, commit: Commit) -> Appending {
        let answer =
            AdmittedCommit::new(&commit).and_then(|admitted| self.log().append(commit, &admitted));
        Box::pin(std::future::ready(answer))
    }

    fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        let log = self.log();
        let mut page = StreamPage {
            records: Vec::new(),
            read_to: after,
            version: log.version(stream),
        };
        let mut bytes = 0;
        for entry in log.stream(stream) {
            if entry.record.last_version() <= after {
                continue;
            }
            bytes += entry.cost;
            let spent = page.records.len() >= budget.records_max || bytes > budget.bytes_max;
            if spent && !page.records.is_empty() {
                break;
            }
            page.read_to = entry.record.last_version();
            page.records.push(entry.record.clone());
        }
        Ok(page)
    }

    fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        let log = self.log();
        let mut page = Page {
            records: Vec::new(),
            scanned_to: after,
            head: log.head(),
        };
        let mut bytes = 0;
        let skipped = usize::try_from(after.get()).unwrap_or(usize::MAX);
        for entry in log.entries.iter().skip(skipped) {
            bytes += entry.cost;
            let spent = page.records.len() >= budget.records_max || bytes > budget.bytes_max;
            if spent && page.scanned_to > after {
                break;
            }
            page.scanned_to = entry.record.position;
            if filter.wants(&entry.record) {
                page.records.push(entry.record.clone());
            }
        }
        Ok(page)
    }

    fn head(&self) -> watch::Receiver<Position> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    fn identity(&self) -> LogIdentity {
        self.identity
    }

    fn health(&self) -> Health {
        if self.log().head.is_some() {
            Health::Writable
        } else {
            Health::Closed
        }
    }
}

impl Log {
    fn append(
        &mut self,
        commit: Commit,
        admitted: &AdmittedCommit,
    ) -> Result<Appended, AppendError> {
        if self.head.is_none() {
            return Err(AppendError::Unavailable {
                why: "it is closed".to_owned(),
            });
        }
        if let Some(first) = self.first_answer(&commit) {
            return Ok(first);
        }
        for part in &commit.parts {
            let actual = self.version(part.stream);
            if actual != part.expected.version() {
                let stream = part.stream;
                return Err(AppendError::Conflict { stream, actual });
            }
        }
        let parts = self.write(commit, admitted);
        let head = self.head();
        if let Some(sender) = &self.head {
            sender.send_replace(head);
        }
        Ok(Appended {
            parts,
            outcome: Outcome::Committed,
        })
    }

    fn write(&mut self, commit: Commit, admitted: &AdmittedCommit) -> Vec<AppendedPart> {
        let commit_after = self.head();
        let last = self
            .entries
            .last()
            .map_or(i64::MIN, |entry| entry.record.recorded_at_us);
        let recorded_at_us = commit.clock_us.max(last);
        let written = commit.parts.into_iter().zip(&admitted.parts);
        let written: Vec<_> = written
            .filter(|(part, _)| !part.events.is_empty())
            .collect();
        let commit_records = written.len();
        let mut parts = Vec::with_capacity(commit_records);
        for (part, admitted_part) in written {
            let record = Record {
                position: self.head().next(),
                commit_id: commit.id,
                stream: part.stream,
                owner: part.owner,
                first_version: part.expected.version().plus(1),
                recorded_at_us,
                actor: commit.actor.clone(),
                correlation_id: commit.correlation_id,
                events: part.events,
            };
            parts.push(appended_part(&record));
            self.streams
                .entry(part.stream)
                .or_default()
                .push(self.entries.len());
            self.entries.push(Entry {
                record,
                cost: admitted_part.body_len(recorded_at_us),
                commit_after,
                commit_records,
            });
        }
        parts
    }

    /// What the commit was answered when it came first, if it did.
    fn first_answer(&self, commit: &Commit) -> Option<Appended> {
        let part = commit.parts.iter().find(|part| !part.events.is_empty())?;
        let next = part.expected.version().get().checked_add(1)?;
        let entry = self
            .stream(part.stream)
            .find(|entry| entry.record.first_version.get() == next)
            .filter(|entry| entry.record.commit_id == commit.id)?;
        let skipped = usize::try_from(entry.commit_after.get()).ok()?;
        let entries = self.entries.iter().skip(skipped).take(entry.commit_records);
        Some(Appended {
            parts: entries.map(|entry| appended_part(&entry.record)).collect(),
            outcome: Outcome::Duplicate,
        })
    }

    fn stream(&self, stream: StreamId) -> impl Iterator<Item = &Entry> {
        let places = self.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|&place| self.entries.get(place))
    }

    fn version(&self, stream: StreamId) -> StreamVersion {
        let last = self.stream(stream).last();
        last.map_or(StreamVersion::EMPTY, |entry| entry.record.last_version())
    }

    fn head(&self) -> Position {
        Position::new(self.entries.len() as u64)
    }
}

fn appended_part(record: &Record) -> AppendedPart {
    AppendedPart {
        stream: record.stream,
        position: record.position,
        version: record.last_version(),
    }
}
