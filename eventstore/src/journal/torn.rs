//! A torn last write is cut off; its bytes are kept for whoever wants to know.

use std::path::Path;

use super::segment::Segment;
use crate::disk::{Disk, create_folders, failed};
use crate::error::OpenError;

/// Its name in the journal's folder.
const TORN_NAME: &str = "torn";
/// Most files kept there; later torn writes are only logged.
const TORN_FILES_MAX: usize = 64;

/// Keeps the bytes from `end` to `length`, then cuts them off.
pub(crate) fn cut(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    (end, length): (u64, u64),
    why: &str,
) -> Result<(), OpenError> {
    let kept = keep(disk, folder, segment, (end, length))?;
    let file = segment.path.display();
    let bytes = length - end;
    tracing::warn!(%file, offset = end, bytes, why, kept, "cutting off a torn last write");
    segment
        .file
        .set_len(end)
        .and_then(|()| segment.file.sync_data())
        .map_err(failed("cutting a torn write off", &segment.path))
}

/// Gives the name of the file that has the bytes; empty if there are enough of them.
fn keep(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    (end, length): (u64, u64),
) -> Result<String, OpenError> {
    let torn = folder.join(TORN_NAME);
    create_folders(disk, &torn).map_err(failed("creating", &torn))?;
    let there = disk.names(&torn).map_err(failed("listing", &torn))?.len();
    if there >= TORN_FILES_MAX {
        return Ok(String::new());
    }
    let first = segment.first_position().get();
    let name = format!("{first:020}-{end}-{there}.bytes");
    let path = torn.join(&name);
    let bytes = usize::try_from(length - end).unwrap_or(usize::MAX);
    let write = || {
        let bytes = segment.file.read_range(end, bytes)?;
        let file = disk.create(&path)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        disk.sync_folder(&torn)
    };
    write().map_err(failed("keeping a torn write in", &path))?;
    Ok(name)
}
