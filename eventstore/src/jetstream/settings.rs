//! What a stream must be like to hold a log, and how one is made.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use uuid::Uuid;

use super::error::ClusterError;
use super::link::Link;
use super::options::JetStreamOptions;
use crate::limits::BLOCK_BYTES_MAX;

/// Under which name a stream says which log it is.
const LOG_ID: &str = "airpost-log";
/// What a message has beside its block: its headers.
const HEADERS_BYTES_MAX: usize = 1024;
/// How many copies there have to be.
const REPLICAS_MIN: usize = 3;

/// Makes an empty stream that will hold the log with that id.
///
/// It is called once in a log's life: for a new log with an id that the caller
/// draws, or with a journal's own, to be filled by
/// [`publish_journal`](crate::publish_journal). A stream that is there already,
/// made in the same way for the same log, is left as it is.
///
/// # Errors
/// [`ClusterError`]; `Unanswered` also for a stream of that name that is another's.
pub fn create_stream(options: &JetStreamOptions, log_id: Uuid) -> Result<(), ClusterError> {
    let link = Link::connect(options)?;
    let config = config(options, log_id);
    let context = link.context.clone();
    let created = link.run(async move { context.create_stream(config).await });
    match created {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(ClusterError::Unanswered {
            why: error.to_string(),
        }),
        Err(why) => Err(ClusterError::Unanswered { why }),
    }
}

pub(super) fn config(options: &JetStreamOptions, log_id: Uuid) -> Config {
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
        metadata: HashMap::from([(LOG_ID.to_owned(), log_id.to_string())]),
        ..Config::default()
    }
}

/// Which log a stream says that it is.
pub(super) fn log_id(info: &Info) -> Option<Uuid> {
    let id = info.config.metadata.get(LOG_ID)?;
    Uuid::parse_str(id).ok()
}

/// Refuses a stream that could lose what it acknowledged, or was not made for a log.
pub(super) fn check(
    options: &JetStreamOptions,
    info: &Info,
    payload_bytes_max: usize,
) -> Result<Uuid, ClusterError> {
    let demands =
        of_keeping(options, info)
            .into_iter()
            .chain(of_shape(options, info, payload_bytes_max));
    let wrong: Vec<_> = demands
        .filter(|(holds, _)| !holds)
        .map(|(_, what)| what)
        .collect();
    match log_id(info) {
        Some(log_id) if wrong.is_empty() => Ok(log_id),
        Some(_) | None => Err(ClusterError::Settings {
            stream: options.stream.clone(),
            wrong,
        }),
    }
}

/// Whether something holds that must, and what to change if it does not.
type Demand = (bool, String);

/// What keeps every message for ever.
fn of_keeping(options: &JetStreamOptions, info: &Info) -> Vec<Demand> {
    let config = &info.config;
    let copies = config.num_replicas;
    let is_acknowledged_late =
        matches!(config.persist_mode, None | Some(PersistenceMode::Default)) && !config.no_ack;
    let is_whole =
        info.state.first_sequence <= 1 && info.state.messages == info.state.last_sequence;
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
        (is_whole, "messages are missing from it".to_owned()),
    ]
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
        (!config.sealed, "it must not be sealed".to_owned()),
        (
            takes_blocks && payload_bytes_max >= needed,
            format!("messages of {needed} bytes must be accepted (max_payload, max_msg_size)"),
        ),
        (
            log_id(info).is_some(),
            "it does not say which log it is, it was not made by airpost".to_owned(),
        ),
    ]
}
