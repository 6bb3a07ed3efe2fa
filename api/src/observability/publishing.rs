//! What is counted of the events that go out over NATS.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counts events that this service published.
pub const PUBLISHED: &str = "airpost_delivery_events_published_total";
/// How long it took from sending an event, or a batch of them, to its being stored.
pub const PUBLISH_SECONDS: &str = "airpost_delivery_events_publish_seconds";
/// Counts how often another service on the same log had published the next event before this one.
pub const OVERTAKEN: &str = "airpost_delivery_events_overtaken_total";
/// How many records of the log lie behind what was published, by whichever service.
pub const LAG_POSITIONS: &str = "airpost_delivery_events_lag_positions";
/// How long ago the first event was recorded that was not published.
pub const LAG_SECONDS: &str = "airpost_delivery_events_lag_seconds";
/// 1 while events go out, 0 while something is in the way.
pub const PUBLISHING: &str = "airpost_delivery_events_publishing";

pub(super) fn describe() {
    describe_counter!(PUBLISHED, Unit::Count, "events published over NATS");
    describe_histogram!(
        PUBLISH_SECONDS,
        Unit::Seconds,
        "time from sending an event, or a batch of them, to its being stored"
    );
    describe_counter!(
        OVERTAKEN,
        Unit::Count,
        "how often another service had published the next event before"
    );
    describe_gauge!(
        LAG_POSITIONS,
        Unit::Count,
        "records of the log behind what was published"
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "age of the first event that was not published"
    );
    describe_gauge!(
        PUBLISHING,
        Unit::Count,
        "1 while events go out, 0 while something is in the way"
    );
}

/// Has all be there from the start of a service that speaks over NATS.
pub fn begin() {
    drop(metrics::histogram!(PUBLISH_SECONDS));
    for name in [PUBLISHING, LAG_POSITIONS, LAG_SECONDS] {
        metrics::gauge!(name).set(0.0);
    }
}

pub(super) fn begin_at_zero() {
    for name in [PUBLISHED, OVERTAKEN] {
        metrics::counter!(name).absolute(0);
    }
}
