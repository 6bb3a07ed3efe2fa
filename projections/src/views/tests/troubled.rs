//! A store in memory that is in trouble when a test wants it to be.

use std::fmt;

use super::*;
use crate::key::KeyRange;
use crate::view_store::{Batch, Checkpoint, Direction, Entry, ViewStore, ViewTree};

/// What is about to be done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing<'t> {
    /// A batch is applied to this tree.
    Applying(&'t str),
    /// Something else is written.
    Writing,
    /// What was written is handed to the disk.
    Flushing,
    /// An entry of a tree is read.
    Reading,
}

/// Waits, fails, or lets it be done.
type Trouble = dyn Fn(Doing<'_>) -> Result<(), ViewStoreError> + Send + Sync;

/// A store that asks before anything is done to it.
pub(super) struct Troubled {
    store: Arc<MemoryViewStore>,
    trouble: Arc<Trouble>,
}

struct TroubledTree {
    name: String,
    tree: Arc<dyn ViewTree>,
    trouble: Arc<Trouble>,
}

impl Troubled {
    pub(super) fn new(
        store: Arc<MemoryViewStore>,
        trouble: impl Fn(Doing<'_>) -> Result<(), ViewStoreError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            trouble: Arc::new(trouble),
        }
    }

    fn writing(&self) -> Result<(), ViewStoreError> {
        (self.trouble)(Doing::Writing)
    }
}

impl fmt::Debug for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Troubled")
    }
}

impl fmt::Debug for TroubledTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ViewStore for Troubled {
    fn open_tree(&self, name: &str) -> Result<Arc<dyn ViewTree>, ViewStoreError> {
        Ok(Arc::new(TroubledTree {
            name: name.to_owned(),
            tree: self.store.open_tree(name)?,
            trouble: Arc::clone(&self.trouble),
        }))
    }

    fn remove_tree(&self, name: &str) -> Result<(), ViewStoreError> {
        self.writing()?;
        self.store.remove_tree(name)
    }

    fn tree_names(&self) -> Result<Vec<String>, ViewStoreError> {
        self.store.tree_names()
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        self.store.note(name)
    }

    fn set_note(&self, name: &str, note: &[u8]) -> Result<(), ViewStoreError> {
        self.writing()?;
        self.store.set_note(name, note)
    }

    fn stash(&self, tree: &str, writes: &[u8]) -> Result<(), ViewStoreError> {
        self.writing()?;
        self.store.stash(tree, writes)
    }

    fn stashed(&self, tree: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        self.store.stashed(tree)
    }

    fn drop_stash(&self, tree: &str) -> Result<(), ViewStoreError> {
        self.writing()?;
        self.store.drop_stash(tree)
    }

    fn flush(&self) -> Result<(), ViewStoreError> {
        (self.trouble)(Doing::Flushing)?;
        self.store.flush()
    }

    fn check_place(&self) -> Result<(), ViewStoreError> {
        self.store.check_place()
    }

    fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        self.store.size_bytes()
    }
}

impl ViewTree for TroubledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError> {
        (self.trouble)(Doing::Reading)?;
        self.tree.get(key)
    }

    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        (self.trouble)(Doing::Reading)?;
        self.tree.scan(range, direction, limit)
    }

    fn apply(&self, batch: &Batch) -> Result<(), ViewStoreError> {
        (self.trouble)(Doing::Applying(&self.name))?;
        self.tree.apply(batch)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError> {
        self.tree.checkpoint()
    }
}
