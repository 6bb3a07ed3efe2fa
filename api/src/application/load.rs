//! Streams folded into states, and the states kept for the next time.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::claim::{EmailClaim, ExternalIdBearer, ExternalIdClaim, TagClaim};
use domain::codec::{DecodeError, StoredEvent};
use domain::decider::{Decider, Occurrence};
use domain::delivery::Delivery;
use domain::dispatch::Dispatch;
use domain::id::{DeliveryId, UserId};
use domain::mission::Mission;
use domain::package::Package;
use domain::process::Process as _;
use domain::refusals::Refusals;
use domain::scheduling::{Operation, Scheduling};
use domain::session::Session;
use domain::snapshot::Snapshot;
use domain::stream::StreamName;
use domain::taken::TakenCommand;
use domain::task::{Acknowledged, Task};
use domain::time::Timestamp;
use domain::user::User;
use eventstore::{Budget, Category, Event, EventStore, ReadError, Record, StreamId, StreamVersion};

use super::snapshots::Snapshots;

/// A state that is the fold of a stream.
pub(crate) trait Folded: Clone + Send + Sync + 'static {
    /// The stream's events.
    type Event: StoredEvent + Clone;

    /// Before the first event.
    fn empty() -> Self;

    /// After one more.
    fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self;

    /// All of it as bytes, if such streams become so long that it is worth it.
    fn kept(&self) -> Option<Vec<u8>> {
        None
    }

    /// What `kept` gave, under the same code; `None` if the bytes are not of it.
    fn restored(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// The states of deciders fold as the deciders say.
macro_rules! folded_by {
    ($($decider:ty => $state:ty $(, kept as $kept:ty)?;)*) => {$(
        impl Folded for $state {
            type Event = <$decider as Decider>::Event;

            fn empty() -> Self {
                <$decider as Decider>::initial()
            }

            fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self {
                <$decider as Decider>::evolve(self, occurrence)
            }

            $(fn kept(&self) -> Option<Vec<u8>> {
                self.as_ref().map(<$kept>::to_snapshot)
            }

            fn restored(bytes: &[u8]) -> Option<Self> {
                <$kept>::from_snapshot(bytes).map(Some)
            })?
        }
    )*};
}

folded_by! {
    Delivery => Option<Delivery>, kept as Delivery;
    User => Option<User>, kept as User;
    EmailClaim => Option<UserId>;
    ExternalIdClaim => Option<ExternalIdBearer>;
    Package => Option<Package>;
    TagClaim => Option<DeliveryId>;
    TakenCommand => Option<TakenCommand>;
    Task => Option<Acknowledged>;
    Refusals => Refusals;
}

impl Folded for Session {
    type Event = domain::session::SessionEvent;

    fn empty() -> Self {
        Self::default()
    }

    fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self {
        Self::evolve(self, &occurrence.event)
    }

    fn kept(&self) -> Option<Vec<u8>> {
        Some(self.to_snapshot())
    }

    fn restored(bytes: &[u8]) -> Option<Self> {
        Self::from_snapshot(bytes)
    }
}

impl Folded for Option<Mission> {
    type Event = domain::mission::MissionEvent;

    fn empty() -> Self {
        None
    }

    fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self {
        Mission::evolve(self, occurrence)
    }
}

impl Folded for Option<Dispatch> {
    type Event = domain::dispatch::DispatchEvent;

    fn empty() -> Self {
        None
    }

    fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self {
        Dispatch::evolve(self, occurrence)
    }
}

impl Folded for Option<Operation> {
    type Event = domain::scheduling::OperationEvent;

    fn empty() -> Self {
        None
    }

    fn evolve(self, occurrence: &Occurrence<Self::Event>) -> Self {
        Scheduling::evolve(self, occurrence)
    }

    fn kept(&self) -> Option<Vec<u8>> {
        self.as_ref().map(Operation::to_snapshot)
    }

    fn restored(bytes: &[u8]) -> Option<Self> {
        Operation::from_snapshot(bytes).map(Some)
    }
}

/// A stream's state and the version it was folded to.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<S> {
    pub(crate) name: StreamName,
    pub(crate) state: S,
    pub(crate) version: StreamVersion,
    /// The version whose state was last kept on disk, as far as is known.
    pub(super) kept: StreamVersion,
}

impl<S: Folded> Loaded<S> {
    fn empty(name: StreamName) -> Self {
        Self {
            name,
            state: S::empty(),
            version: StreamVersion::EMPTY,
            kept: StreamVersion::EMPTY,
        }
    }

    /// Brings the state up to an event that is not in the store yet, as if it were recorded then,
    /// and leaves the version, which is the store's.
    pub(super) fn follow(
        &mut self,
        event: &Event,
        recorded_at: Timestamp,
    ) -> Result<(), LoadError> {
        let occurrence = decoded(self.name, self.version, event, recorded_at.micros())?;
        let state = std::mem::replace(&mut self.state, S::empty());
        self.state = state.evolve(&occurrence);
        Ok(())
    }
}

/// Why a stream could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The store did not give it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event of it cannot be understood.
    #[error("{stream}, version {version}: {why}")]
    Undecodable {
        /// The stream.
        stream: StreamName,
        /// The event's version.
        version: StreamVersion,
        /// What is wrong with it.
        why: DecodeError,
    },
    /// The event's time lies outside what can be kept.
    #[error(
        "{stream}, version {version}: its time is out of range; verify the log and restore it from a backup"
    )]
    TimeOutOfRange {
        /// The stream.
        stream: StreamName,
        /// The event's version.
        version: StreamVersion,
    },
}

/// Where the store keeps a stream.
pub(super) fn stream_id(name: StreamName) -> StreamId {
    StreamId::new(Category::new(name.category.number()), name.key)
}

/// Folds streams, from the last state it remembers where there is one, or else
/// from the last one that was kept on disk.
pub(crate) struct Loader {
    store: Arc<dyn EventStore>,
    remembered: Mutex<Remembered>,
    snapshots: Option<Snapshots>,
}

impl Loader {
    pub(super) fn new(store: Arc<dyn EventStore>, snapshots: Option<Snapshots>) -> Self {
        Self {
            store,
            remembered: Mutex::default(),
            snapshots,
        }
    }

    /// The state of a stream as it is now. An empty stream has the empty state.
    pub(crate) fn load<S: Folded>(&self, name: StreamName) -> Result<Loaded<S>, LoadError> {
        let remembered = self.remembered().get::<S>(name);
        let known = remembered.as_ref().map(|loaded| loaded.version);
        let mut loaded = match remembered {
            Some(loaded) => (*loaded).clone(),
            None => self.snapshot(name)?.unwrap_or_else(|| Loaded::empty(name)),
        };
        if let Some(last) = self.catch_up(&mut loaded)?
            && let Some(snapshots) = &self.snapshots
            && snapshots.keep(&loaded, last, self.store.identity())
        {
            loaded.kept = loaded.version;
        }
        if known.unwrap_or(StreamVersion::EMPTY) != loaded.version {
            self.remembered().put(Arc::new(loaded.clone()));
        }
        Ok(loaded)
    }

    fn snapshot<S: Folded>(&self, name: StreamName) -> Result<Option<Loaded<S>>, LoadError> {
        let snapshots = self.snapshots.as_ref();
        let found = snapshots.map(|snapshots| snapshots.find(self.store.as_ref(), name));
        Ok(found.transpose()?.flatten())
    }

    /// Waits until what was to be kept on disk so far has been.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.snapshots.as_ref().unwrap().settle();
    }

    /// Every event of a stream, oldest first.
    pub(crate) fn events<E: StoredEvent>(&self, name: StreamName) -> Result<Vec<E>, LoadError> {
        let mut events = Vec::new();
        self.read(
            name,
            StreamVersion::EMPTY,
            |_, occurrence: Occurrence<E>| {
                events.push(occurrence.event);
            },
        )?;
        Ok(events)
    }

    /// Gives the last record that was folded, if there was one to fold.
    fn catch_up<S: Folded>(&self, loaded: &mut Loaded<S>) -> Result<Option<Record>, LoadError> {
        let after = loaded.version;
        self.read(loaded.name, after, |reached, occurrence| {
            let state = std::mem::replace(&mut loaded.state, S::empty());
            loaded.state = state.evolve(&occurrence);
            loaded.version = reached;
        })
    }

    /// Shows every event of a stream after a version, oldest first. Gives the
    /// last record that was read, if there was one.
    pub(super) fn read<E: StoredEvent>(
        &self,
        name: StreamName,
        after: StreamVersion,
        mut each: impl FnMut(StreamVersion, Occurrence<E>),
    ) -> Result<Option<Record>, LoadError> {
        self.walk(name, after, |record, version, event| {
            each(
                version,
                decoded(name, version, event, record.recorded_at_us)?,
            );
            Ok(())
        })
    }

    /// The state that a stream had at a version, and when that version was
    /// recorded; nothing if it never came so far. The whole stream is read, so
    /// this is for streams that stay short.
    pub(super) fn at<S: Folded>(
        &self,
        name: StreamName,
        at: StreamVersion,
    ) -> Result<Option<(S, Timestamp)>, LoadError> {
        let mut state = S::empty();
        let mut recorded_at = None;
        self.walk(name, StreamVersion::EMPTY, |record, version, event| {
            if version <= at {
                let before = std::mem::replace(&mut state, S::empty());
                let occurrence = decoded(name, version, event, record.recorded_at_us)?;
                state = before.evolve(&occurrence);
            }
            if version == at {
                let recorded = Timestamp::from_micros(record.recorded_at_us);
                recorded_at = Some(recorded.map_err(|_| LoadError::TimeOutOfRange {
                    stream: name,
                    version,
                })?);
            }
            Ok(())
        })?;
        Ok(recorded_at.map(|recorded_at| (state, recorded_at)))
    }

    /// Shows every event of a stream after a version as it is stored, with its record.
    fn walk(
        &self,
        name: StreamName,
        after: StreamVersion,
        mut each: impl FnMut(&Record, StreamVersion, &Event) -> Result<(), LoadError>,
    ) -> Result<Option<Record>, LoadError> {
        let mut read_to = after;
        let mut last = None;
        loop {
            let page = self
                .store
                .read_stream(stream_id(name), read_to, Budget::PAGE)?;
            for record in &page.records {
                for (version, event) in record.versioned() {
                    if version > after {
                        each(record, version, event)?;
                    }
                }
            }
            let is_end = page.read_to >= page.version || page.read_to == read_to;
            read_to = page.read_to;
            last = page.records.into_iter().next_back().or(last);
            if is_end {
                return Ok(last);
            }
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        // What is remembered is whole after every statement, so a panic
        // elsewhere leaves nothing half done in it.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Decodes one stored event, which was recorded then.
fn decoded<E: StoredEvent>(
    stream: StreamName,
    version: StreamVersion,
    event: &Event,
    recorded_at_us: i64,
) -> Result<Occurrence<E>, LoadError> {
    let decoded = E::decode(event.event_type.0, event.schema.0, &event.payload).map_err(|why| {
        LoadError::Undecodable {
            stream,
            version,
            why,
        }
    })?;
    let time = |micros| {
        let time = Timestamp::from_micros(micros);
        time.map_err(|_| LoadError::TimeOutOfRange { stream, version })
    };
    Ok(Occurrence {
        event: decoded,
        event_time: time(event.event_time_us)?,
        recorded_at: time(recorded_at_us)?,
        inferred: event.inferred,
    })
}

/// The states folded last. Two generations: when the younger one is full it
/// becomes the older one, whose states are forgotten unless asked for again.
#[derive(Default)]
struct Remembered {
    young: HashMap<StreamName, Arc<dyn Any + Send + Sync>>,
    old: HashMap<StreamName, Arc<dyn Any + Send + Sync>>,
}

/// Most states in one generation: with deliveries of about 1 KiB some 20 MiB in both.
const GENERATION_STATES_MAX: usize = 10_000;

impl Remembered {
    fn get<S: Folded>(&mut self, name: StreamName) -> Option<Arc<Loaded<S>>> {
        if let Some(state) = self.young.get(&name) {
            return Arc::clone(state).downcast().ok();
        }
        let state = self.old.remove(&name)?;
        self.insert(name, Arc::clone(&state));
        state.downcast().ok()
    }

    fn put<S: Folded>(&mut self, loaded: Arc<Loaded<S>>) {
        self.insert(loaded.name, loaded);
    }

    fn insert(&mut self, name: StreamName, state: Arc<dyn Any + Send + Sync>) {
        if self.young.len() >= GENERATION_STATES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, state);
    }
}
