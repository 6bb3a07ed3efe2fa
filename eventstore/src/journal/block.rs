//! A block: one group of whole commits, written at once.
//!
//! All numbers are little endian.
//! ```text
//! 0   length u32          of the whole block, this header included
//! 4   crc32 u32           of the length and of everything from byte 8 on
//! 8   first position u64
//! 16  records u32
//! 20  chain [16]          BLAKE3(chain before ‖ records), its first 16 bytes
//! 36  records             each: length u32 | crc32 u32 of the body | body
//! ```

use crate::limits::{BLOCK_BYTES_MAX, RECORD_PREFIX_BYTES};
use crate::position::Position;

/// The header's length, bytes.
pub(crate) const BLOCK_HEADER_BYTES: usize = 36;
/// A header and the shortest record there could be.
const BLOCK_BYTES_MIN: usize = BLOCK_HEADER_BYTES + RECORD_PREFIX_BYTES + 1;
const CHECKED_FROM: usize = 8;

/// Ties every record to all before it.
pub(crate) type Chain = [u8; 16];

/// The chain after the records of one more block.
fn chain_after(before: &Chain, records: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(records);
    first_half(&hasher.finalize())
}

/// The chain before the first record of a log.
pub(crate) fn first_chain(log_id: uuid::Uuid) -> Chain {
    first_half(&blake3::hash(log_id.as_bytes()))
}

fn first_half(hash: &blake3::Hash) -> Chain {
    *hash
        .as_bytes()
        .first_chunk()
        .expect("a hash has more than 16 bytes")
}

/// The next number of a layout, or `None` at its end.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*number)
}

/// A block in the making.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    records: u32,
}

impl BlockBuilder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BLOCK_BYTES_MAX),
            records: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(BLOCK_HEADER_BYTES, 0);
        self.records = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether that many bytes of records still fit.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= BLOCK_BYTES_MAX
    }

    /// Adds a record whose body `write` appends; gives where it begins in the
    /// block and the body's length.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (u32, u32) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_PREFIX_BYTES]);
        write(&mut self.bytes);
        let (prefix, body) = self
            .bytes
            .get_mut(begin..)
            .and_then(|record| record.split_first_chunk_mut::<RECORD_PREFIX_BYTES>())
            .expect("the prefix was just pushed");
        let length = narrow(body.len());
        let [len, crc] = [length, crc32fast::hash(body)].map(u32::to_le_bytes);
        prefix.copy_from_slice([len, crc].as_flattened());
        self.records += 1;
        (narrow(begin), length)
    }

    /// Fills in the header; gives the bytes to write and the chain after them.
    pub(crate) fn seal(&mut self, first: Position, chain_before: &Chain) -> (&[u8], Chain) {
        let length = narrow(self.bytes.len());
        let (header, records) = self
            .bytes
            .split_first_chunk_mut::<BLOCK_HEADER_BYTES>()
            .expect("a block begins with its header");
        let chain = chain_after(chain_before, records);
        let mut fields = Vec::with_capacity(BLOCK_HEADER_BYTES);
        fields.extend_from_slice(&length.to_le_bytes());
        fields.extend_from_slice(&[0; 4]);
        fields.extend_from_slice(&first.get().to_le_bytes());
        fields.extend_from_slice(&self.records.to_le_bytes());
        fields.extend_from_slice(&chain);
        header.copy_from_slice(&fields);
        let crc = checksum(&self.bytes).to_le_bytes();
        self.bytes
            .get_mut(4..CHECKED_FROM)
            .expect("a block begins with its header")
            .copy_from_slice(&crc);
        (&self.bytes, chain)
    }
}

fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a block is far below 4 GiB")
}

/// The checksum of a whole block.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(block.get(..4).unwrap_or_default());
    hasher.update(block.get(CHECKED_FROM..).unwrap_or_default());
    hasher.finalize()
}

/// A block whose checksum holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) first_position: Position,
    pub(crate) records: u32,
    pub(crate) chain: Chain,
    /// Of the whole block, bytes.
    pub(crate) length: usize,
    /// The whole block.
    pub(crate) bytes: &'a [u8],
    body: &'a [u8],
}

/// The length that the block beginning here claims, if it is a possible one.
pub(crate) fn claimed_length(bytes: &[u8]) -> Result<usize, &'static str> {
    let length = bytes.first_chunk().ok_or("a block is cut short")?;
    let length = u32::from_le_bytes(*length) as usize;
    if (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&length) {
        Ok(length)
    } else {
        Err("a block has an impossible length")
    }
}

impl<'a> Block<'a> {
    /// The block at the beginning of `bytes`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let length = claimed_length(bytes)?;
        let block = bytes.get(..length).ok_or("a block is cut short")?;
        let mut fields = block.get(4..).unwrap_or_default();
        let header = (|| {
            let crc = u32::from_le_bytes(take(&mut fields)?);
            let first_position = Position::new(u64::from_le_bytes(take(&mut fields)?));
            let records = u32::from_le_bytes(take(&mut fields)?);
            Some((crc, first_position, records, take(&mut fields)?))
        })();
        let (crc, first_position, records, chain) = header.ok_or("a block is cut short")?;
        if crc != checksum(block) {
            return Err("a block's checksum does not hold");
        }
        if records == 0 || first_position == Position::START {
            return Err("a block has no record or no position");
        }
        Ok(Self {
            first_position,
            records,
            chain,
            length,
            bytes: block,
            body: fields,
        })
    }

    /// The position of its last record.
    pub(crate) fn head(&self) -> Position {
        Position::new(self.next_position().get() - 1)
    }

    /// The position after its last record.
    pub(crate) fn next_position(&self) -> Position {
        self.first_position.plus(u64::from(self.records))
    }

    /// Whether it follows what `before` stands for.
    pub(crate) fn follows(&self, before: &Chain) -> bool {
        self.chain == chain_after(before, self.body)
    }

    /// Its records' bodies, each with where the record begins in the block.
    pub(crate) fn bodies(&self) -> Bodies<'a> {
        Bodies {
            rest: self.body,
            offset: BLOCK_HEADER_BYTES,
            left: self.records,
        }
    }
}

/// See [`Block::bodies`].
#[derive(Debug)]
pub(crate) struct Bodies<'a> {
    rest: &'a [u8],
    offset: usize,
    left: u32,
}

impl<'a> Iterator for Bodies<'a> {
    type Item = Result<(usize, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let surplus = !std::mem::take(&mut self.rest).is_empty();
            return surplus.then_some(Err("a block has more bytes than records"));
        }
        self.left -= 1;
        let body = record_body(self.rest);
        let Ok(body) = body else {
            self.left = 0;
            self.rest = &[];
            return Some(body.map(|body| (self.offset, body)));
        };
        let length = RECORD_PREFIX_BYTES + body.len();
        let begin = self.offset;
        self.offset += length;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(Ok((begin, body)))
    }
}

/// The body of the record at the beginning of `bytes`, its checksum checked.
pub(crate) fn record_body(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let mut rest = bytes;
    let prefix = take(&mut rest).zip(take(&mut rest));
    let (length, crc) = prefix.ok_or("a record is cut short")?;
    let body = rest
        .get(..u32::from_le_bytes(length) as usize)
        .ok_or("a record is cut short")?;
    if u32::from_le_bytes(crc) == crc32fast::hash(body) {
        Ok(body)
    } else {
        Err("a record's checksum does not hold")
    }
}
