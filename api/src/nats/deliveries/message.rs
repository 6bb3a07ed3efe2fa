//! A public event as it goes out: the feed's cloud event, and what a
//! subscriber finds it by.

use async_nats::header::{HeaderMap, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use bytes::Bytes;
use domain::id::{DeliveryId, MissionId, UserId};
use eventstore::{LogIdentity, StreamId};
use uuid::Uuid;

use super::mark::mark;
use crate::public_events::item::{Happening, Unreadable};
use crate::public_events::place::Place;
use crate::public_events::shown::{DELIVERY, DISPATCH};
use crate::transfer::cloud_events::snake_case;

/// Where deliveries' events, requests to Drone Management, and users' events go out.
pub(super) const SUBJECTS: [&str; 3] = [
    "airpost.v1.deliveries.>",
    "airpost.v1.missions.>",
    "airpost.v1.users.>",
];

/// What says what the payload is, and what it says.
const CONTENT_TYPE: (&str, &str) = ("Content-Type", "application/cloudevents+json");

/// The place behind the event, as the feed's cursors tell it: whoever reads a
/// message can go on from it in the feed, and so can who publishes.
pub(super) const CURSOR: &str = "Airpost-Cursor";

/// Which message of the stream it was made to be: a copy of it lies elsewhere.
pub(super) const SEQUENCE: &str = "Airpost-Sequence";

/// The mark of the record that it is of: what shows that the log still has that one.
pub(super) const RECORD: &str = "Airpost-Record";

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// Behind it.
    pub(super) place: Place,
    /// Where it goes.
    pub(super) subject: String,
    id: Uuid,
    cursor: String,
    record: String,
    /// What it says.
    pub(super) payload: Bytes,
}

impl Outgoing {
    /// Of an event that is public.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn of(happening: &Happening<'_>, identity: LogIdentity) -> Result<Self, Unreadable> {
        let (name, event) = happening.cloud_event(identity)?;
        Ok(Self {
            place: happening.place,
            subject: subject(happening.stream(), name),
            id: happening.id(),
            cursor: happening.place.cursor(identity),
            record: mark(happening.record()),
            payload: event.to_string().into(),
        })
    }

    /// What it says beside the payload as message `sequence` of a stream.
    pub(super) fn headers(&self, stream: &str, sequence: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE.0, CONTENT_TYPE.1);
        headers.insert(CURSOR, self.cursor.as_str());
        headers.insert(RECORD, self.record.as_str());
        headers.insert(SEQUENCE, sequence.to_string());
        headers.insert(NATS_MESSAGE_ID, self.id.to_string());
        headers.insert(NATS_EXPECTED_STREAM, stream);
        headers
    }
}

/// Where an event of a stream goes. Ids and names have none of the characters
/// that mean something in a subject.
fn subject(stream: StreamId, name: &str) -> String {
    if stream.category == DELIVERY {
        let delivery = DeliveryId::from_uuid(stream.key);
        format!("airpost.v1.deliveries.{delivery}.{name}")
    } else if stream.category == DISPATCH {
        let (mission, kind) = (MissionId::from_uuid(stream.key), snake_case(name));
        format!("airpost.v1.missions.{mission}.{kind}")
    } else {
        let user = UserId::from_uuid(stream.key);
        format!("airpost.v1.users.{user}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public_events::shown::{USER, types};

    #[test]
    fn every_public_event_has_a_subject_of_five_words_under_those_of_the_stream() {
        for category in [DELIVERY, DISPATCH, USER] {
            for name in types().map(|known| known.name) {
                let subject = subject(StreamId::new(category, Uuid::from_u128(7)), name);
                let words: Vec<_> = subject.split('.').collect();
                assert_eq!(words.len(), 5, "{subject}");
                let fits = |word: &&str| {
                    !word.is_empty()
                        && !word.contains(|c: char| c.is_whitespace() || "*>".contains(c))
                };
                assert!(words.iter().all(fits), "{subject}");
                let under = |all: &&str| subject.starts_with(all.trim_end_matches('>'));
                assert_eq!(
                    SUBJECTS.iter().filter(|all| under(all)).count(),
                    1,
                    "{subject}"
                );
            }
        }
    }

    #[test]
    fn requests_are_found_under_the_kinds_of_the_published_language() {
        let mission = StreamId::new(DISPATCH, Uuid::nil());
        for (name, kind) in [
            ("MissionRequested", "mission_requested"),
            ("StandDownRequested", "stand_down_requested"),
        ] {
            let expected = format!(
                "airpost.v1.missions.{}.{kind}",
                MissionId::from_uuid(Uuid::nil())
            );
            assert_eq!(subject(mission, name), expected);
        }
    }
}
