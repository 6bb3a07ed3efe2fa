//! Whether an order can be flown at all: range, payload, area, window.
//!
//! What is not configured is not restricted: then the fleet alone says no, by
//! refusing the mission. Every fault is told, not only the first.

use crate::area::Area;
use crate::delivery::{Order, Plan};
use crate::geo::GeoPoint;
use crate::quantity::{DistanceM, MassG};
use crate::time::{DurationMs, Timestamp, Window};

#[cfg(test)]
mod tests;

/// What can be flown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// How far the drop-off may be from the pick-up, as the crow flies.
    pub range_max: Option<DistanceM>,
    /// How much a package may weigh.
    pub payload_max: Option<MassG>,
    /// Where pick-up and drop-off must lie.
    pub area: Option<Area>,
    /// How long before its pick-up window a delivery may be booked.
    pub ahead_max: Option<DurationMs>,
}

/// Why an order cannot be flown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserviceable {
    /// It is too far.
    #[error("the drop-off is {distance} m from the pick-up, and drones fly {max} m at most", distance = distance.get(), max = max.get())]
    OutOfRange {
        /// How far it is.
        distance: DistanceM,
        /// How far drones fly.
        max: DistanceM,
    },
    /// It is too heavy.
    #[error("the package weighs {mass} g, and drones carry {max} g at most", mass = mass.get(), max = max.get())]
    TooHeavy {
        /// What it weighs, as declared.
        mass: MassG,
        /// What drones carry.
        max: MassG,
    },
    /// Nobody flies there to fetch it.
    #[error("the pick-up lies outside the area that is served")]
    PickupOutsideArea,
    /// Nobody flies there to bring it.
    #[error("the drop-off lies outside the area that is served")]
    DropoffOutsideArea,
    /// There is nothing to be flown.
    #[error("the drop-off is where the pick-up is: take another one")]
    DropoffAtPickup,
    /// It is booked too early.
    #[error("the pick-up window begins at {not_before}, and bookings are taken up to {latest}")]
    TooFarAhead {
        /// When the window begins.
        not_before: Timestamp,
        /// The latest beginning that is taken now.
        latest: Timestamp,
    },
    /// It should arrive before it may be fetched.
    #[error(
        "deliver_by is {deliver_by}, and the package may be fetched from {not_before} on: take a later one"
    )]
    DueBeforePickup {
        /// When it should arrive.
        deliver_by: Timestamp,
        /// When it may be fetched.
        not_before: Timestamp,
    },
}

/// What is known of an order, or of a plan alone. What is not known is never at fault, so that
/// an order which is wrong in other ways can be looked at as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where the package waits.
    pub pickup: Option<GeoPoint>,
    /// Where it is wanted.
    pub dropoff: Option<GeoPoint>,
    /// When it may be fetched at the earliest.
    pub not_before: Option<Timestamp>,
    /// When it should have arrived.
    pub deliver_by: Option<Timestamp>,
    /// What it weighs, as declared.
    pub mass: Option<MassG>,
}

impl From<&Plan> for Wanted {
    fn from(plan: &Plan) -> Self {
        Self {
            pickup: Some(plan.pickup.point),
            dropoff: Some(plan.dropoff.point),
            not_before: plan.pickup_window.map(Window::not_before),
            deliver_by: plan.deliver_by,
            mass: None,
        }
    }
}

impl From<&Order> for Wanted {
    fn from(order: &Order) -> Self {
        Self {
            mass: Some(order.package.mass),
            ..Self::from(&order.plan)
        }
    }
}

impl ServiceRules {
    /// Everything that keeps what is wanted from being flown, seen from `now`.
    #[must_use]
    pub fn faults(&self, wanted: impl Into<Wanted>, now: Timestamp) -> Vec<Unserviceable> {
        let wanted = wanted.into();
        let is_outside = |point: Option<GeoPoint>| {
            let outside = |(area, point): (&Area, _)| !area.contains(point);
            self.area.as_ref().zip(point).is_some_and(outside)
        };
        [
            is_outside(wanted.pickup).then_some(Unserviceable::PickupOutsideArea),
            is_outside(wanted.dropoff).then_some(Unserviceable::DropoffOutsideArea),
            self.fault_of_way(&wanted),
            self.fault_of_window(&wanted, now),
            due_before_pickup(&wanted),
            self.fault_of_mass(&wanted),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// There is something to be flown, and it is not too far.
    fn fault_of_way(&self, wanted: &Wanted) -> Option<Unserviceable> {
        let (pickup, dropoff) = wanted.pickup.zip(wanted.dropoff)?;
        if pickup == dropoff {
            return Some(Unserviceable::DropoffAtPickup);
        }
        let distance = pickup.distance_to(dropoff);
        let max = self.range_max.filter(|max| distance > *max)?;
        Some(Unserviceable::OutOfRange { distance, max })
    }

    fn fault_of_window(&self, wanted: &Wanted, now: Timestamp) -> Option<Unserviceable> {
        let (not_before, latest) = wanted
            .not_before
            .zip(self.ahead_max.map(|it| now.plus(it)))?;
        (not_before > latest).then_some(Unserviceable::TooFarAhead { not_before, latest })
    }

    fn fault_of_mass(&self, wanted: &Wanted) -> Option<Unserviceable> {
        let mass = wanted.mass?;
        let max = self.payload_max.filter(|max| mass > *max)?;
        Some(Unserviceable::TooHeavy { mass, max })
    }
}

fn due_before_pickup(wanted: &Wanted) -> Option<Unserviceable> {
    let (not_before, deliver_by) = wanted.not_before.zip(wanted.deliver_by)?;
    (deliver_by <= not_before).then_some(Unserviceable::DueBeforePickup {
        deliver_by,
        not_before,
    })
}
