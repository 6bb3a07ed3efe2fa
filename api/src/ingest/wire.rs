//! Drone Management's published language, version 1: `CloudEvents` in JSON.
//!
//! Fields that are not known are ignored. What is known is checked whole, and
//! every fault is named by its pointer.

use domain::drone::{DroneFact, Sender, Telemetry};
use domain::id::{DroneId, FactId, FleetId, MissionId, SessionId};
use domain::session::{ReceivedFact, SEQ_MAX};
use domain::time::{DurationMs, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::http::fields::{self, Fields, boolean, integer, object, parsed};
use crate::http::json::{self, Document};
use crate::http::problem::Problem;
use crate::observability::DRONE_EVENTS_SKEWED;

mod fact;
mod telemetry;

use fact::Meaning;
use telemetry::Coordinates;

/// Largest event, bytes.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Longest name of a kind, characters.
const KIND_CHARS_MAX: usize = 64;

/// The kind that is no fact.
pub(super) const TELEMETRY: &str = "telemetry";

/// One drone event.
#[derive(Clone, Debug, PartialEq)]
pub enum DroneEvent {
    /// Where a drone is.
    Telemetry(Box<Telemetry>),
    /// What happened.
    Fact {
        /// Who says so.
        sender: Sender,
        /// The fact.
        fact: Box<ReceivedFact>,
    },
}

/// When an event came in, and how far ahead of that a sender's clock may be.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// When it came in.
    pub at: Timestamp,
    /// What lies further ahead is clock skew.
    pub skew_max: DurationMs,
    /// Whether that is counted: once for each event, by who takes it in.
    pub counts_skew: bool,
}

impl Receipt {
    /// The time to go by, and the sender's where it is not that.
    fn judge(self, reported: Timestamp) -> (Timestamp, Option<Timestamp>) {
        if reported > self.at.plus(self.skew_max) {
            if self.counts_skew {
                metrics::counter!(DRONE_EVENTS_SKEWED).increment(1);
            }
            (self.at, Some(reported))
        } else {
            (reported, None)
        }
    }
}

/// The attributes and the common fields of every drone event.
struct Common {
    kind: String,
    id: FactId,
    time: Timestamp,
    sender: Sender,
    seq: u64,
    mission: Option<MissionId>,
    simulated: bool,
}

/// Reads one event: its document, and that as it was sent.
///
/// # Errors
/// A problem with every fault of the event.
pub fn read(document: Document, sent: &str, receipt: Receipt) -> Result<DroneEvent, Problem> {
    let data = document.value().get("data").cloned().unwrap_or(Value::Null);
    let (common, telemetry) = fields::read(document, |event| {
        event.ignore_unknown();
        let head = read_attributes(event);
        let (kind, source) = head.as_ref().map_or(("", None), |head| {
            (head.kind.as_str(), head.source.as_ref())
        });
        let body = event.required("data", object(|data| read_data(data, kind, source)));
        let (head, (body, telemetry)) = (head?, body?);
        let (fleet, drone) = head.source?;
        let sender = Sender {
            fleet,
            drone,
            session: body.session,
        };
        let common = Common {
            kind: head.kind,
            id: head.id,
            time: head.time,
            sender,
            seq: body.seq,
            mission: body.mission,
            simulated: body.simulated,
        };
        Some((common, telemetry))
    })?;
    Ok(match telemetry {
        Some(readings) => DroneEvent::Telemetry(Box::new(readings.into_telemetry(common, receipt))),
        None => fact_of(common, (data, sent), receipt),
    })
}

/// What a fact means, where its kind is one that deliveries are changed by.
///
/// What was accepted by [`read`] is understood; `None` is an unknown kind, or
/// one without a mission.
#[must_use]
pub fn interpret(fact: &ReceivedFact) -> Option<DroneFact> {
    let document = Document::parse(&fact.data).ok()?;
    let (position, kind) = fields::read(document, |data| {
        data.ignore_unknown();
        let position = telemetry::read_position(data, Coordinates::AsKept);
        Some((position, fact::read_kind(&fact.kind, data)))
    })
    .ok()?;
    let Meaning::Known(kind) = kind? else {
        return None;
    };
    Some(DroneFact {
        id: fact.id.clone(),
        mission: fact.mission?,
        event_time: fact.event_time,
        position: position.map(|position| position.point),
        kind,
    })
}

/// The type of events of a kind.
#[must_use]
pub fn type_of(kind: &str) -> String {
    format!("drone.{kind}.v1")
}

/// Whether facts of a kind mean anything to this release.
#[must_use]
pub fn is_understood(kind: &str) -> bool {
    fact::is_known(kind)
}

struct Attributes {
    kind: String,
    id: FactId,
    time: Timestamp,
    source: Option<(FleetId, DroneId)>,
}

fn read_attributes(event: &mut Fields<'_>) -> Option<Attributes> {
    let specversion = event.required(
        "specversion",
        parsed(|text| match text {
            "1.0" => Ok(()),
            _ => Err("expected 1.0, the version of CloudEvents that is spoken here"),
        }),
    );
    let kind = event.required("type", parsed(read_type));
    let source = event.required("source", parsed(read_source));
    let id = event.required("id", parsed(str::parse::<FactId>));
    let time = event.required("time", parsed(str::parse::<Timestamp>));
    event.optional(
        "datacontenttype",
        parsed(|text| match text {
            "application/json" => Ok(()),
            _ => Err("expected application/json"),
        }),
    );
    specversion?;
    Some(Attributes {
        kind: kind?,
        id: id?,
        time: time?,
        source,
    })
}

fn read_type(text: &str) -> Result<String, String> {
    let kind = text
        .strip_prefix("drone.")
        .and_then(|rest| rest.strip_suffix(".v1"));
    match kind {
        Some(kind)
            if (1..=KIND_CHARS_MAX).contains(&kind.len())
                && kind
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') =>
        {
            Ok(kind.to_owned())
        }
        _ => Err(format!(
            "expected drone.<kind>.v1, the kind of 1 to {KIND_CHARS_MAX} characters a-z 0-9 _"
        )),
    }
}

fn read_source(text: &str) -> Result<(FleetId, DroneId), &'static str> {
    let parts = text
        .strip_prefix("/fleets/")
        .and_then(|rest| rest.split_once("/drones/"));
    parts
        .and_then(|(fleet, drone)| Some((FleetId::new(fleet).ok()?, DroneId::new(drone).ok()?)))
        .ok_or("expected /fleets/<fleet>/drones/<drone_id>, each of 1 to 64 characters of A-Z a-z 0-9 . _ ~ -")
}

struct Body {
    session: SessionId,
    seq: u64,
    mission: Option<MissionId>,
    simulated: bool,
}

fn read_data(
    data: &mut Fields<'_>,
    kind: &str,
    source: Option<&(FleetId, DroneId)>,
) -> Option<(Body, Option<telemetry::Readings>)> {
    data.ignore_unknown();
    let drone = data.required("drone_id", parsed(str::parse::<DroneId>));
    let same_drone = match (&drone, source) {
        (Some(drone), Some((_, of_source))) if drone != of_source => data.fault(
            "drone_id",
            "value",
            "expected the drone that the source names",
        ),
        _ => Some(()),
    };
    let session = data.required("session_id", parsed(str::parse::<SessionId>));
    let seq = data.required("seq", integer(1..=SEQ_MAX));
    let simulated = data.optional("simulated", boolean).unwrap_or(false);
    let needs_mission = fact::is_known(kind);
    let mission = if needs_mission {
        data.required("mission_id", parsed(read_mission))
    } else {
        data.optional("mission_id", parsed(read_mission))
    };
    let telemetry = if kind == TELEMETRY {
        Some(telemetry::read_readings(data)?)
    } else {
        telemetry::read_position(data, Coordinates::Named);
        if needs_mission {
            fact::read_kind(kind, data)?;
        }
        None
    };
    same_drone?;
    drone?;
    if needs_mission && mission.is_none() {
        return None;
    }
    Some((
        Body {
            session: session?,
            seq: seq?,
            mission,
            simulated,
        },
        telemetry,
    ))
}

/// A mission's id; its UUID alone is taken too, since fleets choose it themselves.
fn read_mission(text: &str) -> Result<MissionId, String> {
    let bare = || {
        Uuid::try_parse(text)
            .ok()
            .filter(|uuid| uuid.hyphenated().to_string() == text)
    };
    text.parse::<MissionId>().or_else(|error| {
        bare()
            .map(MissionId::from_uuid)
            .ok_or_else(|| error.to_string())
    })
}

fn fact_of(common: Common, (mut data, sent): (Value, &str), receipt: Receipt) -> DroneEvent {
    let (event_time, skewed_time) = receipt.judge(common.time);
    // One content has one hash, in whatever order its members are written.
    data.sort_all_objects();
    let data = data.to_string();
    // It was read from there; what was not read from a text has but this one.
    let sent = json::member_as_sent(sent, "data").unwrap_or(&data);
    let mut hasher = blake3::Hasher::new();
    for part in [common.kind.as_bytes(), common.id.as_str().as_bytes()] {
        hasher.update(part).update(&[0]);
    }
    hasher
        .update(&common.time.micros().to_be_bytes())
        .update(data.as_bytes());
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    let fact = ReceivedFact {
        seq: common.seq,
        id: common.id,
        hash,
        kind: common.kind,
        mission: common.mission,
        event_time,
        received_at: receipt.at,
        skewed_time,
        data: sent.as_bytes().to_vec(),
    };
    DroneEvent::Fact {
        sender: common.sender,
        fact: Box::new(fact),
    }
}
