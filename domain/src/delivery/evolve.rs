//! What a delivery is after an event.
//!
//! Nothing is decided here: an event that makes no sense in a state leaves it as
//! it is, whoever wrote it.

use super::event::{Assignment, DeliveryEvent, Order, Plan};
use super::state::{
    ANOMALIES_MAX, ATTEMPTS_MAX, CarryStage, Custody, Delivery, FetchStage, Holder, Mission, Phase,
    Reached,
};
use super::vocabulary::{AttemptFailure, Failure, Milestone};
use crate::decider::Occurrence;
use crate::id::{FactId, MissionId};
use crate::time::Timestamp;

/// The state after an event.
pub(super) fn evolve(
    state: Option<Delivery>,
    occurrence: &Occurrence<DeliveryEvent>,
) -> Option<Delivery> {
    match (state, &occurrence.event) {
        (None, DeliveryEvent::Created(order)) => Some(Delivery::ordered(order)),
        (None, _) => None,
        (Some(delivery), _) => Some(delivery.after(occurrence)),
    }
}

impl Delivery {
    fn ordered(order: &Order) -> Self {
        Self {
            order: order.clone(),
            phase: Phase::Pending,
            attempt: 0,
            epoch: 0,
            revision: 0,
            mission: None,
            returned_for: None,
            misloaded: false,
            deadline_missed: false,
            milestones: Vec::new(),
            anomalies: Vec::new(),
        }
    }

    fn after(mut self, occurrence: &Occurrence<DeliveryEvent>) -> Self {
        let event = &occurrence.event;
        if mission_of(event).is_some_and(|mission| !self.is_newest(mission)) {
            return self;
        }
        let next = next_phase(self.phase, event);
        if let Some(phase) = next {
            if let DeliveryEvent::DroneAssigned(assignment) = event {
                self.take_mission(assignment);
            }
            self.phase = phase;
            self.reach(occurrence);
        }
        match event {
            DeliveryEvent::Rescheduled(plan) => self.replan(plan),
            DeliveryEvent::PickedUp { .. } if next.is_some() => {
                self.count();
                (self.returned_for, self.misloaded) = (None, false);
            }
            DeliveryEvent::AttemptFailed { reason, .. } if self.phase.has_live_mission() => {
                self.count();
                // What was refused where it lay is no longer on the drone.
                self.misloaded |= *reason != AttemptFailure::Undeliverable
                    && self.phase.custody() == Custody::Drone;
            }
            DeliveryEvent::ReturnStarted { reason, .. } if next.is_some() => {
                self.returned_for = Some(*reason);
            }
            DeliveryEvent::DeadlineMissed { deliver_by } if !self.status().is_terminal() => {
                self.deadline_missed = self.order.plan.deliver_by == Some(*deliver_by);
            }
            DeliveryEvent::MilestoneTimeCorrected { milestone, now, .. } => {
                self.correct(*milestone, *now);
            }
            DeliveryEvent::AnomalyRecorded { fact, .. } => self.remember(fact),
            DeliveryEvent::Created(_)
            | DeliveryEvent::Scheduled
            | DeliveryEvent::DroneAssigned(_)
            | DeliveryEvent::DroneUnassigned { .. }
            | DeliveryEvent::HeadedToPickup { .. }
            | DeliveryEvent::ArrivedAtPickup { .. }
            | DeliveryEvent::PickedUp { .. }
            | DeliveryEvent::InTransit { .. }
            | DeliveryEvent::ArrivedAtDropoff { .. }
            | DeliveryEvent::DeliveryComplete { .. }
            | DeliveryEvent::AttemptFailed { .. }
            | DeliveryEvent::ReturnStarted { .. }
            | DeliveryEvent::ArrivedAtHub { .. }
            | DeliveryEvent::Returned { .. }
            | DeliveryEvent::CancellationRequested { .. }
            | DeliveryEvent::Cancelled
            | DeliveryEvent::CancellationRejected { .. }
            | DeliveryEvent::Failed { .. }
            | DeliveryEvent::Rejected { .. }
            | DeliveryEvent::DeadlineMissed { .. } => {}
        }
        self
    }

    fn replan(&mut self, plan: &Plan) {
        let before_departure = self.phase == Phase::Pending
            || self.phase == Phase::Scheduled
            || fetching(self.phase) == Some((FetchStage::Assigned, Holder::Sender));
        if before_departure {
            self.deadline_missed &= self.order.plan.deliver_by == plan.deliver_by;
            self.order.plan.clone_from(plan);
            self.revision = self.revision.saturating_add(1);
        }
    }

    fn remember(&mut self, anomaly: &FactId) {
        if self.anomalies.len() < ANOMALIES_MAX && !self.anomalies.contains(anomaly) {
            self.anomalies.push(anomaly.clone());
        }
    }

    fn take_mission(&mut self, assignment: &Assignment) {
        // Never down: the epoch grows whatever the event says.
        self.epoch = assignment.epoch.max(self.epoch.saturating_add(1));
        self.mission = Some(Mission {
            assignment: assignment.clone(),
            counted: false,
        });
    }

    fn reach(&mut self, occurrence: &Occurrence<DeliveryEvent>) {
        let newest = self.mission.as_ref().map(|m| m.assignment.mission);
        if let (Some(milestone), Some(mission)) = (milestone_of(&occurrence.event), newest) {
            self.milestones.push(Reached {
                milestone,
                mission,
                at: occurrence.event_time,
                inferred: occurrence.inferred,
            });
        }
    }

    /// A mission is an attempt once, however often it failed.
    fn count(&mut self) {
        if let Some(mission) = self.mission.as_mut()
            && !mission.counted
        {
            mission.counted = true;
            self.attempt = self.attempt.saturating_add(1).min(ATTEMPTS_MAX);
        }
    }

    fn correct(&mut self, milestone: Milestone, at: Timestamp) {
        let newest = self.mission.as_ref().map(|m| m.assignment.mission);
        let reached = self.milestones.iter_mut().rev().find(|reached| {
            reached.milestone == milestone && Some(reached.mission) == newest && reached.inferred
        });
        if let Some(reached) = reached {
            reached.at = at;
            reached.inferred = false;
        }
    }
}

/// The mission that an event continues. A new mission's assignment continues none.
const fn mission_of(event: &DeliveryEvent) -> Option<MissionId> {
    match event {
        DeliveryEvent::DroneUnassigned { mission, .. }
        | DeliveryEvent::HeadedToPickup { mission }
        | DeliveryEvent::ArrivedAtPickup { mission }
        | DeliveryEvent::PickedUp { mission, .. }
        | DeliveryEvent::InTransit { mission }
        | DeliveryEvent::ArrivedAtDropoff { mission, .. }
        | DeliveryEvent::DeliveryComplete { mission, .. }
        | DeliveryEvent::AttemptFailed { mission, .. }
        | DeliveryEvent::ReturnStarted { mission, .. }
        | DeliveryEvent::ArrivedAtHub { mission, .. }
        | DeliveryEvent::Returned { mission }
        | DeliveryEvent::Failed { mission, .. } => Some(*mission),
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::DroneAssigned(_)
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::Cancelled
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::DeadlineMissed { .. } => None,
    }
}

/// The step whose time an event tells.
const fn milestone_of(event: &DeliveryEvent) -> Option<Milestone> {
    match event {
        DeliveryEvent::DroneAssigned(_) => Some(Milestone::Assigned),
        DeliveryEvent::HeadedToPickup { .. } => Some(Milestone::HeadedToPickup),
        DeliveryEvent::ArrivedAtPickup { .. } => Some(Milestone::ArrivedAtPickup),
        DeliveryEvent::PickedUp { .. } => Some(Milestone::PickedUp),
        DeliveryEvent::InTransit { .. } => Some(Milestone::InTransit),
        DeliveryEvent::ArrivedAtDropoff { .. } => Some(Milestone::ArrivedAtDropoff),
        DeliveryEvent::DeliveryComplete { .. } => Some(Milestone::Completed),
        DeliveryEvent::ReturnStarted { .. } => Some(Milestone::ReturnStarted),
        DeliveryEvent::ArrivedAtHub { .. } => Some(Milestone::ArrivedAtHub),
        DeliveryEvent::Returned { .. } => Some(Milestone::Returned),
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::DroneUnassigned { .. }
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::Cancelled
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::Failed { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::DeadlineMissed { .. } => None,
    }
}

/// The state diagram: where an event leads from a phase, if it leads anywhere.
fn next_phase(phase: Phase, event: &DeliveryEvent) -> Option<Phase> {
    match event {
        DeliveryEvent::Scheduled => (phase == Phase::Pending).then_some(Phase::Scheduled),
        DeliveryEvent::DroneAssigned(_) => holder_of_waiting(phase).map(|holder| {
            let stage = FetchStage::Assigned;
            Phase::Fetching { stage, holder }
        }),
        DeliveryEvent::DroneUnassigned { .. } => fetching(phase).map(|(_, holder)| match holder {
            Holder::Sender => Phase::Scheduled,
            Holder::Hub => Phase::AtHub,
        }),
        DeliveryEvent::HeadedToPickup { .. } => fetched_further(phase, FetchStage::HeadedToPickup),
        DeliveryEvent::ArrivedAtPickup { .. } => fetched_further(phase, FetchStage::AtPickup),
        DeliveryEvent::PickedUp { .. } => {
            fetching(phase).map(|_| Phase::Carrying(CarryStage::Loaded))
        }
        DeliveryEvent::InTransit { .. } => carried_further(phase, CarryStage::InTransit),
        DeliveryEvent::ArrivedAtDropoff { .. } => carried_further(phase, CarryStage::AtDropoff),
        DeliveryEvent::DeliveryComplete { .. } => {
            (phase.custody() == Custody::Drone).then_some(Phase::Complete)
        }
        DeliveryEvent::ReturnStarted { .. } => carrying(phase).map(|_| Phase::Returning),
        DeliveryEvent::ArrivedAtHub { .. } => (phase == Phase::Returning).then_some(Phase::AtHub),
        DeliveryEvent::Returned { .. } => {
            (phase == Phase::Returning || phase == Phase::AtHub).then_some(Phase::Returned)
        }
        DeliveryEvent::CancellationRequested { .. } => {
            stage_to_cancel(phase).map(|stage| Phase::Cancelling { stage })
        }
        DeliveryEvent::Cancelled => cancelling(phase).map(|_| Phase::Cancelled),
        DeliveryEvent::CancellationRejected { .. } => cancelling(phase).map(|stage| {
            let holder = Holder::Sender;
            Phase::Fetching { stage, holder }
        }),
        DeliveryEvent::Failed { reason, .. } => {
            may_fail(phase, *reason).then_some(Phase::Failed(*reason))
        }
        DeliveryEvent::Rejected { reason } => {
            // Whether a drone ever had it is the decision's to look at.
            (phase == Phase::Pending || phase == Phase::Scheduled)
                .then_some(Phase::Rejected(*reason))
        }
        DeliveryEvent::Created(_)
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::DeadlineMissed { .. } => None,
    }
}

fn holder_of_waiting(phase: Phase) -> Option<Holder> {
    if phase == Phase::Scheduled {
        Some(Holder::Sender)
    } else if phase == Phase::AtHub {
        Some(Holder::Hub)
    } else {
        None
    }
}

const fn fetching(phase: Phase) -> Option<(FetchStage, Holder)> {
    if let Phase::Fetching { stage, holder } = phase {
        Some((stage, holder))
    } else {
        None
    }
}

const fn cancelling(phase: Phase) -> Option<FetchStage> {
    if let Phase::Cancelling { stage } = phase {
        Some(stage)
    } else {
        None
    }
}

const fn carrying(phase: Phase) -> Option<CarryStage> {
    if let Phase::Carrying(stage) = phase {
        Some(stage)
    } else {
        None
    }
}

/// In Cancelling the drone still moves: only what is remembered of it advances.
fn fetched_further(phase: Phase, to: FetchStage) -> Option<Phase> {
    if let Some((_, holder)) = fetching(phase).filter(|(stage, _)| *stage < to) {
        return Some(Phase::Fetching { stage: to, holder });
    }
    cancelling(phase)
        .filter(|stage| *stage < to)
        .map(|_| Phase::Cancelling { stage: to })
}

fn carried_further(phase: Phase, to: CarryStage) -> Option<Phase> {
    carrying(phase)
        .filter(|stage| *stage < to)
        .map(|_| Phase::Carrying(to))
}

fn stage_to_cancel(phase: Phase) -> Option<FetchStage> {
    if phase == Phase::Pending || phase == Phase::Scheduled {
        // `Cancelled` follows in the same commit, so that nobody asks how far a drone is.
        return Some(FetchStage::Assigned);
    }
    fetching(phase)
        .filter(|(_, holder)| *holder == Holder::Sender)
        .map(|(stage, _)| stage)
}

fn may_fail(phase: Phase, reason: Failure) -> bool {
    match reason {
        Failure::NoDrone => phase == Phase::Scheduled,
        Failure::Undeliverable => phase == Phase::AtHub,
        Failure::DroneLost | Failure::PackageLost | Failure::Damaged | Failure::Misdelivered => {
            let custody = phase.custody();
            custody == Custody::Drone || (custody == Custody::Hub && !phase.status().is_terminal())
        }
    }
}
