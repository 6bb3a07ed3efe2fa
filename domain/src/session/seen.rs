//! Which numbers a session has seen, with which content.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How many numbers lie together.
const CHUNK: u64 = 256;

/// The content of every number seen.
///
/// States are copied for every decision, and a session may be long; so the
/// numbers lie in chunks that copies share until one of them adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<u64, Arc<BTreeMap<u64, [u8; 16]>>>);

impl Seen {
    pub(super) fn hash_of(&self, seq: u64) -> Option<[u8; 16]> {
        self.0.get(&(seq / CHUNK))?.get(&seq).copied()
    }

    /// Every number with its content, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, [u8; 16])> {
        let chunks = self.0.values();
        chunks.flat_map(|chunk| chunk.iter().map(|(seq, hash)| (*seq, *hash)))
    }

    /// The same from what `iter` gave; `None` if the numbers do not grow.
    pub(super) fn of(seen: &[(u64, [u8; 16])]) -> Option<Self> {
        if seen
            .array_windows()
            .any(|[(one, _), (next, _)]| one >= next)
        {
            return None;
        }
        let chunks = seen.chunk_by(|(one, _), (next, _)| one / CHUNK == next / CHUNK);
        let chunks = chunks.filter_map(|chunk| {
            let (first, _) = chunk.first()?;
            Some((first / CHUNK, Arc::new(chunk.iter().copied().collect())))
        });
        Some(Self(chunks.collect()))
    }

    pub(super) fn note(&mut self, seq: u64, hash: [u8; 16]) {
        Arc::make_mut(self.0.entry(seq / CHUNK).or_default()).insert(seq, hash);
    }
}
