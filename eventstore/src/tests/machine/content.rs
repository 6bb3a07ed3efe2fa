//! One file's bytes: what is durable, and what was only written since.

use super::Survivors;
use crate::tests::dice::Dice;

/// What a disk writes whole or not at all, bytes.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What a reader sees.
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Length(length) => content.resize(*length, 0),
        }
    }
}

impl Content {
    /// Bytes that are durable as they are.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            now: bytes.clone(),
            durable: bytes,
            changes: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed. Readers go on seeing what was written, but the
    /// system takes it for clean and never writes it: only writing it again,
    /// and syncing that, makes it durable.
    pub(super) fn sync_failed(&mut self) {
        self.changes
            .retain(|change| matches!(change, Change::Length(_)));
    }

    /// What the disk holds once the power is back.
    pub(super) fn after_power_cut(&self, survivors: Survivors, number: u64) -> Vec<u8> {
        let mut content = self.durable.clone();
        match survivors {
            Survivors::Nothing => {}
            Survivors::Everything => {
                for change in &self.changes {
                    change.apply(&mut content);
                }
            }
            Survivors::Some(seed) => {
                let mut dice = Dice::new(seed ^ number.wrapping_mul(0x0100_0000_01b3));
                self.some_survive(&mut content, &mut dice);
            }
        }
        content
    }

    fn some_survive(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        // Of some files nearly all is lost, of others nearly nothing.
        let lost_once_in = [1, 2, 2, 8, 64][dice.below(5)];
        for change in &self.changes {
            match change {
                Change::Length(_) if dice.once_in(lost_once_in) => {}
                Change::Length(_) => change.apply(content),
                Change::Write { offset, bytes } => {
                    for (offset, piece) in sectors(*offset, bytes) {
                        if !dice.once_in(lost_once_in) {
                            let kept = torn(piece, dice);
                            put(content, offset, kept);
                        }
                    }
                }
            }
        }
        if !self.changes.is_empty() && content.len() < self.now.len() && dice.once_in(2) {
            self.grow_without_content(content, dice);
        }
    }

    /// The length became durable, the bytes did not: zeroes, or whatever lay there before.
    fn grow_without_content(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        let missing = self.now.len() - content.len();
        let tail = match dice.below(3) {
            0 => vec![0; missing],
            1 => dice.bytes(missing),
            _ => self.durable.iter().copied().cycle().take(missing).collect(),
        };
        content.extend_from_slice(&tail);
    }
}

/// Now and then a sector was being written when the power went.
fn torn<'a>(piece: &'a [u8], dice: &mut Dice) -> &'a [u8] {
    if dice.once_in(32) {
        &piece[..dice.below(piece.len())]
    } else {
        piece
    }
}

/// A write's part of each sector.
fn sectors(offset: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let room = SECTOR_BYTES - at % SECTOR_BYTES;
        let (piece, behind) = rest.split_at(room.min(rest.len()));
        pieces.push((at, piece));
        at += piece.len();
        rest = behind;
    }
    pieces
}
