//! A delivery's state as bytes.

use serde::{Deserialize, Serialize};

use super::event::DeliveryEvent;
use super::state::{CarryStage, Delivery, FetchStage, Holder, Mission, Phase, Reached};
use super::vocabulary::{Failure, Milestone, RejectReason, ReturnReason};
use crate::codec::{number_of, word_of};
use crate::id::{FactId, MissionId};
use crate::snapshot::{Keep, Kept, KeptId, uuid};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(crate) struct KeptDelivery {
    /// As the event that would order it as it is now.
    order: Kept,
    phase: KeptPhase,
    attempt: u8,
    epoch: u32,
    revision: u32,
    /// As the event that would assign it, and whether it counts as an attempt.
    mission: Option<(Kept, bool)>,
    returned_for: Option<u8>,
    misloaded: bool,
    deadline_missed: bool,
    milestones: Vec<KeptMilestone>,
    anomalies: Vec<String>,
}

/// Which phase, and the numbers of what is in it.
type KeptPhase = (u8, u8, u8);

#[derive(Serialize, Deserialize)]
struct KeptMilestone {
    milestone: u8,
    mission: KeptId,
    at_us: i64,
    inferred: bool,
}

const FETCH_STAGES: [FetchStage; 3] = [
    FetchStage::Assigned,
    FetchStage::HeadedToPickup,
    FetchStage::AtPickup,
];

const CARRY_STAGES: [CarryStage; 3] = [
    CarryStage::Loaded,
    CarryStage::InTransit,
    CarryStage::AtDropoff,
];

const HOLDERS: [Holder; 2] = [Holder::Sender, Holder::Hub];

impl Keep for Delivery {
    type Kept = KeptDelivery;

    fn kept(&self) -> KeptDelivery {
        let mission = self.mission.as_ref().map(|mission| {
            let assigned = DeliveryEvent::DroneAssigned(mission.assignment.clone());
            (Kept::of(&assigned), mission.counted)
        });
        KeptDelivery {
            order: Kept::of(&DeliveryEvent::Created(Box::new(self.order.clone()))),
            phase: kept_phase(self.phase),
            attempt: self.attempt,
            epoch: self.epoch,
            revision: self.revision,
            mission,
            returned_for: self
                .returned_for
                .map(|reason| number_of(ReturnReason::ALL, &reason)),
            misloaded: self.misloaded,
            deadline_missed: self.deadline_missed,
            milestones: self.milestones.iter().map(KeptMilestone::of).collect(),
            anomalies: self.anomalies.iter().map(FactId::to_string).collect(),
        }
    }

    fn state(kept: KeptDelivery) -> Option<Self> {
        let DeliveryEvent::Created(order) = kept.order.event()? else {
            return None;
        };
        let mission = match kept.mission {
            None => None,
            Some((assigned, counted)) => {
                let DeliveryEvent::DroneAssigned(assignment) = assigned.event()? else {
                    return None;
                };
                Some(Mission {
                    assignment,
                    counted,
                })
            }
        };
        let milestones = kept.milestones.iter().map(KeptMilestone::reached);
        let returned_for = kept
            .returned_for
            .map(|reason| word_of("reason", ReturnReason::ALL, reason));
        let anomalies = kept.anomalies.into_iter().map(FactId::new);
        Some(Self {
            order: *order,
            phase: phase_of(kept.phase)?,
            attempt: kept.attempt,
            epoch: kept.epoch,
            revision: kept.revision,
            mission,
            returned_for: returned_for.transpose().ok()?,
            misloaded: kept.misloaded,
            deadline_missed: kept.deadline_missed,
            milestones: milestones.collect::<Option<_>>()?,
            anomalies: anomalies.collect::<Result<_, _>>().ok()?,
        })
    }
}

fn kept_phase(phase: Phase) -> KeptPhase {
    match phase {
        Phase::Pending => (0, 0, 0),
        Phase::Scheduled => (1, 0, 0),
        Phase::Fetching { stage, holder } => {
            let stage = number_of(&FETCH_STAGES, &stage);
            (2, stage, number_of(&HOLDERS, &holder))
        }
        Phase::Carrying(stage) => (3, number_of(&CARRY_STAGES, &stage), 0),
        Phase::Returning => (4, 0, 0),
        Phase::AtHub => (5, 0, 0),
        Phase::Cancelling { stage } => (6, number_of(&FETCH_STAGES, &stage), 0),
        Phase::Complete => (7, 0, 0),
        Phase::Returned => (8, 0, 0),
        Phase::Cancelled => (9, 0, 0),
        Phase::Failed(failure) => (10, number_of(Failure::ALL, &failure), 0),
        Phase::Rejected(reason) => (11, number_of(RejectReason::ALL, &reason), 0),
    }
}

fn phase_of(kept: KeptPhase) -> Option<Phase> {
    let phase = match kept {
        (0, 0, 0) => Phase::Pending,
        (1, 0, 0) => Phase::Scheduled,
        (2, stage, holder) => Phase::Fetching {
            stage: word_of("stage", &FETCH_STAGES, stage).ok()?,
            holder: word_of("holder", &HOLDERS, holder).ok()?,
        },
        (3, stage, 0) => Phase::Carrying(word_of("stage", &CARRY_STAGES, stage).ok()?),
        (4, 0, 0) => Phase::Returning,
        (5, 0, 0) => Phase::AtHub,
        (6, stage, 0) => Phase::Cancelling {
            stage: word_of("stage", &FETCH_STAGES, stage).ok()?,
        },
        (7, 0, 0) => Phase::Complete,
        (8, 0, 0) => Phase::Returned,
        (9, 0, 0) => Phase::Cancelled,
        (10, failure, 0) => Phase::Failed(word_of("failure", Failure::ALL, failure).ok()?),
        (11, reason, 0) => Phase::Rejected(word_of("reason", RejectReason::ALL, reason).ok()?),
        _ => return None,
    };
    Some(phase)
}

impl KeptMilestone {
    fn of(reached: &Reached) -> Self {
        Self {
            milestone: number_of(Milestone::ALL, &reached.milestone),
            mission: reached.mission.uuid().into_bytes(),
            at_us: reached.at.micros(),
            inferred: reached.inferred,
        }
    }

    fn reached(&self) -> Option<Reached> {
        Some(Reached {
            milestone: word_of("milestone", Milestone::ALL, self.milestone).ok()?,
            mission: MissionId::from_uuid(uuid(self.mission)),
            at: Timestamp::from_micros(self.at_us).ok()?,
            inferred: self.inferred,
        })
    }
}
