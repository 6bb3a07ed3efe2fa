//! A segment: one file of the journal, a header and then blocks.
//!
//! All numbers are little endian.
//! ```text
//! 0   magic "AIRPOSTJ"
//! 8   format version u16
//! 10  0 u16
//! 12  epoch u32
//! 16  log id [16]
//! 32  first position u64
//! 40  chain so far [16]
//! 56  0 u32
//! 60  crc32 u32           of the 60 bytes before
//! 64  blocks
//! ```

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::block::{BLOCK_HEADER_BYTES, Block, Chain, claimed_length, take};
use crate::disk::DiskFile;
use crate::error::{Corruption, ReadError};
use crate::index::SegmentEnd;
use crate::position::{LogIdentity, Position};

/// The format version this crate writes, and the only one it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// The header's length, bytes.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// The same, as an offset.
pub(crate) const FIRST_BLOCK_OFFSET: u64 = SEGMENT_HEADER_BYTES as u64;
const MAGIC: [u8; 8] = *b"AIRPOSTJ";
/// Where the epoch lies in a header.
const EPOCH: Range<usize> = 12..16;
/// Where the magic, the log id, the first position and the chain lie.
const OTHER_FIELDS: [Range<usize>; 4] = [0..8, 16..32, 32..40, 40..56];

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: LogIdentity,
    /// The position of its first record, there or to come.
    pub(crate) first_position: Position,
    /// The chain after the record before that.
    pub(crate) chain: Chain,
}

/// Why the beginning of a file is no header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// It ends too early, or its checksum does not hold.
    Damaged(&'static str),
    /// It is intact, and of another format version.
    Version(u16),
}

impl SegmentHeader {
    /// Of the segment behind a place, in the same epoch.
    pub(crate) fn following(identity: LogIdentity, end: &SegmentEnd) -> Self {
        Self {
            identity,
            first_position: end.next_position,
            chain: end.chain,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.identity.epoch.to_le_bytes());
        bytes.extend_from_slice(self.identity.log_id.as_bytes());
        bytes.extend_from_slice(&self.first_position.get().to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let (checked, crc) = bytes
            .first_chunk::<SEGMENT_HEADER_BYTES>()
            .and_then(|header| header.split_last_chunk())
            .ok_or(BadHeader::Damaged("the header is cut short"))?;
        let mut rest = checked;
        let fields = (|| {
            let magic: [u8; 8] = take(&mut rest)?;
            let version = u16::from_le_bytes(take(&mut rest)?);
            let _: [u8; 2] = take(&mut rest)?;
            let epoch = u32::from_le_bytes(take(&mut rest)?);
            let log_id = Uuid::from_bytes(take(&mut rest)?);
            let first_position = Position::new(u64::from_le_bytes(take(&mut rest)?));
            let chain = take(&mut rest)?;
            let header = Self {
                identity: LogIdentity { log_id, epoch },
                first_position,
                chain,
            };
            Some((magic, version, header))
        })();
        let (magic, version, header) =
            fields.ok_or(BadHeader::Damaged("the header is cut short"))?;
        if magic != MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(checked) {
            return Err(BadHeader::Damaged("the header's checksum does not hold"));
        }
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        Ok(header)
    }
}

/// The name of the segment that begins at a position.
pub(crate) fn segment_name(first: Position) -> String {
    format!("{:020}.seg", first.get())
}

/// The name of the index beside the segment that begins at a position.
pub(crate) fn index_name(first: Position) -> String {
    format!("{:020}.idx", first.get())
}

/// The position in a segment's name, if it is one.
pub(crate) fn position_of_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".seg")?;
    let shaped = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let first = digits.parse().ok().filter(|_| shaped)?;
    Some(Position::new(first))
}

/// An open segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: SegmentHeader,
}

impl Segment {
    pub(crate) fn first_position(&self) -> Position {
        self.header.first_position
    }

    pub(crate) fn corrupt(&self, offset: u64, why: impl Into<String>) -> Corruption {
        corruption(&self.path, offset, why)
    }

    pub(crate) fn read_error(&self, error: BlockError) -> ReadError {
        match error {
            BlockError::Io(error) => unreadable(&self.path, &error),
            BlockError::Invalid { offset, why } => self.corrupt(offset, why).into(),
        }
    }
}

/// A last segment without a block whose header cannot be read: most likely it
/// was being created when everything stopped.
#[derive(Debug)]
pub(crate) struct TornHeader {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// As its name says.
    pub(crate) first_position: Position,
    /// Of the header, as far as they are there.
    pub(crate) bytes: Vec<u8>,
}

impl TornHeader {
    /// Why it is no unfinished segment behind an end that the next one would
    /// have followed with this header.
    ///
    /// A segment is created once all before it is durable. One that begins an
    /// epoch gets its name only when it is whole: if it were removed, the log
    /// would go on in the epoch that was given up. Such a one is known by what
    /// is left of it: another epoch, and else what the header would say, but
    /// for one field. If less is left, only the head file tells of the epoch.
    pub(crate) fn damage(&self, expected: &SegmentHeader) -> Option<Corruption> {
        if self.first_position != expected.first_position {
            let acknowledged = self.first_position.get().saturating_sub(1);
            let why = format!("position {acknowledged} before it was acknowledged and is missing");
            return Some(corruption(&self.path, 0, why));
        }
        let expected = expected.encode();
        let is_same = |field: &Range<usize>| {
            let there = self.bytes.get(field.clone());
            there.is_some() && there == expected.get(field.clone())
        };
        let same = OTHER_FIELDS.iter().filter(|field| is_same(field)).count();
        let is_whole = self.bytes.len() == SEGMENT_HEADER_BYTES;
        let began_an_epoch = is_whole && !is_same(&EPOCH) && same + 1 >= OTHER_FIELDS.len();
        let why = "the header's checksum does not hold, and it began an epoch";
        began_an_epoch.then(|| corruption(&self.path, 0, why))
    }
}

/// A place whose bytes are not what was written.
pub(crate) fn corruption(file: &Path, offset: u64, why: impl Into<String>) -> Corruption {
    Corruption {
        file: file.to_owned(),
        offset,
        why: why.into(),
    }
}

/// A read that the operating system refused.
pub(crate) fn unreadable(file: &Path, error: &io::Error) -> ReadError {
    ReadError::Unavailable {
        why: format!("{}: {error}", file.display()),
    }
}

/// Why there is no next block.
#[derive(Debug)]
pub(crate) enum BlockError {
    /// The disk did not answer.
    Io(io::Error),
    /// What lies there is no block, or not the next one.
    Invalid {
        /// Where it should begin.
        offset: u64,
        /// What does not hold.
        why: &'static str,
    },
}

/// Walks the blocks of a file, each checked by its checksum and its position.
#[derive(Debug)]
pub(crate) struct BlockCursor<'a> {
    file: &'a dyn DiskFile,
    /// Where the next block begins.
    offset: u64,
    /// Where the last one ends.
    end: u64,
    next_position: Position,
    /// How much is read at once, bytes.
    chunk: usize,
    buffer: Vec<u8>,
    /// The place of the buffer in the file.
    buffer_offset: u64,
}

impl<'a> BlockCursor<'a> {
    /// From the block that begins at `offset` with `first` up to `end`.
    pub(crate) fn new(
        file: &'a dyn DiskFile,
        (offset, first): (u64, Position),
        end: u64,
        chunk: usize,
    ) -> Self {
        Self {
            file,
            offset,
            end,
            next_position: first,
            chunk,
            buffer: Vec::new(),
            buffer_offset: offset,
        }
    }

    /// Where the next block begins, or the invalid one.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position that comes next.
    pub(crate) fn next_position(&self) -> Position {
        self.next_position
    }

    /// The next block and where it begins; `None` at the end. After an error
    /// it stays where it is.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Block<'_>)>, BlockError> {
        let offset = self.offset;
        if offset >= self.end {
            return Ok(None);
        }
        let invalid = |why| BlockError::Invalid { offset, why };
        let start = self.fill(BLOCK_HEADER_BYTES).map_err(BlockError::Io)?;
        let head = self.buffer.get(start..).unwrap_or_default();
        let length = claimed_length(head).map_err(invalid)?;
        let start = self.fill(length).map_err(BlockError::Io)?;
        let bytes = self.buffer.get(start..).unwrap_or_default();
        let block = Block::parse(bytes).map_err(invalid)?;
        if block.first_position != self.next_position {
            return Err(invalid("a block does not follow the one before it"));
        }
        self.offset += block.length as u64;
        self.next_position = block.next_position();
        Ok(Some((offset, block)))
    }

    /// Has the next `need` bytes in the buffer, or as many as there are; gives
    /// where in the buffer the block begins.
    fn fill(&mut self, need: usize) -> io::Result<usize> {
        let start = usize::try_from(self.offset - self.buffer_offset).unwrap_or(usize::MAX);
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        if self.buffer.len().saturating_sub(start) >= need.min(left) {
            return Ok(start);
        }
        let length = need.max(self.chunk).min(left);
        self.buffer.resize(length, 0);
        let read = self.file.read_up_to(&mut self.buffer, self.offset)?;
        self.buffer.truncate(read);
        self.buffer_offset = self.offset;
        Ok(0)
    }
}
