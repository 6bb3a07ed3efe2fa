//! How full the stream of drone events is, told before it takes no more.
//!
//! A full one refuses what fleets publish, facts among it, and only they are told so.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Info};
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::observability::drone_messages::DRONE_STREAM_USED;

/// How often it is looked at: far more often than a fleet fills a fifth of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// From which part of its room on an operator is told.
const NEARLY_FULL: f64 = 0.8;

/// What an operator is told then. A stream that was made before servers could forget single messages,
/// or by somebody else, refuses every message that asks for it.
pub(super) fn advice(found: &Config) -> String {
    let before = if found.allow_message_ttl {
        ""
    } else {
        ", but only once the stream takes such, which it refuses now (nats stream edit --interactive, \
         allow_msg_ttl: true)"
    };
    format!(
        "it is nearly full, and takes no more then: give it more room (nats stream edit --max-bytes), have it keep \
         events for a shorter time (--max-age), or have fleets give telemetry a Nats-TTL{before}; telemetry alone, \
         since a fact with one is forgotten although it was acknowledged"
    )
}

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
            let advice = advice(&info.config);
            tracing::warn!(%stream, bytes, bytes_max, "of the stream of drone events: {advice}");
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

#[cfg(test)]
mod tests {
    //! What is advised.

    use super::*;

    #[test]
    fn a_nats_ttl_is_advised_for_telemetry_alone_and_where_the_stream_refuses_it_to_allow_it_first()
    {
        let told = |allow_message_ttl| {
            advice(&Config {
                allow_message_ttl,
                ..Config::default()
            })
        };
        for advice in [told(true), told(false)] {
            assert!(advice.contains("a fact with one is forgotten"), "{advice}");
        }
        assert!(!told(true).contains("allow_msg_ttl"), "{}", told(true));
        assert!(
            told(false).contains("once the stream takes such")
                && told(false).contains("allow_msg_ttl: true"),
            "{}",
            told(false)
        );
    }
}
