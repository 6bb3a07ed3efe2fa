//! Journals of a log on a cluster, which do not sync every block: power cuts
//! and kills at every change they make on disk. What the cluster has is there
//! again once they are back, and what they show is the same.

use std::sync::{Arc, Mutex};

use super::fault_disk::{EIO, Effect};
use tokio::sync::watch;

use super::given::{LOG_ID, append, everything, options, part};
use super::machine::{Machine, Survivors, Trouble};
use super::story::{at, folder, is_full_size};
use crate::event::Commit;
use crate::history::LogHistory;
use crate::journal::block::{Block, Chain};
use crate::journal::quorum::{Outage, Proposed, Quorum};
use crate::journal::{Copies, Journal, NotRunning, Recovered, VerifyReport};
use crate::position::{LogIdentity, Position};
use crate::store::EventStore;

const LOG: LogIdentity = LogIdentity {
    log_id: LOG_ID,
    epoch: 1,
};

/// What a cluster that never fails has accepted, and one node's place in it.
#[derive(Clone, Debug, Default)]
struct Accepted {
    blocks: Arc<Mutex<Vec<Vec<u8>>>>,
    taken: usize,
}

impl Accepted {
    /// Behind a journal that ends there.
    fn behind_head(&self, head: Position) -> Self {
        let blocks = self.blocks.lock().unwrap();
        let is_before = |block: &&Vec<u8>| Block::parse(block).unwrap().head() <= head;
        let taken = blocks.iter().take_while(is_before).count();
        Self {
            taken,
            ..self.clone()
        }
    }
}

impl Quorum for Accepted {
    fn listen(&mut self, _wake: Box<dyn Fn() + Send + Sync>) {}

    fn until(&mut self, _closing: watch::Receiver<bool>) {}

    fn behind(&mut self) -> Result<Vec<Vec<u8>>, Outage> {
        let blocks = self.blocks.lock().unwrap();
        Ok(blocks.get(self.taken..).unwrap_or_default().to_vec())
    }

    fn propose(&mut self, block: &[u8]) -> Proposed {
        let mut blocks = self.blocks.lock().unwrap();
        if let Some(other) = blocks.get(self.taken) {
            return Proposed::Overtaken(other.clone());
        }
        blocks.push(block.to_vec());
        Proposed::Accepted
    }

    fn accepts_nothing(&self) -> Option<Outage> {
        None
    }

    fn taken(&mut self, _head: Position, _chain: Chain) {
        self.taken += 1;
    }
}

const SEGMENT_BYTES: u64 = 4 * 1024;

/// Opens a node's journal on a machine.
fn open(machine: &Machine, accepted: &Accepted) -> Result<Journal, NotRunning> {
    let disk = Arc::new(machine.clone());
    let settings = options(SEGMENT_BYTES);
    let recovered = Recovered::in_folder(disk, &folder(), settings, (LOG, Copies::Cluster));
    let recovered = recovered.map_err(NotRunning::Open)?;
    let quorum = accepted.behind_head(recovered.end().0);
    recovered
        .catch_up_with(Box::new(quorum), LogHistory::one_epoch(LOG))?
        .run()
}

fn commit(number: u32) -> Commit {
    let stream = u16::try_from(number % 3).unwrap();
    let payloads = [usize::try_from(number % 7).unwrap() * 60];
    super::given::commit(number, vec![part(stream, u64::from(number / 3), &payloads)])
}

/// Appends, closes and opens again, until the end or until the power is off.
fn live(machine: &Machine) -> Accepted {
    let accepted = Accepted::default();
    let mut number = 0;
    for _ in 0..3 {
        // After trouble it is opened once more.
        let opened = open(machine, &accepted).or_else(|_| open(machine, &accepted));
        let Ok(journal) = opened else {
            return accepted;
        };
        for _ in 0..12 {
            drop(append(&journal, commit(number)));
            number += 1;
        }
        journal.close();
        if machine.is_off() {
            break;
        }
    }
    accepted
}

/// Back after everything stopped, a node has what the cluster accepted and
/// goes on; and once more, after another stop.
fn assert_comes_back(back: impl Fn() -> Machine, accepted: &Accepted) {
    let machine = back();
    let before = accepted.blocks.lock().unwrap().clone();
    for _ in 0..2 {
        let journal = open(&machine, accepted).expect("it opens");
        let records = everything(&journal).len();
        let last = before
            .last()
            .map(|block| Block::parse(block).unwrap().head());
        let last = last.unwrap_or(Position::START);
        assert_eq!(*journal.head().borrow(), last, "all that was accepted");
        assert_eq!(records as u64, last.get());
        journal.close();
    }
    let report = VerifyReport::on(&machine, &folder(), &mut |_, _| ()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn what_a_power_cut_or_a_kill_takes_of_unsynced_blocks_is_fetched_again() {
    let whole = Machine::new();
    live(&whole);
    let changes = whole.counts().1;
    let seeds = if is_full_size() { 100 } else { 8 };
    let (mut torn, mut in_the_midst) = (0, 0);
    for change in 0..=changes {
        let machine = Machine::new();
        machine.cut_power_at(change);
        let accepted = live(&machine);
        at((change, "kill"), || {
            assert_comes_back(|| machine.kill(), &accepted);
        });
        let first = u64::try_from(change).unwrap() * 1_000;
        let some = (first..first + seeds).map(Survivors::Some);
        for survivors in some.chain([Survivors::Nothing, Survivors::Everything]) {
            let back = machine.cut_power(survivors);
            // As a journal that is alone would find it.
            let alone = Journal::open_on(Arc::new(back.copy()), &folder(), options(SEGMENT_BYTES));
            in_the_midst += usize::from(alone.is_err());
            at((change, survivors), || {
                assert_comes_back(|| back.copy(), &accepted);
            });
            torn += 1;
        }
    }
    println!("unsynced: {changes} changes, {torn} cuts, {in_the_midst} of them in the midst");
    assert!(
        in_the_midst > 0,
        "no cut left an intact block behind a torn one"
    );
}

#[test]
fn what_a_failed_sync_left_in_memory_is_never_sealed_in_as_if_it_were_durable() {
    let whole = Machine::new();
    live(&whole);
    let calls = whole.counts().0;
    for after in 0..calls {
        let machine = Machine::new();
        machine.trouble(Some(Trouble {
            after,
            times: 1,
            effect: Effect::Fails(EIO),
            power_lasts: None,
        }));
        let accepted = live(&machine);
        let seed = u64::try_from(after).unwrap();
        for survivors in [Survivors::Nothing, Survivors::Some(seed)] {
            let back = machine.cut_power(survivors);
            at((after, survivors), || {
                assert_comes_back(|| back.copy(), &accepted);
            });
        }
    }
    println!("unsynced: a failure at each of {calls} calls");
}
