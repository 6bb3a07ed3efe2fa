//! What becomes of a delivery that is refused, that no drone comes for, or that is late: what the
//! scheduling process finds out. One function per command, guards first.

use super::command::DeliveryRejection;
use super::event::DeliveryEvent;
use super::state::{Delivery, Phase};
use super::vocabulary::{Failure, RejectReason};
use crate::decider::Occurrence;
use crate::time::Timestamp;

type Decision = Result<Vec<Occurrence<DeliveryEvent>>, DeliveryRejection>;

/// Refuses a booking that no drone was ever given.
pub(super) fn reject(reason: RejectReason, now: Timestamp, delivery: &Delivery) -> Decision {
    let possible = match delivery.phase {
        Phase::Pending => None,
        Phase::Scheduled if delivery.epoch == 0 => None,
        Phase::Rejected(_) => return Ok(vec![]),
        Phase::Scheduled => Some("a drone had it once; give it up"),
        Phase::Fetching { .. } => Some("a drone has it; cancel it, or wait"),
        Phase::Carrying(_) | Phase::Returning | Phase::AtHub => {
            Some("the package has left the sender; wait for the outcome")
        }
        Phase::Cancelling { .. } => Some("it is being cancelled; wait for the outcome"),
        Phase::Complete | Phase::Returned | Phase::Cancelled | Phase::Failed(_) => {
            Some("its life is over; read its outcome")
        }
    };
    match possible {
        None => Ok(vec![Occurrence::new(
            DeliveryEvent::Rejected { reason },
            now,
        )]),
        Some(possible) => Err(wrong_status(delivery, "rejected", possible)),
    }
}

/// Gives up a delivery that waits in vain for another drone, be the package still with the
/// sender or at a hub.
pub(super) fn give_up(now: Timestamp, delivery: &Delivery) -> Decision {
    let newest = delivery.mission.as_ref().map(|it| it.assignment.mission);
    let failed = |mission, reason| {
        let failed = DeliveryEvent::Failed { mission, reason };
        Ok(vec![Occurrence::new(failed, now)])
    };
    let possible = match (delivery.phase, newest) {
        (Phase::Scheduled, Some(newest)) => return failed(newest, Failure::NoDrone),
        (Phase::AtHub, Some(newest)) => return failed(newest, Failure::Undeliverable),
        (Phase::Failed(Failure::NoDrone | Failure::Undeliverable), _) => return Ok(vec![]),
        (Phase::Pending | Phase::Scheduled | Phase::AtHub, _) => "no drone ever had it; reject it",
        (
            Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Returning
            | Phase::Cancelling { .. },
            _,
        ) => "a drone is under way; wait for the outcome",
        (
            Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(
                Failure::DroneLost
                | Failure::PackageLost
                | Failure::Damaged
                | Failure::Misdelivered,
            ),
            _,
        ) => "its life is over; read its outcome",
    };
    Err(wrong_status(delivery, "given up", possible))
}

/// Notes that a delivery did not come in time, once for each deadline. It happened at the
/// deadline, whenever it is noted.
pub(super) fn miss_deadline(now: Timestamp, delivery: &Delivery) -> Vec<Occurrence<DeliveryEvent>> {
    let missed = delivery
        .order
        .plan
        .deliver_by
        .filter(|deliver_by| *deliver_by <= now);
    match missed {
        Some(deliver_by) if !delivery.status().is_terminal() && !delivery.deadline_missed => {
            let event = DeliveryEvent::DeadlineMissed { deliver_by };
            vec![Occurrence::new(event, deliver_by)]
        }
        Some(_) | None => vec![],
    }
}

const fn wrong_status(
    delivery: &Delivery,
    attempted: &'static str,
    possible: &'static str,
) -> DeliveryRejection {
    DeliveryRejection::WrongStatus {
        status: delivery.status(),
        attempted,
        possible,
    }
}
