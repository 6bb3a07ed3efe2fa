//! What is spoken over NATS, and with whom.

use std::path::PathBuf;
use std::time::Duration;

use eventstore::{JetStreamOptions, NatsAccess, NatsCertificate};

/// The stream that drone events come in by, unless told otherwise.
const DRONE_STREAM: &str = "DRONE_EVENTS";
/// The stream that delivery events go out by, unless told otherwise.
const DELIVERY_STREAM: &str = "DELIVERY_EVENTS";

/// How long delivery events are kept, unless told otherwise, days.
const DELIVERY_DAYS: u32 = 7;

/// How long drone events are kept, unless told otherwise, days: over a long weekend.
const DRONE_DAYS: u32 = 4;

/// How much room the stream of drone events has, unless told otherwise, bytes: some twelve million
/// events of 700. It shares a disk with the log, which others must not be able to fill.
const DRONE_BYTES_MAX: i64 = 8 * 1024 * 1024 * 1024;

/// Where the NATS servers are, and as whom they are spoken to.
#[derive(Clone, Default, PartialEq, Eq, clap::Args)]
pub struct NatsAccessOptions {
    /// The NATS servers, with commas between them: <nats://host:4222>, or <tls://host:4222> where
    /// the connection must be encrypted. A user and a password may be in the first of them
    /// (<nats://user:password@host:4222>); the variable hides them from whoever lists processes.
    #[arg(
        long = "nats",
        env = "AIRPOST_NATS",
        value_name = "URLS",
        hide_env_values = true
    )]
    pub nats: Option<String>,

    /// A credentials file to speak to them with: a user's JWT and the seed it is signed with.
    #[arg(
        long,
        env = "AIRPOST_NATS_CREDS",
        value_name = "FILE",
        requires = "nats"
    )]
    pub nats_creds: Option<PathBuf>,

    /// A file with the seed of a user's nkey, where the servers know users by these.
    #[arg(
        long,
        env = "AIRPOST_NATS_NKEY",
        value_name = "FILE",
        requires = "nats",
        conflicts_with = "nats_creds"
    )]
    pub nats_nkey: Option<PathBuf>,

    /// Whose certificates are believed of them: a PEM file of authorities, such as a company's own.
    /// Without it those that this machine believes.
    #[arg(long, env = "AIRPOST_NATS_CA", value_name = "FILE", requires = "nats")]
    pub nats_ca: Option<PathBuf>,

    /// The certificate that is shown to them, where they ask for one: a PEM file.
    #[arg(long, env = "AIRPOST_NATS_CERT", value_name = "FILE", requires_all = ["nats", "nats_key"])]
    pub nats_cert: Option<PathBuf>,

    /// The private key of that certificate: a PEM file.
    #[arg(long, env = "AIRPOST_NATS_KEY", value_name = "FILE", requires_all = ["nats", "nats_cert"])]
    pub nats_key: Option<PathBuf>,
}

impl std::fmt::Debug for NatsAccessOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.access().fmt(f)
    }
}

impl NatsAccessOptions {
    /// How the servers are reached; `None` if none is named.
    #[must_use]
    pub fn access(&self) -> Option<NatsAccess> {
        let certificate = self.nats_cert.clone().zip(self.nats_key.clone());
        Some(NatsAccess {
            servers: self.nats.clone()?,
            credentials: self.nats_creds.clone(),
            nkey: self.nats_nkey.clone(),
            authorities: self.nats_ca.clone(),
            certificate: certificate.map(|(chain, key)| NatsCertificate { chain, key }),
        })
    }
}

/// What is spoken over NATS.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct NatsOptions {
    /// With whom.
    #[command(flatten)]
    pub access: NatsAccessOptions,

    /// The stream that drone events come in by, on the subjects `drone.v1.>`. It is made if it is
    /// missing.
    #[arg(long, env = "AIRPOST_NATS_DRONE_STREAM", value_name = "NAME", default_value = DRONE_STREAM,
          value_parser = parse_stream)]
    pub nats_drone_stream: String,

    /// The consumer of that stream which hands them out here. Without it that of this log, which all
    /// nodes of one cluster share; a copy of a log that is to take nothing away from it needs
    /// another.
    #[arg(long, env = "AIRPOST_NATS_DRONE_CONSUMER", value_name = "NAME", requires = "nats",
          value_parser = parse_stream)]
    pub nats_drone_consumer: Option<String>,

    /// How long that stream keeps an event where it is made, days: longer than this service may ever
    /// be away, for what is older then never comes in.
    #[arg(long, env = "AIRPOST_NATS_DRONE_DAYS", value_name = "DAYS", default_value_t = DRONE_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub nats_drone_days: u32,

    /// How large that stream may become where it is made, bytes: full, it refuses what is
    /// published, so that the log on the same servers has its room. A drone that says once a second
    /// where it is takes some 250 MB in four days, and the default, 8 GiB, does for thirty of them;
    /// where it gives its telemetry, and never a fact, which would be forgotten although it was
    /// acknowledged, a header `Nats-TTL: 10m`, a few megabytes. A stream that was there already takes
    /// such messages once its `allow_msg_ttl` is true, and refuses them before.
    #[arg(long, env = "AIRPOST_NATS_DRONE_BYTES_MAX", value_name = "BYTES", default_value_t = DRONE_BYTES_MAX,
          value_parser = clap::value_parser!(i64).range(1_048_576..))]
    pub nats_drone_bytes_max: i64,

    /// The stream that delivery events and requests to Drone Management go out by, on the subjects
    /// `airpost.v1.deliveries.>`, `airpost.v1.missions.>` and `airpost.v1.users.>`. It is made if it
    /// is missing.
    #[arg(long, env = "AIRPOST_NATS_DELIVERY_STREAM", value_name = "NAME", default_value = DELIVERY_STREAM,
          value_parser = parse_stream)]
    pub nats_delivery_stream: String,

    /// How long that stream keeps an event where it is made, days. Whoever was away for longer reads
    /// on in the feed.
    #[arg(long, env = "AIRPOST_NATS_DELIVERY_DAYS", value_name = "DAYS", default_value_t = DELIVERY_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub nats_delivery_days: u32,

    /// How many servers keep a copy of a stream that is made for these. Without it as many as must
    /// have one of the log: 3 with --cluster, unless --single-replica accepts fewer, and else 1.
    #[arg(long, env = "AIRPOST_NATS_COPIES", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=5))]
    pub nats_copies: Option<u32>,

    /// The stream that is the log, where several nodes write it: this one is then one of them, and
    /// its data folder has a copy. It is made by airpost cluster join.
    #[arg(long, env = "AIRPOST_CLUSTER", value_name = "STREAM", requires = "nats",
          value_parser = parse_stream)]
    pub cluster: Option<String>,

    /// Accept a log of which fewer than three servers have a copy: what one machine loses is lost
    /// then.
    #[arg(long, env = "AIRPOST_SINGLE_REPLICA", requires = "cluster")]
    pub single_replica: bool,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            access: NatsAccessOptions::default(),
            nats_drone_stream: DRONE_STREAM.to_owned(),
            nats_drone_consumer: None,
            nats_drone_days: DRONE_DAYS,
            nats_drone_bytes_max: DRONE_BYTES_MAX,
            nats_delivery_stream: DELIVERY_STREAM.to_owned(),
            nats_delivery_days: DELIVERY_DAYS,
            nats_copies: None,
            cluster: None,
            single_replica: false,
        }
    }
}

impl NatsOptions {
    /// How long the stream of drone events keeps them.
    #[must_use]
    pub fn keep_drone_events(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.nats_drone_days))
    }

    /// How many servers keep a copy of a stream that is made.
    #[must_use]
    pub fn copies(&self) -> usize {
        let is_on_three = self.cluster.is_some() && !self.single_replica;
        let usual = if is_on_three { 3 } else { 1 };
        let copies = self.nats_copies.unwrap_or(usual);
        usize::try_from(copies).unwrap_or(usize::MAX)
    }

    /// How long the stream of delivery events keeps one where it is made.
    #[must_use]
    pub fn keep_deliveries(&self) -> Duration {
        const DAY: Duration = Duration::from_hours(24);
        DAY.saturating_mul(self.nats_delivery_days)
    }

    /// The stream that is the log, and how it is reached; `None` if the log is this machine's own.
    #[must_use]
    pub fn log(&self) -> Option<JetStreamOptions> {
        let (stream, access) = (self.cluster.clone()?, self.access.access()?);
        Some(JetStreamOptions {
            single_replica: self.single_replica,
            ..JetStreamOptions::new(access, stream)
        })
    }
}

/// Takes what NATS takes as the name of a stream, and subjects as one of their words.
pub(crate) fn parse_stream(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, _ and -".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_log_on_three_servers_then_the_streams_beside_it_have_as_many_copies() {
        let copies = |cluster: Option<&str>, single_replica, nats_copies| {
            let options = NatsOptions {
                cluster: cluster.map(str::to_owned),
                single_replica,
                nats_copies,
                ..NatsOptions::default()
            };
            options.copies()
        };
        assert_eq!(copies(None, false, None), 1);
        assert_eq!(copies(Some("LOG"), false, None), 3);
        assert_eq!(copies(Some("LOG"), true, None), 1);
        assert_eq!(copies(Some("LOG"), false, Some(1)), 1);
        assert_eq!(copies(None, false, Some(5)), 5);
    }
}
