//! The one thread that appends: takes what waits, stages it, writes one block,
//! makes it durable, shows it, answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::sync::watch;

use super::block::Chain;
use super::group::{Group, GroupBegin, GroupFailure, SealedVersions, Waiting};
use super::head_file::KnownHead;
use super::health::HealthCell;
use super::keeper::Keeper;
use super::log::{Active, DurableBlock, Log};
use super::options::JournalOptions;
use super::segment::{FIRST_BLOCK_OFFSET, Segment, SegmentHeader, segment_name};
use crate::disk::{Disk, is_full};
use crate::error::AppendError;
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

/// What the writer is made of.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) identity: LogIdentity,
    pub(crate) options: JournalOptions,
    pub(crate) log: Arc<Log>,
    pub(crate) health: Arc<HealthCell>,
    pub(crate) queue: Receiver<Waiting>,
    /// Encoded bytes in the queue.
    pub(crate) queue_bytes: Arc<AtomicUsize>,
    pub(crate) keeper: Keeper,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) tip: Tip,
    /// The position in `journal/head`.
    pub(crate) known: Option<Position>,
}

impl Writer {
    /// Runs until nobody can append any more and all that was accepted is answered.
    pub(crate) fn run(mut self) {
        let mut group = Group::new();
        let mut sealed = SealedVersions::default();
        let mut carried = None;
        loop {
            let next = match carried.take() {
                Some(waiting) => Ok(waiting),
                None => self.wait(),
            };
            match next {
                Ok(waiting) => carried = self.group(waiting, &mut group, &mut sealed),
                Err(RecvTimeoutError::Timeout) => self.write_head(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.write_head();
        if self.is_writable() {
            self.health.set(Health::Closed);
        }
    }

    fn is_writable(&self) -> bool {
        !matches!(self.health.get(), Health::ReadOnly { .. })
    }

    /// The next commit; a timeout only while `journal/head` lags behind.
    fn wait(&self) -> Result<Waiting, RecvTimeoutError> {
        let lags = self.known != Some(self.tip.head) && self.is_writable();
        let waiting = if lags {
            self.queue.recv_timeout(self.options.head_idle)?
        } else {
            self.queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected)?
        };
        self.left_queue(&waiting);
        Ok(waiting)
    }

    fn left_queue(&self, waiting: &Waiting) {
        let bytes = waiting.commit.block_bytes_max();
        self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes what waits, writes it, answers; gives the commit that did not fit.
    fn group(
        &mut self,
        first: Waiting,
        group: &mut Group,
        sealed: &mut SealedVersions,
    ) -> Option<Waiting> {
        if let Health::ReadOnly { why } = self.health.get() {
            drop(first.answer.send(Err(AppendError::Unavailable { why })));
            return None;
        }
        if let Err(failure) = self.roll_if_due(sealed) {
            self.failed(&failure);
            group.begin(self.begin());
            group.take(first, &self.log, sealed);
            group.fail(&failure);
            return None;
        }
        group.begin(self.begin());
        let carried = self.stage(first, group, sealed);
        if group.block.is_empty() {
            group.succeed();
            return carried;
        }
        match self.persist(group) {
            Ok(()) => group.succeed(),
            Err(failure) => {
                self.failed(&failure);
                group.fail(&failure);
            }
        }
        carried
    }

    fn begin(&self) -> GroupBegin {
        GroupBegin {
            first_position: self.tip.head.next(),
            offset: u32::try_from(self.tip.length).expect("a segment is rolled long before 4 GiB"),
            recorded_at_us: self.tip.recorded_at_us,
        }
    }

    /// Stages what waits, until the block or the queue's measure is full.
    fn stage(
        &self,
        first: Waiting,
        group: &mut Group,
        sealed: &mut SealedVersions,
    ) -> Option<Waiting> {
        let mut next = Some(first);
        for _ in 0..self.options.queue_commits_max.max(1) {
            let waiting = next.take()?;
            if !group.block.fits(waiting.commit.block_bytes_max()) {
                return Some(waiting);
            }
            group.take(waiting, &self.log, sealed);
            next = self.queue.try_recv().ok();
            if let Some(waiting) = &next {
                self.left_queue(waiting);
            }
        }
        next
    }

    /// One write, one fdatasync; then the block is shown.
    fn persist(&mut self, group: &mut Group) -> Result<(), GroupFailure> {
        if !self.has_space() {
            return Err(GroupFailure::Full);
        }
        let first_position = self.tip.head.next();
        let (bytes, chain) = group.block.seal(first_position, &self.tip.chain);
        let length = self.tip.length + bytes.len() as u64;
        let file = &self.segment.file;
        if let Err(error) = file.write_all_at(bytes, self.tip.length) {
            if !is_full(&error) {
                return Err(GroupFailure::Unknown(self.words("writing to", &error)));
            }
            if let Err(error) = file.set_len(self.tip.length) {
                return Err(GroupFailure::Unknown(self.words("cutting", &error)));
            }
            self.keeper.space_ran_out();
            return Err(GroupFailure::Full);
        }
        if let Err(error) = file.sync_data() {
            return Err(GroupFailure::Unknown(self.words("syncing", &error)));
        }
        self.show(group, chain, length);
        Ok(())
    }

    fn show(&mut self, group: &Group, chain: Chain, length: u64) {
        let start = BlockStart {
            first_position: self.tip.head.next(),
            offset: self.begin().offset,
        };
        self.tip = Tip {
            head: self.tip.head.plus(group.records.len() as u64),
            chain,
            length,
            recorded_at_us: group.recorded_at_us(),
        };
        self.log.publish(&DurableBlock {
            start,
            records: &group.records,
            length,
            head: self.tip.head,
        });
        if self.health.get() == Health::Full {
            tracing::info!("there is space again, appends are taken");
            self.health.set(Health::Writable);
        }
        self.head.send_replace(self.tip.head);
    }

    /// Whether a write is worth trying. What cannot be told is tried.
    fn has_space(&self) -> bool {
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

    fn failed(&self, failure: &GroupFailure) {
        match failure {
            GroupFailure::Full if self.health.get() == Health::Full => {}
            GroupFailure::Full => {
                tracing::error!(folder = %self.folder.display(), "the disk is full, appends are refused");
                self.health.set(Health::Full);
            }
            GroupFailure::NotWritten(why) | GroupFailure::Unknown(why) => self.read_only(why),
        }
    }

    fn read_only(&self, why: &str) {
        tracing::error!(
            why,
            "the journal takes no more appends until it is opened again"
        );
        self.health.set(Health::ReadOnly {
            why: why.to_owned(),
        });
    }

    /// Goes on in a new segment when this one has reached its size. A roll
    /// that found no space is tried again for the same position: nothing is
    /// ever added to a segment after its successor may exist.
    fn roll_if_due(&mut self, sealed: &mut SealedVersions) -> Result<(), GroupFailure> {
        let is_due = self.tip.length >= self.options.segment_bytes;
        if !is_due || self.tip.length == FIRST_BLOCK_OFFSET {
            return Ok(());
        }
        if !self.has_space() {
            return Err(GroupFailure::Full);
        }
        let next = self.create_segment().map_err(|error| {
            if is_full(&error) {
                self.keeper.space_ran_out();
                GroupFailure::Full
            } else {
                GroupFailure::NotWritten(self.words("following", &error))
            }
        })?;
        let next = Arc::new(next);
        let end = SegmentEnd {
            log_id: self.identity.log_id,
            first_position: self.segment.first_position(),
            next_position: self.tip.head.next(),
            length: self.tip.length,
            chain: self.tip.chain,
            recorded_at_us: self.tip.recorded_at_us,
        };
        self.segment = Arc::clone(&next);
        self.tip.length = FIRST_BLOCK_OFFSET;
        sealed.forget();
        let full = self.log.roll(end, Active::empty(next));
        self.keeper.seal(full);
        self.known = None;
        self.write_head();
        match self.health.get() {
            Health::ReadOnly { why } => Err(GroupFailure::NotWritten(why)),
            Health::Writable | Health::Full | Health::Closed => Ok(()),
        }
    }

    fn create_segment(&self) -> std::io::Result<Segment> {
        let header = SegmentHeader {
            identity: self.identity,
            first_position: self.tip.head.next(),
            chain: self.tip.chain,
        };
        create_segment(self.disk.as_ref(), &self.folder, header)
    }

    /// Replaces `journal/head`, if it lags behind.
    fn write_head(&mut self) {
        if self.known == Some(self.tip.head) || !self.is_writable() {
            return;
        }
        let head = KnownHead {
            identity: self.identity,
            position: self.tip.head,
            chain: self.tip.chain,
            segment: self.segment.first_position(),
            length: self.tip.length,
        };
        match head.write(self.disk.as_ref(), &self.folder) {
            Ok(()) => self.known = Some(self.tip.head),
            Err(error) if is_full(&error) => {
                // The journal itself lost nothing: the next idle moment tries again.
                tracing::warn!(%error, "the disk is too full to replace journal/head");
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
