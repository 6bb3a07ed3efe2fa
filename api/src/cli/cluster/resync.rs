//! `airpost cluster resync`: a journal that is no copy of the log is set aside, and the log fetched.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use eventstore::{
    ClusterError, DataLock, FolderPlace, JetStreamOptions, OpenError, Position, ReadError,
};

use super::{NodeOptions, aside, fetch};
use crate::cli::terminal::say;
use crate::membership::{self, Membership};
use crate::service::{Folders, holds_segments};

/// What is to be done with a folder.
enum Mend {
    /// Nothing: its journal is a copy up to there.
    Nothing(Position),
    /// The journal is moved away, if there is one, and the log is fetched.
    Fetch,
}

pub(super) fn resync(node: &NodeOptions) -> anyhow::Result<ExitCode> {
    let (data, cluster) = (node.data.as_path(), node.log.log()?);
    let stream = &cluster.stream;
    let _lock = DataLock::acquire(data, "cluster resync")?;
    membership::refuse_of_another(data, stream)?;
    let folders = Folders::of(data);
    // Before anything is moved or written down: what is moved away is to be had again, and only
    // a journal that is no copy of this very log has to be.
    match decide(data, &folders, &cluster)? {
        Mend::Nothing(position) => {
            say(format_args!(
                "nothing to do: the journal of {} is a copy of the stream {stream} up to position {position}",
                data.display()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        Mend::Fetch => {}
    }
    membership::enter(data, stream)?;
    // The journal last: views of what is moved away must not be taken for views of what is fetched.
    for folder in [&folders.views, &folders.snapshots, &folders.journal] {
        if let Some(aside) = aside::move_aside(folder)? {
            say(format_args!("moved to {}", aside.display()));
        }
    }
    let head = fetch(data, &cluster)?;
    say(format_args!(
        "fetched the log of the stream {stream} up to position {head}; the views are built at the next start, and \
         what was moved can be removed when it is of no use any more"
    ));
    Ok(ExitCode::SUCCESS)
}

fn decide(data: &Path, folders: &Folders, cluster: &JetStreamOptions) -> anyhow::Result<Mend> {
    let is_member = matches!(membership::of(data)?, Some(Membership::Member(_)));
    let stream = &cluster.stream;
    let status = match eventstore::cluster_status(cluster, Some(&folders.journal)) {
        // Of which log it is can be told of a node's alone. The stream is looked at all the same.
        Err(error) if is_member && is_damage(&error) => {
            let status = eventstore::cluster_status(cluster, None)?;
            refuse_wrong(stream, status.wrong)?;
            return Ok(Mend::Fetch);
        }
        status => status?,
    };
    refuse_wrong(stream, status.wrong)?;
    let journal = folders.journal.display();
    match status.folder {
        Some(FolderPlace::At(position)) => Ok(Mend::Nothing(position)),
        Some(FolderPlace::Diverged(_)) => Ok(Mend::Fetch),
        // It gave up other records than the stream did, or went on alone.
        Some(FolderPlace::OtherLog(ours)) if status.log_id == Some(ours.log_id) => Ok(Mend::Fetch),
        Some(FolderPlace::OtherLog(ours)) => bail!(
            "{journal} is of another log than the stream {stream}, {}: name the right stream, or the right folder",
            ours.log_id
        ),
        Some(FolderPlace::Ahead(position)) => bail!(
            "{journal} has all of the stream {stream}, and goes on to position {position}: that is not moved away; if \
             no folder's goes farther, have it published by airpost cluster heal"
        ),
        Some(FolderPlace::Empty) | None if is_member || holds_segments(&folders.journal) => {
            Ok(Mend::Fetch)
        }
        Some(FolderPlace::Empty) | None => bail!(
            "{journal}: no journal is there; name a node's folder, or have this one join by airpost cluster join"
        ),
    }
}

fn refuse_wrong(stream: &str, wrong: Vec<String>) -> anyhow::Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let stream = stream.to_owned();
    Err(ClusterError::Settings { stream, wrong }.into())
}

/// Whether a journal cannot be read for what it holds, and not for who reads it.
fn is_damage(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Unread(ReadError::Corrupt(_))
            | ClusterError::Journal(
                OpenError::Corrupt(_) | OpenError::CorruptEnd(_) | OpenError::Regressed { .. }
            )
    )
}
