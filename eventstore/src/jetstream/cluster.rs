//! The log's stream on a cluster that was connected to, and found in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::ClusterError;
use super::farewell::Farewell;
use super::figures::ClusterFigures;
use super::heads::{self, Head, Heads};
use super::link::{LOOK_AGAIN, Link};
use super::options::JetStreamOptions;
use super::place::{Standing, Unplaced, place};
use super::remote::Remote;
use super::settings::{self, LogOfStream};
use super::slots::Slots;
use crate::disk::RealDisk;
use crate::journal::block::first_chain;
use crate::journal::{CaughtUp, Copies, JournalOptions, NotRunning, Recovered};
use crate::position::Position;

/// A stream that may hold a log.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) link: Link,
    pub(super) remote: Remote,
    /// The log that it says it is.
    pub(super) log: LogOfStream,
    pub(super) options: &'a JetStreamOptions,
    pub(super) purpose: Purpose,
    is_sealed: bool,
    pub(super) figures: Arc<ClusterFigures>,
}

/// What a stream is connected to for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To take part in the log, which must not have left.
    Join,
    /// To have the log leave, or see that it did.
    Leave,
}

impl<'a> Cluster<'a> {
    /// Connects, and refuses a stream that could lose what it acknowledges.
    pub(super) fn connect(
        options: &'a JetStreamOptions,
        purpose: Purpose,
    ) -> Result<Self, ClusterError> {
        let link = Link::connect(options)?;
        let (remote, info) = Remote::find(&link, options)?;
        let log = settings::check(options, &info, link.client.max_payload())?;
        let cluster = Self {
            figures: ClusterFigures::of(&link),
            link,
            remote,
            log,
            options,
            purpose,
            is_sealed: info.config.sealed,
        };
        cluster.refuse_sealed()?;
        Ok(cluster)
    }

    /// A stream is sealed when its log leaves, and at no other time.
    fn refuse_sealed(&self) -> Result<(), ClusterError> {
        if !self.is_sealed {
            return Ok(());
        }
        match self.farewell()? {
            Some(_) if self.purpose == Purpose::Leave => Ok(()),
            Some(said) => Err(said.error(&self.options.stream)),
            None => Err(ClusterError::Settings {
                stream: self.options.stream.clone(),
                wrong: vec!["it must not be sealed".to_owned()],
            }),
        }
    }

    /// What the log said when it left, if it did.
    pub(super) fn farewell(&self) -> Result<Option<Farewell>, ClusterError> {
        let remote = self.remote.clone();
        let looking = async move { remote.end().await };
        let end = self.link.run(looking).and_then(|end| end);
        let (_, said) = end.map_err(|why| ClusterError::Unanswered { why })?;
        Ok(said)
    }

    /// Seals the stream, for ever, if it is not sealed yet.
    pub(super) fn seal(&self) -> Result<(), ClusterError> {
        if self.is_sealed {
            return Ok(());
        }
        let remote = self.remote.clone();
        let sealing = async move { remote.seal().await };
        let sealed = self.link.run(sealing).and_then(|sealed| sealed);
        sealed.map_err(|why| ClusterError::Unanswered { why })
    }

    /// Brings the journal in a folder to the log's end, as far as any node is
    /// known to have come.
    pub(super) fn catch_up(
        &self,
        folder: &Path,
        journal: JournalOptions,
    ) -> Result<CaughtUp, ClusterError> {
        let whole = &self.log.history;
        let new = whole.identity_at(Position::START.next());
        let recovered =
            Recovered::in_folder(Arc::new(RealDisk), folder, journal, (new, Copies::Cluster))?;
        if !recovered.begins(whole) {
            let ours = recovered.history();
            return Err(self.log.other_epochs(ours, &self.options.stream));
        }
        let (position, chain) = recovered.end();
        let own = Head { position, chain };
        // Heard from here on, also while the stream is shorter than this journal:
        // of nodes that start together one with less must not fill the places.
        let heads = Heads::new(self, own);
        let sequence = self.find_end(own, folder)?;
        let others = heads::ask(&self.link, self.options);
        let others = others.map_err(|why| ClusterError::Unanswered { why })?;
        let slots = Slots::behind_message(self, sequence, own, heads);
        let caught_up = recovered.catch_up_with(Box::new(slots), whole.clone());
        let mut caught_up = caught_up.map_err(not_caught_up)?;
        // What a journal had that was put on the cluster is acknowledged, too.
        let known = others.iter().map(|head| head.position);
        let known = known.fold(self.log.filled_to, Position::max);
        self.come_to(known, &mut caught_up)?;
        Ok(caught_up)
    }

    /// Another node that is farther than the stream has what the stream lost.
    fn come_to(&self, known: Position, caught_up: &mut CaughtUp) -> Result<(), ClusterError> {
        let mut waited = Duration::ZERO;
        while caught_up.head() < known {
            if waited >= self.options.patience {
                return Err(ClusterError::ClusterBehind {
                    stream: self.options.stream.clone(),
                    stream_head: caught_up.head(),
                    known,
                });
            }
            let pause = self
                .link
                .run(async { tokio::time::sleep(LOOK_AGAIN).await });
            pause.map_err(|why| ClusterError::Unanswered { why })?;
            waited += LOOK_AGAIN;
            caught_up.catch_up().map_err(not_caught_up)?;
        }
        Ok(())
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
        let purpose = self.purpose;
        let before = self.beginning().chain;
        let placing = async move {
            let mut last_seen = Err("no server answered in time".to_owned());
            let look = async {
                loop {
                    let seen = match remote.end().await {
                        Ok((_, Some(said))) if purpose == Purpose::Join => {
                            Ok(Err(Unplaced::Left(said)))
                        }
                        Ok((last, _)) => match place(&remote, own, before, last).await {
                            Err(Unplaced::Unanswered(why)) => Err(why),
                            other => Ok(other),
                        },
                        Err(why) => Err(why),
                    };
                    let is_settled = matches!(
                        seen,
                        Ok(Ok(Standing::At(_) | Standing::Diverged)
                            | Err(Unplaced::Foreign { .. } | Unplaced::Left(_)))
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
            Err(Unplaced::Left(said)) => Err(said.error(&stream)),
            Err(Unplaced::Unanswered(why)) => Err(ClusterError::Unanswered { why }),
        }
    }
}

pub(super) fn not_caught_up(error: NotRunning) -> ClusterError {
    match error {
        NotRunning::Open(error) => error.into(),
        NotRunning::Behind(why) => ClusterError::NotCaughtUp { why },
    }
}
