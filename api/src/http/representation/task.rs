//! What needs a person, and facts that could not be applied.

use domain::id::{DeliveryId, EventId};
use domain::session::ReceivedFact;
use domain::stream::Category;
use eventstore::{StreamId, StreamVersion, event_id};
use projections::{DeadLetter, Matter, Task};
use serde_json::{Value, json};

use super::delivery::path;
use super::{time, time_or_null};

/// A task. It bears the id of the event that made it one.
pub(crate) fn task(task: &Task) -> Value {
    let (kind, reason, fact) = match &task.matter {
        Matter::LeftOnBoard => ("action_required", "ended_with_package", None),
        Matter::Misdelivered => ("action_required", "misdelivered", None),
        Matter::Anomaly { fact, why } => ("anomaly", why.word(), Some(fact.to_string())),
        Matter::DeadLetter { seq: _, why } => ("dead_letter", why.word(), None),
    };
    let is_of_delivery = task.stream.category.get() == Category::Delivery.number();
    let delivery = is_of_delivery.then(|| DeliveryId::from_uuid(task.stream.key));
    json!({
        "id": event(task.stream, task.version),
        "kind": kind,
        "reason": reason,
        "since": time(task.since),
        "delivery_id": delivery.map(|delivery| delivery.to_string()),
        "fact_id": fact,
        "links": { "subject": delivery.map_or_else(|| "/v1/dead-letters".to_owned(), path) },
    })
}

/// A fact that was given up. It bears the id of the event that gave it up, as
/// its task does.
pub(crate) fn dead_letter(letter: &DeadLetter) -> Value {
    let sender = letter.sender.as_ref();
    json!({
        "id": event(letter.stream, letter.version),
        "reason": letter.why.word(),
        "fleet_id": sender.map(|sender| sender.fleet.to_string()),
        "drone_id": sender.map(|sender| sender.drone.to_string()),
        "session_id": sender.map(|sender| sender.session.to_string()),
        "seq": letter.seq,
        "mission_id": letter.mission.map(|mission| mission.to_string()),
        "delivery_id": letter.delivery.map(|delivery| delivery.to_string()),
        "waited_since": time_or_null(letter.since),
        "given_up_at": time(letter.given_up_at),
        "fact": letter.fact.as_ref().map(fact),
    })
}

/// What a drone's sender said, as it came in.
fn fact(fact: &ReceivedFact) -> Value {
    // What is kept was read as JSON when it came in.
    let data = serde_json::from_slice(&fact.data)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&fact.data).into_owned()));
    json!({
        "id": fact.id.to_string(),
        "type": format!("drone.{}.v1", fact.kind),
        "event_time": time(fact.event_time),
        "received_at": time(fact.received_at),
        "clock_skewed": fact.clock_skewed,
        "data": data,
    })
}

fn event(stream: StreamId, version: StreamVersion) -> String {
    EventId::from_uuid(event_id(stream, version)).to_string()
}
