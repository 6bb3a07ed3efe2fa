//! Messages that were refused: what the list of dead letters keeps of them.

use domain::refusals::{RefusalEvent, Refused};
use domain::time::Timestamp;
use eventstore::{Position, Record, StreamId, StreamVersion};
use serde::{Deserialize, Serialize};

use super::{REFUSED, Received, Row, letter_key};
use crate::event_place::EventPlace;
use crate::key::Key;
use crate::overlay::Overlay;
use crate::stored::{from_bytes, instant, to_bytes};
use crate::view_store::ViewStoreError;

/// A message that was refused, as the view keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    /// The stream of its hour.
    pub(crate) stream: StreamId,
    /// The version of the event that says so.
    pub(crate) version: StreamVersion,
    /// Its number in its hour.
    pub(crate) number: u64,
    /// What is the matter with it.
    #[serde(with = "crate::stored")]
    pub(crate) why: Refused,
    /// When that was recorded.
    #[serde(with = "crate::stored")]
    pub(crate) refused_at: Timestamp,
    /// Where that event lies.
    pub(crate) at: Received,
}

/// Follows a record of an hour's refused messages.
pub(super) fn follow(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[RefusalEvent],
) -> Result<(), ViewStoreError> {
    let key = record.stream.key.as_bytes();
    let followed = Key::index(REFUSED).id(key);
    let last = view.get(&followed)?;
    let last = last
        .map(|bytes| from_bytes::<Position>(&bytes))
        .transpose()?;
    if last.is_some_and(|last| last >= record.position) {
        return Ok(());
    }
    let before = record.first_version.get().saturating_sub(1);
    for (place, event) in (0..).zip(events) {
        match event {
            RefusalEvent::MessageRefused { number, message } => {
                let version = record.first_version.get().saturating_add(u64::from(place));
                let row = Row::Message(MessageRow {
                    stream: record.stream,
                    version: StreamVersion::new(version),
                    number: *number,
                    why: message.why,
                    refused_at: instant(record.recorded_at_us),
                    at: Received {
                        after: StreamVersion::new(before),
                        place,
                    },
                });
                close(view, key, *number)?;
                let position = record.position;
                let row_key = EventPlace { position, place }.after(Key::row());
                view.put(letter_key(key, *number), row_key.clone().into_bytes());
                view.put(row_key, to_bytes(&row));
            }
            RefusalEvent::RefusalLifted { number } => close(view, key, *number)?,
            RefusalEvent::FurtherRefused { .. } => {}
        }
    }
    view.put(followed, to_bytes(&record.position));
    Ok(())
}

/// Takes one from the list, if it is there.
pub(super) fn close(
    view: &mut Overlay<'_>,
    stream: &[u8; 16],
    number: u64,
) -> Result<(), ViewStoreError> {
    let letter = letter_key(stream, number);
    if let Some(row_key) = view.get(&letter)? {
        view.remove(Key::from_bytes(row_key));
        view.remove(letter);
    }
    Ok(())
}
