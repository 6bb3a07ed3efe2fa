//! The state diagram: where an event leads from a phase, if it leads anywhere.

use super::event::DeliveryEvent;
use super::phase::Custody;
use super::phase::{CarryStage, FetchStage, Holder, Phase, Release};
use super::vocabulary::{Failure, ReopenedAs};
use crate::decider::Occurrence;

/// The state diagram: where an event leads from a phase, if it leads anywhere.
pub(super) fn next_phase(phase: Phase, occurrence: &Occurrence<DeliveryEvent>) -> Option<Phase> {
    match &occurrence.event {
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
        DeliveryEvent::DeliveryComplete { .. } => phase.is_out().then_some(Phase::Complete),
        DeliveryEvent::ReturnStarted { .. } => carrying(phase).map(|_| Phase::Returning),
        DeliveryEvent::ArrivedAtHub { .. } => (phase == Phase::Returning).then_some(Phase::AtHub),
        DeliveryEvent::Returned { .. } => {
            // A drone turns round before; by an operator's word it need not have.
            phase.has_left_sender().then_some(Phase::Returned)
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
        DeliveryEvent::Released {
            mission: _,
            method,
            evidence,
            distance,
        } => has_drone(phase).then_some(Phase::Released(Release {
            method: *method,
            evidence: *evidence,
            distance: *distance,
            at: occurrence.event_time,
            told_at: occurrence.recorded_at,
            overdue: false,
        })),
        DeliveryEvent::ConfirmationOverdue => overdue(phase),
        DeliveryEvent::Reopened { to, .. } => reopened(phase, *to),
        DeliveryEvent::Created(_)
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => None,
    }
}

/// Who has a package that waits for a drone, in a phase in which one may be assigned.
pub(super) fn holder_of_waiting(phase: Phase) -> Option<Holder> {
    if phase == Phase::Scheduled {
        Some(Holder::Sender)
    } else if phase == Phase::AtHub {
        Some(Holder::Hub)
    } else {
        None
    }
}

pub(super) const fn release(phase: Phase) -> Option<Release> {
    if let Phase::Released(release) = phase {
        Some(release)
    } else {
        None
    }
}

fn has_drone(phase: Phase) -> bool {
    phase.custody() == Custody::Drone
}

fn overdue(phase: Phase) -> Option<Phase> {
    let release = release(phase).filter(|release| !release.overdue)?;
    Some(Phase::Released(Release {
        overdue: true,
        ..release
    }))
}

fn reopened(phase: Phase, to: ReopenedAs) -> Option<Phase> {
    matches!(phase, Phase::Cancelled | Phase::Failed(_)).then_some(match to {
        ReopenedAs::InTransit => Phase::Carrying(CarryStage::InTransit),
        ReopenedAs::Returning => Phase::Returning,
        ReopenedAs::AtHub => Phase::AtHub,
    })
}

pub(super) const fn fetching(phase: Phase) -> Option<(FetchStage, Holder)> {
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
        Failure::NoDrone => {
            phase == Phase::Scheduled
                || fetching(phase).is_some_and(|(_, holder)| holder == Holder::Sender)
        }
        Failure::Undeliverable => phase.waits_at_hub(),
        Failure::DroneLost | Failure::PackageLost | Failure::Damaged | Failure::Misdelivered => {
            phase.has_left_sender()
        }
    }
}
