//! The settings of `airpost serve`: one struct, every value with its default,
//! its unit and its environment variable. Flags beat variables beat defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use domain::delivery::EtaThresholds;
use domain::quantity::{DistanceM, MassG};
use domain::time::{DurationMs, TimeScale};
use domain::translation::Thresholds;

use crate::observability::LogFormat;

mod nats;
mod scheduling;

pub(crate) use nats::parse_stream;
pub use nats::{NatsAccessOptions, NatsOptions};
pub use scheduling::SchedulingOptions;

/// Where the server listens unless told otherwise.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// One mebibyte, bytes.
const MIB: u64 = 1024 * 1024;

/// The shortest time between two looks at what need not wait any longer.
const TICK_MIN: Duration = Duration::from_millis(5);

/// How the service runs.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Config {
    /// The folder that holds the journal and everything derived from it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    pub data: PathBuf,

    /// The address and port to listen on; port 0 takes any free one.
    #[arg(long, env = "AIRPOST_LISTEN", value_name = "ADDR", default_value_t = LISTEN_DEFAULT,
          value_parser = parse_listen)]
    pub listen: SocketAddr,

    /// Listen beyond this machine although nobody is asked who they are.
    #[arg(long, env = "AIRPOST_INSECURE")]
    pub insecure: bool,

    /// What clients reach the service by, such as <https://airpost.example.org>, where a
    /// proxy stands in front: links to problems begin with it. Otherwise http and the Host
    /// of the request.
    #[arg(long, env = "AIRPOST_PUBLIC_URL", value_name = "URL", value_parser = parse_public_url)]
    pub public_url: Option<String>,

    /// How log lines look.
    #[arg(long, env = "AIRPOST_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// The limits of the HTTP interface.
    #[command(flatten)]
    pub http: HttpLimits,

    /// What ingest takes for granted about drone events.
    #[command(flatten)]
    pub ingest: IngestSettings,

    /// How many times as fast as usual time passes for what the service waits for: gaps in a
    /// drone's facts, missions that are not known yet, answers of a fleet, deadlines. For
    /// simulations, 1 to 1000; windows, deadlines and times that clients and drones give, and
    /// the limits of the HTTP interface, stay as they are.
    #[arg(long, env = "AIRPOST_TIME_SCALE", value_name = "N", default_value = "1",
          value_parser = parse_time_scale)]
    pub time_scale: TimeScale,

    /// How deliveries are scheduled.
    #[command(flatten)]
    pub scheduling: SchedulingOptions,

    /// Drone events, delivery events and the log over NATS.
    #[command(flatten)]
    pub nats: NatsOptions,

    /// Memory that the read models keep their pages in, mebibytes; up to twice as much
    /// is taken. What is not in it is read from the system's cache of the files, which takes
    /// a GET half as long again as one of what is there.
    #[arg(long, env = "AIRPOST_VIEWS_CACHE_MIB", value_name = "MIB",
          default_value_t = projections::CACHE_MIB_DEFAULT,
          value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub views_cache_mib: u64,

    /// Size at which a file of the journal is closed and the next one begun, kibibytes.
    #[arg(long, env = "AIRPOST_SEGMENT_KIB", value_name = "KIB", default_value_t = 65_536,
          value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    pub segment_kib: u64,

    /// Time for requests and streams under way to end when the service stops, seconds; then
    /// their connections are closed. Closing the views and the journal takes up to 5 s more.
    #[arg(long, env = "AIRPOST_SHUTDOWN_GRACE_S", value_name = "S", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(0..=600))]
    pub shutdown_grace_s: u64,
}

/// The limits of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct HttpLimits {
    /// The largest body of a request, bytes; over it 413.
    #[arg(long, env = "AIRPOST_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = MIB,
          value_parser = clap::value_parser!(u64).range(1024..=1024 * MIB))]
    pub body_bytes_max: u64,

    /// The largest batch of drone events, bytes; over it 413.
    #[arg(long, env = "AIRPOST_BATCH_BYTES_MAX", value_name = "BYTES", default_value_t = 16 * MIB,
          value_parser = clap::value_parser!(u64).range(1024..=1024 * MIB))]
    pub batch_bytes_max: u64,

    /// All bodies that are being read or worked on, together, mebibytes; over it 503.
    #[arg(long, env = "AIRPOST_BODIES_MIB_MAX", value_name = "MIB", default_value_t = 256,
          value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub bodies_mib_max: u64,

    /// Requests that are worked on at once; over it 503. Half of them at most may be waiting
    /// for the views.
    #[arg(long, env = "AIRPOST_REQUESTS_MAX", value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub requests_max: u64,

    /// Open connections; more wait to be accepted.
    #[arg(long, env = "AIRPOST_CONNECTIONS_MAX", value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub connections_max: u64,

    /// Open streams of events; over it 503. Each is a connection, and holds some 200 KiB if
    /// its client does not read.
    #[arg(long, env = "AIRPOST_STREAMS_MAX", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub streams_max: u64,

    /// Memory that the newest events are kept in for all open streams together, kibibytes;
    /// with 0 each stream reads the log by itself.
    #[arg(long, env = "AIRPOST_STREAMS_MEMORY_KIB", value_name = "KIB", default_value_t = 8192,
          value_parser = clap::value_parser!(u64).range(0..=1_048_576))]
    pub streams_memory_kib: u64,

    /// All header lines of a request together, bytes; over it 431.
    #[arg(long, env = "AIRPOST_HEADERS_BYTES_MAX", value_name = "BYTES", default_value_t = 16 * 1024,
          value_parser = clap::value_parser!(u64).range(1024..=32 * 1024))]
    pub headers_bytes_max: u64,

    /// Time for a request's head to arrive, milliseconds; over it 408.
    #[arg(long, env = "AIRPOST_HEADERS_TIME_MS", value_name = "MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub headers_time_ms: u64,

    /// Time that a request's body may stand still, milliseconds; over it 408. The whole of it
    /// must be there before the request's own time is over.
    #[arg(long, env = "AIRPOST_BODY_IDLE_MS", value_name = "MS", default_value_t = 15_000,
          value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub body_idle_ms: u64,

    /// Time for an answer to begin, milliseconds; over it 503. What a client asks to wait by
    /// Prefer: wait comes on top.
    #[arg(long, env = "AIRPOST_REQUEST_TIME_MS", value_name = "MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub request_time_ms: u64,

    /// Time that a connection may stand still, milliseconds; then it is closed.
    #[arg(long, env = "AIRPOST_IDLE_TIME_MS", value_name = "MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub idle_time_ms: u64,
}

/// What ingest takes for granted about drone events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct IngestSettings {
    /// How near to the drop-off a release must be, metres.
    #[arg(long, env = "AIRPOST_DROPOFF_RADIUS_M", value_name = "M", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub dropoff_radius_m: u32,

    /// How much more than declared a package may weigh, percent, or by the next setting if that
    /// is more; a drone that weighs more does not bring it.
    #[arg(long, env = "AIRPOST_MASS_TOLERANCE_PERCENT", value_name = "PERCENT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub mass_tolerance_percent: u32,

    /// How much more a package may weigh in any case, grams: scales are not exact.
    #[arg(long, env = "AIRPOST_MASS_TOLERANCE_G", value_name = "G", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MassG::MAX)))]
    pub mass_tolerance_g: u32,

    /// By how much the time has to move at which a drone is expected for that to be told,
    /// seconds, or by the next setting if that is less.
    #[arg(long, env = "AIRPOST_ETA_MOVED_S_MIN", value_name = "S", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub eta_moved_s_min: u32,

    /// By which part of the time left it has to move, percent.
    #[arg(long, env = "AIRPOST_ETA_MOVED_PERCENT_MIN", value_name = "PERCENT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub eta_moved_percent_min: u32,

    /// How long nothing is told of it after it was told, seconds.
    #[arg(long, env = "AIRPOST_ETA_REVISED_EVERY_S", value_name = "S", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub eta_revised_every_s: u32,

    /// How long a fact waits for the ones before it, seconds.
    #[arg(long, env = "AIRPOST_GAP_WAIT_S", value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=600))]
    pub gap_wait_s: u32,

    /// How long a fact waits for its mission or its delivery to be known, seconds; then it is
    /// a dead letter.
    #[arg(long, env = "AIRPOST_PARK_WAIT_S", value_name = "S", default_value_t = 900,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub park_wait_s: u32,

    /// How many facts of a session wait for the ones before them.
    #[arg(long, env = "AIRPOST_HELD_FACTS_MAX", value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub held_facts_max: u32,

    /// How far ahead of our clock a sender's may be, seconds.
    #[arg(long, env = "AIRPOST_CLOCK_SKEW_S", value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=600))]
    pub clock_skew_s: u32,
}

impl IngestSettings {
    /// What is still accepted of drones, and what is news, where waits pass at this scale.
    #[must_use]
    pub fn thresholds(&self, scale: TimeScale) -> Thresholds {
        Thresholds {
            dropoff_radius: DistanceM::new(self.dropoff_radius_m),
            overweight_permille: self.mass_tolerance_percent.saturating_mul(10),
            overweight_g_min: self.mass_tolerance_g,
            eta: EtaThresholds {
                moved_min: DurationMs::from_seconds(self.eta_moved_s_min),
                moved_percent_min: self.eta_moved_percent_min,
                revised_every: scale.shorten(DurationMs::from_seconds(self.eta_revised_every_s)),
            },
        }
    }

    /// How long a fact waits for the ones before it.
    #[must_use]
    pub fn gap_wait(&self) -> DurationMs {
        DurationMs::from_seconds(self.gap_wait_s)
    }

    /// How long a fact waits for its mission or its delivery to be known.
    #[must_use]
    pub fn park_wait(&self) -> DurationMs {
        DurationMs::from_seconds(self.park_wait_s)
    }

    /// How far ahead of our clock a sender's may be.
    #[must_use]
    pub fn clock_skew(&self) -> DurationMs {
        DurationMs::from_seconds(self.clock_skew_s)
    }
}

/// Why the service refuses to start with these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Anyone who reaches the address could do anything.
    #[error(
        "refusing to listen on {listen}: nobody is asked who they are, so whoever reaches it may do anything; \
         listen on a loopback address such as {LISTEN_DEFAULT}, or say --insecure if something in front of it \
         keeps others out"
    )]
    NotLoopback {
        /// The address that was asked for.
        listen: SocketAddr,
    },
}

impl Config {
    /// Checks what no single value shows.
    ///
    /// # Errors
    /// [`ConfigError`] says which settings do not go together and what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.insecure && !self.listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::NotLoopback {
                listen: self.listen,
            });
        }
        Ok(())
    }

    /// How long a configured wait takes, at the scale that time passes at.
    #[must_use]
    pub fn scaled(&self, wait: DurationMs) -> DurationMs {
        self.time_scale.shorten(wait)
    }

    /// How often it is looked what need not wait any longer, if that is `tick` in real time:
    /// as much more often as time passes faster, but not so often that looking is all there is.
    #[must_use]
    pub fn scaled_tick(&self, tick: Duration) -> Duration {
        (tick / self.time_scale.get()).max(TICK_MIN)
    }

    /// Time for requests and streams under way to end when the service stops.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }

    /// Memory that the read models keep their pages in, bytes.
    #[must_use]
    pub fn views_cache_bytes(&self) -> u64 {
        self.views_cache_mib.saturating_mul(MIB)
    }

    /// Size at which a file of the journal is closed, bytes.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.segment_kib.saturating_mul(1024)
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: MIB,
            batch_bytes_max: 16 * MIB,
            bodies_mib_max: 256,
            requests_max: 1024,
            connections_max: 10_000,
            streams_max: 1000,
            streams_memory_kib: 8192,
            headers_bytes_max: 16 * 1024,
            headers_time_ms: 10_000,
            body_idle_ms: 15_000,
            request_time_ms: 30_000,
            idle_time_ms: 60_000,
        }
    }
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            dropoff_radius_m: 50,
            mass_tolerance_percent: 10,
            mass_tolerance_g: 5,
            eta_moved_s_min: 60,
            eta_moved_percent_min: 10,
            eta_revised_every_s: 15,
            gap_wait_s: 5,
            park_wait_s: 900,
            held_facts_max: 64,
            clock_skew_s: 5,
        }
    }
}

/// Takes 1 to [`TimeScale::MAX`].
pub(crate) fn parse_time_scale(text: &str) -> Result<TimeScale, String> {
    let times = text.parse().ok().and_then(TimeScale::new);
    times.ok_or_else(|| format!("expected 1 to {}", TimeScale::MAX))
}

/// An address and a port.
///
/// # Errors
/// Says what is taken.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("expected an address and a port, such as {LISTEN_DEFAULT}"))
}

/// Takes `http://host` or `https://host`, with a port and a path if need be.
fn parse_public_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let fits = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_~:/[]%".contains(&b))
    });
    if fits {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("expected http:// or https:// and a host, without query and fragment".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        let line = ["airpost", "--data", "d"].iter().chain(arguments);
        Line::try_parse_from(line).map(|line| line.config)
    }

    #[test]
    fn the_documented_defaults_are_the_ones_in_force() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.http, HttpLimits::default());
        assert_eq!(config.ingest, IngestSettings::default());
        assert_eq!(config.scheduling, SchedulingOptions::default());
        assert_eq!(config.nats, NatsOptions::default());
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.shutdown_grace(), Duration::from_secs(4));
    }

    #[test]
    fn listening_beyond_this_machine_needs_a_word() {
        for (address, fine) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.1:1", false),
        ] {
            assert_eq!(
                parse(&["--listen", address]).unwrap().check().is_ok(),
                fine,
                "{address}"
            );
            assert_eq!(
                parse(&["--listen", address, "--insecure"]).unwrap().check(),
                Ok(()),
                "{address}"
            );
        }
        let message = parse(&["--listen", "0.0.0.0:1"])
            .unwrap()
            .check()
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("--insecure") && message.contains("127.0.0.1"),
            "{message}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_when_it_is_read() {
        for arguments in [
            ["--listen", "localhost"],
            ["--listen", "18086"],
            ["--body-bytes-max", "0"],
            ["--public-url", "ftp://x"],
            ["--public-url", "https://x/?q"],
            ["--public-url", "https://"],
            ["--dropoff-radius-m", "-1"],
            ["--mass-tolerance-percent", "1001"],
            ["--mass-tolerance-g", "100001"],
            ["--mass-tolerance-g", "0.5"],
            ["--eta-moved-s-min", "86401"],
            ["--eta-moved-percent-min", "-1"],
            ["--eta-revised-every-s", "0"],
            ["--time-scale", "0"],
            ["--time-scale", "1001"],
            ["--time-scale", "0.5"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?} was taken");
        }
    }

    #[test]
    fn time_that_passes_faster_shortens_waits_and_looks_but_not_without_end() {
        let (gap, tick) = (DurationMs::from_seconds(5), Duration::from_millis(250));
        for (scale, gap_ms, tick_ms) in [("1", 5_000, 250), ("10", 500, 25), ("1000", 5, 5)] {
            let config = parse(&["--time-scale", scale]).unwrap();
            assert_eq!(config.scaled(gap), DurationMs::new(gap_ms));
            assert_eq!(config.scaled_tick(tick), Duration::from_millis(tick_ms));
        }
    }

    #[test]
    fn given_no_word_about_them_then_the_thresholds_are_the_domains_own() {
        let config = parse(&[]).unwrap();
        let thresholds = config.ingest.thresholds(config.time_scale);
        assert_eq!(thresholds, Thresholds::default());
    }

    #[test]
    fn given_thresholds_then_they_are_in_force_and_only_the_wait_among_them_is_shortened() {
        let config = parse(&[
            "--dropoff-radius-m=20",
            "--mass-tolerance-percent=3",
            "--mass-tolerance-g=7",
            "--eta-moved-s-min=90",
            "--eta-moved-percent-min=25",
            "--eta-revised-every-s=30",
            "--time-scale=10",
        ])
        .unwrap();
        let expected = Thresholds {
            dropoff_radius: DistanceM::new(20),
            overweight_permille: 30,
            overweight_g_min: 7,
            eta: EtaThresholds {
                moved_min: DurationMs::from_seconds(90),
                moved_percent_min: 25,
                revised_every: DurationMs::from_seconds(3),
            },
        };
        assert_eq!(config.ingest.thresholds(config.time_scale), expected);
    }

    #[test]
    fn who_names_a_port_alone_is_shown_an_address() {
        let refused = parse_listen("18086").unwrap_err();
        assert!(refused.contains("127.0.0.1:8080"), "{refused}");
    }

    #[test]
    fn a_public_url_loses_its_last_slash() {
        let config = parse(&["--public-url", "https://airpost.example.org/api/"]).unwrap();
        assert_eq!(
            config.public_url.as_deref(),
            Some("https://airpost.example.org/api")
        );
    }
}
