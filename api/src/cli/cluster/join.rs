//! `airpost cluster join`: a log is put on a cluster, or fetched from it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use eventstore::{
    ClusterError, DataLock, FolderPlace, JetStreamOptions, Journal, JournalOptions,
    PublishOccasion, PublishedJournal,
};

use super::{MakingOptions, fetch, publish, tell_how_to_start};
use crate::cli::terminal::{Stopwatch, say};
use crate::environment::Environment;
use crate::membership::{self, Membership};
use crate::service::{Folders, holds_segments};

pub(super) fn join(options: &MakingOptions) -> anyhow::Result<ExitCode> {
    let node = &options.node;
    let (data, cluster) = (node.data.as_path(), node.log.log()?);
    let stream = &cluster.stream;
    let _lock = DataLock::acquire(data, "cluster join")?;
    membership::refuse_of_another(data, stream)?;
    let folders = Folders::of(data);
    let membership = membership::of(data)?;
    let is_member = matches!(membership, Some(Membership::Member(_)));
    let has_log = holds_segments(&folders.journal);
    let watch = Stopwatch::start();
    if is_member || !has_log || is_in(&folders, &cluster)? {
        match fetch(data, &cluster) {
            Ok(head) if is_member => {
                say(format_args!(
                    "{}: it is a node's already, and up to position {head} with the stream {stream}",
                    data.display()
                ));
                return Ok(ExitCode::SUCCESS);
            }
            Ok(head) => {
                // Of a journal that had some of it, it is not told how much was fetched.
                let took = watch.rates(None, (!has_log).then_some(head.get()));
                say(format_args!(
                    "fetched the log of the stream {stream} up to position {head}; {took}"
                ));
                tell_how_to_start(data, &node.log);
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => {
                let Some(ClusterError::Missing(missing)) = error.downcast_ref() else {
                    return Err(error);
                };
                if is_member {
                    bail!("{}", membership::words_without(missing, data));
                }
                if !has_log && membership.is_none() && !options.new {
                    bail!(
                        "{missing}, and no log in {}: see that both are the right ones; a new log is begun there by \
                         airpost cluster join --new",
                        data.display()
                    );
                }
            }
        }
    }
    let watch = Stopwatch::start();
    let PublishedJournal { before, head, .. } = put(data, &cluster, membership.is_none())?;
    let published = head.get().saturating_sub(before.get());
    let took = watch.rates(None, Some(published));
    say(format_args!(
        "the stream {stream} is the log of {}, up to position {head}; {took}",
        data.display()
    ));
    tell_how_to_start(data, &node.log);
    Ok(ExitCode::SUCCESS)
}

/// Whether the stream has all that a journal has, as after a join that was interrupted when it was
/// as good as done. What keeps the journal out of the stream is said by who publishes it.
fn is_in(folders: &Folders, cluster: &JetStreamOptions) -> anyhow::Result<bool> {
    match eventstore::cluster_status(cluster, Some(&folders.journal)) {
        Ok(status) => Ok(match status.folder {
            Some(FolderPlace::At(_) | FolderPlace::Empty) => true,
            Some(FolderPlace::Ahead(_) | FolderPlace::Diverged(_) | FolderPlace::OtherLog(_))
            | None => false,
        }),
        Err(ClusterError::Missing { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts a folder's log on the cluster, a new one if there is none. The folder says so before
/// anything is there: served by itself from then on, the log would have two histories.
fn put(
    data: &Path,
    cluster: &JetStreamOptions,
    is_first: bool,
) -> anyhow::Result<PublishedJournal> {
    let (folders, stream) = (Folders::of(data), &cluster.stream);
    membership::note(data, &Membership::Joining(stream.clone()))?;
    let published = begin_if_empty(&folders)
        .and_then(|()| publish(&folders, cluster, PublishOccasion::Joining));
    if published.is_err() && is_first && is_nothing_there(&folders, cluster) {
        membership::leave(data)?;
    }
    let published = published?;
    membership::enter(data, stream)?;
    Ok(published)
}

/// Whether it is certain that the stream has nothing of a folder's log.
fn is_nothing_there(folders: &Folders, cluster: &JetStreamOptions) -> bool {
    match eventstore::cluster_status(cluster, Some(&folders.journal)) {
        Ok(status) => matches!(
            status.folder,
            Some(FolderPlace::OtherLog(_) | FolderPlace::Diverged(_))
        ),
        Err(error) => matches!(error, ClusterError::Missing { .. }),
    }
}

/// Begins a log, in a folder without one.
fn begin_if_empty(folders: &Folders) -> anyhow::Result<()> {
    if holds_segments(&folders.journal) {
        return Ok(());
    }
    let options = JournalOptions::new(Environment::system().new_id());
    let journal = Journal::open(&folders.journal, options)?;
    journal.close();
    Ok(())
}
