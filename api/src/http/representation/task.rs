//! What needs a person, facts that could not be applied, and messages that could not be read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::{DeliveryId, EventId, FactId, OperationId};
use domain::refusals::RefusedMessage;
use domain::scheduling::{Authorization, Effect, Left};
use domain::session::ReceivedFact;
use domain::stream::{Category, StreamName};
use domain::task::{Matter, TaskId};
use eventstore::{StreamId, StreamVersion, event_id};
use projections::{DeadLetter, GivenUpFact, RefusedLetter, Task, TaskKind, TaskStatus};
use serde_json::{Map, Value, json};

use super::delivery;
use crate::application::deliveries::handover::Saying;
use crate::forms::{time, time_or_null};
use crate::http::conditional::EntityTag;
use crate::ingest::message::sender_in;
use crate::ingest::wire;
use crate::public_events::told::actor;

// What helps.
mod advice;

/// Grows when the bytes of a task change for the same events.
const VERSION: u16 = 5;

/// The address of a task.
fn path(id: TaskId) -> String {
    format!("/v1/tasks/{id}")
}

/// What an operator may have to say of the delivery that a task is about, if it is about one.
pub(crate) fn sayings(task: &Task) -> &'static [Saying] {
    advice::on(&task.matter).sayings
}

/// The tag of a task: what there is to look at never changes, and its own
/// stream has one event at most. What may be said of its delivery changes with that one.
pub(crate) fn tag(task: &Task, open: &[Saying]) -> EntityTag {
    let names = open.iter().map(|saying| advice::words_for(*saying).0);
    let tag = EntityTag::new(u64::from(task.acknowledgement.is_some()), VERSION);
    tag.with_derived(names.collect::<Vec<_>>().join(" ").as_bytes())
}

/// A task. Its id names the event that made it one; that event's own id, which
/// a dead letter and the feed have too, is beside it. Its links lead to where is said
/// what is `open` to be said of its delivery, out of [`sayings`].
pub(crate) fn task(task: &Task, open: &[Saying]) -> Value {
    let subject = task.id.subject();
    let is_of = |category| subject.category == category;
    let delivery = is_of(Category::Delivery).then(|| DeliveryId::from_uuid(subject.key));
    let operation = is_of(Category::Operation).then(|| OperationId::from_uuid(subject.key));
    let told = Told::of(&task.matter);
    let (first, other) = told.deliveries.unzip();
    let help = advice::on(&task.matter).help;
    let mut links = Map::new();
    links.insert("self".to_owned(), json!(path(task.id)));
    let address = match (delivery, operation) {
        (Some(delivery), _) => delivery::path(delivery),
        (None, Some(operation)) => format!("/v1/operations/{operation}"),
        (None, None) => {
            links.insert("redrive".to_owned(), json!(redrive_path(task.id)));
            dead_letter_path(task.id)
        }
    };
    for saying in open {
        let (name, segment) = advice::words_for(*saying);
        links.insert(name.to_owned(), json!(format!("{address}/{segment}")));
    }
    links.insert("subject".to_owned(), json!(address));
    let stream = StreamId::new(
        eventstore::Category::new(subject.category.number()),
        subject.key,
    );
    let acknowledgement = task.acknowledgement.as_ref();
    json!({
        "id": task.id.to_string(),
        "event_id": event(stream, StreamVersion::new(task.id.version())),
        "kind": kind(task.kind()),
        "reason": told.reason,
        "help": help,
        "status": status(task.status()),
        "since": time(task.since),
        "delivery_id": delivery.or(first).map(|delivery| delivery.to_string()),
        "other_delivery_id": other.map(|delivery| delivery.to_string()),
        "operation_id": operation.map(|operation| operation.to_string()),
        "fact_id": told.fact.map(ToString::to_string),
        "effect": told.effect.map(Effect::word),
        "authorization_id": told.authorization.map(Authorization::as_str),
        "acknowledged_at": time_or_null(acknowledgement.map(|it| it.at)),
        "acknowledged_by": acknowledgement.map(|it| actor(&it.by)),
        "note": acknowledgement.and_then(|it| it.note.as_ref()).map(ToString::to_string),
        "links": links,
    })
}

/// What there is to look at, in a word and what belongs to it.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    reason: &'static str,
    fact: Option<&'a FactId>,
    effect: Option<Effect>,
    authorization: Option<&'a Authorization>,
    /// Two deliveries that get in each other's way.
    deliveries: Option<(DeliveryId, DeliveryId)>,
}

impl<'a> Told<'a> {
    fn of(matter: &'a Matter) -> Self {
        let of = |reason| Self {
            reason,
            ..Self::default()
        };
        match matter {
            Matter::LeftOnBoard => of("ended_with_package"),
            Matter::LeftAtHub => of("left_at_hub"),
            Matter::NotStoodDown => of("not_stood_down"),
            Matter::EmergencyLanded => of("emergency_landed"),
            Matter::Unconfirmed => of("unconfirmed"),
            Matter::Failed(failure) => of(failure.word()),
            Matter::Anomaly { fact, why } => Self {
                fact: Some(fact),
                ..of(why.word())
            },
            Matter::DeadLetter { seq: _, why } => of(why.word()),
            Matter::RefusedMessage { number: _, why } => of(why.word()),
            Matter::OperationStuck { effect } => Self {
                effect: Some(*effect),
                ..of("operation_stuck")
            },
            Matter::Left(Left::Authorization(authorization)) => Self {
                authorization: Some(authorization),
                ..of("void_refused")
            },
            Matter::Left(Left::UnknownPayment) => of("payment_unknown"),
            Matter::Left(Left::UnpaidFlight) => of("flight_unpaid"),
            Matter::Left(Left::SharedPackage { delivery, with }) => Self {
                deliveries: Some((*delivery, *with)),
                ..of("package_shared")
            },
        }
    }
}

/// Where the dead letter is found that a task is about.
fn dead_letter_path(task: TaskId) -> String {
    format!("/v1/dead-letters?task_id={task}")
}

/// Where that is applied once more.
fn redrive_path(task: TaskId) -> String {
    format!("/v1/dead-letters/{task}/redrive")
}

/// The word for a kind of tasks.
pub(crate) const fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Anomaly => "anomaly",
        TaskKind::ActionRequired => "action_required",
        TaskKind::DeadLetter => "dead_letter",
        TaskKind::Operation => "operation",
    }
}

const fn status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Open => "open",
        TaskStatus::Acknowledged => "acknowledged",
    }
}

/// A fact that was given up, or a message that was refused. It bears the id of the event that
/// says so.
pub(crate) fn dead_letter(letter: &DeadLetter) -> Value {
    match letter {
        DeadLetter::Fact(letter) => given_up(letter),
        DeadLetter::Message(letter) => refused(letter),
    }
}

fn given_up(letter: &GivenUpFact) -> Value {
    let sender = letter.sender.as_ref();
    let session = StreamName {
        category: Category::DroneSession,
        key: letter.stream.key,
    };
    let task = TaskId::new(session, letter.version.get()).ok();
    json!({
        "id": event(letter.stream, letter.version),
        "task_id": task.map(|task| task.to_string()),
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
        "message": null,
        "links": {
            "task": task.map(path),
            "redrive": task.map(redrive_path),
        },
    })
}

/// What of a fact is not known of a message is null; whose it is, is what its subject says.
fn refused(letter: &RefusedLetter) -> Value {
    let hour = StreamName {
        category: Category::Refusals,
        key: letter.stream.key,
    };
    let task = TaskId::new(hour, letter.version.get()).ok();
    let subject = letter.message.as_ref().map(|it| it.subject.as_str());
    let (fleet, drone) = subject.map(sender_in).unwrap_or_default();
    json!({
        "id": event(letter.stream, letter.version),
        "task_id": task.map(|task| task.to_string()),
        "reason": letter.why.word(),
        "fleet_id": fleet.map(|fleet| fleet.to_string()),
        "drone_id": drone.map(|drone| drone.to_string()),
        "session_id": null,
        "seq": null,
        "mission_id": null,
        "delivery_id": null,
        "waited_since": null,
        "given_up_at": time(letter.refused_at),
        "fact": null,
        "message": letter.message.as_ref().map(message),
        "links": {
            "task": task.map(path),
            "redrive": task.map(redrive_path),
        },
    })
}

/// A message as it came, which need not be a text. Its content is there once: it may be large, and
/// so may the page be that it stands on.
fn message(message: &RefusedMessage) -> Value {
    let headers = message.headers.iter();
    let headers = headers.map(|(name, value)| json!({ "name": name, "value": value }));
    let (text, bytes) = match std::str::from_utf8(&message.data) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(&message.data))),
    };
    json!({
        "subject": message.subject.as_str(),
        "form": message.form.word(),
        "received_at": time(message.received_at),
        "explanation": message.explanation.as_str(),
        "headers": headers.collect::<Vec<_>>(),
        "data_as_sent": text,
        "data_base64": bytes,
        "size_bytes": message.size_bytes,
        "is_whole": message.is_whole(),
    })
}

/// What a drone's sender said, as it came in.
fn fact(fact: &ReceivedFact) -> Value {
    let sent = String::from_utf8_lossy(&fact.data);
    // What is kept was read as JSON when it came in.
    let data = serde_json::from_str(&sent).unwrap_or_else(|_| Value::String(sent.to_string()));
    json!({
        "id": fact.id.to_string(),
        "type": wire::type_of(&fact.kind),
        "event_time": time(fact.event_time),
        "received_at": time(fact.received_at),
        "clock_skewed": fact.skewed_time.is_some(),
        "skewed_time": time_or_null(fact.skewed_time),
        "data": data,
        "data_as_sent": sent,
    })
}

fn event(stream: StreamId, version: StreamVersion) -> String {
    EventId::from_uuid(event_id(stream, version)).to_string()
}
