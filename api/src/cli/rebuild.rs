//! `airpost rebuild`: views are built anew while the service does not run.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use eventstore::{DataLock, EventStore, Journal, JournalOptions, OpenError, Position, Standing};
use projections::RebuildError;

use super::derived::Rebuilding;
use super::maintain::{show, views_options};
use super::terminal::{Progress, Stopwatch, Unit, say};
use super::{FolderOptions, RebuildOptions};
use crate::config::LISTEN_DEFAULT;
use crate::environment::Environment;
use crate::service::{Folders, is_held_by_a_service, open_log};

/// Builds views anew, all of them or those that are named. Those that are
/// there stay until the new ones are complete.
pub(super) fn rebuild(options: &RebuildOptions) -> anyhow::Result<ExitCode> {
    let is_named = |view: &&str| options.views.iter().any(|it| it == view);
    let all = projections::view_names().into_iter();
    let named: Vec<&'static str> = all.filter(is_named).collect();
    let options = &options.folder;
    let folders = Folders::of(&options.data).existing()?;
    let _lock = match DataLock::acquire(&options.data, "rebuild") {
        Err(held) if is_held_by_a_service(&held) => return Err(ask_the_service(&held, &named)),
        acquired => acquired?,
    };
    let journal = open_journal(&folders)?;
    refuse_if_events_are_missing(options, &folders, &journal)?;
    let watch = Stopwatch::start();
    let built = if named.is_empty() {
        rebuild_all(options, &folders, &journal)
    } else {
        rebuild_named(options, &folders, &journal, &named)
    };
    journal.close();
    let built = built?;
    let what = if named.is_empty() {
        "views".to_owned()
    } else {
        named.join(", ")
    };
    say(format_args!(
        "{what}: built from the journal up to position {built}; {}",
        watch.rates(None, Some(built.get()))
    ));
    Ok(ExitCode::SUCCESS)
}

/// Builds all of them in a folder of their own, and puts that into its place.
fn rebuild_all(
    options: &FolderOptions,
    folders: &Folders,
    journal: &Journal,
) -> anyhow::Result<Position> {
    let rebuilding = Rebuilding::beside(folders);
    let progress = Progress::new("views", Unit::Things("records"));
    let folder = rebuilding.folder();
    let options = views_options(options);
    let built = projections::rebuild(folder, journal, options, &mut |advance| {
        show(&progress, advance);
    });
    progress.end();
    match built {
        Ok(built) => {
            rebuilding.install()?;
            Ok(built)
        }
        Err(error) => {
            // Were something left of it, it would be in nobody's way.
            let _ = rebuilding.give_up();
            Err(as_they_were(error))
        }
    }
}

/// Builds some of them where the others lie, which stay as they are.
fn rebuild_named(
    options: &FolderOptions,
    folders: &Folders,
    journal: &Journal,
    named: &[&'static str],
) -> anyhow::Result<Position> {
    let progress = Progress::new("views", Unit::Things("records"));
    let options = views_options(options);
    let built =
        projections::rebuild_some(&folders.views, named, journal, options, &mut |advance| {
            show(&progress, advance);
        });
    progress.end();
    built.map_err(as_they_were)
}

fn as_they_were(error: RebuildError) -> anyhow::Error {
    let why = "the views that were there are as they were; airpost verify says more";
    anyhow::Error::new(error).context(why)
}

/// Who holds the folder, and that it can do the same. Where it listens is not
/// known here.
fn ask_the_service(held: &OpenError, named: &[&'static str]) -> anyhow::Error {
    let all = projections::view_names();
    let each = if named.is_empty() { &all } else { named };
    anyhow::anyhow!(
        "{held}; or have the running service build them anew while it goes on answering, with its own address \
         where it is not {LISTEN_DEFAULT}:\n  \
         for view in {}; do curl -X POST http://{LISTEN_DEFAULT}/v1/projections/$view/rebuild; done\n\
         each answer is an operation that tells how far it is; http://{LISTEN_DEFAULT}/v1/projections lists the views",
        each.join(" ")
    )
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
