//! A snapshot's bytes and its file's name.
//!
//! All numbers are little endian.
//! ```text
//! 0    magic "AIRPOSTS"
//! 8    format version u16
//! 10   category u16
//! 12   epoch u32
//! 16   log id [16]
//! 32   stream key [16]
//! 48   version u64
//! 56   position u64        of the record that gave the stream that version
//! 64   commit id [16]      of that record
//! 80   digest [16]         of that record
//! 96   code [16]           what folded the state
//! 112  the state
//! ...  crc32 u32           of everything before
//! ```

use std::fmt;

use uuid::Uuid;

use super::DiscardReason;
use crate::event::{CommitId, Record};
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::stream::{Category, StreamId};

const MAGIC: [u8; 8] = *b"AIRPOSTS";
const FORMAT_VERSION: u16 = 1;
/// Everything before the state, bytes.
pub(super) const HEADER_BYTES: usize = 112;
const EXTENSION: &str = ".snap";

/// What folded a state: the same as long as the same events give the same state,
/// and the state the same bytes. The caller makes it; the store only compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeFingerprint(pub [u8; 16]);

/// A state, and the record after which it was so.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// The stream's version that the state is of.
    pub version: StreamVersion,
    /// The state, as the caller writes it.
    pub state: Vec<u8>,
    pub(super) identity: LogIdentity,
    pub(super) position: Position,
    pub(super) commit_id: CommitId,
    pub(super) record_digest: [u8; 16],
}

impl Snapshot {
    /// The state of a record's stream after that record of that log.
    #[must_use]
    pub fn after(record: &Record, identity: LogIdentity, state: Vec<u8>) -> Self {
        Self {
            stream: record.stream,
            version: record.last_version(),
            state,
            identity,
            position: record.position,
            commit_id: record.commit_id,
            record_digest: digest(record),
        }
    }
}

/// Shows no state: it may hold people's names and addresses.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("stream", &self.stream)
            .field("version", &self.version)
            .field("state_bytes", &self.state.len())
            .finish_non_exhaustive()
    }
}

/// Tells a record from every other: the commit id alone may come again after
/// records were given up, with other events.
pub(super) fn digest(record: &Record) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record.position.get().to_le_bytes());
    hasher.update(&record.first_version.get().to_le_bytes());
    hasher.update(&record.recorded_at_us.to_le_bytes());
    hasher.update(record.commit_id.0.as_bytes());
    for event in &record.events {
        hasher.update(&event.event_type.0.to_le_bytes());
        hasher.update(&event.schema.0.to_le_bytes());
        hasher.update(&event.event_time_us.to_le_bytes());
        hasher.update(&[u8::from(event.inferred)]);
        hasher.update(&(event.payload.len() as u64).to_le_bytes());
        hasher.update(&event.payload);
    }
    let mut first = [0; 16];
    hasher.finalize_xof().fill(&mut first);
    first
}

pub(super) fn encode(snapshot: &Snapshot, code: CodeFingerprint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + snapshot.state.len() + size_of::<u32>());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&snapshot.stream.category.get().to_le_bytes());
    bytes.extend_from_slice(&snapshot.identity.epoch.to_le_bytes());
    bytes.extend_from_slice(snapshot.identity.log_id.as_bytes());
    bytes.extend_from_slice(snapshot.stream.key.as_bytes());
    bytes.extend_from_slice(&snapshot.version.get().to_le_bytes());
    bytes.extend_from_slice(&snapshot.position.get().to_le_bytes());
    bytes.extend_from_slice(snapshot.commit_id.0.as_bytes());
    bytes.extend_from_slice(&snapshot.record_digest);
    bytes.extend_from_slice(&code.0);
    bytes.extend_from_slice(&snapshot.state);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Reads a snapshot that this code wrote.
pub(super) fn decode(bytes: &[u8], code: CodeFingerprint) -> Result<Snapshot, DiscardReason> {
    let (checked, crc) = bytes.split_last_chunk().ok_or(DiscardReason::Damaged)?;
    if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
        return Err(DiscardReason::Damaged);
    }
    let (beginning, rest) = checked
        .split_first_chunk::<10>()
        .ok_or(DiscardReason::Damaged)?;
    let (magic, version) = beginning.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(DiscardReason::Damaged);
    }
    if version != FORMAT_VERSION.to_le_bytes() {
        return Err(DiscardReason::OtherFormat);
    }
    let (written_by, snapshot) = fields(rest).ok_or(DiscardReason::Damaged)?;
    if written_by != code {
        return Err(DiscardReason::OtherCode);
    }
    Ok(snapshot)
}

fn fields(mut rest: &[u8]) -> Option<(CodeFingerprint, Snapshot)> {
    let category = Category::new(u16::from_le_bytes(take(&mut rest)?));
    let epoch = u32::from_le_bytes(take(&mut rest)?);
    let log_id = Uuid::from_bytes(take(&mut rest)?);
    let key = Uuid::from_bytes(take(&mut rest)?);
    let version = StreamVersion::new(u64::from_le_bytes(take(&mut rest)?));
    let position = Position::new(u64::from_le_bytes(take(&mut rest)?));
    let commit_id = CommitId(Uuid::from_bytes(take(&mut rest)?));
    let record_digest = take(&mut rest)?;
    let code = CodeFingerprint(take(&mut rest)?);
    let snapshot = Snapshot {
        stream: StreamId::new(category, key),
        version,
        state: rest.to_vec(),
        identity: LogIdentity { log_id, epoch },
        position,
        commit_id,
        record_digest,
    };
    Some((code, snapshot))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// The file of the stream's snapshot with this number.
pub(super) fn name_of(number: u64, stream: StreamId) -> String {
    let (category, key) = (stream.category.get(), stream.key.simple());
    format!("{number:020}-{category}-{key}{EXTENSION}")
}

/// The number and the stream that a name says; `None` if it is not one of ours.
pub(super) fn stream_of(name: &str) -> Option<(u64, StreamId)> {
    let mut parts = name.strip_suffix(EXTENSION)?.splitn(3, '-');
    let number = parts.next()?.parse().ok()?;
    let category = Category::new(parts.next()?.parse().ok()?);
    let key = Uuid::try_parse(parts.next()?).ok()?;
    let stream = StreamId::new(category, key);
    (name_of(number, stream) == name).then_some((number, stream))
}
