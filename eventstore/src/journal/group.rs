//! One group of commits: what is staged for the next block, and who waits for it.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::block::BlockBuilder;
use super::log::Log;
use crate::error::{AppendError, ReadError};
use crate::event::CommitId;
use crate::index::RecordPlace;
use crate::position::{Position, StreamVersion};
use crate::record::{AdmittedCommit, AdmittedPart};
use crate::store::{Appended, AppendedPart, Outcome};
use crate::stream::StreamId;

/// A commit in the queue.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) commit: AdmittedCommit,
    pub(crate) answer: Answer,
}

/// Where the answer goes. Whoever asked may be gone: that takes nothing back.
pub(crate) type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// What became of a group that was not written.
#[derive(Clone, Debug)]
pub(crate) enum GroupFailure {
    /// There was no space, and nothing of it is left on disk.
    Full,
    /// Nothing of it was written, nor will be.
    NotWritten(String),
    /// It may be on disk, or not.
    Unknown(String),
}

/// Versions of streams that live in sealed segments only, so that the next
/// commit on them reads nothing. Right as long as only the writer appends: it
/// is emptied at every roll, and the active segment is asked first.
#[derive(Debug, Default)]
pub(crate) struct SealedVersions(HashMap<StreamId, StreamVersion>);

/// Most streams kept; beyond it all are forgotten, and looked up again.
const SEALED_VERSIONS_MAX: usize = 65_536;

impl SealedVersions {
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    fn version(&mut self, log: &Log, stream: StreamId) -> Result<StreamVersion, ReadError> {
        if let Some(version) = self.0.get(&stream) {
            return Ok(*version);
        }
        let version = log.sealed_version(stream)?;
        if self.0.len() >= SEALED_VERSIONS_MAX {
            self.forget();
        }
        self.0.insert(stream, version);
        Ok(version)
    }
}

/// The commits staged since the last block.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) block: BlockBuilder,
    /// The staged records; offsets are those in the segment.
    pub(crate) records: Vec<(StreamId, CommitId, RecordPlace)>,
    commits: Vec<StagedCommit>,
    /// Each staged stream's last staged record.
    heads: HashMap<StreamId, usize>,
    pending: Vec<Pending>,
    begin: GroupBegin,
    recorded_at_us: i64,
}

/// Where the group's block will lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupBegin {
    pub(crate) first_position: Position,
    /// In the segment, bytes.
    pub(crate) offset: u32,
    /// Of the record before.
    pub(crate) recorded_at_us: i64,
}

#[derive(Debug)]
struct StagedCommit {
    first_record: usize,
    records: usize,
}

/// An answer that holds only once the group is durable.
#[derive(Debug)]
struct Pending {
    commit_id: CommitId,
    answer: Answer,
    result: Result<Appended, AppendError>,
}

/// What a commit comes to.
enum Verdict {
    /// It is staged or was answered from what is staged: wait for the group.
    Wait(Result<Appended, AppendError>),
    /// It was answered from what is durable.
    Now(Result<Appended, AppendError>),
}

impl Group {
    pub(crate) fn new() -> Self {
        let begin = GroupBegin {
            first_position: Position::START,
            offset: 0,
            recorded_at_us: i64::MIN,
        };
        Self {
            block: BlockBuilder::new(),
            records: Vec::new(),
            commits: Vec::new(),
            heads: HashMap::new(),
            pending: Vec::new(),
            begin,
            recorded_at_us: begin.recorded_at_us,
        }
    }

    /// Empties it, for a block at a place.
    pub(crate) fn begin(&mut self, begin: GroupBegin) {
        self.block.clear();
        self.records.clear();
        self.commits.clear();
        self.heads.clear();
        self.pending.clear();
        self.begin = begin;
        self.recorded_at_us = begin.recorded_at_us;
    }

    /// When its last record is recorded.
    pub(crate) fn recorded_at_us(&self) -> i64 {
        self.recorded_at_us
    }

    /// Takes a commit that fits, and answers it at once if that needs no write.
    pub(crate) fn take(&mut self, waiting: Waiting, log: &Log, sealed: &mut SealedVersions) {
        let Waiting { commit, answer } = waiting;
        let verdict = self.judge(&commit, log, sealed).unwrap_or_else(|error| {
            Verdict::Now(Err(AppendError::Unavailable {
                why: error.to_string(),
            }))
        });
        match verdict {
            Verdict::Wait(result) => self.pending.push(Pending {
                commit_id: commit.id,
                answer,
                result,
            }),
            Verdict::Now(result) => drop(answer.send(result)),
        }
    }

    fn judge(
        &mut self,
        commit: &AdmittedCommit,
        log: &Log,
        sealed: &mut SealedVersions,
    ) -> Result<Verdict, ReadError> {
        if let Some(first) = self.first_answer(commit, log, sealed)? {
            return Ok(first);
        }
        for part in &commit.parts {
            let (actual, is_staged) = self.version(part.stream, log, sealed)?;
            if actual == part.expected {
                continue;
            }
            let stream = part.stream;
            let conflict = Err(AppendError::Conflict { stream, actual });
            // Told before the other commit is visible, a conflict would make
            // the caller load the old version, and decide the same again.
            return Ok(if is_staged {
                Verdict::Wait(conflict)
            } else {
                Verdict::Now(conflict)
            });
        }
        Ok(Verdict::Wait(Ok(self.stage(commit))))
    }

    /// The stream's version with what is staged, and whether any of it is.
    fn version(
        &self,
        stream: StreamId,
        log: &Log,
        sealed: &mut SealedVersions,
    ) -> Result<(StreamVersion, bool), ReadError> {
        if let Some((_, _, place)) = self.heads.get(&stream).and_then(|&at| self.records.get(at)) {
            return Ok((place.last_version(), true));
        }
        let version = match log.active_version(stream) {
            Some(version) => version,
            None => sealed.version(log, stream)?,
        };
        Ok((version, false))
    }

    /// What the commit was answered when it came first, if it did.
    fn first_answer(
        &self,
        commit: &AdmittedCommit,
        log: &Log,
        sealed: &mut SealedVersions,
    ) -> Result<Option<Verdict>, ReadError> {
        let Some(part) = commit.parts.iter().find(|part| part.events > 0) else {
            return Ok(None);
        };
        let (actual, is_staged) = self.version(part.stream, log, sealed)?;
        if actual <= part.expected {
            return Ok(None);
        }
        let next = part.expected.plus(1);
        if is_staged && let Some(parts) = self.staged_parts(commit.id, part, next) {
            let outcome = Outcome::Duplicate;
            return Ok(Some(Verdict::Wait(Ok(Appended { parts, outcome }))));
        }
        let found = log.beginning_at(part.stream, next)?;
        let Some((position, _)) = found.filter(|(_, commit_id)| *commit_id == commit.id) else {
            return Ok(None);
        };
        let parts = log.commit_parts(position)?;
        let outcome = Outcome::Duplicate;
        Ok(Some(Verdict::Now(Ok(Appended { parts, outcome }))))
    }

    fn staged_parts(
        &self,
        commit_id: CommitId,
        part: &AdmittedPart,
        first_version: StreamVersion,
    ) -> Option<Vec<AppendedPart>> {
        let at = self.records.iter().position(|(stream, id, place)| {
            (*stream, *id, place.first_version) == (part.stream, commit_id, first_version)
        })?;
        let behind = self
            .commits
            .partition_point(|commit| commit.first_record <= at);
        let commit = self.commits.get(behind.checked_sub(1)?)?;
        let records = self
            .records
            .iter()
            .skip(commit.first_record)
            .take(commit.records);
        Some(records.map(appended_part).collect())
    }

    fn stage(&mut self, commit: &AdmittedCommit) -> Appended {
        self.recorded_at_us = self.recorded_at_us.max(commit.clock_us);
        let first_record = self.records.len();
        for part in commit.parts.iter().filter(|part| part.events > 0) {
            let recorded_at_us = self.recorded_at_us;
            let (offset, length) = self
                .block
                .push(|out| commit.write_body(part, recorded_at_us, out));
            let place = RecordPlace {
                position: self.begin.first_position.plus(self.records.len() as u64),
                first_version: part.expected.plus(1),
                events: part.events,
                offset: self.begin.offset + offset,
                length,
            };
            self.heads.insert(part.stream, self.records.len());
            self.records.push((part.stream, commit.id, place));
        }
        self.commits.push(StagedCommit {
            first_record,
            records: self.records.len() - first_record,
        });
        let staged = self.records.iter().skip(first_record);
        Appended {
            parts: staged.map(appended_part).collect(),
            outcome: Outcome::Committed,
        }
    }

    /// Answers all who wait: the group is durable and visible.
    pub(crate) fn succeed(&mut self) {
        for pending in self.pending.drain(..) {
            drop(pending.answer.send(pending.result));
        }
    }

    /// Answers all who wait: the group is not visible, and never will be
    /// before the journal is opened again.
    pub(crate) fn fail(&mut self, failure: &GroupFailure) {
        for pending in self.pending.drain(..) {
            let commit_id = pending.commit_id;
            let error = match (failure, &pending.result) {
                (GroupFailure::Full, _) => AppendError::Full,
                (GroupFailure::Unknown(_), Ok(_)) => AppendError::Indeterminate { commit_id },
                (GroupFailure::NotWritten(why), _) | (GroupFailure::Unknown(why), Err(_)) => {
                    AppendError::Unavailable { why: why.clone() }
                }
            };
            drop(pending.answer.send(Err(error)));
        }
    }
}

fn appended_part((stream, _, place): &(StreamId, CommitId, RecordPlace)) -> AppendedPart {
    AppendedPart {
        stream: *stream,
        position: place.position,
        version: place.last_version(),
    }
}
