//! `airpost verify`: what is in a data folder, held against what should be.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use eventstore::{
    DataLock, EventStore, Journal, JournalOptions, OpenError, RegisteredStore, RegistryError,
    VerifyReport,
};
use projections::{Advance, Difference, Finding, Verification, VerifyError, ViewsOptions};

use super::events::tell_unreadable;
use super::terminal::{Progress, Stopwatch, Unit, say};
use super::{FINDINGS, FolderOptions};
use crate::application::known_schemas;
use crate::environment::Environment;
use crate::membership::{self, Membership};
use crate::service::{Folders, is_held_by_a_service};

/// Checks the journal, whether this release can read what is in it, then the
/// views against it. Beside a running service the journal alone: the views are
/// in its hands.
pub(super) fn verify(options: &FolderOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.data);
    let nothing_is_unfinished = tell_unfinished(&folders)?;
    if !nothing_is_unfinished && !folders.journal.is_dir() {
        return Ok(ExitCode::from(FINDINGS));
    }
    let folders = folders.existing()?;
    let lock = match DataLock::acquire(&options.data, "verify") {
        Ok(lock) => Some(lock),
        Err(held) if is_held_by_a_service(&held) => None,
        // Another command, which may be changing them, or checks them itself.
        Err(error) => return Err(error.into()),
    };
    let report = verify_journal(&folders, lock.is_some())?;
    if !report.findings.is_empty() {
        match membership::of(&options.data)? {
            Some(Membership::Member(stream)) => tell_damage_of_copy(&report.findings, &stream),
            // Not all of it need be on the cluster yet.
            Some(Membership::Joining(_)) | None => tell_findings("journal", &report.findings),
        }
        say("views: not checked, since the journal is not in order");
        return Ok(ExitCode::from(FINDINGS));
    }
    if report.segments == 0 && report.in_flight_bytes == 0 {
        let help = if let Some(Membership::Member(_)) = membership::of(&options.data)? {
            "the next start fetches the log, of which it is a node's copy"
        } else {
            "restore it from a backup, or remove it if nothing was ever recorded there"
        };
        say(format_args!(
            "journal: {} holds no segment: {help}",
            folders.journal.display()
        ));
        return Ok(ExitCode::from(FINDINGS));
    }
    // A journal without a record may not even have a whole header yet.
    let can_be_read = report.records == 0 || tell_unreadable(&folders.journal)?;
    let views_are_right = if lock.is_none() {
        say("views: not checked, since a service is running on them");
        true
    } else {
        verify_views(options, &folders)?
    };
    let is_in_order = nothing_is_unfinished && can_be_read && views_are_right;
    Ok(if is_in_order {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    })
}

/// Says what stands in the way of a journal. Whether there is nothing such.
fn tell_unfinished(folders: &Folders) -> anyhow::Result<bool> {
    let unfinished = eventstore::unfinished_beside(&folders.journal)?;
    let nothing_is_unfinished = unfinished.is_empty();
    for staging in unfinished {
        say(format_args!(
            "journal: {}",
            OpenError::Unfinished { staging }
        ));
    }
    Ok(nothing_is_unfinished)
}

/// Checks every byte of the journal, and says what it holds.
fn verify_journal(folders: &Folders, is_ours: bool) -> anyhow::Result<VerifyReport> {
    let watch = Stopwatch::start();
    let progress = Progress::new("journal", Unit::Bytes);
    let report = eventstore::verify(&folders.journal, &mut |done, all| progress.at(done, all))
        .with_context(|| folders.journal.display().to_string())?;
    progress.end();
    let VerifyReport {
        segments,
        records,
        events,
        bytes,
        head,
        in_flight_bytes,
        ..
    } = report;
    let rates = watch.rates(Some(bytes), Some(records));
    say(format_args!(
        "journal: {records} records with {events} events, {bytes} bytes in {segments} segments, head {head}; {rates}"
    ));
    if in_flight_bytes > 0 {
        let what = if !report.findings.is_empty() {
            "are no whole block; nothing cuts them off before what follows is mended"
        } else if is_ours {
            "are a torn last write; they are cut off, as at every start"
        } else {
            "are being written at this moment"
        };
        say(format_args!(
            "journal: {in_flight_bytes} bytes at the end {what}"
        ));
    }
    Ok(report)
}

/// Says what is wrong, where, and what can be done.
pub(super) fn tell_findings(what: &str, findings: &[eventstore::Finding]) {
    for finding in findings {
        let (corruption, advice) = (&finding.corruption, finding.advice);
        say(format_args!("{what}: {corruption}: {advice}"));
    }
}

/// The same of a node's journal, which need not be restored: the cluster has it, unless that lost some.
fn tell_damage_of_copy(findings: &[eventstore::Finding], stream: &str) {
    for finding in findings {
        say(format_args!("journal: {}", finding.corruption));
    }
    say(format_args!(
        "journal: it is a node's copy of the log: if the stream {stream} goes as far (airpost cluster status), have it \
         and the views moved away, and fetched anew (airpost cluster resync); if the stream has less, see airpost \
         cluster heal --help"
    ));
}

/// Says how the views differ from the journal, and what a start would refuse.
/// Whether all is right.
fn verify_views(options: &FolderOptions, folders: &Folders) -> anyhow::Result<bool> {
    let journal_options = JournalOptions::new(Environment::system().new_id());
    let journal = Arc::new(Journal::open(&folders.journal, journal_options)?);
    let is_known = tell_unknown_schemas(&journal);
    let are_equal = if folders.views.exists() {
        compare_views(options, folders, &journal)
    } else {
        say("views: there are none; the next start builds them");
        Ok(true)
    };
    journal.close();
    Ok(is_known? && are_equal?)
}

/// Whether this release knows all schemas that the journal names.
fn tell_unknown_schemas(journal: &Arc<Journal>) -> anyhow::Result<bool> {
    let store: Arc<dyn EventStore> = Arc::<Journal>::clone(journal);
    match RegisteredStore::open(store, known_schemas()) {
        Ok(_) => Ok(true),
        Err(error @ RegistryError::Read(_)) => Err(error.into()),
        Err(error) => {
            say(format_args!("events: {error}"));
            Ok(false)
        }
    }
}

fn compare_views(
    options: &FolderOptions,
    folders: &Folders,
    journal: &Journal,
) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let progress = Progress::new("views", Unit::Things("records"));
    let verification = projections::verify(
        &folders.views,
        journal,
        views_options(options),
        &mut |advance| {
            show(&progress, advance);
        },
    );
    progress.end();
    let verification = match verification {
        Ok(verification) => verification,
        Err(VerifyError::Damaged(error)) => {
            say(format_args!(
                "views: {error}; start the service, which sets them aside and builds them anew, or run airpost rebuild"
            ));
            return Ok(false);
        }
        Err(error @ VerifyError::Failed { .. }) => {
            return Err(error).with_context(|| folders.views.display().to_string());
        }
    };
    if verification.is_clean() {
        let Verification {
            entries_agreeing,
            views_compared,
            views_at_head,
            ..
        } = verification;
        let head = *journal.head().borrow();
        let rates = watch.rates(None, Some(head.get()));
        say(format_args!(
            "views: {entries_agreeing} entries in {views_compared} views are what the journal says; {views_at_head} views are at its head {head}; {rates}"
        ));
        let behind = projections::view_names().len() - views_at_head;
        if behind > 0 {
            say(format_args!(
                "views: {behind} are not at the head or not there yet; the next start goes on with them"
            ));
        }
    } else {
        tell_differences(&verification);
    }
    Ok(verification.is_clean())
}

fn tell_differences(verification: &Verification) {
    for finding in &verification.findings {
        say(format_args!("views: {}", finding_in_words(finding)));
    }
    let findings = verification.findings.iter();
    let all: Vec<_> = findings.map(|finding| &finding.difference).collect();
    // Not all are listed, so what counts for all is said only where they are.
    let is_whole = verification.findings_total == all.len() as u64;
    let has = |is: fn(&Difference) -> bool| all.iter().any(|difference| is(difference));
    if has(|difference| matches!(difference, Difference::Ahead { .. })) {
        // Built anew they would no longer tell that something is missing.
        say("views: do not rebuild them, they are what tells what is missing");
    } else if has(|difference| {
        matches!(
            difference,
            Difference::Halted(_) | Difference::Parked { .. }
        )
    }) {
        say(
            "views: do not rebuild them, that changes nothing: run a release that reads the record, or restore the journal from a backup",
        );
    } else if is_whole && !has(|difference| !is_mended_by_a_start(difference)) {
        say("views: start the service, it builds these anew by itself");
    } else {
        say(format_args!(
            "views: {} entries are not what the journal says: rebuild them with airpost rebuild",
            verification.findings_total
        ));
    }
}

/// Whether a start sees it by itself, as after a restore or a recovery.
const fn is_mended_by_a_start(difference: &Difference) -> bool {
    matches!(difference, Difference::OtherLog | Difference::Beyond { .. })
}

/// An entry is named by its key, a view as a whole by its name alone.
fn finding_in_words(finding: &Finding) -> String {
    let Finding {
        view,
        key_hex,
        difference,
    } = finding;
    let words = in_words(difference);
    if key_hex.is_empty() {
        format!("{view}: {words}")
    } else {
        format!("{view}, key {key_hex}: {words}")
    }
}

/// Values are not shown: they hold people's names and addresses.
fn in_words(difference: &Difference) -> String {
    match difference {
        Difference::Missing => "the entry is missing".to_owned(),
        Difference::Unexpected => "the entry should not be there".to_owned(),
        Difference::Value { .. } => "the entry has another value".to_owned(),
        Difference::OtherLog => "the view is of another log".to_owned(),
        Difference::Beyond { seen, kept_to } => {
            format!("the view has seen position {seen} of an epoch that was kept to {kept_to}")
        }
        Difference::Ahead { seen, head } => {
            format!(
                "the view has seen position {seen}, and the journal ends at {head}: acknowledged events are missing; restore the journal from a backup, or see what airpost recover says"
            )
        }
        Difference::Digest => "the entries are not those that the checkpoint tells of".to_owned(),
        Difference::Halted(halt) => format!("the view stands still: {halt}"),
        Difference::Parked { stream, parked } => format!(
            "stream {stream} waits since position {}: {}",
            parked.position, parked.why
        ),
    }
}

pub(super) fn views_options(options: &FolderOptions) -> ViewsOptions {
    ViewsOptions {
        cache_bytes: options.views_cache_mib.saturating_mul(1024 * 1024),
        ..ViewsOptions::default()
    }
}

pub(super) fn show(progress: &Progress, Advance { position, head }: Advance) {
    progress.at(position.get(), head.get());
}
