//! A view with writes on top that are not applied yet.
//!
//! The runner collects a batch in it; a query folds in it what the view has
//! not reached yet. So both see a view in the same way, and a projection
//! cannot tell them apart.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::key::{Key, KeyRange};
use crate::view_store::{Direction, Entry, VALUE_BYTES_MAX, ViewStoreError, ViewTree};

/// Bytes that an entry takes beside its key and its value, roughly.
const ENTRY_BYTES: usize = 96;

/// Reads through its own writes to the view below, which it never changes.
#[derive(Debug)]
pub(crate) struct Overlay<'v> {
    below: Below<'v>,
    writes: Writes,
    /// What was read of the view below, if it is kept: for an overlay that
    /// takes in many records.
    known: Option<RefCell<Known>>,
    bytes: usize,
}

/// Values that were read, or that there are none.
pub(crate) type Known = HashMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Debug)]
enum Below<'v> {
    Held(&'v dyn ViewTree),
    Shared(Arc<dyn ViewTree>),
}

impl Below<'_> {
    fn tree(&self) -> &dyn ViewTree {
        match self {
            Self::Held(tree) => *tree,
            Self::Shared(tree) => &**tree,
        }
    }
}

/// Keys with what is to be written, if anything is to be left there.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl<'v> Overlay<'v> {
    /// The view as it is.
    pub(crate) fn new(below: &'v dyn ViewTree) -> Self {
        Self {
            below: Below::Held(below),
            writes: BTreeMap::new(),
            known: None,
            bytes: 0,
        }
    }

    /// The same, to collect what many records write: nothing below is read twice.
    pub(crate) fn gathering(below: Arc<dyn ViewTree>) -> Overlay<'static> {
        Overlay {
            below: Below::Shared(below),
            writes: BTreeMap::new(),
            known: Some(RefCell::default()),
            bytes: 0,
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewStoreError> {
        if let Some(written) = self.writes.get(key.as_bytes()) {
            return Ok(written.clone());
        }
        let Some(known) = &self.known else {
            return self.below.tree().get(key.as_bytes());
        };
        if let Some(known) = known.borrow().get(key.as_bytes()) {
            return Ok(known.clone());
        }
        let value = self.below.tree().get(key.as_bytes())?;
        known
            .borrow_mut()
            .insert(key.as_bytes().to_vec(), value.clone());
        Ok(value)
    }

    /// The first entries of a range, at most `limit`.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let start = Bound::Included(range.start.as_slice());
        let end = range
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        let written = || self.writes.range::<[u8], _>((start, end));
        let removed = written().filter(|(_, value)| value.is_none()).count();
        // Each removed key may hide one entry below.
        let below = self
            .below
            .tree()
            .scan(range, direction, limit.saturating_add(removed))?;
        let below = below
            .into_iter()
            .filter(|(key, _)| !self.writes.contains_key(key));
        let mut entries: Vec<Entry> = below.collect();
        entries.extend(
            written().filter_map(|(key, value)| Some((key.clone(), value.as_ref()?.clone()))),
        );
        entries.sort_unstable_by(|(a, _), (b, _)| match direction {
            Direction::Forward => a.cmp(b),
            Direction::Backward => b.cmp(a),
        });
        entries.truncate(limit);
        Ok(entries)
    }

    /// Writes a value of at most [`VALUE_BYTES_MAX`].
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        assert!(
            value.len() <= VALUE_BYTES_MAX,
            "a value of {} bytes: at most {VALUE_BYTES_MAX} go into a view",
            value.len()
        );
        self.write(key, Some(value));
    }

    /// Takes a key away, if it is there.
    pub(crate) fn remove(&mut self, key: Key) {
        self.write(key, None);
    }

    fn write(&mut self, key: Key, value: Option<Vec<u8>>) {
        let size = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let key = key.into_bytes();
        self.bytes += size(&value);
        let key_bytes = key.len();
        match self.writes.insert(key, value) {
            Some(before) => self.bytes -= size(&before),
            None => self.bytes += key_bytes + ENTRY_BYTES,
        }
    }

    /// How many keys were written.
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// What it takes in memory, bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let known = self.known.as_ref().map(|known| known.borrow().len());
        // Most of what is read below is not there, or is written soon.
        self.bytes + known.unwrap_or_default() * 2 * ENTRY_BYTES
    }

    /// Everything written, and what is known of the values below.
    pub(crate) fn into_written(self) -> (Writes, Known) {
        let known = self.known.map(RefCell::into_inner).unwrap_or_default();
        (self.writes, known)
    }
}

#[cfg(test)]
mod tests {
    use eventstore::{LogIdentity, Position};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::view_store::{Batch, Checkpoint, Digest, MemoryViewStore, ViewStore};

    type Writes = Vec<(u8, Option<u8>)>;

    fn key(number: u8) -> Key {
        Key::row().number(u32::from(number))
    }

    fn tree(writes: impl IntoIterator<Item = (u8, Option<u8>)>) -> std::sync::Arc<dyn ViewTree> {
        let tree = MemoryViewStore::default().open_tree("numbers").unwrap();
        let writes = writes
            .into_iter()
            .map(|(number, value)| (key(number).into_bytes(), value.map(|value| vec![value])));
        let checkpoint = Checkpoint {
            is_amid_stash: false,
            identity: LogIdentity {
                log_id: Uuid::nil(),
                epoch: 1,
            },
            position: Position::START,
            digest: Digest::default(),
        };
        tree.apply(&Batch {
            writes: writes.collect(),
            checkpoint,
        })
        .unwrap();
        tree
    }

    proptest! {
        /// Law: reading through an overlay is reading after its writes were applied.
        #[test]
        fn an_overlay_reads_as_if_its_writes_were_applied(
            below in any::<Writes>(),
            above in any::<Writes>(),
            from: u8,
            limit in 0_usize..20,
            forward: bool,
        ) {
            let view = tree(below.clone());
            let mut overlay = Overlay::new(&*view);
            for (number, value) in &above {
                match value {
                    Some(value) => overlay.put(key(*number), vec![*value]),
                    None => overlay.remove(key(*number)),
                }
            }
            let applied = tree(below.into_iter().chain(above));
            let direction = if forward { Direction::Forward } else { Direction::Backward };
            let range = KeyRange::all().after(&key(from).into_bytes());
            prop_assert_eq!(
                overlay.scan(&range, direction, limit),
                applied.scan(&range, direction, limit)
            );
            prop_assert_eq!(overlay.get(&key(from)), applied.get(&key(from).into_bytes()));
        }
    }
}
