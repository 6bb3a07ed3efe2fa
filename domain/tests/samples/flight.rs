//! Events of a delivery's missions.

use domain::delivery::{
    Anomaly, Assignment, AttemptFailure, Condition, Confirmation, Correction, DeliveryEvent,
    Failure, HoldReason, HubPlace, Milestone, ReleaseEvidence, ReleaseMethod, ReopenCause,
    ReopenedAs, ReturnReason, Stranding, UnassignReason,
};
use domain::id::{DroneId, FactId, FleetId, MissionId, ProofHash, Tag};
use domain::quantity::{DistanceM, MassG};
use domain::time::Timestamp;
use uuid::Uuid;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mission() -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e57))
}

fn assignment() -> Assignment {
    Assignment {
        mission: mission(),
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        epoch: 300,
        eta_pickup: Some(at("2026-10-24T15:04:05.120Z")),
        eta_dropoff: Some(at("1969-12-31T23:59:59.999999Z")),
    }
}

pub(crate) fn samples() -> Vec<(&'static str, u16, DeliveryEvent)> {
    let (full, minimal) = (full(), minimal());
    full.into_iter()
        .map(|event| ("full", 1, event))
        .chain(minimal.into_iter().map(|event| ("minimal", 1, event)))
        .collect()
}

fn full() -> Vec<DeliveryEvent> {
    let mission = mission();
    vec![
        DeliveryEvent::DroneAssigned(assignment()),
        DeliveryEvent::DroneUnassigned {
            mission,
            reason: UnassignReason::AttemptFailed,
            detail: Some("too windy".parse().unwrap()),
        },
        DeliveryEvent::HeadedToPickup { mission },
        DeliveryEvent::ArrivedAtPickup { mission },
        DeliveryEvent::PickedUp {
            mission,
            tag: Some(Tag::new("QR-1").unwrap()),
            mass: Some(MassG::new(452).unwrap()),
        },
        DeliveryEvent::InTransit { mission },
        DeliveryEvent::ArrivedAtDropoff {
            mission,
            distance: Some(DistanceM::new(300)),
        },
        DeliveryEvent::DeliveryComplete {
            mission,
            method: Some(ReleaseMethod::Drop),
            evidence: Some(ReleaseEvidence::Manual),
            distance: Some(DistanceM::new(49)),
        },
        DeliveryEvent::AttemptFailed {
            mission,
            reason: AttemptFailure::Overweight,
        },
        DeliveryEvent::ReturnStarted {
            mission,
            reason: ReturnReason::Undeliverable,
        },
        DeliveryEvent::ArrivedAtHub {
            mission,
            place: HubPlace::Base,
        },
        DeliveryEvent::Returned { mission },
        DeliveryEvent::Failed {
            mission,
            reason: Failure::NoDrone,
        },
        DeliveryEvent::MilestoneTimeCorrected {
            milestone: Milestone::Returned,
            was: at("2026-10-24T15:04:05.120Z"),
            now: at("2026-10-24T15:04:03Z"),
        },
        DeliveryEvent::AnomalyRecorded {
            fact: FactId::new("M100-07:0192f2c1:f9").unwrap(),
            mission,
            why: Anomaly::NoAttemptsLeft,
        },
    ]
    .into_iter()
    .chain(full_afterwards(mission))
    .collect()
}

fn full_afterwards(mission: MissionId) -> Vec<DeliveryEvent> {
    vec![
        DeliveryEvent::Confirmed {
            kind: Confirmation::Signature,
            proof: ProofHash::new("af1349b9f5f9a1a6").unwrap(),
        },
        DeliveryEvent::Reopened {
            cause: ReopenCause::Operator,
            to: ReopenedAs::AtHub,
            reason: Some("it lay in the yard".parse().unwrap()),
        },
        DeliveryEvent::Corrected {
            what: Correction::Other,
            was: Some("on the roof".parse().unwrap()),
            now: "in the yard".parse().unwrap(),
            reason: "the neighbour rang".parse().unwrap(),
        },
        DeliveryEvent::ConditionChanged {
            mission,
            condition: Condition::Holding(HoldReason::AwaitingConfirmation),
        },
        DeliveryEvent::EtaRevised {
            mission,
            pickup_at: Some(at("2026-10-24T15:04:05.120Z")),
            dropoff_at: Some(at("2026-10-24T15:14:05Z")),
        },
        DeliveryEvent::Released {
            mission,
            method: ReleaseMethod::Drop,
            evidence: Some(ReleaseEvidence::Manual),
            distance: DistanceM::new(49),
        },
        DeliveryEvent::ConfirmationOverdue,
        DeliveryEvent::Vouched {
            reason: "the recipient rang".parse().unwrap(),
        },
        DeliveryEvent::Stranded {
            place: Stranding::AtHub,
        },
        DeliveryEvent::GivenUp {
            reason: "the sender fetched it".parse().unwrap(),
        },
        DeliveryEvent::HandedBack {
            reason: "the sender rang".parse().unwrap(),
        },
    ]
}

fn minimal() -> Vec<DeliveryEvent> {
    let mission = MissionId::from_uuid(Uuid::nil());
    vec![
        DeliveryEvent::DroneAssigned(Assignment {
            mission,
            epoch: 1,
            eta_pickup: None,
            eta_dropoff: None,
            ..assignment()
        }),
        DeliveryEvent::DroneUnassigned {
            mission,
            reason: UnassignReason::Rejected,
            detail: None,
        },
        DeliveryEvent::PickedUp {
            mission,
            tag: None,
            mass: None,
        },
        DeliveryEvent::ArrivedAtDropoff {
            mission,
            distance: None,
        },
        DeliveryEvent::DeliveryComplete {
            mission,
            method: None,
            evidence: None,
            distance: None,
        },
        DeliveryEvent::Reopened {
            cause: ReopenCause::DroneReturned,
            to: ReopenedAs::Returning,
            reason: None,
        },
        DeliveryEvent::Corrected {
            what: Correction::Outcome,
            was: None,
            now: "returned".parse().unwrap(),
            reason: "seen".parse().unwrap(),
        },
        DeliveryEvent::ConditionChanged {
            mission,
            condition: Condition::Nominal,
        },
        DeliveryEvent::EtaRevised {
            mission,
            pickup_at: None,
            dropoff_at: None,
        },
        DeliveryEvent::Released {
            mission,
            method: ReleaseMethod::Winch,
            evidence: None,
            distance: DistanceM::new(0),
        },
    ]
}
