//! Where views are kept: the seam behind which the storage engine can be exchanged.
//!
//! A view is one tree of ordered keys. The engine must apply a batch to a tree
//! as a whole or not at all, over a crash too; it need not keep anything that
//! it was not asked to flush, since every view can be built again from the log.

use std::fmt;
use std::sync::Arc;

use eventstore::{LogIdentity, Position};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::key::KeyRange;

mod folder;
mod memory;
mod sled_engine;
#[cfg(test)]
mod contract;

#[cfg(test)]
pub(crate) use folder::MadeStores;
pub use folder::ViewsEntry;
pub(crate) use folder::{Left, OpenedStore, ViewFolder};
pub(crate) use memory::MemoryViewStore;
pub(crate) use sled_engine::takes_no_writes;

/// Largest value, bytes: beyond some 128 KiB the engine keeps values in files
/// of their own, which it never syncs, and far below that it is fastest.
pub(crate) const VALUE_BYTES_MAX: usize = 8 * 1024;

/// A batch is closed once it has this many keys: much larger ones make the
/// engine hold on to memory.
pub(crate) const BATCH_KEYS: usize = 100;

/// A key with its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// How far a view has come, and in which log. Kept in the view's own tree and
/// moved in the same batch as what was written up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The log whose records the view holds.
    pub(crate) identity: LogIdentity,
    /// The last record that it holds, with all before it.
    pub(crate) position: Position,
    /// The [`Digest`] of all its entries.
    pub(crate) digest: Digest,
    /// It holds some entries of what was stashed and lacks others: all of it is
    /// to be applied again.
    pub(crate) is_amid_stash: bool,
}

impl Checkpoint {
    /// Of a view of this log that holds nothing.
    pub(crate) fn start(identity: LogIdentity) -> Self {
        Self {
            identity,
            position: Position::START,
            digest: Digest::default(),
            is_amid_stash: false,
        }
    }
}

/// The XOR of a hash of every entry of a tree: so it follows a batch at the
/// batch's cost, and tells whether exactly those entries are there.
///
/// It finds damage, not malice: the hash is not a cryptographic one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest(u64);

impl Digest {
    /// A hash of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        xxh3_64(bytes)
    }

    /// Takes an entry in, or out again.
    pub(crate) fn toggle(&mut self, key: &[u8], value: &[u8]) {
        // XXH3, the key's hash as the seed of the value's: so it matters where a
        // key ends.
        self.0 ^= xxh3_64_with_seed(value, xxh3_64(key));
    }
}

/// What is written to one tree, all of it or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Each key once, with its value, or without one if it goes.
    pub(crate) writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Where the view is afterwards.
    pub(crate) checkpoint: Checkpoint,
}

/// From which end keys are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Smallest first.
    Forward,
    /// Largest first.
    Backward,
}

/// All views' trees.
///
/// One thread writes to a tree; any thread reads.
pub(crate) trait ViewStore: Send + Sync + fmt::Debug {
    /// The tree of this name, empty if it is new.
    fn open_tree(&self, name: &str) -> Result<Arc<dyn ViewTree>, ViewStoreError>;

    /// Removes a tree with all its entries, if it is there.
    fn remove_tree(&self, name: &str) -> Result<(), ViewStoreError>;

    /// The names of the trees that are there.
    fn tree_names(&self) -> Result<Vec<String>, ViewStoreError>;

    /// What was noted beside the trees under this name.
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, ViewStoreError>;

    /// Notes something beside the trees, in the place of what was noted under
    /// this name: as a whole or not at all, over a crash too.
    fn set_note(&self, name: &str, note: &[u8]) -> Result<(), ViewStoreError>;

    /// Puts aside what is to be applied to a tree in many batches, in the place
    /// of what was stashed for it before: so that it can be applied again after
    /// a crash in the middle. It need not outlive the machine's going down.
    fn stash(&self, tree: &str, writes: &[u8]) -> Result<(), ViewStoreError>;

    /// What was stashed for a tree, if it was; after a crash it may be damaged.
    fn stashed(&self, tree: &str) -> Result<Option<Vec<u8>>, ViewStoreError>;

    /// Forgets what was stashed for a tree.
    fn drop_stash(&self, tree: &str) -> Result<(), ViewStoreError>;

    /// Hands everything applied so far to the disk.
    fn flush(&self) -> Result<(), ViewStoreError>;

    /// What it takes on disk, bytes, roughly.
    fn size_bytes(&self) -> Result<u64, ViewStoreError>;

    /// That its files still lie where they were opened. An engine goes on in the
    /// files that it has open, and does not miss them.
    fn check_place(&self) -> Result<(), ViewStoreError>;
}

/// One view's entries.
pub(crate) trait ViewTree: Send + Sync + fmt::Debug {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError>;

    /// The first entries of a range, at most `limit`.
    ///
    /// Not a snapshot: what is applied meanwhile may show in part.
    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError>;

    /// Applies a batch as a whole, checkpoint included.
    fn apply(&self, batch: &Batch) -> Result<(), ViewStoreError>;

    /// Where the view is; nothing for a new tree.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError>;
}

/// The entries of nothing.
#[derive(Debug)]
pub(crate) struct NoTree;

impl ViewTree for NoTree {
    fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError> {
        Ok(None)
    }

    fn scan(
        &self,
        _range: &KeyRange,
        _direction: Direction,
        _limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        Ok(Vec::new())
    }

    fn apply(&self, _batch: &Batch) -> Result<(), ViewStoreError> {
        Err(ViewStoreError::unreadable("there is no view to write to"))
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError> {
        Ok(None)
    }
}

/// The views could not be read or written. They are derived data: whoever runs
/// them sets them aside and builds them again from the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewStoreError {
    /// The engine refused.
    #[error("{doing} the views failed: {why}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// The engine's words.
        why: String,
    },
    /// Somebody else has them open.
    #[error("the views are in use: {why}; stop the process that has them open")]
    InUse {
        /// The engine's words.
        why: String,
    },
    /// The disk takes no writes; nothing is wrong with the views.
    #[error("{doing} the views failed: {why}; make room on the disk, or make it writable")]
    NoRoom {
        /// What was being done.
        doing: &'static str,
        /// The operating system's words.
        why: String,
    },
    /// The engine panicked.
    #[error("{doing} the views panicked: {why}")]
    Panicked {
        /// What was being done.
        doing: &'static str,
        /// The panic's words.
        why: String,
    },
    /// The engine does not come back.
    #[error("what the views are stored in hangs")]
    Stalled,
    /// An entry is not what this release writes there.
    #[error("a row of the views is unreadable: {why}")]
    Unreadable {
        /// What does not fit.
        why: String,
    },
}

impl ViewStoreError {
    /// An entry that cannot be read.
    pub(crate) fn unreadable(why: impl fmt::Display) -> Self {
        Self::Unreadable {
            why: why.to_string(),
        }
    }
}

/// The words of a caught panic.
pub(crate) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
