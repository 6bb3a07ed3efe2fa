//! How a delivery's events are stored.
//!
//! **These structs are frozen.** Bytes written with them lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Assignment, DeliveryEvent, Order, Package, Place, Plan};
use super::vocabulary::{
    Anomaly, AttemptFailure, CancelReason, CancellationRefusal, Confirmation, Failure, HubPlace,
    Milestone, OnCancelAfterPickup, OnUndeliverable, PackageFlag, RejectReason, ReleaseEvidence,
    ReleaseMethod, ReturnReason, Size, UnassignReason,
};
use crate::codec::{InvalidField, at, checked, first_schema, number_of, stored_events, word_of};
use crate::geo::GeoPoint;
use crate::id::{DroneId, ExternalId, FactId, FleetId, MissionId, PackageId, Tag, UserId};
use crate::quantity::{DimensionsMm, DistanceM, MassG};
use crate::text::{Address, Comment, Text};
use crate::time::{Timestamp, Window};

#[derive(Serialize, Deserialize)]
struct CreatedV1 {
    user: [u8; 16],
    external_id: Option<String>,
    plan: PlanV1,
    package: PackageV1,
    confirmation: u8,
    expedited: bool,
    on_undeliverable: u8,
    on_cancel_after_pickup: u8,
    metadata: Vec<MetadataEntryV1>,
}

#[derive(Serialize, Deserialize)]
struct PlanV1 {
    pickup: PlaceV1,
    dropoff: PlaceV1,
    pickup_window: Option<WindowV1>,
    deliver_by_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PlaceV1 {
    lat_e7: i32,
    lon_e7: i32,
    address: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WindowV1 {
    not_before_us: i64,
    not_after_us: i64,
}

#[derive(Serialize, Deserialize)]
struct PackageV1 {
    id: Option<[u8; 16]>,
    tag: String,
    size: u8,
    mass_g: u32,
    dimensions_mm: Option<[u32; 3]>,
    flags: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct MetadataEntryV1 {
    key: String,
    value: String,
}

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
    method: u8,
    evidence: Option<u8>,
    distance_m: u32,
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

first_schema! {
    CreatedV1, ScheduledV1, RescheduledV1, DroneAssignedV1, DroneUnassignedV1, MissionStepV1,
    PickedUpV1, ArrivedAtDropoffV1, DeliveryCompleteV1, MissionWordV1, CancellationRequestedV1,
    CancelledV1, CancellationRejectedV1, MilestoneTimeCorrectedV1, AnomalyRecordedV1, RejectedV1,
    DeadlineMissedV1,
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
            method: number_of(ReleaseMethod::ALL, method),
            evidence: evidence.map(|evidence| number_of(ReleaseEvidence::ALL, &evidence)),
            distance_m: distance.get(),
        } }
        { p => Self::DeliveryComplete {
            mission: mission_of(p.mission),
            method: word_of("method", ReleaseMethod::ALL, p.method)?,
            evidence: p.evidence.map(|n| word_of("evidence", ReleaseEvidence::ALL, n)).transpose()?,
            distance: DistanceM::new(p.distance_m),
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
        { Self::AnomalyRecorded { fact, why } => AnomalyRecordedV1 {
            fact: fact.to_string(),
            why: number_of(Anomaly::ALL, why),
        } }
        { p => Self::AnomalyRecorded {
            fact: checked("fact", FactId::new(p.fact))?,
            why: word_of("why", Anomaly::ALL, p.why)?,
        } }
    122 Rejected RejectedV1
        { Self::Rejected { reason } => RejectedV1 { reason: number_of(RejectReason::ALL, reason) } }
        { p => Self::Rejected { reason: word_of("reason", RejectReason::ALL, p.reason)? } }
    128 DeadlineMissed DeadlineMissedV1
        { Self::DeadlineMissed { deliver_by } => DeadlineMissedV1 {
            deliver_by_us: deliver_by.micros(),
        } }
        { p => Self::DeadlineMissed { deliver_by: at("deliver_by_us", p.deliver_by_us)? } }
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

impl CreatedV1 {
    fn of(order: &Order) -> Self {
        Self {
            user: order.user.uuid().into_bytes(),
            external_id: order.external_id.as_ref().map(ToString::to_string),
            plan: PlanV1::of(&order.plan),
            package: PackageV1::of(&order.package),
            confirmation: number_of(Confirmation::ALL, &order.confirmation),
            expedited: order.expedited,
            on_undeliverable: number_of(OnUndeliverable::ALL, &order.on_undeliverable),
            on_cancel_after_pickup: number_of(
                OnCancelAfterPickup::ALL,
                &order.on_cancel_after_pickup,
            ),
            metadata: order
                .metadata
                .iter()
                .map(|(key, value)| MetadataEntryV1 {
                    key: key.to_string(),
                    value: value.to_string(),
                })
                .collect(),
        }
    }

    fn order(self) -> Result<Order, InvalidField> {
        let metadata = self.metadata.into_iter().map(|entry| {
            let key = checked("metadata.key", Text::new(entry.key))?;
            let value = checked("metadata.value", Text::new(entry.value))?;
            Ok((key, value))
        });
        Ok(Order {
            user: UserId::from_uuid(Uuid::from_bytes(self.user)),
            external_id: checked(
                "external_id",
                self.external_id.map(ExternalId::new).transpose(),
            )?,
            plan: self.plan.plan()?,
            package: self.package.package()?,
            confirmation: word_of("confirmation", Confirmation::ALL, self.confirmation)?,
            expedited: self.expedited,
            on_undeliverable: word_of(
                "on_undeliverable",
                OnUndeliverable::ALL,
                self.on_undeliverable,
            )?,
            on_cancel_after_pickup: word_of(
                "on_cancel_after_pickup",
                OnCancelAfterPickup::ALL,
                self.on_cancel_after_pickup,
            )?,
            metadata: metadata.collect::<Result<_, _>>()?,
        })
    }
}

impl PlanV1 {
    fn of(plan: &Plan) -> Self {
        Self {
            pickup: PlaceV1::of(&plan.pickup),
            dropoff: PlaceV1::of(&plan.dropoff),
            pickup_window: plan.pickup_window.map(|window| WindowV1 {
                not_before_us: window.not_before().micros(),
                not_after_us: window.not_after().micros(),
            }),
            deliver_by_us: plan.deliver_by.map(Timestamp::micros),
        }
    }

    fn plan(self) -> Result<Plan, InvalidField> {
        let window = |window: WindowV1| {
            let not_before = at("not_before_us", window.not_before_us)?;
            let not_after = at("not_after_us", window.not_after_us)?;
            checked("pickup_window", Window::new(not_before, not_after))
        };
        Ok(Plan {
            pickup: self.pickup.place()?,
            dropoff: self.dropoff.place()?,
            pickup_window: self.pickup_window.map(window).transpose()?,
            deliver_by: self
                .deliver_by_us
                .map(|micros| at("deliver_by_us", micros))
                .transpose()?,
        })
    }
}

impl PlaceV1 {
    fn of(place: &Place) -> Self {
        Self {
            lat_e7: place.point.lat_e7(),
            lon_e7: place.point.lon_e7(),
            address: place.address.as_ref().map(ToString::to_string),
        }
    }

    fn place(self) -> Result<Place, InvalidField> {
        Ok(Place {
            point: checked(
                "lat_e7, lon_e7",
                GeoPoint::from_e7(self.lat_e7, self.lon_e7),
            )?,
            address: checked("address", self.address.map(Address::new).transpose())?,
        })
    }
}

impl PackageV1 {
    fn of(package: &Package) -> Self {
        Self {
            id: package.id.map(|id| id.uuid().into_bytes()),
            tag: package.tag.to_string(),
            size: number_of(Size::ALL, &package.size),
            mass_g: package.mass.get(),
            dimensions_mm: package.dimensions.map(DimensionsMm::get),
            flags: package
                .flags
                .iter()
                .map(|flag| number_of(PackageFlag::ALL, flag))
                .collect(),
        }
    }

    fn package(self) -> Result<Package, InvalidField> {
        Ok(Package {
            id: self
                .id
                .map(|bytes| PackageId::from_uuid(Uuid::from_bytes(bytes))),
            tag: checked("tag", Tag::new(self.tag))?,
            size: word_of("size", Size::ALL, self.size)?,
            mass: checked("mass_g", MassG::new(self.mass_g))?,
            dimensions: checked(
                "dimensions_mm",
                self.dimensions_mm.map(DimensionsMm::new).transpose(),
            )?,
            flags: self
                .flags
                .into_iter()
                .map(|number| word_of("flags", PackageFlag::ALL, number))
                .collect::<Result<_, _>>()?,
        })
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
