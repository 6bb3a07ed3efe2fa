//! What follows from what people ask of a delivery. One function per command, guards first.

use super::command::DeliveryRejection;
use super::event::{DeliveryEvent, Order, Plan};
use super::phase::{FetchStage, Holder, Phase};
use super::state::{Delivery, RESCHEDULES_MAX};
use super::vocabulary::{CancelReason, UnassignReason};
use crate::decider::Occurrence;
use crate::text::Comment;
use crate::time::Timestamp;

type Decision = Result<Vec<Occurrence<DeliveryEvent>>, DeliveryRejection>;

/// Takes an order, or the same order once more.
pub(super) fn create(order: &Order, now: Timestamp, state: Option<&Delivery>) -> Decision {
    let order = order.in_stored_order();
    if let Some(delivery) = state {
        return if delivery.order == order {
            Ok(vec![])
        } else {
            Err(DeliveryRejection::AlreadyExists)
        };
    }
    in_time(&order.plan, now)?;
    Ok(vec![Occurrence::new(
        DeliveryEvent::Created(Box::new(order)),
        now,
    )])
}

fn in_time(plan: &Plan, now: Timestamp) -> Result<(), DeliveryRejection> {
    if let Some(window) = plan.pickup_window
        && window.not_after() <= now
    {
        let not_after = window.not_after();
        return Err(DeliveryRejection::WindowInPast { not_after });
    }
    match plan.deliver_by {
        Some(deliver_by) if deliver_by <= now => {
            Err(DeliveryRejection::DeadlineInPast { deliver_by })
        }
        Some(_) | None => Ok(()),
    }
}

/// Confirms a booking, once.
pub(super) fn schedule(now: Timestamp, delivery: &Delivery) -> Decision {
    match delivery.phase {
        Phase::Pending => Ok(vec![Occurrence::new(DeliveryEvent::Scheduled, now)]),
        Phase::Scheduled
        | Phase::Fetching { .. }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::Returning
        | Phase::AtHub => Ok(vec![]),
        Phase::Cancelling { .. }
        | Phase::Complete
        | Phase::Returned
        | Phase::Cancelled
        | Phase::Rejected(_)
        | Phase::Failed(_) => Err(DeliveryRejection::WrongStatus {
            status: delivery.status(),
            attempted: "scheduled",
            possible: "order a new delivery",
        }),
    }
}

/// Changes the plan while the sender has the package and no drone set out for it.
pub(super) fn reschedule(plan: &Plan, now: Timestamp, delivery: &Delivery) -> Decision {
    may_be_rescheduled(delivery)?;
    let former = &delivery.order.plan;
    if former == plan {
        return Ok(vec![]);
    }
    if delivery.revision >= RESCHEDULES_MAX {
        return Err(DeliveryRejection::RescheduledTooOften);
    }
    in_time(plan, now)?;
    let mut events = vec![Occurrence::new(
        DeliveryEvent::Rescheduled(Box::new(plan.clone())),
        now,
    )];
    // A drone that was sent is told nothing more about its mission: it would fly the old plan.
    if plan.flight() != former.flight()
        && let Some(mission) = delivery.live_mission()
    {
        events.push(Occurrence::new(
            DeliveryEvent::DroneUnassigned {
                mission: mission.assignment.mission,
                reason: UnassignReason::Replanned,
                detail: None,
            },
            now,
        ));
    }
    Ok(events)
}

fn may_be_rescheduled(delivery: &Delivery) -> Result<(), DeliveryRejection> {
    let possible = match delivery.phase {
        Phase::Pending
        | Phase::Scheduled
        | Phase::Fetching {
            stage: FetchStage::Assigned,
            holder: Holder::Sender,
        } => return Ok(()),
        Phase::Fetching {
            stage: FetchStage::HeadedToPickup | FetchStage::AtPickup,
            holder: Holder::Sender,
        } => "the drone has set out for the package; cancel it, or wait",
        Phase::Fetching {
            holder: Holder::Hub,
            ..
        }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::Returning
        | Phase::AtHub => "the package has left the sender; wait for the outcome",
        Phase::Cancelling { .. } => "it is being cancelled; order a new delivery",
        Phase::Complete
        | Phase::Returned
        | Phase::Cancelled
        | Phase::Rejected(_)
        | Phase::Failed(_) => "its life is over; order a new delivery",
    };
    Err(DeliveryRejection::WrongStatus {
        status: delivery.status(),
        attempted: "rescheduled",
        possible,
    })
}

/// Cancels while the sender has the package; at once if no drone has to be stood down.
pub(super) fn cancel(
    reason: CancelReason,
    comment: Option<&Comment>,
    now: Timestamp,
    delivery: &Delivery,
) -> Decision {
    let requested = Occurrence::new(
        DeliveryEvent::CancellationRequested {
            reason,
            comment: comment.cloned(),
        },
        now,
    );
    let possible = match delivery.phase {
        Phase::Pending | Phase::Scheduled => {
            return Ok(vec![
                requested,
                Occurrence::new(DeliveryEvent::Cancelled, now),
            ]);
        }
        Phase::Fetching {
            stage: FetchStage::Assigned | FetchStage::HeadedToPickup | FetchStage::AtPickup,
            holder: Holder::Sender,
        } => return Ok(vec![requested]),
        Phase::Cancelling { .. } | Phase::Cancelled => return Ok(vec![]),
        Phase::Fetching {
            holder: Holder::Hub,
            ..
        }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::AtHub => "the package has left the sender; wait for the outcome",
        Phase::Returning => "the package is on its way back; wait for the outcome",
        Phase::Complete | Phase::Returned | Phase::Rejected(_) | Phase::Failed(_) => {
            "its life is over; read its outcome"
        }
    };
    Err(DeliveryRejection::WrongStatus {
        status: delivery.status(),
        attempted: "cancelled",
        possible,
    })
}
