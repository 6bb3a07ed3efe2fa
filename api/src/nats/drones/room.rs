//! How full the stream of drone events is, told before it takes no more.
//!
//! A full one refuses what fleets publish, facts among it, and only they are told so.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Info;
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::observability::drone_messages::DRONE_STREAM_USED;

/// How often it is looked at: far more often than a fleet fills a fifth of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// From which part of its room on an operator is told.
const NEARLY_FULL: f64 = 0.8;

/// What an operator is told then.
pub(super) const ADVICE: &str = "it is nearly full, and takes no more then: give it more room (nats stream edit \
     --max-bytes), have it keep events for a shorter time (--max-age), or have fleets give telemetry a Nats-TTL";

/// Whether it soon takes no more.
pub(super) fn is_nearly_full(found: &Info) -> bool {
    used(found) >= NEARLY_FULL
}

/// Looks how full it is until `shutdown` becomes true. While nobody answers nothing is shown anew.
pub(in crate::nats) async fn watch(
    jetstream: Context,
    stream: String,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_told = false;
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            _ = looks.tick() => {}
        }
        let found = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            found = jetstream.get_stream(&stream) => found,
        };
        let Ok(found) = found else { continue };
        let info = found.cached_info();
        gauge!(DRONE_STREAM_USED).set(used(info));
        let is_nearly_full = is_nearly_full(info);
        if is_nearly_full && !was_told {
            let (bytes, bytes_max) = (info.state.bytes, info.config.max_bytes);
            tracing::warn!(%stream, bytes, bytes_max, "of the stream of drone events: {ADVICE}");
        }
        was_told = is_nearly_full;
    }
}

/// Which part of its room is taken; 0 without a limit.
#[expect(
    clippy::cast_precision_loss,
    reason = "a part of something, to two digits"
)]
fn used(found: &Info) -> f64 {
    if found.config.max_bytes <= 0 {
        return 0.0;
    }
    found.state.bytes as f64 / found.config.max_bytes as f64
}
