//! What every version of a view has made of one log, byte for byte, in `projections/golden/`.
//!
//! Views on disk outlive a release: one that writes other bytes under the same
//! version goes on from rows that it may read wrongly. So the bytes of a version
//! never change. The log is kept too, as it was recorded, so that nothing but
//! the views' own code can change them.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use domain::codec::{StoredEvent, event_types};
use domain::delivery::{DeliveryEvent, Failure, ReopenedAs, Stranding};
use domain::id::UserId;
use domain::scheduling::OperationEvent;
use domain::stream::{Category, StreamName};
use eventstore::{Event, EventType, Label, Record, SchemaVersion};
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

mod asides;

use super::*;
use crate::any_log::{Happening, Service, delivery_life, happenings, operation_event};
use crate::key::KeyRange;
use crate::stored::read_part;
use crate::test_log::Appending;
use crate::view_store::Direction;
use asides::asides;

/// Set, what is missing is written; what is there never is.
const WRITE: &str = "AIRPOST_WRITE_GOLDEN";

/// The most that happens in the log.
const HAPPENINGS_MAX: usize = 200;

/// The most that happens in the life of one delivery or operation.
const STEPS_MAX: usize = 40;

/// The numbers of those deliveries and operations that only their own life is in the log of.
const LIVES: std::ops::Range<u128> = 10..30;

/// Among how many one is chosen.
const DRAWN: usize = 1_000;

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    folder.join(format!("{name}.txt"))
}

/// What a golden file says; where there is none it is made, if that is wanted.
fn golden(name: &str, make: impl FnOnce() -> String) -> String {
    let path = file(name);
    if !path.exists() && std::env::var_os(WRITE).is_some() {
        fs::write(&path, make()).unwrap();
    }
    let missing = |error| {
        panic!(
            "{}: {error}; set {WRITE}=1 to write it, and check it in",
            path.display()
        )
    };
    fs::read_to_string(&path).unwrap_or_else(missing)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    let bytes = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    bytes.map(byte).collect()
}

/// A record: its commit, category, key and owner, then each event's type,
/// schema, time, whether it was inferred, and payload.
fn line(record: &Record) -> String {
    let category = record.stream.category.get();
    let (commit, key) = (record.commit_id.0.as_u128(), record.stream.key);
    let owner = record
        .owner
        .map_or_else(|| "-".to_owned(), |owner| owner.to_string());
    let mut line = format!("{commit} {category} {key} {owner}");
    for event in &record.events {
        let (number, schema) = (event.event_type.0, event.schema.0);
        let (time, inferred) = (event.event_time_us, event.inferred);
        let payload = hex(&event.payload);
        write!(line, " {number}:{schema}:{time}:{inferred}:{payload}").unwrap();
    }
    line + "\n"
}

fn event(written: &str) -> Event {
    let parts: Vec<_> = written.split(':').collect();
    let [number, schema, time, inferred, payload] = parts[..] else {
        panic!("no event: {written}");
    };
    Event {
        event_type: EventType(number.parse().unwrap()),
        schema: SchemaVersion(schema.parse().unwrap()),
        event_time_us: time.parse().unwrap(),
        inferred: inferred.parse().unwrap(),
        cause: Some(Label::new("fact-1").unwrap()),
        payload: unhex(payload),
    }
}

/// The commit that a line belongs to, and its part of it.
fn part(line: &str) -> (u128, Appending) {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap();
    let commit = next().parse().unwrap();
    let category = Category::from_number(next().parse().unwrap()).unwrap();
    let key = Uuid::parse_str(next()).unwrap();
    let owner = next();
    let owner = (owner != "-").then(|| Uuid::parse_str(owner).unwrap());
    let owner: Option<UserId> = owner.map(|owner| read_part(Some(*owner.as_bytes())).unwrap());
    let part = Appending {
        stream: StreamName { category, key },
        owner,
        events: words.map(event).collect(),
    };
    (commit, part)
}

/// What a view may make something else of: an event's type, and the word in it.
type Kind = (u16, &'static str);

fn kind_of(event: &Event) -> Kind {
    let number = event.event_type.0;
    let decoded = DeliveryEvent::decode(number, event.schema.0, &event.payload);
    let word = if let Ok(DeliveryEvent::Stranded { place }) = decoded {
        place.word()
    } else if let Ok(DeliveryEvent::Failed { reason, .. }) = decoded {
        reason.word()
    } else if let Ok(DeliveryEvent::ReturnStarted { reason, .. }) = decoded {
        reason.word()
    } else if let Ok(DeliveryEvent::Reopened { to, .. }) = decoded {
        to.word()
    } else if let Ok(DeliveryEvent::ConditionChanged { condition, .. }) = decoded {
        condition.word().word()
    } else {
        ""
    };
    (number, word)
}

fn records_of(log: &TestLog) -> Vec<Record> {
    let everything = Budget {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let store = &log.store;
    let page = store.read_all(Position::START, &Filter::everything(), everything);
    page.unwrap().records
}

fn kinds_of(log: &TestLog) -> BTreeSet<Kind> {
    let records = records_of(log);
    let events = records.iter().flat_map(|record| &record.events);
    events.map(kind_of).collect()
}

/// The most of something by some measure, among many that are drawn.
fn best<T, N: Ord>(
    runner: &mut TestRunner,
    strategy: &impl Strategy<Value = T>,
    measure: impl Fn(&T) -> N,
) -> T {
    let drawn = (0..DRAWN).map(|_| strategy.new_tree(runner).unwrap().current());
    drawn.max_by_key(measure).unwrap()
}

/// How many of these are of no delivery and no operation.
fn beside_lives(kinds: &BTreeSet<Kind>) -> usize {
    let lives = [DeliveryEvent::TYPES, OperationEvent::TYPES].concat();
    let is_of_life = |number| lives.iter().any(|known| known.number == number);
    let beside = kinds.iter().filter(|(number, _)| !is_of_life(*number));
    beside.count()
}

/// A log with every kind of events that any of many lives has, written down: what happens here and
/// there at the same time, then one life after the other that has something which none before it
/// had, and what is written beside all that.
fn any_log() -> String {
    let kinds_in = |all: &Vec<Happening>| kinds_of(&Service::after(all).log);
    let mut runner = TestRunner::deterministic();
    let runner = &mut runner;
    let mut all = best(runner, &happenings(HAPPENINGS_MAX), |all| {
        let kinds = kinds_in(all);
        (beside_lives(&kinds), kinds.len())
    });
    for number in LIVES {
        let known = kinds_in(&all);
        let life = delivery_life(STEPS_MAX).prop_map(move |steps| {
            let steps = steps.into_iter();
            let life = steps.map(|step| Happening::Delivery(number, step));
            life.collect::<Vec<_>>()
        });
        let operation = vec(operation_event(), 0..STEPS_MAX).prop_map(move |events| {
            let events = events.into_iter();
            let life = events.map(|event| Happening::Operation(number, event));
            life.collect::<Vec<_>>()
        });
        // Of those that bring the same the shortest.
        let gain = |life: &Vec<Happening>| {
            let log = Service::after(life).log;
            let written: usize = records_of(&log).iter().map(|it| line(it).len()).sum();
            let new = kinds_of(&log).difference(&known).count();
            (new, Reverse(written))
        };
        for life in [best(runner, &life, gain), best(runner, &operation, gain)] {
            if gain(&life).0 > 0 {
                all.extend(life);
            }
        }
    }
    let mut log = Service::after(&all).log;
    for aside in asides() {
        log.append(vec![aside]);
    }
    records_of(&log).iter().map(line).collect()
}

/// The log as it was written down.
fn golden_log() -> TestLog {
    let mut log = TestLog::new();
    let written = golden("log", any_log);
    let mut parts = written.lines().map(part).peekable();
    while let Some((commit, first)) = parts.next() {
        let mut all = vec![first];
        while let Some((_, next)) = parts.next_if(|(other, _)| *other == commit) {
            all.push(next);
        }
        log.append(all);
    }
    log
}

/// The entries of a view, a line each.
fn lines(view: &View) -> String {
    let entries = view
        .tree()
        .scan(&KeyRange::all(), Direction::Forward, usize::MAX)
        .unwrap();
    let lines = entries
        .iter()
        .map(|(key, value)| format!("{} {}\n", hex(key), hex(value)));
    lines.collect()
}

#[test]
fn every_type_of_events_is_in_the_log() {
    let kinds = kinds_of(&golden_log());
    let types: BTreeSet<u16> = kinds.iter().map(|(number, _)| *number).collect();
    let known = event_types();
    let missing = known.iter().filter(|known| !types.contains(&known.number));
    let missing: Vec<_> = missing.map(|known| known.name).collect();
    assert_eq!(missing, Vec::<&str>::new(), "draw another log");
    let told: BTreeSet<_> = kinds.iter().map(|(_, word)| *word).collect();
    let words = Stranding::ALL.iter().map(|word| word.word());
    let words = words.chain(Failure::ALL.iter().map(|word| word.word()));
    for word in words.chain(ReopenedAs::ALL.iter().map(|word| word.word())) {
        assert!(told.contains(word), "{word}");
    }
}

#[test]
fn what_a_version_of_a_view_writes_never_changes() {
    let set = golden_log().folded();
    let mut changed = Vec::new();
    for view in set.views() {
        let (name, version) = (view.name(), view.version());
        let written = lines(&view);
        assert!(!written.is_empty(), "{name} shows nothing of the log");
        if golden(&format!("{name}-v{version}"), || written.clone()) != written {
            changed.push(format!("{name}: raise its VERSION, which is {version}"));
        }
    }
    assert!(
        changed.is_empty(),
        "these views write other bytes than before, and views on disk would be read wrongly:\n{}\n\
         Then set {WRITE}=1, and check the new files in, in the place of the old ones.",
        changed.join("\n")
    );
}
