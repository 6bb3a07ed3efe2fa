//! The one thread that appends: takes what was staged, writes one block, makes
//! it durable, shows it, and has those answered who wait for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use tokio::sync::watch;

use super::block::{BlockBuilder, Chain};
use super::group::{GroupFailure, Staged, StagedRecord, Waiting};
use super::head_file::KnownHead;
use super::health::HealthCell;
use super::keeper::Keeper;
use super::log::{Active, DurableBlock, Log};
use super::options::JournalOptions;
use super::outage::OutageCell;
use super::quorum::Quorum;
use super::recovery::create_epoch_segment;
use super::segment::{FIRST_BLOCK_OFFSET, Segment, SegmentHeader, segment_name};
use super::stage::{BROKEN, Stage, TakenGroup, Work};
use crate::disk::{Disk, is_full};
use crate::history::LogHistory;
use crate::index::{BlockStart, SegmentEnd};
use crate::position::{LogIdentity, Position};
use crate::store::Health;

/// Where the journal ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) head: Position,
    pub(crate) chain: Chain,
    /// Of the active segment, bytes.
    pub(crate) length: u64,
    /// Of the last record.
    pub(crate) recorded_at_us: i64,
}

/// How long a node hears nothing of the others before it looks by itself.
const OTHERS_LOOKED_FOR: Duration = Duration::from_millis(500);

/// Most bytes, but for one block, that are written here and not synced, where
/// the cluster has them: so much is fetched again after a power cut.
pub(crate) const UNSYNCED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the writer is made of.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    /// Which epoch a record will be of is told by its position.
    pub(crate) history: LogHistory,
    pub(crate) options: JournalOptions,
    pub(crate) log: Arc<Log>,
    pub(crate) health: Arc<HealthCell>,
    pub(crate) stage: Arc<Stage>,
    /// Those to be answered while this thread is at the next group.
    pub(crate) answers: SyncSender<Waiting>,
    pub(crate) keeper: Keeper,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) tip: Tip,
    /// The position in `journal/head`.
    pub(crate) known: Option<Position>,
    /// How many of the segment's last bytes are written and not synced.
    pub(crate) unsynced: u64,
    /// Who else decides what is in the log; nobody, on one machine.
    pub(crate) quorum: Option<Box<dyn Quorum>>,
    /// Why they do not decide, at this moment.
    pub(crate) outage: Arc<OutageCell>,
}

/// Groups that are durable and whose answers are not given yet; beyond it the
/// writer waits.
pub(crate) const ANSWERS_WAITING_MAX: usize = 16;

/// The writer's other helper: gives the answers of groups that are durable, so
/// that the next one is on its way to the disk meanwhile.
pub(crate) fn answer_all(answers: &Receiver<Waiting>) {
    for waiting in answers {
        waiting.succeed();
    }
}

/// Whatever ends the writer, nobody waits for ever.
impl Drop for Writer {
    fn drop(&mut self) {
        self.stage.abandon();
    }
}

impl Writer {
    /// Runs until nobody can append any more and all that was accepted is answered.
    pub(crate) fn run(mut self) {
        loop {
            match self.stage.take(self.patience()) {
                Work::Group(group) if self.quorum.is_some() => self.agree_on(*group),
                Work::Group(group) => self.group(*group),
                Work::Idle => {
                    self.write_head();
                    self.catch_up();
                }
                Work::Woken => self.catch_up(),
                Work::Ended => break,
                Work::Broken => {
                    self.read_only(BROKEN);
                    break;
                }
            }
        }
        self.write_head();
        if self.is_writable() {
            self.health.set(Health::Closed);
        }
    }

    /// How long to wait for commits: only while `journal/head` lags behind, or
    /// others write the log too, there is something to do when idle.
    fn patience(&self) -> Option<Duration> {
        if !self.is_writable() {
            return None;
        }
        let lags = self.known != Some(self.tip.head);
        let head = lags.then_some(self.options.head_idle);
        let others = self.quorum.is_some().then_some(OTHERS_LOOKED_FOR);
        head.into_iter().chain(others).min()
    }

    pub(super) fn is_writable(&self) -> bool {
        !matches!(self.health.get(), Health::ReadOnly { .. })
    }

    /// Makes a group durable, shows it, and has it answered.
    fn group(&mut self, group: TakenGroup) {
        let TakenGroup {
            mut block,
            staged,
            waiting,
        } = group;
        let persisted = if block.is_empty() {
            // All of it was answered from groups before it, which are durable by now.
            Ok(())
        } else {
            self.roll_if_due()
                .and_then(|()| self.persist(&mut block, &staged))
        };
        match persisted {
            Ok(()) => self.answer(waiting, self.stage.written(block)),
            Err(failure) => {
                self.failed(&failure);
                waiting.fail(&failure);
            }
        }
    }

    /// Has the answers given by the helper if there is a next group to write,
    /// and otherwise gives them without that detour.
    pub(super) fn answer(&self, waiting: Waiting, more: bool) {
        if !more {
            waiting.succeed();
        } else if let Err(unsent) = self.answers.send(waiting) {
            unsent.0.succeed();
        }
    }

    /// One write, one fdatasync; then the block is shown.
    fn persist(&mut self, block: &mut BlockBuilder, staged: &Staged) -> Result<(), GroupFailure> {
        if !self.has_space() {
            return Err(GroupFailure::Full);
        }
        let first_position = self.tip.head.next();
        assert_eq!(
            staged.next_position(),
            first_position.plus(staged.records.len() as u64),
            "a group is staged right behind the one before it"
        );
        let (bytes, chain) = block.seal(first_position, &self.tip.chain);
        self.store(bytes)?;
        let length = bytes.len();
        self.show(&staged.records, staged.recorded_at_us, (chain, length));
        Ok(())
    }

    /// One write, one fdatasync; no sync yet where the cluster has the block,
    /// as a torn end is fetched from there again.
    pub(super) fn store(&mut self, block: &[u8]) -> Result<(), GroupFailure> {
        let file = &self.segment.file;
        if let Err(error) = file.write_all_at(block, self.tip.length) {
            if !is_full(&error) {
                return Err(GroupFailure::Unknown(self.words("writing to", &error)));
            }
            if let Err(error) = file.set_len(self.tip.length) {
                return Err(GroupFailure::Unknown(self.words("cutting", &error)));
            }
            self.keeper.space_ran_out();
            return Err(GroupFailure::Full);
        }
        self.unsynced += block.len() as u64;
        if self.quorum.is_some() && self.unsynced <= UNSYNCED_BYTES_MAX {
            return Ok(());
        }
        self.sync().map_err(GroupFailure::Unknown)
    }

    /// Makes durable what is not yet; gives what happened if it is not.
    fn sync(&mut self) -> Result<(), String> {
        if self.unsynced > 0 {
            let synced = self.segment.file.sync_data();
            synced.map_err(|error| self.words("syncing", &error))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Shows the block that was just stored: its records, when the last of them
    /// was recorded, the chain behind them, and the block's length in bytes.
    pub(super) fn show(
        &mut self,
        records: &[StagedRecord],
        recorded_at_us: i64,
        (chain, length): (Chain, usize),
    ) {
        let start = BlockStart {
            first_position: self.tip.head.next(),
            offset: u32::try_from(self.tip.length).expect("a segment is rolled long before 4 GiB"),
        };
        self.tip = Tip {
            head: self.tip.head.plus(records.len() as u64),
            chain,
            length: self.tip.length + length as u64,
            recorded_at_us,
        };
        self.log.publish(&DurableBlock {
            start,
            records,
            length: self.tip.length,
            head: self.tip.head,
        });
        if self.health.get() == Health::Full {
            tracing::info!("there is space again, appends are taken");
            self.health.set(Health::Writable);
        }
        self.head.send_replace(self.tip.head);
    }

    /// Whether a write is worth trying. What cannot be told is tried.
    pub(super) fn has_space(&self) -> bool {
        self.keeper.may_try_again()
            && self
                .disk
                .free_bytes(&self.folder)
                .map_or(true, |free| free >= self.options.disk_free_bytes_min)
    }

    fn words(&self, doing: &str, error: &std::io::Error) -> String {
        let path = self.segment.path.display();
        format!("{doing} {path} failed ({error}); restart once the disk is well again")
    }

    pub(super) fn failed(&self, failure: &GroupFailure) {
        match failure {
            GroupFailure::Full => {
                if self.health.get() != Health::Full {
                    tracing::error!(folder = %self.folder.display(), "the disk is full, appends are refused");
                    self.health.set(Health::Full);
                }
                self.stage.failed(failure, self.end(), None);
            }
            GroupFailure::NotWritten(why) | GroupFailure::Unknown(why) => {
                self.read_only(why);
            }
        }
    }

    pub(super) fn read_only(&self, why: &str) {
        if !self.is_writable() {
            return;
        }
        tracing::error!(
            why,
            "the journal takes no more appends until it is opened again"
        );
        self.health.set(Health::ReadOnly {
            why: why.to_owned(),
        });
        let failure = GroupFailure::NotWritten(why.to_owned());
        self.stage
            .failed(&failure, self.end(), Some(why.to_owned()));
    }

    /// What the next group follows.
    pub(super) fn end(&self) -> (Position, i64) {
        (self.tip.head, self.tip.recorded_at_us)
    }

    /// Goes on in a new segment when this one has reached its size. A roll
    /// that found no space is tried again for the same position: nothing is
    /// ever added to a segment after its successor may exist.
    pub(super) fn roll_if_due(&mut self) -> Result<(), GroupFailure> {
        let is_due = self.tip.length >= self.options.segment_bytes;
        if is_due && self.tip.length != FIRST_BLOCK_OFFSET {
            return self.roll();
        }
        self.begin_epoch_if_due()
    }

    /// Goes on in a segment of its own where an epoch of the log begins.
    pub(super) fn begin_epoch_if_due(&mut self) -> Result<(), GroupFailure> {
        if self.next_identity() == self.segment.header.identity {
            return Ok(());
        }
        self.roll()
    }

    fn roll(&mut self) -> Result<(), GroupFailure> {
        if !self.has_space() {
            return Err(GroupFailure::Full);
        }
        self.sync().map_err(GroupFailure::NotWritten)?;
        let next = self.create_segment().map_err(|error| {
            if is_full(&error) {
                tracing::warn!(%error, "there is no room for the next segment");
                self.keeper.space_ran_out();
                GroupFailure::Full
            } else {
                GroupFailure::NotWritten(self.words("following", &error))
            }
        })?;
        let next = Arc::new(next);
        let end = SegmentEnd {
            log_id: self.segment.header.identity.log_id,
            first_position: self.segment.first_position(),
            next_position: self.tip.head.next(),
            length: self.tip.length,
            chain: self.tip.chain,
            recorded_at_us: self.tip.recorded_at_us,
        };
        self.segment = Arc::clone(&next);
        self.tip.length = FIRST_BLOCK_OFFSET;
        let full = self.log.roll(end, Active::empty(next));
        self.keeper.seal(full);
        self.known = None;
        self.write_head();
        match self.health.get() {
            Health::ReadOnly { why } => Err(GroupFailure::NotWritten(why)),
            Health::Writable | Health::Full | Health::Outage { .. } | Health::Closed => Ok(()),
        }
    }

    fn create_segment(&self) -> std::io::Result<Segment> {
        let header = SegmentHeader {
            identity: self.next_identity(),
            first_position: self.tip.head.next(),
            chain: self.tip.chain,
        };
        if header.identity == self.segment.header.identity {
            create_segment(self.disk.as_ref(), &self.folder, header)
        } else {
            create_epoch_segment(self.disk.as_ref(), &self.folder, header)
        }
    }

    fn next_identity(&self) -> LogIdentity {
        self.history.identity_at(self.tip.head.next())
    }

    /// Replaces `journal/head`, if it lags behind.
    pub(super) fn write_head(&mut self) {
        if self.known == Some(self.tip.head) || !self.is_writable() {
            return;
        }
        if let Err(why) = self.sync() {
            self.read_only(&why);
            return;
        }
        let head = KnownHead {
            identity: self.segment.header.identity,
            position: self.tip.head,
            chain: self.tip.chain,
            segment: self.segment.first_position(),
            length: self.tip.length,
        };
        match head.write(self.disk.as_ref(), &self.folder) {
            Ok(()) => self.known = Some(self.tip.head),
            Err(error) if is_full(&error) => {
                // The journal itself lost nothing: the next idle moment tries again.
                tracing::warn!(%error, "there is no room to replace journal/head");
            }
            Err(error) => self.read_only(&self.words("noting the head beside", &error)),
        }
    }
}

/// Creates a segment and makes it durable before it holds a block.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    folder: &std::path::Path,
    header: SegmentHeader,
) -> std::io::Result<Segment> {
    let path = folder.join(segment_name(header.first_position));
    let file = disk.create(&path)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    disk.sync_folder(folder)?;
    Ok(Segment { path, file, header })
}
