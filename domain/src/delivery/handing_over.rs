//! Who took the package: what people and the scheduling process say of it. One function per
//! command, guards first.

use super::command::DeliveryRejection;
use super::diagram::release;
use super::ending::wrong_status;
use super::event::DeliveryEvent;
use super::phase::{CarryStage, Phase, Release};
use super::state::Delivery;
use super::vocabulary::{Confirmation, ReleaseEvidence};
use crate::decider::Occurrence;
use crate::id::{MissionId, ProofHash};
use crate::text::Comment;
use crate::time::Timestamp;

type Decision = Result<Vec<Occurrence<DeliveryEvent>>, DeliveryRejection>;

/// Takes note of a proof, once. It completes the delivery if the package was let go before.
pub(super) fn confirm(
    kind: Confirmation,
    proof: &ProofHash,
    now: Timestamp,
    delivery: &Delivery,
) -> Decision {
    if let Some(confirmed) = &delivery.confirmed {
        return if (confirmed.kind, &confirmed.proof) == (kind, proof) {
            Ok(vec![])
        } else {
            Err(wrong_status(
                delivery,
                "confirmed",
                "it was confirmed otherwise before; read how",
            ))
        };
    }
    let possible = match delivery.phase {
        Phase::Carrying(CarryStage::InTransit | CarryStage::AtDropoff) | Phase::Released(_) => {
            let required = delivery.order.confirmation;
            if kind < required {
                return Err(DeliveryRejection::ConfirmationTooWeak { required });
            }
            let proof = proof.clone();
            let mut events = vec![Occurrence::new(
                DeliveryEvent::Confirmed { kind, proof },
                now,
            )];
            events.extend(completed_by(delivery, now));
            return Ok(events);
        }
        Phase::Pending
        | Phase::Scheduled
        | Phase::Fetching { .. }
        | Phase::Carrying(CarryStage::Loaded)
        | Phase::AtHub => "it is confirmed when a drone brings the package; wait for it",
        Phase::Returning => "the package is on its way back; wait for the outcome",
        Phase::Cancelling { .. } => "it is being cancelled; wait for the outcome",
        Phase::Complete
        | Phase::Returned
        | Phase::Cancelled
        | Phase::Rejected(_)
        | Phase::Failed(_) => "its life is over; read its outcome",
    };
    Err(wrong_status(delivery, "confirmed", possible))
}

/// The end of a delivery whose package was let go, now that it is confirmed: as of the later of both.
pub(super) fn completed_by(
    delivery: &Delivery,
    confirmed_at: Timestamp,
) -> Option<Occurrence<DeliveryEvent>> {
    let release = release(delivery.phase)?;
    let mission = newest(delivery)?;
    let complete = complete(mission, Some(release));
    Some(Occurrence::new(complete, release.at.max(confirmed_at)))
}

const fn complete(mission: MissionId, release: Option<Release>) -> DeliveryEvent {
    match release {
        Some(release) => DeliveryEvent::DeliveryComplete {
            mission,
            method: Some(release.method),
            evidence: release.evidence,
            distance: Some(release.distance),
        },
        None => DeliveryEvent::DeliveryComplete {
            mission,
            method: None,
            evidence: Some(ReleaseEvidence::Manual),
            distance: None,
        },
    }
}

fn newest(delivery: &Delivery) -> Option<MissionId> {
    delivery.mission.as_ref().map(|it| it.assignment.mission)
}

/// Notes that nobody confirmed in time.
pub(super) fn overdue(now: Timestamp, delivery: &Delivery) -> Vec<Occurrence<DeliveryEvent>> {
    match delivery.released_unconfirmed_since() {
        Some(_) => vec![Occurrence::new(DeliveryEvent::ConfirmationOverdue, now)],
        None => vec![],
    }
}

/// Completes a delivery by an operator's word.
pub(super) fn vouch(reason: &Comment, now: Timestamp, delivery: &Delivery) -> Decision {
    let possible = match (delivery.phase, newest(delivery)) {
        (Phase::Carrying(_) | Phase::Returning | Phase::Released(_), Some(mission)) => {
            let reason = reason.clone();
            let release = release(delivery.phase);
            return Ok(vec![
                Occurrence::new(DeliveryEvent::Vouched { reason }, now),
                Occurrence::new(complete(mission, release), now),
            ]);
        }
        (
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::AtHub
            | Phase::Carrying(_)
            | Phase::Returning
            | Phase::Released(_)
            | Phase::Cancelling { .. },
            _,
        ) => "no drone has the package; wait until one brings it",
        (Phase::Cancelled | Phase::Failed(_), _) => "its life is over; reopen it first",
        (Phase::Complete | Phase::Returned | Phase::Rejected(_), _) => {
            "its life is over; read its outcome"
        }
    };
    Err(wrong_status(delivery, "completed", possible))
}
