//! One segment's copy: written under another name, read through, then named.

use std::io;
use std::path::Path;

use super::manifest::{PART_SUFFIX, to_hex};
use super::{BackupError, BackupFile, Position, backup_name, failed, unread};
use crate::disk::{Disk, DiskFile};
use crate::error::{Corruption, ReadError};
use crate::journal::JournalReader;
use crate::journal::block::Chain;
use crate::journal::scan::scan;
use crate::journal::segment::Segment;

/// How much is copied at once, bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Copies a segment of a journal up to a length. What the copy says is
/// checked before it gets its name: damage is not passed on as a backup.
pub(super) fn copy_segment(
    disk: &dyn Disk,
    source: &JournalReader,
    (at, length): (usize, u64),
    to: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupFile, BackupError> {
    let segment = source.segments().get(at).expect("the caller counted them");
    let (next, chain) = source.end_of(at);
    let last = Position::new(next.get() - 1);
    let name = backup_name(segment.first_position(), last);
    let part = to.join(format!("{name}{PART_SUFFIX}"));
    let file = disk.create(&part).map_err(failed("creating", &part))?;
    let blake3 = copy_bytes(segment.file.as_ref(), file.as_ref(), length, progress)
        .and_then(|hash| file.sync_data().map(|()| hash))
        .map_err(failed("copying to", &part))?;

    let copy = Segment {
        path: part.clone(),
        file,
        header: segment.header,
    };
    if let Some(of_copy) = damage(&copy, length, (next, chain))? {
        // Whose fault is it? The journal's own words are the ones that help.
        let of_journal = damage(segment, length, (next, chain))?;
        return Err(of_journal.map_or(BackupError::CopyDamaged(of_copy), BackupError::Damaged));
    }
    let whole = to.join(&name);
    disk.rename(&part, &whole)
        .map_err(failed("naming", &whole))?;
    Ok(BackupFile {
        name,
        bytes: length,
        blake3,
        first: segment.first_position(),
        last,
        epoch: segment.header.identity.epoch,
        chain: to_hex(&chain),
    })
}

/// Why a segment's blocks do not lead to its end, if they do not.
fn damage(
    segment: &Segment,
    length: u64,
    end: (Position, Chain),
) -> Result<Option<Corruption>, BackupError> {
    let scan = match scan(segment, length, i64::MIN, &mut |_, _| Ok(())) {
        Ok(scan) => scan,
        Err(ReadError::Corrupt(corruption)) => return Ok(Some(corruption)),
        Err(error @ ReadError::Unavailable { .. }) => return Err(unread(error)),
    };
    if let Some(why) = scan.stopped {
        return Ok(Some(segment.corrupt(scan.end, why)));
    }
    let why = "the segment does not end where the next one begins";
    let is_right = (scan.next_position, scan.chain) == end;
    Ok((!is_right).then(|| segment.corrupt(scan.end, why)))
}

/// Copies the first bytes of a file; gives their hash.
pub(super) fn copy_bytes(
    from: &dyn DiskFile,
    to: &dyn DiskFile,
    length: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < length {
        let bytes = chunk(from, offset, length)?;
        hasher.update(&bytes);
        to.write_all_at(&bytes, offset)?;
        offset += bytes.len() as u64;
        progress(offset);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The hash of a whole file.
pub(super) fn hash_file(file: &dyn DiskFile) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let (mut offset, length) = (0, file.len()?);
    while offset < length {
        let bytes = chunk(file, offset, length)?;
        hasher.update(&bytes);
        offset += bytes.len() as u64;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn chunk(file: &dyn DiskFile, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let left = usize::try_from(length - offset).unwrap_or(CHUNK_BYTES);
    let bytes = file.read_range(offset, left.min(CHUNK_BYTES))?;
    if bytes.is_empty() {
        let why = "the file became shorter while it was read";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(bytes)
}
