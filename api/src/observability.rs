//! What the service says about itself: log lines and metrics.
//!
//! Lines carry ids and never secrets, contacts, bodies or query values.
//! Metrics are labelled with route templates and never with URLs, so their
//! number is bounded.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use eventstore::DiscardReason;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

pub mod cluster;
pub mod drone_messages;
pub mod processes;
pub mod publishing;

/// The environment variable with the filter of log lines, in the syntax of
/// `tracing_subscriber::EnvFilter`, such as `info,api=debug`.
pub const LOG_VARIABLE: &str = "AIRPOST_LOG";

/// What is logged where [`LOG_VARIABLE`] says nothing.
pub const LOG_DEFAULT: &str = "info";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: one line, coloured on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Why log lines could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not of the accepted syntax.
    #[error("{LOG_VARIABLE} is not a filter such as info,api=debug: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is installed already.
    #[error("log lines are set up already; set them up once, when the process starts: {0}")]
    Installed(#[from] TryInitError),
}

/// The filter without the lines of the client of NATS, unless it names that: it has several for each
/// try to connect, and what they say is told by whoever uses it, once.
fn in_our_words(filter: &str) -> String {
    if filter.contains(NATS_CLIENT) {
        filter.to_owned()
    } else {
        format!("{NATS_CLIENT}=off,{filter}")
    }
}

/// Where the lines of the client of NATS come from.
const NATS_CLIENT: &str = "async_nats";

/// Sends log lines to standard error from now on, filtered by `filter`, or by
/// [`LOG_DEFAULT`] if there is none.
///
/// # Errors
/// [`LogError`] for a filter that cannot be read and for a second call in one process.
pub fn start_logging(format: LogFormat, filter: Option<&str>) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = EnvFilter::builder().parse(in_our_words(filter.unwrap_or(LOG_DEFAULT)))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Whoever reads the lines may go away: that is no reason to stop working.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Logs every panic from now on, caught or not, as one line like any other,
/// where the default is some lines of text past the log. With a backtrace where
/// `RUST_BACKTRACE` asks for one.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let is_wanted = backtrace.status() == BacktraceStatus::Captured;
        let thread = std::thread::current();
        tracing::error!(
            // As a text, whose line ends are escaped, and not by what it displays as.
            why = panic.payload_as_str().unwrap_or("without a message"),
            thread = thread.name().unwrap_or("without a name"),
            place = panic.location().map(ToString::to_string),
            backtrace = is_wanted.then(|| backtrace.to_string()),
            "a panic"
        );
    }));
}

/// Counts requests that were answered, by method, route and status.
pub const HTTP_REQUESTS: &str = "airpost_http_requests_total";
/// How long answers took, by method, route and status.
pub const HTTP_REQUEST_SECONDS: &str = "airpost_http_request_seconds";
/// How many connections are open.
pub const HTTP_CONNECTIONS: &str = "airpost_http_connections";
/// Counts requests that were refused because too much was going on.
pub const HTTP_OVERLOADED: &str = "airpost_http_overloaded_total";
/// Counts panics that were caught while answering.
pub const HTTP_PANICS: &str = "airpost_http_panics_total";

/// Counts drone events that were kept although their type means nothing to this release.
pub const DRONE_EVENTS_UNKNOWN: &str = "airpost_drone_events_unknown_total";

/// Counts drone events whose time lay so far ahead that the moment of receipt counts instead.
pub const DRONE_EVENTS_SKEWED: &str = "airpost_drone_events_skewed_total";

/// Counts anomalies for which a delivery's history had no room any more.
pub const ANOMALIES_UNRECORDED: &str = "airpost_anomalies_unrecorded_total";

/// How many streams of events are open.
pub const FEED_STREAMS: &str = "airpost_feed_streams";
/// Counts events that were handed to streams.
pub const FEED_EVENTS: &str = "airpost_feed_events_total";
/// Counts how often a stream that had been at the head fell so far behind that
/// it went on from the log.
pub const FEED_SLOW: &str = "airpost_feed_slow_total";
/// Counts streams that ended since an event or the log could not be read.
pub const FEED_HALTED: &str = "airpost_feed_halted_total";

/// The position of the last durable record of the log.
pub const LOG_POSITION: &str = "airpost_log_position";
/// 1 while appends are taken, 0 while they are not.
pub const LOG_WRITABLE: &str = "airpost_log_writable";
/// The record up to which a view holds all, by view.
pub const VIEW_POSITION: &str = "airpost_view_position";
/// How many records of the log a view has not seen, by view.
pub const VIEW_LAG_POSITIONS: &str = "airpost_view_lag_positions";
/// How old what the views show is, seconds: the farthest behind of them counts.
pub const VIEWS_LAG_SECONDS: &str = "airpost_views_lag_seconds";
/// How old what a view shows is, seconds, by view: how long ago the log had what it has not reached.
pub const VIEW_LAG_SECONDS: &str = "airpost_view_lag_seconds";
/// 1 while writes are refused because the views are behind, else 0.
pub const VIEWS_HOLD_WRITES: &str = "airpost_views_hold_writes";
/// Streams whose records wait because this release cannot fold one of them, by view.
pub const VIEW_PARKED_STREAMS: &str = "airpost_view_parked_streams";
/// Records that a view has left out because this release cannot fold them, by view.
pub const VIEW_SKIPPED_RECORDS: &str = "airpost_view_skipped_records";
/// Counts how often a view was found not to say what the log says, by view: it must be 0.
pub const VIEW_DRIFTED: &str = "airpost_view_drifted_total";
/// Counts records that were audited: their streams folded anew, and compared with the views.
pub const AUDITED_RECORDS: &str = "airpost_audited_records_total";
/// 1 for a view whose entries are known to be in order, 0 while they are checked, by view.
pub const VIEW_CHECKED: &str = "airpost_view_checked";
/// 1 for a view that stands still at a record that cannot be read, else 0, by view.
pub const VIEW_HALTED: &str = "airpost_view_halted";
/// 1 for a view that is being built anew beside the one that answers, else 0, by view.
pub const VIEW_REBUILDING: &str = "airpost_view_rebuilding";
/// How far that one is, by view; 0 where none is being built.
pub const VIEW_REBUILD_POSITION: &str = "airpost_view_rebuild_position";
/// Counts rebuilds that were asked for and are over, by view and outcome: `succeeded`, `failed`.
pub const VIEW_REBUILDS: &str = "airpost_view_rebuilds_total";
/// Counts how often all views were damaged and begun anew, which nobody asked for.
pub const VIEWS_BEGUN_ANEW: &str = "airpost_views_begun_anew_total";

/// Counts loads that began with a state that had been kept on disk.
pub const SNAPSHOTS_USED: &str = "airpost_snapshots_used_total";
/// Counts states that were kept on disk.
pub const SNAPSHOTS_WRITTEN: &str = "airpost_snapshots_written_total";
/// Counts states that were to be kept and were not, by reason.
pub const SNAPSHOTS_UNWRITTEN: &str = "airpost_snapshots_unwritten_total";
/// Counts kept states that were thrown away instead of used, by reason.
pub const SNAPSHOTS_DISCARDED: &str = "airpost_snapshots_discarded_total";

/// The reasons of [`SNAPSHOTS_UNWRITTEN`].
const UNWRITTEN_REASONS: [&str; 4] = ["too_large", "no_room", "busy", "io"];

/// The outcomes of [`VIEW_REBUILDS`].
const REBUILD_OUTCOMES: [&str; 2] = ["succeeded", "failed"];

/// Upper bounds of the latency histogram's buckets, seconds: from one answer
/// out of memory to the request time limit.
const LATENCY_BUCKETS_S: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// How often samples are folded into buckets, also when nobody reads the
/// metrics: until then they take memory one by one.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The metrics of this process, rendered on demand.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics could not be set up; set them up once, when the process starts: {0}")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Makes the process's `metrics` macros count into what this renders.
    ///
    /// # Errors
    /// [`MetricsError`] for a second call in one process.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = builder()?.install_recorder()?;
        describe();
        begin_at_zero();
        Ok(Self { handle })
    }

    /// Metrics that nothing counts into: for a router without a process around it.
    ///
    /// # Errors
    /// [`MetricsError`] if the buckets are refused, which they never are.
    pub fn detached() -> Result<Self, MetricsError> {
        Ok(Self {
            handle: builder()?.build_recorder().handle(),
        })
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps the memory of the metrics bounded until `shutdown` resolves. The
    /// caller owns the task this runs in.
    pub async fn run_upkeep(self, shutdown: impl Future<Output = ()>) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = ticks.tick() => self.handle.run_upkeep(),
            }
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_S)
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, Unit::Count, "requests answered");
    describe_histogram!(
        HTTP_REQUEST_SECONDS,
        Unit::Seconds,
        "time from a request's head to its answer's head"
    );
    describe_gauge!(HTTP_CONNECTIONS, Unit::Count, "open connections");
    describe_counter!(
        HTTP_OVERLOADED,
        Unit::Count,
        "requests refused because too much was going on"
    );
    describe_counter!(HTTP_PANICS, Unit::Count, "panics caught while answering");
    describe_counter!(
        DRONE_EVENTS_UNKNOWN,
        Unit::Count,
        "drone events kept whose type means nothing to this release"
    );
    describe_counter!(
        DRONE_EVENTS_SKEWED,
        Unit::Count,
        "drone events whose time lay ahead, so that the moment of receipt counts"
    );
    describe_counter!(
        ANOMALIES_UNRECORDED,
        Unit::Count,
        "anomalies for which a delivery's history had no room any more"
    );
    describe_gauge!(
        LOG_POSITION,
        Unit::Count,
        "position of the last durable record"
    );
    describe_gauge!(
        LOG_WRITABLE,
        Unit::Count,
        "1 while appends are taken, 0 while they are not"
    );
    describe_views();
    describe_feed();
    describe_snapshots();
    drone_messages::describe();
    processes::describe();
    cluster::describe();
    publishing::describe();
}

/// Makes every counter be there from the start: a rate over one that is absent
/// says nothing, and misses the first that is counted. Those of requests have as
/// many labels as there are routes, methods and statuses, and begin with the
/// first of each.
fn begin_at_zero() {
    for name in [
        HTTP_OVERLOADED,
        HTTP_PANICS,
        DRONE_EVENTS_UNKNOWN,
        DRONE_EVENTS_SKEWED,
        ANOMALIES_UNRECORDED,
        FEED_EVENTS,
        FEED_SLOW,
        FEED_HALTED,
        SNAPSHOTS_USED,
        SNAPSHOTS_WRITTEN,
        AUDITED_RECORDS,
        VIEWS_BEGUN_ANEW,
    ] {
        metrics::counter!(name).absolute(0);
    }
    for reason in UNWRITTEN_REASONS {
        metrics::counter!(SNAPSHOTS_UNWRITTEN, "reason" => reason).absolute(0);
    }
    for reason in DiscardReason::ALL {
        metrics::counter!(SNAPSHOTS_DISCARDED, "reason" => reason.word()).absolute(0);
    }
    for view in projections::view_names() {
        metrics::counter!(VIEW_DRIFTED, "view" => view).absolute(0);
        for outcome in REBUILD_OUTCOMES {
            metrics::counter!(VIEW_REBUILDS, "view" => view, "outcome" => outcome).absolute(0);
        }
    }
    drone_messages::begin_at_zero();
    processes::begin_at_zero();
    publishing::begin_at_zero();
    metrics::gauge!(HTTP_CONNECTIONS).set(0.0);
    metrics::gauge!(FEED_STREAMS).set(0.0);
}

fn describe_views() {
    describe_gauge!(
        VIEW_POSITION,
        Unit::Count,
        "record up to which a view holds all"
    );
    describe_gauge!(
        VIEW_LAG_POSITIONS,
        Unit::Count,
        "records that a view has not seen yet"
    );
    describe_gauge!(
        VIEWS_LAG_SECONDS,
        Unit::Seconds,
        "how old what the views show is"
    );
    describe_gauge!(
        VIEW_LAG_SECONDS,
        Unit::Seconds,
        "how old what a view shows is"
    );
    describe_gauge!(
        VIEWS_HOLD_WRITES,
        Unit::Count,
        "1 while writes are refused because the views are behind"
    );
    describe_gauge!(
        VIEW_PARKED_STREAMS,
        Unit::Count,
        "streams whose records wait in front of a view"
    );
    describe_gauge!(
        VIEW_SKIPPED_RECORDS,
        Unit::Count,
        "records that a view has left out"
    );
    describe_counter!(
        VIEW_DRIFTED,
        Unit::Count,
        "how often a view was found not to say what the log says; it must be 0"
    );
    describe_counter!(
        AUDITED_RECORDS,
        Unit::Count,
        "records whose streams were folded anew and compared with the views"
    );
    describe_gauge!(
        VIEW_CHECKED,
        Unit::Count,
        "1 for a view whose entries are known to be in order"
    );
    describe_gauge!(
        VIEW_HALTED,
        Unit::Count,
        "1 for a view that stands still at what it cannot read"
    );
    describe_rebuilds();
}

fn describe_rebuilds() {
    describe_gauge!(
        VIEW_REBUILDING,
        Unit::Count,
        "1 for a view that is being built anew beside the one that answers"
    );
    describe_gauge!(
        VIEW_REBUILD_POSITION,
        Unit::Count,
        "record up to which the view that is being built holds all"
    );
    describe_counter!(
        VIEW_REBUILDS,
        Unit::Count,
        "rebuilds that were asked for and are over"
    );
    describe_counter!(
        VIEWS_BEGUN_ANEW,
        Unit::Count,
        "how often all views were damaged and begun anew"
    );
}

fn describe_feed() {
    describe_gauge!(FEED_STREAMS, Unit::Count, "open streams of events");
    describe_counter!(FEED_EVENTS, Unit::Count, "events handed to streams");
    describe_counter!(
        FEED_SLOW,
        Unit::Count,
        "streams that fell behind and went on from the log"
    );
    describe_counter!(
        FEED_HALTED,
        Unit::Count,
        "streams that ended at what could not be read"
    );
}

fn describe_snapshots() {
    describe_counter!(
        SNAPSHOTS_USED,
        Unit::Count,
        "loads that began with a kept state"
    );
    describe_counter!(SNAPSHOTS_WRITTEN, Unit::Count, "states kept on disk");
    describe_counter!(
        SNAPSHOTS_UNWRITTEN,
        Unit::Count,
        "states that were to be kept and were not"
    );
    describe_counter!(
        SNAPSHOTS_DISCARDED,
        Unit::Count,
        "kept states thrown away instead of used"
    );
}

#[cfg(test)]
mod tests;
