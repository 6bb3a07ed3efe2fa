//! What is shown to whoever runs a command.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::MissedTickBehavior;

use crate::environment::Environment;

/// Says a line on standard output. A reader that has gone away is no error.
pub(super) fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Says a line on standard error.
pub(super) fn complain(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// How long something took, and at which rate.
#[derive(Debug)]
pub(super) struct Stopwatch {
    environment: Environment,
    begun: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let environment = Environment::system();
        let begun = environment.elapsed();
        Self { environment, begun }
    }

    fn elapsed(&self) -> Duration {
        self.environment.elapsed().saturating_sub(self.begun)
    }

    /// Such as `0.8 s, 80.5 MB/s, 12000 records/s`, of what there was any of.
    pub(super) fn rates(&self, bytes: Option<u64>, records: Option<u64>) -> String {
        let micros = self.elapsed().as_micros().max(1);
        let tenths = |per_micros: u128| format!("{}.{}", per_micros / 10, per_micros % 10);
        let seconds = tenths(micros / 100_000);
        let megabytes = bytes.map_or_else(String::new, |bytes| {
            format!(", {} MB/s", tenths(u128::from(bytes) * 10 / micros))
        });
        let records = records.map_or_else(String::new, |records| {
            format!(", {} records/s", u128::from(records) * 1_000_000 / micros)
        });
        format!("{seconds} s{megabytes}{records}")
    }
}

/// What is over sooner says nothing of how far it is, milliseconds.
const QUIET_MS: u64 = 2_000;

/// Between two lines of how far it is, milliseconds.
const LINE_EVERY_MS: u64 = 5_000;

/// When it is time to say how far something is.
#[derive(Debug)]
struct Pace {
    /// Since the beginning.
    next_ms: AtomicU64,
}

impl Pace {
    const fn new() -> Self {
        Self {
            next_ms: AtomicU64::new(QUIET_MS),
        }
    }

    /// Whether it is, so long after the beginning; then not again for a while.
    fn is_due(&self, elapsed: Duration) -> bool {
        let now_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let is_due = now_ms >= self.next_ms.load(Ordering::Relaxed);
        if is_due {
            let next_ms = now_ms.saturating_add(LINE_EVERY_MS);
            self.next_ms.store(next_ms, Ordering::Relaxed);
        }
        is_due
    }
}

/// How far something is that takes longer than a moment: a bar on a terminal,
/// and a line every few seconds elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    unit: Unit,
    watch: Stopwatch,
    pace: Pace,
}

/// How a bar looks that counts things, or bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Things of this name.
    Things(&'static str),
    /// Bytes.
    Bytes,
}

impl Progress {
    pub(super) fn new(what: &'static str, unit: Unit) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let template = match unit {
            Unit::Things(things) => {
                format!("{what} [{{bar:40}}] {{pos}}/{{len}} {things}, {{per_sec}}, {{eta}} left")
            }
            Unit::Bytes => {
                format!(
                    "{what} [{{bar:40}}] {{bytes}}/{{total_bytes}}, {{bytes_per_sec}}, {{eta}} left"
                )
            }
        };
        // The template is ours; were it wrong, a plain bar would do.
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        Self {
            bar,
            what,
            unit,
            watch: Stopwatch::start(),
            pace: Pace::new(),
        }
    }

    /// The bar, for what counts on it by itself.
    pub(super) const fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Does what counts on the bar by itself and always takes a while.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        self.show();
        let mut pace = tokio::time::interval(Duration::from_millis(LINE_EVERY_MS));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace.reset();
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = pace.tick() => if self.bar.is_hidden() {
                    complain(self.line());
                },
            }
        }
    }

    /// Such as `simulation: 12 of 100 deliveries`.
    fn line(&self) -> String {
        let things = match self.unit {
            Unit::Things(things) => things,
            Unit::Bytes => "bytes",
        };
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        format!("{}: {done} of {all} {things}", self.what)
    }

    fn show(&self) {
        if std::io::stderr().is_terminal() && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    pub(super) fn at(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
        if !self.pace.is_due(self.watch.elapsed()) {
            return;
        }
        self.show();
        if self.bar.is_hidden() {
            let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
            complain(format_args!("{}: {percent} %", self.what));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_much_is_done_of_how_much() {
        let progress = Progress::new("simulation", Unit::Things("deliveries"));
        progress.bar().set_length(100);
        progress.bar().inc(12);
        assert_eq!(progress.line(), "simulation: 12 of 100 deliveries");
    }

    #[test]
    fn given_something_short_nothing_is_said_and_of_something_long_a_line_every_few_seconds() {
        let said_within = |seconds: u64| {
            let pace = Pace::new();
            let looks = (0..seconds * 1_000).map(Duration::from_millis);
            looks.filter(|elapsed| pace.is_due(*elapsed)).count()
        };
        assert_eq!(said_within(2), 0);
        assert_eq!(said_within(3), 1);
        assert_eq!(said_within(8), 2);
        assert_eq!(said_within(60), 12);
    }
}
