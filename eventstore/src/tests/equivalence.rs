//! The law: whatever is done to it, the journal answers as memory does.

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::given::{LOG_ID, commit, copy_of, everything, open, part, stream, wait};
use crate::event::{Commit, EventType};
use crate::journal::{Journal, verify};
use crate::memory::MemoryEventStore;
use crate::position::{Position, StreamVersion};
use crate::store::{Budget, EventStore, Filter};
use crate::stream::Category;

/// A part, relative to the stream's version at the moment.
#[derive(Clone, Debug)]
struct PartPlan {
    number: u16,
    /// Added to the version, which makes the expectation wrong unless it is 0.
    off_by: i64,
    payloads: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Appends, all sent before the first answer is awaited; `retry` sends an
    /// earlier commit again, as it was.
    Burst(Vec<(Option<usize>, Vec<PartPlan>)>),
    ReadStream(u16, u64, Budget),
    ReadAll(u64, Filter, Budget),
    /// Closes and opens again.
    Restart(u64),
    /// Goes on with a copy of the files, taken while the journal is open.
    Kill(u64),
}

fn part_plan() -> impl Strategy<Value = PartPlan> {
    let off_by = prop_oneof![12 => Just(0), 1 => -2_i64..3];
    let payload = prop_oneof![30 => 0_usize..60, 3 => 200_usize..900, 1 => Just(300_000)];
    (0_u16..6, off_by, vec(payload, 0..4)).prop_map(|(number, off_by, payloads)| PartPlan {
        number,
        off_by,
        payloads,
    })
}

fn budget() -> impl Strategy<Value = Budget> {
    let bytes_max = prop_oneof![0_usize..2_000, Just(usize::MAX)];
    (0_usize..12, bytes_max).prop_map(|(records_max, bytes_max)| Budget {
        records_max,
        bytes_max,
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let categories = vec((0_u16..4).prop_map(Category::new), 0..2);
    let event_types = vec((0_u16..3).prop_map(EventType), 0..2);
    let owner = proptest::option::of((0_u16..2).prop_map(super::given::owner));
    (categories, event_types, owner).prop_map(|(categories, event_types, owner)| Filter {
        categories,
        event_types,
        owner,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        proptest::option::weighted(0.2, any::<usize>()),
        vec(part_plan(), 0..4),
    );
    let segment_bytes = prop_oneof![Just(1_u64), 500_u64..4_000, Just(1 << 20)];
    prop_oneof![
        8 => vec(append, 1..6).prop_map(Step::Burst),
        2 => (0_u16..7, 0_u64..20, budget()).prop_map(|(s, v, b)| Step::ReadStream(s, v, b)),
        2 => (0_u64..60, filter(), budget()).prop_map(|(p, f, b)| Step::ReadAll(p, f, b)),
        1 => segment_bytes.clone().prop_map(Step::Restart),
        1 => segment_bytes.prop_map(Step::Kill),
    ]
}

/// Both stores, and the commits sent so far.
struct Pair {
    memory: MemoryEventStore,
    journal: Journal,
    folder: TempDir,
    sent: Vec<Commit>,
}

impl Pair {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            memory: MemoryEventStore::new(LOG_ID),
            journal: open(folder.path(), 1_000),
            folder,
            sent: Vec::new(),
        }
    }

    fn planned(&mut self, retry: Option<usize>, plans: &[PartPlan]) -> Commit {
        if let Some(again) = retry.and_then(|at| self.sent.get(at % self.sent.len().max(1))) {
            return again.clone();
        }
        let version = |number| super::given::version(&self.memory, stream(number)).get();
        let parts = plans
            .iter()
            .map(|plan| {
                let expected = version(plan.number).saturating_add_signed(plan.off_by);
                part(plan.number, expected, &plan.payloads)
            })
            .collect();
        let planned = commit(u32::try_from(self.sent.len()).unwrap(), parts);
        self.sent.push(planned.clone());
        planned
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Burst(appends) => self.burst(appends)?,
            Step::ReadStream(number, after, budget) => {
                let after = StreamVersion::new(*after);
                let read =
                    |store: &dyn EventStore| store.read_stream(stream(*number), after, *budget);
                prop_assert_eq!(read(&self.journal), read(&self.memory));
            }
            Step::ReadAll(after, filter, budget) => {
                let after = Position::new(*after);
                let read = |store: &dyn EventStore| store.read_all(after, filter, *budget);
                prop_assert_eq!(read(&self.journal), read(&self.memory));
            }
            Step::Restart(segment_bytes) => {
                self.journal.close();
                self.journal = open(self.folder.path(), *segment_bytes);
            }
            Step::Kill(segment_bytes) => {
                let copy = copy_of(self.folder.path());
                self.journal = open(copy.path(), *segment_bytes);
                self.folder = copy;
            }
        }
        Ok(())
    }

    fn burst(&mut self, appends: &[(Option<usize>, Vec<PartPlan>)]) -> Result<(), TestCaseError> {
        let mut answers = Vec::new();
        for (retry, plans) in appends {
            let planned = self.planned(*retry, plans);
            let answer = self.journal.append(planned.clone());
            answers.push((answer, wait(self.memory.append(planned))));
        }
        for (answer, expected) in answers {
            prop_assert_eq!(wait(answer), expected);
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(everything(&self.journal), everything(&self.memory));
        for number in 0..6 {
            let read = |store: &dyn EventStore| {
                store.read_stream(stream(number), StreamVersion::EMPTY, super::given::ALL)
            };
            prop_assert_eq!(read(&self.journal), read(&self.memory));
        }
        Ok(())
    }
}

proptest! {
    /// journal(steps) = memory(steps), answers and reads, over restarts and kills;
    /// and what it leaves behind verifies.
    #[test]
    fn the_journal_answers_as_memory_does(steps in vec(step(), 1..40)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.take(step)?;
        }
        pair.agree()?;
        pair.journal.close();
        pair.agree()?;
        let report = verify(pair.folder.path(), &mut |_, _| ()).unwrap();
        prop_assert_eq!(&report.findings, &vec![]);
        prop_assert_eq!(report.head, *pair.memory.head().borrow());
        pair.journal = open(pair.folder.path(), 1 << 20);
        pair.agree()?;
    }
}
