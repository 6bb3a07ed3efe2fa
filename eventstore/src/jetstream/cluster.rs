//! The log's stream on a cluster that was connected to, and found in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::ClusterError;
use super::farewell::Farewell;
use super::fetching::{Fetching, OnFetch};
use super::figures::ClusterFigures;
use super::fork::Fork;
use super::heads::{self, Head, Heads};
use super::link::{LOOK_AGAIN, Link};
use super::options::JetStreamOptions;
use super::place::{Standing, Unplaced, head_at, place};
use super::publish::stream_end;
use super::remote::Remote;
use super::settings::{self, LogOfStream};
use super::slots::Slots;
use crate::disk::RealDisk;
use crate::error::OpenError;
use crate::journal::block::first_chain;
use crate::journal::{CaughtUp, Copies, JournalOptions, JournalReader, NotRunning, Recovered};
use crate::position::Position;

/// How long it takes from one try to find the stream to the next.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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
        Self::over(Link::connect(options)?, options, purpose)
    }

    fn over(
        link: Link,
        options: &'a JetStreamOptions,
        purpose: Purpose,
    ) -> Result<Self, ClusterError> {
        let (remote, info) = Remote::find_or_name(&link, options)?;
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

    /// The same, and looks again until patience is over while servers that can be reached have no
    /// leader, or do not answer yet: after a power cut they elect one as long as nodes take to start.
    pub(super) fn connect_patiently(options: &'a JetStreamOptions) -> Result<Self, ClusterError> {
        let link = Link::connect(options)?;
        let mut waited = Duration::ZERO;
        loop {
            let why = match Self::over(link.clone(), options, Purpose::Join) {
                Err(why @ (ClusterError::Leaderless { .. } | ClusterError::Unanswered { .. })) => {
                    why
                }
                connected => return connected,
            };
            if waited >= options.patience {
                return Err(why);
            }
            if waited.is_zero() {
                let patience_s = options.patience.as_secs();
                tracing::warn!(%why, patience_s, "the cluster does not tell of the log yet, and is asked again");
            }
            let pause = link.run(async { tokio::time::sleep(ASK_AGAIN).await });
            pause.map_err(|why| ClusterError::Unanswered { why })?;
            // For about as long an answer was waited for.
            waited += ASK_AGAIN * 2;
        }
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
        let looking = async move { remote.end().await.map_err(|obstacle| obstacle.why) };
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
        tell: OnFetch,
    ) -> Result<CaughtUp, ClusterError> {
        let whole = &self.log.history;
        let new = whole.identity_at(Position::START.next());
        let recovered =
            Recovered::in_folder(Arc::new(RealDisk), folder, journal, (new, Copies::Cluster));
        let recovered = recovered.map_err(ClusterError::Copy)?;
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
        let others = heads::ask(&self.link, self.options)?;
        // A server whose store lost messages may seem to have no more of them.
        let (_, end) = stream_end(self, self.options)?;
        let fetching = Fetching::new(tell, end.position);
        let slots = Slots::behind_message(self, (sequence, own), heads, fetching);
        let caught_up = recovered.catch_up_with(Box::new(slots), whole.clone());
        let mut caught_up = caught_up.map_err(not_caught_up)?;
        // What a journal had that was put on the cluster is acknowledged, too.
        let known = others.iter().map(|head| head.position);
        let known = known.fold(self.log.filled_to, Position::max);
        if end.position < known {
            self.tell_behind(end.position, known, "is known to have been in it");
        }
        self.come_to(known.max(end.position), &mut caught_up)?;
        Ok(caught_up)
    }

    /// Another node that is farther than the stream has what the stream lost.
    fn come_to(&self, known: Position, caught_up: &mut CaughtUp) -> Result<(), ClusterError> {
        let mut waited = Duration::ZERO;
        while caught_up.head() < known {
            if waited >= self.options.patience {
                return Err(self.not_come_to(known, caught_up.head()));
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

    /// Whether it is the stream that ends there, or the servers do not give what it has.
    fn not_come_to(&self, known: Position, head: Position) -> ClusterError {
        match stream_end(self, self.options) {
            Ok((_, end)) if end.position > head => ClusterError::NotCaughtUp {
                why: format!(
                    "the stream goes on to position {}, and what follows position {head} was not given: see that all \
                     servers are up and level (airpost cluster status); one whose store is damaged is stopped, its \
                     store emptied, and started",
                    end.position
                ),
            },
            Ok((_, end)) if end.position < self.log.filled_to => ClusterError::Unfilled {
                stream: self.options.stream.clone(),
                stream_head: end.position,
                filled_to: self.log.filled_to,
            },
            Ok(_) => ClusterError::ClusterBehind {
                stream: self.options.stream.clone(),
                stream_head: head,
                known,
            },
            Err(error) => error,
        }
    }

    /// Before the log's first record.
    pub(super) fn beginning(&self) -> Head {
        Head {
            position: Position::START,
            chain: first_chain(self.log.history.identity().log_id),
        }
    }

    /// Where a journal's end lies in the stream. What may pass is looked at again
    /// until patience is over: that no server answers, that one which leads since a
    /// moment ago has no message yet that is there, and what is not settled.
    pub(super) fn look(
        &self,
        own: Head,
        is_settled: fn(&Standing) -> bool,
    ) -> Result<Standing, Unplaced> {
        let (remote, patience) = (self.remote.clone(), self.options.patience);
        let (purpose, before) = (self.purpose, self.beginning().chain);
        let looking = async move {
            let unanswered = "no server answered in time".to_owned();
            let mut last_seen = Err(Unplaced::Unanswered(unanswered));
            let look = async {
                loop {
                    last_seen = match remote.end().await {
                        Ok((_, Some(said))) if purpose == Purpose::Join => {
                            Err(Unplaced::Left(said))
                        }
                        Ok((last, _)) => place(&remote, own, before, last).await,
                        Err(obstacle) => Err(Unplaced::Unanswered(obstacle.why)),
                    };
                    let is_enough = match &last_seen {
                        Ok(standing) => is_settled(standing),
                        Err(Unplaced::Left(_) | Unplaced::Foreign { .. }) => true,
                        Err(Unplaced::Unanswered(_)) => false,
                    };
                    if is_enough {
                        break;
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            };
            drop(tokio::time::timeout(patience, look).await);
            last_seen
        };
        let looked = self.link.run(looking);
        looked.unwrap_or_else(|why| Err(Unplaced::Unanswered(why)))
    }

    /// The message that the journal ends with. A stream that ends before the
    /// journal, and holds nothing else, is looked at again, and it is said at once.
    pub(super) fn find_end(&self, own: Head, folder: &Path) -> Result<u64, ClusterError> {
        let seen = self.look(own, |_| true);
        self.find_end_seen(seen, own, folder)
    }

    /// The same, of a stream that was seen like this a moment ago.
    pub(super) fn find_end_seen(
        &self,
        mut standing: Result<Standing, Unplaced>,
        own: Head,
        folder: &Path,
    ) -> Result<u64, ClusterError> {
        let is_settled = |standing: &Standing| match standing {
            Standing::At(_) | Standing::Diverged => true,
            Standing::Behind(..) => false,
        };
        let stream = self.options.stream.clone();
        if let Ok(Standing::Behind(_, end)) = standing {
            let fork = self.fork(&open_copy(folder)?)?;
            // The stream is read anew for that, and may have all of the journal by now: a leader of
            // a moment ago showed less of it at first.
            if fork.common < fork.theirs && fork.only_ours() > 0 {
                return Err(self.diverged(folder, fork));
            }
            self.tell_behind(end.position, own.position, "is in this node's journal");
            standing = self.look(own, is_settled);
        }
        match standing {
            Ok(Standing::At(sequence)) => Ok(sequence),
            Ok(Standing::Behind(_, head)) => Err(ClusterError::ClusterBehind {
                stream,
                stream_head: head.position,
                known: own.position,
            }),
            Ok(Standing::Diverged) => {
                let fork = self.fork(&open_copy(folder)?)?;
                Err(self.diverged(folder, fork))
            }
            Err(unplaced) => Err(unplaced.into_error(&stream)),
        }
    }

    /// That the journal in a folder and the stream have parted.
    pub(super) fn diverged(&self, folder: &Path, fork: Fork) -> ClusterError {
        ClusterError::Diverged {
            journal: folder.to_owned(),
            stream: self.options.stream.clone(),
            fork,
        }
    }

    /// Says what is waited for, before it is.
    fn tell_behind(&self, stream_head: Position, known: Position, how: &str) {
        tracing::warn!(
            "the stream {} ends at position {stream_head}, and position {known} {how}: looking again for up to {} s",
            self.options.stream,
            self.options.patience.as_secs()
        );
    }

    /// Where the log ends with a message of the stream, which goes on to `last`.
    pub(super) fn head_at(&self, sequence: u64, last: u64) -> Result<Head, ClusterError> {
        let (remote, before) = (self.remote.clone(), self.beginning().chain);
        let reading = async move { head_at(&remote, (sequence, last), before).await };
        let read = self.link.run(reading);
        read.unwrap_or_else(|why| Err(Unplaced::Unanswered(why)))
            .map_err(|unplaced| unplaced.into_error(&self.options.stream))
    }
}

/// The journal in a folder, which is a copy of a log on a cluster: if it is damaged that helps.
pub(super) fn open_copy(folder: &Path) -> Result<JournalReader, ClusterError> {
    JournalReader::open_of_cluster(folder).map_err(|error| match error {
        OpenError::Corrupt(_) | OpenError::CorruptEnd(_) | OpenError::Regressed { .. } => {
            ClusterError::Copy(error)
        }
        OpenError::Locked { .. }
        | OpenError::Unfinished { .. }
        | OpenError::Format { .. }
        | OpenError::Io { .. } => ClusterError::Journal(error),
    })
}

pub(super) fn not_caught_up(error: NotRunning) -> ClusterError {
    match error {
        NotRunning::Open(error) => error.into(),
        NotRunning::Behind(why) => ClusterError::NotCaughtUp { why },
    }
}
