//! `airpost backup`, `verify-backup` and `restore`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use eventstore::{DataLock, Position};
use serde_json::Value;

use super::FINDINGS;
use super::derived::{refuse_among_derived, remove_derived};
use super::maintain::tell_findings;
use super::terminal::{Progress, Stopwatch, Unit, say};
use crate::environment::Environment;
use crate::membership;
use crate::service::Folders;

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct BackupOptions {
    /// The folder that holds the journal; a service may be running on it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// The backup's folder; made if it is missing. One that holds an earlier backup of the same
    /// log gets what is new.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyBackupOptions {
    /// The backup's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// What to restore, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreOptions {
    /// The backup's folder.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,

    /// The data folder to make; it must hold no journal.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// Restore no farther than this position: the last whole commit before it is the last one.
    #[arg(long, value_name = "POSITION")]
    to_position: Option<u64>,
}

/// Copies what is new.
pub(super) fn backup(options: &BackupOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.data).existing()?;
    // Before anything, be it a lock, is made there.
    eventstore::check_backup_place(&folders.journal, &options.to)?;
    // Two backups into one folder would remove each other's files.
    let _lock = DataLock::acquire(&options.to, "backup")?;
    let watch = Stopwatch::start();
    let progress = Progress::new("backup", Unit::Bytes);
    let now_us = Environment::system().now_us();
    let mut tell = |done, all| progress.at(done, all);
    let done = eventstore::backup(&folders.journal, &options.to, now_us, &mut tell);
    progress.end();
    let done = done?;
    let manifest = &done.manifest;
    say(format_args!(
        "backup: up to position {} of epoch {}, {} bytes in {} files; copied {} bytes in {} files, {}",
        manifest.head,
        manifest.epoch,
        manifest.bytes(),
        manifest.files.len(),
        done.bytes_copied,
        done.segments_copied,
        watch.rates(Some(done.bytes_copied), None),
    ));
    if done.files_kept() > 0 {
        say(format_args!(
            "backup: files kept from earlier backups without being read: {}; airpost verify-backup {} reads them",
            done.files_kept(),
            options.to.display(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks every byte.
pub(super) fn verify_backup(options: &VerifyBackupOptions) -> anyhow::Result<ExitCode> {
    let watch = Stopwatch::start();
    let progress = Progress::new("backup", Unit::Bytes);
    let check = eventstore::verify_backup(&options.folder, &mut |done, all| progress.at(done, all));
    progress.end();
    let check = match check {
        Ok(check) => check,
        Err(error @ eventstore::BackupError::Manifest { .. }) => {
            say(format_args!("backup: {error}"));
            return Ok(ExitCode::from(FINDINGS));
        }
        Err(error) => return Err(error.into()),
    };
    let (manifest, report) = (&check.manifest, &check.report);
    say(format_args!(
        "backup: {} records with {} events, {} bytes in {} files, head {} of epoch {}; {}",
        report.records,
        report.events,
        manifest.bytes(),
        manifest.files.len(),
        manifest.head,
        manifest.epoch,
        watch.rates(Some(manifest.bytes()), Some(report.records)),
    ));
    if report.findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tell_findings("backup", &report.findings);
    Ok(ExitCode::from(FINDINGS))
}

/// No manifest is longer.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whoever names a position that the backup does not reach takes it for a
/// later one. A manifest that cannot be read is the restore's to refuse.
fn refuse_beyond_head(options: &RestoreOptions) -> anyhow::Result<()> {
    let Some(to_position) = options.to_position else {
        return Ok(());
    };
    let manifest = File::open(options.from.join("manifest.json")).ok();
    let manifest = manifest.map(|file| BufReader::new(file.take(MANIFEST_BYTES_MAX)));
    let manifest = manifest.and_then(|file| serde_json::from_reader::<_, Value>(file).ok());
    let manifest = manifest.unwrap_or_default();
    let head = manifest.pointer("/manifest/head").and_then(Value::as_u64);
    if let Some(head) = head.filter(|head| to_position > *head) {
        bail!(
            "{}: the backup ends at position {head}, not {to_position}: restore to that position or before, or all of it without --to-position",
            options.from.display()
        );
    }
    Ok(())
}

/// Makes a data folder.
pub(super) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    if !options.from.is_dir() {
        bail!("{}: no backup is there", options.from.display());
    }
    refuse_beyond_head(options)?;
    let folders = Folders::of(&options.data);
    // Before the lock: a journal in use is in the way because it is there.
    eventstore::check_restore_place(&options.from, &folders.journal)?;
    refuse_among_derived(&folders, &options.from)?;
    let _lock = DataLock::acquire(&options.data, "restore")?;
    let watch = Stopwatch::start();
    let progress = Progress::new("restore", Unit::Bytes);
    let to_position = options.to_position.map(Position::new);
    let now_us = Environment::system().now_us();
    let mut tell = |done, all| progress.at(done, all);
    let staged = eventstore::stage_restore(
        &options.from,
        &folders.journal,
        to_position,
        now_us,
        &mut tell,
    );
    progress.end();
    let staged = staged?;
    remove_derived(&folders)?;
    // What is restored is no node's copy, whatever lay there before.
    membership::leave(&options.data)?;
    let restored = staged.install()?;
    say(format_args!(
        "restored: {} records with {} events up to position {}, {}; the log goes on in epoch {}, and the next start builds the views",
        restored.records,
        restored.events,
        restored.head,
        watch.rates(Some(restored.bytes), Some(restored.records)),
        restored.identity.epoch,
    ));
    if let Some(to_position) = to_position.filter(|to| *to > restored.head) {
        say(format_args!(
            "restored: position {to_position} lies within the commit that begins at {}, and a commit is restored whole or not at all",
            restored.head.next(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}
