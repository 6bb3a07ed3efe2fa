//! What a view does with a record that it cannot fold, time and again: it
//! stands still, leaves the record out, or parks the record's stream, whose
//! later records then wait while all others go on.
//!
//! ```text
//! 03 (category, stream)   where the stream was parked, and why
//! 04                      how many records were left out
//! ```
//! These are entries of the view like all others: they are applied with the
//! checkpoint, and a fresh fold by the same code has the same.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use eventstore::{Budget, Category, EventStore, Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::feeding::FeedError;
use crate::key::{Key, KeyParts};
use crate::overlay::Overlay;
use crate::projection::{Facts, Halt};
use crate::stored::{from_bytes, to_bytes};
use crate::view::View;
use crate::view_store::{Direction, ViewStoreError, ViewTree};

/// Most streams that a view parks. One that cannot fold so many is broken as a
/// whole: it stands still.
pub const PARKED_STREAMS_MAX: usize = 1_000;

/// Bytes of a reason that are kept.
const WHY_BYTES_MAX: usize = 500;

/// What a projection wants to be done with a record that it cannot fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The view stands still before the record.
    Halt,
    /// The record's stream waits, until code comes that can fold it; all others
    /// go on. For views whose entries come from one stream each, so that it
    /// does not matter when which stream is folded.
    ParkStream,
    /// The record is left out and counted.
    Skip,
}

/// A stream whose records wait in front of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The first record that waits.
    pub position: Position,
    /// The stream's version that the view knows.
    pub known: StreamVersion,
    /// Why the record could not be folded.
    pub why: String,
}

/// The streams that a view has parked, as its entries have them.
#[derive(Debug, Default)]
pub(crate) struct ParkedStreams(RwLock<BTreeMap<StreamId, Parked>>);

fn parked_key(stream: StreamId) -> Key {
    let category = u32::from(stream.category.get());
    Key::parked().number(category).id(stream.key.as_bytes())
}

/// Notes that a stream waits from this record on.
pub(crate) fn park(overlay: &mut Overlay<'_>, record: &Record, halt: &Halt) {
    let first = record.versioned().next();
    let known = first.map_or(StreamVersion::EMPTY, |(version, _)| {
        StreamVersion::new(version.get().saturating_sub(1))
    });
    let mut why = halt.to_string();
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    let parked = Parked {
        position: record.position,
        known,
        why,
    };
    overlay.put(parked_key(record.stream), to_bytes(&parked));
}

/// Counts a record that is left out.
pub(crate) fn skip(overlay: &mut Overlay<'_>) -> Result<(), ViewStoreError> {
    let skipped = match overlay.get(&Key::skipped())? {
        Some(bytes) => from_bytes(&bytes)?,
        None => 0_u64,
    };
    overlay.put(Key::skipped(), to_bytes(&(skipped + 1)));
    Ok(())
}

/// How many records a view has left out.
pub(crate) fn skipped(tree: &dyn ViewTree) -> Result<u64, ViewStoreError> {
    let skipped = tree.get(Key::skipped().as_bytes())?;
    skipped.map_or(Ok(0), |bytes| from_bytes(&bytes))
}

impl ParkedStreams {
    /// Those of a view, read from its entries.
    pub(crate) fn read(tree: &dyn ViewTree) -> Result<Self, ViewStoreError> {
        let range = Key::parked().prefix();
        let entries = tree.scan(&range, Direction::Forward, PARKED_STREAMS_MAX + 1)?;
        let parked = entries.into_iter().map(|(key, value)| {
            let stream = stream_of(&key)
                .ok_or_else(|| ViewStoreError::unreadable("a parked stream without a name"))?;
            Ok((stream, from_bytes(&value)?))
        });
        let parked: Result<_, ViewStoreError> = parked.collect();
        Ok(Self(RwLock::new(parked?)))
    }

    /// Why a stream waits, if it does.
    pub(crate) fn get(&self, stream: StreamId) -> Option<Parked> {
        let parked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        parked.get(&stream).cloned()
    }

    /// Whether a stream waits.
    pub(crate) fn contains(&self, stream: StreamId) -> bool {
        let parked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        parked.contains_key(&stream)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All of them.
    pub(crate) fn streams(&self) -> Vec<(StreamId, Parked)> {
        let parked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let streams = parked.iter();
        streams
            .map(|(stream, parked)| (*stream, parked.clone()))
            .collect()
    }

    /// Follows what was applied to the view.
    pub(crate) fn follow(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), ViewStoreError> {
        let Some(stream) = stream_of(key) else {
            return Ok(());
        };
        let value = value.map(from_bytes).transpose()?;
        let mut parked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => drop(parked.insert(stream, value)),
            None => drop(parked.remove(&stream)),
        }
        Ok(())
    }
}

fn stream_of(key: &[u8]) -> Option<StreamId> {
    let mut parts = KeyParts::of_parked(key)?;
    let category = u16::try_from(parts.number()?).ok()?;
    let key = Vec::from(parts.id()?).try_into().ok()?;
    Some(StreamId::new(Category::new(category), key))
}

/// Tries again to fold the streams that a view has parked, as far as the view
/// is: for code that may be another than the one that could not. Says how many
/// go on. For the thread that feeds it.
pub(crate) fn retry(view: &View, log: &dyn EventStore) -> Result<usize, FeedError> {
    let mut healed = 0;
    for (stream, parked) in view.parked().streams() {
        let mut overlay = view.begin();
        if fold_stream(view, &mut overlay, log, stream, parked.known)? {
            overlay.remove(parked_key(stream));
            view.commit(overlay, view.position())?;
            tracing::info!(view = view.name(), %stream, "a stream that was parked is folded again");
            healed += 1;
        }
    }
    Ok(healed)
}

/// Folds a stream's records up to the view's position; `false` if one cannot be folded.
fn fold_stream(
    view: &View,
    overlay: &mut Overlay<'_>,
    log: &dyn EventStore,
    stream: StreamId,
    mut after: StreamVersion,
) -> Result<bool, FeedError> {
    loop {
        let page = log.read_stream(stream, after, Budget::PAGE)?;
        for record in &page.records {
            if record.position > view.position() {
                return Ok(true);
            }
            if view.project(overlay, record, &Facts::of(record))?.is_err() {
                return Ok(false);
            }
        }
        if page.records.is_empty() || page.read_to >= page.version {
            return Ok(true);
        }
        after = page.read_to;
    }
}
