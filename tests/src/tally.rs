//! How often what was tried: a line for the end of the run, and progress on the way.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use api::environment::Environment;

/// The variable that names the file which `tests/run` prints at its end.
const TALLY: &str = "AIRPOST_TALLY";

/// How often progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Says what a test tried and what came of it. The line is printed, and kept
/// for the end of `tests/run`.
///
/// # Panics
/// When the file that `tests/run` asked for cannot be written.
#[expect(
    clippy::print_stdout,
    reason = "the test runner shows a failing test's output, and only that"
)]
pub fn tally(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os(TALLY) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let kept = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        kept.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// How far a long test has come: so many of all, how fast, how long it will take; or, of one that
/// goes on for a while, how many so far.
///
/// It is shared by whoever works at the same time, and hands out the work.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    all: u64,
    /// How long it goes on, if that is what ends it.
    lasts: Option<Duration>,
    clock: Environment,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    taken: u64,
    ended: u64,
    told_at: Duration,
}

impl Progress {
    /// The beginning of `all` things, called `what` in the plural.
    #[must_use]
    pub fn new(what: &'static str, all: u64) -> Self {
        Self {
            what,
            all,
            lasts: None,
            clock: Environment::system(),
            done: Mutex::default(),
        }
    }

    /// The beginning of things called `what` in the plural, as many as there are in so many minutes.
    #[must_use]
    pub fn for_minutes(what: &'static str, minutes: u64) -> Self {
        Self {
            lasts: Some(Duration::from_secs(minutes * 60)),
            ..Self::new(what, u64::MAX)
        }
    }

    /// Whether as many are done as there were to be, or for as long.
    ///
    /// # Panics
    /// When somebody panicked at just this.
    pub fn is_over(&self) -> bool {
        let done = self.done.lock().expect("nobody panics while holding it");
        let is_late = |lasts| self.clock.elapsed() >= lasts;
        self.lasts.map_or(done.ended >= self.all, is_late)
    }

    /// The number of the next one to be done, from 0, unless all are being done.
    ///
    /// # Panics
    /// When somebody panicked at just this.
    pub fn take(&self) -> Option<u64> {
        let mut done = self.done.lock().expect("nobody panics while holding it");
        if done.taken == self.all {
            return None;
        }
        done.taken += 1;
        Some(done.taken - 1)
    }

    /// One is done. Now and then that is said, past the test runner, which
    /// would keep it until the end.
    ///
    /// # Panics
    /// When somebody panicked at just this.
    pub fn end_one(&self) {
        let mut done = self.done.lock().expect("nobody panics while holding it");
        done.ended += 1;
        let elapsed = self.clock.elapsed();
        if elapsed < done.told_at + PROGRESS_EVERY {
            return;
        }
        done.told_at = elapsed;
        let line = match self.lasts {
            Some(lasts) => in_time(self.what, done.ended, (elapsed, lasts)),
            None => in_words(self.what, (done.ended, self.all), elapsed),
        };
        drop(writeln!(std::io::stderr(), "{line}"));
    }

    /// The time since the beginning, in whole seconds.
    #[must_use]
    pub fn elapsed_s(&self) -> u64 {
        self.clock.elapsed().as_secs()
    }
}

fn in_time(what: &str, ended: u64, (elapsed, lasts): (Duration, Duration)) -> String {
    let left_s = lasts.saturating_sub(elapsed).as_secs();
    format!("{ended} {what}, {left_s} s left")
}

fn in_words(what: &str, (ended, all): (u64, u64), elapsed: Duration) -> String {
    let elapsed_ms = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let (a_minute, left) = (ended * 60_000 / elapsed_ms, all.saturating_sub(ended));
    let left_s = elapsed_ms * left / ended.max(1) / 1_000;
    format!("{ended} of {all} {what}, {a_minute} a minute, {left_s} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_handed_out_once() {
        let progress = Progress::new("cuts", 2);
        let taken = [progress.take(), progress.take(), progress.take()];
        assert_eq!(taken, [Some(0), Some(1), None]);
    }

    #[test]
    fn what_goes_on_for_a_while_is_over_when_that_is() {
        let line = in_time(
            "faults",
            7,
            (Duration::from_secs(100), Duration::from_mins(2)),
        );
        assert_eq!(line, "7 faults, 20 s left");
        assert!(Progress::for_minutes("faults", 0).is_over());
        let progress = Progress::for_minutes("faults", 60);
        progress.end_one();
        assert!(!progress.is_over());
        assert!(Progress::new("cuts", 0).is_over());
    }

    #[test]
    fn the_time_left_is_told_from_the_rate_so_far() {
        let line = in_words("kills", (50, 200), Duration::from_secs(10));
        assert_eq!(line, "50 of 200 kills, 300 a minute, 30 s left");
    }
}
