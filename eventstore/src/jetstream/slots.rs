//! The log's order: the slot behind message `n` is message `n + 1`, and the
//! stream fills each slot once. Message `n` is the log's `n`-th block.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::access::ANSWER_WAIT;
use super::cluster::{Cluster, Purpose};
use super::farewell::Farewell;
use super::fetching::Fetching;
use super::figures::ClusterFigures;
use super::heads::{Head, Heads};
use super::link::Link;
use super::remote::{Published, Remote, lost_by_a_server};
use crate::journal::block::{Block, Chain};
use crate::journal::outage::Obstacle;
use crate::journal::quorum::{Outage, Proposed, Quorum};
use crate::position::Position;
use crate::store::OutageKind;

/// Most slots read at once while catching up.
const SLOTS_AT_ONCE_MAX: usize = 32;
/// How long the cluster is still waited for when nobody waits any more.
const CLOSING_WAIT: Duration = Duration::from_secs(2);
/// The first pause before a block whose fate is not known is tried again; each
/// is twice the one before, up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_LAST: Duration = Duration::from_millis(320);
/// How many looks at what others wrote find nothing, two a second where they write
/// nothing, before the leader is asked whether it is there.
const LOOKS_BEFORE_ASKED: u32 = 4;
/// How often in a row it may not answer, two seconds each time where it is gone: most
/// elections of another are over by then, and are no outage.
const UNANSWERED_MAX: u32 = 3;
/// How many looks at what others wrote, two a second where they write nothing,
/// after a refusal nothing is published.
const LOOKS_AFTER_REFUSAL: u32 = 6;

/// What is said where nothing was.
const NO_ANSWER: &str = "no server answered in time";

/// A journal's end, as it was seen in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenEnd {
    /// Its last message, 0 before the first.
    pub(super) sequence: u64,
    /// The chain there.
    pub(super) chain: Chain,
    /// The connection on which that message was found to be this block. Behind
    /// another one there may be servers that lost it, and filled its place.
    pub(super) connection: u64,
}

/// Whether the cluster takes what is published, which it may not while it can be
/// read: a user may have lost that right, or the servers' disks be full.
#[derive(Debug)]
enum Writing {
    Works,
    /// It did not say what became of this block, which is to follow that message.
    /// Whoever wanted it was told that it may still be written: it is, to see
    /// whether it is answered.
    Unanswered {
        after: u64,
        block: Vec<u8>,
        obstacle: Obstacle,
    },
    /// It refused a block. That many looks more it is taken to refuse others.
    Refused {
        looks: u32,
        obstacle: Obstacle,
    },
}

/// When the stream's leader was heard last.
#[derive(Clone, Copy, Debug)]
struct Leader {
    /// So many looks more it need not be asked.
    looks: u32,
    /// So often more it may not answer.
    unanswered: u32,
}

impl Leader {
    const HEARD: Self = Self {
        looks: LOOKS_BEFORE_ASKED,
        unanswered: UNANSWERED_MAX,
    };
    /// There was an outage, which is over when it answers.
    const MISSED: Self = Self {
        looks: 0,
        unanswered: 0,
    };
}

/// The stream's slots, as one node fills and reads them.
#[derive(Debug)]
pub(super) struct Slots {
    link: Link,
    remote: Remote,
    heads: Heads,
    stream: String,
    purpose: Purpose,
    patience: Duration,
    figures: Arc<ClusterFigures>,
    /// The message of the last block in this journal, 0 before the first.
    sequence: u64,
    /// The chain there.
    chain: Chain,
    /// How many slots to read next.
    at_once: usize,
    /// The block proposed last is in the log: the others are told.
    is_own: bool,
    /// Until the journal has come to what was the stream's end when it was opened.
    fetching: Option<Fetching>,
    /// The connection on which the end of this journal was last found in the
    /// stream; none after the cluster did not say what became of a block.
    connection: Option<u64>,
    leader: Leader,
    writing: Writing,
    /// Nobody waits any more.
    closing: watch::Receiver<bool>,
}

impl Slots {
    /// Behind a journal that ends with that message of the stream.
    pub(super) fn behind_message(
        cluster: &Cluster<'_>,
        (sequence, head): (u64, Head),
        heads: Heads,
        fetching: Fetching,
    ) -> Self {
        let figures = Arc::clone(&cluster.figures);
        figures.came_to(head.position, false);
        Self {
            heads,
            connection: Some(cluster.link.connections()),
            leader: Leader::HEARD,
            writing: Writing::Works,
            closing: watch::channel(false).1,
            link: cluster.link.clone(),
            remote: cluster.remote.clone(),
            stream: cluster.options.stream.clone(),
            purpose: cluster.purpose,
            patience: cluster.options.patience,
            figures,
            sequence,
            chain: head.chain,
            at_once: 1,
            is_own: false,
            fetching: Some(fetching),
        }
    }

    /// Nothing of this node will be in the log any more.
    fn has_left(&self, said: Farewell) -> Outage {
        Outage::Lasting(said.error(&self.stream).to_string())
    }

    /// After the connection was lost: whether the stream still has this
    /// journal's end. It was lost with all servers' power, if it has not.
    fn see_end(&mut self) -> Result<(), Outage> {
        let connection = self.link.connections();
        if self.connection == Some(connection) {
            return Ok(());
        }
        let seeing = see_end(self.remote.clone(), self.sequence, self.chain);
        self.wait_for(seeing)
            .unwrap_or_else(|obstacle| Err(Outage::Passing(obstacle)))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Whether the stream has a leader. What can be read does not tell: every server shows its
    /// copy, also where no majority is up, and where nobody writes nothing else would.
    fn hear_leader(&mut self) -> Result<(), Outage> {
        if let Some(looks) = self.leader.looks.checked_sub(1) {
            self.leader.looks = looks;
            return Ok(());
        }
        let remote = self.remote.clone();
        let asked = self.wait_for(async move { remote.last_sequence().await });
        // One that leads since a moment ago may show less than it has.
        let heard = asked.and_then(|last| match last? {
            last if last < self.sequence => Err(lost(self.sequence, last)),
            _has_it => Ok(()),
        });
        match heard {
            Ok(()) => {
                self.leader = Leader::HEARD;
                Ok(())
            }
            Err(obstacle) => {
                let left = self.leader.unanswered.checked_sub(1);
                self.leader.unanswered = left.ok_or(Outage::Passing(obstacle))?;
                Ok(())
            }
        }
    }

    /// The blocks behind this journal's end, as far as they are there and worth one step.
    fn read_behind(&mut self) -> Result<Vec<Vec<u8>>, Outage> {
        self.see_end()?;
        self.try_writing();
        let (remote, after, at_once) = (self.remote.clone(), self.sequence, self.at_once);
        let reading = async move { read_with_patience(&remote, after, at_once).await };
        let read = self.wait_for(reading).and_then(|read| read);
        let mut blocks = read.map_err(Outage::Passing)?;
        let said = (0..).zip(&blocks).find_map(|(at, block)| {
            let said = Farewell::decode(block)?;
            Some((at, said))
        });
        match said {
            Some((0, said)) if self.purpose == Purpose::Join => return Err(self.has_left(said)),
            Some((at, _)) => blocks.truncate(at),
            None => {}
        }
        if blocks.is_empty() {
            self.hear_leader()?;
        }
        Ok(blocks)
    }

    /// Whether what is published is answered again.
    fn try_writing(&mut self) {
        let (after, block) = match &mut self.writing {
            Writing::Works => return,
            Writing::Refused { looks: 0, .. } => {
                self.writing = Writing::Works;
                return;
            }
            Writing::Refused { looks, .. } => {
                *looks -= 1;
                return;
            }
            Writing::Unanswered { after, block, .. } => (*after, block.clone()),
        };
        let (remote, again) = (self.remote.clone(), block.clone());
        let publishing = async move { remote.publish(after, again).await };
        let obstacle = match self.wait_for(publishing) {
            // It is read as anybody's block is, or another one has its place.
            Ok(Published::At(_) | Published::WrongEnd) => {
                self.writing = Writing::Works;
                return;
            }
            Ok(Published::Refused(why)) => Obstacle::new(OutageKind::Refused, why),
            Ok(Published::Unknown(obstacle)) | Err(obstacle) => obstacle,
        };
        self.writing = Writing::Unanswered {
            after,
            block,
            obstacle,
        };
    }

    /// This journal's end; it was just seen.
    fn seen_end(&self) -> SeenEnd {
        SeenEnd {
            sequence: self.sequence,
            chain: self.chain,
            connection: self.connection.unwrap_or_default(),
        }
    }

    /// Waits for what the cluster does; not for long once nobody waits for it.
    fn wait_for<T: Send + 'static>(
        &self,
        something: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Obstacle> {
        let mut closing = self.closing.clone();
        let waiting = async move {
            let given_up = async {
                if closing.wait_for(|closing| *closing).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(CLOSING_WAIT).await;
            };
            tokio::select! {
                done = something => Ok(done),
                () = given_up => Err("the node is stopped, and the cluster did not answer".to_owned()),
            }
        };
        let done = self.link.run(waiting).and_then(|done| done);
        done.map_err(Obstacle::unanswered)
    }
}

impl Quorum for Slots {
    fn until(&mut self, closing: watch::Receiver<bool>) {
        self.closing = closing;
    }

    fn listen(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.heads.listen(&self.link, wake);
    }

    fn behind(&mut self) -> Result<Vec<Vec<u8>>, Outage> {
        let read = self.read_behind();
        let Ok(blocks) = &read else {
            self.leader = Leader::MISSED;
            // Whatever the stream is after that: it may have been made anew from another journal.
            self.connection = None;
            return read;
        };
        self.at_once = if blocks.len() == self.at_once {
            (self.at_once * 2).min(SLOTS_AT_ONCE_MAX)
        } else {
            1
        };
        read
    }

    fn propose(&mut self, block: &[u8]) -> Proposed {
        if let Err(outage) = self.see_end() {
            return Proposed::Refused(outage);
        }
        let sent = block.to_vec();
        let (remote, end) = (self.remote.clone(), self.seen_end());
        let (patience, figures) = (self.patience, Arc::clone(&self.figures));
        let told = self.figures.publishing();
        let proposed = self
            .wait_for(async move { propose(&remote, end, sent, (patience, &figures)).await })
            .unwrap_or_else(|obstacle| Proposed::Unknown(Outage::Passing(obstacle)));
        match &proposed {
            Proposed::Accepted => {
                self.figures.published(told);
                self.leader = Leader::HEARD;
            }
            Proposed::Overtaken(_) => self.figures.overtaken(),
            // What one server can still show is no sign that it is over.
            Proposed::Unknown(_) => {
                self.connection = None;
                self.leader = Leader::MISSED;
            }
            Proposed::Refused(_) => {}
        }
        self.writing = match &proposed {
            Proposed::Accepted | Proposed::Overtaken(_) => Writing::Works,
            Proposed::Unknown(outage) => Writing::Unanswered {
                after: self.sequence,
                block: block.to_vec(),
                obstacle: outage.obstacle(),
            },
            Proposed::Refused(outage) => Writing::Refused {
                looks: LOOKS_AFTER_REFUSAL,
                obstacle: outage.obstacle(),
            },
        };
        if let Proposed::Overtaken(found) = &proposed
            && let Some(said) = Farewell::decode(found)
        {
            return Proposed::Refused(self.has_left(said));
        }
        self.is_own = matches!(proposed, Proposed::Accepted);
        proposed
    }

    fn accepts_nothing(&self) -> Option<Outage> {
        match &self.writing {
            Writing::Works => None,
            Writing::Unanswered { obstacle, .. } | Writing::Refused { obstacle, .. } => {
                Some(Outage::Passing(obstacle.clone()))
            }
        }
    }

    fn taken(&mut self, head: Position, chain: Chain) {
        self.sequence += 1;
        self.chain = chain;
        let head = Head {
            position: head,
            chain,
        };
        self.heads.set(head);
        let fetching = self.fetching.as_mut();
        if fetching.is_some_and(|fetching| fetching.is_over_at(head.position)) {
            self.fetching = None;
        }
        let is_own = std::mem::take(&mut self.is_own);
        self.figures.came_to(head.position, !is_own);
        if is_own {
            self.heads.tell_written();
        }
    }
}

/// The same as [`read_slots`], tried again for a while: servers that have just
/// elected a leader, or made the stream, do not answer yet.
async fn read_with_patience(
    remote: &Remote,
    after: u64,
    at_once: usize,
) -> Result<Vec<Vec<u8>>, Obstacle> {
    let mut obstacle = Obstacle::unanswered(NO_ANSWER);
    let trying = async {
        loop {
            match read_slots(remote, after, at_once).await {
                Ok(blocks) => return blocks,
                Err(met) => obstacle = met,
            }
            tokio::time::sleep(PAUSE_LAST).await;
        }
    };
    let read = tokio::time::timeout(ANSWER_WAIT, trying).await;
    read.map_err(|_| obstacle)
}

/// The blocks behind a message, in order, up to the first slot without one.
async fn read_slots(remote: &Remote, after: u64, at_once: usize) -> Result<Vec<Vec<u8>>, Obstacle> {
    let slots = (after + 1..).take(at_once);
    let reads: Vec<_> = slots
        .map(|sequence| {
            let remote = remote.clone();
            tokio::spawn(async move { remote.read(sequence).await })
        })
        .collect();
    let mut blocks = Vec::with_capacity(at_once);
    for read in reads {
        let read = read.await;
        match read.map_err(|error| Obstacle::unanswered(error.to_string()))? {
            Ok(Some(block)) => blocks.push(block),
            // What lies behind waits for another call: it is in order only.
            Ok(None) => break,
            Err(_) if !blocks.is_empty() => break,
            Err(obstacle) => return Err(obstacle),
        }
    }
    Ok(blocks)
}

/// Fills the slot behind a message with a block, unless another one is there
/// or comes first. The sequence that is expected never moves: whatever became
/// of an earlier try, the slot has one block, and it is read to see which.
pub(super) async fn propose(
    remote: &Remote,
    after: SeenEnd,
    block: Vec<u8>,
    (patience, figures): (Duration, &ClusterFigures),
) -> Proposed {
    let last_met = Arc::new(Mutex::new(Obstacle::unanswered(NO_ANSWER)));
    let deciding = decide(remote, after, block, (Arc::clone(&last_met), figures));
    let proposed = tokio::time::timeout(patience, deciding).await;
    proposed.unwrap_or_else(|_| {
        let last_met = last_met.lock().unwrap_or_else(PoisonError::into_inner);
        Proposed::Unknown(Outage::Passing(last_met.clone()))
    })
}

async fn decide(
    remote: &Remote,
    mut seen: SeenEnd,
    block: Vec<u8>,
    (last_met, figures): (Arc<Mutex<Obstacle>>, &ClusterFigures),
) -> Proposed {
    let after = seen.sequence;
    let note = |met: Obstacle| {
        *last_met.lock().unwrap_or_else(PoisonError::into_inner) = met;
    };
    let (mut pause, mut is_on_its_way) = (PAUSE_FIRST, false);
    loop {
        // The connection was lost meanwhile: what is expected is only this
        // journal's end if the servers still have that.
        match see_end_again(remote, &mut seen).await {
            Ok(()) => match try_once(remote, after, &block, (&note, &mut is_on_its_way)).await {
                // Else it is seen first behind what it was accepted.
                Some(Proposed::Accepted) if remote.connections() != seen.connection => {}
                Some(proposed) => return proposed,
                None => {}
            },
            Err(Outage::Passing(obstacle)) => note(obstacle),
            Err(Outage::Lasting(why)) => return Proposed::Unknown(Outage::Lasting(why)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LAST);
        figures.retried();
    }
}

/// Publishes a block once, and looks what its slot has then; nothing if that is
/// not known yet. Once a try was not answered, a refusal of another says nothing.
async fn try_once(
    remote: &Remote,
    after: u64,
    block: &[u8],
    (note, is_on_its_way): (&impl Fn(Obstacle), &mut bool),
) -> Option<Proposed> {
    let mut refused = None;
    let is_wrong_end = match remote.publish(after, block.to_vec()).await {
        Published::At(stored) if stored == after + 1 => return Some(Proposed::Accepted),
        Published::At(stored) => {
            let why = format!(
                "the stream stored message {stored} where {} was expected: it does not keep the \
                 order it was asked to",
                after + 1
            );
            return Some(Proposed::Unknown(Outage::Lasting(why)));
        }
        Published::WrongEnd => true,
        Published::Refused(why) => {
            let obstacle = Obstacle::new(OutageKind::Refused, why);
            note(obstacle.clone());
            refused = Some(obstacle);
            false
        }
        Published::Unknown(obstacle) => {
            note(obstacle);
            *is_on_its_way = true;
            false
        }
    };
    match remote.read_surely(after + 1).await {
        Ok(Some(found)) if found == block => return Some(Proposed::Accepted),
        Ok(Some(found)) => return Some(Proposed::Overtaken(found)),
        Ok(None) if is_wrong_end => match remote.last_sequence().await {
            Ok(last) if last < after => note(lost(after, last)),
            Ok(last) => note(lost_by_a_server(after + 1, last)),
            Err(obstacle) => note(obstacle),
        },
        Ok(None) => {
            if let Some(obstacle) = refused.filter(|_| !*is_on_its_way)
                && remote.last_sequence().await == Ok(after)
            {
                return Some(Proposed::Refused(Outage::Passing(obstacle)));
            }
        }
        Err(obstacle) => note(obstacle),
    }
    None
}

/// Looks for the journal's end in the stream unless it was seen on this connection.
async fn see_end_again(remote: &Remote, seen: &mut SeenEnd) -> Result<(), Outage> {
    let connection = remote.connections();
    if seen.connection != connection {
        see_end(remote.clone(), seen.sequence, seen.chain).await?;
        seen.connection = connection;
    }
    Ok(())
}

/// Whether the stream has the block that a journal ends with.
async fn see_end(remote: Remote, sequence: u64, chain: Chain) -> Result<(), Outage> {
    let last = remote.last_sequence().await.map_err(Outage::Passing)?;
    if sequence == 0 {
        return Ok(());
    }
    if last < sequence {
        return Err(Outage::Passing(lost(sequence, last)));
    }
    let found = remote.read_surely(sequence).await;
    match found.map_err(Outage::Passing)? {
        None => Err(Outage::Passing(lost_by_a_server(sequence, last))),
        Some(bytes) if Block::parse(&bytes).is_ok_and(|block| block.chain == chain) => Ok(()),
        Some(_) => Err(Outage::Lasting(format!(
            "message {sequence} of the stream is not the block that this journal ends with: have \
             the journal and the views moved away, and fetched anew (airpost cluster resync)"
        ))),
    }
}

/// What is said while the stream is shorter than this journal.
fn lost(sequence: u64, last: u64) -> Obstacle {
    let why = format!(
        "the stream ends at message {last}, and message {sequence} was acknowledged: appends stop; \
         if all servers are up, have what is missing published from the longest journal (airpost \
         cluster heal)"
    );
    Obstacle::new(OutageKind::Behind, why)
}
