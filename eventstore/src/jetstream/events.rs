//! What a connection's client reports, told without saying it again and again.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Interval, MissedTickBehavior};

/// How often what lasts, or comes and goes, is told, at the most.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// How many different things are told of one connection within that time, at the most,
/// beside that it is there again.
const TOLD_MAX: usize = 8;

/// How a loss is remembered among the reports.
const LOST: &str = "the connection is lost";

/// What was told of a connection that mends itself: while it is lost its client
/// reports every try to make it anew, several a second, and one that flaps is lost
/// and there again all the time. Its minutes are told by the runtime, so it is to be
/// asked within one.
#[derive(Debug, Default)]
pub struct ConnectionTelling {
    told: Told,
    minute: Option<Interval>,
}

impl ConnectionTelling {
    /// It was lost; gives whether that is to be told: once, and once a minute of
    /// one that flaps.
    pub fn lost(&mut self) -> bool {
        let is_later = self.is_minute_later();
        self.told.lost(is_later)
    }

    /// It is there; gives whether that is to be told: if anything was while it was not.
    pub fn connected(&mut self) -> bool {
        self.told.connected()
    }

    /// The client reports something; gives whether that is to be told: each report once, and
    /// after a minute the next one, whichever it is. Where there are more than eight
    /// in a minute the others are not.
    pub fn reports(&mut self, words: &str) -> bool {
        let is_later = self.is_minute_later();
        self.told.reports(words, is_later)
    }

    /// Whether a minute is over since this was so last.
    fn is_minute_later(&mut self) -> bool {
        let minute = self.minute.get_or_insert_with(|| {
            let mut minute = tokio::time::interval(TELL_EVERY);
            minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
            minute
        });
        minute.tick().now_or_never().is_some()
    }
}

/// The same, to which others say when a minute is over.
#[derive(Debug, Default)]
struct Told {
    is_lost: bool,
    /// Whether something was told since it was lost.
    is_told_of_loss: bool,
    /// Each that was told: within this minute, or since the connection was lost.
    lines: Vec<String>,
    /// Whether one of them was within this minute.
    is_told_lately: bool,
}

impl Told {
    fn lost(&mut self, is_minute_later: bool) -> bool {
        self.begin_minute(is_minute_later);
        let is_change = !std::mem::replace(&mut self.is_lost, true);
        is_change && self.tells(LOST)
    }

    fn connected(&mut self) -> bool {
        self.is_lost = false;
        std::mem::take(&mut self.is_told_of_loss)
    }

    fn reports(&mut self, words: &str, is_minute_later: bool) -> bool {
        self.begin_minute(is_minute_later);
        self.tells(words)
    }

    fn begin_minute(&mut self, is_minute_later: bool) {
        if !is_minute_later {
            return;
        }
        self.is_told_lately = false;
        // What lasts while it is lost is one line a minute, whatever it is then.
        if !self.is_lost {
            self.lines.clear();
        }
    }

    fn tells(&mut self, words: &str) -> bool {
        let is_known = self.lines.iter().any(|told| told == words);
        let is_new = !is_known && self.lines.len() < TOLD_MAX;
        if is_new {
            self.lines.push(words.to_owned());
        }
        let is_due = is_new || !self.is_told_lately;
        self.is_told_lately |= is_due;
        self.is_told_of_loss |= is_due && self.is_lost;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many events within a minute, of which the first begins it.
    fn minute() -> impl Iterator<Item = bool> {
        (0..100).map(|number| number == 0)
    }

    #[test]
    fn a_loss_that_lasts_is_told_once_with_each_report_and_then_once_a_minute() {
        let mut told = Told::default();
        assert!(!told.connected(), "it was never lost");
        assert_eq!([told.lost(true), told.lost(false)], [true, false]);
        let refused = |told: &mut Told, later| told.reports("connection refused", later);
        let reports = [refused(&mut told, false), refused(&mut told, false)];
        assert_eq!(reports, [true, false]);
        assert!(told.reports("no such host", false), "another");
        for _ in 0..10 {
            let lines = minute().filter(|later| refused(&mut told, *later));
            assert_eq!(lines.count(), 1);
        }
        assert_eq!([told.connected(), told.connected()], [true, false]);
    }

    #[test]
    fn a_connection_that_flaps_is_told_so_once_a_minute() {
        let mut told = Told::default();
        for _ in 0..10 {
            let (mut lost, mut reported, mut again) = (0, 0, 0);
            for later in minute() {
                lost += usize::from(told.lost(later));
                reported += usize::from(told.reports("connection reset", false));
                again += usize::from(told.connected());
            }
            assert_eq!((lost, reported, again), (1, 1, 1));
        }
    }

    #[test]
    fn what_is_reported_while_it_is_there_is_told_again_and_ever_new_words_are_no_flood() {
        let mut told = Told::default();
        for _ in 0..10 {
            let slow = minute().filter(|later| told.reports("slow consumer", *later));
            assert_eq!(slow.count(), 1);
        }
        let mut words = (0..).map(|number| format!("slow consumer {number}"));
        for _ in 0..10 {
            let mut report = |later| told.reports(&words.next().unwrap(), later);
            let lines = minute().filter(|later| report(*later));
            assert_eq!(lines.count(), TOLD_MAX);
        }
        assert!(told.lost(true), "in the next minute");
        assert!(told.connected());
    }

    #[tokio::test]
    async fn a_minute_begins_with_what_is_first() {
        let mut telling = ConnectionTelling::default();
        assert_eq!([telling.lost(), telling.lost()], [true, false]);
        assert_eq!([telling.connected(), telling.connected()], [true, false]);
        assert!(!telling.lost(), "within the same minute");
    }
}
