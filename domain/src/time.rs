//! Instants and windows, UTC, in microseconds.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant, microseconds since the Unix epoch, UTC, in the years 1 to 9999.
///
/// Its text is RFC 3339 with six decimals and `Z`, so equal instants have equal texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text or number is not an instant that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as in RFC 3339, such as 2026-10-24T15:04:05.120Z, in the years 1 to 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant that many microseconds after the Unix epoch.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, InvalidTimestamp> {
        let instant = Self(micros);
        if (Self::MIN..=Self::MAX).contains(&instant) {
            Ok(instant)
        } else {
            Err(InvalidTimestamp)
        }
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant that much earlier, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, seconds: DurationS) -> Self {
        Self(
            self.0
                .saturating_sub(i64::from(seconds.get()) * 1_000_000)
                .max(Self::MIN.0),
        )
    }

    /// The instant that much later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, seconds: DurationS) -> Self {
        Self(
            self.0
                .saturating_add(i64::from(seconds.get()) * 1_000_000)
                .min(Self::MAX.0),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = DateTime::<Utc>::from_timestamp_micros(self.0).ok_or(fmt::Error)?;
        f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Any offset is accepted; what is finer than a microsecond is cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp)?;
        Self::from_micros(parsed.timestamp_micros())
    }
}

/// A length of time, whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationS(u32);

impl DurationS {
    /// That many seconds.
    #[must_use]
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// From `not_before` on, until `not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A window does not begin before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not_before must lie before not_after")]
pub struct InvalidWindow;

impl Window {
    /// The window between two instants.
    ///
    /// # Errors
    /// [`InvalidWindow`] unless the first lies before the second.
    pub fn new(not_before: Timestamp, not_after: Timestamp) -> Result<Self, InvalidWindow> {
        if not_before < not_after {
            Ok(Self {
                not_before,
                not_after,
            })
        } else {
            Err(InvalidWindow)
        }
    }

    /// Its beginning.
    #[must_use]
    pub const fn not_before(self) -> Timestamp {
        self.not_before
    }

    /// Its end.
    #[must_use]
    pub const fn not_after(self) -> Timestamp {
        self.not_after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_timestamp_reads_back_from_its_text(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let instant = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        }

        #[test]
        fn texts_sort_as_instants_do(a in Timestamp::MIN.0..=Timestamp::MAX.0, b in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn offsets_and_fine_fractions_are_brought_to_utc_microseconds() {
        let parsed: Timestamp = "2026-10-24T17:04:05.1200009+02:00".parse().unwrap();
        assert_eq!(parsed.to_string(), "2026-10-24T15:04:05.120000Z");
    }

    #[test]
    fn what_is_no_rfc_3339_time_is_refused() {
        for text in [
            "",
            "2026-10-24",
            "2026-10-24T15:04:05",
            "2026-13-01T00:00:00Z",
            "yesterday",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text:?}");
        }
    }

    #[test]
    fn a_window_has_a_length() {
        assert_eq!(Window::new(Timestamp(1), Timestamp(1)), Err(InvalidWindow));
        assert!(Window::new(Timestamp(1), Timestamp(2)).is_ok());
    }
}
