//! Where a stream's records lie, one index for each segment: in memory while
//! the segment grows, a sorted file once it is sealed. An index holds nothing
//! that its segment does not say: any can be deleted and is built again.

// Of the segment that grows.
mod memory;
pub(crate) use memory::MemoryIndex;

// Which streams are surely not there.
mod filter;

// Of a sealed segment.
mod file;
pub(crate) use file::{IndexError, IndexFile, SegmentEnd, encode};

use crate::position::{Position, StreamVersion};

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) position: Position,
    pub(crate) first_version: StreamVersion,
    /// How many events it has.
    pub(crate) events: u32,
    /// Where it begins in the file, bytes.
    pub(crate) offset: u32,
    /// Of its body, bytes.
    pub(crate) length: u32,
}

impl RecordPlace {
    /// The stream's version after it.
    pub(crate) fn last_version(&self) -> StreamVersion {
        StreamVersion::new(self.first_version.get() + u64::from(self.events) - 1)
    }
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockStart {
    pub(crate) first_position: Position,
    /// In the file, bytes.
    pub(crate) offset: u32,
}

/// The last of the blocks, in order, that begins at `position` or before.
fn block_before(blocks: &[BlockStart], position: Position) -> Option<BlockStart> {
    let behind = blocks.partition_point(|block| block.first_position <= position);
    behind
        .checked_sub(1)
        .and_then(|place| blocks.get(place))
        .copied()
}
