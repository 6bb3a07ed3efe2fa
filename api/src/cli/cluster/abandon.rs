//! `airpost cluster abandon`: a node's log goes on alone, where the stream is of no use any more.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use eventstore::{DataLock, JournalOptions, JournalReader};

use crate::cli::FINDINGS;
use crate::cli::terminal::say;
use crate::environment::Environment;
use crate::membership;
use crate::service::Folders;

pub(super) const AFTER_HELP: &str = "\
When: the stream is gone for good, or holds what is no block of the log, which nothing can be written \
behind. While it takes messages see leave, which loses nothing; where it is gone and the servers are back, \
heal --new.
1. Stop all nodes, and have status say of each folder where its journal ends.
2. Run this on the folder whose journal is the longest. What a longer one has, though acknowledged, is not \
in the log any more; and a node that goes on with the stream writes another log of the same id.
3. Start it without --cluster; or have the stream removed, run join with this folder, and start the nodes: \
each takes the log from there.
Cursors stay valid; entity tags do not, so that a client reads again before it changes something. The \
cluster is not asked, and nothing in it is changed. Interrupted, it is run again.
Exit codes: 0 the log is this folder's own, 1 it failed, 3 --accept-fork is missing.";

/// A node's folder, and that it is meant.
#[derive(Debug, clap::Args)]
pub(super) struct AbandonOptions {
    /// The folder that holds the journal and everything derived from it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// Have no part any more in what is written to the stream, and give up what longer journals have.
    #[arg(long)]
    accept_fork: bool,
}

pub(super) fn abandon(options: &AbandonOptions) -> anyhow::Result<ExitCode> {
    let data = options.data.as_path();
    let _lock = DataLock::acquire(data, "cluster abandon")?;
    let Some(membership) = membership::of(data)? else {
        bail!(
            "{}: it is no node's folder, and nothing is to be abandoned: start it without --cluster",
            data.display()
        );
    };
    membership::refuse_another_journal(data)?;
    let (stream, folders) = (membership.stream(), Folders::of(data).existing()?);
    if !options.accept_fork {
        let head = JournalReader::open_of_cluster(&folders.journal)?.head();
        say(format_args!(
            "the journal of {} ends at position {head}, and the log would go on from there in this folder alone, in a \
             new epoch, whatever the stream {stream} has: what longer journals have is lost to it, and nodes that go \
             on with the stream write another log. Stop all nodes, see by airpost cluster status that no journal is \
             longer, then run this with --accept-fork",
            data.display()
        ));
        return Ok(ExitCode::from(FINDINGS));
    }
    let environment = Environment::system();
    let journal = JournalOptions::new(environment.new_id());
    let left = eventstore::abandon_cluster(&folders.journal, journal, environment.now_us())?;
    membership::leave(data)?;
    say(format_args!(
        "the log goes on behind position {} in {} alone, as {} (id/epoch), without the stream {stream}; start it \
         without --cluster, or have it join a new stream",
        left.head,
        data.display(),
        left.identity
    ));
    Ok(ExitCode::SUCCESS)
}
