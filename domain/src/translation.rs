//! From what a drone reports to what it means for a delivery.
//!
//! Translation measures: it puts distances, tags and masses against the plan
//! and hands the verdict on. What follows from it, the delivery decides.

use crate::delivery::{
    Delivery, Diversion, Ending, EtaThresholds, HubPlace, LoadVerdict, Nearness, Phase, Report,
    Reported, ReturnedTo,
};
use crate::drone::{
    BatteryLevel, DivertPlace, DroneFact, FactKind, Leg, ReturnPlace, Sender, Stop,
};
use crate::geo::GeoPoint;
use crate::id::Tag;
use crate::quantity::{DistanceM, MassG};
use crate::text::Comment;

/// What is still accepted, and what is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// How far from the agreed place a package may be handed over.
    pub dropoff_radius: DistanceM,
    /// How much more than declared a package may weigh, 1/1000 of the declared mass.
    pub overweight_permille: u32,
    /// How much more it may always weigh, grams: scales are not exact.
    pub overweight_g_min: u32,
    /// From when on another expected time is news.
    pub eta: EtaThresholds,
}

impl Default for Thresholds {
    /// 50 m; 10 %, but at least 5 g; and for expected times their own.
    fn default() -> Self {
        Self {
            dropoff_radius: DistanceM::new(50),
            overweight_permille: 100,
            overweight_g_min: 5,
            eta: EtaThresholds::default(),
        }
    }
}

/// What a fact reports to the delivery of its mission, if anything.
///
/// Pure and total. A `late` fact, one whose turn was passed, never turns a
/// drone round: what it did afterwards is already known.
#[must_use]
pub fn translate(
    fact: &DroneFact,
    late: bool,
    sender: &Sender,
    delivery: &Delivery,
    thresholds: &Thresholds,
) -> Option<Report> {
    let order = delivery.order();
    let reported = match &fact.kind {
        // What its drone said after it is known, and may be that the mission is over.
        FactKind::MissionAssigned { .. } if late => return None,
        FactKind::MissionAssigned {
            delivery: _,
            eta_pickup,
            eta_dropoff,
        } => Reported::Assigned {
            fleet: sender.fleet.clone(),
            drone: sender.drone.clone(),
            eta_pickup: *eta_pickup,
            eta_dropoff: *eta_dropoff,
        },
        FactKind::MissionRejected { detail } => ended(Ending::Rejected, detail.as_ref()),
        FactKind::MissionAborted { detail } => ended(Ending::Aborted, detail.as_ref()),
        FactKind::StoodDown => ended(Ending::StoodDown, None),
        FactKind::Crashed { detail } => ended(Ending::Crashed, detail.as_ref()),
        FactKind::Lost { detail } => ended(Ending::Lost, detail.as_ref()),
        FactKind::Departed(Leg::Pickup) => Reported::DepartedToPickup,
        FactKind::Departed(Leg::Dropoff) => Reported::DepartedToDropoff,
        FactKind::Departed(Leg::Return) if late && is_carrying(delivery.phase()) => return None,
        FactKind::Departed(Leg::Return) => Reported::DepartedToReturn,
        FactKind::Arrived(Stop::Pickup) => Reported::ArrivedAtPickup,
        FactKind::Arrived(Stop::Dropoff) => Reported::ArrivedAtDropoff(nearness(
            fact.position,
            order.plan.dropoff.point,
            thresholds,
        )),
        FactKind::PackageLoaded { tag, mass } => Reported::Loaded {
            verdict: load_verdict(
                (tag.as_ref(), *mass),
                (&order.package.tag, order.package.mass),
                thresholds,
            ),
            tag: tag.clone(),
            mass: *mass,
        },
        FactKind::PackageReleased {
            method,
            confirmed,
            evidence,
        } => Reported::Released {
            method: *method,
            evidence: *evidence,
            confirmed: *confirmed,
            nearness: nearness(fact.position, order.plan.dropoff.point, thresholds),
        },
        FactKind::Returned { place, tag } => {
            returned(*place, tag.as_ref() == Some(&order.package.tag))
        }
        FactKind::MissionCompleted { payload_on_board } => Reported::Completed {
            payload_on_board: *payload_on_board,
        },
        FactKind::RecipientVerified { .. }
        | FactKind::PackageDropped
        | FactKind::EmergencyLanded { .. }
        | FactKind::HoldStarted(_)
        | FactKind::HoldEnded
        | FactKind::Battery(_)
        | FactKind::Diverted { .. }
        | FactKind::LinkLost
        | FactKind::LinkRestored => beside_its_course(&fact.kind, late, delivery.phase())?,
    };
    Some(Report {
        fact: fact.id.clone(),
        mission: fact.mission,
        event_time: fact.event_time,
        reported,
    })
}

const fn returned(place: ReturnPlace, is_package_named: bool) -> Reported {
    let to = match place {
        ReturnPlace::Sender => ReturnedTo::Sender,
        ReturnPlace::Hub => ReturnedTo::Hub(HubPlace::Hub),
        ReturnPlace::Base => ReturnedTo::Hub(HubPlace::Base),
    };
    if is_package_named {
        Reported::BroughtBack(to)
    } else {
        Reported::Returned(to)
    }
}

/// What happens beside a drone's course. What is done with the package counts however late it
/// is heard of. How a drone did that has meanwhile been heard of otherwise is of no more
/// interest; and that nothing is heard of it is believed only after a while, which no single
/// fact tells.
fn beside_its_course(kind: &FactKind, late: bool, phase: Phase) -> Option<Reported> {
    let reported = match kind {
        FactKind::RecipientVerified { kind, proof } => {
            let (kind, proof) = (*kind, proof.clone());
            return Some(Reported::Verified { kind, proof });
        }
        FactKind::PackageDropped => return Some(Reported::Dropped),
        FactKind::EmergencyLanded { detail } => {
            let detail = detail.clone();
            return Some(Reported::EmergencyLanded { detail });
        }
        FactKind::HoldStarted(reason) => Reported::HoldStarted(*reason),
        FactKind::HoldEnded => Reported::HoldEnded,
        FactKind::Battery(BatteryLevel::Critical | BatteryLevel::Emergency) => {
            Reported::BatteryCritical
        }
        FactKind::Diverted { to, detail } => Reported::Diverted {
            to: match to {
                DivertPlace::Charge => Diversion::Charge,
                DivertPlace::Hub | DivertPlace::Base => Diversion::Home,
            },
            detail: detail.clone(),
        },
        FactKind::LinkRestored => Reported::LinkRestored,
        FactKind::Battery(BatteryLevel::Low)
        | FactKind::LinkLost
        | FactKind::MissionAssigned { .. }
        | FactKind::MissionRejected { .. }
        | FactKind::MissionAborted { .. }
        | FactKind::Departed(_)
        | FactKind::Arrived(_)
        | FactKind::PackageLoaded { .. }
        | FactKind::PackageReleased { .. }
        | FactKind::Returned { .. }
        | FactKind::StoodDown
        | FactKind::Crashed { .. }
        | FactKind::Lost { .. }
        | FactKind::MissionCompleted { .. } => return None,
    };
    let ends_the_fetching = matches!(
        reported,
        Reported::Diverted {
            to: Diversion::Home,
            ..
        }
    ) && !is_carrying(phase);
    (!late || ends_the_fetching).then_some(reported)
}

fn ended(how: Ending, detail: Option<&Comment>) -> Reported {
    Reported::Ended {
        how,
        detail: detail.cloned(),
    }
}

const fn is_carrying(phase: Phase) -> bool {
    matches!(phase, Phase::Carrying(_))
}

fn nearness(position: Option<GeoPoint>, place: GeoPoint, thresholds: &Thresholds) -> Nearness {
    match position.map(|position| position.distance_to(place)) {
        None => Nearness::Unknown,
        Some(distance) if distance <= thresholds.dropoff_radius => Nearness::Inside(distance),
        Some(distance) => Nearness::Outside(distance),
    }
}

fn load_verdict(
    (tag, mass): (Option<&Tag>, Option<MassG>),
    (declared_tag, declared_mass): (&Tag, MassG),
    thresholds: &Thresholds,
) -> LoadVerdict {
    if tag.is_some_and(|tag| tag != declared_tag) {
        return LoadVerdict::WrongPackage;
    }
    let declared = u64::from(declared_mass.get());
    let share = declared * u64::from(thresholds.overweight_permille) / 1_000;
    let accepted = declared + share.max(u64::from(thresholds.overweight_g_min));
    match mass {
        Some(mass) if u64::from(mass.get()) > accepted => LoadVerdict::Overweight,
        Some(_) | None => LoadVerdict::Matches,
    }
}

#[cfg(test)]
mod tests;
