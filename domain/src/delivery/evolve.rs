//! What a delivery is after an event.
//!
//! Nothing is decided here: an event that makes no sense in a state leaves it as
//! it is, whoever wrote it.

use super::condition::Condition;
use super::diagram::{fetching, next_phase};
use super::eta::Eta;
use super::event::{Assignment, DeliveryEvent, Order, Plan};
use super::phase::{Custody, FetchStage, Holder, Phase};
use super::state::{
    ANOMALIES_MAX, ATTEMPTS_MAX, CORRECTIONS_MAX, Confirmed, Delivery, Mission, Need, Reached,
};
use super::vocabulary::{
    Anomaly, AttemptFailure, Correction, Milestone, ReopenCause, ReopenedAs, ReturnReason,
    Stranding,
};
use crate::decider::Occurrence;
use crate::id::{FactId, MissionId};
use crate::text::Comment;
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
            kept_at_hub: false,
            deadline_missed: false,
            condition: Condition::Nominal,
            condition_before: Condition::Nominal,
            condition_beneath: Condition::Nominal,
            confirmed: None,
            need: Need::Nobody,
            eta: None,
            reopenings: 0,
            corrections: Vec::new(),
            milestones: Vec::new(),
            anomalies: Vec::new(),
        }
    }

    fn after(mut self, occurrence: &Occurrence<DeliveryEvent>) -> Self {
        let event = &occurrence.event;
        if mission_of(event).is_some_and(|mission| !self.is_newest(mission)) {
            return self;
        }
        // A life that no drone was ever part of has nothing to go on with.
        let goes_on = self.mission.is_some() || !matches!(event, DeliveryEvent::Reopened { .. });
        let next = next_phase(self.phase, occurrence).filter(|_| goes_on);
        if let Some(phase) = next {
            if let DeliveryEvent::DroneAssigned(assignment) = event {
                self.take_mission(assignment, occurrence.event_time);
            }
            if let DeliveryEvent::Reopened { cause, to, .. } = event {
                self.reopen(*cause, *to);
            }
            self.phase = phase;
            // A drone that comes for it, or does not come after all, moves nothing.
            self.kept_at_hub &= phase.custody() == Custody::Hub;
            self.reach(occurrence);
            self.get_on(event);
        }
        self.learn(occurrence, next.is_some());
        self
    }

    /// What an event tells beside the phase. `leads_on` says whether it leads to another one.
    fn learn(&mut self, occurrence: &Occurrence<DeliveryEvent>, leads_on: bool) {
        let at = occurrence.event_time;
        match &occurrence.event {
            DeliveryEvent::Rescheduled(plan) => self.replan(plan),
            DeliveryEvent::PickedUp { .. } if leads_on => {
                self.count();
                (self.returned_for, self.misloaded) = (None, false);
                self.eta = self.eta.map(|eta| Eta {
                    pickup_at: None,
                    ..eta
                });
            }
            DeliveryEvent::AttemptFailed { reason, .. } if self.phase.has_live_mission() => {
                self.count();
                // What was refused where it lay is no longer on the drone.
                self.misloaded |= *reason != AttemptFailure::Undeliverable
                    && self.phase.custody() == Custody::Drone;
            }
            DeliveryEvent::ReturnStarted { reason, .. } if leads_on => {
                self.returned_for = Some(*reason);
            }
            DeliveryEvent::DeadlineMissed { deliver_by } if !self.status().is_terminal() => {
                self.deadline_missed = self.order.plan.deliver_by == Some(*deliver_by);
            }
            DeliveryEvent::MilestoneTimeCorrected { milestone, now, .. } => {
                self.correct(*milestone, *now);
            }
            DeliveryEvent::AnomalyRecorded { fact, mission, why } => {
                self.remember((fact, *mission), *why, occurrence.recorded_at);
            }
            DeliveryEvent::Confirmed { kind, proof } if self.may_be_confirmed() => {
                let (kind, proof) = (*kind, proof.clone());
                self.confirmed = Some(Confirmed { kind, proof, at });
            }
            DeliveryEvent::ConditionChanged { condition, .. } => self.change(*condition),
            DeliveryEvent::ConfirmationOverdue if leads_on => self.want_somebody(),
            // It is known where the package went, and no drone has it any more.
            DeliveryEvent::Released { .. } if leads_on => self.need = Need::Nobody,
            DeliveryEvent::Stranded { place } => self.strand(*place),
            DeliveryEvent::EtaRevised {
                pickup_at,
                dropoff_at,
                ..
            } => self.expect((*pickup_at, *dropoff_at), at),
            DeliveryEvent::Corrected { what, now, .. } => self.note(*what, now),
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
            | DeliveryEvent::DeadlineMissed { .. }
            | DeliveryEvent::Confirmed { .. }
            | DeliveryEvent::Reopened { .. }
            | DeliveryEvent::Released { .. }
            | DeliveryEvent::ConfirmationOverdue
            | DeliveryEvent::GivenUp { .. }
            | DeliveryEvent::HandedBack { .. }
            | DeliveryEvent::Vouched { .. } => {}
        }
    }

    /// Whoever gets on is neither held up nor out of reach any more. That somebody cancels says
    /// nothing of the drone, and that nobody confirms nothing new.
    fn get_on(&mut self, event: &DeliveryEvent) {
        let says_nothing = matches!(
            event,
            DeliveryEvent::CancellationRequested { .. }
                | DeliveryEvent::CancellationRejected { .. }
                | DeliveryEvent::ConfirmationOverdue
        );
        if !says_nothing {
            self.condition = Condition::Nominal;
            self.condition_before = Condition::Nominal;
            self.condition_beneath = Condition::Nominal;
        }
        let is_expected = match self.phase {
            Phase::Fetching { .. } | Phase::Cancelling { .. } | Phase::Carrying(_) => true,
            Phase::Pending
            | Phase::Scheduled
            | Phase::Released(_)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => false,
        };
        self.eta = self.eta.filter(|_| is_expected);
        let is_attended =
            matches!(event, DeliveryEvent::ArrivedAtHub { .. }) || self.status().is_terminal();
        let is_over = match self.need {
            // Whatever comes next at a hub, somebody came.
            Need::SomebodyAtHub => true,
            // Its drone turned round, or has the package and does what is to be done with it.
            Need::SomebodyForDrone => matches!(
                event,
                DeliveryEvent::CancellationRejected { .. }
                    | DeliveryEvent::DroneUnassigned { .. }
                    | DeliveryEvent::ReturnStarted { .. }
            ),
            Need::Nobody | Need::News(_) | Need::Somebody => false,
        };
        if is_attended || is_over {
            self.need = Need::Nobody;
        }
    }

    fn change(&mut self, condition: Condition) {
        if !self.phase.has_live_mission() {
            return;
        }
        match condition {
            Condition::LinkLost => self.condition_before = self.condition,
            Condition::Holding(_) => {}
            Condition::Nominal | Condition::Delayed | Condition::Diverted => {
                self.condition_beneath = condition;
            }
            Condition::Emergency => {
                self.condition_beneath = condition;
                self.want_somebody();
            }
        }
        self.condition = condition;
    }

    fn strand(&mut self, place: Stranding) {
        match place {
            Stranding::OnBoard => self.want_somebody(),
            Stranding::AtHub => {
                if self.phase == Phase::AtHub && self.need == Need::Nobody {
                    self.need = Need::SomebodyAtHub;
                }
            }
            Stranding::WithSender | Stranding::UnderWay => {
                if self.is_left_to_drone() {
                    self.need = Need::SomebodyForDrone;
                }
            }
        }
    }

    fn want_somebody(&mut self) {
        self.need = if self.status().is_terminal() {
            Need::Nobody
        } else {
            Need::Somebody
        };
    }

    fn expect(
        &mut self,
        (pickup_at, dropoff_at): (Option<Timestamp>, Option<Timestamp>),
        at: Timestamp,
    ) {
        if !self.phase.has_live_mission() {
            return;
        }
        let is_known = pickup_at.is_some() || dropoff_at.is_some();
        self.eta = is_known.then_some(Eta {
            pickup_at,
            dropoff_at,
            computed_at: at,
        });
    }

    /// Whether a confirmation is the first one, and comes while the package may be handed over.
    pub(super) fn may_be_confirmed(&self) -> bool {
        self.phase.is_out() && self.confirmed.is_none()
    }

    fn reopen(&mut self, cause: ReopenCause, to: ReopenedAs) {
        self.kept_at_hub = cause == ReopenCause::Operator && to == ReopenedAs::AtHub;
        self.reopenings = self.reopenings.saturating_add(1);
        if self.phase == Phase::Cancelled {
            self.returned_for = Some(ReturnReason::Cancelled);
        }
        if cause == ReopenCause::PickedUp {
            self.count();
        }
    }

    fn note(&mut self, what: Correction, now: &Comment) {
        if self.status().is_terminal() && self.corrections.len() < CORRECTIONS_MAX {
            self.corrections.push((what, now.clone()));
        }
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

    /// Whether an anomaly is the first to say where the package was left.
    pub(super) fn is_news(&self, why: Anomaly) -> bool {
        let is_expected = self.phase.has_live_mission() && self.need == Need::Nobody;
        is_expected && why == Anomaly::EndedWithPackage
    }

    fn remember(
        &mut self,
        (fact, mission): (&FactId, MissionId),
        why: Anomaly,
        told_at: Timestamp,
    ) {
        if self.is_news(why) {
            self.need = Need::News(told_at);
        }
        if let Some(newest) = self.mission.as_mut() {
            let is_own = newest.assignment.mission == mission;
            newest.ended_with_package |= is_own && why == Anomaly::EndedWithPackage;
        }
        let told = (fact.clone(), mission);
        if self.anomalies.len() < ANOMALIES_MAX && !self.anomalies.contains(&told) {
            self.anomalies.push(told);
        }
    }

    fn take_mission(&mut self, assignment: &Assignment, at: Timestamp) {
        // Never down: the epoch grows whatever the event says.
        self.epoch = assignment.epoch.max(self.epoch.saturating_add(1));
        self.mission = Some(Mission {
            assignment: assignment.clone(),
            counted: false,
            ended_with_package: false,
        });
        self.confirmed = None;
        let (pickup_at, dropoff_at) = (assignment.eta_pickup, assignment.eta_dropoff);
        let is_known = pickup_at.is_some() || dropoff_at.is_some();
        self.eta = is_known.then_some(Eta {
            pickup_at,
            dropoff_at,
            computed_at: at,
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
            // It turned round by its own word.
            if milestone == Milestone::ReturnStarted && self.need == Need::SomebodyForDrone {
                self.need = Need::Nobody;
            }
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
        | DeliveryEvent::Failed { mission, .. }
        | DeliveryEvent::ConditionChanged { mission, .. }
        | DeliveryEvent::EtaRevised { mission, .. }
        | DeliveryEvent::Released { mission, .. } => Some(*mission),
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
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Reopened { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => None,
    }
}

/// The step whose time an event tells.
const fn milestone_of(event: &DeliveryEvent) -> Option<Milestone> {
    match event {
        DeliveryEvent::DroneAssigned(_) => Some(Milestone::Assigned),
        DeliveryEvent::HeadedToPickup { .. } => Some(Milestone::HeadedToPickup),
        DeliveryEvent::ArrivedAtPickup { .. } => Some(Milestone::ArrivedAtPickup),
        DeliveryEvent::PickedUp { .. }
        | DeliveryEvent::Reopened {
            cause: ReopenCause::PickedUp,
            ..
        } => Some(Milestone::PickedUp),
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
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Reopened { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Released { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => None,
    }
}
