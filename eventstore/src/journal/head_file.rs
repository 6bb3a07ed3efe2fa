//! `journal/head`: how far the journal is known to have been durable. It is
//! what tells a journal whose end is missing from one that ends there.
//!
//! All numbers are little endian.
//! ```text
//! 0   magic "AIRPOSTH"
//! 8   format version u16
//! 10  0 u16
//! 12  epoch u32
//! 16  log id [16]
//! 32  position u64
//! 40  chain [16]          after that position
//! 56  segment u64         first position of the segment that ends there
//! 64  length u64          of that segment, bytes
//! 72  crc32 u32           of the 72 bytes before
//! ```

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::block::{Chain, take};
use super::segment::FORMAT_VERSION;
use crate::disk::Disk;
use crate::position::{LogIdentity, Position};

/// Its name in the journal's folder.
pub(crate) const HEAD_NAME: &str = "head";
const NEW_NAME: &str = "head.new";
const MAGIC: [u8; 8] = *b"AIRPOSTH";
const BYTES: usize = 76;

/// A place that was durable once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownHead {
    pub(crate) identity: LogIdentity,
    pub(crate) position: Position,
    pub(crate) chain: Chain,
    pub(crate) segment: Position,
    pub(crate) length: u64,
}

impl KnownHead {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.identity.epoch.to_le_bytes());
        bytes.extend_from_slice(self.identity.log_id.as_bytes());
        bytes.extend_from_slice(&self.position.get().to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.segment.get().to_le_bytes());
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let whole: &[u8; BYTES] = bytes.try_into().ok()?;
        let (checked, crc) = whole.split_last_chunk()?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = checked;
        let magic: [u8; 8] = take(&mut rest)?;
        let version = u16::from_le_bytes(take(&mut rest)?);
        let _: [u8; 2] = take(&mut rest)?;
        let epoch = u32::from_le_bytes(take(&mut rest)?);
        let log_id = Uuid::from_bytes(take(&mut rest)?);
        let known = Self {
            identity: LogIdentity { log_id, epoch },
            position: Position::new(u64::from_le_bytes(take(&mut rest)?)),
            chain: take(&mut rest)?,
            segment: Position::new(u64::from_le_bytes(take(&mut rest)?)),
            length: u64::from_le_bytes(take(&mut rest)?),
        };
        (magic == MAGIC && version == FORMAT_VERSION).then_some(known)
    }

    /// Replaces the file; what it says is durable when this returns.
    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let new = folder.join(NEW_NAME);
        let file = disk.create(&new)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync_data()?;
        disk.rename(&new, &folder.join(HEAD_NAME))?;
        disk.sync_folder(folder)
    }
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFile {
    /// It is not there: never written yet, or deleted.
    Absent,
    /// Its bytes are not what was written.
    Damaged,
    /// This place was durable.
    Known(KnownHead),
}

/// Reads the file.
pub(crate) fn read_head(disk: &dyn Disk, folder: &Path) -> io::Result<HeadFile> {
    let path = folder.join(HEAD_NAME);
    if !disk.exists(&path)? {
        return Ok(HeadFile::Absent);
    }
    let bytes = disk.open_to_read(&path)?.read_range(0, BYTES + 1)?;
    Ok(KnownHead::decode(&bytes).map_or(HeadFile::Damaged, HeadFile::Known))
}
