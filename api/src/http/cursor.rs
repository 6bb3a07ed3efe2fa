//! Cursors: where a list goes on, as text of `[A-Za-z0-9_-]` that means
//! something to us alone.
//!
//! A cursor holds a version, a check sum over its list and its bytes, and the
//! bytes. The check sum finds damage and mix-ups; it is no secret, so whoever
//! reads a cursor's bytes must still treat them as somebody else's input.

use super::problem::{Problem, ProblemKind};

/// The first byte of every cursor; another form of cursor gets another.
const VERSION: u8 = 1;

/// The length of the check sum, bytes: one damaged cursor in 2^64 would pass.
const CHECK_BYTES: usize = 8;

/// The longest position that fits into a cursor, bytes.
pub const POSITION_BYTES_MAX: usize = 256;

/// What the check sum is derived under, so that no other hash of ours equals one.
const CONTEXT: &str = "airpost 2026-11 http list cursor v1";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes a cursor for `list`, which names the list and everything of the
/// request that the cursor only fits with (whose it is, filters).
///
/// # Panics
/// If `position` is longer than [`POSITION_BYTES_MAX`], which is for the list
/// to know.
#[must_use]
pub fn encode(list: &str, position: &[u8]) -> String {
    assert!(
        position.len() <= POSITION_BYTES_MAX,
        "a position of {} bytes does not fit a cursor",
        position.len()
    );
    let mut bytes = Vec::with_capacity(1 + CHECK_BYTES + position.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&check(list, position));
    bytes.extend_from_slice(position);
    to_text(&bytes)
}

/// The position in a cursor that [`encode`] made for the same list.
///
/// # Errors
/// `bad-cursor` (400) for every other text.
pub fn decode(list: &str, cursor: &str) -> Result<Vec<u8>, Problem> {
    position(list, cursor).ok_or_else(bad)
}

/// The problem of a cursor that leads nowhere.
#[must_use]
pub fn bad() -> Problem {
    Problem::new(
        ProblemKind::BadCursor,
        "this cursor was not handed out by this list with these parameters; pass on next as it is, or leave \
         cursor out to begin again",
    )
}

fn position(list: &str, cursor: &str) -> Option<Vec<u8>> {
    let bytes = from_text(cursor)?;
    let (version, rest) = bytes.split_first()?;
    let (found, position) = rest.split_at_checked(CHECK_BYTES)?;
    (*version == VERSION && position.len() <= POSITION_BYTES_MAX && found == check(list, position))
        .then(|| position.to_vec())
}

fn check(list: &str, position: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    // The length keeps the end of the list's name apart from the position.
    hasher
        .update(&list.len().to_le_bytes())
        .update(list.as_bytes())
        .update(position);
    let mut sum = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// Base64 for URLs without padding (RFC 4648, section 5).
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let six = (bits >> (18 - 6 * place)) & 63;
            text.extend(ALPHABET.get(six as usize).copied().map(char::from));
        }
    }
    text
}

/// Takes only what [`to_text`] gives: left-over bits must be zero, so that one
/// cursor has one text.
fn from_text(text: &str) -> Option<Vec<u8>> {
    if text.len() > (1 + CHECK_BYTES + POSITION_BYTES_MAX).div_ceil(3) * 4 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for letter in group {
            bits = (bits << 6) | letter_value(*letter)?;
        }
        bits <<= 6 * (4 - group.len());
        let [_, high, middle, low] = bits.to_be_bytes();
        let whole = group.len().checked_sub(1).filter(|whole| *whole > 0)?;
        let (kept, dropped) = [high, middle, low]
            .split_at_checked(whole)
            .map(|(k, d)| (k.to_vec(), d.to_vec()))?;
        if dropped.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend(kept);
    }
    Some(bytes)
}

fn letter_value(letter: u8) -> Option<u32> {
    ALPHABET
        .iter()
        .position(|known| *known == letter)
        .and_then(|value| u32::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_position(list in ".{0,40}", position in proptest::collection::vec(any::<u8>(), 0..POSITION_BYTES_MAX)) {
            let cursor = encode(&list, &position);
            prop_assert!(cursor.bytes().all(|b| ALPHABET.contains(&b)), "{}", cursor);
            prop_assert_eq!(decode(&list, &cursor).unwrap(), position);
        }

        #[test]
        fn a_cursor_with_any_one_letter_changed_is_refused(position in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index, letter in 0..64_usize) {
            let cursor = encode("deliveries", &position);
            let mut bytes = cursor.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = ALPHABET[letter];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(decode("deliveries", &changed).is_ok(), changed == cursor);
        }

        #[test]
        fn a_cut_cursor_is_refused(position in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index) {
            let cursor = encode("deliveries", &position);
            let cut = &cursor[..at.index(cursor.len())];
            prop_assert!(decode("deliveries", cut).is_err());
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,600}") {
            prop_assert_eq!(decode("deliveries", &text).map_err(|problem| problem.kind()), Err(ProblemKind::BadCursor));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = encode("deliveries of usr_1", b"x");
        assert!(decode("deliveries of usr_1", &cursor).is_ok());
        assert!(decode("deliveries of usr_2", &cursor).is_err());
        assert!(decode("deliveries of usr_", &encode("deliveries of usr_1", b"")).is_err());
    }

    #[test]
    fn texts_are_those_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(to_text(bytes.as_bytes()), text);
            assert_eq!(from_text(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(to_text(&[0xfb, 0xff]), "-_8");
        assert_eq!(from_text("Zh"), None, "left-over bits must be zero");
        assert_eq!(from_text("Z"), None);
    }
}
