//! What is shown to whoever runs a command.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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

    /// Such as `0.8 s, 80.5 MB/s, 12000 records/s`, of what there was any of.
    pub(super) fn rates(&self, bytes: Option<u64>, records: Option<u64>) -> String {
        let took = self.environment.elapsed().saturating_sub(self.begun);
        let micros = took.as_micros().max(1);
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

/// How far something is: a bar on a terminal, and a line every tenth of the way elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    /// Tenths that were told; unused on a terminal.
    told: Option<AtomicU64>,
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
        let is_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(0),
            if is_terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
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
            told: (!is_terminal).then(|| AtomicU64::new(0)),
        }
    }

    /// The bar, for what counts by itself.
    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    pub(super) fn at(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
        if let Some(told) = &self.told {
            let tenths = done.saturating_mul(10).checked_div(all).unwrap_or(10);
            if told.fetch_max(tenths, Ordering::Relaxed) < tenths {
                complain(format_args!("{}: {} %", self.what, tenths * 10));
            }
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
