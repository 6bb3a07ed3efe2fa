//! Copies of a journal that is in use, and journals made from them.
//!
//! ```text
//! backup/manifest.json                     what the backup holds; written last, at once
//! backup/<first>-<last position>.seg       a segment as it was, up to that position
//! ```
//! A sealed segment never changes, so it is copied once; the last one is cut at
//! its last whole block and copied anew under a new name as long as it grows.
//! Until a new manifest is in place the one before it stays true.

mod place;
mod manifest;
mod copy;
mod restore;

use std::path::{Path, PathBuf};

pub use manifest::{BackupFile, BackupManifest};
pub use place::{check_backup_place, check_restore_place};
#[cfg(test)]
pub(crate) use restore::restore_on;
pub use restore::{RestoreError, Restored, StagedRestore, restore, stage_restore};

use crate::disk::{Disk, RealDisk, create_folders, has_no_space};
use crate::error::{Corruption, OpenError};
use crate::history::Standing;
use crate::journal::JournalReader;
use crate::journal::verify::{Finding, VerifyReport};
use crate::position::{LogIdentity, Position};
use copy::{copy_segment, hash_file};
use manifest::{backup_name, is_ours};

/// After how many copied segments the manifest is replaced: what an
/// interruption costs at most, and 1 GiB of ordinary segments.
const SEGMENTS_PER_MANIFEST: usize = 16;

const ANOTHER_BACKUP: &str =
    "do not restore from it: use another backup, or take a new one into another folder";

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// What the folder holds now.
    pub manifest: BackupManifest,
    /// Segments that were copied.
    pub segments_copied: u64,
    /// Bytes of them.
    pub bytes_copied: u64,
}

impl BackedUp {
    /// Copies of earlier backups that were kept because they still have their
    /// length: that their bytes are still the ones that were written is for
    /// [`verify_backup`] to say.
    #[must_use]
    pub fn files_kept(&self) -> u64 {
        let files = self.manifest.files.len() as u64;
        files.saturating_sub(self.segments_copied)
    }
}

/// Why a backup was not taken. The manifest before it, if there is one, still holds.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(OpenError),
    /// A segment of the journal is damaged.
    #[error(
        "{0}; the journal itself is damaged, and copying it does not help: stop the server and restore from the backup before this one, which is as it was"
    )]
    Damaged(Corruption),
    /// What was copied cannot be read as it was written.
    #[error(
        "{0}; the journal is sound, the copy is not: back up onto another disk; the backup before this one is as it was"
    )]
    CopyDamaged(Corruption),
    /// The folder is the journal's own, or lies in it.
    #[error("{}: a backup that lies with the journal goes where the journal goes; back up into another folder", folder.display())]
    InJournal {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has no manifest, or not what was written there.
    #[error("{}: {why}; {advice}", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// What does not hold.
        why: String,
        /// What the operator can do about it.
        advice: &'static str,
    },
    /// The folder holds a backup of another log.
    #[error(
        "the folder holds a backup of log {backup}, the journal is log {journal}: back up into another folder"
    )]
    OtherLog {
        /// Of the backup.
        backup: uuid::Uuid,
        /// Of the journal.
        journal: uuid::Uuid,
    },
    /// The folder holds records that the journal does not.
    #[error(
        "the backup goes up to position {backup} of epoch {epoch}, and the journal does not hold all of that any more: keep that backup, since it may be the only copy, and back up into another folder"
    )]
    NotAPrefix {
        /// Where the backup ends.
        backup: Position,
        /// Its epoch.
        epoch: u32,
    },
    /// The disk has no room for the backup.
    #[error(
        "{doing}: {source}; the backup before this one, if there was one, is as it was: free some space there and back up again, or back up into another folder"
    )]
    Full {
        /// What was being done, with the path.
        doing: String,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io { doing, source } => Self::Io { doing, source },
            OpenError::Locked { .. }
            | OpenError::Corrupt(_)
            | OpenError::CorruptEnd(_)
            | OpenError::Regressed { .. }
            | OpenError::Unfinished { .. }
            | OpenError::Format { .. } => Self::Journal(error),
        }
    }
}

/// Copies a journal into a folder, which is made if it is missing, and which
/// may hold an earlier backup of the same log: then only what is new is copied.
///
/// The journal may be in use. The backup ends at the last whole block that was
/// there when it began, and holds nothing that is not durable in the journal.
/// `created_at_us` is the caller's clock, microseconds since the Unix epoch.
/// `progress` is told the bytes copied and to copy. One at a time may write to
/// a folder: that is for the caller to see to.
///
/// Interrupted at any point, the manifest before is still true, and the next
/// call goes on.
///
/// # Errors
/// [`BackupError`].
pub fn backup(
    journal: &Path,
    to: &Path,
    created_at_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError> {
    check_backup_place(journal, to)?;
    backup_on(&RealDisk, journal, to, created_at_us, progress)
}

/// The same, on a disk that may fail.
pub(crate) fn backup_on(
    disk: &dyn Disk,
    journal: &Path,
    to: &Path,
    created_at_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError> {
    let source = JournalReader::open_on(disk, journal)?;
    create_folders(disk, to).map_err(failed("creating", to))?;
    let before = manifest::read(disk, to)?;
    let kept = kept_files(disk, &source, to, before.as_ref())?;
    let lengths = (0..source.segments().len()).map(|at| source.length_of(at));
    let lengths: Vec<u64> = lengths
        .collect::<Result<_, _>>()
        .map_err(failed("measuring the segments in", journal))?;
    let missing = lengths.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
    let bytes_all = missing.map(|(length, _)| length).sum();

    let mut report = BackedUp {
        manifest: BackupManifest::new(source.history().identity(), created_at_us),
        segments_copied: 0,
        bytes_copied: 0,
    };
    let mut unwritten = 0;
    for (at, (kept, length)) in kept.into_iter().zip(lengths).enumerate() {
        if let Some(file) = kept {
            report.manifest.push(file);
            continue;
        }
        let done = report.bytes_copied;
        let file = copy_segment(disk, &source, (at, length), to, &mut |bytes| {
            progress(done + bytes, bytes_all);
        })?;
        report.manifest.push(file);
        report.segments_copied += 1;
        report.bytes_copied += length;
        unwritten += 1;
        if unwritten >= SEGMENTS_PER_MANIFEST {
            manifest::write(disk, to, &report.manifest)?;
            unwritten = 0;
        }
    }
    manifest::write(disk, to, &report.manifest)?;
    remove_leftovers(disk, to, &report.manifest)?;
    Ok(report)
}

/// For each segment of the journal its copy in the folder, where that is what
/// the segment is now. Refuses a folder that holds anything else.
fn kept_files(
    disk: &dyn Disk,
    source: &JournalReader,
    to: &Path,
    before: Option<&BackupManifest>,
) -> Result<Vec<Option<BackupFile>>, BackupError> {
    let mut kept = vec![None; source.segments().len()];
    let Some(before) = before else {
        return Ok(kept);
    };
    let journal = source.history().identity().log_id;
    if before.log_id != journal {
        let backup = before.log_id;
        return Err(BackupError::OtherLog { backup, journal });
    }
    let diverged = || BackupError::NotAPrefix {
        backup: before.head,
        epoch: before.epoch,
    };
    let identity = before.identity();
    if source.history().judge(identity, before.head, source.head()) != Standing::Valid {
        return Err(diverged());
    }
    for (at, file) in before.files.iter().enumerate() {
        let segment = source.segments().get(at).ok_or_else(diverged)?;
        if segment.first_position() != file.first {
            return Err(diverged());
        }
        let (next, chain) = source.end_of(at);
        if (file.last.next(), file.chain_bytes()) == (next, Some(chain)) {
            // A segment without a record may have given way to a later epoch's.
            let is_same = segment.header.identity.epoch == file.epoch;
            let is_there = file_length(disk, &to.join(&file.name))? == Some(file.bytes);
            if let Some(kept) = kept.get_mut(at)
                && is_same
                && is_there
            {
                *kept = Some(file.clone());
            }
            continue;
        }
        let was = source.chain_at(at, file.last).map_err(unread)?;
        let has_grown = at + 1 == before.files.len() && was.is_some() && was == file.chain_bytes();
        if !has_grown {
            return Err(diverged());
        }
    }
    Ok(kept)
}

fn file_length(disk: &dyn Disk, path: &Path) -> Result<Option<u64>, BackupError> {
    if !disk.exists(path).map_err(failed("looking for", path))? {
        return Ok(None);
    }
    let length = disk.open_to_read(path).and_then(|file| file.len());
    length.map(Some).map_err(failed("measuring", path))
}

/// Copies that no manifest names any more, and halves of an interrupted run.
fn remove_leftovers(
    disk: &dyn Disk,
    to: &Path,
    manifest: &BackupManifest,
) -> Result<(), BackupError> {
    for name in disk.names(to).map_err(failed("listing", to))? {
        let is_named = manifest.files.iter().any(|file| file.name == name);
        if is_ours(&name) && !is_named {
            let path = to.join(name);
            disk.remove(&path).map_err(failed("removing", &path))?;
        }
    }
    Ok(())
}

/// What a check of a backup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCheck {
    /// What the folder should hold.
    pub manifest: BackupManifest,
    /// What the copies hold, and everything that is wrong.
    pub report: VerifyReport,
}

/// Checks a backup: the manifest, every file's hash, and every record in them.
/// Changes nothing. `progress` is told the bytes done and in all.
///
/// # Errors
/// [`BackupError`], if there is no manifest that can be read, or the operating
/// system refuses; what is wrong with the copies is a finding.
pub fn verify_backup(
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupCheck, BackupError> {
    verify_backup_on(&RealDisk, folder, progress)
}

/// The same, on a disk that may fail.
pub(crate) fn verify_backup_on(
    disk: &dyn Disk,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupCheck, BackupError> {
    let manifest = manifest::read_existing(disk, folder)?;
    let mut findings = Vec::new();
    // Every byte is read twice: once for its hash, once for what it says.
    let all = 2 * manifest.bytes();
    let (mut done, mut sound) = (0, Vec::new());
    for file in &manifest.files {
        match check_file(disk, folder, file)? {
            None => sound.push((file.first, file.name.clone())),
            Some(corruption) => findings.push(Finding {
                corruption,
                advice: ANOTHER_BACKUP,
            }),
        }
        done += file.bytes;
        progress(done, all);
    }
    let mut report = if findings.is_empty() {
        let report = VerifyReport::of_copies(disk, folder, &sound, &mut |bytes, _| {
            progress(done + bytes, all);
        });
        report.map_err(failed("reading", folder))?
    } else {
        VerifyReport::default()
    };
    for finding in &mut report.findings {
        finding.advice = ANOTHER_BACKUP;
    }
    if findings.is_empty() && report.findings.is_empty() && !manifest.agrees_with(&report) {
        findings.push(Finding {
            corruption: manifest::corrupt(folder, "the copies end elsewhere than it says"),
            advice: ANOTHER_BACKUP,
        });
    }
    report.findings.extend(findings);
    Ok(BackupCheck { manifest, report })
}

/// What is wrong with a copy, if anything is.
fn check_file(
    disk: &dyn Disk,
    folder: &Path,
    file: &BackupFile,
) -> Result<Option<Corruption>, BackupError> {
    let path = folder.join(&file.name);
    let corrupt = |why: String| Corruption {
        file: path.clone(),
        offset: 0,
        why,
    };
    match file_length(disk, &path)? {
        None => return Ok(Some(corrupt("the file is missing".to_owned()))),
        Some(length) if length != file.bytes => {
            let bytes = file.bytes;
            let why = format!("the file has {length} bytes, the manifest says {bytes}");
            return Ok(Some(corrupt(why)));
        }
        Some(_) => {}
    }
    let hash = disk
        .open_to_read(&path)
        .and_then(|open| hash_file(open.as_ref()))
        .map_err(failed("reading", &path))?;
    let why = "its BLAKE3 hash is not the one in the manifest".to_owned();
    Ok((hash != file.blake3).then(|| corrupt(why)))
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let doing = format!("{doing} {}", path.display());
    move |source| {
        if has_no_space(&source) {
            BackupError::Full { doing, source }
        } else {
            BackupError::Io { doing, source }
        }
    }
}

fn unread(error: crate::ReadError) -> BackupError {
    match error {
        crate::ReadError::Corrupt(corruption) => BackupError::Damaged(corruption),
        crate::ReadError::Unavailable { why } => BackupError::Io {
            doing: "reading the journal".to_owned(),
            source: std::io::Error::other(why),
        },
    }
}

#[cfg(test)]
mod tests;
