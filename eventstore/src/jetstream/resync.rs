//! A journal that went another way than the log: moved aside, so that a node
//! fetches the log anew.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::cluster::{Cluster, Purpose};
use super::error::ClusterError;
use super::heads::Head;
use super::options::JetStreamOptions;
use crate::disk::{Disk, RealDisk, failed};
use crate::error::{OpenError, ReadError};
use crate::journal::JournalReader;
use crate::position::Position;

/// Moves the journal in a folder aside, if it is no beginning of the log in the
/// stream, or cannot be read from its beginning to its end: then `journal` becomes `journal.aside-1` beside it (or
/// the next number that is free), durably, and what is opened next there begins
/// empty and fetches the log. Gives where it is now; `None` if it agrees with
/// the stream, and nothing was moved. Nothing is ever deleted. The views of
/// that journal are the caller's to move.
///
/// Nobody else may have the journal open.
///
/// # Errors
/// [`ClusterError`]; `ClusterBehind` if the journal has all that the stream has, and
/// more: that is not moved away but published. Nothing was moved then, unless
/// the operating system did not say that the new name is durable.
pub fn move_diverged_aside(
    folder: &Path,
    options: &JetStreamOptions,
) -> Result<Option<PathBuf>, ClusterError> {
    let cluster = Cluster::connect(options, Purpose::Join)?;
    match cluster.find_journal(folder) {
        Ok(()) => Ok(None),
        Err(error) if is_mended_by_fetching(&error) => {
            tracing::warn!(%error, "moving a journal aside");
            Ok(Some(move_aside(folder)?))
        }
        Err(error) => Err(error),
    }
}

impl Cluster<'_> {
    /// Whether the journal in a folder is a beginning of the log, and whole.
    fn find_journal(&self, folder: &Path) -> Result<(), ClusterError> {
        let journal = JournalReader::open_of_cluster(folder)?;
        let (history, head) = (journal.history(), journal.head());
        self.log.refuse_other(history, head, &self.options.stream)?;
        let (position, chain) = journal.end();
        let own = Head { position, chain };
        self.find_end(own, folder)?;
        // Only its last segment was looked at so far.
        journal.walk_raw(Position::START, &mut |_| ControlFlow::Continue(()))?;
        Ok(())
    }
}

/// Whether the log is whole in the stream, and only this journal is not.
fn is_mended_by_fetching(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Diverged { .. }
            | ClusterError::OtherEpochs { .. }
            | ClusterError::Unread(ReadError::Corrupt(_))
            | ClusterError::Journal(
                OpenError::Corrupt(_) | OpenError::CorruptEnd(_) | OpenError::Regressed { .. }
            )
    )
}

fn move_aside(folder: &Path) -> Result<PathBuf, OpenError> {
    let name = folder.file_name().unwrap_or_default();
    let mut number = 1_u64;
    let aside = loop {
        let mut aside = name.to_owned();
        aside.push(format!(".aside-{number}"));
        let aside = folder.with_file_name(aside);
        if !RealDisk
            .exists(&aside)
            .map_err(failed("looking for", &aside))?
        {
            break aside;
        }
        number += 1;
    };
    let parent = folder.parent().filter(|path| !path.as_os_str().is_empty());
    let moved = RealDisk.rename(folder, &aside);
    moved
        .and_then(|()| RealDisk.sync_folder(parent.unwrap_or(Path::new("."))))
        .map_err(failed("moving aside", folder))?;
    Ok(aside)
}
