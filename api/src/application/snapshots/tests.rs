//! A state that is loaded is the fold of its stream, whatever was kept of it.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use domain::codec::StoredEvent;
use domain::drone::Sender;
use domain::id::{DeliveryId, DroneId, FactId, FleetId, OperationId, SessionId, UserId};
use domain::scheduling::{Deferral, Effect, Operation, OperationEvent, OperationKind};
use domain::session::{HELD_FACTS_MAX, ReceivedFact, Session};
use domain::text::Comment;
use domain::time::Timestamp;
use domain::user::{User, UserEvent};
use eventstore::{
    Budget, Commit, CommitId, Event, EventType, Expected, Filter, Label, MemoryEventStore, Part,
    Position, SchemaVersion, StoreLayer, StreamId, StreamPage, StreamVersion,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::application::Application;
use crate::application::tests::{application_on, contact};

/// The last number a session gives in these tests: a few thousand events.
const SESSIONS: u8 = 2;

fn sender(number: u8) -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new(format!("M100-{number:02}")).unwrap(),
        session: SessionId::new("0001").unwrap(),
    }
}

fn session(number: u8) -> StreamName {
    let Sender {
        fleet,
        drone,
        session,
    } = sender(number);
    StreamName::drone_session(&fleet, &drone, &session)
}

fn user() -> StreamName {
    StreamName::user(UserId::from_uuid(Uuid::from_u128(1)))
}

fn fact(seq: u64) -> ReceivedFact {
    let at = Timestamp::from_micros(i64::try_from(seq).unwrap()).unwrap();
    ReceivedFact {
        seq,
        id: FactId::new(format!("f{seq}")).unwrap(),
        hash: u128::from(seq).to_be_bytes(),
        kind: "departed".into(),
        mission: None,
        event_time: at,
        received_at: at,
        skewed_time: None,
        data: b"{}".to_vec(),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Appends events to a stream, whatever it holds, at that time.
fn append(log: &dyn EventStore, name: StreamName, clock_us: i64, events: &[impl StoredEvent]) {
    let stream = stream_id(name);
    let page = log.read_stream(stream, StreamVersion::EMPTY, Budget::PAGE);
    let version = page.unwrap().version;
    let commit_id = Uuid::new_v5(&name.key, &version.get().to_be_bytes());
    let event = |event: &_| {
        let encoded = StoredEvent::encode(event);
        Event {
            event_type: EventType(encoded.event_type),
            schema: SchemaVersion(encoded.schema),
            event_time_us: clock_us,
            inferred: false,
            cause: None,
            payload: encoded.payload,
        }
    };
    let commit = Commit {
        id: CommitId(commit_id),
        clock_us,
        actor: Label::new("system").unwrap(),
        correlation_id: Uuid::nil(),
        parts: vec![Part {
            stream,
            owner: None,
            expected: Expected::from(version),
            events: events.iter().map(event).collect(),
        }],
    };
    wait(log.append(commit)).unwrap();
}

/// Some facts come in, of which every so manieth is missing, so that some are held.
fn receive(log: &Arc<dyn EventStore>, number: u8, clock_us: i64, facts: u64, missing: u64) {
    let state = load::<Session>(&application_on(Arc::clone(log)), session(number)).state;
    let first = state.backlog().held().last().map_or(0, |(seq, _)| seq);
    let first = first.max(state.backlog().next().saturating_sub(1)) + 1;
    let facts = (first..first + facts).filter(|seq| seq % missing != 0);
    let (_, step) = state.receive(&sender(number), facts.map(fact), HELD_FACTS_MAX);
    if !step.events.is_empty() {
        append(log.as_ref(), session(number), clock_us, &step.events);
    }
}

fn load<S: Folded>(application: &Application, name: StreamName) -> Loaded<S> {
    application.loader().load(name).unwrap()
}

fn started(log: &Arc<dyn EventStore>, folder: &Path, code: CodeFingerprint) -> Application {
    let store = SnapshotStore::open(folder, code).unwrap();
    let application = application_on(Arc::clone(log));
    application.with_snapshots(store).unwrap()
}

fn memory(log_id: u128) -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new(Uuid::from_u128(log_id)))
}

/// A log in memory that notes how many records of streams it gave.
#[derive(Debug)]
struct Counting {
    log: Arc<dyn EventStore>,
    records: Mutex<usize>,
}

impl Counting {
    fn new(log: Arc<dyn EventStore>) -> Arc<Self> {
        let records = Mutex::default();
        Arc::new(Self { log, records })
    }

    fn take(&self) -> usize {
        std::mem::take(&mut *self.records.lock().unwrap())
    }
}

impl StoreLayer for Counting {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        let page = self.log.read_stream(stream, after, budget)?;
        *self.records.lock().unwrap() += page.records.len();
        Ok(page)
    }
}

#[test]
fn given_a_long_session_when_it_is_loaded_after_a_restart_then_only_what_is_new_is_read() {
    let (folder, log) = (TempDir::new().unwrap(), memory(1));
    let counting = Counting::new(Arc::clone(&log));
    let store: Arc<dyn EventStore> = Arc::clone(&counting) as _;
    for clock_us in 0..60 {
        receive(&log, 1, clock_us, 20, u64::MAX);
    }
    let application = started(&store, folder.path(), state_code());
    let before = load::<Session>(&application, session(1));
    application.loader().settle();
    assert_eq!(counting.take(), 60);
    receive(&log, 1, 99, 20, u64::MAX);
    drop(application);

    let application = started(&store, folder.path(), state_code());
    let loaded = load::<Session>(&application, session(1));
    // The record that confirms the snapshot, and the one after it.
    assert_eq!(counting.take(), 2);
    assert_eq!(loaded.version.get(), before.version.get() + 20);
    let again = load::<Session>(&application, session(1));
    assert_eq!(counting.take(), 0);
    assert_eq!(again.state, loaded.state);
    let all = load::<Session>(&application_on(log), session(1));
    assert_eq!((all.state, all.version), (loaded.state, loaded.version));
}

#[test]
fn given_a_short_stream_when_it_is_loaded_then_nothing_is_kept_of_it() {
    let (folder, log) = (TempDir::new().unwrap(), memory(1));
    receive(&log, 1, 0, SNAPSHOT_EVENTS - 1, u64::MAX);
    let application = started(&log, folder.path(), state_code());
    let loaded = load::<Session>(&application, session(1));
    assert_eq!(loaded.version.get(), SNAPSHOT_EVENTS);
    application.loader().settle();
    assert_eq!(files(folder.path()), [""; 0].map(PathBuf::from));
    receive(&log, 1, 0, 1, u64::MAX);
    load::<Session>(&application, session(1));
    application.loader().settle();
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn given_a_long_outage_when_its_operation_is_loaded_after_a_restart_then_only_what_is_new_is_read()
{
    let (folder, log) = (TempDir::new().unwrap(), memory(1));
    let counting = Counting::new(Arc::clone(&log));
    let store: Arc<dyn EventStore> = Arc::clone(&counting) as _;
    let name = StreamName::operation(OperationId::from_uuid(Uuid::from_u128(7)));
    let delivery = DeliveryId::from_uuid(Uuid::from_u128(8));
    let begun = OperationEvent::OperationStarted {
        kind: OperationKind::Schedule,
        delivery,
        user: UserId::from_uuid(Uuid::from_u128(1)),
        sequence: 1,
    };
    append(log.as_ref(), name, 0, &[begun]);
    for attempt in 1..=150 {
        append(log.as_ref(), name, 0, &attempt_in_vain(attempt));
    }
    let application = started(&store, folder.path(), state_code());
    load::<Option<Operation>>(&application, name);
    application.loader().settle();
    assert_eq!(counting.take(), 151);
    append(log.as_ref(), name, 0, &attempt_in_vain(151));
    drop(application);

    let application = started(&store, folder.path(), state_code());
    let loaded = load::<Option<Operation>>(&application, name);
    // The record that confirms the snapshot, and the one after it.
    assert_eq!(counting.take(), 2);
    let all = load::<Option<Operation>>(&application_on(log), name);
    assert_eq!((all.state, all.version), (loaded.state, loaded.version));
}

/// The billing service is asked, and is away.
fn attempt_in_vain(attempt: u32) -> [OperationEvent; 2] {
    let effect = Effect::AuthorizePayment;
    let claimed = OperationEvent::EffectClaimed {
        effect,
        attempt,
        node: Uuid::nil(),
        until: Timestamp::MIN,
    };
    let deferred = OperationEvent::EffectDeferred {
        effect,
        attempt,
        why: Deferral::Unavailable,
        retry_at: Timestamp::MIN,
    };
    [claimed, deferred]
}

#[test]
fn given_a_decision_after_a_snapshot_when_it_is_made_again_then_nothing_more_is_written() {
    let (folder, log) = (TempDir::new().unwrap(), memory(1));
    let rename = |name: &str| {
        let contact = contact(&format!("{name}@example.org"));
        let created = UserEvent::UserCreated(contact.clone());
        [created, UserEvent::UserUpdated(contact)]
    };
    for number in 0..150 {
        append(log.as_ref(), user(), 0, &rename(&format!("ada-{number}")));
    }
    let application = started(&log, folder.path(), state_code());
    load::<Option<User>>(&application, user());
    application.loader().settle();
    drop(application);
    let application = started(&log, folder.path(), state_code());
    let id = UserId::from_uuid(user().key);
    let why = Comment::new("unpaid").unwrap();
    for _ in 0..2 {
        let standing = (crate::application::users::Standing::Suspended, why.clone());
        let seen = crate::application::Precondition::None;
        wait(application.change_standing(Uuid::from_u128(5).into(), id, &seen, standing)).unwrap();
    }
    let suspended = load::<Option<User>>(&application, user());
    assert_eq!(suspended.version.get(), 301);
}

/// What may happen to the log, the folder and the service.
#[derive(Clone, Debug)]
enum Happening {
    Facts {
        number: u8,
        facts: u64,
        missing: u64,
    },
    Renamed {
        times: u8,
    },
    Restart {
        code: u8,
    },
    Damage {
        file: Index,
        place: Index,
        by: u8,
    },
    Cut {
        file: Index,
        place: Index,
    },
    Swap {
        one: Index,
        other: Index,
    },
    /// The log is one that holds only the first so many records, under this id.
    Lose {
        kept: Index,
        log_id: u8,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let indexes = any::<(Index, Index)>;
    prop_oneof![
        6 => (0..SESSIONS, 1..300_u64, 2..200_u64)
            .prop_map(|(number, facts, missing)| Happening::Facts { number, facts, missing }),
        3 => (1..150_u8).prop_map(|times| Happening::Renamed { times }),
        3 => (7..9_u8).prop_map(|code| Happening::Restart { code }),
        1 => (indexes(), 1..=255_u8)
            .prop_map(|((file, place), by)| Happening::Damage { file, place, by }),
        1 => indexes().prop_map(|(file, place)| Happening::Cut { file, place }),
        1 => indexes().prop_map(|(one, other)| Happening::Swap { one, other }),
        1 => (any::<Index>(), 1..3_u8).prop_map(|(kept, log_id)| Happening::Lose { kept, log_id }),
    ]
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn tamper(folder: &Path, happening: &Happening) {
    let files = files(folder);
    if files.is_empty() {
        return;
    }
    match happening {
        Happening::Damage { file, place, by } => {
            let path = file.get(&files);
            let mut bytes = fs::read(path).unwrap();
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= by;
            }
            fs::write(path, bytes).unwrap();
        }
        Happening::Cut { file, place } => {
            let path = file.get(&files);
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..place.index(bytes.len() + 1)]).unwrap();
        }
        Happening::Swap { one, other } => {
            let (one, other) = (one.get(&files), other.get(&files));
            let bytes = fs::read(one).unwrap();
            fs::write(one, fs::read(other).unwrap()).unwrap();
            fs::write(other, bytes).unwrap();
        }
        Happening::Facts { .. }
        | Happening::Renamed { .. }
        | Happening::Restart { .. }
        | Happening::Lose { .. } => {}
    }
}

/// A log with that id and the first of another's records.
fn shortened(log: &dyn EventStore, kept: Index, log_id: u8) -> Arc<dyn EventStore> {
    let whole = Budget {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let page = log.read_all(Position::START, &Filter::everything(), whole);
    let records = page.unwrap().records;
    let kept = kept.index(records.len() + 1);
    let shorter = memory(u128::from(log_id));
    for record in records.into_iter().take(kept) {
        let before = StreamVersion::new(record.first_version.get() - 1);
        let commit = Commit {
            id: record.commit_id,
            clock_us: record.recorded_at_us,
            actor: record.actor,
            correlation_id: record.correlation_id,
            parts: vec![Part {
                stream: record.stream,
                owner: record.owner,
                expected: Expected::from(before),
                events: record.events,
            }],
        };
        wait(shorter.append(commit)).unwrap();
    }
    shorter
}

fn assert_folded<S: Folded + PartialEq + Debug>(
    application: &Application,
    log: &Arc<dyn EventStore>,
    name: StreamName,
) {
    let (loaded, all) = (
        load::<S>(application, name),
        load::<S>(&application_on(Arc::clone(log)), name),
    );
    assert_eq!(loaded.version, all.version, "{name}");
    assert!(loaded.state == all.state, "{name} is otherwise");
}

/// An eighth of the usual number of cases, so that `PROPTEST_CASES` still
/// raises it: each one folds thousands of events many times.
fn fewer_cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(8),
        max_shrink_iters: 200,
        ..usual
    }
}

proptest! {
    #![proptest_config(fewer_cases())]
    #[test]
    fn whatever_was_kept_a_state_that_is_loaded_is_the_fold_of_its_stream(
        happenings in vec(happening(), 1..25),
    ) {
        let folder = TempDir::new().unwrap();
        let mut log = memory(1);
        let mut code = 7;
        let mut application = started(&log, folder.path(), CodeFingerprint([code; 16]));
        for (clock_us, happening) in (0..).zip(&happenings) {
            match happening {
                Happening::Facts { number, facts, missing } => {
                    receive(&log, *number, clock_us, *facts, *missing);
                }
                Happening::Renamed { times } => {
                    let renamed = |number| {
                        let contact = contact(&format!("a{clock_us}.{number}@example.org"));
                        [UserEvent::UserCreated(contact.clone()), UserEvent::UserUpdated(contact)]
                    };
                    let events: Vec<_> = (0..*times).flat_map(renamed).collect();
                    append(log.as_ref(), user(), clock_us, &events);
                }
                Happening::Restart { code: new } => code = *new,
                Happening::Lose { kept, log_id } => log = shortened(log.as_ref(), *kept, *log_id),
                Happening::Damage { .. } | Happening::Cut { .. } | Happening::Swap { .. } => {
                    tamper(folder.path(), happening);
                }
            }
            if !matches!(happening, Happening::Facts { .. } | Happening::Renamed { .. }) {
                application.loader().settle();
                application = started(&log, folder.path(), CodeFingerprint([code; 16]));
            }
            for number in 0..SESSIONS {
                assert_folded::<Session>(&application, &log, session(number));
            }
            assert_folded::<Option<User>>(&application, &log, user());
            application.loader().settle();
        }
    }
}
