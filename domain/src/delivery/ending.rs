//! How a delivery ends otherwise than by its drone's doing, and how its life goes on after that.
//! One function per command, guards first.

use super::command::{Correct, DeliveryRejection};
use super::event::DeliveryEvent;
use super::handing_over::taken_unheard;
use super::phase::{Custody, Holder, Phase};
use super::possible::wrong_status;
use super::state::{CORRECTIONS_MAX, Delivery, REOPENINGS_MAX};
use super::vocabulary::{Failure, RejectReason, ReopenCause, ReopenedAs, ReturnReason, Stranding};
use crate::decider::Occurrence;
use crate::text::Comment;
use crate::time::Timestamp;

type Decision = Result<Vec<Occurrence<DeliveryEvent>>, DeliveryRejection>;

/// Refuses a booking that no drone was ever given.
pub(super) fn reject(reason: RejectReason, now: Timestamp, delivery: &Delivery) -> Decision {
    let waits = matches!(delivery.phase, Phase::Pending | Phase::Scheduled);
    if waits && delivery.epoch == 0 {
        let rejected = DeliveryEvent::Rejected { reason };
        return Ok(vec![Occurrence::new(rejected, now)]);
    }
    if matches!(delivery.phase, Phase::Rejected(_)) {
        return Ok(vec![]);
    }
    Err(wrong_status(delivery, "rejected"))
}

/// Gives up a delivery that waits in vain, be the package still with the sender or at a hub, or
/// that somebody looks after in vain; by an operator's word if there is a reason. What is being
/// cancelled is cancelled by that word, unless its drone is said to have the package.
pub(super) fn give_up(reason: Option<&Comment>, now: Timestamp, delivery: &Delivery) -> Decision {
    if given_up_before(delivery.phase) {
        return Ok(vec![]);
    }
    // Without a mission there is nothing that failed: it can be cancelled.
    let mission = delivery.newest();
    let (Some(mission), Some(end)) = (mission, delivery.end_if_given_up()) else {
        return Err(wrong_status(delivery, "given up"));
    };
    let reason = reason.cloned();
    let given_up = reason.map(|reason| DeliveryEvent::GivenUp { reason });
    let (taken, ended) = match end {
        GivenUpAs::Cancelled => (vec![], DeliveryEvent::Cancelled),
        GivenUpAs::Failed(reason) => {
            let is_lost = reason == Failure::PackageLost;
            let taken = is_lost.then(|| taken_unheard(mission, now, delivery));
            let failed = DeliveryEvent::Failed { mission, reason };
            (taken.unwrap_or_default(), failed)
        }
    };
    let ends = given_up.into_iter().chain([ended]);
    let ends = ends.map(|event| Occurrence::new(event, now));
    Ok(taken.into_iter().chain(ends).collect())
}

fn given_up_before(phase: Phase) -> bool {
    let ends = [
        Failure::NoDrone,
        Failure::Undeliverable,
        Failure::PackageLost,
    ];
    ends.map(Phase::Failed).contains(&phase)
}

/// How a delivery ends that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUpAs {
    /// It was being cancelled, and nothing says that its drone has the package.
    Cancelled,
    /// It failed.
    Failed(Failure),
}

impl Delivery {
    /// How it ends if it is given up now; not at all while there is another way on: a booking can
    /// be cancelled, a drone that has the package can be asked to bring it back.
    pub(super) fn end_if_given_up(&self) -> Option<GivenUpAs> {
        let failure = match self.phase {
            Phase::Scheduled => self.mission.as_ref().map(|_| Failure::NoDrone),
            Phase::Fetching { .. } | Phase::Cancelling { .. } if self.is_left_with_newest() => {
                Some(Failure::PackageLost)
            }
            Phase::Cancelling { .. } => {
                return self.needs_somebody().then_some(GivenUpAs::Cancelled);
            }
            Phase::AtHub
            | Phase::Fetching {
                holder: Holder::Hub,
                ..
            } => Some(Failure::Undeliverable),
            Phase::Fetching {
                holder: Holder::Sender,
                ..
            } => self.needs_somebody().then_some(Failure::NoDrone),
            Phase::Carrying(_) | Phase::Released(_) | Phase::Returning => {
                self.needs_somebody().then_some(Failure::PackageLost)
            }
            Phase::Pending
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => None,
        };
        failure.map(GivenUpAs::Failed)
    }
}

/// Ends a delivery whose package lies damaged at a hub: no drone is to fetch it from there.
pub(super) fn find_damaged(reason: &Comment, now: Timestamp, delivery: &Delivery) -> Decision {
    if delivery.phase == Phase::Failed(Failure::Damaged) {
        return Ok(vec![]);
    }
    let is_at_hub = delivery.phase.waits_at_hub();
    let mission = delivery.newest().filter(|_| is_at_hub);
    let mission = mission.ok_or_else(|| wrong_status(delivery, "given up as damaged"))?;
    let (given_up, reason) = (reason.clone(), Failure::Damaged);
    let events = [
        DeliveryEvent::GivenUp { reason: given_up },
        DeliveryEvent::Failed { mission, reason },
    ];
    Ok(events.map(|event| Occurrence::new(event, now)).to_vec())
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
    match (delivery.phase, delivery.newest()) {
        (Phase::Carrying(_), Some(mission)) => {
            let reason = ReturnReason::Requested;
            let started = DeliveryEvent::ReturnStarted { mission, reason };
            // It is asked to: that it did, and when, its drone tells.
            Ok(vec![Occurrence::inferred(started, now)])
        }
        (Phase::Returning | Phase::Returned, _) => Ok(vec![]),
        (
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::AtHub
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_),
            _,
        ) => Err(wrong_status(delivery, "returned")),
    }
}

/// Lets a life go on that ended, if a drone was part of it. That drone's mission is over: unless
/// the package is at a hub, where another one may be sent for it, somebody has to look after it.
pub(super) fn reopen(
    to: ReopenedAs,
    reason: &Comment,
    now: Timestamp,
    delivery: &Delivery,
) -> Decision {
    let is_over = matches!(delivery.phase, Phase::Cancelled | Phase::Failed(_));
    if !is_over || delivery.mission.is_none() {
        return Err(wrong_status(delivery, "reopened"));
    }
    if delivery.reopenings >= REOPENINGS_MAX {
        return Err(DeliveryRejection::ReopenedTooOften);
    }
    let reopened = DeliveryEvent::Reopened {
        cause: ReopenCause::Operator,
        to,
        reason: Some(reason.clone()),
    };
    let stranded = match to {
        ReopenedAs::InTransit | ReopenedAs::Returning => Some(DeliveryEvent::Stranded {
            place: Stranding::OnBoard,
        }),
        ReopenedAs::AtHub => None,
    };
    let events = [reopened].into_iter().chain(stranded);
    Ok(events.map(|event| Occurrence::new(event, now)).collect())
}

/// Puts right what is said of an end.
pub(super) fn correct(correct: &Correct, delivery: &Delivery) -> Decision {
    if !delivery.status().is_terminal() {
        return Err(wrong_status(delivery, "corrected"));
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
