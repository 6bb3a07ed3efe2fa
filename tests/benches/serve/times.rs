//! Times that were taken, and where they lie.

use std::time::Duration;

/// The middle one of some figures.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Some times of one kind.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Where they lie, in words.
    pub(crate) fn told(&mut self) -> String {
        self.0.sort_unstable();
        let at = |permille: usize| {
            let place = self.0.len().saturating_sub(1) * permille / 1000;
            let time = self.0.get(place);
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}",
            at(500),
            at(990),
            at(1000),
            self.0.len()
        )
    }
}
