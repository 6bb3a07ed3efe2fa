//! What follows from what people ask of a delivery. One function per command, guards first.

use super::command::DeliveryRejection;
use super::event::{DeliveryEvent, Order, Plan};
use super::phase::{FetchStage, Holder, Phase};
use super::possible::wrong_status;
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
        | Phase::Failed(_) => Err(wrong_status(delivery, "scheduled")),
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
    match delivery.phase {
        Phase::Pending
        | Phase::Scheduled
        | Phase::Fetching {
            stage: FetchStage::Assigned,
            holder: Holder::Sender,
        } => Ok(()),
        Phase::Fetching { .. }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::Returning
        | Phase::AtHub
        | Phase::Cancelling { .. }
        | Phase::Complete
        | Phase::Returned
        | Phase::Cancelled
        | Phase::Rejected(_)
        | Phase::Failed(_) => Err(wrong_status(delivery, "rescheduled")),
    }
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
    match delivery.phase {
        Phase::Pending | Phase::Scheduled => Ok(vec![
            requested,
            Occurrence::new(DeliveryEvent::Cancelled, now),
        ]),
        Phase::Fetching {
            stage: FetchStage::Assigned | FetchStage::HeadedToPickup | FetchStage::AtPickup,
            holder: Holder::Sender,
        } => Ok(vec![requested]),
        Phase::Cancelling { .. } | Phase::Cancelled => Ok(vec![]),
        Phase::Fetching {
            holder: Holder::Hub,
            ..
        }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::AtHub
        | Phase::Returning
        | Phase::Complete
        | Phase::Returned
        | Phase::Rejected(_)
        | Phase::Failed(_) => Err(wrong_status(delivery, "cancelled")),
    }
}
