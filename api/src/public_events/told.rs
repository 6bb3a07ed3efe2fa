//! What is told of an event: the same to whoever reads the feed, a delivery's
//! history, or what is published.

use domain::actor::Actor;
use domain::delivery::{
    Assignment, Condition, Correction, DeliveryEvent, HoldReason, HubPlace, Order, Plan,
    ReleaseEvidence, ReleaseMethod, ReopenCause, ReopenedAs, UnassignReason,
};
use domain::id::{MissionId, Tag};
use domain::quantity::{DistanceM, MassG};
use domain::text::Comment;
use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::forms::{place, time, time_or_null, window};

/// What is told of every event, whatever happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// The how-manieth event of its stream it is, from 1.
    pub(crate) sequence: u64,
    /// When it happened.
    pub(crate) event_time: Timestamp,
    /// When it was recorded.
    pub(crate) recorded_at: Timestamp,
    /// Who acted, as recorded.
    pub(crate) actor: &'a str,
    /// What made it happen, if anything named did.
    pub(crate) caused_by: Option<&'a str>,
    /// Concluded from a later fact and not reported itself.
    pub(crate) inferred: bool,
}

impl Frame<'_> {
    /// The event, with its name and what it carries.
    pub(crate) fn around(&self, name: &str, data: Value) -> Value {
        let mut event = json!({
            "sequence": self.sequence,
            "type": name,
            "event_time": time(self.event_time),
            "recorded_at": time(self.recorded_at),
            "actor": actor(self.actor),
            "caused_by": self.caused_by.iter().collect::<Vec<_>>(),
            "inferred": self.inferred,
        });
        if let Value::Object(members) = &mut event {
            members.insert("data".to_owned(), data);
        }
        event
    }
}

/// Who acted, as recorded.
pub(crate) fn actor(text: &str) -> Value {
    text.parse::<Actor>().map_or(
        Value::Null,
        |actor| json!({ "kind": actor.kind.word(), "id": actor.id }),
    )
}

/// What an event carries beside its name.
pub(crate) fn data(event: &DeliveryEvent) -> Value {
    match event {
        DeliveryEvent::Created(order) => created(order),
        DeliveryEvent::Scheduled
        | DeliveryEvent::Cancelled
        | DeliveryEvent::ConfirmationOverdue => json!({}),
        DeliveryEvent::Rescheduled(rescheduled) => plan(rescheduled),
        DeliveryEvent::DroneAssigned(assignment) => assigned(assignment),
        DeliveryEvent::HeadedToPickup { mission }
        | DeliveryEvent::ArrivedAtPickup { mission }
        | DeliveryEvent::InTransit { mission }
        | DeliveryEvent::Returned { mission } => json!({ "mission_id": mission.to_string() }),
        DeliveryEvent::DroneUnassigned {
            mission,
            reason,
            detail,
        } => unassigned(*mission, *reason, detail.as_ref()),
        DeliveryEvent::PickedUp { mission, tag, mass } => picked_up(*mission, tag.as_ref(), *mass),
        DeliveryEvent::ArrivedAtDropoff { mission, distance } => arrived(*mission, *distance),
        DeliveryEvent::AttemptFailed { mission, reason } => reasoned(*mission, reason.word()),
        DeliveryEvent::ReturnStarted { mission, reason } => reasoned(*mission, reason.word()),
        DeliveryEvent::Failed { mission, reason } => reasoned(*mission, reason.word()),
        DeliveryEvent::ArrivedAtHub { mission, place } => at_hub(*mission, *place),
        DeliveryEvent::ConditionChanged { mission, condition } => does(*mission, *condition),
        DeliveryEvent::EtaRevised {
            mission,
            pickup_at,
            dropoff_at,
        } => expected(*mission, *pickup_at, *dropoff_at),
        DeliveryEvent::DeliveryComplete {
            mission,
            method,
            evidence,
            distance,
        } => let_go(*mission, *method, *evidence, *distance),
        DeliveryEvent::Released {
            mission,
            method,
            evidence,
            distance,
        } => let_go(*mission, Some(*method), *evidence, Some(*distance)),
        DeliveryEvent::CancellationRequested { reason, comment } => {
            json!({ "reason": reason.word(), "comment": words(comment.as_ref()) })
        }
        DeliveryEvent::CancellationRejected { why } => json!({ "why": why.word() }),
        DeliveryEvent::MilestoneTimeCorrected {
            milestone,
            was,
            now,
        } => json!({ "milestone": milestone.word(), "was": time(*was), "now": time(*now) }),
        DeliveryEvent::AnomalyRecorded { fact, mission, why } => {
            json!({ "drone_event": fact.to_string(), "mission_id": mission.to_string(), "why": why.word() })
        }
        DeliveryEvent::Rejected { reason } => json!({ "reason": reason.word() }),
        DeliveryEvent::DeadlineMissed { deliver_by } => json!({ "deliver_by": time(*deliver_by) }),
        DeliveryEvent::Confirmed { kind, proof } => {
            json!({ "kind": kind.word(), "proof_hash": proof.as_str() })
        }
        DeliveryEvent::Stranded { place } => json!({ "place": place.word() }),
        DeliveryEvent::Vouched { reason }
        | DeliveryEvent::GivenUp { reason }
        | DeliveryEvent::HandedBack { reason } => json!({ "reason": reason.as_str() }),
        DeliveryEvent::Reopened { cause, to, reason } => reopened(*cause, *to, reason.as_ref()),
        DeliveryEvent::Corrected {
            what,
            was,
            now,
            reason,
        } => corrected(*what, was.as_ref(), now, reason),
    }
}

fn at_hub(mission: MissionId, place: HubPlace) -> Value {
    json!({ "mission_id": mission.to_string(), "place": place.word() })
}

fn unassigned(mission: MissionId, reason: UnassignReason, detail: Option<&Comment>) -> Value {
    json!({
        "mission_id": mission.to_string(),
        "reason": reason.word(),
        "detail": words(detail),
    })
}

fn picked_up(mission: MissionId, tag: Option<&Tag>, mass: Option<MassG>) -> Value {
    json!({
        "mission_id": mission.to_string(),
        "tag": tag.map(Tag::as_str),
        "mass_g": mass.map(MassG::get),
    })
}

fn arrived(mission: MissionId, distance: Option<DistanceM>) -> Value {
    let distance_m = distance.map(DistanceM::get);
    json!({ "mission_id": mission.to_string(), "distance_m": distance_m })
}

fn reopened(cause: ReopenCause, to: ReopenedAs, reason: Option<&Comment>) -> Value {
    json!({ "cause": cause.word(), "to": to.word(), "reason": words(reason) })
}

fn does(mission: MissionId, condition: Condition) -> Value {
    json!({
        "mission_id": mission.to_string(),
        "condition": condition.word().word(),
        "hold_reason": condition.hold().map(HoldReason::word),
    })
}

fn expected(
    mission: MissionId,
    pickup_at: Option<Timestamp>,
    dropoff_at: Option<Timestamp>,
) -> Value {
    json!({
        "mission_id": mission.to_string(),
        "pickup_at": time_or_null(pickup_at),
        "dropoff_at": time_or_null(dropoff_at),
    })
}

fn let_go(
    mission: MissionId,
    method: Option<ReleaseMethod>,
    evidence: Option<ReleaseEvidence>,
    distance: Option<DistanceM>,
) -> Value {
    json!({
        "mission_id": mission.to_string(),
        "method": method.map(ReleaseMethod::word),
        "evidence": evidence.map(ReleaseEvidence::word),
        "distance_m": distance.map(DistanceM::get),
    })
}

fn corrected(what: Correction, was: Option<&Comment>, now: &Comment, reason: &Comment) -> Value {
    json!({
        "what": what.word(),
        "was": words(was),
        "now": now.as_str(),
        "reason": reason.as_str(),
    })
}

fn words(words: Option<&Comment>) -> Option<&str> {
    words.map(Comment::as_str)
}

fn reasoned(mission: MissionId, reason: &str) -> Value {
    json!({ "mission_id": mission.to_string(), "reason": reason })
}

fn assigned(assignment: &Assignment) -> Value {
    json!({
        "mission_id": assignment.mission.to_string(),
        "fleet_id": assignment.fleet.to_string(),
        "drone_id": assignment.drone.to_string(),
        "epoch": assignment.epoch,
        "eta_pickup": time_or_null(assignment.eta_pickup),
        "eta_dropoff": time_or_null(assignment.eta_dropoff),
    })
}

fn created(order: &Order) -> Value {
    let mut data = plan(&order.plan);
    if let Value::Object(members) = &mut data {
        members.insert("user_id".to_owned(), json!(order.user.to_string()));
        let external_id = order.external_id.as_ref().map(ToString::to_string);
        members.insert("external_id".to_owned(), json!(external_id));
        let confirmation = order.confirmation.word();
        members.insert("confirmation".to_owned(), json!(confirmation));
        members.insert("expedited".to_owned(), json!(order.expedited));
        members.insert("tag".to_owned(), json!(order.package.tag.to_string()));
    }
    data
}

fn plan(plan: &Plan) -> Value {
    json!({
        "pickup": place(&plan.pickup),
        "dropoff": place(&plan.dropoff),
        "pickup_window": window(plan.pickup_window),
        "deliver_by": time_or_null(plan.deliver_by),
    })
}
