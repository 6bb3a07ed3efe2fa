//! Which snapshots there are, by stream and by age, without their bytes.

use std::collections::{BTreeMap, HashMap};

use super::SnapshotLimits;
use crate::stream::StreamId;

/// What lies in the folder. Numbers are given in the order of writing.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    by_stream: HashMap<StreamId, u64>,
    /// The oldest first.
    by_number: BTreeMap<u64, (StreamId, u64)>,
    all_bytes: u64,
    last_number: u64,
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn number(&self, stream: StreamId) -> Option<u64> {
        self.by_stream.get(&stream).copied()
    }

    /// A number that no snapshot has had.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// Notes a snapshot; gives the number of the one of the same stream that is
    /// of no use any more, which may be the new one.
    pub(super) fn put(&mut self, stream: StreamId, number: u64, bytes: u64) -> Option<u64> {
        self.last_number = self.last_number.max(number);
        let former = self.number(stream);
        if former.is_some_and(|former| former > number) {
            return Some(number);
        }
        if let Some(former) = former {
            self.take(stream, former);
        }
        self.by_stream.insert(stream, number);
        self.by_number.insert(number, (stream, bytes));
        self.all_bytes = self.all_bytes.saturating_add(bytes);
        former.filter(|former| *former != number)
    }

    /// Forgets a snapshot; says whether it was still there.
    pub(super) fn take(&mut self, stream: StreamId, number: u64) -> bool {
        if self.number(stream) != Some(number) {
            return false;
        }
        self.by_stream.remove(&stream);
        if let Some((_, bytes)) = self.by_number.remove(&number) {
            self.all_bytes = self.all_bytes.saturating_sub(bytes);
        }
        true
    }

    /// Forgets the oldest snapshot if there are too many, and gives it.
    pub(super) fn take_surplus(&mut self, limits: &SnapshotLimits) -> Option<(StreamId, u64)> {
        if self.len() <= limits.snapshots_max && self.all_bytes <= limits.all_bytes_max {
            return None;
        }
        let (number, (stream, _)) = self.by_number.first_key_value()?;
        let oldest = (*stream, *number);
        self.take(oldest.0, oldest.1);
        Some(oldest)
    }
}
