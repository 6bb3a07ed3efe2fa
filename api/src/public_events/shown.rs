//! Which events are public, and what can be asked about one without telling it.

use domain::codec::{self, StoredEvent as _};
use domain::delivery::DeliveryEvent;
use domain::dispatch::DispatchEvent;
use domain::id::DeliveryId;
use domain::stream::Category as Known;
use domain::user::UserEvent;
use eventstore::{Category, Event, EventType, Record};
use uuid::Uuid;

/// What a filter asks about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits {
    /// What happened.
    pub(crate) event_type: EventType,
    /// Whose it is.
    pub(crate) user: Option<Uuid>,
    /// The delivery it happened to, or that something is asked for.
    pub(crate) delivery: Option<Uuid>,
}

/// The streams of deliveries.
pub(crate) const DELIVERY: Category = Category::new(Known::Delivery.number());
/// Those of users.
pub(crate) const USER: Category = Category::new(Known::User.number());
/// Those of what is asked of Drone Management.
pub(crate) const DISPATCH: Category = Category::new(Known::Dispatch.number());

/// All streams with events that are public.
pub(crate) const CATEGORIES: [Category; 3] = [DELIVERY, USER, DISPATCH];

/// What Airpost asks of Drone Management; how it came out is in what drones report.
const REQUESTS: [&str; 2] = ["MissionRequested", "StandDownRequested"];

impl Traits {
    /// Of an event of a record of the categories that are told of.
    pub(crate) fn of(record: &Record, event: &Event) -> Self {
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

/// The types of all events that are public.
pub(crate) fn types() -> impl Iterator<Item = &'static codec::EventType> {
    let requests = DispatchEvent::TYPES.iter();
    let requests = requests.filter(|known| REQUESTS.contains(&known.name));
    DeliveryEvent::TYPES
        .iter()
        .chain(UserEvent::TYPES)
        .chain(requests)
}

/// Whether events of a type that the categories hold are public.
pub(crate) fn is_shown(event_type: EventType) -> bool {
    let mut answers = DispatchEvent::TYPES.iter();
    answers.all(|known| known.number != event_type.0 || REQUESTS.contains(&known.name))
}
