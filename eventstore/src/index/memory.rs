//! The index of a segment that grows, or that was sealed a moment ago.

use std::collections::HashMap;

use super::{BlockStart, RecordPlace, block_before};
use crate::event::CommitId;
use crate::position::{Position, StreamVersion};
use crate::stream::StreamId;

/// Two growing tables: one entry for each record, in order, each pointing at
/// the entry before it of the same stream, and the last entry of each stream.
/// So a record costs one push, and no stream an allocation.
#[derive(Debug, Default)]
pub(crate) struct MemoryIndex {
    entries: Vec<Entry>,
    last: HashMap<StreamId, u32>,
    blocks: Vec<BlockStart>,
}

#[derive(Debug)]
struct Entry {
    place: RecordPlace,
    commit_id: CommitId,
    /// `None` for the stream's first record in this segment.
    previous: Option<u32>,
}

impl MemoryIndex {
    /// Adds the next block.
    pub(crate) fn push_block(&mut self, block: BlockStart) {
        self.blocks.push(block);
    }

    /// Adds the next record.
    pub(crate) fn push(&mut self, stream: StreamId, commit_id: CommitId, place: RecordPlace) {
        let number = u32::try_from(self.entries.len())
            .expect("a segment below 4 GiB holds fewer than 2^32 records");
        let previous = self.last.insert(stream, number);
        self.entries.push(Entry {
            place,
            commit_id,
            previous,
        });
    }

    /// How many records it knows.
    pub(crate) fn records(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The stream's version after its last record here.
    pub(crate) fn version(&self, stream: StreamId) -> Option<StreamVersion> {
        let last = self.newest_first(stream).next();
        last.map(|entry| entry.place.last_version())
    }

    /// The stream's records here that hold events after a version, newest first.
    pub(crate) fn places_after(
        &self,
        stream: StreamId,
        after: StreamVersion,
    ) -> impl Iterator<Item = RecordPlace> {
        self.newest_first(stream)
            .map(|entry| entry.place)
            .take_while(move |place| place.last_version() > after)
    }

    /// The stream's record that begins at a version, and its commit.
    pub(crate) fn beginning_at(
        &self,
        stream: StreamId,
        first_version: StreamVersion,
    ) -> Option<(RecordPlace, CommitId)> {
        self.newest_first(stream)
            .find(|entry| entry.place.first_version <= first_version)
            .filter(|entry| entry.place.first_version == first_version)
            .map(|entry| (entry.place, entry.commit_id))
    }

    /// The block to begin at to read a position.
    pub(crate) fn block_before(&self, position: Position) -> Option<BlockStart> {
        block_before(&self.blocks, position)
    }

    /// The blocks, in order.
    pub(crate) fn blocks(&self) -> &[BlockStart] {
        &self.blocks
    }

    /// The streams, in no order.
    pub(crate) fn stream_ids(&self) -> impl Iterator<Item = StreamId> {
        self.last.keys().copied()
    }

    fn newest_first(&self, stream: StreamId) -> impl Iterator<Item = &Entry> {
        let entry = |number: u32| self.entries.get(number as usize);
        let last = self.last.get(&stream).copied().and_then(entry);
        std::iter::successors(last, move |newer| newer.previous.and_then(entry))
    }
}
