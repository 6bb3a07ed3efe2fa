//! A Bloom filter over stream keys: says of a stream that it is surely absent.

use crate::stream::StreamId;

/// Bits for each stream, and how many of them it sets: 0.06 % of the absent
/// streams are taken for present ones, and cost one read.
const BITS_PER_STREAM: usize = 16;
const PROBES: u64 = 8;

/// FROZEN as part of the index file: another way to choose the bits is another
/// version of that file.
#[derive(Clone, Debug)]
pub(crate) struct StreamFilter {
    bits: Vec<u8>,
}

impl StreamFilter {
    /// An empty filter with room for that many streams.
    pub(crate) fn for_streams(streams: usize) -> Self {
        Self {
            bits: vec![0; (streams.max(1) * BITS_PER_STREAM).div_ceil(8)],
        }
    }

    /// A filter read back.
    pub(crate) fn from_bytes(bits: Vec<u8>) -> Self {
        Self { bits }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    pub(crate) fn insert(&mut self, stream: StreamId) {
        for bit in bits(stream, self.bits.len()) {
            if let Some(byte) = self.bits.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// `false` means that the stream was not inserted.
    pub(crate) fn may_hold(&self, stream: StreamId) -> bool {
        bits(stream, self.bits.len()).all(|bit| {
            let byte = self.bits.get(bit / 8);
            byte.is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
        })
    }
}

/// The places of a stream's bits in a filter of that many bytes.
fn bits(stream: StreamId, bytes: usize) -> impl Iterator<Item = usize> {
    let (high, low) = stream.key.as_u64_pair();
    let first = mix(high ^ u64::from(stream.category.get()));
    let step = mix(low ^ first) | 1;
    let count = (bytes as u64 * 8).max(1);
    (0..PROBES).map(move |probe| {
        let hash = first.wrapping_add(probe.wrapping_mul(step));
        usize::try_from(mix(hash) % count).unwrap_or(0)
    })
}

/// Spreads every bit of a number over all of the result (the finaliser of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
