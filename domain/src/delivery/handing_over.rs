//! Who took the package: what people and the scheduling process say of it. One function per
//! command, guards first.

use super::command::DeliveryRejection;
use super::diagram::release;
use super::event::DeliveryEvent;
use super::phase::{Phase, Release};
use super::possible::wrong_status;
use super::state::Delivery;
use super::vocabulary::{CancellationRefusal, Confirmation, ReleaseEvidence};
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
            Err(DeliveryRejection::ConfirmedOtherwise)
        };
    }
    if !delivery.is_confirmable() {
        return Err(wrong_status(delivery, "confirmed"));
    }
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
    Ok(events)
}

/// The end of a delivery whose package was let go, now that it is confirmed: as of the later of both.
pub(super) fn completed_by(
    delivery: &Delivery,
    confirmed_at: Timestamp,
) -> Option<Occurrence<DeliveryEvent>> {
    let release = release(delivery.phase)?;
    let mission = delivery.newest()?;
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

/// Notes that nobody confirmed in time.
pub(super) fn overdue(now: Timestamp, delivery: &Delivery) -> Vec<Occurrence<DeliveryEvent>> {
    match delivery.released_unconfirmed_since() {
        Some(_) => vec![Occurrence::new(DeliveryEvent::ConfirmationOverdue, now)],
        None => vec![],
    }
}

/// Completes a delivery by an operator's word, also where nothing is heard of the drone that was
/// to fetch the package.
pub(super) fn vouch(reason: &Comment, now: Timestamp, delivery: &Delivery) -> Decision {
    let mission = delivery
        .newest()
        .filter(|_| delivery.phase.has_live_mission());
    let mission = mission.ok_or_else(|| wrong_status(delivery, "completed"))?;
    let reason = reason.clone();
    let mut events = taken_unheard(mission, now, delivery);
    events.extend([
        Occurrence::new(DeliveryEvent::Vouched { reason }, now),
        Occurrence::new(complete(mission, release(delivery.phase)), now),
    ]);
    Ok(events)
}

/// What somebody's having the package, or having lost it, implies of a drone that was to fetch it
/// and did not tell.
pub(super) fn taken_unheard(
    mission: MissionId,
    now: Timestamp,
    delivery: &Delivery,
) -> Vec<Occurrence<DeliveryEvent>> {
    let why = CancellationRefusal::AlreadyPickedUp;
    let in_vain = matches!(delivery.phase, Phase::Cancelling { .. });
    let refused = in_vain.then_some(DeliveryEvent::CancellationRejected { why });
    let picked_up = DeliveryEvent::PickedUp {
        mission,
        tag: None,
        mass: None,
    };
    let is_untold = in_vain || matches!(delivery.phase, Phase::Fetching { .. });
    let refused = refused.map(|event| Occurrence::new(event, now));
    let picked_up = is_untold.then(|| Occurrence::inferred(picked_up, now));
    refused.into_iter().chain(picked_up).collect()
}

/// Ends a delivery by an operator's word that the sender has the package again, also where nothing
/// is heard of the drone that was to fetch it.
pub(super) fn hand_back(reason: &Comment, now: Timestamp, delivery: &Delivery) -> Decision {
    if delivery.phase == Phase::Returned {
        return Ok(vec![]);
    }
    let phase = delivery.phase;
    let may_have_left = phase.has_live_mission() || phase.waits_at_hub();
    let mission = delivery.newest().filter(|_| may_have_left);
    let mission = mission.ok_or_else(|| wrong_status(delivery, "handed back"))?;
    let reason = reason.clone();
    // From a hub they may have fetched it themselves.
    let mut events = if phase.waits_at_hub() {
        vec![]
    } else {
        taken_unheard(mission, now, delivery)
    };
    events.extend([
        Occurrence::new(DeliveryEvent::HandedBack { reason }, now),
        Occurrence::new(DeliveryEvent::Returned { mission }, now),
    ]);
    Ok(events)
}
