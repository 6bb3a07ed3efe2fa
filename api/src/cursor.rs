//! Cursors: where a list goes on, as text of `[A-Za-z0-9_-]` that means
//! something to us alone.
//!
//! A cursor holds a version, a check sum over its list and its bytes, the log
//! and the position it was issued at, and the bytes. So it is known whether the
//! log still holds what the list then showed. The check sum finds damage and mix-ups; it is no secret, so whoever
//! reads a cursor's bytes must still treat them as somebody else's input.

use eventstore::{EventStore, LogIdentity, Position, Standing};
use uuid::Uuid;

/// The first byte of every cursor; another form of cursor gets another.
const VERSION: u8 = 2;

/// The length of the check sum, bytes: one damaged cursor in 2^64 would pass.
const CHECK_BYTES: usize = 8;

/// The longest place in a list that fits into a cursor, bytes.
pub const PLACE_BYTES_MAX: usize = 256;

/// The log's id, its epoch and a position, bytes.
const ISSUED_BYTES: usize = 16 + 4 + 8;

/// When a cursor was issued: what it is judged by when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The log, and its epoch then.
    pub identity: LogIdentity,
    /// How far the list had come.
    pub position: Position,
}

impl Issued {
    /// Of a list of this log that has come to a position.
    #[must_use]
    pub fn now(log: &dyn EventStore, position: Position) -> Self {
        let identity = log.identity();
        Self { identity, position }
    }

    fn to_bytes(self) -> [u8; ISSUED_BYTES] {
        let mut bytes = [0; ISSUED_BYTES];
        let (log_id, rest) = bytes.split_at_mut(16);
        let (epoch, position) = rest.split_at_mut(4);
        log_id.copy_from_slice(self.identity.log_id.as_bytes());
        epoch.copy_from_slice(&self.identity.epoch.to_be_bytes());
        position.copy_from_slice(&self.position.get().to_be_bytes());
        bytes
    }

    fn split_off(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (log_id, rest) = bytes.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (position, rest) = rest.split_first_chunk()?;
        let identity = LogIdentity {
            log_id: Uuid::from_bytes(*log_id),
            epoch: u32::from_be_bytes(*epoch),
        };
        let position = Position::new(u64::from_be_bytes(*position));
        Some((Self { identity, position }, rest))
    }

    /// Whether the log holds what it held then. Where several nodes write it, what another one has
    /// answered with may come a moment later.
    fn check(self, log: &dyn EventStore) -> Result<(), OutOfDate> {
        let head = *log.head().borrow();
        match log.history().judge(self.identity, self.position, head) {
            Standing::Valid => Ok(()),
            Standing::Ahead if log.is_shared() && log.identity() == self.identity => {
                Err(OutOfDate::NotYet)
            }
            Standing::OtherLog => Err(OutOfDate::OtherLog),
            Standing::Beyond { .. } | Standing::Ahead => Err(OutOfDate::GivenUp),
        }
    }
}

/// What the check sum is derived under, so that no other hash of ours equals one.
const CONTEXT: &str = "airpost 2026-11 http list cursor v2";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes a cursor for `list`, which names the list and everything of the
/// request that the cursor only fits with (whose it is, filters).
///
/// # Panics
/// If `place` is longer than [`PLACE_BYTES_MAX`], which is for the list to know.
#[must_use]
pub fn encode(list: &str, issued: Issued, place: &[u8]) -> String {
    assert!(
        place.len() <= PLACE_BYTES_MAX,
        "a place of {} bytes does not fit a cursor",
        place.len()
    );
    let content = [&issued.to_bytes()[..], place].concat();
    let mut bytes = Vec::with_capacity(1 + CHECK_BYTES + content.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&check(list, &content));
    bytes.extend_from_slice(&content);
    to_text(&bytes)
}

/// Why a cursor that was handed out leads nowhere now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfDate {
    /// It leads into another log.
    #[error("this cursor is of another log than the one that is served now")]
    OtherLog,
    /// What it leads to is gone.
    #[error("this cursor is of records that were given up when the log was restored or recovered")]
    GivenUp,
    /// What it leads to is on another node, and comes to this one.
    #[error("this cursor is of records that have not come to this node yet")]
    NotYet,
}

/// When a cursor that [`encode`] made for the same list was issued, and its
/// place, in a log that still holds what it held then; `None` for a text that
/// [`encode`] did not make for this list.
///
/// # Errors
/// [`OutOfDate`].
pub fn open(
    list: &str,
    log: &dyn EventStore,
    cursor: &str,
) -> Result<Option<(Issued, Vec<u8>)>, OutOfDate> {
    let opened = read(list, cursor);
    if let Some((issued, _)) = &opened {
        issued.check(log)?;
    }
    Ok(opened)
}

/// The same, whatever became of the log since.
pub(crate) fn read(list: &str, cursor: &str) -> Option<(Issued, Vec<u8>)> {
    let bytes = from_text(cursor)?;
    let (version, rest) = bytes.split_first()?;
    let (found, content) = rest.split_at_checked(CHECK_BYTES)?;
    let (issued, place) = Issued::split_off(content)?;
    (*version == VERSION && place.len() <= PLACE_BYTES_MAX && found == check(list, content))
        .then(|| (issued, place.to_vec()))
}

fn check(list: &str, content: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    // The length keeps the end of the list's name apart from the content.
    hasher
        .update(&list.len().to_le_bytes())
        .update(list.as_bytes())
        .update(content);
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
    if text.len() > (1 + CHECK_BYTES + ISSUED_BYTES + PLACE_BYTES_MAX).div_ceil(3) * 4 {
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
    use eventstore::MemoryEventStore;
    use proptest::prelude::*;

    use super::*;

    fn log(id: u128) -> MemoryEventStore {
        MemoryEventStore::new(Uuid::from_u128(id))
    }

    /// The place, if the text is a cursor that leads there.
    fn decode(
        list: &str,
        log: &MemoryEventStore,
        text: &str,
    ) -> Result<Vec<u8>, Option<OutOfDate>> {
        let (_issued, place) = open(list, log, text).map_err(Some)?.ok_or(None)?;
        Ok(place)
    }

    fn issued(log: &MemoryEventStore) -> Issued {
        Issued::now(log, Position::START)
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_place(list in ".{0,40}", place in proptest::collection::vec(any::<u8>(), 0..PLACE_BYTES_MAX)) {
            let log = log(1);
            let cursor = encode(&list, issued(&log), &place);
            prop_assert!(cursor.bytes().all(|b| ALPHABET.contains(&b)), "{}", cursor);
            prop_assert_eq!(decode(&list, &log, &cursor).unwrap(), place);
        }

        #[test]
        fn a_cursor_with_any_one_letter_changed_is_refused(place in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index, letter in 0..64_usize) {
            let log = log(1);
            let cursor = encode("deliveries", issued(&log), &place);
            let mut bytes = cursor.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = ALPHABET[letter];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(decode("deliveries", &log, &changed).is_ok(), changed == cursor);
        }

        #[test]
        fn a_cut_cursor_is_refused(place in proptest::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index) {
            let log = log(1);
            let cursor = encode("deliveries", issued(&log), &place);
            let cut = &cursor[..at.index(cursor.len())];
            prop_assert!(decode("deliveries", &log, cut).is_err());
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,600}") {
            prop_assert_eq!(decode("deliveries", &log(1), &text), Err(None));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let log = log(1);
        let cursor = encode("deliveries of usr_1", issued(&log), b"x");
        assert!(decode("deliveries of usr_1", &log, &cursor).is_ok());
        assert!(decode("deliveries of usr_2", &log, &cursor).is_err());
        let other = encode("deliveries of usr_1", issued(&log), b"");
        assert!(decode("deliveries of usr_", &log, &other).is_err());
    }

    #[test]
    fn a_cursor_of_another_log_or_of_records_that_are_gone_is_refused() {
        let (here, there) = (log(1), log(2));
        let gone = Issued::now(&here, Position::new(9));
        for (issued, why) in [
            (issued(&there), OutOfDate::OtherLog),
            (gone, OutOfDate::GivenUp),
        ] {
            let cursor = encode("deliveries", issued, b"x");
            assert_eq!(decode("deliveries", &here, &cursor), Err(Some(why)));
        }
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
