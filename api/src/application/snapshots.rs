//! States of long streams, kept on disk beside the way of whoever loads them.
//!
//! A session may have tens of thousands of facts. Where its state was kept,
//! only what came after it is folded. A state that is kept is only ever a
//! shortcut: the store gives it only where the log confirms it, and everything
//! else is folded from the log.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use domain::stream::StreamName;
use eventstore::{
    CodeFingerprint, DiscardReason, EventStore, LogIdentity, ReadError, Record, Snapshot,
    SnapshotError, SnapshotLookup, SnapshotStore,
};

use super::load::{Folded, Loaded, stream_id};
use crate::observability::{
    SNAPSHOTS_DISCARDED, SNAPSHOTS_UNWRITTEN, SNAPSHOTS_USED, SNAPSHOTS_WRITTEN,
};

/// A state is kept once more than so many events were folded since it was
/// kept last: shorter streams are folded in less time than a file takes.
pub(super) const SNAPSHOT_EVENTS: u64 = 200;

/// ... and more than one in so many of the stream's events, so that all that
/// is ever written of a stream grows with its length and not with its square.
const SNAPSHOT_SHARE: u64 = 16;

/// Most states that wait to be written; beyond it they are not kept this time.
const WAITING_MAX: usize = 64;

/// Grows when this file or `load` writes or folds states otherwise.
const LAYOUT: u8 = 1;

/// What folds states and writes them: the domain's sources, and the layout here.
#[must_use]
pub fn state_code() -> CodeFingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain::snapshot::CODE.as_bytes());
    hasher.update(&[LAYOUT]);
    let mut first = [0; 16];
    hasher.finalize_xof().fill(&mut first);
    CodeFingerprint(first)
}

type Job = Box<dyn FnOnce(&SnapshotStore) + Send>;

/// The states that are kept, and the one thread that writes them.
pub(super) struct Snapshots {
    store: Arc<SnapshotStore>,
    /// `None` while being dropped.
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Snapshots {
    pub(super) fn start(store: SnapshotStore) -> io::Result<Self> {
        let store = Arc::new(store);
        let (queue, jobs) = sync_channel(WAITING_MAX);
        let writing = Arc::clone(&store);
        let writer = std::thread::Builder::new()
            .name("snapshot-writer".to_owned())
            .spawn(move || write_all(&jobs, &writing))?;
        Ok(Self {
            store,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// The state that was kept of a stream, if the log confirms it.
    pub(super) fn find<S: Folded>(
        &self,
        log: &dyn EventStore,
        name: StreamName,
    ) -> Result<Option<Loaded<S>>, ReadError> {
        let snapshot = match self.store.get(log, stream_id(name))? {
            SnapshotLookup::Found(snapshot) => snapshot,
            SnapshotLookup::Absent => return Ok(None),
            SnapshotLookup::Discarded(why) => {
                discarded(name, why);
                return Ok(None);
            }
        };
        let Some(state) = S::restored(&snapshot.state) else {
            self.store.discard(stream_id(name));
            discarded(name, DiscardReason::NotUnderstood);
            return Ok(None);
        };
        metrics::counter!(SNAPSHOTS_USED).increment(1);
        Ok(Some(Loaded {
            name,
            state,
            version: snapshot.version,
            kept: snapshot.version,
        }))
    }

    /// Keeps a state that was loaded, if it is time to; soon, and by itself.
    /// `last` is the record after which it is so. Says whether it will be tried.
    pub(super) fn keep<S: Folded>(
        &self,
        loaded: &Loaded<S>,
        last: Record,
        identity: LogIdentity,
    ) -> bool {
        let (version, kept) = (loaded.version.get(), loaded.kept.get());
        if version.saturating_sub(kept) <= SNAPSHOT_EVENTS.max(version / SNAPSHOT_SHARE) {
            return false;
        }
        // Copies share what is large, so this is cheap beside writing it.
        let loaded = loaded.clone();
        let job: Job = Box::new(move |store| write(store, &loaded, &last, identity));
        let queue = self.queue.as_ref();
        let is_taken = queue.is_some_and(|queue| queue.try_send(job).is_ok());
        if !is_taken {
            unwritten("busy");
        }
        is_taken
    }

    /// Waits until what was to be kept so far has been.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let (done, is_done) = sync_channel(1);
        let job: Job = Box::new(move |_| done.send(()).unwrap());
        self.queue.as_ref().unwrap().send(job).unwrap();
        is_done.recv().unwrap();
    }
}

/// Ends when nobody can send any more.
fn write_all(jobs: &Receiver<Job>, store: &SnapshotStore) {
    for job in jobs {
        job(store);
    }
}

fn write<S: Folded>(
    store: &SnapshotStore,
    loaded: &Loaded<S>,
    last: &Record,
    identity: LogIdentity,
) {
    let Some(state) = loaded.state.kept() else {
        return;
    };
    match store.put(&Snapshot::after(last, identity, state)) {
        Ok(()) => metrics::counter!(SNAPSHOTS_WRITTEN).increment(1),
        Err(SnapshotError::TooLarge { .. }) => unwritten("too_large"),
        Err(SnapshotError::NoRoom) => unwritten("no_room"),
        Err(error @ SnapshotError::Io { .. }) => {
            unwritten("io");
            tracing::warn!(%error, "a state could not be kept; it is folded when it is needed");
        }
    }
}

fn unwritten(why: &'static str) {
    metrics::counter!(SNAPSHOTS_UNWRITTEN, "reason" => why).increment(1);
}

fn discarded(stream: StreamName, why: DiscardReason) {
    metrics::counter!(SNAPSHOTS_DISCARDED, "reason" => why.word()).increment(1);
    match why {
        // What an upgrade or a restore brings with it.
        DiscardReason::OtherCode
        | DiscardReason::OtherFormat
        | DiscardReason::OtherLog
        | DiscardReason::OtherRecord
        | DiscardReason::Ahead => {
            tracing::debug!(%stream, %why, "a kept state was thrown away");
        }
        DiscardReason::Damaged
        | DiscardReason::Unreadable
        | DiscardReason::OtherStream
        | DiscardReason::NotUnderstood => {
            tracing::warn!(%stream, %why, "a kept state was thrown away; the stream is folded");
        }
    }
}

/// Writes what was accepted, and ends the thread.
impl Drop for Snapshots {
    fn drop(&mut self) {
        drop(self.queue.take());
        let ended = self.writer.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!("the thread that keeps states had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
