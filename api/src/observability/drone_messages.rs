//! What is counted of drone events that come in over NATS.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counts messages by what became of them: one of [`Outcome`].
pub const DRONE_MESSAGES: &str = "airpost_drone_messages_total";
/// Counts messages that came not for the first time.
pub const DRONE_MESSAGES_REDELIVERED: &str = "airpost_drone_messages_redelivered_total";
/// How many messages were still to come when the last one came.
pub const DRONE_MESSAGES_PENDING: &str = "airpost_drone_messages_pending";
/// How many messages were handed out, to any node, and are not answered yet.
pub const DRONE_MESSAGES_UNANSWERED: &str = "airpost_drone_messages_unanswered";
/// 1 while messages come in, 0 while something is in the way.
pub const DRONE_MESSAGES_FLOWING: &str = "airpost_drone_messages_flowing";
/// 1 while a node of a cluster is told where all drones are, 0 while something is in the way.
pub const DRONE_POSITIONS_FLOWING: &str = "airpost_drone_positions_flowing";
/// How many of those messages were still to come when the last one came.
pub const DRONE_POSITIONS_PENDING: &str = "airpost_drone_positions_pending";
/// Which part of its room the stream has taken, 0 to 1; 0 where that has no limit.
pub const DRONE_STREAM_USED: &str = "airpost_drone_stream_used_ratio";
/// How long it took until messages that came together were answered.
pub const DRONE_BATCH_SECONDS: &str = "airpost_drone_messages_batch_seconds";

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new, and taken.
    Accepted,
    /// It was there already.
    Duplicate,
    /// It cannot be read or taken, and is kept as a dead letter or counted.
    Refused,
    /// It comes again.
    PutOff,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Duplicate, Self::Refused, Self::PutOff];

    /// The word in the metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::PutOff => "put_off",
        }
    }
}

pub(super) fn describe() {
    describe_counter!(
        DRONE_MESSAGES,
        Unit::Count,
        "drone events that came over NATS, by what became of them"
    );
    describe_counter!(
        DRONE_MESSAGES_REDELIVERED,
        Unit::Count,
        "those among them that came not for the first time"
    );
    describe_gauge!(
        DRONE_MESSAGES_PENDING,
        Unit::Count,
        "how many were still to come when the last one came"
    );
    describe_gauge!(
        DRONE_MESSAGES_UNANSWERED,
        Unit::Count,
        "how many were handed out, to any node, and wait to be answered or to come again"
    );
    describe_gauge!(
        DRONE_MESSAGES_FLOWING,
        Unit::Count,
        "1 while drone events come in over NATS, 0 while something is in the way"
    );
    describe_gauge!(
        DRONE_POSITIONS_FLOWING,
        Unit::Count,
        "1 while this node of a cluster is told over NATS where all drones are, 0 while something is in the way"
    );
    describe_gauge!(
        DRONE_POSITIONS_PENDING,
        Unit::Count,
        "how many of these were still to come when the last one came"
    );
    describe_gauge!(
        DRONE_STREAM_USED,
        Unit::Count,
        "part of the room of the stream of drone events that is taken; 0 if it has no limit"
    );
    describe_histogram!(
        DRONE_BATCH_SECONDS,
        Unit::Seconds,
        "time until those that came together were answered"
    );
}

/// Has all be there from the start of a service that speaks over NATS, on a cluster or not.
pub fn begin(is_on_cluster: bool) {
    drop(metrics::histogram!(DRONE_BATCH_SECONDS));
    metrics::gauge!(DRONE_MESSAGES_FLOWING).set(0.0);
    if is_on_cluster {
        metrics::gauge!(DRONE_POSITIONS_FLOWING).set(0.0);
        metrics::gauge!(DRONE_POSITIONS_PENDING).set(0.0);
    }
}

pub(super) fn begin_at_zero() {
    for outcome in Outcome::ALL {
        metrics::counter!(DRONE_MESSAGES, "outcome" => outcome.word()).absolute(0);
    }
    metrics::counter!(DRONE_MESSAGES_REDELIVERED).absolute(0);
    metrics::gauge!(DRONE_MESSAGES_PENDING).set(0.0);
    metrics::gauge!(DRONE_MESSAGES_UNANSWERED).set(0.0);
    metrics::gauge!(DRONE_STREAM_USED).set(0.0);
}
