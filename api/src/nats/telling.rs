//! When to tell of something that does not work and is tried again and again.

use std::time::Duration;

/// How often trouble that lasts is told of, at the most.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// How many reasons are told within that time, at the most.
const REASONS_MAX: usize = 8;

/// What was told of trouble, of which there may be more than one reason in turns.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Since when it does not work.
    since: Option<Duration>,
    /// Whether that was told.
    is_told: bool,
    /// Each reason that was told, and when: also of times before, since what comes and goes each
    /// second is no news either.
    told: Vec<(String, Duration)>,
}

impl Telling {
    /// It does not work now, for a reason in these words. If that is to be told it gives for how
    /// long it has not worked: each reason once, and once a minute what is in the way then.
    pub(super) fn trouble(&mut self, words: &str, now: Duration) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let is_recent = |at: Duration| now.saturating_sub(at) < TELL_EVERY;
        self.told.retain(|(_, at)| is_recent(*at) || *at >= since);
        let is_told_lately = self.told.iter().any(|(_, at)| is_recent(*at));
        let is_known = self.told.iter().any(|(told, _)| told == words);
        let is_full = self.told.len() >= REASONS_MAX;
        if is_told_lately && (is_known || is_full) {
            return None;
        }
        self.told.retain(|(told, _)| told != words);
        if !is_full {
            self.told.push((words.to_owned(), now));
        } else if let Some(last) = self.told.last_mut() {
            *last = (words.to_owned(), now);
        }
        self.is_told = true;
        Some(now.saturating_sub(since))
    }

    /// It works. If it was told that it did not, it gives for how long that was.
    pub(super) fn over(&mut self, now: Duration) -> Option<Duration> {
        let since = self.since.take();
        let lasted = now.saturating_sub(since?);
        std::mem::take(&mut self.is_told).then_some(lasted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_reason_is_told_once_and_what_lasts_each_minute_with_how_long() {
        let mut telling = Telling::default();
        assert_eq!(telling.trouble("lost", s(100)), Some(s(0)));
        assert_eq!(telling.trouble("no answer", s(101)), Some(s(1)));
        let quiet = (102..161).filter_map(|now| telling.trouble("no answer", s(now)));
        assert_eq!(quiet.count(), 0);
        assert_eq!(telling.trouble("lost", s(160)), None);
        assert_eq!(telling.trouble("no answer", s(161)), Some(s(61)));
        assert_eq!(telling.trouble("lost", s(170)), None);
        assert_eq!(telling.over(s(171)), Some(s(71)));
        assert_eq!(telling.over(s(171)), None);
    }

    #[test]
    fn what_comes_and_goes_each_second_is_told_once_a_minute() {
        let mut telling = Telling::default();
        let (mut lost, mut again) = (0, 0);
        for now in 0..120 {
            lost += usize::from(telling.trouble("lost", s(now)).is_some());
            again += usize::from(telling.over(s(now)).is_some());
        }
        assert_eq!((lost, again), (2, 2));
    }

    #[test]
    fn ever_new_reasons_are_no_flood_either() {
        let mut telling = Telling::default();
        let words = |now: u64| format!("timed out after {now} ms");
        let told = (0..600).filter_map(|now| telling.trouble(&words(now), s(now)));
        assert_eq!(told.count(), REASONS_MAX + 9);
    }
}
