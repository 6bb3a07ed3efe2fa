//! What callers do with a journal while its machine fails, what they are told,
//! and the law that what is there afterwards must keep.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::given::{ALL, append, commit, everything, options, part, stream, wait};
use super::machine::{Machine, Survivors};
use crate::error::{AppendError, OpenError};
use crate::event::{Commit, CommitId, Record};
use crate::journal::{Journal, JournalOptions, VerifyReport};
use crate::memory::MemoryEventStore;
use crate::position::StreamVersion;
use crate::store::{Appended, EventStore, Outcome};

/// Streams that stories write to.
pub(super) const STREAMS: u16 = 6;
/// The size of segments that the enumerated stories roll at, bytes.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024;

/// Where every story's journal lies: two folders deep, both of its own making.
pub(super) fn folder() -> PathBuf {
    PathBuf::from("/data/journal")
}

/// The parts of a commit: streams and their events' payload sizes, a guard without any.
pub(super) type Plan = Vec<(u16, Vec<usize>)>;

/// One thing that callers do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Commits that come together, and are answered before the next step.
    Append(Vec<Plan>),
    /// The journal is closed and opened again.
    Reopen,
}

/// What a caller was told of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Written(Appended),
    Refused,
    /// Nothing, or that it is not known.
    Nothing,
}

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) commit: Commit,
    pub(super) told: Told,
}

/// All that was sent, in order, and what was told of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) sent: Vec<Sent>,
    /// Each stream's version as callers believe it to be.
    versions: HashMap<u16, u64>,
}

/// Whether every combination is wanted, and not one of each: `AIRPOST_FULL_SIZE=1`.
pub(super) fn is_full_size() -> bool {
    std::env::var("AIRPOST_FULL_SIZE").is_ok_and(|set| set == "1")
}

/// Says at which moment it was, should the law not hold.
pub(super) fn at<T>(moment: impl std::fmt::Debug, law: impl FnOnce() -> T) -> T {
    let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(law));
    held.unwrap_or_else(|panic| {
        eprintln!("it did not hold at {moment:?}");
        std::panic::resume_unwind(panic)
    })
}

fn settings(segment_bytes: u64) -> JournalOptions {
    let mut settings = options(segment_bytes);
    settings.full_retry = std::time::Duration::from_millis(1);
    settings
}

/// Opens the journal on a machine.
pub(super) fn open_on(machine: &Machine, segment_bytes: u64) -> Result<Journal, OpenError> {
    machine.forget_failed_sync();
    let disk = Arc::new(machine.clone());
    Journal::open_on(disk, &folder(), settings(segment_bytes))
}

impl Story {
    /// Lives through the steps, until the end or until the power is off. A
    /// journal that does not open is opened once more.
    pub(super) fn live(&mut self, machine: &Machine, steps: &[Step], segment_bytes: u64) {
        let Some(mut journal) = self.open(machine, segment_bytes) else {
            return;
        };
        for step in steps {
            if machine.is_off() {
                return;
            }
            match step {
                Step::Append(plans) => self.append(machine, &journal, plans),
                Step::Reopen => {
                    journal.close();
                    let Some(again) = self.open(machine, segment_bytes) else {
                        return;
                    };
                    journal = again;
                }
            }
        }
        journal.close();
    }

    fn open(&mut self, machine: &Machine, segment_bytes: u64) -> Option<Journal> {
        let opened = open_on(machine, segment_bytes);
        let opened = opened.or_else(|_| open_on(machine, segment_bytes));
        let journal = opened.ok()?;
        self.look(&journal);
        Some(journal)
    }

    /// Callers load the streams anew, as far as they can be read.
    fn look(&mut self, journal: &Journal) {
        for number in 0..STREAMS {
            if let Ok(page) = journal.read_stream(stream(number), StreamVersion::EMPTY, ALL) {
                self.versions.insert(number, page.version.get());
            }
        }
    }

    /// The next commit as a plan says.
    pub(super) fn planned(&mut self, plan: &Plan) -> Commit {
        let mut parts: Vec<_> = Vec::new();
        for (number, payloads) in plan {
            let version = self.versions.entry(*number).or_default();
            parts.push(part(*number, *version, payloads));
            *version += u64::try_from(payloads.len()).unwrap();
        }
        commit(u32::try_from(self.sent.len()).unwrap(), parts)
    }

    fn append(&mut self, machine: &Machine, journal: &Journal, plans: &[Plan]) {
        let known = self.versions.clone();
        let first = self.sent.len();
        let commits = plans.iter().map(|plan| self.planned_and_sent(plan));
        let commits: Vec<_> = commits.collect();
        let answers = send_together(machine, journal, commits);
        for (sent, answer) in self.sent[first..].iter_mut().zip(answers) {
            let found_no_space = answer == Err(AppendError::Full);
            sent.told = told(answer);
            if found_no_space && machine.is_well() {
                sent.told = told(once_there_is_space(journal, &sent.commit));
            }
        }
        let told = self.sent[first..].iter().map(|sent| &sent.told);
        let told: Vec<_> = told.collect();
        let unknown = told.iter().position(|told| **told == Told::Nothing);
        let written = |told: &&&Told| matches!(told, Told::Written(_));
        let after = told.iter().skip(unknown.unwrap_or(told.len()));
        assert_eq!(
            after.filter(written).count(),
            0,
            "nothing is acknowledged after a group whose fate is not known"
        );
        assert!(
            !machine.sync_failed() || told.last().is_none_or(|last| !written(&last)),
            "nothing is acknowledged after a failed sync"
        );
        if told.iter().any(|told| !matches!(told, Told::Written(_))) {
            self.versions = known;
            self.look(journal);
        }
    }

    fn planned_and_sent(&mut self, plan: &Plan) -> Commit {
        let commit = self.planned(plan);
        self.sent.push(Sent {
            commit: commit.clone(),
            told: Told::Nothing,
        });
        commit
    }

    /// What memory holds when it is given the commits of a log in its order:
    /// what those records must be.
    fn as_memory_tells_it(&self, records: &[Record]) -> MemoryEventStore {
        let sent: HashMap<CommitId, &Sent> = self
            .sent
            .iter()
            .map(|sent| (sent.commit.id, sent))
            .collect();
        let memory = MemoryEventStore::new(super::given::LOG_ID);
        let mut last = None;
        for record in records {
            if last == Some(record.commit_id) {
                continue;
            }
            last = Some(record.commit_id);
            let sent = sent.get(&record.commit_id);
            let sent = sent.expect("nothing is visible that was not sent");
            let again = append(&memory, sent.commit.clone()).expect("it is admitted where it is");
            assert_eq!(
                again.outcome,
                Outcome::Committed,
                "no commit is there twice"
            );
            match &sent.told {
                Told::Written(told) => {
                    assert_eq!(told.parts, again.parts, "it is where it was told");
                }
                Told::Refused => panic!("a refused commit is visible: {:?}", sent.commit.id),
                Told::Nothing => {}
            }
        }
        memory
    }

    /// J1 to J5 and J7 for what a journal shows.
    pub(super) fn holds_for(&self, journal: &Journal) -> Vec<Record> {
        let records = everything(journal);
        let memory = self.as_memory_tells_it(&records);
        assert_eq!(records, everything(&memory), "the log is what was sent");
        assert_eq!(*journal.head().borrow(), *memory.head().borrow());
        for number in 0..STREAMS {
            let read = |store: &dyn EventStore| {
                store.read_stream(stream(number), StreamVersion::EMPTY, ALL)
            };
            assert_eq!(read(journal), read(&memory), "stream {number}");
        }
        for sent in &self.sent {
            if let Told::Written(_) = sent.told {
                let mut there = records.iter();
                assert!(
                    there.any(|record| record.commit_id == sent.commit.id),
                    "the acknowledged commit {} is lost",
                    sent.commit.id
                );
            }
        }
        records
    }

    /// The law for a machine that is `back`: the journal opens, the records are
    /// what was told, and it goes on from there; and all that it showed and
    /// acknowledged stays through the next power cut, be it at once or later.
    pub(super) fn holds_on(mut self, back: impl Fn() -> Machine, segment_bytes: u64) {
        let machine = back();
        let journal = open_on(&machine, segment_bytes).expect("the journal opens");
        let shown = self.holds_for(&journal);
        let again = machine.cut_power(Survivors::Nothing);
        drop(journal);
        let journal = open_on(&again, segment_bytes).expect("the journal opens a second time");
        assert_eq!(everything(&journal), shown, "what was shown stays");
        verifies(&again, shown.len());
        journal.close();

        let machine = back();
        let journal = open_on(&machine, segment_bytes).expect("the journal opens again");
        self.look(&journal);
        self.goes_on(&machine, &journal);
        let again = machine.cut_power(Survivors::Nothing);
        drop(journal);
        let journal = open_on(&again, segment_bytes).expect("the journal opens at the end");
        let records = self.holds_for(&journal);
        journal.close();
        verifies(&again, records.len());
    }

    /// What is not known is sent again; then new commits, enough to fill a segment.
    fn goes_on(&mut self, machine: &Machine, journal: &Journal) {
        self.send_again_what_is_not_known(journal);
        let group = [
            vec![(0, vec![9])],
            vec![(1, vec![9, 9]), (2, vec![])],
            vec![(1, vec![1])],
        ];
        self.append(machine, journal, &group);
        self.append(machine, journal, &[vec![(3, vec![40_000])]]);
        self.append(machine, journal, &[vec![(4, vec![40_000])]]);
        let sent = self.sent.iter();
        let unanswered = sent.filter(|sent| sent.told == Told::Nothing);
        assert_eq!(unanswered.count(), 0, "a sound disk answers everything");
        let behind = self.sent.len() - 5;
        let last = self.sent[behind..].iter();
        let written = last.filter(|sent| matches!(sent.told, Told::Written(_)));
        assert_eq!(written.count(), 5, "a sound disk takes appends");
    }

    fn send_again_what_is_not_known(&mut self, journal: &Journal) {
        for sent in &mut self.sent {
            if sent.told == Told::Nothing {
                sent.told = told(append(journal, sent.commit.clone()));
            }
        }
        self.look(journal);
    }
}

/// Sends commits so that all but the first come while the writer is at work on
/// that one; gives their answers.
fn send_together(
    machine: &Machine,
    journal: &Journal,
    commits: Vec<Commit>,
) -> Vec<Result<Appended, AppendError>> {
    let hold = machine.hold_writer();
    let mut commits = commits.into_iter();
    let mut first = commits.next().map(|commit| journal.append(commit));
    let mut answers = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    // The first may be answered without the writer, or by one that makes no call.
    while let Some(waits) = &mut first
        && commits.len() > 0
        && !hold.is_in_force()
    {
        if let Poll::Ready(answer) = waits.as_mut().poll(&mut context) {
            answers.push(answer);
            first = None;
        }
    }
    let rest: Vec<_> = commits.map(|commit| journal.append(commit)).collect();
    drop(hold);
    answers.extend(first.into_iter().chain(rest).map(wait));
    answers
}

/// Sends a commit again and again; the journal's helper soon clears the way.
fn once_there_is_space(journal: &Journal, commit: &Commit) -> Result<Appended, AppendError> {
    let mut answers = (0..5_000_000).map(|_| append(journal, commit.clone()));
    let answer = answers.find(|answer| *answer != Err(AppendError::Full));
    answer.expect("appends resume by themselves")
}

fn told(answer: Result<Appended, AppendError>) -> Told {
    match answer {
        Ok(appended) => Told::Written(appended),
        Err(AppendError::Indeterminate { .. }) => Told::Nothing,
        Err(AppendError::Conflict { .. } | AppendError::Full | AppendError::Unavailable { .. }) => {
            Told::Refused
        }
        Err(other) => panic!("{other}"),
    }
}

/// `verify` finds nothing and counts everything.
pub(super) fn verifies(machine: &Machine, records: usize) {
    let report = VerifyReport::on(machine, &folder(), &mut |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.records, u64::try_from(records).unwrap());
}

/// Creates, appends singly and in groups, on several streams, with guards;
/// rolls segments of 64 KiB three times and more, seals them, closes and reopens.
pub(super) fn whole_life() -> Vec<Step> {
    let one = |number, payloads: &[usize]| Step::Append(vec![vec![(number, payloads.to_vec())]]);
    let group = |plans: &[&[(u16, &[usize])]]| {
        let plan = |plan: &&[(u16, &[usize])]| {
            let parts = plan.iter();
            parts
                .map(|(number, sizes)| (*number, sizes.to_vec()))
                .collect()
        };
        Step::Append(plans.iter().map(plan).collect())
    };
    vec![
        one(0, &[24]),
        one(1, &[0, 700]),
        group(&[
            &[(0, &[24])],
            &[(1, &[3]), (2, &[600, 1])],
            &[(0, &[30]), (3, &[])],
            &[(4, &[2_000])],
        ]),
        one(2, &[30_000]),
        one(3, &[40_000]),
        one(0, &[24]),
        Step::Reopen,
        group(&[&[(5, &[100])], &[(5, &[5_000]), (0, &[1])]]),
        one(1, &[33_000, 20_000]),
        one(4, &[15_000]),
        one(0, &[24]),
        group(&[&[(2, &[22_000])], &[(3, &[24_000])], &[(3, &[25_000])]]),
        one(0, &[1]),
        one(1, &[1]),
        Step::Reopen,
        one(2, &[64]),
    ]
}
