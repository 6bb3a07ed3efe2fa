//! The stream that drone events come in by, and the consumer that hands them out.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{
    AckPolicy, Config as ConsumerConfig, Consumer, DeliverPolicy,
};
use async_nats::jetstream::context::{
    ConsumerInfoError, ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind,
    GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{
    Config, ConsumerError, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use eventstore::{LogIdentity, NatsTrouble};
use uuid::Uuid;

use super::super::said::{advice_on, trouble};
use crate::config::NatsOptions;

/// What drone events are published on.
const SUBJECTS: &str = "drone.v1.>";

/// What telemetry is published on.
const TELEMETRY: &str = "drone.v1.*.*.telemetry";

/// Subjects that these are among.
const WIDER: [&str; 3] = [SUBJECTS, "drone.>", ">"];

/// Largest message that a stream made here takes, bytes: an event of 64 KiB with its headers. Of a
/// larger one its publisher is told, which is better than a dead letter.
const MESSAGE_BYTES_MAX: i32 = 128 * 1024;

/// How long a stream made here knows the `Nats-Msg-Id` of a message: the least that servers take,
/// since none means two minutes. It would be one for all fleets, and drop what another one sends
/// under the same id, which its publisher is told is stored. Sessions know what they have for ever.
const IDS_KNOWN: Duration = Duration::from_millis(100);

/// How long a stream must keep what it acknowledged, at the least: as long as it may take to start
/// the service on another machine, or on a log whose views have to be built first.
const KEPT_MIN: Duration = Duration::from_hours(1);

/// Most messages that were handed out and not acknowledged yet, those among them that come again
/// later: then no more are handed out.
const UNACKNOWLEDGED_MAX: i64 = 20_000;

/// How long a consumer is kept that nobody asks.
const CONSUMER_KEPT: Duration = Duration::from_hours(30 * 24);

/// The same of one that remembers nothing which a new one would not know.
const POSITIONS_KEPT: Duration = Duration::from_mins(1);

/// What there is to be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) stream: String,
    pub(super) consumer: String,
    pub(super) ack_wait: Duration,
    copies: usize,
    kept: Duration,
    bytes_max: i64,
}

impl Wanted {
    /// As the options say. The consumer is the log's own unless they name one: so two logs do not
    /// take each other's messages, all nodes of one share theirs, and a log that has lost
    /// something, which begins a new epoch, reads all that the stream has kept once more.
    pub(super) fn new(options: &NatsOptions, log: LogIdentity, ack_wait: Duration) -> Self {
        let own = || format!("airpost-{}-{}", log.log_id, log.epoch);
        Self {
            stream: options.nats_drone_stream.clone(),
            consumer: options.nats_drone_consumer.clone().unwrap_or_else(own),
            ack_wait,
            copies: options.copies(),
            kept: options.keep_drone_events(),
            bytes_max: options.nats_drone_bytes_max,
        }
    }

    /// A stream that keeps what it acknowledged: full, it refuses what is new, and so its
    /// publisher knows.
    fn stream(&self) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("drone events, version 1".to_owned()),
            subjects: vec![SUBJECTS.to_owned()],
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            max_age: self.kept,
            max_bytes: self.bytes_max,
            max_message_size: MESSAGE_BYTES_MAX,
            // A fleet may have the server forget its telemetry, which is of no use to anybody for long.
            allow_message_ttl: true,
            num_replicas: self.copies,
            duplicate_window: IDS_KNOWN,
            ..Config::default()
        }
    }

    fn consumer(&self) -> pull::Config {
        pull::Config {
            durable_name: Some(self.consumer.clone()),
            description: Some("Airpost takes drone events in".to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_deliver: -1,
            max_ack_pending: UNACKNOWLEDGED_MAX,
            filter_subject: SUBJECTS.to_owned(),
            inactive_threshold: CONSUMER_KEPT,
            ..pull::Config::default()
        }
    }

    /// Of one node alone, which is not answered and has nothing that lasts. It has a name, by which
    /// permissions to make one are given.
    fn positions(id: Uuid) -> pull::Config {
        pull::Config {
            name: Some(format!("airpost-positions-{id}")),
            description: Some("a node of Airpost shows where drones are".to_owned()),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            filter_subject: TELEMETRY.to_owned(),
            inactive_threshold: POSITIONS_KEPT,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        }
    }

    /// What has to be changed of a stream that is there, of which there are to be that many copies;
    /// nothing if it will do.
    pub(super) fn complaints(copies: usize, found: &Config) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut must = |holds: bool, words: String| {
            if !holds {
                complaints.push(words);
            }
        };
        let covers = |subject: &String| WIDER.contains(&subject.as_str());
        must(
            found.subjects.iter().any(covers),
            format!(
                "its subjects are {}, and must have {SUBJECTS} among them (nats stream edit --subjects)",
                found.subjects.join(", ")
            ),
        );
        must(
            found.storage == StorageType::File,
            "it keeps its messages in memory: make it anew with file storage".to_owned(),
        );
        must(
            found.retention == RetentionPolicy::Limits,
            "its retention is not limits, so it forgets what others have not read: make it anew with that".to_owned(),
        );
        let is_limited = [
            found.max_bytes,
            found.max_messages,
            found.max_messages_per_subject,
        ];
        must(
            found.discard == DiscardPolicy::New || is_limited.iter().all(|limit| *limit <= 0),
            "full, it drops what it acknowledged: have it refuse what is new (nats stream edit --discard new), or \
             remove its limits of messages and bytes"
                .to_owned(),
        );
        must(
            found.max_messages_per_subject <= 0 || found.discard_new_per_subject,
            "of a subject it keeps the last messages only: remove that limit (nats stream edit --max-msgs-per-subject -1)"
                .to_owned(),
        );
        must(
            found.duplicate_window <= IDS_KNOWN,
            format!(
                "for {:?} it drops what another fleet sends under an id that was used, and says that it is stored: let \
                 it know ids for the least time (nats stream edit --dupe-window 100ms)",
                found.duplicate_window
            ),
        );
        must(
            found.num_replicas >= copies,
            format!(
                "it has {} copies, and {copies} are asked for (--nats-copies; 3 with --cluster): nats stream edit {} \
                 --replicas {copies}",
                found.num_replicas, found.name
            ),
        );
        must(
            found.max_age.is_zero() || found.max_age >= KEPT_MIN,
            format!(
                "it forgets after {:?}, and a start may take an hour (nats stream edit --max-age 4d)",
                found.max_age
            ),
        );
        must(
            !found.sealed,
            "it is sealed, and takes nothing: name another one".to_owned(),
        );
        complaints.extend(Self::untrue(found));
        complaints
    }

    /// What has to be changed for a message to be there, and to be from whom its subject says.
    fn untrue(found: &Config) -> Vec<String> {
        let has_sources = found.sources.as_ref().is_some_and(|it| !it.is_empty());
        let complaints = [
            (
                found.no_ack,
                "it acknowledges nothing to who publishes: make it anew without no_ack",
            ),
            (
                found.allow_rollup,
                "whoever may publish may have it forget what others sent, by a header: make it anew without allow_rollup_hdrs",
            ),
            (
                found.mirror.is_some() || has_sources,
                "it takes messages from other streams, which no permission to publish holds for: make it anew without these",
            ),
            (
                found.subject_transform.is_some(),
                "it changes subjects, which say who sent an event: make it anew without a subject transform",
            ),
        ];
        let complaints = complaints.into_iter().filter(|(is_so, _)| *is_so);
        complaints.map(|(_, words)| words.to_owned()).collect()
    }
}

/// What an operator may want to change of a stream that will do.
pub(super) fn advice(found: &Config) -> Vec<&'static str> {
    let advice = [
        (
            !(1..=MESSAGE_BYTES_MAX).contains(&found.max_message_size),
            "it takes messages that are too large for a drone event, whose senders are not told: nats stream edit \
             --max-msg-size 131072",
        ),
        (
            found.max_bytes <= 0,
            "its size has no limit, so it may take the log's room on the same servers: nats stream edit --max-bytes",
        ),
    ];
    let advice = advice.into_iter().filter(|(is_so, _)| *is_so);
    advice.map(|(_, words)| words).collect()
}

/// What helps where the stream cannot be made, and the servers say that they could.
const MAKE_IT: &str = "make it, permit this user to, or give it less room (--nats-drone-bytes-max)";

/// What helps where the room that it is to have is not there, on as many servers.
const LESS_ROOM: &str = "see that as many servers are up as it is to have copies (--nats-copies), with storage left \
                         for it, or give it less room (--nats-drone-bytes-max)";

fn of_making(trouble: Option<NatsTrouble>) -> &'static str {
    match trouble {
        Some(NatsTrouble::NoStorage | NatsTrouble::TooFewServers) => LESS_ROOM,
        Some(trouble @ (NatsTrouble::Leaderless | NatsTrouble::NotEnabled)) => trouble.advice(),
        None => MAKE_IT,
    }
}

/// Why drone events do not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The stream is another one than it must be. Nothing was changed.
    #[error("the stream {stream} cannot be used, and was left as it is: {}", .complaints.join("; "))]
    Unfit {
        /// Its name.
        stream: String,
        /// What has to be changed.
        complaints: Vec<String>,
    },
    /// It cannot be asked for.
    #[error(
        "the stream cannot be read: {error}; {}",
        advice_on(.0, "see which servers are up, that they run with JetStream, and that this user may ask for it"),
        error = .0
    )]
    Stream(GetStreamError),
    /// It was missing, and cannot be made.
    #[error(
        "the stream is missing and cannot be made: {error}; {}",
        of_making(trouble(.0)),
        error = .0
    )]
    Made(CreateStreamError),
    /// It was missing, and another one takes what it would.
    #[error(
        "the stream {stream} (--nats-drone-stream) is missing, and cannot be made since {} subjects among {SUBJECTS}: \
         if that one is meant, name it by --nats-drone-stream, else take those subjects from it", has(other.as_deref())
    )]
    Overlaps {
        /// Its name.
        stream: String,
        /// The other's, where that is told.
        other: Option<String>,
    },
    /// There is a consumer of the name that hands out something else. It was left as it is.
    #[error(
        "the consumer {0} is another's, since it does not hand out {SUBJECTS} to who asks and acknowledges, and was \
         left as it is: name another one (--nats-drone-consumer), or delete it"
    )]
    Foreign(String),
    /// Its consumer cannot be asked for.
    #[error(
        "the consumer cannot be asked for: {error}; {}",
        advice_on(.0, "see which servers are up, and what this user may"),
        error = .0
    )]
    Asked(ConsumerInfoError),
    /// Its consumer cannot be made.
    #[error(
        "the consumer cannot be made: {error}; {}",
        advice_on(
            .0,
            "see which servers are up, what this user may, and whether one of that name is there which is of another kind"
        ),
        error = .0
    )]
    Consumer(ConsumerError),
    /// The messages cannot be asked for, or do not come.
    #[error(
        "the messages do not come: {0}; if that stays so see that the stream and its consumer are there, and what this user may"
    )]
    Pull(String),
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// The connection was lost while messages came. It is made again by itself.
    #[error("the connection was lost")]
    Lost,
}

impl SourceError {
    pub(super) fn pull(error: impl std::fmt::Display) -> Self {
        Self::Pull(error.to_string())
    }

    /// Whether it came while messages were handed out, and so may be about one of them.
    pub(super) const fn is_of_messages(&self) -> bool {
        match self {
            Self::Pull(_) | Self::Lost => true,
            Self::Unfit { .. }
            | Self::Stream(_)
            | Self::Made(_)
            | Self::Overlaps { .. }
            | Self::Foreign(_)
            | Self::Asked(_)
            | Self::Consumer(_)
            | Self::Ended => false,
        }
    }
}

/// The consumer of the stream, both made if they are missing. A stream that is there is changed in
/// nothing; with it comes what might be better about it.
pub(super) async fn open(
    jetstream: &Context,
    wanted: &Wanted,
) -> Result<(Consumer<pull::Config>, Vec<&'static str>), SourceError> {
    let stream = fit(jetstream, wanted).await?;
    let found = stream.consumer_info(&wanted.consumer).await;
    let is_fit = match found {
        Ok(info) => is_like_ours(&info.config),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => true,
        Err(error) => return Err(SourceError::Asked(error)),
    };
    if !is_fit {
        return Err(SourceError::Foreign(wanted.consumer.clone()));
    }
    let consumer = stream.create_consumer(wanted.consumer()).await;
    let consumer = consumer.map_err(SourceError::Consumer)?;
    Ok((consumer, advice(&stream.cached_info().config)))
}

/// Makes a consumer of this node's own, which hands out the last telemetry of each drone and then all
/// that comes. No other one has this id.
pub(super) async fn open_positions(
    jetstream: &Context,
    wanted: &Wanted,
    id: Uuid,
) -> Result<Consumer<pull::Config>, SourceError> {
    let stream = fit(jetstream, wanted).await?;
    let consumer = stream.create_consumer(Wanted::positions(id)).await;
    consumer.map_err(SourceError::Consumer)
}

/// The stream, made if it is missing, and only if it will do.
async fn fit(jetstream: &Context, wanted: &Wanted) -> Result<Stream, SourceError> {
    let stream = stream(jetstream, wanted).await?;
    let complaints = Wanted::complaints(wanted.copies, &stream.cached_info().config);
    if complaints.is_empty() {
        return Ok(stream);
    }
    let stream = wanted.stream.clone();
    Err(SourceError::Unfit { stream, complaints })
}

/// Whether a consumer may have been made here, by this release or with other waits.
pub(super) fn is_like_ours(found: &ConsumerConfig) -> bool {
    found.ack_policy == AckPolicy::Explicit
        && found.filter_subject == SUBJECTS
        && found.filter_subjects.is_empty()
        && found.deliver_subject.is_none()
}

async fn stream(jetstream: &Context, wanted: &Wanted) -> Result<Stream, SourceError> {
    let error = match jetstream.get_stream(&wanted.stream).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    match error.kind() {
        GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
        GetStreamErrorKind::JetStream(_)
        | GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::Request
        | GetStreamErrorKind::InvalidStreamName => return Err(SourceError::Stream(error)),
    }
    let name = &wanted.stream;
    match jetstream.create_stream(wanted.stream()).await {
        Ok(stream) => {
            tracing::info!(stream = %name, subjects = SUBJECTS, "made the stream for drone events, which was missing");
            Ok(stream)
        }
        // Another node was quicker, and made it of other settings.
        Err(error) if is(&error, ErrorCode::STREAM_NAME_EXIST) => jetstream
            .get_stream(name)
            .await
            .map_err(SourceError::Stream),
        Err(error) if is(&error, ErrorCode::STREAM_SUBJECT_OVERLAP) => {
            let other = jetstream.stream_by_subject(SUBJECTS).await.ok();
            let stream = name.clone();
            Err(SourceError::Overlaps { stream, other })
        }
        Err(error) => Err(SourceError::Made(error)),
    }
}

/// Who has them, for an operator.
fn has(other: Option<&str>) -> String {
    other.map_or_else(
        || "another one has".to_owned(),
        |other| format!("the stream {other} has"),
    )
}

fn is(error: &CreateStreamError, code: ErrorCode) -> bool {
    match error.kind() {
        CreateStreamErrorKind::JetStream(why) => why.error_code() == code,
        CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => false,
    }
}

#[cfg(test)]
mod tests;
