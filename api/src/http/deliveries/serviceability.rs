//! What of an order cannot be flown, and where the order says so.

use domain::serviceability::Unserviceable;

use crate::http::problem::{Fault, Problem};

/// Where an order says what its package weighs: itself, or by the name of a registered one.
pub(super) const fn mass_at(is_named: bool) -> &'static str {
    if is_named {
        "/package/id"
    } else {
        "/package/mass_g"
    }
}

/// A fault of what would have to be flown, whose mass is said at `mass_at`.
pub(super) fn fault(unserviceable: &Unserviceable, mass_at: &'static str) -> Fault {
    let (pointer, code) = match unserviceable {
        Unserviceable::OutOfRange { .. } => ("/dropoff", "out-of-range"),
        Unserviceable::TooHeavy { .. } => (mass_at, "too-heavy"),
        Unserviceable::PickupOutsideArea => ("/pickup", "outside-area"),
        Unserviceable::DropoffOutsideArea => ("/dropoff", "outside-area"),
        Unserviceable::DropoffAtPickup => ("/dropoff", "range"),
        Unserviceable::TooFarAhead { .. } => ("/pickup_window/not_before", "too-far-ahead"),
        Unserviceable::DueBeforePickup { .. } => ("/deliver_by", "range"),
    };
    Fault::new(pointer, code, unserviceable.to_string())
}

/// The answer to an order that cannot be flown.
pub(super) fn problem(faults: &[Unserviceable], mass_at: &'static str) -> Problem {
    Problem::invalid(faults.iter().map(|it| fault(it, mass_at)).collect())
}
