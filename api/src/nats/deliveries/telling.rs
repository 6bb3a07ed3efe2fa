//! What an operator is told: a line when it changes how it goes, and gauges.

use std::time::Duration;

use eventstore::EventStore;

use super::ahead::behind;
use super::trouble::Trouble;
use crate::environment::Environment;
use crate::nats::telling::Telling;
use crate::observability::publishing::{LAG_POSITIONS, LAG_SECONDS, PUBLISHING};
use crate::public_events::place::Place;

/// How often in a row what may pass by itself is met before it is told: a
/// second each.
const MEETINGS_MAX: u32 = 10;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    met: Option<(Trouble, u32)>,
    telling: Telling,
}

impl Told {
    /// Nothing can go out now.
    pub(super) fn trouble(&mut self, stream: &str, trouble: Trouble, now: Duration) {
        nothing_goes_out();
        let times = match self.met.take() {
            Some((before, times)) if before == trouble => times.saturating_add(1),
            Some(_) | None => 1,
        };
        let due = if trouble.may_pass() { MEETINGS_MAX } else { 1 };
        let lasts = (times >= due).then(|| self.telling.trouble(&trouble.to_string(), now));
        if let Some(lasts_s) = lasts.flatten().map(|lasts| lasts.as_secs()) {
            tracing::error!(%stream, %trouble, lasts_s, "no delivery events go out over NATS; trying again until they do");
        }
        self.met = Some((trouble, times));
    }

    /// What there is goes out, or somebody else sees to it.
    pub(super) fn all_is_well(&mut self, now: Duration) {
        self.met = None;
        metrics::gauge!(PUBLISHING).set(1.0);
        if let Some(lasted_s) = self.telling.over(now).map(|lasted| lasted.as_secs()) {
            tracing::info!(lasted_s, "delivery events go out over NATS again");
        }
    }
}

/// Shows that it does not.
pub(super) fn nothing_goes_out() {
    metrics::gauge!(PUBLISHING).set(0.0);
}

/// Shows how far what went out lies behind the log.
pub(super) async fn lag(log: &dyn EventStore, environment: &Environment, place: Place) {
    let (positions, oldest_us) = behind(log, place).await;
    let age_us = oldest_us.map_or(0, |oldest| environment.now_us().saturating_sub(oldest));
    #[expect(clippy::cast_precision_loss, reason = "a gauge has no other numbers")]
    let (positions, seconds) = (positions as f64, age_us.max(0) as f64 / 1e6);
    metrics::gauge!(LAG_POSITIONS).set(positions);
    metrics::gauge!(LAG_SECONDS).set(seconds);
}
