//! What the service answered, kept outside of it, and held against its log after a crash.
//!
//! An answer to a write names the position it was written at. So the log can
//! be asked whether it still has what was acknowledged, and whether it keeps
//! the order that clients saw: what was answered before something else was
//! even asked for lies before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use eventstore::{Budget, EventStore, Filter, Journal, JournalOptions, Position, Record};
use tests::Answer;
use uuid::Uuid;

use crate::scene::text;

/// Answers in the order in which they came; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    answers: Vec<Made>,
    /// The highest position answered so far.
    highest: u64,
    /// What contradicted it.
    disorder: Option<String>,
}

/// Something that was made.
#[derive(Debug, Clone, Copy)]
struct Made {
    id: Uuid,
    position: u64,
}

/// The moment at which something was asked for: what had been answered by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    highest: u64,
}

impl Answers {
    /// A request is about to be sent.
    pub(crate) fn ask(&self) -> Asked {
        let highest = self
            .noted
            .lock()
            .expect("nobody panics while holding it")
            .highest;
        Asked { highest }
    }

    /// What was asked for was made.
    pub(crate) fn note(&self, asked: Asked, answer: &Answer) {
        let position = answer.required_header("stream-position").parse();
        let position = position.expect("a position is a number");
        let body = answer.json();
        let id = text(&body, "/id");
        let made = Made {
            id: uuid_of(id),
            position,
        };
        let mut noted = self.noted.lock().expect("nobody panics while holding it");
        if position <= asked.highest {
            noted.disorder = Some(format!(
                "{id} lies at {position}, but {} was answered before it was asked for",
                asked.highest
            ));
        }
        noted.highest = noted.highest.max(position);
        noted.answers.push(made);
    }

    /// So many were noted.
    pub(crate) fn count(&self) -> usize {
        self.noted
            .lock()
            .expect("nobody panics while holding it")
            .answers
            .len()
    }

    /// Reads the journal of a data folder that nobody has open, as it lies
    /// there: everything that was made is there exactly once, in a commit that
    /// lies where the answer said. The folder itself is not touched.
    pub(crate) fn check(&self, data: &Path) {
        let log = read_copy(&data.join("journal"));
        let mut begun = BTreeMap::new();
        for record in log.iter().filter(|record| record.first_version.get() == 1) {
            *begun.entry(record.stream.key).or_insert(0) += 1;
        }
        let noted = self.noted.lock().expect("nobody panics while holding it");
        assert_eq!(noted.disorder, None);
        let mut positions = BTreeSet::new();
        for Made { id, position } in &noted.answers {
            let place = usize::try_from(*position - 1).expect("a test's log is short");
            let Some(record) = log.get(place) else {
                panic!(
                    "lost: {id} was acknowledged at {position}, the log ends at {}",
                    log.len()
                );
            };
            let commit = commit_of(&log, record);
            let is_there = commit.iter().any(|record| record.stream.key == *id);
            assert!(
                is_there,
                "lost: {id} was acknowledged at {position}, where {record:?} lies"
            );
            assert_eq!(begun.get(id), Some(&1), "{id} is there so often");
            assert!(
                positions.insert(position),
                "two answers name position {position}"
            );
        }
    }
}

/// The records of the same commit: its neighbours.
fn commit_of<'a>(log: &'a [Record], record: &Record) -> Vec<&'a Record> {
    /// More than any commit of these scenarios has.
    const RECORDS_MAX: usize = 16;
    let at = usize::try_from(record.position.get()).expect("a test's log is short");
    log.iter()
        .skip(at.saturating_sub(RECORDS_MAX))
        .take(2 * RECORDS_MAX)
        .filter(|other| other.commit_id == record.commit_id)
        .collect()
}

/// The UUID behind an id's prefix.
fn uuid_of(id: &str) -> Uuid {
    let (_, uuid) = id.split_once('_').expect("an id has a prefix");
    uuid.parse().expect("a UUID follows the prefix")
}

/// Every record of a journal, read from a copy: opening it writes.
fn read_copy(journal: &Path) -> Vec<Record> {
    let copy = crate::scene::scratch_in_memory();
    for entry in std::fs::read_dir(journal).expect("the journal can be listed") {
        let path = entry.expect("the journal can be listed").path();
        if path.is_file() {
            let name = path.file_name().expect("it was listed by its name");
            std::fs::copy(&path, copy.path().join(name)).expect("the journal can be copied");
        }
    }
    let options = JournalOptions {
        disk_free_bytes_min: 0,
        ..JournalOptions::new(Uuid::nil())
    };
    let journal = Journal::open(copy.path(), options);
    let journal = journal.unwrap_or_else(|error| panic!("the journal cannot be opened: {error}"));
    let mut log = Vec::new();
    while let Some(after) = next_to_read(&journal, &log) {
        let page = journal.read_all(after, &Filter::everything(), Budget::PAGE);
        log.extend(page.expect("the journal can be read").records);
    }
    journal.close();
    log
}

fn next_to_read(journal: &Journal, log: &[Record]) -> Option<Position> {
    let read = Position::new(log.len() as u64);
    (read < *journal.head().borrow()).then_some(read)
}
