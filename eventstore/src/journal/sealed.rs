//! A sealed segment: read only, with its index.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::block::record_body;
use super::segment::{FIRST_BLOCK_OFFSET, Segment, corruption, index_name, unreadable};
use crate::disk::Disk;
use crate::error::{Corruption, ReadError};
use crate::event::Record;
use crate::index::{self, BlockStart, IndexError, IndexFile, MemoryIndex, RecordPlace, SegmentEnd};
use crate::limits::RECORD_PREFIX_BYTES;
use crate::position::{Position, StreamVersion};
use crate::record;
use crate::stream::StreamId;

/// A segment that takes no more blocks.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: SegmentEnd,
    index: RwLock<SealedIndex>,
}

/// Memory serves until the file is written.
#[derive(Clone, Debug)]
pub(crate) enum SealedIndex {
    Memory(Arc<MemoryIndex>),
    File(Arc<IndexFile>),
}

impl Sealed {
    pub(crate) fn new(segment: Arc<Segment>, end: SegmentEnd, index: SealedIndex) -> Self {
        Self {
            segment,
            end,
            index: RwLock::new(index),
        }
    }

    fn index(&self) -> SealedIndex {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.clone()
    }

    /// A block to begin at to read a position.
    pub(crate) fn block_before(&self, position: Position) -> BlockStart {
        let start = match self.index() {
            SealedIndex::Memory(index) => index.block_before(position),
            SealedIndex::File(index) => index.block_before(position),
        };
        start.unwrap_or(first_block(&self.segment))
    }

    /// The stream's records here that hold events after a version, newest first.
    pub(crate) fn places_after(
        &self,
        stream: StreamId,
        after: StreamVersion,
    ) -> Result<Vec<RecordPlace>, ReadError> {
        match self.index() {
            SealedIndex::Memory(index) => Ok(index.places_after(stream, after).collect()),
            SealedIndex::File(index) => {
                let places = index
                    .places(stream)
                    .map_err(|error| self.index_error(error))?;
                let newest_first = places.into_iter().rev();
                Ok(newest_first
                    .take_while(|place| place.last_version() > after)
                    .collect())
            }
        }
    }

    /// The stream's version here, 0 if it has no record here; `None` if only
    /// the disk tells.
    pub(crate) fn version_in_memory(&self, stream: StreamId) -> Option<StreamVersion> {
        match self.index() {
            SealedIndex::Memory(index) => Some(index.version(stream).unwrap_or_default()),
            SealedIndex::File(index) => (!index.may_hold(stream)).then_some(StreamVersion::EMPTY),
        }
    }

    fn index_error(&self, error: IndexError) -> ReadError {
        let path = self
            .segment
            .path
            .with_file_name(index_name(self.end.first_position));
        match error {
            IndexError::Io(error) => unreadable(&path, &error),
            IndexError::Damaged { offset, why } => {
                let why = format!("{why}; delete the file and start again, it is then rebuilt");
                corruption(&path, offset, why).into()
            }
        }
    }

    /// Writes the index file, if memory still serves, and reads from it from now on.
    pub(crate) fn write_index(&self, disk: &dyn Disk, folder: &Path) -> Result<(), IndexError> {
        let SealedIndex::Memory(memory) = self.index() else {
            return Ok(());
        };
        let path = folder.join(index_name(self.end.first_position));
        let new = path.with_extension("idx.new");
        let file = disk.create(&new)?;
        file.write_all_at(&index::encode(&memory, &self.end), 0)?;
        file.sync_data()?;
        disk.rename(&new, &path)?;
        let file = IndexFile::open(disk.open_to_read(&path)?)?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        *index = SealedIndex::File(Arc::new(file));
        Ok(())
    }
}

/// Where a segment's first block begins, there or to come.
pub(crate) fn first_block(segment: &Segment) -> BlockStart {
    BlockStart {
        first_position: segment.first_position(),
        offset: u32::try_from(FIRST_BLOCK_OFFSET).unwrap_or(u32::MAX),
    }
}

/// Reads the record that an index says lies at a place, and holds it against the index.
pub(crate) fn read_place(
    segment: &Segment,
    stream: StreamId,
    place: &RecordPlace,
) -> Result<Record, ReadError> {
    let offset = u64::from(place.offset);
    let length = RECORD_PREFIX_BYTES + place.length as usize;
    let bytes = segment.file.read_range(offset, length);
    let bytes = bytes.map_err(|error| unreadable(&segment.path, &error))?;
    let corrupt = |why| -> Corruption { segment.corrupt(offset, why) };
    let body = record_body(&bytes).map_err(corrupt)?;
    let record = record::decode(place.position, body).map_err(corrupt)?;
    let is_the_one = (record.stream, record.first_version, record.events.len())
        == (stream, place.first_version, place.events as usize);
    if !is_the_one {
        return Err(corrupt("the record is not the one that the index names").into());
    }
    Ok(record)
}
