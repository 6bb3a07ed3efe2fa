//! Reads a journal without opening it: beside a running server, or on a
//! folder that must not be changed. Nothing is written, no lock is taken.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::block::{Block, Chain};
use super::recovery::{
    Copies, check_known, check_order, find_segments_to_read, history_of, known_head, links,
    refuse_damage_behind, refuse_regression,
};
use super::scan::scan;
use super::segment::{BlockCursor, BlockError, FIRST_BLOCK_OFFSET, Segment};
use crate::disk::{Disk, RealDisk, failed};
use crate::error::{OpenError, ReadError};
use crate::history::LogHistory;
use crate::index::SegmentEnd;
use crate::position::Position;
use crate::record::{self, CommitPlace};

/// How much is read at once, bytes: long sequential reads.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A journal as it was at one moment, up to its last whole block.
///
/// What it shows is durable: the end of the file is synced first, so nothing
/// is read that a power cut could take back. It checks the chain of all it reads.
#[derive(Debug)]
pub struct JournalReader {
    /// By first position; the last one may be growing.
    segments: Vec<Segment>,
    /// Where the last whole block ends in the last segment, bytes, and the chain there.
    tail: SegmentEnd,
    history: LogHistory,
}

/// Takes a record and where it stands in its commit; may end the walk.
pub type VisitRecord<'a> = dyn FnMut(crate::Record, CommitPlace) -> ControlFlow<()> + 'a;

impl JournalReader {
    /// Looks at the journal in a folder as it is now.
    ///
    /// # Errors
    /// [`OpenError`], also if no journal is there, or if it ends before what
    /// its head file says was acknowledged: nobody is to take the rest for all.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_on(&RealDisk, folder)
    }

    /// The same, on a disk that may fail.
    pub(crate) fn open_on(disk: &dyn Disk, folder: &Path) -> Result<Self, OpenError> {
        Self::look(disk, folder, Copies::Here)
    }

    /// Looks at a journal of a log on a cluster: what a power cut has torn of
    /// its end is no damage, since the cluster has it.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn open_of_cluster(folder: &Path) -> Result<Self, OpenError> {
        Self::look(&RealDisk, folder, Copies::Cluster)
    }

    fn look(disk: &dyn Disk, folder: &Path, copies: Copies) -> Result<Self, OpenError> {
        // Read before the segments: they only grow while they are read.
        let known = known_head(disk, folder)?;
        let mut found = find_segments_to_read(disk, folder)?;
        let Some(last) = found.whole.pop() else {
            refuse_regression(known.as_ref(), Position::START)?;
            let nothing = io::Error::new(io::ErrorKind::NotFound, "no journal is there");
            return Err(failed("reading", folder)(nothing));
        };
        check_order(&found.whole, &last)?;
        let history = history_of(&found.whole, &last);
        let measuring = || failed("measuring", &last.path);
        // A block that was not there yet when the length was taken is not looked at.
        let length = last.file.len().map_err(measuring())?;
        last.file
            .sync_data()
            .map_err(failed("making durable", &last.path))?;
        let scan = scan(&last, length, i64::MIN, &mut |_, _| Ok(()));
        let scan = scan.map_err(super::recovery::open_error)?;
        check_known(known.as_ref(), &history, &last, &scan)?;
        refuse_damage_behind(&last, &scan, length, copies)?;
        if let Some(damaged) = found.damaged_header(&last, &scan) {
            return Err(OpenError::CorruptEnd(damaged));
        }
        let tail = scan.segment_end(&last);
        found.whole.push(last);
        let segments = found.whole;
        Ok(Self {
            segments,
            tail,
            history,
        })
    }

    /// The log and its epochs.
    #[must_use]
    pub fn history(&self) -> &LogHistory {
        &self.history
    }

    /// The last position that it shows.
    #[must_use]
    pub fn head(&self) -> Position {
        Position::new(self.tail.next_position.get() - 1)
    }

    /// The same, and the chain there.
    pub(crate) fn end(&self) -> (Position, Chain) {
        (self.head(), self.tail.chain)
    }

    /// The segments, by first position.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The position behind a segment's last and the chain there.
    pub(crate) fn end_of(&self, segment: usize) -> (Position, Chain) {
        match self.segments.get(segment + 1) {
            Some(next) => (next.header.first_position, next.header.chain),
            None => (self.tail.next_position, self.tail.chain),
        }
    }

    /// How much of a segment belongs to what is shown, bytes.
    pub(crate) fn length_of(&self, segment: usize) -> io::Result<u64> {
        match self.segments.get(segment) {
            Some(sealed) if segment + 1 < self.segments.len() => sealed.file.len(),
            Some(_) | None => Ok(self.tail.length),
        }
    }

    /// The chain after a position of a segment, if a block ends there.
    pub(crate) fn chain_at(
        &self,
        segment: usize,
        position: Position,
    ) -> Result<Option<Chain>, ReadError> {
        let Some(at) = self.segments.get(segment) else {
            return Ok(None);
        };
        let mut chain = (at.first_position() == position.next()).then_some(at.header.chain);
        let _ = self.walk_blocks(segment, &mut |block| {
            if block.next_position() == position.next() {
                chain = Some(block.chain);
            }
            Ok(if block.next_position() > position {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(chain)
    }

    /// Visits the records after a position, in order, up to the head: none
    /// after one that lies beyond it.
    ///
    /// # Errors
    /// [`ReadError`]; records before the damage have been visited.
    pub fn walk(&self, after: Position, visit: &mut VisitRecord<'_>) -> Result<(), ReadError> {
        if after >= self.head() {
            return Ok(());
        }
        for segment in 0..self.segments.len() {
            if self.end_of(segment).0 <= after.next() {
                continue;
            }
            let walked = self.walk_blocks(segment, &mut |block| {
                let mut position = block.first_position;
                for item in block.bodies() {
                    let (_, body) = item?;
                    if position > after {
                        let place = record::headline(body)?.place;
                        let record = record::decode(position, body)?;
                        if visit(record, place).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    position = position.next();
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if walked.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Visits the blocks behind a position, as they lie on disk.
    pub(crate) fn walk_raw(
        &self,
        after: Position,
        visit: &mut dyn FnMut(&Block<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        for segment in 0..self.segments.len() {
            if self.end_of(segment).0 <= after.next() {
                continue;
            }
            let walked = self.walk_blocks(segment, &mut |block| {
                Ok(if block.first_position > after {
                    visit(block)
                } else {
                    ControlFlow::Continue(())
                })
            })?;
            if walked.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Visits the blocks of a segment, each held against the chain.
    fn walk_blocks(
        &self,
        segment: usize,
        visit: &mut dyn FnMut(&Block<'_>) -> Result<ControlFlow<()>, &'static str>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let Some(at) = self.segments.get(segment) else {
            return Ok(ControlFlow::Continue(()));
        };
        let length = self.length_of(segment);
        let length = length.map_err(|error| at.read_error(BlockError::Io(error)))?;
        let start = (FIRST_BLOCK_OFFSET, at.first_position());
        let mut blocks = BlockCursor::new(at.file.as_ref(), start, length, CHUNK_BYTES);
        let mut chain = at.header.chain;
        while let Some((offset, block)) = blocks.next().map_err(|error| at.read_error(error))? {
            if !block.follows(&chain) {
                let why = "the chain of the records is broken";
                return Err(at.corrupt(offset, why).into());
            }
            chain = block.chain;
            let visited = visit(&block).map_err(|why| at.corrupt(offset, why))?;
            if visited.is_break() {
                return Ok(visited);
            }
        }
        let end = SegmentEnd {
            next_position: blocks.next_position(),
            chain,
            ..self.tail
        };
        if let Some(next) = self.segments.get(segment + 1)
            && !links(&end, &next.header)
        {
            let why = "the segment does not end where the next one begins";
            return Err(at.corrupt(blocks.offset(), why).into());
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests;
