//! Taking facts in: each sender's in the order of their numbers, some at a time.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::actor::{Actor, ActorKind};
use domain::drone::Sender;
use domain::id::{DroneId, FleetId};
use domain::session::{Expired, ReceivedFact, Session, Step, Verdict};
use domain::stream::StreamName;
use domain::time::{DurationMs, Timestamp};
use futures_util::{FutureExt as _, StreamExt, stream};
use uuid::Uuid;

use super::apply::{Applying, OnPanic};
use super::refuse::Further;
use crate::application::{Application, Done, Draft, Failure, LoadError, Request, TransactError};
use crate::lines::Lines;

/// Most facts taken in by one commit.
///
/// With the held facts that they make due and the parked ones that they
/// release, each giving eight events at the most, they stay below the 1,024
/// events of a commit.
const CHUNK_FACTS_MAX: usize = 32;

/// Most bytes of facts in one commit. A fact's words may stand a second time
/// in a delivery's event, and so may those of the held ones; a commit has 448 KiB.
const CHUNK_BYTES_MAX: usize = 128 * 1024;

/// How many drones' facts of one request are taken in at once.
const DRONES_AT_ONCE: usize = 64;

/// The facts of one drone in a request, by session, each with its place there.
type Sessions = BTreeMap<Sender, Vec<(usize, ReceivedFact)>>;

/// Under which the ids of ingest's commits are made.
const NAMESPACE: Uuid = Uuid::from_u128(0x3d86_1b0c_62a7_5f5e_8f41_c6a1_5d70_2b94);

/// What facts are waited for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestLimits {
    /// How long a fact waits for the ones before it.
    pub gap_wait: DurationMs,
    /// How many facts of a session wait for the ones before them.
    pub held_facts_max: usize,
    /// How long a fact waits for its mission or delivery to be known.
    pub park_wait: DurationMs,
    /// How often it is looked whether something need not wait any longer.
    pub tick: Duration,
    /// How long after a start what waited already is waited for at the least: what is missing
    /// could not come while nothing ran.
    pub settling: DurationMs,
    /// How far ahead of the moment of receipt a sender's clock may be.
    pub skew_max: DurationMs,
}

/// What became of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactOutcome {
    /// The session's verdict; what it accepted is durable.
    Judged(Verdict),
    /// It is not known to be durable: send it again.
    Failed(Failure),
}

/// The door for drone events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {
    application: Application,
    limits: IngestLimits,
    /// Since when what is missing could come.
    started_at: Arc<Mutex<Timestamp>>,
    further: Further,
    unreadable: Unreadable,
}

/// What is told of streams that cannot be read: a line a minute.
pub(super) type Unreadable = Arc<Mutex<Lines<1>>>;

impl Ingest {
    /// A door to an application, which is opened now.
    #[must_use]
    pub fn new(application: Application, limits: IngestLimits) -> Self {
        // Nothing comes in, and no wait ends, before the clock is in range.
        let started_at = application.now().unwrap_or(Timestamp::MIN);
        Self {
            application,
            limits,
            started_at: Arc::new(Mutex::new(started_at)),
            further: Further::default(),
            unreadable: Unreadable::default(),
        }
    }

    /// Of when the facts are that have waited for so long by now. Until the service has settled
    /// that is none which it found waiting.
    pub(super) fn expired(&self, wait: DurationMs, now: Timestamp) -> Expired {
        let started_at = *self.started();
        let is_settling = now < started_at.plus(self.limits.settling);
        Expired {
            from: if is_settling {
                started_at
            } else {
                Timestamp::MIN
            },
            to: now.minus(wait),
        }
    }

    /// A door that was shut for long is open from now on: what waits may be waiting for what comes
    /// in by it, so it is waited for as after a start.
    pub fn begins_again(&self, now: Timestamp) {
        let mut started_at = self.started();
        *started_at = now.max(*started_at);
    }

    fn started(&self) -> MutexGuard<'_, Timestamp> {
        self.started_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn application(&self) -> &Application {
        &self.application
    }

    /// How long a fact waits for the ones before it.
    #[must_use]
    pub const fn gap_wait(&self) -> DurationMs {
        self.limits.gap_wait
    }

    /// How long a fact waits for its mission or delivery to be known.
    #[must_use]
    pub const fn park_wait(&self) -> DurationMs {
        self.limits.park_wait
    }

    /// What was refused and is merely counted.
    pub(super) const fn further(&self) -> &Further {
        &self.further
    }

    pub(super) const fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    pub(super) const fn limits(&self) -> IngestLimits {
        self.limits
    }

    /// Takes facts in, whatever senders they are of and in whatever order they came.
    ///
    /// Gives each one's outcome, in the order given. A failure in the middle
    /// leaves the facts before it durable; sending all again is safe.
    pub async fn receive(&self, facts: Vec<(Sender, ReceivedFact)>) -> Vec<FactOutcome> {
        let mut drones: BTreeMap<(FleetId, DroneId), Sessions> = BTreeMap::new();
        for (place, (sender, fact)) in facts.into_iter().enumerate() {
            let drone = (sender.fleet.clone(), sender.drone.clone());
            drones
                .entry(drone)
                .or_default()
                .entry(sender)
                .or_default()
                .push((place, fact));
        }
        // Drones do not wait for each other, so that they share the disk's syncs.
        let received: Vec<_> = stream::iter(drones.into_values())
            .map(|sessions| self.receive_of_drone(sessions))
            .buffer_unordered(DRONES_AT_ONCE)
            .collect()
            .await;
        let mut outcomes: Vec<_> = received.into_iter().flatten().collect();
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Takes in the facts of one drone, its older sessions first.
    async fn receive_of_drone(&self, sessions: Sessions) -> Vec<(usize, FactOutcome)> {
        let mut outcomes = Vec::new();
        for (sender, mut facts) in sessions {
            facts.sort_by_key(|(_, fact)| fact.seq);
            let mut failure = None;
            for chunk in chunks(facts) {
                let (places, facts): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
                let judged = match &failure {
                    None => self.receive_chunk(&sender, &facts).await,
                    Some(failure) => Err(Failure::clone(failure)),
                };
                match judged {
                    Ok(verdicts) => {
                        let judged = verdicts.into_iter().map(FactOutcome::Judged);
                        outcomes.extend(places.into_iter().zip(judged));
                    }
                    Err(error) => {
                        let failed = FactOutcome::Failed(error.clone());
                        outcomes.extend(places.into_iter().zip(std::iter::repeat(failed)));
                        failure = Some(error);
                    }
                }
            }
        }
        outcomes
    }

    async fn receive_chunk(
        &self,
        sender: &Sender,
        facts: &[ReceivedFact],
    ) -> Result<Vec<Verdict>, Failure> {
        let name = StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session);
        let what = facts
            .iter()
            .flat_map(|fact| [fact.seq.to_be_bytes().to_vec(), fact.hash.to_vec()]);
        let request = self.request("receive", name, Some(sender), what);
        let done = self
            .step(&request, name, Some(sender), |session| {
                session.receive(sender, facts.iter().cloned(), self.limits.held_facts_max)
            })
            .await?;
        Ok(done.value)
    }

    /// Loads a session, takes a step of it and applies what becomes due, in one commit.
    pub(super) async fn step<T>(
        &self,
        request: &Request,
        name: StreamName,
        sender: Option<&Sender>,
        step: impl Fn(&Session) -> (T, Step),
    ) -> Result<Done<T>, Failure>
    where
        T: Default,
    {
        let now = self.application.now()?;
        self.apply_all(request, |draft, on_panic| {
            let session = draft.load::<Session>(name)?;
            let (value, step) = step(&session.state);
            let Some(sender) = sender.or(session.state.sender()).cloned() else {
                return Ok(value);
            };
            let thresholds = self.application.thresholds();
            Applying::new(draft, thresholds, (sender, session), (now, on_panic))
                .take(step.events, step.due)?;
            Ok(value)
        })
        .await
    }

    /// Decides and appends, and does so once more if the code fails on one of
    /// the facts: then that one is given up and does not keep the others waiting.
    pub(super) async fn apply_all<T>(
        &self,
        request: &Request,
        mut decide: impl FnMut(&mut Draft<'_>, OnPanic) -> Result<T, LoadError>,
    ) -> Result<Done<T>, Failure> {
        let mut tried = async |on_panic| {
            let decide = |draft: &mut Draft<'_>| Ok(decide(draft, on_panic)?);
            let done = self.application.transact(request, decide).await;
            done.map_err(only_failure)
        };
        // Nothing of a try that failed is left: it is appended as a whole or not at all.
        let first = AssertUnwindSafe(tried(OnPanic::GoesThrough)).catch_unwind();
        match first.await {
            Ok(done) => done,
            Err(_panic) => tried(OnPanic::GivesUp).await,
        }
    }

    /// What a step of a session is called: the same for every try of the same step.
    pub(super) fn request(
        &self,
        step: &str,
        name: StreamName,
        sender: Option<&Sender>,
        what: impl Iterator<Item = Vec<u8>>,
    ) -> Request {
        let mut bytes = format!("{step}\0{name}\0").into_bytes();
        bytes.extend(what.flatten());
        let actor = match sender {
            Some(sender) => Actor::named(ActorKind::Drone, &sender.drone),
            None => Actor::named(ActorKind::System, "ingest"),
        };
        Request {
            commit_id: Uuid::new_v5(&NAMESPACE, &bytes),
            actor,
            correlation_id: self.application.environment().new_id(),
            cause: None,
            keyed: None,
        }
    }
}

/// Ingest's decisions are never rejected.
pub(super) fn only_failure(error: TransactError<std::convert::Infallible>) -> Failure {
    match error {
        TransactError::Rejected(never) => match never {},
        TransactError::Failed(failure) => failure,
    }
}

/// Cuts a sender's facts into pieces that fit a commit.
fn chunks(facts: Vec<(usize, ReceivedFact)>) -> Vec<Vec<(usize, ReceivedFact)>> {
    let mut chunks: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for fact in facts {
        let size = fact.1.data.len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_FACTS_MAX && bytes + size <= CHUNK_BYTES_MAX => {
                bytes += size;
                chunk.push(fact);
            }
            _ => {
                bytes = size;
                chunks.push(vec![fact]);
            }
        }
    }
    chunks
}
