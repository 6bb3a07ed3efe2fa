//! The index of a sealed segment, as a file.
//!
//! ```text
//! blocks of 4096    used u16 | runs, `used` bytes | zeroes | crc32 u32
//! footer            postcard of `FooterV1`
//! length u32        of the footer
//! crc32 u32         of the footer
//! magic "AIRPOST\x01IDX\x01"
//! ```
//! A run is a stream's consecutive records: key [18] | count u16 | `FirstV1` |
//! `FollowingV1`, count − 1 times. Runs lie sorted by key (category big endian,
//! then the UUID's bytes), then by version; a run too long for a block goes on
//! in the next one under the same key.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::filter::StreamFilter;
use super::{BlockStart, MemoryIndex, RecordPlace, block_before};
use crate::disk::DiskFile;
use crate::journal::block::{Chain, take};
use crate::position::{Position, StreamVersion};
use crate::stream::{Category, StreamId};

const BLOCK_BYTES: usize = 4096;
const USED_BYTES: usize = 2;
const CRC_BYTES: usize = 4;
const ROOM: usize = BLOCK_BYTES - USED_BYTES - CRC_BYTES;
const KEY_BYTES: usize = 18;
const COUNT_BYTES: usize = 2;
/// The most that one record takes: four varints of 32 bits and one of 64.
const RECORD_BYTES_MAX: usize = 4 * 5 + 10;
const MAGIC: [u8; 12] = *b"AIRPOST\x01IDX\x01";
const TRAILER_BYTES: usize = 4 + 4 + MAGIC.len();
/// A position is found by walking on from the last noted block: notes this far
/// apart, bytes, keep the walk short and the notes few.
const NOTE_EVERY_BYTES: u32 = 16 * 1024;

type Key = [u8; KEY_BYTES];
/// A key as serde takes it: category big endian, UUID.
type KeyV1 = ([u8; 2], [u8; 16]);
/// Position from the segment's first, first version, offset, events, length.
type FirstV1 = (u32, u64, u32, u32, u32);
/// Position and offset from the record before, events, length. The first
/// version follows from that record: a stream's versions are contiguous.
type FollowingV1 = (u32, u32, u32, u32);

/// What a sealed segment ends with; an index of another end is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    pub(crate) log_id: Uuid,
    pub(crate) first_position: Position,
    pub(crate) next_position: Position,
    /// Of the segment, bytes.
    pub(crate) length: u64,
    pub(crate) chain: Chain,
    /// Of its last record.
    pub(crate) recorded_at_us: i64,
}

/// FROZEN: what every index file on disk ends with.
#[derive(Debug, Serialize, Deserialize)]
struct FooterV1<'a> {
    log_id: [u8; 16],
    first_position: u64,
    next_position: u64,
    segment_length: u64,
    chain: Chain,
    recorded_at_us: i64,
    /// The first key of each block.
    keys: Vec<KeyV1>,
    /// The smallest and the largest key of each category.
    categories: Vec<(u16, [u8; 16], [u8; 16])>,
    /// Some blocks of the segment: first position from the segment's, offset.
    notes: Vec<(u32, u32)>,
    #[serde(borrow)]
    filter: &'a [u8],
}

/// Why an index gave nothing.
#[derive(Debug)]
pub(crate) enum IndexError {
    /// The disk did not answer.
    Io(io::Error),
    /// These bytes are not what was written: delete the file.
    Damaged { offset: u64, why: &'static str },
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn key_of(stream: StreamId) -> Key {
    let mut key = [0; KEY_BYTES];
    let (category, uuid) = key.split_at_mut(2);
    category.copy_from_slice(&stream.category.get().to_be_bytes());
    uuid.copy_from_slice(stream.key.as_bytes());
    key
}

/// Lays out the index of a sealed segment.
pub(crate) fn encode(index: &MemoryIndex, end: &SegmentEnd) -> Vec<u8> {
    let mut streams: Vec<_> = index.stream_ids().map(|id| (key_of(id), id)).collect();
    streams.sort_unstable_by_key(|(key, _)| *key);
    let mut filter = StreamFilter::for_streams(streams.len());
    let mut categories = BTreeMap::new();
    let mut blocks = BlocksEncoder::new(end.first_position);
    for (key, stream) in &streams {
        filter.insert(*stream);
        let bytes = stream.key.into_bytes();
        categories
            .entry(stream.category.get())
            .and_modify(|(_, max)| *max = bytes)
            .or_insert((bytes, bytes));
        let mut places: Vec<_> = index.places_after(*stream, StreamVersion::EMPTY).collect();
        places.reverse();
        blocks.push_stream(key, &places);
    }
    let (mut out, keys) = blocks.finish();
    let footer = FooterV1 {
        log_id: end.log_id.into_bytes(),
        first_position: end.first_position.get(),
        next_position: end.next_position.get(),
        segment_length: end.length,
        chain: end.chain,
        recorded_at_us: end.recorded_at_us,
        keys,
        categories: categories
            .into_iter()
            .map(|(category, (min, max))| (category, min, max))
            .collect(),
        notes: notes(index.blocks(), end.first_position),
        filter: filter.as_bytes(),
    };
    let footer = postcard::to_extend(&footer, Vec::new()).expect("plain values in memory encode");
    out.extend_from_slice(&footer);
    out.extend_from_slice(&narrow(footer.len()).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
    out.extend_from_slice(&MAGIC);
    out
}

fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an index is smaller than its segment, which is below 4 GiB")
}

fn distance(from: Position, to: Position) -> u32 {
    u32::try_from(to.get() - from.get()).expect("a segment holds fewer than 2^32 records")
}

fn notes(blocks: &[BlockStart], first: Position) -> Vec<(u32, u32)> {
    let mut noted: Option<u32> = None;
    let far = |block: &&BlockStart| {
        let far = noted.is_none_or(|last| block.offset - last >= NOTE_EVERY_BYTES);
        if far {
            noted = Some(block.offset);
        }
        far
    };
    blocks
        .iter()
        .filter(far)
        .map(|block| (distance(first, block.first_position), block.offset))
        .collect()
}

/// Fills blocks with runs.
struct BlocksEncoder {
    first_position: Position,
    out: Vec<u8>,
    keys: Vec<KeyV1>,
    /// The runs of the block that is being filled.
    block: Vec<u8>,
}

impl BlocksEncoder {
    fn new(first_position: Position) -> Self {
        Self {
            first_position,
            out: Vec::new(),
            keys: Vec::new(),
            block: Vec::with_capacity(ROOM),
        }
    }

    fn push_stream(&mut self, key: &Key, mut places: &[RecordPlace]) {
        while !places.is_empty() {
            if self.block.len() + KEY_BYTES + COUNT_BYTES + RECORD_BYTES_MAX > ROOM {
                self.close_block();
            }
            places = self.push_run(key, places);
        }
    }

    /// Writes a run of as many records as fit; gives the rest.
    fn push_run<'p>(&mut self, key: &Key, places: &'p [RecordPlace]) -> &'p [RecordPlace] {
        if self.block.is_empty() {
            let (category, uuid) = key.split_first_chunk().expect("a key has 18 bytes");
            let uuid = uuid.first_chunk().expect("a key has 18 bytes");
            self.keys.push((*category, *uuid));
        }
        let mut run = Vec::with_capacity(ROOM - self.block.len());
        let mut count: u16 = 0;
        let mut last: Option<&RecordPlace> = None;
        let mut rest = places;
        while let Some((place, behind)) = rest.split_first() {
            let room = ROOM - self.block.len() - KEY_BYTES - COUNT_BYTES;
            if run.len() + RECORD_BYTES_MAX > room {
                break;
            }
            run = self.encode_place(place, last, run);
            count += 1;
            last = Some(place);
            rest = behind;
        }
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(&count.to_le_bytes());
        self.block.extend_from_slice(&run);
        rest
    }

    fn encode_place(
        &self,
        place: &RecordPlace,
        last: Option<&RecordPlace>,
        run: Vec<u8>,
    ) -> Vec<u8> {
        let encoded = match last {
            None => {
                let first: FirstV1 = (
                    distance(self.first_position, place.position),
                    place.first_version.get(),
                    place.offset,
                    place.events,
                    place.length,
                );
                postcard::to_extend(&first, run)
            }
            Some(last) => {
                let following: FollowingV1 = (
                    distance(last.position, place.position),
                    place.offset - last.offset,
                    place.events,
                    place.length,
                );
                postcard::to_extend(&following, run)
            }
        };
        encoded.expect("plain numbers in memory encode")
    }

    fn close_block(&mut self) {
        let begin = self.out.len();
        let used = u16::try_from(self.block.len()).expect("a block has 4 KiB");
        self.out.extend_from_slice(&used.to_le_bytes());
        self.out.append(&mut self.block);
        self.out.resize(begin + BLOCK_BYTES - CRC_BYTES, 0);
        let crc = crc32fast::hash(self.out.get(begin..).unwrap_or_default());
        self.out.extend_from_slice(&crc.to_le_bytes());
    }

    fn finish(mut self) -> (Vec<u8>, Vec<KeyV1>) {
        if !self.block.is_empty() {
            self.close_block();
        }
        (self.out, self.keys)
    }
}

/// An open index: its footer in memory, its blocks on disk.
#[derive(Debug)]
pub(crate) struct IndexFile {
    file: Arc<dyn DiskFile>,
    end: SegmentEnd,
    keys: Vec<Key>,
    categories: BTreeMap<Category, (Uuid, Uuid)>,
    notes: Vec<BlockStart>,
    filter: StreamFilter,
}

impl IndexFile {
    /// Reads the footer.
    pub(crate) fn open(file: Arc<dyn DiskFile>) -> Result<Self, IndexError> {
        let length = file.len()?;
        let damaged = |why| IndexError::Damaged { offset: 0, why };
        let trailer_at = length
            .checked_sub(TRAILER_BYTES as u64)
            .ok_or(damaged("the index is cut short"))?;
        let trailer = file.read_range(trailer_at, TRAILER_BYTES)?;
        let mut rest = trailer.as_slice();
        let (footer_length, crc) = take(&mut rest)
            .zip(take(&mut rest))
            .filter(|_| rest == MAGIC)
            .ok_or(damaged("the index does not end as one"))?;
        let footer_length = u32::from_le_bytes(footer_length);
        let footer_at = trailer_at
            .checked_sub(u64::from(footer_length))
            .ok_or(damaged("the index is cut short"))?;
        let footer = file.read_range(footer_at, footer_length as usize)?;
        if crc32fast::hash(&footer) != u32::from_le_bytes(crc) {
            return Err(damaged("the index footer's checksum does not hold"));
        }
        let footer: FooterV1<'_> = match postcard::take_from_bytes(&footer) {
            Ok((footer, [])) => footer,
            Ok(_) | Err(_) => return Err(damaged("the index footer cannot be decoded")),
        };
        if footer_at != footer.keys.len() as u64 * BLOCK_BYTES as u64 {
            return Err(damaged("the index has another number of blocks"));
        }
        Ok(Self::from_footer(file, footer))
    }

    fn from_footer(file: Arc<dyn DiskFile>, footer: FooterV1<'_>) -> Self {
        let first_position = Position::new(footer.first_position);
        let end = SegmentEnd {
            log_id: Uuid::from_bytes(footer.log_id),
            first_position,
            next_position: Position::new(footer.next_position),
            length: footer.segment_length,
            chain: footer.chain,
            recorded_at_us: footer.recorded_at_us,
        };
        let keys = footer.keys.into_iter().map(|(category, uuid)| {
            let category = Category::new(u16::from_be_bytes(category));
            key_of(StreamId::new(category, Uuid::from_bytes(uuid)))
        });
        let range = |(category, min, max)| {
            let bounds = (Uuid::from_bytes(min), Uuid::from_bytes(max));
            (Category::new(category), bounds)
        };
        let notes = footer
            .notes
            .into_iter()
            .map(|(distance, offset)| BlockStart {
                first_position: first_position.plus(u64::from(distance)),
                offset,
            });
        Self {
            file,
            end,
            keys: keys.collect(),
            categories: footer.categories.into_iter().map(range).collect(),
            notes: notes.collect(),
            filter: StreamFilter::from_bytes(footer.filter.to_vec()),
        }
    }

    /// The end of the segment it was built from.
    pub(crate) fn end(&self) -> &SegmentEnd {
        &self.end
    }

    /// A block to begin at to read a position.
    pub(crate) fn block_before(&self, position: Position) -> Option<BlockStart> {
        block_before(&self.notes, position)
    }

    /// `false` means that the segment has no record of the stream; costs no read.
    pub(crate) fn may_hold(&self, stream: StreamId) -> bool {
        let bounds = self.categories.get(&stream.category);
        bounds.is_some_and(|(min, max)| (*min..=*max).contains(&stream.key))
            && self.filter.may_hold(stream)
    }

    /// All of the stream's records here, oldest first.
    pub(crate) fn places(&self, stream: StreamId) -> Result<Vec<RecordPlace>, IndexError> {
        let mut places = Vec::new();
        if !self.may_hold(stream) {
            return Ok(places);
        }
        let key = key_of(stream);
        // The stream may begin within the block before the first that begins with it.
        let first = self
            .keys
            .partition_point(|first| *first < key)
            .saturating_sub(1);
        let behind = self.keys.partition_point(|first| *first <= key);
        for number in first..behind {
            self.read_block(number, &key, &mut places)?;
        }
        Ok(places)
    }

    fn read_block(
        &self,
        number: usize,
        key: &Key,
        places: &mut Vec<RecordPlace>,
    ) -> Result<(), IndexError> {
        let offset = number as u64 * BLOCK_BYTES as u64;
        let bytes = self.file.read_range(offset, BLOCK_BYTES)?;
        let why = "the index block's checksum does not hold";
        let runs = checked_runs(&bytes).ok_or(IndexError::Damaged { offset, why })?;
        let why = "the index block cannot be decoded";
        decode_runs(runs, key, self.end.first_position, places)
            .ok_or(IndexError::Damaged { offset, why })
    }
}

fn checked_runs(block: &[u8]) -> Option<&[u8]> {
    let block = block.first_chunk::<BLOCK_BYTES>()?;
    let (checked, crc) = block.split_last_chunk::<CRC_BYTES>()?;
    if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = checked;
    let used = u16::from_le_bytes(take(&mut rest)?);
    rest.get(..usize::from(used))
}

/// Collects the runs of one key.
fn decode_runs(
    mut runs: &[u8],
    key: &Key,
    first_position: Position,
    places: &mut Vec<RecordPlace>,
) -> Option<()> {
    while !runs.is_empty() {
        let run_key: Key = take(&mut runs)?;
        let count = u16::from_le_bytes(take(&mut runs)?);
        let (first, mut rest) = postcard::take_from_bytes::<FirstV1>(runs).ok()?;
        let (distance, first_version, offset, events, length) = first;
        let mut place = RecordPlace {
            position: first_position.plus(u64::from(distance)),
            first_version: StreamVersion::new(first_version),
            events,
            offset,
            length,
        };
        let wanted = run_key == *key;
        if wanted {
            places.push(place);
        }
        for _ in 1..count {
            let ((distance, onward, events, length), behind) =
                postcard::take_from_bytes::<FollowingV1>(rest).ok()?;
            rest = behind;
            place = RecordPlace {
                position: place.position.plus(u64::from(distance)),
                first_version: place.last_version().plus(1),
                events,
                offset: place.offset.checked_add(onward)?,
                length,
            };
            if wanted {
                places.push(place);
            }
        }
        runs = rest;
    }
    Some(())
}
