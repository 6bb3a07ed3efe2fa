//! `airpost verify` and `airpost rebuild`: for when the service does not run.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use eventstore::{DataLock, EventStore as _, Journal, JournalOptions, OpenError, Standing};
use projections::{Advance, Difference, Finding, ViewsOptions};

use super::terminal::{Progress, Stopwatch, Unit, say};
use super::{FINDINGS, FolderOptions};
use crate::environment::Environment;
use crate::service::{Folders, open_log};

/// Checks the journal, then the views against it. Beside a running service
/// the journal alone: the views are in its hands.
pub(super) fn verify(options: &FolderOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.data).existing()?;
    let lock = match DataLock::acquire(&options.data) {
        Ok(lock) => Some(lock),
        Err(OpenError::Locked { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let watch = Stopwatch::start();
    let progress = Progress::new("journal", Unit::Bytes);
    let report = eventstore::verify(&folders.journal, &mut |done, all| progress.at(done, all))
        .with_context(|| folders.journal.display().to_string())?;
    progress.end();
    let eventstore::VerifyReport {
        segments,
        records,
        events,
        bytes,
        head,
        ..
    } = report;
    let rates = watch.rates(Some(bytes), Some(records));
    say(format_args!(
        "journal: {records} records with {events} events, {bytes} bytes in {segments} segments, head {head}; {rates}"
    ));
    if report.in_flight_bytes > 0 {
        let what = match lock {
            Some(_) => "are a torn last write; they are cut off, as at every start",
            None => "are being written at this moment",
        };
        let bytes = report.in_flight_bytes;
        say(format_args!("journal: {bytes} bytes at the end {what}"));
    }
    if !report.findings.is_empty() {
        tell_findings("journal", &report.findings);
        say("views: not checked, since the journal is not in order");
        return Ok(ExitCode::from(FINDINGS));
    }
    if lock.is_none() {
        say("views: not checked, since a service is running on them");
        return Ok(ExitCode::SUCCESS);
    }
    verify_views(options, &folders)
}

/// Says what is wrong, where, and what can be done.
pub(super) fn tell_findings(what: &str, findings: &[eventstore::Finding]) {
    for finding in findings {
        let (corruption, advice) = (&finding.corruption, finding.advice);
        say(format_args!("{what}: {corruption}: {advice}"));
    }
}

fn verify_views(options: &FolderOptions, folders: &Folders) -> anyhow::Result<ExitCode> {
    if !folders.views.exists() {
        say("views: there are none; the next start builds them");
        return Ok(ExitCode::SUCCESS);
    }
    let journal = open_journal(folders)?;
    let watch = Stopwatch::start();
    let progress = Progress::new("views", Unit::Things("records"));
    let verification = projections::verify(
        &folders.views,
        journal.as_ref(),
        views_options(options),
        &mut |advance| {
            show(&progress, advance);
        },
    );
    progress.end();
    let journal_records = journal.head().borrow().get();
    journal.close();
    let verification = verification.with_context(|| {
        format!(
            "{}: rebuild them with airpost rebuild",
            folders.views.display()
        )
    })?;
    for finding in &verification.findings {
        let Finding {
            view,
            key_hex,
            difference,
        } = finding;
        say(format_args!(
            "views: {view}, key {key_hex}: {}",
            in_words(difference)
        ));
    }
    if verification.is_clean() {
        let entries = verification.entries_agreeing;
        say(format_args!(
            "views: {entries} entries are what the journal says; {}",
            watch.rates(None, Some(journal_records))
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let is_ahead = |finding: &Finding| matches!(finding.difference, Difference::Ahead { .. });
    if verification.findings.iter().any(is_ahead) {
        // Built anew they would no longer tell that something is missing.
        say("views: do not rebuild them, they are what tells what is missing");
    } else {
        say(format_args!(
            "views: {} entries are not what the journal says: rebuild them with airpost rebuild",
            verification.findings_total
        ));
    }
    Ok(ExitCode::from(FINDINGS))
}

/// Values are not shown: they hold people's names and addresses.
fn in_words(difference: &Difference) -> String {
    match difference {
        Difference::Missing => "the entry is missing".to_owned(),
        Difference::Unexpected => "the entry should not be there".to_owned(),
        Difference::Value { .. } => "the entry has another value".to_owned(),
        Difference::OtherLog => "the view is of another log".to_owned(),
        Difference::Beyond { seen, kept_to } => {
            format!(
                "the view has seen position {seen} of an epoch that was kept to {kept_to}: the next start builds it anew"
            )
        }
        Difference::Ahead { seen, head } => {
            format!(
                "the view has seen position {seen}, and the journal ends at {head}: acknowledged events are missing; restore the journal from a backup, or see what airpost recover says"
            )
        }
        Difference::Digest => "the entries are not those that the checkpoint tells of".to_owned(),
    }
}

/// Builds all views anew.
pub(super) fn rebuild(options: &FolderOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.data).existing()?;
    let _lock = DataLock::acquire(&options.data)?;
    let journal = open_journal(&folders)?;
    refuse_if_events_are_missing(options, &folders, &journal)?;
    let progress = Progress::new("views", Unit::Things("records"));
    let built = projections::rebuild(
        &folders.views,
        journal.as_ref(),
        views_options(options),
        &mut |advance| {
            show(&progress, advance);
        },
    );
    progress.end();
    journal.close();
    say(format_args!(
        "views: built from the journal up to position {}",
        built?
    ));
    Ok(ExitCode::SUCCESS)
}

/// Views that have seen more than there is are what tells that something is
/// missing. Views that cannot be read tell nothing, and are built anew.
fn refuse_if_events_are_missing(
    options: &FolderOptions,
    folders: &Folders,
    journal: &Journal,
) -> anyhow::Result<()> {
    let witnesses = projections::witnesses(&folders.views, views_options(options));
    let (history, head) = (journal.history(), *journal.head().borrow());
    for witness in witnesses.unwrap_or_default() {
        if history.judge(witness.identity, witness.position, head) == Standing::Ahead {
            bail!(
                "{} has seen position {}, but the journal ends at {head}: acknowledged events are missing; restore the journal from a backup, or see what airpost recover says",
                witness.name,
                witness.position
            );
        }
    }
    Ok(())
}

/// Opens the journal, if this release can read what is in it.
fn open_journal(folders: &Folders) -> anyhow::Result<Arc<Journal>> {
    let options = JournalOptions::new(Environment::system().new_id());
    let (journal, _) = open_log(folders, options)?;
    Ok(journal)
}

pub(super) fn views_options(options: &FolderOptions) -> ViewsOptions {
    ViewsOptions {
        cache_bytes: options.views_cache_mib.saturating_mul(1024 * 1024),
    }
}

fn show(progress: &Progress, Advance { position, head }: Advance) {
    progress.at(position.get(), head.get());
}
