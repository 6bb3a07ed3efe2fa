//! What a folder holds: checked, opened, read to the end and told.

use std::io::Read;
use std::path::Path;

use tests::{Load, Sent, Shown};

use crate::random::everything;
use crate::snapshots;
use crate::told::Told;

/// Verifies, opens, tells every commit, says `shown`, waits until its
/// standard input ends, closes, and verifies again.
pub(crate) fn show(data: &Path, load: Load, told: &mut Told) -> Result<(), String> {
    verify(data, "before it was opened")?;
    let journal = crate::open(data, load).map_err(|error| format!("to open: {error}"))?;
    let records = everything(&journal)?;
    let shown = Shown::of(load, &records)?;
    snapshots::check(data, &journal, &records)?;
    for (Sent { caller, number }, place) in &shown.commits {
        let (first, last) = (place.first, place.last);
        told.say(&format!("commit {caller} {number} {first} {last}"));
    }
    show_backup(data, told)?;
    show_restored(data, load, told)?;
    told.say(&format!("shown {}", shown.head));
    let ended = std::io::stdin().read_to_end(&mut Vec::new());
    ended.map_err(|error| error.to_string())?;
    journal.close();
    verify(data, "after it was closed")?;
    told.say("closed");
    Ok(())
}

/// What a manifest tells of is there and sound, whenever the power went.
fn show_backup(data: &Path, told: &Told) -> Result<(), String> {
    let folder = crate::backup_folder(data);
    if !folder.join("manifest.json").exists() {
        return Ok(());
    }
    let check = eventstore::verify_backup(&folder, &mut |_, _| {});
    let check = check.map_err(|error| format!("to verify the backup: {error}"))?;
    match check.report.findings.first() {
        None => {
            told.say(&format!("backup {}", check.manifest.head));
            Ok(())
        }
        Some(finding) => Err(format!("the backup: {}", finding.corruption)),
    }
}

/// A restored journal is there as a whole, or not at all.
fn show_restored(data: &Path, load: Load, told: &Told) -> Result<(), String> {
    let folder = crate::restored_folder(data);
    if !folder.exists() {
        return Ok(());
    }
    let journal = crate::open_at(&folder, load);
    let journal = journal.map_err(|error| format!("to open what was restored: {error}"))?;
    let shown = Shown::of(load, &everything(&journal)?)?;
    journal.close();
    told.say(&format!("restored {}", shown.head));
    Ok(())
}

/// A cut may come before there is a journal at all.
fn verify(data: &Path, when: &str) -> Result<(), String> {
    let folder = crate::journal_folder(data);
    if !folder.exists() {
        return Ok(());
    }
    let report = eventstore::verify(&folder, &mut |_, _| {});
    let report = report.map_err(|error| format!("to verify {when}: {error}"))?;
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => Err(format!(
            "verify {when}: {}; {}",
            finding.corruption, finding.advice
        )),
    }
}
