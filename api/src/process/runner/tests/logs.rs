//! Logs in memory with something wrong.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex};

use domain::codec::StoredEvent as _;
use domain::scheduling::OperationEvent;
use eventstore::{
    Appending, Budget, Commit, EventStore, Filter, Health, MemoryEventStore, OutageKind, Page,
    Position, ReadError, StoreLayer, StreamId, StreamPage, StreamVersion,
};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// A log that takes one commit at a time. The first one that says what a payment came to
/// waits, while nobody else gets in, until another wants to.
#[derive(Debug)]
pub(super) struct OneAtATime {
    log: Arc<MemoryEventStore>,
    place: Arc<Mutex<()>>,
    wanted: watch::Sender<u64>,
    pub(super) waiting: watch::Sender<bool>,
    has_waited: AtomicBool,
}

impl OneAtATime {
    pub(super) fn over(log: &Arc<MemoryEventStore>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            place: Arc::default(),
            wanted: watch::Sender::new(0),
            waiting: watch::Sender::new(false),
            has_waited: AtomicBool::new(false),
        })
    }

    fn is_payment(commit: &Commit) -> bool {
        let events = commit.parts.iter().flat_map(|part| &part.events);
        let numbers: Vec<_> = events.map(|event| event.event_type.0).collect();
        let known = OperationEvent::TYPES.iter();
        let mut payments = known.filter(|known| known.name == "PaymentAuthorized");
        payments.any(|known| numbers.contains(&known.number))
    }
}

impl StoreLayer for OneAtATime {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_append(&self, commit: Commit) -> Appending {
        let waits = Self::is_payment(&commit) && !self.has_waited.swap(true, Ordering::Relaxed);
        self.wanted.send_modify(|wanted| *wanted += 1);
        let mut wanted = self.wanted.subscribe();
        let (place, waiting) = (Arc::clone(&self.place), self.waiting.clone());
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            let _place = place.lock().await;
            if waits {
                waiting.send_replace(true);
                wanted.changed().await.expect("the log is still there");
            }
            log.append(commit).await
        })
    }
}

/// A log of which some streams cannot be read, or what is heard of it.
#[derive(Debug)]
pub(super) struct Unreadable {
    log: Arc<MemoryEventStore>,
    /// How, by what it is of.
    pub(super) streams: StdMutex<HashMap<Uuid, Damage>>,
    /// Pages of all of it cannot be read.
    pub(super) is_mute: AtomicBool,
    /// How many could not be.
    pub(super) unheard: watch::Sender<u64>,
}

/// What comes of reading.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    /// An error.
    Fails,
    /// A panic.
    Panics,
}

impl Unreadable {
    pub(super) fn over(log: &Arc<MemoryEventStore>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            streams: StdMutex::default(),
            is_mute: AtomicBool::new(false),
            unheard: watch::Sender::new(0),
        })
    }
}

impl StoreLayer for Unreadable {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        let damage = self.streams.lock().unwrap().get(&stream.key).copied();
        match damage {
            None => self.log.read_stream(stream, after, budget),
            Some(Damage::Fails) => Err(unavailable()),
            Some(Damage::Panics) => panic!("a test wants it so"),
        }
    }

    fn on_read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        if self.is_mute.load(Ordering::Relaxed) {
            self.unheard.send_modify(|unheard| *unheard += 1);
            return Err(unavailable());
        }
        self.log.read_all(after, filter, budget)
    }
}

/// A log on a cluster that may be away, or not answer what is appended for one operation.
#[derive(Debug)]
pub(super) struct Away {
    log: Arc<MemoryEventStore>,
    pub(super) is_out: AtomicBool,
    /// How often it was asked how it is while it was away.
    pub(super) asked: watch::Sender<u64>,
    /// What is appended for this is never answered.
    pub(super) unanswered: StdMutex<Option<Uuid>>,
    /// Something was appended for it.
    pub(super) hanging: watch::Sender<bool>,
}

impl Away {
    pub(super) fn over(log: &Arc<MemoryEventStore>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            is_out: AtomicBool::new(false),
            asked: watch::Sender::new(0),
            unanswered: StdMutex::default(),
            hanging: watch::Sender::new(false),
        })
    }
}

impl StoreLayer for Away {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_append(&self, commit: Commit) -> Appending {
        if *self.unanswered.lock().unwrap() == Some(commit.correlation_id) {
            self.hanging.send_replace(true);
            return Box::pin(std::future::pending());
        }
        self.log.append(commit)
    }

    fn on_health(&self) -> Health {
        if self.is_out.load(Ordering::Relaxed) {
            self.asked.send_modify(|asked| *asked += 1);
            let why = "a test wants it so".to_owned();
            let kind = OutageKind::Unanswered;
            return Health::Outage { kind, why };
        }
        self.log.health()
    }
}

/// A log that takes six seconds, on a clock of its own, to write down the first claim.
#[derive(Debug)]
pub(super) struct Slow {
    log: Arc<MemoryEventStore>,
    seconds: Arc<AtomicU64>,
}

impl Slow {
    pub(super) fn over(log: &Arc<MemoryEventStore>, seconds: Arc<AtomicU64>) -> Arc<Self> {
        let log = Arc::clone(log);
        Arc::new(Self { log, seconds })
    }
}

impl StoreLayer for Slow {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_append(&self, commit: Commit) -> Appending {
        self.seconds.store(6, Ordering::Relaxed);
        self.log.append(commit)
    }
}

fn unavailable() -> ReadError {
    ReadError::Unavailable {
        why: "a test wants it so".to_owned(),
    }
}
