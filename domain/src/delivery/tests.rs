//! How a delivery behaves, in sentences.

use uuid::Uuid;

use super::*;
use crate::decider::Occurrence;
use crate::geo::GeoPoint;
use crate::id::{DroneId, FactId, FleetId, MissionId, ProofHash, Tag, UserId};
use crate::quantity::{DistanceM, MassG};
use crate::spec::{Given, given};
use crate::time::Timestamp;

mod booking;
mod bringing_back;
mod ending;
mod flight;
mod trouble;
mod conditions;
mod confirming;
mod reopening;
mod cancelling;
mod stranding;
mod handing_back;
mod ways_out;
mod possible;
mod late;
mod as_of;
mod classification;
mod properties;
mod storing;

/// That many minutes after the epoch.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute * 60_000_000).unwrap()
}

fn mission(n: u128) -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(n))
}

const M1: MissionId = MissionId::from_uuid(Uuid::from_u128(1));
const M2: MissionId = MissionId::from_uuid(Uuid::from_u128(2));

fn place(lat_e7: i32) -> Place {
    Place {
        point: GeoPoint::from_e7(lat_e7, -797_824_000).unwrap(),
        address: None,
    }
}

pub(crate) fn order() -> Order {
    Order {
        user: UserId::from_uuid(Uuid::from_u128(7)),
        external_id: None,
        plan: Plan {
            pickup: place(404_587_000),
            dropoff: place(404_612_000),
            pickup_window: None,
            deliver_by: None,
        },
        package: Package {
            id: None,
            tag: Tag::new("QR-1").unwrap(),
            size: Size::Small,
            mass: MassG::new(450).unwrap(),
            dimensions: None,
            flags: vec![],
        },
        confirmation: Confirmation::None,
        expedited: false,
        on_undeliverable: OnUndeliverable::Return,
        on_cancel_after_pickup: OnCancelAfterPickup::Return,
        metadata: vec![],
    }
}

fn create(order: Order, now: Timestamp) -> DeliveryCommand {
    let order = Box::new(order);
    DeliveryCommand::Create { order, now }
}

fn cancel(now: Timestamp) -> DeliveryCommand {
    DeliveryCommand::Cancel {
        reason: CancelReason::CustomerRequest,
        comment: None,
        now,
    }
}

fn reject(now: Timestamp) -> DeliveryCommand {
    let reason = RejectReason::NoDrone;
    DeliveryCommand::Reject { reason, now }
}

fn words<const CHARS_MAX: usize>(words: &str) -> crate::text::Text<CHARS_MAX> {
    words.parse().unwrap()
}

fn proof() -> ProofHash {
    ProofHash::new("c0ffee").unwrap()
}

fn confirm(kind: Confirmation, minute: i64) -> DeliveryCommand {
    let (proof, now) = (proof(), at(minute));
    DeliveryCommand::Confirm { kind, proof, now }
}

fn vouch(minute: i64) -> DeliveryCommand {
    let (reason, now) = (words("they rang"), at(minute));
    DeliveryCommand::Vouch { reason, now }
}

fn give_up(minute: i64) -> DeliveryCommand {
    DeliveryCommand::GiveUp {
        reason: None,
        now: at(minute),
    }
}

fn find_damaged(minute: i64) -> DeliveryCommand {
    DeliveryCommand::FindDamaged {
        reason: words("it is wet and torn"),
        now: at(minute),
    }
}

fn hand_back(minute: i64) -> DeliveryCommand {
    let (reason, now) = (words("the sender rang"), at(minute));
    DeliveryCommand::HandBack { reason, now }
}

fn refusal(status: Status, attempted: &'static str, possible: &str) -> DeliveryRejection {
    let possible = possible.to_owned();
    DeliveryRejection::WrongStatus {
        status,
        attempted,
        possible,
    }
}

fn reopen(to: ReopenedAs, minute: i64) -> DeliveryCommand {
    let (reason, now) = (words("it lay in the yard"), at(minute));
    DeliveryCommand::Reopen { to, reason, now }
}

fn correct(now_is: &str, minute: i64) -> DeliveryCommand {
    DeliveryCommand::Correct(Box::new(Correct {
        what: Correction::Place,
        was: None,
        now_is: words(now_is),
        reason: words("they rang"),
        now: at(minute),
    }))
}

fn verified(kind: Confirmation) -> Reported {
    let proof = proof();
    Reported::Verified { kind, proof }
}

const fn diverted(to: Diversion) -> Reported {
    Reported::Diverted { to, detail: None }
}

/// What has to be confirmed by a PIN.
fn pin_order() -> Order {
    let mut order = order();
    order.confirmation = Confirmation::Pin;
    order
}

/// A package that was let go at the right place and that nobody confirmed yet.
fn awaiting() -> Given<Delivery> {
    flown_as(
        pin_order(),
        [
            assigned(),
            loaded(),
            Reported::ArrivedAtDropoff(NEAR),
            released_at(NEAR),
        ],
    )
}

const REQUESTED: DeliveryEvent = DeliveryEvent::CancellationRequested {
    reason: CancelReason::CustomerRequest,
    comment: None,
};

const TOO_LATE: DeliveryEvent = DeliveryEvent::CancellationRejected {
    why: CancellationRefusal::AlreadyPickedUp,
};

/// What a mission reports at a minute. The fact's name follows from all three, so that the same
/// report is the same fact.
fn report(mission: MissionId, minute: i64, reported: Reported) -> DeliveryCommand {
    let short = mission.uuid().as_u128();
    let what = format!("{reported:?}");
    let what = what.split(['(', ' ']).next().unwrap();
    DeliveryCommand::Report(Report {
        fact: FactId::new(format!("{short}:{minute}:{what}")).unwrap(),
        mission,
        event_time: at(minute),
        reported,
    })
}

fn anomaly(command: &DeliveryCommand, why: Anomaly) -> DeliveryEvent {
    let DeliveryCommand::Report(report) = command else {
        panic!("only reports are anomalies")
    };
    let (fact, mission) = (report.fact.clone(), report.mission);
    DeliveryEvent::AnomalyRecorded { fact, mission, why }
}

fn assigned_to(drone: &str) -> Reported {
    Reported::Assigned {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new(drone).unwrap(),
        eta_pickup: None,
        eta_dropoff: None,
    }
}

fn assigned() -> Reported {
    assigned_to("M100-07")
}

fn assignment(mission: MissionId, epoch: u32) -> DeliveryEvent {
    DeliveryEvent::DroneAssigned(Assignment {
        mission,
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        epoch,
        eta_pickup: None,
        eta_dropoff: None,
    })
}

fn loaded_as(verdict: LoadVerdict) -> Reported {
    Reported::Loaded {
        verdict,
        tag: None,
        mass: None,
    }
}

fn loaded() -> Reported {
    loaded_as(LoadVerdict::Matches)
}

const NEAR: Nearness = Nearness::Inside(DistanceM::new(3));
const FAR: Nearness = Nearness::Outside(DistanceM::new(300));

fn released_at(nearness: Nearness) -> Reported {
    Reported::Released {
        method: ReleaseMethod::Winch,
        evidence: None,
        confirmed: true,
        nearness,
    }
}

fn unconfirmed_at(nearness: Nearness) -> Reported {
    Reported::Released {
        method: ReleaseMethod::Winch,
        evidence: None,
        confirmed: false,
        nearness,
    }
}

fn ended(how: Ending) -> Reported {
    Reported::Ended { how, detail: None }
}

fn completed(payload_on_board: Option<bool>) -> Reported {
    Reported::Completed { payload_on_board }
}

fn picked_up(mission: MissionId) -> DeliveryEvent {
    DeliveryEvent::PickedUp {
        mission,
        tag: None,
        mass: None,
    }
}

fn unassigned(mission: MissionId, reason: UnassignReason) -> DeliveryEvent {
    DeliveryEvent::DroneUnassigned {
        mission,
        reason,
        detail: None,
    }
}

fn arrived_at_dropoff(mission: MissionId, metres: Option<u32>) -> DeliveryEvent {
    DeliveryEvent::ArrivedAtDropoff {
        mission,
        distance: metres.map(DistanceM::new),
    }
}

fn complete(mission: MissionId) -> DeliveryEvent {
    DeliveryEvent::DeliveryComplete {
        mission,
        method: Some(ReleaseMethod::Winch),
        evidence: None,
        distance: Some(DistanceM::new(3)),
    }
}

fn now(event: DeliveryEvent, minute: i64) -> Occurrence<DeliveryEvent> {
    Occurrence::new(event, at(minute))
}

fn implied(event: DeliveryEvent, minute: i64) -> Occurrence<DeliveryEvent> {
    Occurrence::inferred(event, at(minute))
}

/// A delivery that is booked, ordered as this says.
fn booked_as(order: Order) -> Given<Delivery> {
    given([])
        .after(create(order, at(0)))
        .after(DeliveryCommand::Schedule { now: at(0) })
}

fn booked() -> Given<Delivery> {
    booked_as(order())
}

/// What the first mission reports, a minute between each.
fn flown(reports: impl IntoIterator<Item = Reported>) -> Given<Delivery> {
    flown_as(order(), reports)
}

fn flown_as(order: Order, reports: impl IntoIterator<Item = Reported>) -> Given<Delivery> {
    let minutes = 1_i64..;
    minutes
        .zip(reports)
        .fold(booked_as(order), |given, (minute, reported)| {
            given.after(report(M1, minute, reported))
        })
}

fn status(given: &Given<Delivery>) -> Status {
    given.state().unwrap().status()
}

fn at_pickup() -> Given<Delivery> {
    flown([
        assigned(),
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
    ])
}

fn at_dropoff() -> Given<Delivery> {
    flown([
        assigned(),
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
        loaded(),
        Reported::DepartedToDropoff,
        Reported::ArrivedAtDropoff(NEAR),
    ])
}

fn at_hub() -> Given<Delivery> {
    at_dropoff()
        .after(report(M1, 10, Reported::DepartedToReturn))
        .after(report(
            M1,
            11,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        ))
}
