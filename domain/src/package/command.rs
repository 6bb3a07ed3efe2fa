//! What is asked about a package.

use super::event::Declaration;
use crate::id::DeliveryId;
use crate::time::Timestamp;

/// A command to a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageCommand {
    /// Know it from now on.
    Register {
        /// What is declared of it.
        declared: Declaration,
        /// The clock.
        now: Timestamp,
    },
    /// Declare something else of it.
    Update {
        /// All of it, as it should be.
        declared: Declaration,
        /// The clock.
        now: Timestamp,
    },
    /// Keep it for a delivery, if it still is what the delivery's order says.
    Reserve {
        /// The delivery.
        delivery: DeliveryId,
        /// What the order says of it.
        declared: Declaration,
        /// The clock.
        now: Timestamp,
    },
    /// Let it go. Nothing happens if another delivery has it, or none.
    Release {
        /// The delivery that had it.
        delivery: DeliveryId,
        /// The clock.
        now: Timestamp,
    },
}

/// Which rule said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageRejection {
    /// There is no such package.
    #[error("there is no such package: register it first")]
    Unknown,
    /// A package of this id exists, and something else was declared of it.
    #[error("a package of this id exists already: update it instead")]
    AlreadyExists,
    /// Something else was declared of it since it was ordered.
    #[error("something else was declared of the package meanwhile: look at it, then order again")]
    DeclaredOtherwise,
    /// A delivery has it.
    #[error("{delivery} has the package: wait until that delivery is over")]
    Reserved {
        /// The delivery.
        delivery: DeliveryId,
    },
}
