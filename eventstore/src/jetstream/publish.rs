//! Publishes what a journal has and the stream has not: all of it when a log
//! is put on a cluster, the end when the cluster lost it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{Cluster, Purpose, open_copy};
use super::error::ClusterError;
use super::figures::ClusterFigures;
use super::heads::{self, Head};
use super::link::Link;
use super::options::JetStreamOptions;
use super::place::Standing;
use super::remote::Remote;
use super::slots::{self, SeenEnd};
use crate::error::ReadError;
use crate::journal::JournalReader;
use crate::journal::block::Chain;
use crate::journal::quorum::Proposed;
use crate::position::Position;

/// What a journal is published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOccasion {
    /// Its log begins its life on a cluster. Nodes that are started meanwhile wait until the
    /// stream has what it was made for, and write nothing before.
    Joining,
    /// The cluster lost what it has. Nodes that were running then, and have less, would write as
    /// soon as the stream has as much as they have.
    Healing,
}

/// What [`publish_journal`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedJournal {
    /// Where the stream ended before.
    pub before: Position,
    /// Where it ends now: at the journal's head, or behind that if others wrote on.
    pub head: Position,
    /// How many blocks were published.
    pub blocks: u64,
}

/// Publishes the blocks of a journal that the stream lacks, in order: a journal
/// whose log begins its life on a cluster into the empty stream that
/// [`create_stream`](crate::create_stream) made for it, or the end that a
/// cluster lost from the longest journal. Positions stay what they are.
///
/// This journal must not be open. Nothing else should write to the log meanwhile:
/// it is refused while nodes run that have less than the journal, but for those that
/// wait for a log that joins, and whoever does write is not overwritten. Interrupted, it is run again. A journal that
/// the stream has all of is left as it is.
/// The stream's beginning is held against the journal's by the chain.
/// `progress` is told the positions that the stream has, and those of the journal.
///
/// # Errors
/// [`ClusterError`]; `Diverged` if the stream holds what the journal does not.
pub fn publish_journal(
    folder: &Path,
    options: &JetStreamOptions,
    occasion: PublishOccasion,
    progress: &mut dyn FnMut(Position, Position),
) -> Result<PublishedJournal, ClusterError> {
    let journal = open_copy(folder)?;
    let cluster = Cluster::connect(options, Purpose::Join)?;
    let log = &cluster.log;
    log.refuse_other(journal.history(), journal.head(), &options.stream)?;
    let connection = cluster.link.connections();
    let (last, end) = stream_end(&cluster, options)?;
    let (position, head) = (end.position, journal.head());
    if head <= position {
        let (_, chain) = journal.end();
        let own = Head {
            position: head,
            chain,
        };
        cluster.find_end(own, folder)?;
        return Ok(PublishedJournal {
            before: position,
            head: position,
            blocks: 0,
        });
    }
    if chain_at(&journal, cluster.beginning(), position)? != Some(end.chain) {
        return Err(cluster.diverged(folder, cluster.fork(&journal)?));
    }
    let is_waited_for = occasion == PublishOccasion::Joining && position < cluster.log.filled_to;
    if !is_waited_for {
        refuse_running(&cluster, head)?;
    }
    let mut publishing = Publishing {
        link: cluster.link,
        remote: cluster.remote,
        patience: options.patience,
        figures: cluster.figures,
        end: SeenEnd {
            sequence: last,
            chain: end.chain,
            connection,
        },
        blocks: 0,
        failed: None,
    };
    progress(position, head);
    journal.walk_raw(position, &mut |block| {
        let published = publishing.publish(block.bytes, block.chain);
        if published.is_continue() {
            progress(block.head(), head);
        }
        published
    })?;
    match publishing.failed {
        None => Ok(PublishedJournal {
            before: position,
            head,
            blocks: publishing.blocks,
        }),
        Some(why) => Err(ClusterError::Interrupted {
            published: publishing.blocks,
            why,
        }),
    }
}

/// Refuses while nodes run that would fill the places of what is to be published, or have more.
fn refuse_running(cluster: &Cluster<'_>, head: Position) -> Result<(), ClusterError> {
    let nodes = heads::ask(&cluster.link, cluster.options)?;
    let stream = || cluster.options.stream.clone();
    let farthest = nodes.iter().map(|node| node.position).max();
    if let Some(farthest) = farthest.filter(|farthest| *farthest > head) {
        return Err(ClusterError::NotLongest {
            stream: stream(),
            head,
            farthest,
        });
    }
    let shorter = nodes.iter().map(|node| node.position);
    let shorter: Vec<_> = shorter.filter(|position| *position < head).collect();
    if shorter.is_empty() {
        Ok(())
    } else {
        Err(ClusterError::Running {
            stream: stream(),
            head,
            shorter,
        })
    }
}

/// The stream's last message, and the head there.
pub(super) fn stream_end(
    cluster: &Cluster<'_>,
    options: &JetStreamOptions,
) -> Result<(u64, Head), ClusterError> {
    // A journal that is farther than any stream: what is told is the stream's end.
    let farther = Head {
        position: Position::new(u64::MAX),
        ..cluster.beginning()
    };
    match cluster.look(farther, |_| true) {
        Ok(Standing::Behind(last, head)) => Ok((last, head)),
        Ok(Standing::At(_) | Standing::Diverged) => Err(ClusterError::Unanswered {
            why: "the stream has no end".to_owned(),
        }),
        Err(unplaced) => Err(unplaced.into_error(&options.stream)),
    }
}

/// The chain after a position of the journal, if a block ends there.
pub(super) fn chain_at(
    journal: &JournalReader,
    beginning: Head,
    position: Position,
) -> Result<Option<[u8; 16]>, ReadError> {
    if position == Position::START {
        return Ok(Some(beginning.chain));
    }
    for segment in 0..journal.segments().len() {
        if journal.end_of(segment).0 > position {
            return journal.chain_at(segment, position);
        }
    }
    Ok(None)
}

/// The blocks on their way.
struct Publishing {
    link: Link,
    remote: Remote,
    patience: Duration,
    figures: Arc<ClusterFigures>,
    /// The last message.
    end: SeenEnd,
    blocks: u64,
    failed: Option<String>,
}

impl Publishing {
    fn publish(&mut self, block: &[u8], chain: Chain) -> ControlFlow<()> {
        let (remote, block) = (self.remote.clone(), block.to_vec());
        let (end, patience) = (self.end, self.patience);
        let figures = Arc::clone(&self.figures);
        let proposed = self
            .link
            .run(async move { slots::propose(&remote, end, block, (patience, &figures)).await });
        let why = match proposed {
            Ok(Proposed::Accepted) => {
                self.end.sequence += 1;
                self.end.chain = chain;
                self.blocks += 1;
                return ControlFlow::Continue(());
            }
            Ok(Proposed::Overtaken(_)) => "another node writes to the stream: stop it".to_owned(),
            Ok(Proposed::Unknown(outage) | Proposed::Refused(outage)) => outage.why().to_owned(),
            Err(why) => why,
        };
        self.failed = Some(why);
        ControlFlow::Break(())
    }
}
