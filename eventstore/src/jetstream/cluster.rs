//! The log's stream on a cluster that was connected to, and found in order.

use std::path::Path;

use super::error::ClusterError;
use super::heads::Head;
use super::link::{LOOK_AGAIN, Link};
use super::options::JetStreamOptions;
use super::place::{Standing, Unplaced, place};
use super::remote::Remote;
use super::settings::{self, LogOfStream};
use crate::journal::block::first_chain;
use crate::position::Position;

/// A stream that may hold a log.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) link: Link,
    pub(super) remote: Remote,
    /// The log that it says it is.
    pub(super) log: LogOfStream,
    options: &'a JetStreamOptions,
}

impl<'a> Cluster<'a> {
    /// Connects, and refuses a stream that could lose what it acknowledges.
    pub(super) fn connect(options: &'a JetStreamOptions) -> Result<Self, ClusterError> {
        let link = Link::connect(options)?;
        let (remote, info) = Remote::find(&link, options)?;
        let log = settings::check(options, &info, link.client.max_payload())?;
        Ok(Self {
            link,
            remote,
            log,
            options,
        })
    }

    /// Before the log's first record.
    pub(super) fn beginning(&self) -> Head {
        Head {
            position: Position::START,
            chain: first_chain(self.log.history.identity().log_id),
        }
    }

    /// The message that the journal ends with. A stream that seems shorter is
    /// looked at again: a server that leads since a moment ago may not have all yet.
    pub(super) fn find_end(&self, own: Head, folder: &Path) -> Result<u64, ClusterError> {
        let (remote, patience) = (self.remote.clone(), self.options.patience);
        let before = self.beginning().chain;
        let placing = async move {
            let mut last_seen = Err("no server answered in time".to_owned());
            let look = async {
                loop {
                    let last = remote.last_sequence().await;
                    let seen = match last {
                        Ok(last) => match place(&remote, own, before, last).await {
                            Err(Unplaced::Unanswered(why)) => Err(why),
                            other => Ok(other),
                        },
                        Err(why) => Err(why),
                    };
                    let is_settled = matches!(
                        seen,
                        Ok(Ok(Standing::At(_) | Standing::Diverged)
                            | Err(Unplaced::Foreign { .. }))
                    );
                    last_seen = seen;
                    if is_settled {
                        break;
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            };
            drop(tokio::time::timeout(patience, look).await);
            last_seen
        };
        let stream = self.options.stream.clone();
        let placed = self.link.run(placing).and_then(|placed| placed);
        match placed.map_err(|why| ClusterError::Unanswered { why })? {
            Ok(Standing::At(sequence)) => Ok(sequence),
            Ok(Standing::Behind(_, head)) => Err(ClusterError::ClusterBehind {
                stream,
                stream_head: head.position,
                known: own.position,
            }),
            Ok(Standing::Diverged) => Err(ClusterError::Diverged {
                journal: folder.to_owned(),
                stream,
                position: own.position,
            }),
            Err(Unplaced::Foreign { sequence, why }) => Err(ClusterError::Foreign {
                stream,
                sequence,
                why,
            }),
            Err(Unplaced::Unanswered(why)) => Err(ClusterError::Unanswered { why }),
        }
    }
}
