//! How full the stream of drone events is, and what is handed out of it, told before it is too late.
//!
//! A full stream refuses what fleets publish, facts among it, and only they are told so. And of what is
//! handed out only so much may be unanswered: then nobody's events come in any more.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::{Config, Info, Stream};
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::observability::drone_messages::{DRONE_MESSAGES_UNANSWERED, DRONE_STREAM_USED};

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
pub(super) async fn watch(
    jetstream: Context,
    (stream, consumer): (String, String),
    mut shutdown: watch::Receiver<bool>,
) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_full, mut was_held_up) = (false, false);
    loop {
        let look = async {
            looks.tick().await;
            let found = jetstream.get_stream(&stream).await.ok()?;
            let handed_out = handed_out(&found, &consumer).await;
            Some((found, handed_out))
        };
        let found = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            found = look => found,
        };
        let Some((found, handed_out)) = found else {
            continue;
        };
        let info = found.cached_info();
        gauge!(DRONE_STREAM_USED).set(used(info));
        let is_nearly_full = is_nearly_full(info);
        if is_nearly_full && !was_full {
            let (bytes, bytes_max) = (info.state.bytes, info.config.max_bytes);
            let advice = advice(&info.config);
            tracing::warn!(%stream, bytes, bytes_max, "of the stream of drone events: {advice}");
        }
        was_full = is_nearly_full;
        let Some(HandedOut { unanswered, max }) = handed_out else {
            continue;
        };
        gauge!(DRONE_MESSAGES_UNANSWERED).set(unanswered);
        let is_held_up = max > 0.0 && unanswered >= NEARLY_FULL * max;
        if is_held_up && !was_held_up {
            tracing::warn!(%stream, %consumer, unanswered, max, "{HELD_UP}");
        }
        was_held_up = is_held_up;
    }
}

/// What an operator is told while little more is handed out.
const HELD_UP: &str = "nearly as many drone events as may be wait to come again, and then nobody's come in: facts for \
                       which there is no room, mostly of missions that nobody knows; the dead letters name the fleet \
                       (/v1/dead-letters), whose right to publish is taken away and whose subjects are purged, see \
                       api/README.md";

/// How many messages were handed out, to any node, and are not answered yet; and may be.
struct HandedOut {
    unanswered: f64,
    max: f64,
}

/// Of a consumer, which may not be there yet.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; so many messages are exact"
)]
async fn handed_out(stream: &Stream, consumer: &str) -> Option<HandedOut> {
    let consumer::Info {
        num_ack_pending,
        config,
        ..
    } = stream.consumer_info(consumer).await.ok()?;
    Some(HandedOut {
        unanswered: num_ack_pending as f64,
        max: config.max_ack_pending as f64,
    })
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
