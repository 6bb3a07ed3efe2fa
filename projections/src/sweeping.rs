//! Trees that nobody needs any more: removed a little at a time.
//!
//! The engine removes a tree in one go, which takes seconds for a million
//! entries and holds up the thread that feeds the views. So its entries are
//! removed first, between other work.

use std::sync::Arc;

use eventstore::LogIdentity;

use crate::key::KeyRange;
use crate::view::View;
use crate::view_store::{
    BATCH_KEYS, Batch, Checkpoint, Direction, ViewStore, ViewStoreError, ViewTree,
};

/// Entries that are removed at a time: some 20 ms. In tests few, so that a
/// crash can come in the middle.
const ENTRIES_AT_ONCE: usize = if cfg!(test) { 5 } else { 3 * BATCH_KEYS };

/// A tree that goes.
#[derive(Debug)]
pub(crate) struct Going {
    name: String,
    /// Whose tree it was, as long as somebody may be reading it.
    view: Option<Arc<View>>,
    tree: Arc<dyn ViewTree>,
    checkpoint: Checkpoint,
    /// The entries that are still there.
    rest: KeyRange,
}

impl Going {
    /// The tree of a view that was replaced or given up.
    pub(crate) fn of(view: Arc<View>, store: &dyn ViewStore) -> Result<Self, ViewStoreError> {
        Ok(Self {
            name: view.tree_name().to_owned(),
            tree: store.open_tree(view.tree_name())?,
            checkpoint: view.checkpoint(),
            view: Some(view),
            rest: KeyRange::all(),
        })
    }

    /// A tree that an earlier process has left.
    pub(crate) fn left(
        name: String,
        store: &dyn ViewStore,
        identity: LogIdentity,
    ) -> Result<Self, ViewStoreError> {
        let tree = store.open_tree(&name)?;
        let checkpoint = tree.checkpoint()?;
        Ok(Self {
            name,
            view: None,
            checkpoint: checkpoint.unwrap_or_else(|| Checkpoint::start(identity)),
            tree,
            rest: KeyRange::all(),
        })
    }

    /// Whether somebody may still be reading it.
    pub(crate) fn is_read(&self) -> bool {
        let mut view = self.view.iter();
        view.any(|view| Arc::strong_count(view) > 1)
    }

    /// Removes some more, unless somebody reads it. Whether it is gone.
    pub(crate) fn go_on(&mut self, store: &dyn ViewStore) -> Result<bool, ViewStoreError> {
        if self.is_read() {
            return Ok(false);
        }
        self.view = None;
        let entries = self
            .tree
            .scan(&self.rest, Direction::Forward, ENTRIES_AT_ONCE)?;
        let Some((last, _)) = entries.last() else {
            store.drop_stash(&self.name)?;
            store.remove_tree(&self.name)?;
            return Ok(true);
        };
        self.rest = self.rest.after(last);
        for entries in entries.chunks(BATCH_KEYS) {
            let writes = entries.iter().map(|(key, _)| (key.clone(), None));
            self.tree.apply(&Batch {
                writes: writes.collect(),
                checkpoint: self.checkpoint,
            })?;
        }
        Ok(false)
    }
}
