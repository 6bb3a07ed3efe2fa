//! Which events a reader of the feed wants.

use domain::id::{DeliveryId, UserId};
use eventstore::{EventType, Filter};

use crate::http::listing::read_some;
use crate::public_events::shown::{CATEGORIES, Traits, is_shown, types};

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

impl Wanted {
    /// The records that hold all events that are wanted, and others.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            categories: CATEGORIES.to_vec(),
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
