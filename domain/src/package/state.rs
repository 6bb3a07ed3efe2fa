//! What is known of a package by having folded its events.

use uuid::Uuid;

use super::event::Declaration;
use crate::id::{DeliveryId, PackageId};
use crate::time::Timestamp;

/// A package that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub(super) declared: Declaration,
    pub(super) reserved_for: Option<DeliveryId>,
    pub(super) registered_at: Timestamp,
    pub(super) changed_at: Timestamp,
}

impl Package {
    /// The id of the package that a delivery's order describes without naming
    /// a registered one. It follows from the delivery, so however often the
    /// package is registered on the way, it is one.
    #[must_use]
    pub fn described_in(delivery: DeliveryId) -> PackageId {
        PackageId::from_uuid(Uuid::new_v5(&delivery.uuid(), b"package"))
    }

    /// What was declared of it last.
    #[must_use]
    pub const fn declared(&self) -> &Declaration {
        &self.declared
    }

    /// The delivery that has it, if one has.
    #[must_use]
    pub const fn reserved_for(&self) -> Option<DeliveryId> {
        self.reserved_for
    }

    /// When it was registered.
    #[must_use]
    pub const fn registered_at(&self) -> Timestamp {
        self.registered_at
    }

    /// When its last event happened.
    #[must_use]
    pub const fn changed_at(&self) -> Timestamp {
        self.changed_at
    }
}
