//! What a view does with a record that it cannot fold, time and again: it
//! stands still, leaves the record out, or parks the record's stream, whose
//! later records then wait while all others go on.
//!
//! ```text
//! 03 (category, stream)   where the stream was parked, and why
//! 04                      how many records were left out, and the first one
//! ```
//! These are entries of the view like all others: they are applied with the
//! checkpoint, and a fresh fold by the same code has the same.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use domain::id::UserId;
use eventstore::{Budget, Category, EventStore, Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::feeding::{FeedError, ONE_RECORD};
use crate::key::{Key, KeyParts};
use crate::overlay::Overlay;
use crate::projection::{Facts, Halt};
use crate::stored::{from_bytes, to_bytes};
use crate::view::View;
use crate::view_store::{BATCH_KEYS, Direction, ViewStoreError, ViewTree};

/// Most streams that a view parks. One that cannot fold so many is broken as a
/// whole: it stands still.
pub const PARKED_STREAMS_MAX: usize = 1_000;

/// Bytes of a reason that are kept.
const WHY_BYTES_MAX: usize = 500;

/// Keys after which a part of a stream that is folded once more is applied. In
/// tests few, so that much can come between two parts.
const RETRY_KEYS: usize = if cfg!(test) { 2 } else { BATCH_KEYS };

/// What a projection wants to be done with a record that it cannot fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The view stands still before the record.
    Halt,
    /// The record's stream waits, until code comes that can fold it; all others
    /// go on. For views whose bytes do not hang on when which stream is folded:
    /// their entries come from one stream each, or hold what every stream gives
    /// them with a position of its own, or say what they
    /// [await](crate::projection::Projection::awaits).
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
    /// Whose stream it is, if it is somebody's.
    #[serde(with = "crate::stored")]
    pub owner: Option<UserId>,
}

impl Parked {
    /// Whether what is made for somebody may lack this stream.
    pub(crate) fn may_concern(&self, user: UserId) -> bool {
        self.owner.is_none_or(|owner| owner == user)
    }
}

/// What a view has left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// How many records.
    pub(crate) records: u64,
    /// The first of them.
    pub(crate) since: Position,
}

/// What changes in what a view could not fold.
#[derive(Debug)]
pub(crate) enum ParkingChange {
    /// A stream is parked, or no longer.
    Stream(StreamId, Option<Parked>),
    /// A record was left out.
    LeftOut(Option<LeftOut>),
}

impl ParkingChange {
    /// What the change of an entry means, if it means anything.
    pub(crate) fn of(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, ViewStoreError> {
        if key == Key::skipped().as_bytes() {
            let left_out = value.map(from_bytes).transpose()?;
            return Ok(Some(Self::LeftOut(left_out)));
        }
        let Some(stream) = stream_of(key) else {
            return Ok(None);
        };
        let parked = value.map(from_bytes).transpose()?;
        Ok(Some(Self::Stream(stream, parked)))
    }
}

/// The streams that a view has parked, and what it left out, as its entries
/// have them.
#[derive(Debug, Default)]
pub(crate) struct ParkedStreams {
    streams: RwLock<BTreeMap<StreamId, Parked>>,
    left_out: RwLock<Option<LeftOut>>,
}

fn parked_key(stream: StreamId) -> Key {
    let category = u32::from(stream.category.get());
    Key::parked().number(category).id(stream.key.as_bytes())
}

/// Notes that a stream waits from this record on.
pub(crate) fn park(overlay: &mut Overlay<'_>, record: &Record, halt: &Halt) {
    let parked = Parked {
        position: record.position,
        known: known_before(record),
        why: why(halt),
        owner: record.owner.map(UserId::from_uuid),
    };
    overlay.put(parked_key(record.stream), to_bytes(&parked));
}

/// The stream's version before a record.
fn known_before(record: &Record) -> StreamVersion {
    let first = record.versioned().next();
    first.map_or(StreamVersion::EMPTY, |(version, _)| {
        StreamVersion::new(version.get().saturating_sub(1))
    })
}

/// A reason, no longer than is kept.
fn why(halt: &Halt) -> String {
    let mut why = halt.to_string();
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    why
}

/// Counts a record that is left out, and notes the first one.
pub(crate) fn skip(overlay: &mut Overlay<'_>, position: Position) -> Result<(), ViewStoreError> {
    let mut left_out = match overlay.get(&Key::skipped())? {
        Some(bytes) => from_bytes(&bytes)?,
        None => LeftOut {
            records: 0,
            since: position,
        },
    };
    left_out.records += 1;
    overlay.put(Key::skipped(), to_bytes(&left_out));
    Ok(())
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
        let left_out = tree.get(Key::skipped().as_bytes())?;
        let left_out = left_out.map(|bytes| from_bytes(&bytes)).transpose()?;
        Ok(Self {
            streams: RwLock::new(parked?),
            left_out: RwLock::new(left_out),
        })
    }

    /// Why a stream waits, if it does.
    pub(crate) fn get(&self, stream: StreamId) -> Option<Parked> {
        let parked = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        parked.get(&stream).cloned()
    }

    /// Whether a stream waits.
    pub(crate) fn contains(&self, stream: StreamId) -> bool {
        let parked = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        parked.contains_key(&stream)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        let parked = self.streams.read();
        parked.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All of them.
    pub(crate) fn streams(&self) -> Vec<(StreamId, Parked)> {
        let parked = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let streams = parked.iter();
        streams
            .map(|(stream, parked)| (*stream, parked.clone()))
            .collect()
    }

    /// What was left out.
    pub(crate) fn left_out(&self) -> Option<LeftOut> {
        let left_out = self.left_out.read();
        *left_out.unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the first record lies that waits, of those streams that are looked
    /// for, or that was left out, which may concern anyone.
    pub(crate) fn since(&self, is_wanted: impl Fn(&Parked) -> bool) -> Option<Position> {
        let left_out = self.left_out().map(|it| it.since);
        let parked = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = parked.values().filter(|it| is_wanted(it));
        wanted.map(|it| it.position).chain(left_out).min()
    }

    /// Follows what was applied to the view.
    pub(crate) fn follow(&self, changes: Vec<ParkingChange>) {
        if changes.is_empty() {
            return;
        }
        let mut parked = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                ParkingChange::Stream(stream, Some(value)) => drop(parked.insert(stream, value)),
                ParkingChange::Stream(stream, None) => drop(parked.remove(&stream)),
                ParkingChange::LeftOut(value) => {
                    let left_out = self.left_out.write();
                    *left_out.unwrap_or_else(PoisonError::into_inner) = value;
                }
            }
        }
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
/// go on. For the thread that feeds it: it is asked before every stream whether to go
/// on, and told with every page that it moves.
pub(crate) fn retry(
    view: &View,
    log: &dyn EventStore,
    goes_on: &dyn Fn() -> bool,
) -> Result<usize, FeedError> {
    let mut healed = 0;
    for (stream, parked) in view.parked().streams() {
        if !goes_on() {
            break;
        }
        let mut retry = Retry {
            view,
            overlay: view.begin(),
            stream,
            parked,
            has_moved: false,
        };
        match retry.fold(log, goes_on)? {
            Ok(()) => {
                retry.overlay.remove(parked_key(stream));
                view.commit(retry.overlay, view.position())?;
                tracing::info!(view = view.name(), %stream, "a stream that was parked is folded again");
                healed += 1;
            }
            Err(halt) if retry.has_moved => retry.park_where_it_is(&halt)?,
            Err(_as_before) => {}
        }
    }
    Ok(healed)
}

/// A stream that is folded once more.
struct Retry<'v> {
    view: &'v View,
    overlay: Overlay<'v>,
    stream: StreamId,
    /// What of it waits.
    parked: Parked,
    /// Some of what waited is in the view.
    has_moved: bool,
}

impl Retry<'_> {
    /// Folds a stream's records up to the view's position, and between them, each at
    /// its place, those that they await; up to one that cannot be folded.
    fn fold(
        &mut self,
        log: &dyn EventStore,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Result<(), Halt>, FeedError> {
        let (view, mut after) = (self.view, self.parked.known);
        let mut awaited = BTreeMap::new();
        loop {
            let page = log.read_stream(self.stream, after, Budget::PAGE)?;
            // A stream that was begun is gone on with to its end: here it is only said
            // that it moves.
            let _goes_on = goes_on();
            let seen = page.records.iter();
            for record in seen.take_while(|record| record.position <= view.position()) {
                // Not between a record and what it awaits: nobody would know of that
                // after a crash.
                if self.overlay.len() >= RETRY_KEYS && awaited.is_empty() {
                    self.commit_before(record)?;
                }
                let later = awaited.split_off(&record.position);
                let facts = Facts::of(record);
                if let Err(halt) = fold_awaited(view, &mut self.overlay, awaited)? {
                    return Ok(Err(halt));
                }
                if let Err(halt) = view.project(&mut self.overlay, record, &facts)? {
                    return Ok(Err(halt));
                }
                awaited = later;
                for stream in view.awaits(&facts) {
                    let first = first_record(log, stream)?;
                    // What the view has not reached it meets in its turn.
                    let is_to_come = |first: &Record| {
                        first.position > record.position && first.position <= view.position()
                    };
                    let first = first.filter(is_to_come);
                    awaited.extend(first.map(|first| (first.position, first)));
                }
            }
            let last = page.records.last();
            let is_whole = last.is_none_or(|last| last.position > view.position());
            if is_whole || page.read_to >= page.version {
                return Ok(fold_awaited(view, &mut self.overlay, awaited)?);
            }
            after = page.read_to;
        }
    }

    /// Applies what is folded so far. The stream goes on waiting from this record on.
    fn commit_before(&mut self, record: &Record) -> Result<(), ViewStoreError> {
        self.parked.position = record.position;
        self.parked.known = known_before(record);
        let folded = std::mem::replace(&mut self.overlay, self.view.begin());
        self.commit_parked(folded)?;
        self.has_moved = true;
        Ok(())
    }

    /// Leaves the stream where it waits by now, and says what it waits for.
    fn park_where_it_is(mut self, halt: &Halt) -> Result<(), ViewStoreError> {
        self.parked.why = why(halt);
        self.commit_parked(self.view.begin())
    }

    fn commit_parked(&self, mut folded: Overlay<'_>) -> Result<(), ViewStoreError> {
        folded.put(parked_key(self.stream), to_bytes(&self.parked));
        self.view.commit(folded, self.view.position())
    }
}

fn fold_awaited(
    view: &View,
    overlay: &mut Overlay<'_>,
    awaited: BTreeMap<Position, Record>,
) -> Result<Result<(), Halt>, ViewStoreError> {
    for record in awaited.into_values() {
        // What waits itself is folded when it goes on.
        let parked = view.parked().get(record.stream);
        let waits = parked.is_some_and(|parked| parked.position <= record.position);
        if !waits && let Err(halt) = view.project(overlay, &record, &Facts::of(&record))? {
            return Ok(Err(halt));
        }
    }
    Ok(Ok(()))
}

fn first_record(log: &dyn EventStore, stream: StreamId) -> Result<Option<Record>, FeedError> {
    let page = log.read_stream(stream, StreamVersion::EMPTY, ONE_RECORD)?;
    Ok(page.records.into_iter().next())
}
