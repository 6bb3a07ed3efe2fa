//! Reads a whole segment: checks all that can be told from the segment alone,
//! and builds its index.

use super::block::{Block, Chain};
use super::segment::{BlockCursor, BlockError, FIRST_BLOCK_OFFSET, Segment};
use crate::error::ReadError;
use crate::event::CommitId;
use crate::index::{BlockStart, MemoryIndex, RecordPlace, SegmentEnd};
use crate::position::Position;
use crate::record::{self, RecordHeadline};

/// How much is read at once, bytes: long sequential reads.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What was found up to the end, or up to the first bytes that are no block.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) index: MemoryIndex,
    /// Where the last intact block ends.
    pub(crate) end: u64,
    pub(crate) next_position: Position,
    pub(crate) chain: Chain,
    /// Of the last record.
    pub(crate) recorded_at_us: i64,
    pub(crate) events: u64,
    /// Where the last intact block begins.
    pub(crate) last_block: Option<u64>,
    /// Why it stopped before the end.
    pub(crate) stopped: Option<&'static str>,
}

impl Scan {
    /// The end of the segment, as its index will state it.
    pub(crate) fn segment_end(&self, segment: &Segment) -> SegmentEnd {
        SegmentEnd {
            log_id: segment.header.identity.log_id,
            first_position: segment.first_position(),
            next_position: self.next_position,
            length: self.end,
            chain: self.chain,
            recorded_at_us: self.recorded_at_us,
        }
    }
}

/// Looks at every record's body, with where its block begins.
pub(crate) type Inspect<'a> = dyn FnMut(u64, &[u8]) -> Result<(), &'static str> + 'a;

/// Scans a segment up to `length`. Bytes that are no block stop the scan; an
/// intact block whose content cannot be is an error.
pub(crate) fn scan(
    segment: &Segment,
    length: u64,
    recorded_at_us: i64,
    inspect: &mut Inspect<'_>,
) -> Result<Scan, ReadError> {
    let mut scan = Scan {
        index: MemoryIndex::default(),
        end: FIRST_BLOCK_OFFSET,
        next_position: segment.first_position(),
        chain: segment.header.chain,
        recorded_at_us,
        events: 0,
        last_block: None,
        stopped: None,
    };
    let start = (FIRST_BLOCK_OFFSET, segment.first_position());
    let mut blocks = BlockCursor::new(segment.file.as_ref(), start, length, CHUNK_BYTES);
    loop {
        match blocks.next() {
            Ok(None) => return Ok(scan),
            Ok(Some((offset, block))) => scan
                .take_block(offset, &block, inspect)
                .map_err(|why| segment.corrupt(offset, why))?,
            Err(BlockError::Invalid { why, .. }) => {
                scan.stopped = Some(why);
                return Ok(scan);
            }
            Err(error @ BlockError::Io(_)) => return Err(segment.read_error(error)),
        }
    }
}

impl Scan {
    fn take_block(
        &mut self,
        offset: u64,
        block: &Block<'_>,
        inspect: &mut Inspect<'_>,
    ) -> Result<(), &'static str> {
        if !block.follows(&self.chain) {
            return Err("the chain of the records is broken");
        }
        let block_offset = u32::try_from(offset).map_err(|_| "the segment is beyond 4 GiB")?;
        self.index.push_block(BlockStart {
            first_position: block.first_position,
            offset: block_offset,
        });
        let mut commit = WholeCommits::default();
        for item in block.bodies() {
            let (begin, body) = item?;
            let headline = record::headline(body)?;
            commit.take(&headline)?;
            let offset = u32::try_from(begin)
                .ok()
                .and_then(|begin| block_offset.checked_add(begin))
                .ok_or("the segment is beyond 4 GiB")?;
            self.take_record(&headline, offset, body.len())?;
            inspect(u64::from(block_offset), body)?;
        }
        commit.finish()?;
        self.end = offset + block.length as u64;
        self.chain = block.chain;
        self.last_block = Some(offset);
        Ok(())
    }

    fn take_record(
        &mut self,
        headline: &RecordHeadline,
        offset: u32,
        length: usize,
    ) -> Result<(), &'static str> {
        if headline.recorded_at_us < self.recorded_at_us {
            return Err("a record is older than the one before it");
        }
        let before = self.index.version(headline.stream);
        if before.is_some_and(|version| version.plus(1) != headline.first_version) {
            return Err("the versions of a stream are not contiguous");
        }
        let place = RecordPlace {
            position: self.next_position,
            first_version: headline.first_version,
            events: headline.events,
            offset,
            length: u32::try_from(length).map_err(|_| "the record is beyond 4 GiB")?,
        };
        self.index.push(headline.stream, headline.commit_id, place);
        self.recorded_at_us = headline.recorded_at_us;
        self.events += u64::from(headline.events);
        self.next_position = self.next_position.next();
        Ok(())
    }
}

/// Checks that the records of a block are whole commits.
#[derive(Debug, Default)]
pub(crate) struct WholeCommits {
    /// The commit that is not complete, how many records it has, and the place of the next.
    open: Option<(CommitId, u16, u16)>,
}

impl WholeCommits {
    pub(crate) fn take(&mut self, headline: &RecordHeadline) -> Result<(), &'static str> {
        let (place, records) = (headline.place.place, headline.place.records);
        let expected = self.open.unwrap_or((headline.commit_id, records, 0));
        if expected != (headline.commit_id, records, place) {
            return Err("the records of a commit are not together");
        }
        let complete = place + 1 == records;
        self.open = (!complete).then_some((headline.commit_id, records, place + 1));
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), &'static str> {
        match self.open {
            None => Ok(()),
            Some(_) => Err("a block ends within a commit"),
        }
    }
}
