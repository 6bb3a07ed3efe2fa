//! Keys of a view: bytes that sort as what they stand for.
//!
//! Everything is big-endian and of fixed width, but for a text, which ends a
//! key or is followed by a zero byte that no name contains.

/// The only key of a view's checkpoint.
pub(crate) const CHECKPOINT_KEY: [u8; 1] = [0];

/// The beginning of the keys of rows.
pub(crate) const ROWS: u8 = 1;

/// The beginning of the keys of secondary indexes.
pub(crate) const INDEX: u8 = 2;

/// The beginning of the keys of parked streams.
const PARKED: u8 = 3;

/// The key of what was left out.
const SKIPPED: u8 = 4;

/// Bytes of an id in a key.
const ID_BYTES: usize = 16;

/// Room for a key of two ids and a time.
const USUAL_KEY_BYTES: usize = 42;

/// A key or the beginning of keys, put together part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The key of a row.
    pub(crate) fn row() -> Self {
        Self::beginning(&[ROWS])
    }

    /// A key in the secondary index of this number.
    pub(crate) fn index(number: u8) -> Self {
        Self::beginning(&[INDEX, number])
    }

    fn beginning(parts: &[u8]) -> Self {
        let mut key = Vec::with_capacity(USUAL_KEY_BYTES);
        key.extend_from_slice(parts);
        Self(key)
    }

    /// The key of a parked stream.
    pub(crate) fn parked() -> Self {
        Self(vec![PARKED])
    }

    /// The key of what was left out.
    pub(crate) fn skipped() -> Self {
        Self(vec![SKIPPED])
    }

    /// Followed by an id.
    pub(crate) fn id(mut self, id: &[u8; ID_BYTES]) -> Self {
        self.0.extend_from_slice(id);
        self
    }

    /// Followed by a number.
    pub(crate) fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Followed by a large number.
    pub(crate) fn large_number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Followed by an instant, microseconds; earlier ones sort first.
    pub(crate) fn instant(mut self, micros: i64) -> Self {
        self.0
            .extend_from_slice(&(micros.cast_unsigned() ^ SIGN).to_be_bytes());
        self
    }

    /// Followed by a name without zero bytes, which sorts before its continuations.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// A key that was read.
    pub(crate) fn from_bytes(key: Vec<u8>) -> Self {
        Self(key)
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key itself.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// All keys that begin so.
    pub(crate) fn prefix(self) -> KeyRange {
        KeyRange::beginning_with(&self.0)
    }

    /// All keys that begin so and come after `key`.
    pub(crate) fn prefix_after(self, key: Self) -> KeyRange {
        let mut range = self.prefix();
        range.start = range.start.max(key.next());
        range
    }

    /// The smallest key after this one.
    fn next(mut self) -> Vec<u8> {
        self.0.push(0);
        self.0
    }
}

/// Turns the order of signed numbers into that of unsigned ones.
const SIGN: u64 = 1 << 63;

/// Some keys that lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// The first key that belongs to it.
    pub(crate) start: Vec<u8>,
    /// The first key after it; without one it is open.
    pub(crate) end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All rows and index entries, without the checkpoint.
    pub(crate) fn all() -> Self {
        Self {
            start: vec![ROWS],
            end: None,
        }
    }

    /// What comes after `key` in it.
    pub(crate) fn after(&self, key: &[u8]) -> Self {
        Self {
            start: Key(key.to_vec()).next().max(self.start.clone()),
            end: self.end.clone(),
        }
    }

    /// Whether nothing can lie in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    fn beginning_with(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        let end = loop {
            match end.pop() {
                None => break None,
                Some(u8::MAX) => {}
                Some(byte) => {
                    end.push(byte + 1);
                    break Some(end);
                }
            }
        };
        Self {
            start: prefix.to_vec(),
            end,
        }
    }
}

/// Takes a key apart, from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyParts<'k>(&'k [u8]);

impl<'k> KeyParts<'k> {
    /// The parts of a row's key.
    pub(crate) fn of_row(key: &'k [u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        (*first == ROWS).then_some(Self(rest))
    }

    /// The parts of a key in the secondary index of this number.
    pub(crate) fn of_index(key: &'k [u8], number: u8) -> Option<Self> {
        let rest = key.strip_prefix(&[INDEX, number])?;
        Some(Self(rest))
    }

    /// The parts of a parked stream's key.
    pub(crate) fn of_parked(key: &'k [u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        (*first == PARKED).then_some(Self(rest))
    }

    /// The id that follows.
    pub(crate) fn id(&mut self) -> Option<[u8; ID_BYTES]> {
        let (id, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*id)
    }

    /// The number that follows.
    pub(crate) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// The large number that follows.
    pub(crate) fn large_number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// The instant that follows, microseconds.
    pub(crate) fn instant(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some((u64::from_be_bytes(*number) ^ SIGN).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_the_instants_in_them(a: i64, b: i64) {
            let key = |micros| Key::row().instant(micros).into_bytes();
            prop_assert_eq!(a.cmp(&b), key(a).cmp(&key(b)));
        }

        #[test]
        fn an_instant_and_an_id_are_read_back(micros: i64, id: [u8; 16]) {
            let key = Key::index(7).instant(micros).id(&id).into_bytes();
            let mut parts = KeyParts::of_index(&key, 7).unwrap();
            prop_assert_eq!(parts.instant(), Some(micros));
            prop_assert_eq!(parts.id(), Some(id));
            prop_assert_eq!(parts.id(), None);
        }

        #[test]
        fn a_prefix_holds_exactly_the_keys_that_begin_with_it(prefix: Vec<u8>, key: Vec<u8>) {
            let range = KeyRange::beginning_with(&prefix);
            let inside = key >= range.start && range.end.is_none_or(|end| key < end);
            prop_assert_eq!(inside, key.starts_with(&prefix));
        }
    }

    #[test]
    fn a_name_that_continues_another_is_not_found_under_it() {
        let range = Key::index(1).text("order-1").prefix();
        let longer = Key::index(1).text("order-10").into_bytes();
        assert!(longer < range.start || range.end.is_some_and(|end| longer >= end));
    }
}
