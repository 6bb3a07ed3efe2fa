//! An event that is public, as it is told.

use domain::codec::{DecodeError, StoredEvent as _};
use domain::delivery::DeliveryEvent;
use domain::dispatch::DispatchEvent;
use domain::id::{DeliveryId, EventId, MissionId, UserId};
use domain::time::Timestamp;
use domain::user::UserEvent;
use eventstore::{Event, LogIdentity, Position, Record, StreamId, StreamVersion, event_id};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::asked::asked;
use super::place::Place;
use super::shown::{DELIVERY, DISPATCH, Traits};
use super::told::{Frame, data};
use crate::transfer::cloud_events;

/// One event of a record of the categories that are told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening<'a> {
    record: &'a Record,
    event: &'a Event,
    version: StreamVersion,
    /// Behind it.
    pub(crate) place: Place,
}

/// An event that this release cannot read: what follows it must not be shown
/// as if it were not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event at position {position} of the log cannot be read: {why}")]
pub(crate) struct Unreadable {
    /// Its record's.
    pub(crate) position: Position,
    /// What is wrong with it.
    pub(crate) why: DecodeError,
}

/// The events of a record, in order.
pub(crate) fn happenings(record: &Record) -> impl Iterator<Item = Happening<'_>> {
    let of = record.events.len();
    let versioned = (1..).zip(record.versioned());
    versioned.map(move |(taken, (version, event))| Happening {
        record,
        event,
        version,
        place: Place::within(record.position, taken, of),
    })
}

impl Happening<'_> {
    /// What filters ask about.
    pub(crate) fn traits(&self) -> Traits {
        Traits::of(self.record, self.event)
    }

    /// Its name, and all of it as JSON. Of users there are ids and no more:
    /// whoever may read the feed need not be one who may read contacts.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn item(&self, identity: LogIdentity) -> Result<(&'static str, Value), Unreadable> {
        let (name, delivery, data) = self.content().map_err(|why| Unreadable {
            position: self.record.position,
            why,
        })?;
        let Traits { user, .. } = self.traits();
        let id = EventId::from_uuid(self.id());
        let mut item = Map::new();
        let cursor = self.place.cursor(identity);
        item.insert("cursor".to_owned(), Value::String(cursor));
        item.insert("id".to_owned(), json!(id.to_string()));
        let delivery = delivery.map(|id| id.to_string());
        item.insert("delivery_id".to_owned(), json!(delivery));
        let user = user.map(|id| UserId::from_uuid(id).to_string());
        item.insert("user_id".to_owned(), json!(user));
        let frame = Frame {
            sequence: self.version.get(),
            event_time: instant(self.event.event_time_us),
            recorded_at: instant(self.record.recorded_at_us),
            actor: self.record.actor.as_str(),
            caused_by: self.event.cause.as_ref().map(eventstore::Label::as_str),
            inferred: self.event.inferred,
        };
        if let Value::Object(members) = frame.around(name, data) {
            item.extend(members);
        }
        Ok((name, Value::Object(item)))
    }

    /// Its name, the delivery it is about, and what it carries.
    fn content(&self) -> Result<(&'static str, Option<DeliveryId>, Value), DecodeError> {
        let Event {
            event_type,
            schema,
            payload,
            ..
        } = self.event;
        let stream = self.record.stream;
        if stream.category == DELIVERY {
            let event = DeliveryEvent::decode(event_type.0, schema.0, payload)?;
            let delivery = DeliveryId::from_uuid(stream.key);
            return Ok((event.name(), Some(delivery), data(&event)));
        }
        if stream.category == DISPATCH {
            let event = DispatchEvent::decode(event_type.0, schema.0, payload)?;
            let mission = MissionId::from_uuid(stream.key);
            return Ok((event.name(), event.delivery(), asked(mission, &event)));
        }
        let known = UserEvent::TYPES
            .iter()
            .find(|known| known.number == event_type.0);
        let event_type = event_type.0;
        let known = known.ok_or(DecodeError::UnknownType { event_type })?;
        Ok((known.name, None, json!({})))
    }

    /// The id of its cloud event.
    pub(crate) fn id(&self) -> Uuid {
        event_id(self.record.stream, self.version)
    }

    /// The record that it is of.
    pub(crate) const fn record(&self) -> &Record {
        self.record
    }

    /// Whose stream it is of.
    pub(crate) fn stream(&self) -> StreamId {
        self.record.stream
    }

    /// When it was recorded, microseconds since the Unix epoch.
    pub(crate) fn recorded_at_us(&self) -> i64 {
        self.record.recorded_at_us
    }

    /// Its name, and the same as a cloud event, with the item as its data. Type, source,
    /// subject and id are those of the event in an export.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn cloud_event(
        &self,
        identity: LogIdentity,
    ) -> Result<(&'static str, Value), Unreadable> {
        let (name, item) = self.item(identity)?;
        let Record { stream, .. } = self.record;
        let Event {
            event_type, schema, ..
        } = self.event;
        let event = json!({
            "specversion": cloud_events::SPEC_VERSION,
            "id": self.id(),
            "source": cloud_events::source(identity),
            "type": cloud_events::type_text(stream.category, *event_type, *schema),
            "subject": cloud_events::subject(*stream),
            "time": item.get("event_time"),
            "datacontenttype": "application/json",
            "cursor": item.get("cursor"),
            "data": item,
        });
        Ok((name, event))
    }
}

/// The store takes any number; what no calendar has is shown as its nearest end.
fn instant(micros: i64) -> Timestamp {
    let micros = micros.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros());
    Timestamp::from_micros(micros).expect("it was just brought within the bounds")
}
