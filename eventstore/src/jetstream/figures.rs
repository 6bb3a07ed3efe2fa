//! What a node on a cluster counts, for whoever shows it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::Statistics;

use super::link::{self, Link};
use crate::position::Position;

/// Is called when a block is sent to the cluster for the first time; what it
/// gives is called when the cluster has accepted the block, and else dropped.
pub type OnPublish = dyn Fn() -> Box<dyn FnOnce() + Send> + Send + Sync;

/// What a node has counted since its log was opened. Shared, and never reset.
#[derive(Default)]
pub struct ClusterFigures {
    published: AtomicU64,
    overtaken: AtomicU64,
    retried: AtomicU64,
    taken: AtomicU64,
    own_head: AtomicU64,
    known_head: AtomicU64,
    /// How often a server was connected to, the first time included.
    connections: Arc<Statistics>,
    on_publish: OnceLock<Box<OnPublish>>,
}

/// The counts of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterCounts {
    /// This node's blocks that the cluster accepted.
    pub published: u64,
    /// Its blocks before which another node's came: their commits were judged
    /// again behind that one.
    pub overtaken: u64,
    /// Tries beyond a block's first: the cluster did not answer, or not at once
    /// which block it had.
    pub retried: u64,
    /// Other nodes' blocks that were taken into this node's journal, those
    /// of the time before it was opened included.
    pub taken: u64,
    /// How often the connection was lost and made anew.
    pub reconnected: u64,
    /// The last position in this node's journal.
    pub head: Position,
    /// The last position that it has heard of, here or on any node. What nobody
    /// has told it, while its connection is lost, is not in it.
    pub known_head: Position,
}

impl ClusterCounts {
    /// How many records this node is known to lack.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.known_head.get().saturating_sub(self.head.get())
    }
}

impl fmt::Debug for ClusterFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

impl ClusterFigures {
    /// What has been counted so far.
    #[must_use]
    pub fn counts(&self) -> ClusterCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ClusterCounts {
            published: get(&self.published),
            overtaken: get(&self.overtaken),
            retried: get(&self.retried),
            taken: get(&self.taken),
            reconnected: link::connections(&self.connections).saturating_sub(1),
            head: Position::new(get(&self.own_head)),
            known_head: Position::new(get(&self.known_head)),
        }
    }

    /// Has `told` called for every block of this node from now on, so that
    /// whoever has a clock can take the time until the cluster has it. It is
    /// called on the thread that writes, which waits for it. The first one stays.
    pub fn on_publish(&self, told: Box<OnPublish>) {
        drop(self.on_publish.set(told));
    }

    /// Of a connection that counts how often it was made.
    pub(super) fn of(link: &Link) -> Arc<Self> {
        Arc::new(Self {
            connections: link.client.statistics(),
            ..Self::default()
        })
    }

    /// A block is sent; gives whom to tell when it is accepted.
    pub(super) fn publishing(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.on_publish.get().map(|told| told())
    }

    pub(super) fn published(&self, told: Option<Box<dyn FnOnce() + Send>>) {
        self.published.fetch_add(1, Ordering::Relaxed);
        if let Some(told) = told {
            told();
        }
    }

    pub(super) fn overtaken(&self) {
        self.overtaken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    /// A block is in the journal, which ends there now.
    pub(super) fn came_to(&self, head: Position, of_another: bool) {
        self.taken
            .fetch_add(u64::from(of_another), Ordering::Relaxed);
        self.own_head.store(head.get(), Ordering::Relaxed);
        self.heard_of(head);
    }

    /// Some node has come as far as that.
    pub(super) fn heard_of(&self, head: Position) {
        self.known_head.fetch_max(head.get(), Ordering::Relaxed);
    }
}
