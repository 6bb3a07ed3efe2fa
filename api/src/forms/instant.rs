//! An instant as text, in one pass: an answer may hold a dozen of them.

use domain::time::Timestamp;
use serde::{Serialize, Serializer};

/// An instant in the form that [`Timestamp`] prints: RFC 3339 in UTC with six
/// decimals and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) Timestamp);

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;
/// Days of 400 years of the calendar, after which it repeats itself.
const DAYS_AN_ERA: u32 = 146_097;
/// Days from 1 March of the year 0 to the Unix epoch.
const DAYS_TO_EPOCH: i64 = 719_468;

impl Instant {
    /// The text's bytes, all of them ASCII.
    fn text(self) -> [u8; 27] {
        let micros = self.0.micros();
        let (second, micro) = (
            micros.div_euclid(MICROS_A_SECOND),
            small(micros.rem_euclid(MICROS_A_SECOND)),
        );
        let (year, month, day) = date(second.div_euclid(SECONDS_A_DAY));
        let second = small(second.rem_euclid(SECONDS_A_DAY));
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (at, pair) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second),
            (20, micro / 10_000),
            (22, micro / 100 % 100),
            (24, micro % 100),
        ] {
            let place = text.get_mut(at..at + 2);
            let place = place.expect("every pair of digits lies within the form");
            place.copy_from_slice(&[digit(pair / 10), digit(pair)]);
        }
        text
    }
}

/// The date that is so many days after the Unix epoch. Years are counted from
/// March here, so that the day that is not in every year is the last of one.
fn date(days: i64) -> (u32, u32, u32) {
    let days = days + DAYS_TO_EPOCH;
    let era = small(days.div_euclid(i64::from(DAYS_AN_ERA)));
    let day = small(days.rem_euclid(i64::from(DAYS_AN_ERA)));
    // Without the leap days before it every year has 365 days.
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_AN_ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on, as from August, have 153 days together.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 {
        (month + 3, year)
    } else {
        (month - 9, year + 1)
    };
    (era * 400 + year, month, day)
}

/// A part of an instant of the years 1 to 9999.
fn small(number: i64) -> u32 {
    u32::try_from(number).expect("the parts of an instant since the year 0 are small and positive")
}

fn digit(number: u32) -> u8 {
    b'0' + u8::try_from(number % 10).expect("a digit is below ten")
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        serializer.serialize_str(std::str::from_utf8(&text).expect("it is ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(micros: i64) -> (String, String) {
        let at = Timestamp::from_micros(micros).unwrap();
        let text = Instant(at).text();
        (String::from_utf8(text.to_vec()).unwrap(), at.to_string())
    }

    proptest! {
        /// Law: it is what the instant itself prints.
        #[test]
        fn an_instant_is_written_as_it_prints(
            micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
        ) {
            let (written, printed) = text(micros);
            prop_assert_eq!(written, printed);
        }
    }

    #[test]
    fn the_first_and_last_moments_of_years_and_leap_days_are_written_as_they_print() {
        let days = (1..=9_999).flat_map(|year| {
            [(1, 1), (2, 28), (3, 1), (12, 31)].map(|(month, day)| {
                format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
                    .parse::<Timestamp>()
                    .unwrap()
                    .micros()
            })
        });
        for day in days {
            for micros in [day, day + SECONDS_A_DAY * MICROS_A_SECOND - 1] {
                let (written, printed) = text(micros);
                assert_eq!(written, printed);
            }
        }
    }
}
