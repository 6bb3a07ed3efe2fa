//! How a journal is run.

use std::time::Duration;

use uuid::Uuid;

use crate::limits::{DISK_FREE_BYTES_MIN, QUEUE_BYTES_MAX, QUEUE_COMMITS_MAX, SEGMENT_BYTES};

/// Largest size a segment may be asked to have, bytes: offsets within one have 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The settings of a [`Journal`](crate::Journal). All but `new_log_id` may be
/// other at every opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// The identity of the log, if the folder holds none yet; the caller draws it.
    pub new_log_id: Uuid,
    /// A segment that has reached this size is closed, bytes; at most 1 GiB is taken.
    pub segment_bytes: u64,
    /// Most commits that wait for the writer.
    pub queue_commits_max: usize,
    /// Most encoded bytes that wait for the writer; one commit always may.
    pub queue_bytes_max: usize,
    /// Free space below which appends are refused as `Full`, bytes.
    pub disk_free_bytes_min: u64,
    /// How long the journal is idle before `journal/head` is replaced.
    pub head_idle: Duration,
    /// How long after a write that found no space the next one is tried.
    pub full_retry: Duration,
}

impl JournalOptions {
    /// The settings of [`limits`](crate::limits); a new log gets this identity.
    #[must_use]
    pub const fn new(new_log_id: Uuid) -> Self {
        Self {
            new_log_id,
            segment_bytes: SEGMENT_BYTES,
            queue_commits_max: QUEUE_COMMITS_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            disk_free_bytes_min: DISK_FREE_BYTES_MIN,
            head_idle: Duration::from_secs(1),
            full_retry: Duration::from_secs(5),
        }
    }

    /// The same, with a segment's size within its bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            segment_bytes: self.segment_bytes.min(SEGMENT_BYTES_MAX),
            ..self
        }
    }
}
