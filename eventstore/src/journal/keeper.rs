//! The writer's helper: writes the index of a segment that was sealed, and
//! says when a full disk is worth another try.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::sealed::Sealed;
use crate::disk::Disk;

/// Sealed segments that wait for their index; beyond it the writer waits, so
/// that memory does not fill with indexes.
const SEALED_WAITING_MAX: usize = 4;

/// The writer's end of it. The thread ends when this is dropped and all is done.
#[derive(Debug)]
pub(crate) struct Keeper {
    work: SyncSender<Arc<Sealed>>,
    /// Set when a write found no space, until the helper clears it.
    must_wait: Arc<AtomicBool>,
}

/// The thread's end of it.
#[derive(Debug)]
pub(crate) struct KeeperTask {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    work: Receiver<Arc<Sealed>>,
    must_wait: Arc<AtomicBool>,
    full_retry: Duration,
    /// Those whose index could not be written; memory serves for them.
    unwritten: Vec<Arc<Sealed>>,
}

impl Keeper {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        full_retry: Duration,
    ) -> (Self, KeeperTask) {
        let (sender, work) = sync_channel(SEALED_WAITING_MAX);
        let must_wait = Arc::new(AtomicBool::new(false));
        let keeper = Self {
            work: sender,
            must_wait: Arc::clone(&must_wait),
        };
        let task = KeeperTask {
            disk,
            folder,
            work,
            must_wait,
            full_retry,
            unwritten: Vec::new(),
        };
        (keeper, task)
    }

    /// Has the index of a sealed segment written.
    pub(crate) fn seal(&self, sealed: Arc<Sealed>) {
        if self.work.send(sealed).is_err() {
            tracing::error!("no index files are written any more; memory serves until a restart");
        }
    }

    /// A write found no space: none is tried before the helper's next round.
    pub(crate) fn space_ran_out(&self) {
        self.must_wait.store(true, Ordering::Relaxed);
    }

    /// Whether enough time has passed since.
    pub(crate) fn may_try_again(&self) -> bool {
        !self.must_wait.load(Ordering::Relaxed)
    }
}

impl KeeperTask {
    /// Runs until the writer is gone.
    pub(crate) fn run(mut self) {
        loop {
            match self.work.recv_timeout(self.full_retry) {
                Ok(sealed) => {
                    self.unwritten.push(sealed);
                    self.write_indexes();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.must_wait.store(false, Ordering::Relaxed);
                    self.write_indexes();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write_indexes(&mut self) {
        let (disk, folder) = (&self.disk, &self.folder);
        self.unwritten.retain(|sealed| {
            let written = sealed.write_index(disk.as_ref(), folder);
            if let Err(error) = &written {
                let segment = sealed.segment.path.display();
                tracing::warn!(%segment, ?error, "the index was not written, memory serves for it");
            }
            written.is_err()
        });
    }
}
