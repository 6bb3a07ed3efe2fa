//! The one loop that appends: load, decide, append; on a conflict once more.

use std::sync::Arc;

use domain::actor::Actor;
use domain::codec::StoredEvent;
use domain::decider::Occurrence;
use domain::id::FactId;
use domain::stream::StreamName;
use domain::time::Timestamp;
use domain::translation::Thresholds;
use eventstore::{
    AppendError, Commit, CommitId, Event, EventStore, EventType, Expected, Health, Label,
    OutageKind, Outcome, Part, Position, SchemaVersion, SnapshotStore, StreamVersion,
};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::keyed::{ClientRequest, KeyedCommand};
use super::load::{Folded, LoadError, Loaded, Loader, stream_id};
use super::scheduling::SchedulingRules;
use super::snapshots::Snapshots;
use crate::environment::Environment;

/// How often a decision is made anew when others were quicker. All but the
/// first two are made in turn, against those alone who come new.
const TRIES_MAX: usize = 10;

/// How many turns there are: streams that share one wait for each other, no more.
const TURNS: usize = 256;

/// Everything a use case works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Application {
    store: Arc<dyn EventStore>,
    loader: Arc<Loader>,
    environment: Environment,
    thresholds: Thresholds,
    scheduling: Arc<SchedulingRules>,
    turns: Arc<Turns>,
}

/// Who may try again next, by stream.
#[derive(Debug)]
struct Turns([Mutex<()>; TURNS]);

impl Turns {
    async fn of(&self, key: Uuid) -> MutexGuard<'_, ()> {
        let place: u8 = key.into_bytes().into_iter().fold(0, |a, b| a ^ b);
        let turn = self.0.get(usize::from(place));
        turn.expect("a byte has as many values as there are turns")
            .lock()
            .await
    }
}

/// What set a commit in motion.
#[derive(Clone, Debug)]
pub struct Request {
    /// The commit's id follows from it: the same for every retry of the same thing.
    pub commit_id: Uuid,
    /// Who acts.
    pub actor: Actor,
    /// Ties together everything that one request set in motion.
    pub correlation_id: Uuid,
    /// What made the events happen, where they do not say so themselves.
    pub cause: Option<FactId>,
    /// What is carried out once, however often it is asked for.
    pub keyed: Option<KeyedCommand>,
}

impl Request {
    /// A client's request, which is the cause of what follows from it.
    #[must_use]
    pub fn of_client(request: impl Into<ClientRequest>, actor: Actor) -> Self {
        let request = request.into();
        Self {
            commit_id: request.commit_id(),
            actor,
            correlation_id: request.id,
            cause: FactId::new(request.id.to_string()).ok(),
            keyed: request.keyed,
        }
    }
}

/// Which version of a thing the caller has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It does not matter.
    None,
    /// The thing must exist.
    Exists,
    /// Its sequence must be one of these.
    Sequence(Vec<u64>),
}

impl Precondition {
    /// Whether something at this version will do.
    #[must_use]
    pub fn accepts(&self, version: StreamVersion) -> bool {
        match self {
            Self::None => true,
            Self::Exists => version != StreamVersion::EMPTY,
            Self::Sequence(sequences) => sequences.contains(&version.get()),
        }
    }
}

/// A use case's result, and the position a reader must have reached to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// The last position that was written, or the head where nothing was.
    pub position: Position,
}

/// Why a use case came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactError<R> {
    /// A rule said no.
    #[error("{0}")]
    Rejected(R),
    /// The machine could not.
    #[error(transparent)]
    Failed(Failure),
}

/// Why the machine could not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Appending failed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Appending failed since the cluster that the log is on takes nothing at this moment.
    #[error("{error}")]
    Outage {
        /// What is in the way.
        kind: OutageKind,
        /// What became of it.
        error: AppendError,
    },
    /// Loading failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Others were quicker, again and again.
    #[error("others changed the same thing {TRIES_MAX} times meanwhile: try again")]
    Contended,
    /// The very request was carried out before, or is just being.
    #[error("this very request was carried out before: look at what it did")]
    Repeated,
    /// The machine's clock is set to a time that cannot be kept.
    #[error("the machine's clock is out of range: set it")]
    Clock,
}

impl<R> From<LoadError> for TransactError<R> {
    fn from(error: LoadError) -> Self {
        Self::Failed(Failure::Load(error))
    }
}

impl<R> From<Failure> for TransactError<R> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Application {
    /// An application on a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        environment: Environment,
        thresholds: Thresholds,
    ) -> Self {
        let loader = Arc::new(Loader::new(Arc::clone(&store), None));
        Self {
            store,
            loader,
            environment,
            thresholds,
            scheduling: Arc::default(),
            turns: Arc::new(Turns(std::array::from_fn(|_| Mutex::new(())))),
        }
    }

    /// The same, keeping the states of long streams there and beginning with
    /// those that are there. They are written by a thread that ends with the application.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn with_snapshots(self, snapshots: SnapshotStore) -> std::io::Result<Self> {
        let snapshots = Snapshots::start(snapshots)?;
        let loader = Loader::new(Arc::clone(&self.store), Some(snapshots));
        Ok(Self {
            loader: Arc::new(loader),
            ..self
        })
    }

    /// The same, scheduling deliveries by these rules instead of by the default ones.
    #[must_use]
    pub fn with_scheduling(self, rules: SchedulingRules) -> Self {
        Self {
            scheduling: Arc::new(rules),
            ..self
        }
    }

    /// The clock.
    ///
    /// # Errors
    /// [`Failure::Clock`] outside the years 1 to 9999.
    pub fn now(&self) -> Result<Timestamp, Failure> {
        Timestamp::from_micros(self.environment.now_us()).map_err(|_| Failure::Clock)
    }

    /// Where times and ids come from.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The log, for who reads it as it is.
    pub(crate) fn log(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The last position that is visible.
    #[must_use]
    pub fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    /// Whether appends are taken, and why not.
    #[must_use]
    pub fn log_health(&self) -> Health {
        self.store.health()
    }

    /// How deliveries are scheduled.
    #[must_use]
    pub fn scheduling(&self) -> &SchedulingRules {
        &self.scheduling
    }

    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    pub(crate) fn loader(&self) -> &Loader {
        &self.loader
    }

    /// Decides on what is so and appends what follows, in one commit.
    ///
    /// `decide` may run several times, each time on newly loaded states. What
    /// it loads through the draft and records there is appended only if those
    /// streams have not changed meanwhile. What is refused while the log goes on
    /// is decided a second time.
    pub(crate) async fn transact<T, R>(
        &self,
        request: &Request,
        mut decide: impl FnMut(&mut Draft<'_>) -> Result<T, TransactError<R>>,
    ) -> Result<Done<T>, TransactError<R>> {
        let (mut turn, mut was_refused) = (None, false);
        for _ in 0..TRIES_MAX {
            let before = self.head();
            let mut draft = Draft {
                loader: &self.loader,
                now: self.now()?,
                parts: Vec::new(),
                shown: None,
            };
            draft.refuse_taken(request.keyed)?;
            let value = match decide(&mut draft) {
                Ok(value) => value,
                // What was loaded one after the other need not belong together, as where the
                // first attempt of this request came between. Only what is appended is held
                // against it, so a refusal is decided once more.
                Err(TransactError::Rejected(_)) if !was_refused && self.head() != before => {
                    was_refused = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            draft.take(request.keyed)?;
            let Some(commit) = self.commit(request, draft.parts) else {
                let position = self.head();
                return Ok(Done { value, position });
            };
            // It would wait for as long as a cluster is tried, and keep others waiting.
            if let Health::Outage { kind, why } = self.log_health() {
                let error = AppendError::Unavailable { why };
                return Err(Failure::Outage { kind, error }.into());
            }
            match self.store.append(commit).await {
                // A twin of this request was quicker: what it wrote is decided on anew.
                Ok(appended) if appended.outcome == Outcome::Duplicate => {}
                Ok(appended) => {
                    let position = appended.position();
                    return Ok(Done { value, position });
                }
                // Whoever lost once waits for their turn, so that many who want
                // the same thing get it one after the other.
                Err(AppendError::Conflict { stream, .. }) if turn.is_none() => {
                    turn = Some(self.turns.of(stream.key).await);
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(self.append_failure(error).into()),
            }
        }
        Err(Failure::Contended.into())
    }

    /// What passes by itself is told apart from what an operator has to mend.
    fn append_failure(&self, error: AppendError) -> Failure {
        let is_refused = matches!(
            error,
            AppendError::Indeterminate { .. } | AppendError::Unavailable { .. }
        );
        match self.log_health() {
            Health::Outage { kind, .. } if is_refused => Failure::Outage { kind, error },
            Health::Outage { .. }
            | Health::Writable
            | Health::Full
            | Health::ReadOnly { .. }
            | Health::Closed => Failure::Append(error),
        }
    }

    fn commit(&self, request: &Request, mut parts: Vec<Part>) -> Option<Commit> {
        if !has_events(&parts) {
            return None;
        }
        let cause = request.cause.as_ref().map(|cause| label(cause.as_str()));
        for event in parts.iter_mut().flat_map(|part| &mut part.events) {
            event.cause = event.cause.take().or_else(|| cause.clone());
        }
        Some(Commit {
            id: CommitId(request.commit_id),
            clock_us: self.environment.now_us(),
            actor: label(&request.actor.to_string()),
            correlation_id: request.correlation_id,
            parts,
        })
    }
}

fn has_events(parts: &[Part]) -> bool {
    parts.iter().any(|part| !part.events.is_empty())
}

/// Ids and names of the domain are shorter than a label may be.
fn label(text: &str) -> Label {
    Label::new(text).expect("actors and causes have at most 128 bytes")
}

/// What one decision has loaded and wants to append.
#[derive(Clone, Debug)]
pub(crate) struct Draft<'a> {
    loader: &'a Loader,
    /// When the decision was begun: to whoever looks at it before the log has it, it was recorded
    /// then.
    pub(super) now: Timestamp,
    parts: Vec<Part>,
    /// The stream that the answer to a client shows.
    pub(super) shown: Option<(StreamName, StreamVersion)>,
}

impl Draft<'_> {
    /// A stream's state as it is now, and as what is to be appended leaves it.
    pub(crate) fn load<S: Folded>(&self, name: StreamName) -> Result<Loaded<S>, LoadError> {
        let mut loaded = self.loader.load(name)?;
        let stream = stream_id(name);
        let part = self.parts.iter().find(|part| part.stream == stream);
        for event in part.iter().flat_map(|part| &part.events) {
            loaded.follow(event, self.now)?;
        }
        Ok(loaded)
    }

    /// Every event of a stream, oldest first.
    pub(crate) fn events<E: StoredEvent>(&self, name: StreamName) -> Result<Vec<E>, LoadError> {
        self.loader.events(name)
    }

    /// Shows every event of a stream after a version, oldest first.
    pub(crate) fn follow<E: StoredEvent>(
        &self,
        name: StreamName,
        after: StreamVersion,
        each: impl FnMut(StreamVersion, Occurrence<E>),
    ) -> Result<(), LoadError> {
        self.loader.read(name, after, each).map(drop)
    }

    /// Whether anything is to be appended.
    pub(super) fn writes(&self) -> bool {
        has_events(&self.parts)
    }

    /// How many events are to be appended to a stream.
    pub(super) fn appended_to(&self, name: StreamName) -> u64 {
        let stream = stream_id(name);
        let part = self.parts.iter().find(|part| part.stream == stream);
        part.map_or(0, |part| part.events.len() as u64)
    }

    /// Makes the commit depend on a stream being as it was loaded.
    pub(crate) fn guard<S>(&mut self, loaded: &Loaded<S>) {
        self.part(loaded, None);
    }

    /// Adds events to a stream and brings the loaded state up to them.
    pub(crate) fn record<S: Folded>(
        &mut self,
        loaded: &mut Loaded<S>,
        owner: Option<Uuid>,
        cause: Option<&FactId>,
        occurrences: &[Occurrence<S::Event>],
    ) {
        let part = self.part(loaded, owner);
        part.events.extend(occurrences.iter().map(|occurrence| {
            let encoded = occurrence.event.encode();
            Event {
                event_type: EventType(encoded.event_type),
                schema: SchemaVersion(encoded.schema),
                event_time_us: occurrence.event_time.micros(),
                inferred: occurrence.inferred,
                cause: cause.map(|cause| label(cause.as_str())),
                payload: encoded.payload,
            }
        }));
        let state = std::mem::replace(&mut loaded.state, S::empty());
        loaded.state = occurrences.iter().fold(state, |state, occurrence| {
            state.evolve(&occurrence.clone().as_recorded(self.now))
        });
    }

    fn part<S>(&mut self, loaded: &Loaded<S>, owner: Option<Uuid>) -> &mut Part {
        let stream = stream_id(loaded.name);
        let place = self
            .parts
            .iter()
            .position(|part| part.stream == stream)
            .unwrap_or_else(|| {
                let expected = Expected::from(loaded.version);
                self.parts.push(Part {
                    stream,
                    owner,
                    expected,
                    events: Vec::new(),
                });
                self.parts.len() - 1
            });
        let part = self
            .parts
            .get_mut(place)
            .expect("found or pushed just above");
        part.owner = part.owner.or(owner);
        part
    }
}
