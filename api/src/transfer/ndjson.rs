//! A record a line, as JSON.

use eventstore::{
    Category, CommitId, CommitPlace, EventType, LogIdentity, Position, Record, StreamId,
    StreamVersion,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{Placed, event, label, not_of_form, to_base64, type_name};
use super::{BadLine, Header, VERSION};

const FORMAT: &str = "airpost-ndjson";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    format: String,
    version: u32,
    log_id: Uuid,
    epoch: u32,
    after: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    position: u64,
    commit_id: Uuid,
    commit_place: u16,
    commit_records: u16,
    category: u16,
    key: Uuid,
    owner: Option<Uuid>,
    first_version: u64,
    recorded_at_us: i64,
    actor: String,
    correlation_id: Uuid,
    events: Vec<EventLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    #[serde(rename = "type")]
    event_type: u16,
    /// For whoever reads it; `null` where the release that wrote it did not know the type.
    name: Option<String>,
    schema: u16,
    event_time_us: i64,
    inferred: bool,
    cause: Option<String>,
    payload_base64: String,
}

pub(super) fn header_line(header: &Header) -> String {
    let LogIdentity { log_id, epoch } = header.identity;
    json(&HeaderLine {
        format: FORMAT.to_owned(),
        version: VERSION,
        log_id,
        epoch,
        after: header.after.get(),
    })
}

pub(super) fn read_header(line: &str) -> Result<Header, BadLine> {
    let header: HeaderLine = serde_json::from_str(line).map_err(|error| not_of_form(&error))?;
    if header.format != FORMAT || header.version != VERSION {
        return Err(BadLine(format!(
            "it says {}, version {}; {FORMAT}, version {VERSION}, is read",
            header.format, header.version
        )));
    }
    let (log_id, epoch) = (header.log_id, header.epoch);
    Ok(Header {
        identity: LogIdentity { log_id, epoch },
        after: Position::new(header.after),
    })
}

pub(super) fn line(placed: &Placed) -> String {
    let Placed { record, place } = placed;
    let events = record.events.iter().map(|event| EventLine {
        event_type: event.event_type.0,
        name: type_name(event.event_type).map(str::to_owned),
        schema: event.schema.0,
        event_time_us: event.event_time_us,
        inferred: event.inferred,
        cause: event.cause.as_ref().map(ToString::to_string),
        payload_base64: to_base64(&event.payload),
    });
    json(&RecordLine {
        position: record.position.get(),
        commit_id: record.commit_id.0,
        commit_place: place.place,
        commit_records: place.records,
        category: record.stream.category.get(),
        key: record.stream.key,
        owner: record.owner,
        first_version: record.first_version.get(),
        recorded_at_us: record.recorded_at_us,
        actor: record.actor.to_string(),
        correlation_id: record.correlation_id,
        events: events.collect(),
    })
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("texts and numbers are JSON")
}

pub(super) fn position(line: &str) -> Result<Position, BadLine> {
    read(line).map(|placed| placed.record.position)
}

pub(super) fn read(line: &str) -> Result<Placed, BadLine> {
    let line: RecordLine = serde_json::from_str(line).map_err(|error| not_of_form(&error))?;
    let events = line.events.into_iter().map(|line| {
        let known = type_name(EventType(line.event_type));
        if known.is_some() && known != line.name.as_deref() {
            let (number, name) = (line.event_type, known.unwrap_or_default());
            return Err(BadLine(format!("event type {number} is called {name}")));
        }
        let kind = (line.event_type, line.schema);
        let time = (line.event_time_us, line.inferred);
        event(kind, time, line.cause, &line.payload_base64)
    });
    let record = Record {
        position: Position::new(line.position),
        commit_id: CommitId(line.commit_id),
        stream: StreamId::new(Category::new(line.category), line.key),
        owner: line.owner,
        first_version: StreamVersion::new(line.first_version),
        recorded_at_us: line.recorded_at_us,
        actor: label(line.actor)?,
        correlation_id: line.correlation_id,
        events: events.collect::<Result<_, _>>()?,
    };
    let place = CommitPlace {
        place: line.commit_place,
        records: line.commit_records,
    };
    Ok(Placed { record, place })
}
