//! How single values go into frozen payloads and come back checked.

/// A stored value that the domain does not know; it names the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidField(pub(crate) &'static str);

/// Names the field that a failed check was about.
pub(crate) fn checked<T, E>(field: &'static str, value: Result<T, E>) -> Result<T, InvalidField> {
    value.map_err(|_| InvalidField(field))
}

/// The instant of a stored number of microseconds.
pub(crate) fn at(field: &'static str, micros: i64) -> Result<crate::time::Timestamp, InvalidField> {
    checked(field, crate::time::Timestamp::from_micros(micros))
}

/// The stored number of a word: its place in the list of all.
pub(crate) fn number_of<T: PartialEq>(all: &[T], word: &T) -> u8 {
    all.iter()
        .position(|other| other == word)
        .and_then(|place| u8::try_from(place).ok())
        .expect("a closed set of words lists each of its few words")
}

/// The word of a stored number.
pub(crate) fn word_of<T: Copy>(
    field: &'static str,
    all: &[T],
    number: u8,
) -> Result<T, InvalidField> {
    all.get(usize::from(number))
        .copied()
        .ok_or(InvalidField(field))
}
