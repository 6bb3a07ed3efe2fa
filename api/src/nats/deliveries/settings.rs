//! What the stream must be like that events go out by, and how it is made.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use uuid::Uuid;

use super::message::SUBJECTS;
use crate::config::NatsOptions;

/// Under which name a stream says which log it tells of.
const LOG_ID: &str = "airpost-log";

/// How long a stream that is made knows an id again: as short as a server lets it be. That nothing is
/// stored twice is seen to otherwise, and a log that was restored has other events of the same ids.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// How long one that is found may: what servers do unless told otherwise.
const DUPLICATE_WINDOW_MAX: Duration = Duration::from_mins(2);

/// What the streams that are made for events are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::nats) struct Settings {
    /// The name of the stream.
    pub(super) stream: String,
    /// How many servers keep a copy.
    pub(super) copies: usize,
    /// How long an event is kept.
    pub(super) keep: Duration,
}

impl Settings {
    /// As the options say.
    pub(in crate::nats) fn of(options: &NatsOptions) -> Self {
        Self {
            stream: options.nats_delivery_stream.clone(),
            copies: options.copies(),
            keep: options.keep_deliveries(),
        }
    }

    /// The stream of events, of that log. What is too old goes, and what is new
    /// is always taken: whoever was away for longer reads on in the feed.
    pub(super) fn config(&self, log_id: Uuid) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("what Airpost tells: one message for each public event".to_owned()),
            subjects: SUBJECTS.map(str::to_owned).to_vec(),
            max_age: self.keep,
            allow_atomic_publish: true,
            metadata: HashMap::from([(LOG_ID.to_owned(), log_id.to_string())]),
            ..self.common()
        }
    }

    /// The name of the stream that keeps the place beside it.
    pub(super) fn note_stream(&self) -> String {
        format!("{}_CURSOR", self.stream)
    }

    /// The one subject of that stream.
    pub(super) fn note_subject(&self) -> String {
        format!("airpost.cursor.{}", self.stream)
    }

    /// That stream: its last message alone is kept.
    pub(super) fn note_config(&self) -> Config {
        Config {
            name: self.note_stream(),
            description: Some(format!("how far {} tells of the log", self.stream)),
            subjects: vec![self.note_subject()],
            max_messages_per_subject: 1,
            ..self.common()
        }
    }

    fn common(&self) -> Config {
        Config {
            storage: StorageType::File,
            num_replicas: self.copies,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_bytes: -1,
            max_consumers: -1,
            allow_direct: true,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        }
    }

    /// What is wrong with a stream that is there, and how it should be; how
    /// much and how long it keeps is its operator's.
    pub(super) fn wrong(&self, found: &Config) -> Vec<String> {
        let mut subjects = found.subjects.clone();
        subjects.sort();
        let per_subject = found.max_messages_per_subject <= 0;
        let mut demands = self.wrong_in_common(found);
        demands.push((
            subjects == SUBJECTS,
            format!("its subjects must be {}", SUBJECTS.join(", ")),
        ));
        demands.push((
            per_subject,
            "its number of messages for a subject must have no limit".to_owned(),
        ));
        of_those_that_fail(demands)
    }

    /// The same of the stream that keeps the place.
    pub(super) fn wrong_note(&self, found: &Config) -> Vec<String> {
        let mut demands = self.wrong_in_common(found);
        let subject = self.note_subject();
        demands.push((
            found.subjects == [subject.as_str()],
            format!("its one subject must be {subject}"),
        ));
        of_those_that_fail(demands)
    }

    /// The stream beside one of the two.
    fn other(&self, stream: &str) -> String {
        if stream == self.stream {
            self.note_stream()
        } else {
            self.stream.clone()
        }
    }

    fn wrong_in_common(&self, found: &Config) -> Vec<(bool, String)> {
        let is_own = found.mirror.is_none()
            && found.sources.as_ref().is_none_or(Vec::is_empty)
            && found.subject_transform.is_none();
        vec![
            (
                found.storage == StorageType::File,
                "its storage must be file".to_owned(),
            ),
            (
                found.retention == RetentionPolicy::Limits,
                "its retention must be limits".to_owned(),
            ),
            (
                found.discard == DiscardPolicy::Old,
                "its discard policy must be old".to_owned(),
            ),
            (
                found.num_replicas >= self.copies,
                format!(
                    "it has {} copies, and {} are asked for (--nats-copies; 3 with --cluster): nats stream edit {} \
                     --replicas {}, and the same of {} if that has fewer",
                    found.num_replicas,
                    self.copies,
                    found.name,
                    self.copies,
                    self.other(&found.name)
                ),
            ),
            (
                is_own,
                "it must not mirror, source or transform anything".to_owned(),
            ),
            (
                !found.no_ack,
                "it must acknowledge what it stores".to_owned(),
            ),
            (!found.sealed, "it must not be sealed".to_owned()),
            (
                found.subject_delete_marker_ttl.is_none(),
                "it must keep no markers of what was removed (subject_delete_marker_ttl)"
                    .to_owned(),
            ),
            (
                found.duplicate_window <= DUPLICATE_WINDOW_MAX,
                format!(
                    "its duplicate window must be {} s at most",
                    DUPLICATE_WINDOW_MAX.as_secs()
                ),
            ),
        ]
    }
}

fn of_those_that_fail(demands: Vec<(bool, String)>) -> Vec<String> {
    let wrong = demands.into_iter().filter(|(holds, _)| !holds);
    wrong.map(|(_, what)| what).collect()
}

/// Whether a stream says that it tells of another log.
pub(super) fn is_of_another_log(found: &Config, log_id: Uuid) -> bool {
    let said = found.metadata.get(LOG_ID);
    said.is_some_and(|said| *said != log_id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            stream: "DELIVERY_EVENTS".to_owned(),
            copies: 3,
            keep: Duration::from_hours(1),
        }
    }

    #[test]
    fn what_is_made_is_as_it_has_to_be() {
        let settings = settings();
        let log = Uuid::from_u128(1);
        let made = settings.config(log);
        assert_eq!(settings.wrong(&made), [""; 0]);
        assert_eq!(settings.wrong_note(&settings.note_config()), [""; 0]);
        assert!(!is_of_another_log(&made, log));
        assert!(is_of_another_log(&made, Uuid::from_u128(2)));
    }

    #[test]
    fn every_setting_that_loses_or_mixes_events_is_named() {
        type Change = fn(&mut Config);
        let changes: [(Change, &str); 11] = [
            (
                |it| it.storage = StorageType::Memory,
                "storage must be file",
            ),
            (|it| it.retention = RetentionPolicy::WorkQueue, "retention"),
            (|it| it.discard = DiscardPolicy::New, "discard policy"),
            (|it| it.num_replicas = 1, "1 copies, and 3 are asked for"),
            (|it| it.subjects.truncate(1), "airpost.v1.missions.>"),
            (|it| it.subjects.push("else".to_owned()), "subjects must be"),
            (|it| it.max_messages_per_subject = 1, "for a subject"),
            (|it| it.no_ack = true, "acknowledge"),
            (|it| it.sealed = true, "sealed"),
            (
                |it| it.subject_delete_marker_ttl = Some(Duration::from_mins(1)),
                "markers of what was removed",
            ),
            (
                |it| it.duplicate_window = Duration::from_hours(1),
                "duplicate window must be 120 s",
            ),
        ];
        for (change, words) in changes {
            let mut config = settings().config(Uuid::nil());
            change(&mut config);
            let wrong = settings().wrong(&config);
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong.iter().all(|wrong| wrong.contains(words)), "{wrong:?}");
        }
    }
}
