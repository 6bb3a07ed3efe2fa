//! A view with writes on top that are not applied yet.
//!
//! The runner collects a batch in it; a query folds in it what the view has
//! not reached yet. So both see a view in the same way, and a projection
//! cannot tell them apart.

use std::any::Any;
use std::cell::RefCell;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::{Key, KeyRange};
use crate::stored::{from_bytes, to_bytes};
use crate::view_store::{Direction, Entry, VALUE_BYTES_MAX, ViewStoreError, ViewTree};

#[cfg(test)]
mod tests;

/// Bytes that an entry takes beside its key and its values, roughly.
const ENTRY_BYTES: usize = 128;

/// Bytes that a row takes decoded beside itself and its heap, roughly.
const ROW_BYTES: usize = 64;

/// What a value of a view says. It stays decoded as long as the overlay lasts,
/// however many records change it, and is at most [`VALUE_BYTES_MAX`] as bytes.
pub(crate) trait Row:
    Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// What it holds beside itself, bytes, roughly.
    fn heap_bytes(&self) -> usize;
}

/// A row of whatever type, or that there is none.
trait Decoded: Any + Debug + Send + Sync {
    fn content(&self) -> Content;

    fn bytes(&self) -> usize;
}

impl<R: Row> Decoded for Option<R> {
    fn content(&self) -> Content {
        self.as_ref().map(|row| checked(to_bytes(row)))
    }

    fn bytes(&self) -> usize {
        ROW_BYTES + size_of::<Self>() + self.as_ref().map_or(0, Row::heap_bytes)
    }
}

/// Reads through its own writes to the view below, which it never changes.
#[derive(Debug)]
pub(crate) struct Overlay<'v> {
    below: Below<'v>,
    cells: RefCell<HashMap<Vec<u8>, Cell, RandomState>>,
    /// The keys that were written, in order, once somebody wants to know that.
    sorted: RefCell<Option<BTreeSet<Vec<u8>>>>,
    /// Whether what is read below is kept: for an overlay that takes in many records.
    gathers: bool,
    written: usize,
    bytes: std::cell::Cell<usize>,
}

/// The value of a key, or that it has none.
pub(crate) type Content = Option<Vec<u8>>;

/// What is known of a key.
#[derive(Debug, Default)]
struct Cell {
    /// What was read below, if it was: a value, or that there is none.
    below: Option<Content>,
    /// What is to be written, if anything is.
    written: Option<Written>,
}

impl Cell {
    /// The value, as far as it is known here.
    fn content(&self) -> Content {
        match &self.written {
            Some(written) => written.content(),
            None => self.below.clone().flatten(),
        }
    }

    /// What it takes with its key, bytes, roughly.
    fn bytes(&self, key_bytes: usize) -> usize {
        let below = self.below.as_ref().map_or(0, size);
        let written = self.written.as_ref().map_or(0, Written::bytes);
        ENTRY_BYTES + key_bytes + below + written
    }
}

/// What becomes of a cell.
#[derive(Debug, Default)]
struct Change {
    key_bytes: usize,
    /// The key, where it may have to be sorted in.
    key: Option<Vec<u8>>,
    was_written: bool,
    is_written: bool,
    bytes_before: usize,
    bytes_after: usize,
}

impl Change {
    fn begin(overlay: &mut Overlay<'_>, key: &Key) -> Self {
        let key = key.as_bytes();
        let is_sorted = overlay.sorted.get_mut().is_some();
        Self {
            key_bytes: key.len(),
            key: is_sorted.then(|| key.to_vec()),
            ..Self::default()
        }
    }

    /// Of a cell that was there.
    fn before(&mut self, cell: &Cell) {
        self.was_written = cell.written.is_some();
        self.bytes_before = cell.bytes(self.key_bytes);
    }

    fn after(&mut self, cell: &Cell) {
        self.is_written = cell.written.is_some();
        self.bytes_after = cell.bytes(self.key_bytes);
    }
}

/// A value that is to be written, or that there shall be none.
#[derive(Debug)]
enum Written {
    Bytes(Content),
    Row(Box<dyn Decoded>),
}

impl Written {
    fn content(&self) -> Content {
        match self {
            Self::Bytes(content) => content.clone(),
            Self::Row(row) => row.content(),
        }
    }

    fn into_content(self) -> Content {
        match self {
            Self::Bytes(content) => content,
            Self::Row(row) => row.content(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bytes(content) => size(content),
            Self::Row(row) => row.bytes(),
        }
    }

    /// The row, if it lies here decoded.
    fn row<R: Row>(&self) -> Option<&Option<R>> {
        match self {
            Self::Bytes(_) => None,
            Self::Row(row) => (&**row as &dyn Any).downcast_ref(),
        }
    }

    fn row_mut<R: Row>(&mut self) -> Option<&mut Option<R>> {
        match self {
            Self::Bytes(_) => None,
            Self::Row(row) => (&mut **row as &mut dyn Any).downcast_mut(),
        }
    }
}

fn size(content: &Content) -> usize {
    content.as_ref().map_or(0, Vec::len)
}

/// A value that is not too large for a view.
fn checked(value: Vec<u8>) -> Vec<u8> {
    assert!(
        value.len() <= VALUE_BYTES_MAX,
        "a value of {} bytes: at most {VALUE_BYTES_MAX} go into a view",
        value.len()
    );
    value
}

/// A key with what is to be written, and with what was read below if it was.
pub(crate) type Write = (Vec<u8>, Content, Option<Content>);

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

impl<'v> Overlay<'v> {
    /// The view as it is.
    pub(crate) fn new(below: &'v dyn ViewTree) -> Self {
        Self::over(Below::Held(below), false)
    }

    /// The same, to collect what many records write: nothing below is read twice.
    pub(crate) fn gathering(below: Arc<dyn ViewTree>) -> Overlay<'static> {
        Overlay::over(Below::Shared(below), true)
    }

    fn over(below: Below<'v>, gathers: bool) -> Self {
        Self {
            below,
            cells: RefCell::default(),
            sorted: RefCell::default(),
            gathers,
            written: 0,
            bytes: std::cell::Cell::new(0),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewStoreError> {
        if let Some(cell) = self.cells.borrow().get(key.as_bytes()) {
            if let Some(written) = &cell.written {
                return Ok(written.content());
            }
            if let Some(below) = &cell.below {
                return Ok(below.clone());
            }
        }
        let value = self.below.tree().get(key.as_bytes())?;
        if self.gathers {
            let cell = Cell {
                below: Some(value.clone()),
                written: None,
            };
            let key = key.as_bytes();
            self.bytes.set(self.bytes.get() + cell.bytes(key.len()));
            self.cells.borrow_mut().insert(key.to_vec(), cell);
        }
        Ok(value)
    }

    /// The row of a key.
    pub(crate) fn row<R: Row>(&self, key: &Key) -> Result<Option<R>, ViewStoreError> {
        if let Some(cell) = self.cells.borrow().get(key.as_bytes())
            && let Some(row) = cell.written.as_ref().and_then(Written::row)
        {
            return Ok(row.clone());
        }
        self.get(key)?.map(|bytes| from_bytes(&bytes)).transpose()
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
        let written = self.written_in(range);
        let removed = written.iter().filter(|(_, value)| value.is_none()).count();
        // Each removed key may hide one entry below.
        let below = self
            .below
            .tree()
            .scan(range, direction, limit.saturating_add(removed))?;
        let cells = self.cells.borrow();
        let is_written = |key: &[u8]| cells.get(key).is_some_and(|cell| cell.written.is_some());
        let below = below.into_iter().filter(|(key, _)| !is_written(key));
        let mut entries: Vec<Entry> = below.collect();
        entries.extend(
            written
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        entries.sort_unstable_by(|(a, _), (b, _)| match direction {
            Direction::Forward => a.cmp(b),
            Direction::Backward => b.cmp(a),
        });
        entries.truncate(limit);
        Ok(entries)
    }

    /// What was written in a range.
    fn written_in(&self, range: &KeyRange) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let cells = self.cells.borrow();
        let mut sorted = self.sorted.borrow_mut();
        let sorted = sorted.get_or_insert_with(|| {
            let written = cells.iter().filter(|(_, cell)| cell.written.is_some());
            written.map(|(key, _)| key.clone()).collect()
        });
        let start = Bound::Included(range.start.as_slice());
        let end = range
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        let keys = sorted.range::<[u8], _>((start, end));
        let written = keys.filter_map(|key| {
            let written = cells.get(key)?.written.as_ref()?;
            Some((key.clone(), written.content()))
        });
        written.collect()
    }

    /// Writes a value of at most [`VALUE_BYTES_MAX`].
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        self.write(key, Written::Bytes(Some(checked(value))));
    }

    /// Writes a row.
    pub(crate) fn put_row<R: Row>(&mut self, key: Key, row: R) {
        self.write(key, Written::Row(Box::new(Some(row))));
    }

    /// Takes a key away, if it is there.
    pub(crate) fn remove(&mut self, key: Key) {
        self.write(key, Written::Bytes(None));
    }

    /// Changes the row of a key where it lies. `change` gives nothing if it has
    /// left the row as it was.
    pub(crate) fn change<R: Row, T>(
        &mut self,
        key: Key,
        change: impl FnOnce(&mut Option<R>) -> Option<T>,
    ) -> Result<Option<T>, ViewStoreError> {
        let mut change_of = Change::begin(self, &key);
        let cell = match self.cells.get_mut().entry(key.into_bytes()) {
            Occupied(known) => {
                let cell = known.into_mut();
                change_of.before(cell);
                cell
            }
            Vacant(unknown) => {
                let below = Some(self.below.tree().get(unknown.key())?);
                unknown.insert(Cell {
                    below,
                    written: None,
                })
            }
        };
        let told = if let Some(row) = cell.written.as_mut().and_then(Written::row_mut) {
            Ok(change(row))
        } else {
            let row = cell.content().map(|bytes| from_bytes(&bytes));
            row.transpose().map(|mut row| {
                let told = change(&mut row);
                if told.is_some() {
                    cell.written = Some(Written::Row(Box::new(row)));
                }
                told
            })
        };
        change_of.after(cell);
        self.follow(change_of);
        told
    }

    fn write(&mut self, key: Key, value: Written) {
        let mut change = Change::begin(self, &key);
        let cell = match self.cells.get_mut().entry(key.into_bytes()) {
            Occupied(known) => {
                let cell = known.into_mut();
                change.before(cell);
                cell
            }
            Vacant(unknown) => unknown.insert(Cell::default()),
        };
        cell.written = Some(value);
        change.after(cell);
        self.follow(change);
    }

    fn follow(&mut self, change: Change) {
        let bytes = self.bytes.get_mut();
        *bytes = *bytes + change.bytes_after - change.bytes_before;
        if change.is_written && !change.was_written {
            self.written += 1;
            if let Some((sorted, key)) = self.sorted.get_mut().as_mut().zip(change.key) {
                sorted.insert(key);
            }
        }
    }

    /// How many keys were written.
    pub(crate) fn len(&self) -> usize {
        self.written
    }

    /// What it takes in memory, bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Everything written, in the order of the keys.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let cells = self.cells.into_inner().into_iter();
        let writes =
            cells.filter_map(|(key, cell)| Some((key, cell.written?.into_content(), cell.below)));
        let mut writes: Vec<Write> = writes.collect();
        writes.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        writes
    }
}
