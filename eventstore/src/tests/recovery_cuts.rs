//! Going on with a loss through power cuts and kills at every change that it
//! makes on disk: until it is done the journal does not open in the epoch that
//! is given up, and doing it again always completes it.

use std::path::PathBuf;

use super::given::everything;
use super::machine::{Machine, Survivors};
use super::story::{Step, Story, at, folder, is_full_size, open_on};
use crate::event::Record;
use crate::journal::block::Block;
use crate::journal::recovery::{Loss, RecoverError, Witness, recover_on};
use crate::journal::segment::{FIRST_BLOCK_OFFSET, segment_name};
use crate::position::Position;
use crate::store::EventStore;

/// Everything in one segment.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Blocks of one record each.
const BLOCKS: u64 = 5;

/// A journal of which something is missing.
pub(super) struct Lossy {
    pub(super) machine: Machine,
    pub(super) witnesses: Vec<Witness>,
    whole: Vec<Record>,
    /// So many of them are left.
    kept: usize,
    /// What cannot be read and is to be kept.
    damaged: Option<Vec<u8>>,
    /// The journal alone does not know that anything is missing.
    opens: bool,
}

fn segment() -> PathBuf {
    folder().join(segment_name(Position::new(1)))
}

/// A sound one, as the power leaves it after a close.
fn sound() -> Lossy {
    let machine = Machine::new();
    let steps: Vec<_> = (0..BLOCKS)
        .map(|_| Step::Append(vec![vec![(1, vec![50])]]))
        .collect();
    Story::default().live(&machine, &steps, SEGMENT_BYTES);
    let journal = open_on(&machine, SEGMENT_BYTES).unwrap();
    let whole = everything(&journal);
    journal.close();
    Lossy {
        kept: whole.len(),
        whole,
        machine: machine.cut_power(Survivors::Nothing),
        witnesses: Vec::new(),
        damaged: None,
        opens: false,
    }
}

/// Where the blocks of a segment begin, and the last one ends.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = vec![usize::try_from(FIRST_BLOCK_OFFSET).unwrap()];
    while let Ok(block) = Block::parse(&bytes[*offsets.last().unwrap()..]) {
        offsets.push(offsets.last().unwrap() + block.length);
    }
    assert_eq!(offsets.len() as u64, BLOCKS + 1);
    offsets
}

fn with_a_damaged_second_block(has_head: bool) -> Lossy {
    let mut lossy = sound();
    let mut bytes = lossy.machine.bytes(&segment());
    let second = offsets(&bytes)[1];
    bytes[second + 20] ^= 1;
    lossy.damaged = Some(bytes[second..].to_vec());
    lossy.machine.put(&segment(), bytes);
    if !has_head {
        use crate::disk::Disk;
        lossy.machine.remove(&folder().join("head")).unwrap();
        lossy.machine = lossy.machine.copy();
    }
    lossy.kept = 1;
    lossy
}

fn with_a_head_ahead(has_torn_header: bool) -> Lossy {
    let mut lossy = sound();
    let bytes = lossy.machine.bytes(&segment());
    let end = offsets(&bytes)[3];
    lossy.machine.put(&segment(), bytes[..end].to_vec());
    if has_torn_header {
        let next = folder().join(segment_name(Position::new(4)));
        lossy.machine.put(&next, vec![0; 9]);
    }
    lossy.machine = lossy.machine.copy();
    lossy.kept = 3;
    lossy
}

fn with_a_witness_ahead() -> Lossy {
    let mut lossy = sound();
    let journal = open_on(&lossy.machine, SEGMENT_BYTES).unwrap();
    lossy.witnesses = vec![Witness {
        name: "a view".to_owned(),
        identity: journal.identity(),
        position: Position::new(BLOCKS + 4),
    }];
    journal.close();
    lossy.machine = lossy.machine.copy();
    lossy.opens = true;
    lossy
}

impl Lossy {
    pub(super) fn recover(&self, machine: &Machine) -> Result<Loss, RecoverError> {
        recover_on(machine, &folder(), (&self.witnesses, 0), &mut |_, _| ())
    }

    /// Whether it opens, and then rightly.
    fn opens_rightly(&self, machine: &Machine, was_done: bool) {
        match open_on(machine, SEGMENT_BYTES) {
            Ok(journal) if journal.identity().epoch > 1 => {
                assert_eq!(everything(&journal), self.whole[..self.kept]);
            }
            Ok(journal) => {
                // As it was before: nothing has been given up yet.
                assert!(self.opens && !was_done, "it opens in the old epoch");
                assert_eq!(everything(&journal), self.whole);
            }
            Err(refused) => {
                assert!(!was_done, "{refused}");
                let says = refused.to_string();
                assert!(says.contains("see what airpost recover"), "{says}");
            }
        }
    }

    /// The law, for a machine that comes back in some way.
    pub(super) fn holds_for(&self, back: impl Fn() -> Machine, was_done: bool) {
        self.opens_rightly(&back(), was_done);
        for is_opened_before in [false, true] {
            let machine = back();
            if is_opened_before {
                drop(open_on(&machine, SEGMENT_BYTES));
            }
            self.recover(&machine).expect("a second time completes it");
            let machine = machine.cut_power(Survivors::Nothing);
            self.opens_rightly(&machine, true);
            let again = self.recover(&machine).unwrap();
            assert!(!again.is_any(), "once is enough: {again:?}");
            if let Some(damaged) = &self.damaged {
                let torn = machine.paths(&folder().join("torn"));
                let is_kept = |path: &PathBuf| machine.bytes(path) == *damaged;
                assert!(torn.iter().any(is_kept), "what cannot be read is kept");
            }
        }
    }
}

fn ways(change: usize) -> Vec<Option<Survivors>> {
    let first = u64::try_from(change).unwrap() * 1_000;
    let seeds = first..first + if is_full_size() { 100 } else { 4 };
    let mut ways = vec![None, Some(Survivors::Nothing), Some(Survivors::Everything)];
    ways.extend(seeds.map(|seed| Some(Survivors::Some(seed))));
    ways
}

/// Gives how many changes there are.
fn at_every_change(lossy: &Lossy) -> usize {
    let machine = lossy.machine.copy();
    lossy.opens_rightly(&machine.copy(), false);
    lossy.recover(&machine).unwrap();
    let changes = machine.counts().1;
    for change in 0..=changes {
        let machine = lossy.machine.copy();
        machine.cut_power_at(change);
        let was_done = lossy.recover(&machine).is_ok();
        for way in ways(change) {
            at((change, way), || {
                let back = || way.map_or_else(|| machine.kill(), |way| machine.cut_power(way));
                lossy.holds_for(back, was_done);
            });
        }
    }
    changes
}

/// Every kind of journal that goes on with a loss, by name.
pub(super) fn every_lossy() -> [(&'static str, Lossy); 5] {
    [
        ("damage, no head", with_a_damaged_second_block(false)),
        ("damage", with_a_damaged_second_block(true)),
        ("head ahead", with_a_head_ahead(false)),
        ("head ahead, a torn header", with_a_head_ahead(true)),
        ("witness ahead", with_a_witness_ahead()),
    ]
}

#[test]
fn given_a_power_cut_or_kill_at_any_change_of_a_recovery_the_old_epoch_does_not_open() {
    for (name, lossy) in every_lossy() {
        let changes = at(name, || at_every_change(&lossy));
        println!("recovery, {name}: {changes} changes");
    }
}
