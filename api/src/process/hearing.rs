//! What a record of the log gives reason to look at.

use domain::actor::{Actor, ActorKind};
use domain::codec::StoredEvent;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::mission::MissionEvent;
use domain::scheduling::{OperationEvent, OperationKind, hears};
use domain::stream::Category;
use eventstore::{Filter, Record};

use super::agenda::Subject;
use crate::application::SCHEDULING_ACTOR;

/// Hears what others write, and what the process wrote itself.
#[derive(Debug)]
pub(super) struct Hearing {
    own_actor: String,
}

impl Hearing {
    /// A hearing of the process itself.
    pub(super) fn new() -> Self {
        let own_actor = Actor::named(ActorKind::Policy, SCHEDULING_ACTOR).to_string();
        Self { own_actor }
    }

    /// What may have something to do after what was just written. It is read off the record
    /// alone, so that nothing that cannot be read keeps another from being heard.
    pub(super) fn subjects(&self, record: &Record) -> Vec<Subject> {
        let is_own = record.actor.as_str() == self.own_actor;
        let key = record.stream.key;
        match Category::from_number(record.stream.category.get()) {
            // What the process decided itself it went on from in the same commit.
            Some(Category::Operation | Category::Dispatch) if is_own => Vec::new(),
            Some(Category::Operation) => vec![Subject::Operation(OperationId::from_uuid(key))],
            Some(Category::Dispatch) => vec![Subject::BookingOfDispatch(MissionId::from_uuid(key))],
            Some(Category::Delivery)
                if record.events.iter().any(|event| hears(event.event_type.0)) =>
            {
                of_delivery(DeliveryId::from_uuid(key), is_own)
            }
            Some(Category::Mission) if tells_of_link(record) => {
                vec![Subject::BookingOfMission(MissionId::from_uuid(key))]
            }
            _ => Vec::new(),
        }
    }
}

/// The operations that may wait for what happens to a delivery. What they are called follows from
/// it, so none has to be remembered; a change ends in the commit that begins it.
fn of_delivery(delivery: DeliveryId, is_own: bool) -> Vec<Subject> {
    let ended = [OperationKind::Cancel, OperationKind::Return];
    let ended = ended.map(|kind| OperationId::of(kind, delivery, 0));
    let booking = (!is_own).then(|| OperationId::of_booking(delivery));
    let all = booking.into_iter().chain(ended);
    all.map(Subject::Operation).collect()
}

/// Whether a drone was lost or heard again: nothing else of a mission is of concern.
fn tells_of_link(record: &Record) -> bool {
    is_of_type::<MissionEvent>(record, |name| matches!(name, "LinkLost" | "LinkRestored"))
}

/// Whether the delivery that an operation books needs its package no longer, by what was just
/// written of that operation.
pub(super) fn frees_package(record: &Record) -> bool {
    is_of_type::<OperationEvent>(record, |name| name == "PackageFreed")
}

fn is_of_type<E: StoredEvent>(record: &Record, is_it: impl Fn(&str) -> bool) -> bool {
    let types = E::TYPES.iter().filter(|known| is_it(known.name));
    let mut numbers = types.map(|known| known.number);
    numbers.any(|number| {
        let mut events = record.events.iter();
        events.any(|event| event.event_type.0 == number)
    })
}

/// The records that are heard.
pub(super) fn heard() -> Filter {
    let categories = [
        Category::Operation,
        Category::Delivery,
        Category::Mission,
        Category::Dispatch,
    ];
    Filter {
        categories: categories
            .map(|category| eventstore::Category::new(category.number()))
            .to_vec(),
        ..Filter::everything()
    }
}
