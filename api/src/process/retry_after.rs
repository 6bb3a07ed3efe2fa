//! When somebody elsewhere wants to be asked again (`Retry-After`, RFC 9110, 10.2.3).

use std::time::UNIX_EPOCH;

use domain::time::{DurationMs, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The least that is waited, seconds: who is told to ask again at once would not stop asking.
const S_MIN: u32 = 1;

/// The longest that it is taken at its word, seconds.
const S_MAX: u32 = 3_600;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    /// After so many seconds.
    Seconds(u32),
    /// From then on, microseconds since the Unix epoch.
    Date(i64),
}

impl RetryAfter {
    /// What an answer says; nothing where it says neither a number nor a date.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit()) {
            // More than fits is more than is waited.
            return Some(Self::Seconds(said.parse().unwrap_or(u32::MAX)));
        }
        let date = httpdate::parse_http_date(said).ok()?;
        let since = date.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok().map(Self::Date)
    }

    /// When that is: a second from now at the least, and an hour at most. Whoever waits for a payment
    /// does so no longer than until its own deadline.
    pub(super) fn begins(self, now: Timestamp) -> Timestamp {
        let after = |seconds| now.plus(DurationMs::from_seconds(seconds));
        match self {
            Self::Seconds(seconds) => after(seconds.clamp(S_MIN, S_MAX)),
            Self::Date(at_us) => {
                let at = Timestamp::from_micros(at_us).unwrap_or(Timestamp::MAX);
                at.clamp(after(S_MIN), after(S_MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z, the date of RFC 9110's examples.
    const EXAMPLE_S: i64 = 784_111_777;

    fn said(value: &str) -> Option<RetryAfter> {
        let value = value.parse().unwrap();
        RetryAfter::of(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    }

    /// How many seconds are waited, ten seconds before the example's date.
    fn waited_s(value: &str) -> Option<i64> {
        let now = Timestamp::from_micros((EXAMPLE_S - 10) * 1_000_000).unwrap();
        let at = said(value)?.begins(now);
        Some((at.micros() - now.micros()) / 1_000_000)
    }

    #[test]
    fn given_a_number_or_a_date_of_any_form_then_it_is_waited_until_then() {
        for (value, waited) in [
            ("7", 7),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 10),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 10),
            ("Sun Nov  6 08:49:37 1994", 10),
        ] {
            assert_eq!(waited_s(value), Some(waited), "{value}");
        }
    }

    #[test]
    fn given_no_time_or_too_much_of_it_then_a_second_is_waited_at_least_and_an_hour_at_most() {
        for (value, waited) in [
            ("0", 1),
            ("3600", 3_600),
            ("3601", 3_600),
            ("99999999999999999999", 3_600),
            ("Sun, 06 Nov 1994 08:49:27 GMT", 1),
            ("Sun, 06 Nov 1994 09:49:37 GMT", 3_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        ] {
            assert_eq!(waited_s(value), Some(waited), "{value}");
        }
    }

    #[test]
    fn what_is_neither_a_number_nor_a_date_says_nothing() {
        for value in ["", "-1", "+1", "1.5", "soon", "1994-11-06T08:49:37Z"] {
            assert_eq!(said(value), None, "{value}");
        }
        assert_eq!(RetryAfter::of(&HeaderMap::new()), None);
    }
}
