//! What a stream must be like to hold a log, and how one is made.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use uuid::Uuid;

use super::error::ClusterError;
use super::link::Link;
use super::options::JetStreamOptions;
use super::remote::Remote;
use crate::history::{EpochStart, LogHistory};
use crate::journal::JournalReader;
use crate::limits::BLOCK_BYTES_MAX;
use crate::position::Position;

/// Under which name a stream says which log it is.
const LOG_ID: &str = "airpost-log";
/// What a message has beside its block: its headers.
const HEADERS_BYTES_MAX: usize = 1024;
/// How many copies there have to be.
const REPLICAS_MIN: usize = 3;

/// Under which name, where each of its epochs begins: `1@1 1790000000@41`.
const EPOCHS: &str = "airpost-epochs";
/// Under which name, how far the journal reached that it was made for.
const FILLED_TO: &str = "airpost-filled-to";

/// What a stream says of the log that it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogOfStream {
    /// The log and its epochs. No epoch begins while it is on the cluster.
    pub(crate) history: LogHistory,
    /// What was in the log before it was on the cluster: until the stream has
    /// all of it, nothing is to be written behind it.
    pub(crate) filled_to: Position,
}

impl LogOfStream {
    /// One that begins on the cluster.
    #[cfg(test)]
    pub(crate) fn new(log_id: Uuid) -> Self {
        let identity = crate::position::LogIdentity { log_id, epoch: 1 };
        Self {
            history: LogHistory::one_epoch(identity),
            filled_to: Position::START,
        }
    }

    fn to_metadata(&self) -> HashMap<String, String> {
        let log_id = self.history.identity().log_id;
        HashMap::from([
            (LOG_ID.to_owned(), log_id.to_string()),
            (EPOCHS.to_owned(), epochs_text(&self.history)),
            (FILLED_TO.to_owned(), self.filled_to.to_string()),
        ])
    }

    /// `None` for a stream that was not made for a log.
    fn from_metadata(metadata: &HashMap<String, String>) -> Option<Self> {
        let log_id = Uuid::parse_str(metadata.get(LOG_ID)?).ok()?;
        let epoch = |text: &str| {
            let (epoch, first) = text.split_once('@')?;
            Some(EpochStart {
                epoch: epoch.parse().ok()?,
                first_position: Position::new(first.parse().ok()?),
            })
        };
        let epochs = metadata.get(EPOCHS)?.split(' ').map(epoch);
        let epochs = epochs.collect::<Option<Vec<_>>>()?;
        Some(Self {
            history: LogHistory::of_epochs(log_id, epochs)?,
            filled_to: Position::new(metadata.get(FILLED_TO)?.parse().ok()?),
        })
    }

    /// Refuses a journal with that history and head that is no beginning of
    /// this log.
    pub(super) fn refuse_other(
        &self,
        ours: &LogHistory,
        head: Position,
        stream: &str,
    ) -> Result<(), ClusterError> {
        let (theirs, own) = (self.history.identity().log_id, ours.identity().log_id);
        if theirs != own {
            return Err(ClusterError::OtherLog {
                stream: stream.to_owned(),
                theirs,
                ours: own,
            });
        }
        if ours.begins(&self.history, head) {
            Ok(())
        } else {
            Err(self.other_epochs(ours, stream))
        }
    }

    pub(super) fn other_epochs(&self, ours: &LogHistory, stream: &str) -> ClusterError {
        ClusterError::OtherEpochs {
            stream: stream.to_owned(),
            theirs: epochs_text(&self.history),
            ours: epochs_text(ours),
        }
    }
}

/// Where each epoch begins.
fn epochs_text(history: &LogHistory) -> String {
    let epochs = history.epochs().iter();
    let epochs = epochs.map(|start| format!("{}@{}", start.epoch, start.first_position));
    let epochs: Vec<_> = epochs.collect();
    epochs.join(" ")
}

/// Makes an empty stream for the log of the journal in a folder, if there is
/// none of that name: [`publish_journal`](crate::publish_journal) is to fill
/// it. It says for ever which log it is, where each of the log's epochs begins,
/// and how far the journal reached; until the stream has as much, no node takes
/// part in it. Gives whether it was made: a stream that is there for the
/// same log is left as it is.
///
/// # Errors
/// [`ClusterError`]; also for a stream that is there and could not hold this log.
pub fn create_stream(folder: &Path, options: &JetStreamOptions) -> Result<bool, ClusterError> {
    let journal = JournalReader::open(folder)?;
    let log = LogOfStream {
        history: journal.history().clone(),
        filled_to: journal.head(),
    };
    create(options, &log)
}

/// The same, for a log that is told.
pub(crate) fn create(options: &JetStreamOptions, log: &LogOfStream) -> Result<bool, ClusterError> {
    let link = Link::connect(options)?;
    match Remote::find(&link, options) {
        Ok((_, info)) => {
            let there = check(options, &info, link.client.max_payload())?;
            there.refuse_other(&log.history, log.filled_to, &options.stream)?;
            return Ok(false);
        }
        Err(ClusterError::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    let config = config(options, log);
    let context = link.context.clone();
    let created = link.run(async move { context.create_stream(config).await });
    match created.map_err(|why| link.unanswered(why))? {
        Ok(_) => Ok(true),
        Err(error) => match not_made(&link, options, &error) {
            // Another one made it at the same moment, with other settings.
            None => {
                let (_, info) = Remote::find(&link, options)?;
                check(options, &info, link.client.max_payload())?.refuse_other(
                    &log.history,
                    log.filled_to,
                    &options.stream,
                )?;
                Ok(false)
            }
            Some(error) => Err(error),
        },
    }
}

/// Why a stream could not be made; nothing if one of that name is there.
fn not_made(
    link: &Link,
    options: &JetStreamOptions,
    error: &CreateStreamError,
) -> Option<ClusterError> {
    let why = error.to_string();
    let code = match error.kind() {
        CreateStreamErrorKind::JetStream(error) => Some(error.error_code()),
        CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => None,
    };
    if code == Some(ErrorCode::STREAM_NAME_EXIST) {
        None
    } else if code == Some(ErrorCode::STREAM_SUBJECT_OVERLAP) {
        let subject = options.subject();
        Some(ClusterError::Overlap { subject })
    } else if code == Some(ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED) {
        let stream = options.stream.clone();
        Some(ClusterError::TooFewServers { stream, why })
    } else if code.is_some_and(|code| NO_ROOM.contains(&code)) {
        let stream = options.stream.clone();
        Some(ClusterError::NoRoom { stream, why })
    } else {
        Some(match code {
            Some(code) => link.refused(code.0, why),
            None => link.unanswered(why),
        })
    }
}

/// What servers say that cannot keep a stream, or not as many copies.
const NO_ROOM: [ErrorCode; 4] = [
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
];

pub(super) fn config(options: &JetStreamOptions, log: &LogOfStream) -> Config {
    Config {
        name: options.stream.clone(),
        description: Some("the log of Airpost: one message for each block".to_owned()),
        subjects: vec![options.subject()],
        storage: StorageType::File,
        num_replicas: if options.single_replica {
            1
        } else {
            REPLICAS_MIN
        },
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_bytes: -1,
        max_consumers: -1,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        metadata: log.to_metadata(),
        ..Config::default()
    }
}

/// Whether a stream was made for a log.
pub(super) fn is_log(info: &Info) -> bool {
    log(info).is_some()
}

/// Which log a stream says that it is.
fn log(info: &Info) -> Option<LogOfStream> {
    LogOfStream::from_metadata(&info.config.metadata)
}

/// Refuses a stream that could lose what it acknowledged, or was not made for a log.
pub(super) fn check(
    options: &JetStreamOptions,
    info: &Info,
    payload_bytes_max: usize,
) -> Result<LogOfStream, ClusterError> {
    let mut wrong = not_keeping(options, info);
    wrong.extend(unmet(of_shape(options, info, payload_bytes_max)));
    let is_whole =
        info.state.first_sequence <= 1 && info.state.messages == info.state.last_sequence;
    if !is_whole {
        let missing = of_missing(info);
        wrong.push(format!("messages are missing from it: {missing}"));
    }
    match log(info) {
        Some(log) if wrong.is_empty() => Ok(log),
        Some(_) | None => Err(ClusterError::Settings {
            stream: options.stream.clone(),
            wrong,
        }),
    }
}

/// What has to be changed of a stream that could lose what it acknowledges; nothing if it will keep
/// that. Whether it has lost something is not looked at.
pub(super) fn not_keeping(options: &JetStreamOptions, info: &Info) -> Vec<String> {
    unmet(of_keeping(options, info)).collect()
}

fn unmet(demands: Vec<Demand>) -> impl Iterator<Item = String> {
    let unmet = demands.into_iter().filter(|(holds, _)| !holds);
    unmet.map(|(_, what)| what)
}

/// Whether something holds that must, and what to change if it does not.
type Demand = (bool, String);

/// What keeps every message for ever.
fn of_keeping(options: &JetStreamOptions, info: &Info) -> Vec<Demand> {
    let config = &info.config;
    let copies = config.num_replicas;
    let is_acknowledged_late =
        matches!(config.persist_mode, None | Some(PersistenceMode::Default)) && !config.no_ack;
    vec![
        (
            copies >= REPLICAS_MIN || options.single_replica,
            format!("it has {copies} copies, give it 3, or accept --single-replica"),
        ),
        (
            config.storage == StorageType::File,
            "its storage must be file".to_owned(),
        ),
        (
            config.retention == RetentionPolicy::Limits,
            "its retention must be limits".to_owned(),
        ),
        (
            config.discard == DiscardPolicy::New,
            "its discard policy must be new".to_owned(),
        ),
        (
            config.max_age == Duration::ZERO && !config.allow_message_ttl,
            "its messages must have no maximal age".to_owned(),
        ),
        (
            config.max_messages_per_subject <= 0 && config.max_messages <= 0,
            "its number of messages must have no limit".to_owned(),
        ),
        (
            config.deny_delete && config.deny_purge && !config.allow_rollup,
            "deleting, purging and rolling up must be denied".to_owned(),
        ),
        (
            is_acknowledged_late,
            "it must acknowledge what is stored, and only then".to_owned(),
        ),
    ]
}

/// Where what a stream has lost is had from.
fn of_missing(info: &Info) -> String {
    let Info { config, state, .. } = info;
    // What is gone from its beginning a limit took away, on all servers.
    if config.num_replicas > 1 && state.first_sequence <= 1 {
        return "if the store of the server that leads it is damaged, stop that server, empty its store and start it, \
                so that it takes its copy from the others"
            .to_owned();
    }
    let name = &config.name;
    format!(
        "no other server has them, and the nodes' journals do; stop all nodes, remove the stream (nats \
         stream rm {name}), and have it made again from the longest journal (airpost cluster heal --new)"
    )
}

/// What lets blocks in, and nothing else.
fn of_shape(options: &JetStreamOptions, info: &Info, payload_bytes_max: usize) -> Vec<Demand> {
    let config = &info.config;
    let subject = options.subject();
    let is_own = config.mirror.is_none()
        && config.sources.as_ref().is_none_or(Vec::is_empty)
        && config.subject_transform.is_none();
    let needed = BLOCK_BYTES_MAX + HEADERS_BYTES_MAX;
    let message_bytes = usize::try_from(config.max_message_size).unwrap_or(0);
    let takes_blocks = message_bytes == 0 || message_bytes >= needed;
    vec![
        (
            config.subjects == [subject.as_str()],
            format!("its one subject must be {subject}"),
        ),
        (
            is_own,
            "it must not mirror, source or transform anything".to_owned(),
        ),
        (
            config.allow_direct,
            "direct gets must be allowed".to_owned(),
        ),
        (
            takes_blocks && payload_bytes_max >= needed,
            format!("messages of {needed} bytes must be accepted (max_payload, max_msg_size)"),
        ),
        (
            log(info).is_some(),
            "it does not say which log it is, it was not made by airpost".to_owned(),
        ),
    ]
}
