//! Up to where a journal and the stream are the same, and how far each goes on.

use std::path::Path;

use super::cluster::{Cluster, Purpose, open_copy};
use super::error::ClusterError;
use super::options::JetStreamOptions;
use super::publish::{chain_at, stream_end};
use crate::journal::JournalReader;
use crate::position::Position;

/// How a journal and the stream of its log lie beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The last position up to which they are the same.
    pub common: Position,
    /// Where the journal ends.
    pub ours: Position,
    /// Where the stream ends.
    pub theirs: Position,
}

impl Fork {
    /// How many records the journal has and the stream has not.
    #[must_use]
    pub fn only_ours(&self) -> u64 {
        self.ours.get().saturating_sub(self.common.get())
    }
}

/// Looks where the journal in a folder and the stream part, also while a node runs on
/// the folder, and whatever the epochs are that each says it has. Changes nothing.
///
/// # Errors
/// [`ClusterError`]: as [`cluster_status`](crate::cluster_status), `OtherLog`, or that
/// the journal cannot be read.
pub fn fork_of(folder: &Path, options: &JetStreamOptions) -> Result<Fork, ClusterError> {
    let journal = open_copy(folder)?;
    let cluster = Cluster::connect(options, Purpose::Join)?;
    let theirs = cluster.log.history.identity().log_id;
    let ours = journal.history().identity().log_id;
    if theirs != ours {
        let stream = options.stream.clone();
        return Err(ClusterError::OtherLog {
            stream,
            theirs,
            ours,
        });
    }
    cluster.fork(&journal)
}

impl Cluster<'_> {
    /// Where a journal of this log and the stream part. A chain stands for all
    /// that is before it, so what differs once differs from there on.
    pub(super) fn fork(&self, journal: &JournalReader) -> Result<Fork, ClusterError> {
        let beginning = self.beginning();
        let (last, end) = stream_end(self, self.options)?;
        let mut common = Position::START;
        let (mut same, mut other) = (0, last + 1);
        while same + 1 < other {
            let middle = if other > last {
                last
            } else {
                same + (other - same) / 2
            };
            let head = self.head_at(middle, last)?;
            let own = if head.position <= journal.head() {
                chain_at(journal, beginning, head.position)?
            } else {
                None
            };
            if own == Some(head.chain) {
                (same, common) = (middle, head.position);
            } else {
                other = middle;
            }
        }
        Ok(Fork {
            common,
            ours: journal.head(),
            theirs: end.position,
        })
    }
}
