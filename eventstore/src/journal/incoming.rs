//! A block that another node wrote: checked before it goes into this journal
//! as it would be when it is read there.

use std::collections::HashMap;

use super::block::{Block, Chain};
use super::group::StagedRecord;
use super::log::Log;
use super::scan::WholeCommits;
use super::writer::Tip;
use crate::error::ReadError;
use crate::index::RecordPlace;
use crate::position::StreamVersion;
use crate::record;
use crate::stream::StreamId;

/// What such a block adds to the log.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Offsets are those in the block.
    pub(crate) records: Vec<StagedRecord>,
    /// Of its last record.
    pub(crate) recorded_at_us: i64,
    pub(crate) chain: Chain,
}

/// Why a block is not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// It is no block, or none that could follow this journal.
    Wrong(&'static str),
    /// The disk did not say what is before it.
    Unread(ReadError),
}

impl Incoming {
    /// Checks a block that is to follow `tip` in `log`.
    pub(crate) fn check(bytes: &[u8], tip: &Tip, log: &Log) -> Result<Self, NotTaken> {
        let block = Block::parse(bytes).map_err(NotTaken::Wrong)?;
        if block.length != bytes.len() {
            return Err(NotTaken::Wrong("more follows than the block"));
        }
        if block.first_position != tip.head.next() {
            return Err(NotTaken::Wrong("it has other positions than the next ones"));
        }
        if !block.follows(&tip.chain) {
            return Err(NotTaken::Wrong("its chain does not follow"));
        }
        let mut incoming = Self {
            records: Vec::new(),
            recorded_at_us: tip.recorded_at_us,
            chain: block.chain,
        };
        let mut commits = WholeCommits::default();
        let mut versions = HashMap::new();
        for (number, item) in block.bodies().enumerate() {
            let (begin, body) = item.map_err(NotTaken::Wrong)?;
            let headline = record::headline(body).map_err(NotTaken::Wrong)?;
            commits.take(&headline).map_err(NotTaken::Wrong)?;
            if headline.recorded_at_us < incoming.recorded_at_us {
                return Err(NotTaken::Wrong("a record is older than the one before it"));
            }
            incoming.recorded_at_us = headline.recorded_at_us;
            let before = match versions.get(&headline.stream) {
                Some(version) => *version,
                None => version_in(log, headline.stream)?,
            };
            if before.plus(1) != headline.first_version {
                return Err(NotTaken::Wrong(
                    "the versions of a stream are not contiguous",
                ));
            }
            let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
            let place = RecordPlace {
                position: block.first_position.plus(number as u64),
                first_version: headline.first_version,
                events: headline.events,
                offset: narrow(begin),
                length: narrow(body.len()),
            };
            versions.insert(headline.stream, place.last_version());
            let record = (headline.stream, headline.commit_id, place);
            incoming.records.push(record);
        }
        commits.finish().map_err(NotTaken::Wrong)?;
        Ok(incoming)
    }
}

fn version_in(log: &Log, stream: StreamId) -> Result<StreamVersion, NotTaken> {
    match log.active_version(stream) {
        (Some(version), _) => Ok(version),
        (None, _) => log.sealed_version(stream).map_err(NotTaken::Unread),
    }
}
