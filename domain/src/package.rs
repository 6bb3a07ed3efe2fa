//! A package: something that is to be delivered, known before it is or described with the order.
//!
//! ```text
//! (nothing) ──PackageRegistered──▶ free ──PackageReserved──▶ reserved for one delivery
//!                                  │  ↑                          │
//!                     PackageUpdated  └──────PackageReleased─────┘
//! ```
//! What was declared of a package may change while it is free, and not while a
//! delivery has it: a drone looks for what was declared when it set out. That two
//! packages of one tag are not under way at the same time is the business of the
//! [claim](crate::claim::TagClaim), written in the same commit as the reservation.

mod event;
mod state;
mod command;
mod payload;

pub use command::{PackageCommand, PackageRejection};
pub use event::{Declaration, PackageEvent};
pub use state::Package;

use crate::decider::{Decider, Occurrence};
use crate::id::DeliveryId;
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

impl Decider for Package {
    type State = Option<Self>;
    type Command = PackageCommand;
    type Event = PackageEvent;
    type Rejection = PackageRejection;

    fn initial() -> Option<Self> {
        None
    }

    fn decide(
        command: &PackageCommand,
        state: &Option<Self>,
    ) -> Result<Vec<Occurrence<PackageEvent>>, PackageRejection> {
        match command {
            PackageCommand::Register { declared, now } => register(declared, *now, state.as_ref()),
            PackageCommand::Update { declared, now } => {
                update(declared, *now, existing(state.as_ref())?)
            }
            PackageCommand::Reserve {
                delivery,
                declared,
                now,
            } => reserve(*delivery, declared, *now, existing(state.as_ref())?),
            PackageCommand::Release { delivery, now } => {
                existing(state.as_ref()).map(|package| release(*delivery, *now, package))
            }
        }
    }

    fn evolve(state: Option<Self>, occurrence: &Occurrence<PackageEvent>) -> Option<Self> {
        match (&occurrence.event, state) {
            (PackageEvent::PackageRegistered(declared), None) => Some(Self {
                declared: declared.clone(),
                reserved_for: None,
                registered_at: occurrence.event_time,
                changed_at: occurrence.event_time,
            }),
            (PackageEvent::PackageUpdated(declared), Some(package)) => Some(Self {
                declared: declared.clone(),
                changed_at: occurrence.event_time,
                ..package
            }),
            (PackageEvent::PackageReserved { delivery }, Some(package)) => Some(Self {
                reserved_for: package.reserved_for.or(Some(*delivery)),
                changed_at: occurrence.event_time,
                ..package
            }),
            (PackageEvent::PackageReleased { delivery }, Some(package)) => Some(Self {
                reserved_for: package.reserved_for.filter(|by| by != delivery),
                changed_at: occurrence.event_time,
                ..package
            }),
            (PackageEvent::PackageRegistered(_), package @ Some(_)) => package,
            (
                PackageEvent::PackageUpdated(_)
                | PackageEvent::PackageReserved { .. }
                | PackageEvent::PackageReleased { .. },
                None,
            ) => None,
        }
    }
}

fn existing(state: Option<&Package>) -> Result<&Package, PackageRejection> {
    state.ok_or(PackageRejection::Unknown)
}

fn register(
    declared: &Declaration,
    now: Timestamp,
    state: Option<&Package>,
) -> Result<Vec<Occurrence<PackageEvent>>, PackageRejection> {
    let declared = declared.clone().in_stored_order();
    match state {
        None => Ok(vec![Occurrence::new(
            PackageEvent::PackageRegistered(declared),
            now,
        )]),
        Some(package) if package.declared == declared => Ok(vec![]),
        Some(_) => Err(PackageRejection::AlreadyExists),
    }
}

fn update(
    declared: &Declaration,
    now: Timestamp,
    package: &Package,
) -> Result<Vec<Occurrence<PackageEvent>>, PackageRejection> {
    let declared = declared.clone().in_stored_order();
    if package.declared == declared {
        return Ok(vec![]);
    }
    match package.reserved_for {
        Some(delivery) => Err(PackageRejection::Reserved { delivery }),
        None => Ok(vec![Occurrence::new(
            PackageEvent::PackageUpdated(declared),
            now,
        )]),
    }
}

fn reserve(
    delivery: DeliveryId,
    declared: &Declaration,
    now: Timestamp,
    package: &Package,
) -> Result<Vec<Occurrence<PackageEvent>>, PackageRejection> {
    match package.reserved_for {
        None if package.declared != declared.clone().in_stored_order() => {
            Err(PackageRejection::DeclaredOtherwise)
        }
        None => Ok(vec![Occurrence::new(
            PackageEvent::PackageReserved { delivery },
            now,
        )]),
        Some(by) if by == delivery => Ok(vec![]),
        Some(delivery) => Err(PackageRejection::Reserved { delivery }),
    }
}

/// Nothing, unless that very delivery has it.
fn release(
    delivery: DeliveryId,
    now: Timestamp,
    package: &Package,
) -> Vec<Occurrence<PackageEvent>> {
    if package.reserved_for == Some(delivery) {
        vec![Occurrence::new(
            PackageEvent::PackageReleased { delivery },
            now,
        )]
    } else {
        vec![]
    }
}
