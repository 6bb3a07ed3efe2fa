//! What readers and the writer share: which segments there are, what lies in
//! them, and how far they are durable. No lock is held while a disk is waited for.

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::block::Block;
use super::group::StagedRecord;
use super::sealed::{Sealed, SealedIndex, first_block, read_place};
use super::segment::{BlockCursor, FIRST_BLOCK_OFFSET, Segment};
use crate::error::ReadError;
use crate::event::CommitId;
use crate::index::{BlockStart, MemoryIndex, RecordPlace, SegmentEnd};
use crate::position::{Position, StreamVersion};
use crate::record;
use crate::store::{AppendedPart, Budget, Filter, Page, StreamPage};
use crate::stream::StreamId;

/// How much of a segment is read at once, bytes: a page of ordinary records
/// takes a few reads, a single new record no more than itself.
const CHUNK_BYTES: usize = 128 * 1024;

/// The log as it is durable.
#[derive(Debug)]
pub(crate) struct Log {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// By first position.
    sealed: Arc<Vec<Arc<Sealed>>>,
    active: Active,
    /// The last durable position.
    head: Position,
}

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) index: MemoryIndex,
    /// How much of it is durable, bytes.
    pub(crate) length: u64,
}

impl Active {
    /// A segment without a block.
    pub(crate) fn empty(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            index: MemoryIndex::default(),
            length: FIRST_BLOCK_OFFSET,
        }
    }
}

/// A block that has become durable.
#[derive(Debug)]
pub(crate) struct DurableBlock<'a> {
    pub(crate) start: BlockStart,
    /// Offsets are those in the block.
    pub(crate) records: &'a [StagedRecord],
    /// The segment's length after it, bytes.
    pub(crate) length: u64,
    /// Its last position.
    pub(crate) head: Position,
}

/// Visits one record's body; may end the walk.
type Visit<'a> = dyn FnMut(Position, &[u8]) -> Result<ControlFlow<()>, &'static str> + 'a;

/// One segment's part of a walk.
struct Extent {
    segment: Arc<Segment>,
    start: BlockStart,
    /// Where its durable bytes end.
    end: u64,
    /// The position behind its last.
    next_position: Position,
}

/// A record and the segment it lies in.
type Located = (Arc<Segment>, RecordPlace);

/// The log as it was at one moment.
struct Snapshot {
    sealed: Arc<Vec<Arc<Sealed>>>,
    active: Extent,
    head: Position,
}

impl Log {
    pub(crate) fn new(sealed: Vec<Arc<Sealed>>, active: Active, head: Position) -> Self {
        Self {
            state: RwLock::new(State {
                sealed: Arc::new(sealed),
                active,
                head,
            }),
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a block that has become durable.
    pub(crate) fn publish(&self, block: &DurableBlock<'_>) {
        let mut state = self.state_mut();
        state.active.index.push_block(block.start);
        for (stream, commit_id, place) in block.records {
            let offset = block.start.offset + place.offset;
            let place = RecordPlace { offset, ..*place };
            state.active.index.push(*stream, *commit_id, place);
        }
        state.active.length = block.length;
        state.head = block.head;
    }

    /// Seals the active segment and goes on in another one.
    pub(crate) fn roll(&self, end: SegmentEnd, next: Active) -> Arc<Sealed> {
        let mut state = self.state_mut();
        let full = std::mem::replace(&mut state.active, next);
        let index = SealedIndex::Memory(Arc::new(full.index));
        let sealed = Arc::new(Sealed::new(full.segment, end, index));
        let mut all = state.sealed.as_ref().clone();
        all.push(Arc::clone(&sealed));
        state.sealed = Arc::new(all);
        sealed
    }

    /// The sealed segments, by first position.
    fn sealed(&self) -> Arc<Vec<Arc<Sealed>>> {
        Arc::clone(&self.state().sealed)
    }

    /// The stream's version if the active segment knows it, and how many
    /// segments are sealed: both of one moment.
    pub(crate) fn active_version(&self, stream: StreamId) -> (Option<StreamVersion>, usize) {
        let state = self.state();
        (state.active.index.version(stream), state.sealed.len())
    }

    /// The position and the commit of the stream's record that begins at a version.
    pub(crate) fn beginning_at(
        &self,
        stream: StreamId,
        first_version: StreamVersion,
    ) -> Result<Option<(Position, CommitId)>, ReadError> {
        let (active, sealed) = {
            let state = self.state();
            let active = state.active.index.beginning_at(stream, first_version);
            (active, Arc::clone(&state.sealed))
        };
        if let Some((place, commit_id)) = active {
            return Ok(Some((place.position, commit_id)));
        }
        let before = StreamVersion::new(first_version.get().saturating_sub(1));
        for sealed in sealed.iter().rev() {
            let places = sealed.places_after(stream, before)?;
            let Some(oldest) = places.last() else {
                continue;
            };
            if oldest.first_version == first_version {
                let record = read_place(&sealed.segment, stream, oldest)?;
                return Ok(Some((record.position, record.commit_id)));
            }
            if oldest.first_version < first_version {
                break;
            }
        }
        Ok(None)
    }

    /// The parts of the commit that has a record at a position.
    pub(crate) fn commit_parts(&self, position: Position) -> Result<Vec<AppendedPart>, ReadError> {
        let mut place = None;
        self.walk(
            Position::new(position.get().saturating_sub(1)),
            &mut |_, body| {
                place = Some(record::headline(body)?.place);
                Ok(ControlFlow::Break(()))
            },
        )?;
        let Some(place) = place else {
            return Ok(Vec::new());
        };
        let records = usize::from(place.records);
        let before = position.get().saturating_sub(u64::from(place.place) + 1);
        let mut parts = Vec::with_capacity(records);
        self.walk(Position::new(before), &mut |position, body| {
            let headline = record::headline(body)?;
            let before = headline.first_version.get() - 1;
            parts.push(AppendedPart {
                stream: headline.stream,
                position,
                version: StreamVersion::new(before).plus(u64::from(headline.events)),
            });
            Ok(if parts.len() < records {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(parts)
    }

    /// See [`EventStore::read_all`](crate::EventStore::read_all).
    pub(crate) fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        let mut records = Vec::new();
        let mut scanned_to = after;
        let mut bytes = 0;
        let head = self.walk(after, &mut |position, body| {
            bytes += body.len();
            if bytes > budget.bytes_max && scanned_to > after {
                return Ok(ControlFlow::Break(()));
            }
            let record = record::decode(position, body)?;
            if filter.wants(&record) {
                records.push(record);
            }
            scanned_to = position;
            // Told here and not before the next record, which may be far to read.
            Ok(if records.len() < budget.records_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(Page {
            records,
            scanned_to,
            head,
        })
    }

    /// Visits the records after a position, in order, up to the head; gives the head.
    fn walk(&self, after: Position, visit: &mut Visit<'_>) -> Result<Position, ReadError> {
        let snapshot = self.snapshot(after);
        let mut last = after;
        while last < snapshot.head {
            let extent = snapshot.extent(last.next());
            if let ControlFlow::Break(()) = walk_extent(&extent, last, visit)? {
                break;
            }
            last = Position::new(extent.next_position.get() - 1);
        }
        Ok(snapshot.head)
    }

    fn snapshot(&self, after: Position) -> Snapshot {
        let state = self.state();
        let active = &state.active;
        let known = Position::new(after.get().saturating_add(1));
        let start = active.index.block_before(known);
        Snapshot {
            sealed: Arc::clone(&state.sealed),
            active: Extent {
                segment: Arc::clone(&active.segment),
                start: start.unwrap_or(first_block(&active.segment)),
                end: active.length,
                next_position: state.head.next(),
            },
            head: state.head,
        }
    }

    /// See [`EventStore::read_stream`](crate::EventStore::read_stream).
    pub(crate) fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        let (version, newest_first) = self.places_after(stream, after)?;
        let mut page = StreamPage {
            records: Vec::new(),
            read_to: after,
            version,
        };
        let mut bytes = 0;
        for (segment, place) in newest_first.iter().rev() {
            bytes += place.length as usize;
            let spent = page.records.len() >= budget.records_max || bytes > budget.bytes_max;
            if spent && !page.records.is_empty() {
                break;
            }
            let begins = page.read_to.get().checked_add(1);
            let is_next = begins.is_some_and(|begins| {
                place.first_version.get() == begins
                    || (page.records.is_empty() && place.first_version.get() < begins)
            });
            if !is_next {
                let why = "the stream has a hole before this record";
                return Err(segment.corrupt(u64::from(place.offset), why).into());
            }
            page.records.push(read_place(segment, stream, place)?);
            page.read_to = place.last_version();
        }
        Ok(page)
    }

    /// The stream's version, and its records that hold events after one, newest first.
    fn places_after(
        &self,
        stream: StreamId,
        after: StreamVersion,
    ) -> Result<(StreamVersion, Vec<Located>), ReadError> {
        let (active, sealed, mut found) = {
            let state = self.state();
            let active = &state.active;
            let found: Vec<_> = active
                .index
                .places_after(stream, after)
                .map(|place| (Arc::clone(&active.segment), place))
                .collect();
            let version = active.index.version(stream);
            (version, Arc::clone(&state.sealed), found)
        };
        let version = match active {
            Some(version) => version,
            None => sealed_version(&sealed, stream)?,
        };
        if version <= after {
            return Ok((version, found));
        }
        let is_complete = |found: &[Located]| {
            let oldest = found.last();
            oldest.is_some_and(|(_, place)| place.first_version.get() - 1 <= after.get())
        };
        for sealed in sealed.iter().rev() {
            if is_complete(&found) {
                break;
            }
            let places = sealed.places_after(stream, after)?.into_iter();
            found.extend(places.map(|place| (Arc::clone(&sealed.segment), place)));
        }
        Ok((version, found))
    }

    /// The stream's version in the sealed segments alone; `None` if only the
    /// disk tells.
    pub(crate) fn sealed_version_in_memory(&self, stream: StreamId) -> Option<StreamVersion> {
        for sealed in self.sealed().iter().rev() {
            match sealed.version_in_memory(stream) {
                Some(StreamVersion::EMPTY) => {}
                version_or_disk => return version_or_disk,
            }
        }
        Some(StreamVersion::EMPTY)
    }

    /// The stream's version in the sealed segments alone.
    pub(crate) fn sealed_version(&self, stream: StreamId) -> Result<StreamVersion, ReadError> {
        sealed_version(&self.sealed(), stream)
    }
}

fn sealed_version(sealed: &[Arc<Sealed>], stream: StreamId) -> Result<StreamVersion, ReadError> {
    for sealed in sealed.iter().rev() {
        let places = sealed.places_after(stream, StreamVersion::EMPTY)?;
        if let Some(newest) = places.first() {
            return Ok(newest.last_version());
        }
    }
    Ok(StreamVersion::EMPTY)
}

impl Snapshot {
    /// The segment that holds a position, from a block at or before it.
    fn extent(&self, position: Position) -> Extent {
        let sealed = self
            .sealed
            .partition_point(|sealed| sealed.end.next_position <= position);
        match self.sealed.get(sealed) {
            Some(sealed) => Extent {
                segment: Arc::clone(&sealed.segment),
                start: sealed.block_before(position),
                end: sealed.end.length,
                next_position: sealed.end.next_position,
            },
            None => Extent {
                segment: Arc::clone(&self.active.segment),
                start: self.active.start,
                end: self.active.end,
                next_position: self.active.next_position,
            },
        }
    }
}

fn walk_extent(
    extent: &Extent,
    after: Position,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, ReadError> {
    let segment = &extent.segment;
    let start = (u64::from(extent.start.offset), extent.start.first_position);
    let mut blocks = BlockCursor::new(segment.file.as_ref(), start, extent.end, CHUNK_BYTES);
    while let Some((offset, block)) = blocks.next().map_err(|error| segment.read_error(error))? {
        let walked = walk_block(&block, after, visit);
        if walked
            .map_err(|why| segment.corrupt(offset, why))?
            .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    if blocks.next_position() != extent.next_position {
        let why = "the segment ends before its last record";
        return Err(segment.corrupt(blocks.offset(), why).into());
    }
    Ok(ControlFlow::Continue(()))
}

fn walk_block(
    block: &Block<'_>,
    after: Position,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, &'static str> {
    let mut position = block.first_position;
    for item in block.bodies() {
        let (_, body) = item?;
        if position > after && visit(position, body)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        position = position.next();
    }
    Ok(ControlFlow::Continue(()))
}
