//! `airpost recover`: what a journal is missing, and going on without it.

use std::process::ExitCode;

use anyhow::bail;
use eventstore::{DataLock, Loss, Witness};

use super::maintain::views_options;
use super::terminal::{Progress, Unit, complain, say};
use super::{FINDINGS, FolderOptions};
use crate::environment::Environment;
use crate::membership::{self, Membership};
use crate::service::Folders;

/// What to recover, and whether.
#[derive(Debug, clap::Args)]
pub(super) struct RecoverOptions {
    #[command(flatten)]
    folder: FolderOptions,

    /// Go on without what is missing. Restore a backup instead if it goes farther.
    #[arg(long)]
    accept_loss: bool,
}

/// Says what is missing; with the flag, gives it up.
pub(super) fn recover(options: &RecoverOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.folder.data).existing()?;
    let _lock = DataLock::acquire(&options.folder.data, "recover")?;
    if let Some(Membership::Member(stream)) = membership::of(&options.folder.data)? {
        bail!(
            "{}: its journal is a copy of the stream {stream}: start the service with --cluster, which fetches what is \
             missing; if the journal is damaged, see airpost cluster resync --help; if the stream has less than a \
             journal, airpost cluster heal --help; and if there is no stream any more, airpost cluster abandon --help",
            options.folder.data.display()
        );
    }
    // Of a log that is on its way to a cluster nothing is given up: some of it may be there.
    membership::refuse_of_a_cluster(&options.folder.data)?;
    let witnesses = witnesses(&folders, &options.folder);
    let progress = Progress::new("journal", Unit::Bytes);
    let mut tell = |done, all| progress.at(done, all);
    let now_us = Environment::system().now_us();
    let loss = if options.accept_loss {
        eventstore::recover_with_loss(&folders.journal, &witnesses, now_us, &mut tell)
    } else {
        eventstore::assess_loss(&folders.journal, &witnesses, now_us, &mut tell)
    };
    progress.end();
    let loss = loss?;
    if !loss.is_any() {
        let head = loss.head;
        say(format_args!(
            "nothing is missing, as far as anybody knows: the journal ends at position {head}; start the service"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    tell_loss(&loss);
    let Loss {
        head, next_epoch, ..
    } = loss;
    if options.accept_loss {
        say(format_args!(
            "given up: the log goes on behind position {head} in epoch {next_epoch}; views that have seen more are built anew at the next start"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    say("restore from a backup, if there is one that goes farther. Otherwise, with --accept-loss:");
    if loss.damage.is_some() {
        let bytes = loss.damaged_bytes;
        say(format_args!(
            "  {bytes} bytes are cut off; they are kept in journal/torn"
        ));
    }
    say(format_args!(
        "  the log goes on behind position {head} in a new epoch; cursors and entity tags of what is lost are refused"
    ));
    Ok(ExitCode::from(FINDINGS))
}

/// What the views have seen. Views that cannot be read know nothing.
fn witnesses(folders: &Folders, options: &FolderOptions) -> Vec<Witness> {
    let witnesses = projections::witnesses(&folders.views, views_options(options));
    witnesses.unwrap_or_else(|error| {
        complain(format_args!(
            "the views are not asked what they have seen: {error}"
        ));
        Vec::new()
    })
}

fn tell_loss(loss: &Loss) {
    let Loss {
        identity,
        head,
        witnesses,
        damage,
        damaged_bytes,
        ..
    } = loss;
    say(format_args!(
        "journal: of log {identity} (id/epoch) everything up to position {head} can be read"
    ));
    if let Some(damage) = damage {
        say(format_args!(
            "journal: {damage}; {damaged_bytes} bytes from there on cannot be read in order"
        ));
    }
    let (positions, first, last) = (loss.positions(), head.next(), loss.known_to());
    if positions > 0 {
        say(format_args!(
            "missing: {positions} acknowledged positions, {first} to {last}, and perhaps later ones that nobody noted"
        ));
    } else {
        say(format_args!(
            "missing: an unknown number of acknowledged positions from {first} on"
        ));
    }
    for witness in witnesses {
        let (name, position) = (&witness.name, witness.position);
        say(format_args!("  {name} has seen position {position}"));
    }
}
