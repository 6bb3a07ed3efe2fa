//! Where commits are staged: whoever appends checks the commit against all
//! before it and encodes it into the next group, while the writer is busy with
//! the disk. So the disk never waits for that work.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::block::BlockBuilder;
use super::group::{Answer, Group, GroupFailure, Staged, Waiting};
use super::log::Log;
use super::options::JournalOptions;
use crate::error::{AppendError, ReadError};
use crate::position::{Position, StreamVersion};
use crate::record::AdmittedCommit;
use crate::store::{Appended, Outcome};
use crate::stream::StreamId;

const CLOSED: &str = "it is closed";

/// What a caller is told to wait when too much is staged: a few groups.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Why nothing is staged after a panic: a commit may be staged in part.
pub(crate) const BROKEN: &str =
    "the journal's writer ended; restart, and report the log's last error";

/// The groups that wait for the writer.
#[derive(Debug)]
pub(crate) struct Stage {
    state: Mutex<State>,
    /// The writer waits here for work.
    work: Condvar,
    commits_max: usize,
    bytes_max: usize,
    /// Whether a commit may have to be judged again once it is staged.
    keeps_commits: bool,
}

#[derive(Debug)]
struct State {
    /// In order; commits are added to the last one.
    groups: VecDeque<Group>,
    /// What the writer is making durable: it counts, and is not in the log yet.
    in_flight: Option<Arc<Staged>>,
    /// Where a group behind nothing begins.
    next_position: Position,
    recorded_at_us: i64,
    sealed: SealedVersions,
    /// Commits in the groups, and their bytes.
    commits: usize,
    bytes: usize,
    writer_waits: bool,
    /// There may be blocks of other nodes.
    is_woken: bool,
    /// Why no commit is taken any more.
    refusing: Option<String>,
    /// No work will come any more once the groups are gone.
    is_closed: bool,
    /// A block's memory, to be used again.
    spare: Option<BlockBuilder>,
}

/// Versions of streams that live in sealed segments only, so that the next
/// commit on them reads nothing. What is younger is asked first.
#[derive(Debug, Default)]
struct SealedVersions {
    /// Right as long as there are so many sealed segments: one that is sealed
    /// later may hold younger records of any stream.
    segments: usize,
    versions: HashMap<StreamId, StreamVersion>,
}

/// Most streams kept; beyond it all are forgotten, and looked up again.
const SEALED_VERSIONS_MAX: usize = 65_536;

impl SealedVersions {
    /// The stream's version in the log, the active segment included; `None` if
    /// only the disk tells.
    fn version(&mut self, log: &Log, stream: StreamId) -> Option<StreamVersion> {
        let (active, segments) = log.active_version(stream);
        if active.is_some() {
            return active;
        }
        self.make_ready(segments);
        if let Some(version) = self.versions.get(&stream) {
            return Some(*version);
        }
        let version = log.sealed_version_in_memory(stream)?;
        self.versions.insert(stream, version);
        Some(version)
    }

    fn make_ready(&mut self, segments: usize) {
        if self.segments != segments || self.versions.len() >= SEALED_VERSIONS_MAX {
            self.versions.clear();
            self.segments = segments;
        }
    }

    fn note(&mut self, cold: ColdVersions) {
        // A segment that was sealed since may hold younger records.
        if cold.segments >= self.segments {
            self.make_ready(cold.segments);
            self.versions.extend(cold.versions);
        }
    }
}

/// Versions that were read from the disk.
struct ColdVersions {
    /// So many segments were sealed before that.
    segments: usize,
    versions: Vec<(StreamId, StreamVersion)>,
}

impl ColdVersions {
    fn read(commit: &AdmittedCommit, log: &Log) -> Result<Self, ReadError> {
        let mut cold = Self {
            segments: usize::MAX,
            versions: Vec::with_capacity(commit.parts.len()),
        };
        for part in &commit.parts {
            let (active, segments) = log.active_version(part.stream);
            cold.segments = cold.segments.min(segments);
            if active.is_none() {
                let version = log.sealed_version(part.stream)?;
                cold.versions.push((part.stream, version));
            }
        }
        Ok(cold)
    }
}

/// What is done about a version that only the disk tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cold {
    /// It is read while others append.
    Leave,
    /// It is read at once: that was done before, and a segment was sealed since.
    Read,
}

/// What the writer is given to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Make this durable; then call [`Stage::written`] or [`Stage::failed`].
    Group(Box<TakenGroup>),
    /// Nothing came in time.
    Idle,
    /// [`Stage::wake`] was called.
    Woken,
    /// Nothing will come any more: it was closed.
    Ended,
    /// Nothing may be written any more: a panic may have left a commit staged
    /// in part.
    Broken,
}

/// A group that takes no more commits.
#[derive(Debug)]
pub(crate) struct TakenGroup {
    pub(crate) block: BlockBuilder,
    pub(crate) staged: Arc<Staged>,
    pub(crate) waiting: Waiting,
}

/// What a commit comes to.
enum Verdict {
    /// Its versions hold: it is to be staged.
    Stage,
    /// It was answered from what is staged: the answer holds once that is durable.
    Wait(Result<Appended, AppendError>),
    /// It was answered from what is durable.
    Now(Result<Appended, AppendError>),
    /// The disk must be read first.
    Cold,
}

impl Stage {
    /// Behind a last record with that position and recorded time. Where others
    /// write the log too, commits are kept until their fate is known.
    pub(crate) fn new(
        (head, recorded_at_us): (Position, i64),
        options: &JournalOptions,
        keeps_commits: bool,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                groups: VecDeque::new(),
                in_flight: None,
                next_position: head.next(),
                recorded_at_us,
                sealed: SealedVersions::default(),
                commits: 0,
                bytes: 0,
                writer_waits: false,
                is_woken: false,
                refusing: None,
                is_closed: false,
                spare: None,
            }),
            work: Condvar::new(),
            commits_max: options.queue_commits_max.max(1),
            bytes_max: options.queue_bytes_max,
            keeps_commits,
        }
    }

    /// The state, unless a panic may have left a commit staged in part.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.state.lock().ok()
    }

    /// The state, if it takes a commit of so many bytes.
    fn accepting(&self, bytes: usize) -> Result<MutexGuard<'_, State>, AppendError> {
        let state = self.state().ok_or_else(|| unavailable(BROKEN))?;
        if let Some(why) = &state.refusing {
            return Err(unavailable(why));
        }
        let is_full = state.commits >= self.commits_max
            || (state.bytes > 0 && state.bytes + bytes > self.bytes_max);
        if is_full {
            return Err(AppendError::Busy {
                retry_after: RETRY_AFTER,
            });
        }
        Ok(state)
    }

    /// Stages a commit, or answers it at once if that needs no write.
    ///
    /// The version of a stream that only the disk tells is read while others
    /// append. Under the lock the disk is read for a commit alone that is sent
    /// again, or conflicts, on a stream of sealed segments: a few pages that
    /// whoever loaded the stream has just had read.
    pub(crate) fn append(
        &self,
        commit: AdmittedCommit,
        answer: Answer,
        log: &Log,
    ) -> Result<(), AppendError> {
        let bytes = commit.block_bytes_max();
        let mut state = self.accepting(bytes)?;
        let mut verdict = state
            .judge(&commit, log, Cold::Leave)
            .map_err(|error| unread(&error))?;
        if matches!(verdict, Verdict::Cold) {
            drop(state);
            let cold = ColdVersions::read(&commit, log).map_err(|error| unread(&error))?;
            state = self.accepting(bytes)?;
            state.sealed.note(cold);
            verdict = state
                .judge(&commit, log, Cold::Read)
                .map_err(|error| unread(&error))?;
        }
        if !state.accept(commit, answer, verdict, self.keeps_commits) {
            return Ok(());
        }
        if state.writer_waits {
            state.writer_waits = false;
            drop(state);
            self.work.notify_one();
        }
        Ok(())
    }

    /// The oldest group; waits for one, but no longer than `patience` if there
    /// is any.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Work {
        let Some(mut state) = self.state() else {
            return Work::Broken;
        };
        while state.groups.is_empty() {
            if state.is_closed {
                return Work::Ended;
            }
            if std::mem::take(&mut state.is_woken) {
                return Work::Woken;
            }
            state.writer_waits = true;
            let waited = match patience {
                None => self.work.wait(state).map(|state| (state, false)).ok(),
                Some(patience) => {
                    let waited = self.work.wait_timeout(state, patience).ok();
                    waited.map(|(state, timeout)| (state, timeout.timed_out()))
                }
            };
            let Some((woken, is_over)) = waited else {
                return Work::Broken;
            };
            state = woken;
            state.writer_waits = false;
            if is_over && state.groups.is_empty() && !state.is_closed && !state.is_woken {
                return Work::Idle;
            }
        }
        state.take_first().map_or(Work::Idle, Work::Group)
    }

    /// The group taken last is durable and in the log. Whether more is waiting.
    pub(crate) fn written(&self, block: BlockBuilder) -> bool {
        let Some(mut state) = self.state() else {
            return false;
        };
        state.in_flight = None;
        state.spare = Some(block);
        !state.groups.is_empty()
    }

    /// The group taken last was not written. All that was staged behind it is
    /// answered, and the next group follows the head again; with a reason to
    /// refuse, no commit is taken any more.
    pub(crate) fn failed(
        &self,
        failure: &GroupFailure,
        (head, recorded_at_us): (Position, i64),
        refusing: Option<String>,
    ) {
        let Some(mut state) = self.state() else {
            return;
        };
        state.in_flight = None;
        state.next_position = head.next();
        state.recorded_at_us = recorded_at_us;
        state.refusing = state.refusing.take().or(refusing);
        let behind = state.drain();
        drop(state);
        for group in behind {
            group.waiting.fail(&failure.of_those_behind());
        }
    }

    /// Blocks of others came before the group taken last, which was not
    /// written: the log ends at that head now. That group's commits and all
    /// behind them are judged again, in their order, and answered or staged anew.
    pub(crate) fn overtaken(
        &self,
        waiting: Waiting,
        (head, recorded_at_us): (Position, i64),
        log: &Log,
    ) {
        let Some(mut state) = self.state() else {
            return;
        };
        state.in_flight = None;
        state.next_position = head.next();
        state.recorded_at_us = recorded_at_us;
        let behind = state.drain().into_iter().map(|group| group.waiting);
        let commits = std::iter::once(waiting).chain(behind);
        for (commit, answer) in commits.flat_map(Waiting::into_commits) {
            match state.judge(&commit, log, Cold::Read) {
                Ok(verdict) => {
                    state.accept(commit, answer, verdict, self.keeps_commits);
                }
                Err(error) => drop(answer.send(Err(unread(&error)))),
            }
        }
    }

    /// Has the writer look for blocks of other nodes.
    pub(crate) fn wake(&self) {
        if let Some(mut state) = self.state() {
            state.is_woken = true;
        }
        self.work.notify_one();
    }

    /// No commit is taken any more; what is staged is still written.
    pub(crate) fn close(&self) {
        if let Some(mut state) = self.state() {
            state.is_closed = true;
            state.refusing.get_or_insert_with(|| CLOSED.to_owned());
        }
        self.work.notify_one();
    }

    /// The writer is gone. Whoever waits still is told that nothing is known.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refusing.get_or_insert_with(|| BROKEN.to_owned());
        let rest = state.drain();
        drop(state);
        drop(rest);
    }
}

fn unavailable(why: &str) -> AppendError {
    AppendError::Unavailable {
        why: why.to_owned(),
    }
}

fn unread(error: &ReadError) -> AppendError {
    unavailable(&error.to_string())
}

impl State {
    fn drain(&mut self) -> VecDeque<Group> {
        self.commits = 0;
        self.bytes = 0;
        std::mem::take(&mut self.groups)
    }

    /// Answers a judged commit, or has it wait for its group; says whether it waits.
    fn accept(
        &mut self,
        commit: AdmittedCommit,
        answer: Answer,
        verdict: Verdict,
        keeps_commits: bool,
    ) -> bool {
        let (result, bytes) = match verdict {
            Verdict::Now(result) => {
                drop(answer.send(result));
                return false;
            }
            Verdict::Cold => {
                drop(answer.send(Err(unavailable("a version was not read"))));
                return false;
            }
            Verdict::Wait(result) => (Some(result), 0),
            Verdict::Stage => (None, commit.block_bytes_max()),
        };
        let group = self.group_with_room(bytes);
        let before = group.load();
        let result = result.unwrap_or_else(|| Ok(group.stage(&commit)));
        group.wait(commit, answer, result, keeps_commits);
        let after = group.load();
        self.commits += after.0 - before.0;
        self.bytes += after.1 - before.1;
        true
    }

    fn take_first(&mut self) -> Option<Box<TakenGroup>> {
        let group = self.groups.pop_front()?;
        let (commits, bytes) = group.load();
        self.commits -= commits;
        self.bytes -= bytes;
        self.next_position = group.staged.next_position();
        self.recorded_at_us = group.staged.recorded_at_us;
        let staged = Arc::new(group.staged);
        self.in_flight = Some(Arc::clone(&staged));
        Some(Box::new(TakenGroup {
            block: group.block,
            staged,
            waiting: group.waiting,
        }))
    }

    /// The group to stage so many bytes in.
    fn group_with_room(&mut self, bytes: usize) -> &mut Group {
        let fits = |group: &Group| group.block.fits(bytes);
        if !self.groups.back().is_some_and(fits) {
            let (position, recorded_at_us) = match self.groups.back() {
                Some(last) => (last.staged.next_position(), last.staged.recorded_at_us),
                None => (self.next_position, self.recorded_at_us),
            };
            let block = self.spare.take().unwrap_or_else(BlockBuilder::new);
            let group = Group::new(block, position, recorded_at_us);
            self.groups.push_back(group);
        }
        self.groups.back_mut().expect("one was just pushed")
    }

    fn judge(
        &mut self,
        commit: &AdmittedCommit,
        log: &Log,
        cold: Cold,
    ) -> Result<Verdict, ReadError> {
        if let Some(first) = self.first_answer(commit, log, cold)? {
            return Ok(first);
        }
        for part in &commit.parts {
            let Some((actual, is_staged)) = self.version(part.stream, log, cold)? else {
                return Ok(Verdict::Cold);
            };
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
        Ok(Verdict::Stage)
    }

    /// What is staged or in flight, the youngest first.
    fn staged(&self) -> impl Iterator<Item = &Staged> {
        let groups = self.groups.iter().rev().map(|group| &group.staged);
        groups.chain(self.in_flight.as_deref())
    }

    /// The stream's version with what is staged, and whether any of it is;
    /// `None` if the disk must be read for it and is not to be read now.
    fn version(
        &mut self,
        stream: StreamId,
        log: &Log,
        cold: Cold,
    ) -> Result<Option<(StreamVersion, bool)>, ReadError> {
        let staged = self.staged().find_map(|staged| staged.version(stream));
        if let Some(version) = staged {
            return Ok(Some((version, true)));
        }
        let known = self.sealed.version(log, stream);
        let version = match (known, cold) {
            (Some(version), _) => version,
            (None, Cold::Leave) => return Ok(None),
            (None, Cold::Read) => log.sealed_version(stream)?,
        };
        Ok(Some((version, false)))
    }

    /// What the commit was answered when it came first, if it did.
    fn first_answer(
        &mut self,
        commit: &AdmittedCommit,
        log: &Log,
        cold: Cold,
    ) -> Result<Option<Verdict>, ReadError> {
        let Some(part) = commit.parts.iter().find(|part| part.events > 0) else {
            return Ok(None);
        };
        let Some((actual, _)) = self.version(part.stream, log, cold)? else {
            return Ok(Some(Verdict::Cold));
        };
        if actual <= part.expected {
            return Ok(None);
        }
        let outcome = Outcome::Duplicate;
        let mut staged = self.staged();
        if let Some(parts) = staged.find_map(|staged| staged.parts_of(commit.id, part)) {
            return Ok(Some(Verdict::Wait(Ok(Appended { parts, outcome }))));
        }
        let found = log.beginning_at(part.stream, part.expected.plus(1))?;
        let Some((position, _)) = found.filter(|(_, commit_id)| *commit_id == commit.id) else {
            return Ok(None);
        };
        let parts = log.commit_parts(position)?;
        Ok(Some(Verdict::Now(Ok(Appended { parts, outcome }))))
    }
}
