//! The journal: an [`EventStore`] on plain append-only files.
//!
//! ```text
//! journal/00000000000000000001.seg   a header and blocks; the only truth
//! journal/00000000000000000001.idx   where streams lie in it; can be deleted
//! journal/head                       how far it is known to have been durable
//! journal/torn/                      bytes of torn last writes that were cut off
//! ```
//! One block is one group of whole commits, one write and one fdatasync. Only
//! the writer's thread writes; readers read what it has shown.

// The settings and the state.
mod options;
mod health;

// The bytes: what lies in a file, and how it is walked.
pub(crate) mod block;
pub(crate) mod segment;
mod head_file;
pub(crate) mod scan;
mod sealed;

// What is shared, and who writes it.
mod log;
mod group;
mod stage;
mod keeper;
mod writer;

// Where other nodes write the same log: who decides which block follows.
pub(crate) mod outage;
pub(crate) mod quorum;
mod agree;
mod incoming;

// Opening, locking, checking.
pub(crate) mod recovery;
mod torn;
mod lock;
pub(crate) mod verify;
mod reader;

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use lock::{DataLock, LockHolder};
pub use options::JournalOptions;
pub use reader::{JournalReader, VisitRecord};
pub(crate) use recovery::Copies;
pub use recovery::{Loss, RecoverError, Witness, assess_loss, recover_with_loss};
pub use verify::{Finding, VerifyReport, verify};

use crate::disk::{Disk, RealDisk, failed};
use crate::error::{AppendError, OpenError, ReadError};
use crate::event::Commit;
use crate::history::LogHistory;
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::record::AdmittedCommit;
use crate::store::{Appending, Budget, EventStore, Filter, Health, Page, StreamPage};
use crate::stream::StreamId;
use block::Chain;
use group::GroupFailure;
use health::HealthCell;
use keeper::Keeper;
use log::Log;
use outage::{Obstacle, OutageCell};
use quorum::Quorum;
use recovery::{Recovered as RecoveredState, find_segments_to_read, recover};
use stage::Stage;
use writer::{ANSWERS_WAITING_MAX, Writer, answer_all};

/// An [`EventStore`] whose commits are on disk before they are acknowledged.
///
/// It keeps J1 to J8 and J10, and J9: after an error of fdatasync, of cutting
/// a file, or of the device, it takes no appends until it is opened again, and
/// reads go on. It does not lock its folder: that is [`DataLock`]'s task.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    history: LogHistory,
    log: Arc<Log>,
    health: Arc<HealthCell>,
    head: watch::Receiver<Position>,
    stage: Arc<Stage>,
    /// Why the other nodes do not let the log go on, if there are any.
    outage: Arc<OutageCell>,
    is_shared: bool,
    /// Whether nothing more is waited for.
    closing: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in a folder, which is made if it is missing. A torn
    /// last write is cut off, and what is shown is made durable first.
    ///
    /// Reads at most the last segment whole, as long as the index files are there.
    ///
    /// # Errors
    /// [`OpenError`]. Unless it is `Io`, nothing in the folder was changed
    /// but for index files.
    pub fn open(folder: &Path, options: JournalOptions) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), folder, options)
    }

    /// The same, on a disk that may fail.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: JournalOptions,
    ) -> Result<Self, OpenError> {
        let new = LogIdentity {
            log_id: options.new_log_id,
            epoch: 1,
        };
        Recovered::in_folder(disk, folder, options, (new, Copies::Here))?.run()
    }

    fn start(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread.spawn(run).map_err(|source| OpenError::Io {
            doing: format!("starting the thread {name}"),
            source,
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push(handle);
        Ok(())
    }

    /// Takes no more commits, waits until all that were accepted are answered,
    /// notes the head, and ends the subscriptions once they have read
    /// everything. Reads go on. Dropping the journal does the same.
    ///
    /// Blocks for as long as the disk takes. Closing again does nothing.
    pub fn close(&self) {
        self.stage.close();
        self.closing.send_replace(true);
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *threads)
        };
        for thread in threads {
            if thread.join().is_err() {
                let folder = self.folder.display();
                tracing::error!(%folder, "a thread of the journal had panicked");
            }
        }
    }

    /// Whether appends are taken at this moment; [`EventStore::health`] says why not.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.health() == Health::Writable
    }

    /// Has outages of the cluster that the log is on timed by a clock, which gives
    /// the time since some fixed moment: then one that lasts is told of each minute,
    /// and the end of each says how long it was. The first clock stays.
    pub fn time_outages(&self, elapsed: impl Fn() -> Duration + Send + Sync + 'static) {
        self.outage.time_by(Box::new(elapsed));
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Which log the journal in a folder is of, if there is one; changes nothing.
///
/// # Errors
/// [`OpenError`]: the folder or a segment's header cannot be read.
pub fn log_id_in(folder: &Path) -> Result<Option<uuid::Uuid>, OpenError> {
    let is_there = RealDisk.exists(folder);
    if !is_there.map_err(failed("looking for", folder))? {
        return Ok(None);
    }
    let found = find_segments_to_read(&RealDisk, folder)?;
    let first = found.whole.first();
    Ok(first.map(|segment| segment.header.identity.log_id))
}

/// A journal that was recovered, and is not running yet.
#[derive(Debug)]
pub(crate) struct Recovered {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: JournalOptions,
    state: RecoveredState,
}

/// Why a journal that others write too does not run.
#[derive(Debug)]
pub(crate) enum NotRunning {
    /// This machine does not let it.
    Open(OpenError),
    /// It did not come to the end of the log.
    Behind(String),
}

impl Recovered {
    /// Recovers the journal in a folder; begins the new log if there is none.
    pub(crate) fn in_folder(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: JournalOptions,
        new_and_copies: (LogIdentity, Copies),
    ) -> Result<Self, OpenError> {
        let options = options.bounded();
        let state = recover(disk.as_ref(), folder, new_and_copies)?;
        let folder = folder.to_owned();
        Ok(Self {
            disk,
            folder,
            options,
            state,
        })
    }

    /// Whether it can be the beginning of the log with that history.
    pub(crate) fn begins(&self, whole: &LogHistory) -> bool {
        let last = self.state.active.segment.header;
        self.state.history.begins(whole, self.state.tip.head)
            && last.identity == whole.identity_at(last.first_position)
    }

    /// Which log it is, and its epochs.
    pub(crate) fn history(&self) -> &LogHistory {
        &self.state.history
    }

    /// Where it ends, and the chain there.
    pub(crate) fn end(&self) -> (Position, Chain) {
        (self.state.tip.head, self.state.tip.chain)
    }

    /// Runs it, with this machine alone deciding what is in the log.
    pub(crate) fn run(self) -> Result<Journal, OpenError> {
        let (journal, writer) = self.make(None)?;
        journal.start("journal-writer", move || writer.run())?;
        Ok(journal)
    }

    /// Brings it, as one of several journals of the log with that history, to
    /// the log's end.
    pub(crate) fn catch_up_with(
        mut self,
        quorum: Box<dyn Quorum>,
        whole: LogHistory,
    ) -> Result<CaughtUp, NotRunning> {
        self.state.history = whole;
        let (journal, writer) = self.make(Some(quorum)).map_err(NotRunning::Open)?;
        let mut caught_up = CaughtUp { writer, journal };
        caught_up.catch_up()?;
        Ok(caught_up)
    }

    /// The journal with its helpers running, and the writer that is to run.
    fn make(self, quorum: Option<Box<dyn Quorum>>) -> Result<(Journal, Writer), OpenError> {
        let Self {
            disk,
            folder,
            options,
            state,
        } = self;
        let tip = state.tip;
        let end = (tip.head, tip.recorded_at_us);
        let (answers, answers_given) = sync_channel(ANSWERS_WAITING_MAX);
        let (head_sender, head) = watch::channel(tip.head);
        let (keeper, keeper_task) =
            Keeper::new(Arc::clone(&disk), folder.clone(), options.full_retry);
        let segment = Arc::clone(&state.active.segment);
        let journal = Journal {
            folder: folder.clone(),
            history: state.history,
            log: Arc::new(Log::new(state.sealed, state.active, tip.head)),
            health: Arc::new(HealthCell::new()),
            head,
            stage: Arc::new(Stage::new(end, &options, quorum.is_some())),
            outage: Arc::default(),
            is_shared: quorum.is_some(),
            closing: watch::Sender::new(false),
            threads: Mutex::new(Vec::with_capacity(3)),
        };
        let mut writer = Writer {
            disk,
            folder,
            history: journal.history.clone(),
            options,
            log: Arc::clone(&journal.log),
            health: Arc::clone(&journal.health),
            stage: Arc::clone(&journal.stage),
            answers,
            keeper,
            head: head_sender,
            segment,
            tip,
            known: state.known,
            unsynced: 0,
            quorum,
            outage: Arc::clone(&journal.outage),
        };
        if let Some(quorum) = &mut writer.quorum {
            quorum.until(journal.closing.subscribe());
            let stage = Arc::downgrade(&journal.stage);
            quorum.listen(Box::new(move || {
                if let Some(stage) = stage.upgrade() {
                    stage.wake();
                }
            }));
        }
        journal.start("journal-keeper", move || keeper_task.run())?;
        journal.start("journal-answers", move || answer_all(&answers_given))?;
        Ok((journal, writer))
    }
}

/// A journal that others write too, at the log's end as it was found.
#[derive(Debug)]
pub(crate) struct CaughtUp {
    // Dropped before the journal, whose helpers end with it.
    writer: Writer,
    journal: Journal,
}

impl CaughtUp {
    /// The last position that it has.
    pub(crate) fn head(&self) -> Position {
        *self.journal.head.borrow()
    }

    /// Takes what has been written since.
    pub(crate) fn catch_up(&mut self) -> Result<(), NotRunning> {
        self.writer.begin().map_err(NotRunning::from)
    }

    /// Runs it.
    pub(crate) fn run(self) -> Result<Journal, NotRunning> {
        let Self { writer, journal } = self;
        let run = journal.start("journal-writer", move || writer.run());
        run.map_err(NotRunning::Open)?;
        Ok(journal)
    }

    /// Has something accepted that is no block, as the last there ever is; then
    /// it closes. Gives the journal's end, and the chain there.
    pub(crate) fn end_with(mut self, last: &[u8]) -> Result<(Position, Chain), NotRunning> {
        self.writer.end_with(last).map_err(NotRunning::from)
    }
}

impl From<GroupFailure> for NotRunning {
    fn from(failure: GroupFailure) -> Self {
        Self::Behind(match failure {
            GroupFailure::Full => "the disk is full: free some space".to_owned(),
            GroupFailure::NotWritten(why) | GroupFailure::Unknown(why) => why,
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl EventStore for Journal {
    fn append(&self, commit: Commit) -> Appending {
        let commit_id = commit.id;
        let (answer, answered) = oneshot::channel();
        let accepted = AdmittedCommit::new(&commit)
            .and_then(|commit| self.stage.append(commit, answer, &self.log));
        match accepted {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(()) => Box::pin(async move {
                let answer = answered.await;
                answer.unwrap_or(Err(AppendError::Indeterminate { commit_id }))
            }),
        }
    }

    fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        self.log.read_stream(stream, after, budget)
    }

    fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        self.log.read_all(after, filter, budget)
    }

    fn head(&self) -> watch::Receiver<Position> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    fn identity(&self) -> LogIdentity {
        self.history.identity()
    }

    fn history(&self) -> LogHistory {
        self.history.clone()
    }

    fn health(&self) -> Health {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let health = self.health.get();
        if health == Health::Writable && threads.iter().any(JoinHandle::is_finished) {
            return Health::ReadOnly {
                why: "a thread of the journal ended; restart, and report the log's last error"
                    .to_owned(),
            };
        }
        match self.outage.get() {
            Some(Obstacle { kind, why }) if health == Health::Writable => {
                Health::Outage { kind, why }
            }
            Some(_) | None => health,
        }
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }
}
