//! What a node counts of its dealings with the cluster that the log is on.

use std::sync::Arc;

use eventstore::ClusterFigures;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::environment::Environment;

/// Counts this node's blocks that the cluster accepted.
pub const PUBLISHED: &str = "airpost_cluster_published_blocks_total";
/// How long it took until the cluster had accepted a block.
pub const PUBLISH_SECONDS: &str = "airpost_cluster_publish_seconds";
/// Counts this node's blocks before which another node's came.
pub const OVERTAKEN: &str = "airpost_cluster_overtaken_blocks_total";
/// Counts tries beyond a block's first.
pub const RETRIED: &str = "airpost_cluster_publish_retries_total";
/// Counts other nodes' blocks that were taken in.
pub const TAKEN: &str = "airpost_cluster_taken_blocks_total";
/// Counts how often the connection was lost and made anew.
pub const RECONNECTED: &str = "airpost_cluster_reconnects_total";
/// How many records this node is known to lack.
pub const LAG: &str = "airpost_cluster_lag_positions";

pub(super) fn describe() {
    describe_counter!(PUBLISHED, Unit::Count, "blocks that the cluster accepted");
    describe_histogram!(
        PUBLISH_SECONDS,
        Unit::Seconds,
        "time until the cluster had accepted a block"
    );
    describe_counter!(
        OVERTAKEN,
        Unit::Count,
        "blocks before which another node's came, and which were judged again"
    );
    describe_counter!(RETRIED, Unit::Count, "tries beyond a block's first");
    describe_counter!(TAKEN, Unit::Count, "other nodes' blocks that were taken in");
    describe_counter!(
        RECONNECTED,
        Unit::Count,
        "times that the connection to the cluster was lost and made anew"
    );
    describe_gauge!(LAG, Unit::Count, "records that this node is known to lack");
}

/// Has the time taken of every block that is published from now on.
pub fn time_publishing(figures: &ClusterFigures, environment: Environment) {
    drop(metrics::histogram!(PUBLISH_SECONDS));
    figures.on_publish(Box::new(move || {
        let (environment, begun) = (environment.clone(), environment.elapsed());
        Box::new(move || {
            let took = environment.elapsed().saturating_sub(begun);
            metrics::histogram!(PUBLISH_SECONDS).record(took);
        })
    }));
}

/// Shows what was counted.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; positions are exact up to 2^53"
)]
pub fn show(figures: &Arc<ClusterFigures>) {
    let counts = figures.counts();
    metrics::counter!(PUBLISHED).absolute(counts.published);
    metrics::counter!(OVERTAKEN).absolute(counts.overtaken);
    metrics::counter!(RETRIED).absolute(counts.retried);
    metrics::counter!(TAKEN).absolute(counts.taken);
    metrics::counter!(RECONNECTED).absolute(counts.reconnected);
    metrics::gauge!(LAG).set(counts.lag() as f64);
}
