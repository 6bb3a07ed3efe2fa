//! One group of commits: what is staged for one block, and who waits for it.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::block::BlockBuilder;
use crate::error::AppendError;
use crate::event::CommitId;
use crate::index::RecordPlace;
use crate::position::{Position, StreamVersion};
use crate::record::{AdmittedCommit, AdmittedPart};
use crate::store::{Appended, AppendedPart, Outcome};
use crate::stream::StreamId;

/// Where an answer goes. Whoever asked may be gone: that takes nothing back.
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

impl GroupFailure {
    /// What became of the groups that were staged behind it: they counted on
    /// it, and nothing of them was written.
    pub(crate) fn of_those_behind(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::NotWritten(why) | Self::Unknown(why) => Self::NotWritten(why.clone()),
        }
    }
}

/// The commits staged for the next block.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) block: BlockBuilder,
    pub(crate) staged: Staged,
    pub(crate) waiting: Waiting,
    commits: usize,
    bytes: usize,
}

/// What a group adds to the log once it is durable.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Offsets are those in the block.
    pub(crate) records: Vec<StagedRecord>,
    /// The recorded time of its last record, microseconds since the epoch.
    pub(crate) recorded_at_us: i64,
    first_position: Position,
    /// Where each commit's records begin, and how many they are.
    commits: Vec<(usize, usize)>,
    /// Each staged stream's last staged record.
    heads: HashMap<StreamId, usize>,
}

/// A record that is staged.
pub(crate) type StagedRecord = (StreamId, CommitId, RecordPlace);

/// Those who wait for a group.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Vec<Pending>);

/// An answer that holds only once the group is durable.
#[derive(Debug)]
struct Pending {
    commit_id: CommitId,
    answer: Answer,
    result: Result<Appended, AppendError>,
    /// Where others may come first: then it is judged again.
    commit: Option<AdmittedCommit>,
}

impl Group {
    /// An empty one, whose first record will have that position and be
    /// recorded no earlier than then.
    pub(crate) fn new(
        mut block: BlockBuilder,
        first_position: Position,
        recorded_at_us: i64,
    ) -> Self {
        block.clear();
        Self {
            block,
            staged: Staged {
                records: Vec::new(),
                recorded_at_us,
                first_position,
                commits: Vec::new(),
                heads: HashMap::new(),
            },
            waiting: Waiting::default(),
            commits: 0,
            bytes: 0,
        }
    }

    /// How many commits wait for it, and their bytes.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.commits, self.bytes)
    }

    /// Adds a commit whose expected versions hold, and whose bytes fit.
    pub(crate) fn stage(&mut self, commit: &AdmittedCommit) -> Appended {
        let staged = &mut self.staged;
        staged.recorded_at_us = staged.recorded_at_us.max(commit.clock_us);
        let first_record = staged.records.len();
        for part in commit.parts.iter().filter(|part| part.events > 0) {
            let recorded_at_us = staged.recorded_at_us;
            let (offset, length) = self
                .block
                .push(|out| commit.write_body(part, recorded_at_us, out));
            let place = RecordPlace {
                position: staged.next_position(),
                first_version: part.expected.plus(1),
                events: part.events,
                offset,
                length,
            };
            staged.heads.insert(part.stream, staged.records.len());
            staged.records.push((part.stream, commit.id, place));
        }
        staged
            .commits
            .push((first_record, staged.records.len() - first_record));
        let records = staged.records.iter().skip(first_record);
        Appended {
            parts: records.map(appended_part).collect(),
            outcome: Outcome::Committed,
        }
    }

    /// Has a commit answered once the group is durable; keeps it, if it may
    /// have to be judged again.
    pub(crate) fn wait(
        &mut self,
        commit: AdmittedCommit,
        answer: Answer,
        result: Result<Appended, AppendError>,
        keeps_commit: bool,
    ) {
        self.commits += 1;
        self.bytes += commit.block_bytes_max();
        self.waiting.0.push(Pending {
            commit_id: commit.id,
            answer,
            result,
            commit: keeps_commit.then_some(commit),
        });
    }
}

impl Staged {
    /// The position behind its last record.
    pub(crate) fn next_position(&self) -> Position {
        self.first_position.plus(self.records.len() as u64)
    }

    /// The stream's version after it, if it has records of the stream.
    pub(crate) fn version(&self, stream: StreamId) -> Option<StreamVersion> {
        let at = self.heads.get(&stream)?;
        let (_, _, place) = self.records.get(*at)?;
        Some(place.last_version())
    }

    /// The parts of a commit, if it is here and has that part.
    pub(crate) fn parts_of(
        &self,
        commit_id: CommitId,
        part: &AdmittedPart,
    ) -> Option<Vec<AppendedPart>> {
        let first_version = part.expected.plus(1);
        let at = self.records.iter().position(|(stream, id, place)| {
            (*stream, *id, place.first_version) == (part.stream, commit_id, first_version)
        })?;
        let behind = self.commits.partition_point(|(first, _)| *first <= at);
        let (first, count) = self.commits.get(behind.checked_sub(1)?)?;
        let records = self.records.iter().skip(*first).take(*count);
        Some(records.map(appended_part).collect())
    }
}

impl Waiting {
    /// Answers all: the group is durable and visible.
    pub(crate) fn succeed(self) {
        for pending in self.0 {
            drop(pending.answer.send(pending.result));
        }
    }

    /// The commits that were kept, in order, with where their answers go.
    pub(crate) fn into_commits(self) -> impl Iterator<Item = (AdmittedCommit, Answer)> {
        let pending = self.0.into_iter();
        pending.filter_map(|pending| Some((pending.commit?, pending.answer)))
    }

    /// Answers all: the group is not visible, and never will be before the
    /// journal is opened again.
    pub(crate) fn fail(self, failure: &GroupFailure) {
        for pending in self.0 {
            let commit_id = pending.commit_id;
            let error = match (failure, &pending.result) {
                (GroupFailure::Full, _) => AppendError::Full,
                (GroupFailure::Unknown(_), Ok(_)) => AppendError::Indeterminate { commit_id },
                // It speaks of a commit in a group before, of which nothing may be known.
                (GroupFailure::NotWritten(_), Ok(appended))
                    if appended.outcome == Outcome::Duplicate =>
                {
                    AppendError::Indeterminate { commit_id }
                }
                (GroupFailure::NotWritten(why), _) | (GroupFailure::Unknown(why), Err(_)) => {
                    AppendError::Unavailable { why: why.clone() }
                }
            };
            drop(pending.answer.send(Err(error)));
        }
    }
}

fn appended_part((stream, _, place): &StagedRecord) -> AppendedPart {
    AppendedPart {
        stream: *stream,
        position: place.position,
        version: place.last_version(),
    }
}
