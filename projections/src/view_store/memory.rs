//! The views in memory: the executable specification of the seam, and what a
//! fresh fold is compared with.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Checkpoint, Direction, Entry, ViewStore, ViewStoreError, ViewTree};
use crate::key::KeyRange;

/// Keeps the whole contract but for a disk: everything is gone with it.
#[derive(Debug, Default)]
pub(crate) struct MemoryViewStore {
    trees: Mutex<HashMap<String, Arc<MemoryTree>>>,
    notes: Mutex<HashMap<String, Vec<u8>>>,
    stashes: Mutex<HashMap<String, Vec<u8>>>,
}

#[derive(Debug, Default)]
struct MemoryTree {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    checkpoint: Option<Checkpoint>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ViewStore for MemoryViewStore {
    fn open_tree(&self, name: &str) -> Result<Arc<dyn ViewTree>, ViewStoreError> {
        let tree = Arc::clone(locked(&self.trees).entry(name.to_owned()).or_default());
        Ok(tree)
    }

    fn remove_tree(&self, name: &str) -> Result<(), ViewStoreError> {
        locked(&self.trees).remove(name);
        Ok(())
    }

    fn tree_names(&self) -> Result<Vec<String>, ViewStoreError> {
        Ok(locked(&self.trees).keys().cloned().collect())
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        Ok(locked(&self.notes).get(name).cloned())
    }

    fn set_note(&self, name: &str, note: &[u8]) -> Result<(), ViewStoreError> {
        locked(&self.notes).insert(name.to_owned(), note.to_vec());
        Ok(())
    }

    fn stash(&self, tree: &str, writes: &[u8]) -> Result<(), ViewStoreError> {
        locked(&self.stashes).insert(tree.to_owned(), writes.to_owned());
        Ok(())
    }

    fn stashed(&self, tree: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        Ok(locked(&self.stashes).get(tree).cloned())
    }

    fn drop_stash(&self, tree: &str) -> Result<(), ViewStoreError> {
        locked(&self.stashes).remove(tree);
        Ok(())
    }

    fn flush(&self) -> Result<(), ViewStoreError> {
        Ok(())
    }

    fn check_place(&self) -> Result<(), ViewStoreError> {
        Ok(())
    }

    fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        let size = |tree: &Arc<MemoryTree>| -> usize {
            let state = locked(&tree.state);
            let entries = state.entries.iter();
            entries.map(|(key, value)| key.len() + value.len()).sum()
        };
        let trees = locked(&self.trees);
        Ok(trees.values().map(size).sum::<usize>() as u64)
    }
}

impl ViewTree for MemoryTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError> {
        Ok(locked(&self.state).entries.get(key).cloned())
    }

    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let state = locked(&self.state);
        let start = Bound::Included(range.start.as_slice());
        let end = range
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        let entries = state.entries.range::<[u8], _>((start, end));
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => entries.take(limit).map(owned).collect(),
            Direction::Backward => entries.rev().take(limit).map(owned).collect(),
        })
    }

    fn apply(&self, batch: &Batch) -> Result<(), ViewStoreError> {
        let mut state = locked(&self.state);
        for (key, value) in &batch.writes {
            match value {
                Some(value) => state.entries.insert(key.clone(), value.clone()),
                None => state.entries.remove(key),
            };
        }
        state.checkpoint = Some(batch.checkpoint);
        Ok(())
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError> {
        Ok(locked(&self.state).checkpoint)
    }
}
