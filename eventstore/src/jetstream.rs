//! The log on a cluster: one stream of NATS, one subject, one message for
//! each block, and on every node a journal that is a prefix of it.
//!
//! A block is in the log once a majority of the servers has it. It is published
//! with the number of the message that it is to follow, so that each place has
//! one block; whatever becomes of a publish, the place is read before anything
//! else is tried there. Reads are served by the node's own journal.

// Where it is, and what can be wrong with it.
mod access;
mod version;
mod options;
mod error;
mod saying;
mod events;

// The connection, the stream, and what it must be like.
mod hearing;
mod link;
mod remote;
mod settings;

// Where a journal stands in the stream, the log's order, how far the nodes are.
mod place;
mod cluster;
mod fork;
mod slots;
mod heads;
mod figures;
mod fetching;

// A journal's blocks, put where they are missing; and a journal that goes on alone.
mod publish;
mod farewell;
mod leave;

// All of it, for whoever looks.
mod status;

use std::path::Path;
use std::sync::Arc;

pub use access::{AccessError, NatsAccess, NatsCertificate};
pub use error::{ClusterError, MissingStream};
pub use events::ConnectionTelling;
pub use fetching::OnFetch;
pub use figures::{ClusterCounts, ClusterFigures, OnPublish};
pub use fork::{Fork, fork_of};
pub use hearing::Hearing;
pub use leave::{Leaver, LeftCluster, abandon_cluster, leave_cluster};
pub use options::JetStreamOptions;
pub use publish::{PublishOccasion, PublishedJournal, publish_journal};
pub use saying::NatsTrouble;
pub use settings::create_stream;
#[cfg(test)]
pub(crate) use settings::{LogOfStream, create};
pub use status::{ClusterCopy, ClusterServer, ClusterStatus, FolderPlace, cluster_status};
pub use version::NatsVersion;

use crate::journal::{Journal, JournalOptions, log_id_in};
use crate::layer::StoreLayer;
use crate::store::EventStore;
use cluster::{Cluster, not_caught_up};

/// An [`EventStore`] whose log is a stream on a NATS cluster.
///
/// It keeps J1 to J10 as [`Journal`] does, where *durable* means: stored by a
/// majority of the stream's servers. This node's journal has it, too, and syncs
/// it a little later: what a power cut takes of its end is fetched again. Any
/// number of nodes may write one log, each with a journal of its own in a folder
/// of its own. What another node wrote is visible here a little later.
///
/// While the cluster does not answer, appends wait for as long as
/// [`JetStreamOptions::patience`] and are then answered `Indeterminate`, or
/// `Unavailable` where nothing was sent; reads go on, and appends succeed again
/// when it answers. If the stream is shorter than the journal, or differs from
/// it, no append is taken.
#[derive(Debug)]
pub struct JetStreamStore {
    journal: Arc<Journal>,
    figures: Arc<ClusterFigures>,
}

impl JetStreamStore {
    /// Opens the log on the cluster, with the journal in a folder; the folder
    /// may be empty, and the log is then fetched. `new_log_id` of the journal's
    /// options is not used: the stream says which log it is.
    ///
    /// Returns once the journal has come to the end of the stream as it was
    /// found. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`ClusterError`]. Nothing is written to the cluster by opening.
    pub fn open(
        folder: &Path,
        journal: JournalOptions,
        options: &JetStreamOptions,
    ) -> Result<Self, ClusterError> {
        Self::open_telling(folder, journal, options, Box::new(|_, _| ()))
    }

    /// The same, and says how far it is meanwhile: on the thread that called.
    ///
    /// # Errors
    /// As [`JetStreamStore::open`].
    pub fn open_telling(
        folder: &Path,
        journal: JournalOptions,
        options: &JetStreamOptions,
        tell: OnFetch,
    ) -> Result<Self, ClusterError> {
        let cluster = Cluster::connect_patiently(options)?;
        let log_id = cluster.log.history.identity().log_id;
        match log_id_in(folder)? {
            Some(ours) if ours != log_id => {
                return Err(ClusterError::OtherLog {
                    stream: options.stream.clone(),
                    theirs: log_id,
                    ours,
                });
            }
            Some(_) => {}
            // Before one is begun: it is not begun for what is no log.
            None => {
                cluster.find_end(cluster.beginning(), folder)?;
            }
        }
        let caught_up = cluster.catch_up(folder, journal, tell)?;
        let journal = caught_up.run().map_err(not_caught_up)?;
        Ok(Self {
            journal: Arc::new(journal),
            figures: cluster.figures,
        })
    }

    /// This node's journal: a prefix of the log, and the store for whoever
    /// needs a [`Journal`]. What is appended to it goes to the cluster first,
    /// as here.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// What this node counts of its dealings with the cluster.
    #[must_use]
    pub fn figures(&self) -> &Arc<ClusterFigures> {
        &self.figures
    }

    /// As [`Journal::close`]. If the cluster does not answer, it is given up after
    /// two seconds; what was under way is answered `Indeterminate` then.
    pub fn close(&self) {
        self.journal.close();
    }

    /// The journal's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.journal.folder()
    }
}

impl StoreLayer for JetStreamStore {
    fn beneath(&self) -> &dyn EventStore {
        self.journal.as_ref()
    }
}

#[cfg(test)]
mod tests;
