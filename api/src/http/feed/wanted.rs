//! Which events a reader of the feed wants.

use domain::codec::{self, StoredEvent as _};
use domain::delivery::DeliveryEvent;
use domain::dispatch::DispatchEvent;
use domain::id::{DeliveryId, UserId};
use domain::stream::Category as Known;
use domain::user::UserEvent;
use eventstore::{Category, Event, EventType, Filter, Record};
use uuid::Uuid;

use crate::http::listing::read_some;

/// A filter; what is absent or empty lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Events of these types.
    pub(super) types: Vec<EventType>,
    /// Of this user, and of their deliveries.
    pub(super) user: Option<UserId>,
    /// Of this delivery.
    pub(super) delivery: Option<DeliveryId>,
}

/// What a filter asks about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// What happened.
    pub(super) event_type: EventType,
    /// Whose it is.
    pub(super) user: Option<Uuid>,
    /// The delivery it happened to, or that something is asked for.
    pub(super) delivery: Option<Uuid>,
}

pub(super) const DELIVERY: Category = Category::new(Known::Delivery.number());
const USER: Category = Category::new(Known::User.number());
pub(super) const DISPATCH: Category = Category::new(Known::Dispatch.number());

/// What Airpost asks of Drone Management; how it came out is in what drones report.
const REQUESTS: [&str; 2] = ["MissionRequested", "StandDownRequested"];

impl Traits {
    /// Of an event of a record that the feed shows.
    pub(super) fn of(record: &Record, event: &Event) -> Self {
        let category = record.stream.category;
        let is_user = category == USER;
        let user = record.owner.or(is_user.then_some(record.stream.key));
        let delivery = if category == DELIVERY {
            Some(record.stream.key)
        } else if category == DISPATCH {
            asked_for(event).map(DeliveryId::uuid)
        } else {
            None
        };
        Self {
            event_type: event.event_type,
            user,
            delivery,
        }
    }
}

/// The delivery that something is asked for, if this release can read it.
fn asked_for(event: &Event) -> Option<DeliveryId> {
    let Event {
        event_type,
        schema,
        payload,
        ..
    } = event;
    let event = DispatchEvent::decode(event_type.0, schema.0, payload).ok()?;
    event.delivery()
}

impl Wanted {
    /// The records that hold all events that are wanted, and others.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            categories: vec![DELIVERY, USER, DISPATCH],
            event_types: self.types.clone(),
            owner: self.user.map(UserId::uuid),
        }
    }

    /// Whether an event is wanted.
    pub(super) fn wants(&self, traits: &Traits) -> bool {
        is_shown(traits.event_type)
            && (self.types.is_empty() || self.types.contains(&traits.event_type))
            && self.user.is_none_or(|id| traits.user == Some(id.uuid()))
            && self
                .delivery
                .is_none_or(|id| traits.delivery == Some(id.uuid()))
    }
}

/// The types of all events that the feed shows.
pub(super) fn types() -> impl Iterator<Item = &'static codec::EventType> {
    let requests = DispatchEvent::TYPES.iter();
    let requests = requests.filter(|known| REQUESTS.contains(&known.name));
    DeliveryEvent::TYPES
        .iter()
        .chain(UserEvent::TYPES)
        .chain(requests)
}

/// Whether the feed shows events of a type that its categories hold.
fn is_shown(event_type: EventType) -> bool {
    let mut answers = DispatchEvent::TYPES.iter();
    answers.all(|known| known.number != event_type.0 || REQUESTS.contains(&known.name))
}

/// One type by its name, or several between commas.
///
/// # Errors
/// The names that are known.
pub(super) fn read_types(text: &str) -> Result<Vec<EventType>, String> {
    read_some(text, types().map(|known| known.name), |name| {
        let known = types().find(|known| known.name == name)?;
        Some(EventType(known.number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_not_known_is_answered_with_all_that_are() {
        assert_eq!(read_types("Created").map(|types| types.len()), Ok(1));
        assert_eq!(
            read_types("InTransit,UserCreated").map(|types| types.len()),
            Ok(2)
        );
        for text in [
            "",
            "Created,",
            "created",
            "FactReceived",
            "TaskAcknowledged",
            "MissionRefused",
            "Created, Cancelled",
        ] {
            let refused = read_types(text).unwrap_err();
            let (known, found) = refused.split_once("; found ").unwrap();
            let wrong = text.split(',').find(|name| read_types(name).is_err());
            assert_eq!(found, format!("{:?}", wrong.unwrap()));
            assert!(known.contains("DeliveryComplete"), "{text}: {known}");
            assert!(known.contains("UserSuspended"), "{text}: {known}");
            for internal in ["FactReceived", "TaskAcknowledged", "MissionRefused"] {
                assert!(!known.contains(internal), "{text}: {known}");
            }
        }
    }
}
