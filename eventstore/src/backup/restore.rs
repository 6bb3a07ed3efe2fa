//! A journal made from a backup: filled beside its place, checked, and only
//! then put there, under a new epoch.

use std::path::{Path, PathBuf};

use super::copy::{copy_bytes, hash_file};
use super::manifest::PART_SUFFIX;
use super::{BackupError, BackupFile, BackupManifest, check_restore_place, manifest};
use crate::disk::{Disk, DiskFile, RealDisk, create_folders, has_no_space};
use crate::error::{Corruption, OpenError};
use crate::history::epoch_after;
use crate::journal::block::{Block, BlockBuilder, Chain};
use crate::journal::recovery::{begin_epoch, staging_folders};
use crate::journal::segment::{
    BlockCursor, BlockError, FIRST_BLOCK_OFFSET, corruption, segment_name,
};
use crate::journal::verify::VerifyReport;
use crate::position::{LogIdentity, Position};
use crate::record;

/// How much is read at once when a segment is cut, bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The log, and the epoch in which it goes on.
    pub identity: LogIdentity,
    /// The last position that was restored.
    pub head: Position,
    /// Records restored.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of segments.
    pub bytes: u64,
}

/// Why nothing was restored. There is no journal where none was before.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there already.
    #[error("{}: there is a journal already; restore into a folder without one", journal.display())]
    Occupied {
        /// The journal's folder.
        journal: PathBuf,
    },
    /// The journal would lie in the backup, or the backup lies in its place.
    #[error("{} and {} lie in one another: restore into a folder outside the backup", backup.display(), journal.display())]
    Nested {
        /// The backup's folder.
        backup: PathBuf,
        /// The journal's folder.
        journal: PathBuf,
    },
    /// An import into this place was begun and not finished.
    #[error("{}: an import was begun here; finish it, or remove that folder", staging.display())]
    Importing {
        /// What there is of it.
        staging: PathBuf,
    },
    /// The backup is not as it was written.
    #[error("{0}; nothing was restored: use another backup")]
    Damaged(Corruption),
    /// The disk has no room for the journal.
    #[error("{doing}: {source}; no journal was made, what was copied is in {}: free some space and restore again, which goes on from there, or remove that folder", staging.display())]
    Full {
        /// What was being done, with the path.
        doing: String,
        /// The operating system's words.
        source: std::io::Error,
        /// What there is of it.
        staging: PathBuf,
    },
    /// The backup cannot be read, or the disk cannot be written.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The disk cannot be written.
    #[error(transparent)]
    Disk(#[from] OpenError),
}

/// Makes a journal from a backup, in a folder that is not there yet or empty.
///
/// The same as [`stage_restore`] and at once [`StagedRestore::install`].
///
/// # Errors
/// [`RestoreError`].
pub fn restore(
    from: &Path,
    journal: &Path,
    to_position: Option<Position>,
    now_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, RestoreError> {
    stage_restore(from, journal, to_position, now_us, progress)?.install()
}

/// A journal that is complete, and lies beside its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is restored until it is installed"]
pub struct StagedRestore {
    staging: PathBuf,
    journal: PathBuf,
    restored: Restored,
}

/// Makes a journal from a backup, beside a folder that is not there yet or empty.
///
/// Every hash, every record and the chain are checked here: what the caller
/// does between this and the installation is done for a journal that is whole.
/// It holds the records up to the backup's head, or up to the last commit that
/// ends at `to_position` or before, and goes on in a new epoch. Interrupted, no
/// journal is there, a journal is not begun there by opening it either, and
/// the same call goes on. `progress` is told the bytes done and in all. Nobody
/// else may use the folder.
///
/// `now_us` is the caller's clock, microseconds since the Unix epoch. The new
/// epoch's number is its second, if that is later than the backup's, so that
/// two logs restored from one backup are told apart by whoever holds tokens.
/// Not so if both are restored within one second, or with a clock that is wrong.
///
/// # Errors
/// [`RestoreError`].
pub fn stage_restore(
    from: &Path,
    journal: &Path,
    to_position: Option<Position>,
    now_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<StagedRestore, RestoreError> {
    check_restore_place(from, journal)?;
    stage_on(&RealDisk, from, journal, (to_position, now_us), progress)
}

/// The same, on a disk that may fail.
fn stage_on(
    disk: &dyn Disk,
    from: &Path,
    journal: &Path,
    to_position_and_clock: (Option<Position>, i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<StagedRestore, RestoreError> {
    let staged = stage_all(disk, from, journal, to_position_and_clock, progress);
    staged.map_err(|error| {
        let RestoreError::Disk(OpenError::Io { doing, source }) = error else {
            return error;
        };
        if !has_no_space(&source) {
            return OpenError::Io { doing, source }.into();
        }
        let [staging, _] = staging_folders(journal);
        RestoreError::Full {
            doing,
            source,
            staging,
        }
    })
}

fn stage_all(
    disk: &dyn Disk,
    from: &Path,
    journal: &Path,
    (to_position, now_us): (Option<Position>, i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<StagedRestore, RestoreError> {
    let mut backup = manifest::read_existing(disk, from)?;
    let [staging, importing] = staging_folders(journal);
    refuse_occupied(disk, journal, importing)?;
    let identity = LogIdentity {
        log_id: backup.log_id,
        epoch: epoch_after(backup.epoch, now_us),
    };
    if let Some(to_position) = to_position.filter(|to| *to < backup.head) {
        backup.cut_behind(to_position);
    }
    create_folders(disk, &staging).map_err(io("creating", &staging))?;
    remove_strangers(disk, &staging, &backup)?;
    let sizes = 2 * backup.bytes();
    stage(disk, from, &staging, &backup, &mut |done| {
        progress(done, sizes);
    })?;
    let staged = check(disk, (from, &staging), &backup, &mut |done| {
        progress(sizes / 2 + done, sizes);
    })?;

    let mut end = (staged.head, staged.chain);
    if let Some(to_position) = to_position.filter(|to| *to < staged.head)
        && let Some(last) = backup.files.last()
    {
        let path = staging.join(segment_name(last.first));
        end = cut(disk, &path, last, to_position)?;
    }
    begin_epoch(disk, &staging, identity, end)?;
    // After a cut the end is read once more.
    let report = if end.0 < staged.head {
        VerifyReport::of_copies(disk, &staging, &names(&backup), &mut |_, _| ())
            .map_err(io("reading", &staging))?
    } else {
        staged
    };
    Ok(StagedRestore {
        staging,
        journal: journal.to_owned(),
        restored: Restored {
            identity,
            head: end.0,
            records: report.records,
            events: report.events,
            bytes: report.bytes,
        },
    })
}

impl StagedRestore {
    /// Puts the journal into its place, durably.
    ///
    /// # Errors
    /// When the operating system refuses. Then it is restored anew, but where
    /// the place is told to be taken: the journal is there, and opening it
    /// makes that durable.
    pub fn install(self) -> Result<Restored, RestoreError> {
        self.install_on(&RealDisk)
    }

    /// The same, on a disk that may fail.
    fn install_on(self, disk: &dyn Disk) -> Result<Restored, RestoreError> {
        let journal = &self.journal;
        disk.rename(&self.staging, journal)
            .map_err(io("putting into its place", journal))?;
        let parent = journal.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_folder(parent).map_err(io("syncing", parent))?;
        Ok(self.restored)
    }
}

/// [`restore`] on a disk that may fail.
#[cfg(test)]
pub(crate) fn restore_on(
    disk: &dyn Disk,
    from: &Path,
    journal: &Path,
    (to_position, now_us): (Option<Position>, i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, RestoreError> {
    stage_on(disk, from, journal, (to_position, now_us), progress)?.install_on(disk)
}

pub(super) fn refuse_occupied(
    disk: &dyn Disk,
    journal: &Path,
    importing: PathBuf,
) -> Result<(), RestoreError> {
    let is_there = |path: &Path| disk.exists(path).map_err(io("looking for", path));
    if is_there(&importing)? {
        return Err(RestoreError::Importing { staging: importing });
    }
    if is_there(journal)? {
        let names = disk.names(journal).map_err(io("listing", journal))?;
        if !names.is_empty() {
            let journal = journal.to_owned();
            return Err(RestoreError::Occupied { journal });
        }
    }
    Ok(())
}

/// What an interrupted restore of something else has left.
fn remove_strangers(
    disk: &dyn Disk,
    staging: &Path,
    backup: &BackupManifest,
) -> Result<(), RestoreError> {
    let wanted: Vec<_> = backup.files.iter().map(|f| segment_name(f.first)).collect();
    for name in disk.names(staging).map_err(io("listing", staging))? {
        if !wanted.contains(&name) {
            let path = staging.join(name);
            disk.remove(&path).map_err(io("removing", &path))?;
        }
    }
    Ok(())
}

/// Copies every file that is not there yet, and holds each against its hash.
/// What bears its name was durable before it got it.
fn stage(
    disk: &dyn Disk,
    from: &Path,
    staging: &Path,
    backup: &BackupManifest,
    progress: &mut dyn FnMut(u64),
) -> Result<(), RestoreError> {
    let mut done = 0;
    for file in &backup.files {
        let (source, target) = (
            from.join(&file.name),
            staging.join(segment_name(file.first)),
        );
        if !is_staged(disk, &target, file)? {
            let damaged = |why: String| RestoreError::Damaged(corruption(&source, 0, why));
            if !disk.exists(&source).map_err(io("looking for", &source))? {
                return Err(damaged("the file is missing".to_owned()));
            }
            let original = disk.open_to_read(&source).map_err(io("opening", &source))?;
            let length = original.len().map_err(io("measuring", &source))?;
            if length != file.bytes {
                let bytes = file.bytes;
                let why = format!("the file has {length} bytes, the manifest says {bytes}");
                return Err(damaged(why));
            }
            // Under another name until it is durable: after a sync that failed
            // a reader sees bytes that the disk does not hold, and no later
            // sync says so.
            let part = staging.join(format!("{}{PART_SUFFIX}", segment_name(file.first)));
            let copy = disk.create(&part).map_err(io("creating", &part))?;
            let hash = copy_bytes(original.as_ref(), copy.as_ref(), length, &mut |bytes| {
                progress(done + bytes);
            });
            let hash = hash.map_err(io("copying to", &part))?;
            if hash != file.blake3 {
                let why = "its BLAKE3 hash is not the one in the manifest";
                return Err(damaged(why.to_owned()));
            }
            copy.sync_data().map_err(io("making durable", &part))?;
            disk.rename(&part, &target).map_err(io("naming", &target))?;
        }
        done += file.bytes;
        progress(done);
    }
    disk.sync_folder(staging).map_err(io("syncing", staging))?;
    Ok(())
}

fn is_staged(disk: &dyn Disk, target: &Path, file: &BackupFile) -> Result<bool, RestoreError> {
    if !disk.exists(target).map_err(io("looking for", target))? {
        return Ok(false);
    }
    let open = disk.open_to_read(target).map_err(io("opening", target))?;
    let has_length = open.len().map_err(io("measuring", target))? == file.bytes;
    Ok(has_length && hash_file(open.as_ref()).map_err(io("reading", target))? == file.blake3)
}

/// Reads every record of what is staged, and holds its end against the manifest.
fn check(
    disk: &dyn Disk,
    (from, staging): (&Path, &Path),
    backup: &BackupManifest,
    progress: &mut dyn FnMut(u64),
) -> Result<VerifyReport, RestoreError> {
    let report = VerifyReport::of_copies(disk, staging, &names(backup), &mut |done, _| {
        progress(done);
    });
    let mut report = report.map_err(io("reading", staging))?;
    if let Some(finding) = report.findings.pop() {
        return Err(RestoreError::Damaged(finding.corruption));
    }
    if backup.agrees_with(&report) {
        Ok(report)
    } else {
        let why = "the copies end elsewhere than it says";
        Err(RestoreError::Damaged(manifest::corrupt(from, why)))
    }
}

fn names(backup: &BackupManifest) -> Vec<(Position, String)> {
    let files = backup.files.iter();
    files
        .map(|file| (file.first, segment_name(file.first)))
        .collect()
}

/// Cuts a staged segment behind the last commit that ends at a position or
/// before; gives where it ends then.
fn cut(
    disk: &dyn Disk,
    path: &Path,
    file: &BackupFile,
    to_position: Position,
) -> Result<(Position, Chain), RestoreError> {
    let open = disk.open(path).map_err(io("opening", path))?;
    let unread = |error| match error {
        BlockError::Io(error) => RestoreError::from(io("reading", path)(error)),
        BlockError::Invalid { offset, why } => RestoreError::Damaged(corruption(path, offset, why)),
    };
    let header = open
        .read_range(0, crate::journal::segment::SEGMENT_HEADER_BYTES)
        .map_err(io("reading", path))?;
    let header = crate::journal::segment::SegmentHeader::decode(&header).map_err(|_| {
        RestoreError::Damaged(corruption(path, 0, "its header cannot be read any more"))
    })?;
    let start = (FIRST_BLOCK_OFFSET, file.first);
    let mut blocks = BlockCursor::new(open.as_ref(), start, file.bytes, CHUNK_BYTES);
    let (mut head, mut chain) = (Position::new(file.first.get() - 1), header.chain);
    let (mut length, mut rest) = (FIRST_BLOCK_OFFSET, None);
    while let Some((offset, block)) = blocks.next().map_err(unread)? {
        if block.next_position() > to_position.next() {
            let shorter = shorter_block(&block, to_position);
            rest = shorter.map_err(|why| RestoreError::Damaged(corruption(path, offset, why)))?;
            break;
        }
        head = block.head();
        chain = block.chain;
        length = offset + block.length as u64;
    }
    if let Some((mut builder, records)) = rest {
        let (bytes, after) = builder.seal(head.next(), &chain);
        write_end(open.as_ref(), bytes, length).map_err(io("cutting", path))?;
        Ok((head.plus(records), after))
    } else {
        write_end(open.as_ref(), &[], length).map_err(io("cutting", path))?;
        Ok((head, chain))
    }
}

fn write_end(file: &dyn DiskFile, block: &[u8], offset: u64) -> std::io::Result<()> {
    file.set_len(offset)?;
    file.write_all_at(block, offset)?;
    file.sync_data()
}

/// A block of the commits that end at a position or before, if there are any.
fn shorter_block(
    block: &Block<'_>,
    to_position: Position,
) -> Result<Option<(BlockBuilder, u64)>, &'static str> {
    let mut builder = BlockBuilder::new();
    builder.clear();
    let (mut taken, mut commit) = (0, Vec::new());
    let mut position = block.first_position;
    for item in block.bodies() {
        let (_, body) = item?;
        if position > to_position {
            break;
        }
        let headline = record::headline(body)?;
        commit.push(body);
        if headline.place.place + 1 == headline.place.records {
            for body in commit.drain(..) {
                builder.push(|out| out.extend_from_slice(body));
                taken += 1;
            }
        }
        position = position.next();
    }
    Ok((taken > 0).then_some((builder, taken)))
}

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    crate::disk::failed(doing, path)
}
