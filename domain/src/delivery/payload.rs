//! How a delivery's events are stored.
//!
//! **These structs are frozen.** Bytes written with them lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::condition::Condition;
use super::event::{Assignment, DeliveryEvent};
use super::vocabulary::{
    Anomaly, AttemptFailure, CancelReason, CancellationRefusal, ConditionWord, Confirmation,
    Correction, Failure, HoldReason, HubPlace, Milestone, RejectReason, ReleaseEvidence,
    ReleaseMethod, ReopenCause, ReopenedAs, ReturnReason, Stranding, UnassignReason,
};
use crate::codec::{InvalidField, at, checked, first_schema, number_of, stored_events, word_of};
use crate::id::{DroneId, FactId, FleetId, MissionId, ProofHash, Tag};
use crate::quantity::{DistanceM, MassG};
use crate::text::Comment;
use crate::time::Timestamp;

mod order;

use order::{CreatedV1, PlanV1};

#[derive(Serialize, Deserialize)]
struct ScheduledV1 {}

#[derive(Serialize, Deserialize)]
struct RescheduledV1 {
    plan: PlanV1,
}

#[derive(Serialize, Deserialize)]
struct DroneAssignedV1 {
    mission: [u8; 16],
    fleet: String,
    drone: String,
    epoch: u32,
    eta_pickup_us: Option<i64>,
    eta_dropoff_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct DroneUnassignedV1 {
    mission: [u8; 16],
    reason: u8,
    detail: Option<String>,
}

/// `HeadedToPickup`, `ArrivedAtPickup`, `InTransit` and `Returned`.
#[derive(Serialize, Deserialize)]
struct MissionStepV1 {
    mission: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct PickedUpV1 {
    mission: [u8; 16],
    tag: Option<String>,
    mass_g: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct ArrivedAtDropoffV1 {
    mission: [u8; 16],
    distance_m: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct DeliveryCompleteV1 {
    mission: [u8; 16],
    method: Option<u8>,
    evidence: Option<u8>,
    distance_m: Option<u32>,
}

/// `AttemptFailed`, `ReturnStarted`, `ArrivedAtHub` and `Failed`: a mission and a word.
#[derive(Serialize, Deserialize)]
struct MissionWordV1 {
    mission: [u8; 16],
    word: u8,
}

#[derive(Serialize, Deserialize)]
struct CancellationRequestedV1 {
    reason: u8,
    comment: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CancelledV1 {}

#[derive(Serialize, Deserialize)]
struct CancellationRejectedV1 {
    why: u8,
}

#[derive(Serialize, Deserialize)]
struct MilestoneTimeCorrectedV1 {
    milestone: u8,
    was_us: i64,
    now_us: i64,
}

#[derive(Serialize, Deserialize)]
struct AnomalyRecordedV1 {
    fact: String,
    mission: [u8; 16],
    why: u8,
}

#[derive(Serialize, Deserialize)]
struct RejectedV1 {
    reason: u8,
}

#[derive(Serialize, Deserialize)]
struct DeadlineMissedV1 {
    deliver_by_us: i64,
}

#[derive(Serialize, Deserialize)]
struct ConfirmedV1 {
    kind: u8,
    proof_hash: String,
}

#[derive(Serialize, Deserialize)]
struct ReopenedV1 {
    cause: u8,
    to: u8,
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CorrectedV1 {
    what: u8,
    was: Option<String>,
    now: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct ConditionChangedV1 {
    mission: [u8; 16],
    condition: u8,
    hold: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct EtaRevisedV1 {
    mission: [u8; 16],
    pickup_at_us: Option<i64>,
    dropoff_at_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ReleasedV1 {
    mission: [u8; 16],
    method: u8,
    evidence: Option<u8>,
    distance_m: u32,
}

#[derive(Serialize, Deserialize)]
struct ConfirmationOverdueV1 {}

#[derive(Serialize, Deserialize)]
struct VouchedV1 {
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct StrandedV1 {
    place: u8,
}

#[derive(Serialize, Deserialize)]
struct GivenUpV1 {
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct HandedBackV1 {
    reason: String,
}

first_schema! {
    CreatedV1, ScheduledV1, RescheduledV1, DroneAssignedV1, DroneUnassignedV1, MissionStepV1,
    PickedUpV1, ArrivedAtDropoffV1, DeliveryCompleteV1, MissionWordV1, CancellationRequestedV1,
    CancelledV1, CancellationRejectedV1, MilestoneTimeCorrectedV1, AnomalyRecordedV1, RejectedV1,
    DeadlineMissedV1, ConfirmedV1, ReopenedV1, CorrectedV1, ConditionChangedV1, EtaRevisedV1,
    ReleasedV1, ConfirmationOverdueV1, VouchedV1, StrandedV1, GivenUpV1,
    HandedBackV1,
}

stored_events! { DeliveryEvent {
    101 Created CreatedV1
        { Self::Created(order) => CreatedV1::of(order) }
        { p => Self::Created(Box::new(p.order()?)) }
    102 Scheduled ScheduledV1
        { Self::Scheduled => ScheduledV1 {} }
        { ScheduledV1 {} => Self::Scheduled }
    103 Rescheduled RescheduledV1
        { Self::Rescheduled(plan) => RescheduledV1 { plan: PlanV1::of(plan) } }
        { p => Self::Rescheduled(Box::new(p.plan.plan()?)) }
    104 DroneAssigned DroneAssignedV1
        { Self::DroneAssigned(assignment) => DroneAssignedV1::of(assignment) }
        { p => Self::DroneAssigned(p.assignment()?) }
    105 DroneUnassigned DroneUnassignedV1
        { Self::DroneUnassigned { mission, reason, detail } => DroneUnassignedV1 {
            mission: mission_bytes(*mission),
            reason: number_of(UnassignReason::ALL, reason),
            detail: detail.as_ref().map(ToString::to_string),
        } }
        { p => Self::DroneUnassigned {
            mission: mission_of(p.mission),
            reason: word_of("reason", UnassignReason::ALL, p.reason)?,
            detail: checked("detail", p.detail.map(Comment::new).transpose())?,
        } }
    106 HeadedToPickup MissionStepV1
        { Self::HeadedToPickup { mission } => MissionStepV1::of(*mission) }
        { p => Self::HeadedToPickup { mission: mission_of(p.mission) } }
    107 ArrivedAtPickup MissionStepV1
        { Self::ArrivedAtPickup { mission } => MissionStepV1::of(*mission) }
        { p => Self::ArrivedAtPickup { mission: mission_of(p.mission) } }
    108 PickedUp PickedUpV1
        { Self::PickedUp { mission, tag, mass } => PickedUpV1 {
            mission: mission_bytes(*mission),
            tag: tag.as_ref().map(ToString::to_string),
            mass_g: mass.map(MassG::get),
        } }
        { p => Self::PickedUp {
            mission: mission_of(p.mission),
            tag: checked("tag", p.tag.map(Tag::new).transpose())?,
            mass: checked("mass_g", p.mass_g.map(MassG::new).transpose())?,
        } }
    109 InTransit MissionStepV1
        { Self::InTransit { mission } => MissionStepV1::of(*mission) }
        { p => Self::InTransit { mission: mission_of(p.mission) } }
    110 ArrivedAtDropoff ArrivedAtDropoffV1
        { Self::ArrivedAtDropoff { mission, distance } => ArrivedAtDropoffV1 {
            mission: mission_bytes(*mission),
            distance_m: distance.map(DistanceM::get),
        } }
        { p => Self::ArrivedAtDropoff {
            mission: mission_of(p.mission),
            distance: p.distance_m.map(DistanceM::new),
        } }
    111 DeliveryComplete DeliveryCompleteV1
        { Self::DeliveryComplete { mission, method, evidence, distance } => DeliveryCompleteV1 {
            mission: mission_bytes(*mission),
            method: method.map(|method| number_of(ReleaseMethod::ALL, &method)),
            evidence: evidence.map(|evidence| number_of(ReleaseEvidence::ALL, &evidence)),
            distance_m: distance.map(DistanceM::get),
        } }
        { p => Self::DeliveryComplete {
            mission: mission_of(p.mission),
            method: p.method.map(|n| word_of("method", ReleaseMethod::ALL, n)).transpose()?,
            evidence: p.evidence.map(|n| word_of("evidence", ReleaseEvidence::ALL, n)).transpose()?,
            distance: p.distance_m.map(DistanceM::new),
        } }
    112 AttemptFailed MissionWordV1
        { Self::AttemptFailed { mission, reason } => MissionWordV1::of(*mission, AttemptFailure::ALL, reason) }
        { p => Self::AttemptFailed {
            mission: mission_of(p.mission),
            reason: word_of("reason", AttemptFailure::ALL, p.word)?,
        } }
    113 ReturnStarted MissionWordV1
        { Self::ReturnStarted { mission, reason } => MissionWordV1::of(*mission, ReturnReason::ALL, reason) }
        { p => Self::ReturnStarted {
            mission: mission_of(p.mission),
            reason: word_of("reason", ReturnReason::ALL, p.word)?,
        } }
    114 ArrivedAtHub MissionWordV1
        { Self::ArrivedAtHub { mission, place } => MissionWordV1::of(*mission, HubPlace::ALL, place) }
        { p => Self::ArrivedAtHub {
            mission: mission_of(p.mission),
            place: word_of("place", HubPlace::ALL, p.word)?,
        } }
    115 Returned MissionStepV1
        { Self::Returned { mission } => MissionStepV1::of(*mission) }
        { p => Self::Returned { mission: mission_of(p.mission) } }
    116 CancellationRequested CancellationRequestedV1
        { Self::CancellationRequested { reason, comment } => CancellationRequestedV1 {
            reason: number_of(CancelReason::ALL, reason),
            comment: comment.as_ref().map(ToString::to_string),
        } }
        { p => Self::CancellationRequested {
            reason: word_of("reason", CancelReason::ALL, p.reason)?,
            comment: checked("comment", p.comment.map(Comment::new).transpose())?,
        } }
    117 Cancelled CancelledV1
        { Self::Cancelled => CancelledV1 {} }
        { CancelledV1 {} => Self::Cancelled }
    118 CancellationRejected CancellationRejectedV1
        { Self::CancellationRejected { why } => CancellationRejectedV1 {
            why: number_of(CancellationRefusal::ALL, why),
        } }
        { p => Self::CancellationRejected { why: word_of("why", CancellationRefusal::ALL, p.why)? } }
    119 Failed MissionWordV1
        { Self::Failed { mission, reason } => MissionWordV1::of(*mission, Failure::ALL, reason) }
        { p => Self::Failed {
            mission: mission_of(p.mission),
            reason: word_of("reason", Failure::ALL, p.word)?,
        } }
    120 MilestoneTimeCorrected MilestoneTimeCorrectedV1
        { Self::MilestoneTimeCorrected { milestone, was, now } => MilestoneTimeCorrectedV1 {
            milestone: number_of(Milestone::ALL, milestone),
            was_us: was.micros(),
            now_us: now.micros(),
        } }
        { p => Self::MilestoneTimeCorrected {
            milestone: word_of("milestone", Milestone::ALL, p.milestone)?,
            was: at("was_us", p.was_us)?,
            now: at("now_us", p.now_us)?,
        } }
    121 AnomalyRecorded AnomalyRecordedV1
        { Self::AnomalyRecorded { fact, mission, why } => AnomalyRecordedV1 {
            fact: fact.to_string(),
            mission: mission_bytes(*mission),
            why: number_of(Anomaly::ALL, why),
        } }
        { p => Self::AnomalyRecorded {
            fact: checked("fact", FactId::new(p.fact))?,
            mission: mission_of(p.mission),
            why: word_of("why", Anomaly::ALL, p.why)?,
        } }
    122 Rejected RejectedV1
        { Self::Rejected { reason } => RejectedV1 { reason: number_of(RejectReason::ALL, reason) } }
        { p => Self::Rejected { reason: word_of("reason", RejectReason::ALL, p.reason)? } }
    123 Confirmed ConfirmedV1
        { Self::Confirmed { kind, proof } => ConfirmedV1 {
            kind: number_of(Confirmation::ALL, kind),
            proof_hash: proof.to_string(),
        } }
        { p => Self::Confirmed {
            kind: word_of("kind", Confirmation::ALL, p.kind)?,
            proof: checked("proof_hash", ProofHash::new(p.proof_hash))?,
        } }
    124 Reopened ReopenedV1
        { Self::Reopened { cause, to, reason } => ReopenedV1 {
            cause: number_of(ReopenCause::ALL, cause),
            to: number_of(ReopenedAs::ALL, to),
            reason: reason.as_ref().map(ToString::to_string),
        } }
        { p => Self::Reopened {
            cause: word_of("cause", ReopenCause::ALL, p.cause)?,
            to: word_of("to", ReopenedAs::ALL, p.to)?,
            reason: checked("reason", p.reason.map(Comment::new).transpose())?,
        } }
    125 Corrected CorrectedV1
        { Self::Corrected { what, was, now, reason } => CorrectedV1 {
            what: number_of(Correction::ALL, what),
            was: was.as_ref().map(ToString::to_string),
            now: now.to_string(),
            reason: reason.to_string(),
        } }
        { p => Self::Corrected {
            what: word_of("what", Correction::ALL, p.what)?,
            was: checked("was", p.was.map(Comment::new).transpose())?,
            now: checked("now", Comment::new(p.now))?,
            reason: checked("reason", Comment::new(p.reason))?,
        } }
    126 ConditionChanged ConditionChangedV1
        { Self::ConditionChanged { mission, condition } => ConditionChangedV1 {
            mission: mission_bytes(*mission),
            condition: number_of(ConditionWord::ALL, &condition.word()),
            hold: condition.hold().map(|hold| number_of(HoldReason::ALL, &hold)),
        } }
        { p => Self::ConditionChanged {
            mission: mission_of(p.mission),
            condition: p.condition()?,
        } }
    127 EtaRevised EtaRevisedV1
        { Self::EtaRevised { mission, pickup_at, dropoff_at } => EtaRevisedV1 {
            mission: mission_bytes(*mission),
            pickup_at_us: pickup_at.map(Timestamp::micros),
            dropoff_at_us: dropoff_at.map(Timestamp::micros),
        } }
        { p => Self::EtaRevised {
            mission: mission_of(p.mission),
            pickup_at: p.pickup_at_us.map(|us| at("pickup_at_us", us)).transpose()?,
            dropoff_at: p.dropoff_at_us.map(|us| at("dropoff_at_us", us)).transpose()?,
        } }
    128 DeadlineMissed DeadlineMissedV1
        { Self::DeadlineMissed { deliver_by } => DeadlineMissedV1 {
            deliver_by_us: deliver_by.micros(),
        } }
        { p => Self::DeadlineMissed { deliver_by: at("deliver_by_us", p.deliver_by_us)? } }
    129 Released ReleasedV1
        { Self::Released { mission, method, evidence, distance } => ReleasedV1 {
            mission: mission_bytes(*mission),
            method: number_of(ReleaseMethod::ALL, method),
            evidence: evidence.map(|evidence| number_of(ReleaseEvidence::ALL, &evidence)),
            distance_m: distance.get(),
        } }
        { p => Self::Released {
            mission: mission_of(p.mission),
            method: word_of("method", ReleaseMethod::ALL, p.method)?,
            evidence: p.evidence.map(|n| word_of("evidence", ReleaseEvidence::ALL, n)).transpose()?,
            distance: DistanceM::new(p.distance_m),
        } }
    130 ConfirmationOverdue ConfirmationOverdueV1
        { Self::ConfirmationOverdue => ConfirmationOverdueV1 {} }
        { ConfirmationOverdueV1 {} => Self::ConfirmationOverdue }
    131 Vouched VouchedV1
        { Self::Vouched { reason } => VouchedV1 { reason: reason.to_string() } }
        { p => Self::Vouched { reason: checked("reason", Comment::new(p.reason))? } }
    132 Stranded StrandedV1
        { Self::Stranded { place } => StrandedV1 { place: number_of(Stranding::ALL, place) } }
        { p => Self::Stranded { place: word_of("place", Stranding::ALL, p.place)? } }
    133 GivenUp GivenUpV1
        { Self::GivenUp { reason } => GivenUpV1 { reason: reason.to_string() } }
        { p => Self::GivenUp { reason: checked("reason", Comment::new(p.reason))? } }
    134 HandedBack HandedBackV1
        { Self::HandedBack { reason } => HandedBackV1 { reason: reason.to_string() } }
        { p => Self::HandedBack { reason: checked("reason", Comment::new(p.reason))? } }
} }

const fn mission_bytes(mission: MissionId) -> [u8; 16] {
    mission.uuid().into_bytes()
}

const fn mission_of(bytes: [u8; 16]) -> MissionId {
    MissionId::from_uuid(Uuid::from_bytes(bytes))
}

impl MissionStepV1 {
    const fn of(mission: MissionId) -> Self {
        Self {
            mission: mission_bytes(mission),
        }
    }
}

impl MissionWordV1 {
    fn of<T: PartialEq>(mission: MissionId, all: &[T], word: &T) -> Self {
        Self {
            mission: mission_bytes(mission),
            word: number_of(all, word),
        }
    }
}

impl ConditionChangedV1 {
    fn condition(&self) -> Result<Condition, InvalidField> {
        let word = word_of("condition", ConditionWord::ALL, self.condition)?;
        let hold = self.hold.map(|hold| word_of("hold", HoldReason::ALL, hold));
        Condition::of(word, hold.transpose()?).ok_or(InvalidField("hold"))
    }
}

impl DroneAssignedV1 {
    fn of(assignment: &Assignment) -> Self {
        Self {
            mission: mission_bytes(assignment.mission),
            fleet: assignment.fleet.to_string(),
            drone: assignment.drone.to_string(),
            epoch: assignment.epoch,
            eta_pickup_us: assignment.eta_pickup.map(Timestamp::micros),
            eta_dropoff_us: assignment.eta_dropoff.map(Timestamp::micros),
        }
    }

    fn assignment(self) -> Result<Assignment, InvalidField> {
        let eta = |field, micros: Option<i64>| micros.map(|micros| at(field, micros)).transpose();
        Ok(Assignment {
            mission: mission_of(self.mission),
            fleet: checked("fleet", FleetId::new(self.fleet))?,
            drone: checked("drone", DroneId::new(self.drone))?,
            epoch: self.epoch,
            eta_pickup: eta("eta_pickup_us", self.eta_pickup_us)?,
            eta_dropoff: eta("eta_dropoff_us", self.eta_dropoff_us)?,
        })
    }
}
