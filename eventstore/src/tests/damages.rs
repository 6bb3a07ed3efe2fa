//! Any damage to any file of a journal: it is refused, or found, or healed, and
//! never read as if nothing had happened.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::given::{ALL, everything, stream};
use super::machine::Machine;
use super::story::{STREAMS, Step, Story, at, folder, open_on};
use crate::disk::Disk;
use crate::error::{OpenError, ReadError};
use crate::event::Record;
use crate::journal::{Journal, VerifyReport};
use crate::position::{Position, StreamVersion};
use crate::store::{Budget, EventStore, Filter};

/// Damages over all tests of this file; `AIRPOST_DAMAGES` raises it.
fn damages() -> u64 {
    let set = std::env::var("AIRPOST_DAMAGES").ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(2_000)
}

const SEGMENT_BYTES: u64 = 2_500;
const SECTOR_BYTES: usize = 512;
/// What is read at once at most, bytes: a flipped length must not fill the memory.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// A closed journal of several segments, indexes, a head and a torn write's
/// bytes; and as it was some time before.
struct Whole {
    machine: Machine,
    older: Machine,
    records: Vec<Record>,
    segments: Vec<PathBuf>,
}

fn steps(dice: &mut Dice) -> Vec<Step> {
    let step = |_| {
        let plan = |_| {
            let number = u16::try_from(dice.below(5)).unwrap();
            let mut payloads = vec![dice.below(250)];
            if dice.once_in(12) {
                payloads.push(dice.below(3_000));
            }
            vec![(number, payloads), (5, vec![dice.below(9)])]
        };
        Step::Append((0..2).map(plan).collect())
    };
    (0..8).map(step).collect()
}

impl Whole {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let machine = Machine::new();
        let mut story = Story::default();
        story.live(&machine, &steps(&mut dice), SEGMENT_BYTES);
        let older = machine.copy();
        let mut segments = of_kind(&machine, "seg");
        let last = segments.pop().unwrap();
        let mut torn = machine.bytes(&last);
        torn.extend(dice.bytes(700));
        machine.put(&last, torn);
        story.live(&machine, &steps(&mut dice), SEGMENT_BYTES);
        let journal = open_on(&machine, SEGMENT_BYTES).unwrap();
        let records = story.holds_for(&journal);
        journal.close();
        let segments = of_kind(&machine, "seg");
        assert!(segments.len() > 4, "{segments:?}");
        assert_eq!(machine.paths(&folder().join("torn")).len(), 1);
        Self {
            machine,
            older,
            records,
            segments,
        }
    }

    fn is_last(&self, path: &Path) -> bool {
        self.segments.last().is_some_and(|last| last == path)
    }
}

fn is_of_kind(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|end| end == extension)
}

fn of_kind(machine: &Machine, extension: &str) -> Vec<PathBuf> {
    let paths = machine.paths(&folder()).into_iter();
    paths.filter(|path| is_of_kind(path, extension)).collect()
}

/// What was done to which files.
#[derive(Debug)]
struct Damage {
    what: &'static str,
    paths: BTreeSet<PathBuf>,
}

const ADDED: &str = "rubbish at the end";

impl Damage {
    fn to(what: &'static str, path: &Path) -> Self {
        Self {
            what,
            paths: BTreeSet::from([path.to_owned()]),
        }
    }

    /// Bytes were added to the end, and nothing else was done.
    fn only_adds(&self) -> bool {
        self.what == ADDED
    }
}

/// Anywhere, but often where the structure is.
fn place(dice: &mut Dice, length: usize) -> usize {
    match dice.below(4) {
        0 => dice.below(length.min(140)),
        1 => length.saturating_sub(1 + dice.below(90)),
        _ => dice.below(length),
    }
}

fn damage(whole: &Whole, machine: &Machine, dice: &mut Dice) -> Damage {
    let paths = machine.paths(&folder());
    let path = &paths[dice.below(paths.len())];
    let other = &paths[dice.below(paths.len())];
    let mut bytes = machine.bytes(path);
    let length = bytes.len();
    match dice.below(8) {
        0 => {
            machine.remove(path).unwrap();
            Damage::to("removed", path)
        }
        1 => {
            bytes.truncate(place(dice, length));
            machine.put(path, bytes);
            Damage::to("cut", path)
        }
        2 => {
            let begin = place(dice, length) / SECTOR_BYTES * SECTOR_BYTES;
            let end = (begin + SECTOR_BYTES).min(length);
            bytes[begin..end].fill(0);
            machine.put(path, bytes);
            Damage::to("a sector of zeroes", path)
        }
        3 => {
            let sectors = length / SECTOR_BYTES;
            let (one, two) = (dice.below(sectors), dice.below(sectors));
            for at in 0..SECTOR_BYTES.min(length) {
                bytes.swap(one * SECTOR_BYTES + at, two * SECTOR_BYTES + at);
            }
            machine.put(path, bytes);
            Damage::to("sectors exchanged", path)
        }
        4 => {
            let added = 1 + dice.below(3_000);
            match dice.below(3) {
                0 => bytes.resize(length + added, 0),
                1 => bytes.extend(dice.bytes(added)),
                _ => bytes.extend_from_within(length.saturating_sub(added)..),
            }
            machine.put(path, bytes);
            Damage::to(ADDED, path)
        }
        5 => {
            let others = machine.bytes(other);
            machine.put(other, bytes);
            machine.put(path, others);
            let mut damage = Damage::to("files exchanged", path);
            damage.paths.insert(other.clone());
            damage
        }
        6 if whole.older.exists(path).unwrap() => {
            machine.put(path, whole.older.bytes(path));
            Damage::to("an older copy", path)
        }
        _ => {
            for _ in 0..=dice.below(3) {
                let at = place(dice, length);
                bytes[at] ^= 1 << dice.below(8);
            }
            machine.put(path, bytes);
            Damage::to("bits flipped", path)
        }
    }
}

/// Whether every read gives exactly what was written, or says that it cannot.
fn reads_are_right(journal: &Journal, expected: &[Record]) -> Result<(), PathBuf> {
    let mut damaged = None;
    let mut take = |error: ReadError| match error {
        ReadError::Corrupt(corruption) => damaged = Some(corruption.file),
        other @ ReadError::Unavailable { .. } => panic!("{other}"),
    };
    assert_eq!(journal.head().borrow().get(), expected.len() as u64);
    for (records_max, every) in [(usize::MAX, expected.len()), (2, 3)] {
        let budget = Budget { records_max, ..ALL };
        for after in (0..expected.len()).step_by(every) {
            let from = Position::new(after as u64);
            match journal.read_all(from, &Filter::everything(), budget) {
                Ok(page) => {
                    let behind = expected.len().min(after.saturating_add(records_max));
                    assert_eq!(page.records, expected[after..behind]);
                }
                Err(error) => take(error),
            }
        }
    }
    for number in 0..STREAMS {
        let id = stream(number);
        let all = expected.iter().filter(|record| record.stream == id);
        for after in [0, 1, 4] {
            let after = StreamVersion::new(after);
            let wanted: Vec<_> = all
                .clone()
                .filter(|record| record.last_version() > after)
                .cloned()
                .collect();
            match journal.read_stream(id, after, ALL) {
                Ok(page) => assert_eq!(page.records, wanted, "stream {number}"),
                Err(error) => take(error),
            }
        }
    }
    damaged.map_or(Ok(()), Err)
}

fn verified(machine: &Machine) -> VerifyReport {
    VerifyReport::on(machine, &folder(), &mut |_, _| ()).unwrap()
}

/// One damage, and the law.
fn holds(whole: &Whole, seed: u64) -> &'static str {
    let machine = whole.machine.copy();
    let damage = damage(whole, &machine, &mut Dice::new(seed));
    let is_changed = |path: &&PathBuf| {
        !machine.exists(path).unwrap() || machine.bytes(path) != whole.machine.bytes(path)
    };
    let changed: Vec<_> = damage.paths.iter().filter(is_changed).cloned().collect();
    let fate = at((seed, &damage), || {
        let report = verified(&machine);
        let must_be_found = changed
            .iter()
            .any(|path| is_of_kind(path, "seg") && !(whole.is_last(path) && damage.only_adds()));
        assert!(
            !must_be_found || !report.findings.is_empty(),
            "verify finds it"
        );
        let fate = opens_or_not(whole, &machine, &changed, &report);
        assert!(
            machine.largest_read() <= READ_BYTES_MAX,
            "memory is bounded"
        );
        fate
    });
    if changed.is_empty() {
        "nothing changed"
    } else {
        fate
    }
}

fn opens_or_not(
    whole: &Whole,
    machine: &Machine,
    changed: &[PathBuf],
    report: &VerifyReport,
) -> &'static str {
    let is_truth = |path: &PathBuf| is_of_kind(path, "seg");
    let journal = match open_on(machine, SEGMENT_BYTES) {
        Ok(journal) => journal,
        Err(OpenError::Corrupt(found) | OpenError::CorruptEnd(found)) => {
            assert!(changed.iter().any(is_truth), "{found}");
            assert!(found.file.starts_with(folder()), "{found}");
            assert_ne!(report.findings, [], "verify finds what was refused");
            return "refused";
        }
        Err(error @ OpenError::Regressed { .. }) => {
            assert!(changed.iter().any(is_truth), "{error}");
            assert_ne!(report.findings, [], "verify finds what was refused");
            return "refused";
        }
        Err(other) => panic!("{other}"),
    };
    let read = reads_are_right(&journal, &whole.records);
    journal.close();
    if let Err(file) = read {
        assert_ne!(report.findings, [], "verify finds what a read found");
        assert!(
            changed.contains(&file),
            "{} was not damaged",
            file.display()
        );
        if is_truth(&file) {
            return "found by a read";
        }
        // What the error advises.
        machine.remove(&file).unwrap();
    } else if changed.iter().any(is_truth) && !report.findings.is_empty() {
        panic!("nothing but verify finds {:?}", report.findings);
    }
    let journal = open_on(machine, SEGMENT_BYTES).unwrap();
    assert_eq!(reads_are_right(&journal, &whole.records), Ok(()));
    journal.close();
    assert_eq!(verified(machine).findings, [], "it is healed");
    "healed"
}

/// A quarter of all damages: the tests run side by side.
fn quarter(number: u64) {
    let share = damages() / 4;
    let whole = Whole::new(number);
    assert_eq!(
        everything(&open_on(&whole.machine.copy(), SEGMENT_BYTES).unwrap()),
        whole.records
    );
    let mut fates = std::collections::BTreeMap::new();
    for case in 0..share {
        *fates.entry(holds(&whole, number << 32 | case)).or_insert(0) += 1;
    }
    println!("damages: {share} of a journal of seed {number}: {fates:?}");
}

#[test]
fn given_any_damage_to_any_file_it_is_refused_found_or_healed_but_never_believed() {
    quarter(1);
}

#[test]
fn given_any_damage_to_another_journal_it_is_never_believed() {
    quarter(2);
}

#[test]
fn given_any_damage_to_a_third_journal_it_is_never_believed() {
    quarter(3);
}

#[test]
fn given_any_damage_to_a_fourth_journal_it_is_never_believed() {
    quarter(4);
}

#[test]
fn given_a_file_that_claims_a_tebibyte_no_memory_is_taken_for_it() {
    let whole = super::given::journal_with(12, 500);
    for name in super::given::names(whole.path()) {
        let folder = super::given::copy_of(whole.path());
        let path = folder.path().join(&name);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(1 << 40).unwrap();
        let report = crate::journal::verify(folder.path(), &mut |_, _| ()).unwrap();
        assert_ne!(report.findings, [], "{name}");
        let opened = Journal::open(folder.path(), super::given::options(500));
        assert_eq!(
            opened.is_err(),
            is_of_kind(Path::new(&name), "seg"),
            "{name}"
        );
    }
}
