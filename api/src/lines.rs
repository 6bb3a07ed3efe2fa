//! How many lines are told of something that others can cause any number of times.

use std::time::Duration;

/// Within which time so many are told, and the rest are counted.
const LINES_OF: Duration = Duration::from_mins(1);

/// How many were told in this minute, of `MAX` at the most.
#[derive(Debug, Default)]
pub(crate) struct Lines<const MAX: u32> {
    began: Option<Duration>,
    told: u32,
    untold: u64,
}

impl<const MAX: u32> Lines<MAX> {
    /// Whether one that is found now is to be told of; and how many of the time before were not, if
    /// another minute begins.
    pub(crate) fn next(&mut self, now: Duration) -> (bool, u64) {
        let is_over = |began: Duration| now.saturating_sub(began) >= LINES_OF;
        let untold = if self.began.is_none_or(is_over) {
            let before = std::mem::take(self);
            self.began = Some(now);
            before.untold
        } else {
            0
        };
        let is_told = self.told < MAX;
        if is_told {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        (is_told, untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_of_in_a_minute_and_the_rest_are_counted() {
        let mut lines = Lines::<10>::default();
        let of_first: Vec<_> = (0..50)
            .map(|now| lines.next(Duration::from_secs(now)))
            .collect();
        let told = of_first.iter().filter(|(is_told, _)| *is_told).count();
        assert_eq!(told, 10);
        assert!(of_first.iter().all(|(_, untold)| *untold == 0));
        assert_eq!(lines.next(Duration::from_mins(1)), (true, 40));
        assert_eq!(lines.next(Duration::from_secs(61)), (true, 0));
    }
}
