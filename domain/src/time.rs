//! Instants and windows, UTC, in microseconds; lengths of time; and how much
//! faster than usual a service measures the time that it waits.

use std::fmt;
use std::num::NonZeroU32;
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
    pub fn minus(self, wait: DurationMs) -> Self {
        Self(
            self.0
                .saturating_sub(i64::from(wait.get()) * 1_000)
                .max(Self::MIN.0),
        )
    }

    /// The instant that much later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, wait: DurationMs) -> Self {
        Self(
            self.0
                .saturating_add(i64::from(wait.get()) * 1_000)
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

/// A length of time that is a quantity, such as how long a flight takes: whole
/// seconds. What is waited for is a [`DurationMs`].
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

/// How long something is waited for: whole milliseconds, at most 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationMs(u32);

impl DurationMs {
    /// That many milliseconds.
    #[must_use]
    pub const fn new(milliseconds: u32) -> Self {
        Self(milliseconds)
    }

    /// That many seconds, or the longest wait there is.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How many times as fast as usual time passes for whoever waits. A simulation
/// of hours is over in minutes with it; what is waited for stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeScale(NonZeroU32);

impl TimeScale {
    /// As time passes.
    pub const REAL: Self = Self(NonZeroU32::MIN);

    /// The highest: a second passes in a millisecond, the finest that is waited for.
    pub const MAX: u32 = 1_000;

    /// So many times as fast; `None` for 0 and for more than [`TimeScale::MAX`].
    #[must_use]
    pub const fn new(times: u32) -> Option<Self> {
        match NonZeroU32::new(times) {
            Some(times) if times.get() <= Self::MAX => Some(Self(times)),
            Some(_) | None => None,
        }
    }

    /// How many times as fast as usual.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// How long a wait takes at this scale: a wait of any length takes a millisecond at least.
    #[must_use]
    pub fn shorten(self, wait: DurationMs) -> DurationMs {
        DurationMs((wait.0 / self.0).max(wait.0.min(1)))
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
    fn a_wait_is_shortened_by_its_scale_and_never_to_nothing() {
        let scale = |times| TimeScale::new(times).unwrap();
        let minute = DurationMs::from_seconds(60);
        assert_eq!(TimeScale::REAL.shorten(minute), minute);
        assert_eq!(scale(60).shorten(minute), DurationMs::new(1_000));
        assert_eq!(scale(1_000).shorten(DurationMs::new(7)), DurationMs::new(1));
        assert_eq!(scale(1_000).shorten(DurationMs::new(0)), DurationMs::new(0));
        assert_eq!(TimeScale::new(0), None);
        assert_eq!(TimeScale::new(1_001), None);
    }

    #[test]
    fn waits_are_added_and_taken_away_within_the_years_there_are() {
        let at: Timestamp = "2026-10-24T15:04:05.120Z".parse().unwrap();
        let wait = DurationMs::new(1_500);
        assert_eq!(at.plus(wait).to_string(), "2026-10-24T15:04:06.620000Z");
        assert_eq!(at.plus(wait).minus(wait), at);
        assert_eq!(Timestamp::MAX.plus(wait), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(wait), Timestamp::MIN);
    }

    #[test]
    fn a_window_has_a_length() {
        assert_eq!(Window::new(Timestamp(1), Timestamp(1)), Err(InvalidWindow));
        assert!(Window::new(Timestamp(1), Timestamp(2)).is_ok());
    }
}
