//! How a delivery ends otherwise than by its drone's doing, and how its life goes on after that.
//! One function per command, guards first.

use super::command::{Correct, DeliveryRejection};
use super::event::DeliveryEvent;
use super::phase::{Custody, Holder, Phase};
use super::state::{CORRECTIONS_MAX, Delivery, REOPENINGS_MAX};
use super::vocabulary::{Failure, RejectReason, ReopenCause, ReopenedAs, ReturnReason, Stranding};
use crate::decider::Occurrence;
use crate::id::MissionId;
use crate::text::Comment;
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
        Phase::Carrying(_) | Phase::Released(_) | Phase::Returning | Phase::AtHub => {
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

/// Gives up a delivery that waits in vain, be the package still with the sender or at a hub; by an
/// operator's word if there is a reason. What is being cancelled is cancelled by that word, if it
/// was waited for its drone as long as anybody waits.
pub(super) fn give_up(reason: Option<&Comment>, now: Timestamp, delivery: &Delivery) -> Decision {
    let newest = delivery.mission.as_ref().map(|it| it.assignment.mission);
    let possible = match (delivery.phase, newest) {
        (Phase::Cancelling { .. }, _) if delivery.needs_somebody() => {
            let Some(reason) = reason.cloned() else {
                return Err(wrong_status(delivery, "given up", "say why"));
            };
            let given_up = [DeliveryEvent::GivenUp { reason }, DeliveryEvent::Cancelled];
            return Ok(given_up.map(|event| Occurrence::new(event, now)).to_vec());
        }
        (Phase::Scheduled, Some(newest)) => {
            return Ok(given_up(reason, (newest, Failure::NoDrone), now));
        }
        (Phase::AtHub, Some(newest)) => {
            return Ok(given_up(reason, (newest, Failure::Undeliverable), now));
        }
        (Phase::Failed(Failure::NoDrone | Failure::Undeliverable), _) => return Ok(vec![]),
        (Phase::Pending | Phase::Scheduled | Phase::AtHub, _) => "no drone ever had it; reject it",
        (
            Phase::Fetching { .. } | Phase::Carrying(_) | Phase::Released(_) | Phase::Returning,
            _,
        ) => "a drone is under way; wait for the outcome",
        (Phase::Cancelling { .. }, _) => "its drone is asked to turn round; wait for its answer",
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

/// Ends a delivery whose package lies damaged at a hub: no drone is to fetch it from there.
pub(super) fn find_damaged(reason: &Comment, now: Timestamp, delivery: &Delivery) -> Decision {
    let newest = delivery.mission.as_ref().map(|it| it.assignment.mission);
    let possible = match (delivery.phase, newest) {
        (Phase::AtHub, Some(newest)) => {
            return Ok(given_up(Some(reason), (newest, Failure::Damaged), now));
        }
        (Phase::Failed(Failure::Damaged), _) => return Ok(vec![]),
        (
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching {
                holder: Holder::Sender,
                ..
            }
            | Phase::Cancelling { .. }
            | Phase::AtHub,
            _,
        ) => "the sender has the package still; cancel it",
        (
            Phase::Fetching {
                holder: Holder::Hub,
                ..
            }
            | Phase::Carrying(_)
            | Phase::Returning,
            _,
        ) => "a drone is under way; wait until the package is at a hub",
        (Phase::Released(_), _) => "the package was let go; confirm it",
        (
            Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(
                Failure::DroneLost
                | Failure::PackageLost
                | Failure::Misdelivered
                | Failure::Undeliverable
                | Failure::NoDrone,
            ),
            _,
        ) => "its life is over; put right what is said of it",
    };
    Err(wrong_status(delivery, "given up as damaged", possible))
}

/// That it failed, and before that why, if an operator says so.
fn given_up(
    reason: Option<&Comment>,
    (mission, failure): (MissionId, Failure),
    now: Timestamp,
) -> Vec<Occurrence<DeliveryEvent>> {
    let given_up = reason
        .cloned()
        .map(|reason| DeliveryEvent::GivenUp { reason });
    let failed = DeliveryEvent::Failed {
        mission,
        reason: failure,
    };
    let events = given_up.into_iter().chain([failed]);
    events.map(|event| Occurrence::new(event, now)).collect()
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

/// Notes that nobody comes for the package by themselves, once.
pub(super) fn strand(now: Timestamp, delivery: &Delivery) -> Vec<Occurrence<DeliveryEvent>> {
    let on_board = delivery.left_on_board_since().map(|_| Stranding::OnBoard);
    let at_hub = delivery.is_left_at_hub().then_some(Stranding::AtHub);
    let is_with_sender = delivery.custody() == Custody::Sender;
    let under_way = delivery.is_left_to_drone().then_some(if is_with_sender {
        Stranding::WithSender
    } else {
        Stranding::UnderWay
    });
    let stranded = on_board.or(at_hub).or(under_way).map(|place| {
        let stranded = DeliveryEvent::Stranded { place };
        Occurrence::new(stranded, now)
    });
    stranded.into_iter().collect()
}

/// Turns a drone round that brings the package.
pub(super) fn request_return(now: Timestamp, delivery: &Delivery) -> Decision {
    let newest = delivery.mission.as_ref().map(|it| it.assignment.mission);
    let possible = match (delivery.phase, newest) {
        (Phase::Carrying(_), Some(mission)) => {
            let reason = ReturnReason::Requested;
            let started = DeliveryEvent::ReturnStarted { mission, reason };
            // It is asked to: that it did, and when, its drone tells.
            return Ok(vec![Occurrence::inferred(started, now)]);
        }
        (Phase::Returning | Phase::Returned, _) => return Ok(vec![]),
        (Phase::Released(_), _) => "the package was let go; confirm it",
        (
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching {
                holder: Holder::Sender,
                ..
            }
            | Phase::Carrying(_),
            _,
        ) => "the sender has the package still; cancel it",
        (
            Phase::Fetching {
                holder: Holder::Hub,
                ..
            }
            | Phase::AtHub,
            _,
        ) => "the package is at a hub; wait for the outcome",
        (Phase::Cancelling { .. }, _) => "it is being cancelled; wait for the outcome",
        (Phase::Complete | Phase::Cancelled | Phase::Rejected(_) | Phase::Failed(_), _) => {
            "its life is over; read its outcome"
        }
    };
    Err(wrong_status(delivery, "returned", possible))
}

/// Lets a life go on that ended, if a drone was part of it.
pub(super) fn reopen(
    to: ReopenedAs,
    reason: &Comment,
    now: Timestamp,
    delivery: &Delivery,
) -> Decision {
    let possible = match delivery.phase {
        Phase::Cancelled | Phase::Failed(_) if delivery.mission.is_some() => {
            if delivery.reopenings >= REOPENINGS_MAX {
                return Err(DeliveryRejection::ReopenedTooOften);
            }
            let reopened = DeliveryEvent::Reopened {
                cause: ReopenCause::Operator,
                to,
                reason: Some(reason.clone()),
            };
            return Ok(vec![Occurrence::new(reopened, now)]);
        }
        Phase::Cancelled | Phase::Failed(_) | Phase::Rejected(_) => {
            "no drone was ever part of it; order a new delivery"
        }
        Phase::Complete | Phase::Returned => "the package arrived; put right what is said of it",
        Phase::Pending
        | Phase::Scheduled
        | Phase::Fetching { .. }
        | Phase::Carrying(_)
        | Phase::Released(_)
        | Phase::Returning
        | Phase::AtHub
        | Phase::Cancelling { .. } => "its life is not over; wait for the outcome",
    };
    Err(wrong_status(delivery, "reopened", possible))
}

/// Puts right what is said of an end.
pub(super) fn correct(correct: &Correct, delivery: &Delivery) -> Decision {
    if !delivery.status().is_terminal() {
        let possible = "its life is not over; wait for the outcome";
        return Err(wrong_status(delivery, "corrected", possible));
    }
    let mut said = delivery.corrections.iter().rev();
    let newest = said.find(|(what, _)| *what == correct.what);
    if newest.is_some_and(|(_, is)| *is == correct.now_is) {
        return Ok(vec![]);
    }
    if delivery.corrections.len() >= CORRECTIONS_MAX {
        return Err(DeliveryRejection::CorrectedTooOften);
    }
    let corrected = DeliveryEvent::Corrected {
        what: correct.what,
        was: correct.was.clone(),
        now: correct.now_is.clone(),
        reason: correct.reason.clone(),
    };
    Ok(vec![Occurrence::new(corrected, correct.now)])
}

pub(super) const fn wrong_status(
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
