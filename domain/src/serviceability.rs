//! Whether an order can be flown at all: range, payload, area, window.
//!
//! What is not configured is not restricted: then the fleet alone says no, by
//! refusing the mission. Every fault is told, not only the first.

use crate::area::Area;
use crate::delivery::{Order, Plan};
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

impl ServiceRules {
    /// Everything that keeps an order from being flown, seen from `now`.
    #[must_use]
    pub fn faults(&self, order: &Order, now: Timestamp) -> Vec<Unserviceable> {
        let mut faults = self.faults_of_plan(&order.plan, now);
        let mass = order.package.mass;
        let too_heavy = self.payload_max.filter(|max| mass > *max);
        faults.extend(too_heavy.map(|max| Unserviceable::TooHeavy { mass, max }));
        faults
    }

    /// The same for a plan alone, whatever is to be brought.
    #[must_use]
    pub fn faults_of_plan(&self, plan: &Plan, now: Timestamp) -> Vec<Unserviceable> {
        let (pickup, dropoff) = (plan.pickup.point, plan.dropoff.point);
        let distance = pickup.distance_to(dropoff);
        let too_far = self.range_max.filter(|max| distance > *max);
        let too_far = too_far.map(|max| Unserviceable::OutOfRange { distance, max });
        let outside = |point| self.area.as_ref().is_some_and(|area| !area.contains(point));
        let not_before = plan.pickup_window.map(Window::not_before);
        let latest = self.ahead_max.map(|ahead| now.plus(ahead));
        let too_early = not_before.zip(latest).filter(|(at, latest)| at > latest);
        let too_early =
            too_early.map(|(not_before, latest)| Unserviceable::TooFarAhead { not_before, latest });
        let due_before = not_before.zip(plan.deliver_by).filter(|(at, by)| by <= at);
        let due_before =
            due_before.map(|(not_before, deliver_by)| Unserviceable::DueBeforePickup {
                deliver_by,
                not_before,
            });
        [
            outside(pickup).then_some(Unserviceable::PickupOutsideArea),
            outside(dropoff).then_some(Unserviceable::DropoffOutsideArea),
            (pickup == dropoff).then_some(Unserviceable::DropoffAtPickup),
            too_far,
            too_early,
            due_before,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
