//! Every bound of the store, with its unit and its reason.

/// Longest [`Label`](crate::Label), bytes: a prefixed id or a drone event's id fits with room.
pub const LABEL_BYTES_MAX: usize = 128;

/// Most events in one commit, over all its streams: 64 held drone facts and as
/// many new ones, each with every step it may imply.
pub const COMMIT_EVENTS_MAX: usize = 1_024;

/// Most streams in one commit, guards included.
pub const COMMIT_PARTS_MAX: usize = 512;

/// Largest encoded commit, bytes: it must fit a block beside its header.
pub const COMMIT_BYTES_MAX: usize = 448 * 1024;

/// Largest block, header and records, bytes: one write, one fdatasync, and
/// below the 1 MiB a message broker accepts by default.
pub const BLOCK_BYTES_MAX: usize = 512 * 1024;

/// A segment is closed once it has reached this size, bytes.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Most commits that wait for the writer; beyond it an append answers `Busy`.
pub const QUEUE_COMMITS_MAX: usize = 4_096;

/// Free disk below which appends are refused as `Full`, bytes.
pub const DISK_FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Length and checksum before every record, bytes.
pub const RECORD_PREFIX_BYTES: usize = 8;

/// Most encoded bytes that wait for the writer; beyond it an append answers
/// `Busy`: many large commits must not take all memory.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
