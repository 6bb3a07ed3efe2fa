//! Who decides that a block is in the log, where that is not this machine's
//! disk alone: several nodes write one log then, and each has a journal of it.

use std::fmt;

use tokio::sync::watch;

use super::block::Chain;
use super::outage::Obstacle;
use crate::position::Position;
use crate::store::OutageKind;

/// Keeps the log's blocks in one order for all nodes.
///
/// Every node's journal is a prefix of that order. What is asked for or
/// proposed is always the block right behind the last one that was
/// [`taken`](Quorum::taken) into this journal.
pub(crate) trait Quorum: Send + fmt::Debug {
    /// Has `wake` called whenever there may be blocks of other nodes. It may be
    /// called for nothing; and it may be forgotten, so that a node asks by
    /// itself, too.
    fn listen(&mut self, wake: Box<dyn Fn() + Send + Sync>);

    /// Once this becomes true nobody waits for an answer any more: what is under
    /// way is given up soon.
    fn until(&mut self, closing: watch::Receiver<bool>);

    /// The blocks behind the last one taken, in order, as far as they are there
    /// and worth one step; none if there is none.
    fn behind(&mut self) -> Result<Vec<Vec<u8>>, Outage>;

    /// Has a block accepted as the next one. Blocks until its fate is known,
    /// or for as long as is worth waiting.
    fn propose(&mut self, block: &[u8]) -> Proposed;

    /// Why nothing is accepted at present, if that is so. Others' blocks may be
    /// had nevertheless, which is no sign that it is over.
    fn accepts_nothing(&self) -> Option<Outage>;

    /// The next block is in the journal, which ends there with this chain.
    fn taken(&mut self, head: Position, chain: Chain);
}

/// What became of a proposed block.
#[derive(Debug)]
pub(crate) enum Proposed {
    /// It is the next block, for ever.
    Accepted,
    /// This one is; the proposed one will never be.
    Overtaken(Vec<u8>),
    /// It may be the next block, or become it, or not.
    Unknown(Outage),
    /// It was not sent or not taken, and never will be.
    Refused(Outage),
}

/// Why no agreement could be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// It may pass by itself.
    Passing(Obstacle),
    /// It will not: this journal takes no part in it any more until it is opened again.
    Lasting(String),
}

impl Outage {
    /// What is in the way. What lasts is refused for good.
    pub(crate) fn obstacle(&self) -> Obstacle {
        match self {
            Self::Passing(obstacle) => obstacle.clone(),
            Self::Lasting(why) => Obstacle::new(OutageKind::Refused, why.clone()),
        }
    }

    /// What happened, in words for the operator.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Passing(Obstacle { why, .. }) | Self::Lasting(why) => why,
        }
    }
}
