//! An end that is not to be read is cut off; its bytes are kept for whoever wants to know.

use std::path::Path;

use super::segment::{Segment, TornHeader};
use crate::disk::{Disk, DiskFile, create_folders, failed};
use crate::error::OpenError;
use crate::position::Position;

/// Its name in the journal's folder.
const TORN_NAME: &str = "torn";
/// Most files of torn writes kept there; later ones are only logged.
const TORN_FILES_MAX: usize = 64;
/// How much is copied at once, bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What the bytes are that are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Torn {
    /// A write that was never acknowledged.
    Write,
    /// Acknowledged records that cannot be read any more: always kept.
    Records,
}

/// Keeps the bytes from `end` to `length`, then cuts them off.
pub(crate) fn cut(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    (end, length): (u64, u64),
    (torn, why): (Torn, &str),
) -> Result<(), OpenError> {
    let from = (segment.file.as_ref(), segment.first_position());
    let kept = keep(disk, folder, from, (end, length), torn)?;
    let file = segment.path.display();
    let bytes = length - end;
    match torn {
        Torn::Write => {
            tracing::warn!(%file, offset = end, bytes, why, kept, "cutting off a torn last write");
        }
        Torn::Records => {
            tracing::warn!(%file, offset = end, bytes, why, kept, "cutting off an unreadable end");
        }
    }
    segment
        .file
        .set_len(end)
        .and_then(|()| segment.file.sync_data())
        .map_err(failed("cutting the end off", &segment.path))
}

/// Keeps a damaged header, before it is given up.
pub(crate) fn keep_header(
    disk: &dyn Disk,
    folder: &Path,
    header: &TornHeader,
) -> Result<(), OpenError> {
    let from = (header.file.as_ref(), header.first_position);
    let length = header.bytes.len() as u64;
    let kept = keep(disk, folder, from, (0, length), Torn::Records)?;
    let file = header.path.display();
    tracing::warn!(%file, kept, "giving up a segment whose header is damaged");
    Ok(())
}

/// Gives the name of the file that has the bytes; empty if there are enough of them.
fn keep(
    disk: &dyn Disk,
    folder: &Path,
    (file, first): (&dyn DiskFile, Position),
    (end, length): (u64, u64),
    what: Torn,
) -> Result<String, OpenError> {
    let torn = folder.join(TORN_NAME);
    create_folders(disk, &torn).map_err(failed("creating", &torn))?;
    let there = disk.names(&torn).map_err(failed("listing", &torn))?.len();
    if there >= TORN_FILES_MAX && what == Torn::Write {
        return Ok(String::new());
    }
    let first = first.get();
    let name = format!("{first:020}-{end}-{there}.bytes");
    let path = torn.join(&name);
    let write = || {
        let kept = disk.create(&path)?;
        let mut from = end;
        while from < length {
            let bytes = usize::try_from(length - from).unwrap_or(CHUNK_BYTES);
            let bytes = file.read_range(from, bytes.min(CHUNK_BYTES))?;
            if bytes.is_empty() {
                break;
            }
            kept.write_all_at(&bytes, from - end)?;
            from += bytes.len() as u64;
        }
        kept.sync_data()?;
        disk.sync_folder(&torn)
    };
    write().map_err(failed("keeping a torn end in", &path))?;
    Ok(name)
}
