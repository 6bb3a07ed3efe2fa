//! An event a line, as a cloud event of version 1.0 in its JSON form
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
//!
//! Attribute names are lower case letters and digits, as section "Naming
//! conventions" of the specification asks; numbers beyond 32 bits are texts,
//! since its integers have no more.

use domain::time::Timestamp;
use eventstore::{
    Category, CommitId, CommitPlace, Event, EventType, LogIdentity, Position, Record,
    SchemaVersion, StreamId, StreamVersion, event_id,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{
    CommitSize, Placed, category_name, event, label, not_of_form, to_base64, type_name,
};
use super::{BadLine, Header, VERSION};

/// The version of the specification that is kept to.
pub(crate) const SPEC_VERSION: &str = "1.0";
const HEADER_TYPE: &str = "airpost.export";
const CONTENT_TYPE: &str = "application/octet-stream";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    data: HeaderData,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderData {
    format: String,
    version: u32,
    log_id: Uuid,
    epoch: u32,
    after: u64,
}

const FORMAT: &str = "airpost-cloudevents";

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    specversion: String,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    /// Absent where the time lies outside the years that RFC 3339 can write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: String,
    position: String,
    /// Which event of its record it is, from 0.
    place: u16,
    /// How many events its record has.
    events: u16,
    streamversion: String,
    category: u16,
    streamkey: Uuid,
    eventtype: u16,
    schemaversion: u16,
    eventtimeus: String,
    inferred: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Uuid>,
    actor: String,
    correlationid: Uuid,
    commitid: Uuid,
    commitplace: u16,
    commitrecords: u16,
    recordedtimeus: String,
    data_base64: String,
}

pub(super) fn header_line(header: &Header) -> String {
    let LogIdentity { log_id, epoch } = header.identity;
    json(&HeaderLine {
        specversion: SPEC_VERSION.to_owned(),
        id: format!("{log_id}/{epoch}/{}", header.after),
        source: source(header.identity),
        event_type: format!("{HEADER_TYPE}.v{VERSION}"),
        data: HeaderData {
            format: FORMAT.to_owned(),
            version: VERSION,
            log_id,
            epoch,
            after: header.after.get(),
        },
    })
}

pub(super) fn read_header(line: &str) -> Result<Header, BadLine> {
    let parsed: HeaderLine = serde_json::from_str(line).map_err(|error| not_of_form(&error))?;
    let HeaderData {
        format,
        version,
        log_id,
        epoch,
        after,
    } = parsed.data;
    if format != FORMAT || version != VERSION {
        return Err(BadLine(format!(
            "it says {format}, version {version}; {FORMAT}, version {VERSION}, is read"
        )));
    }
    Ok(Header {
        identity: LogIdentity { log_id, epoch },
        after: Position::new(after),
    })
}

/// Where the events come from: the log, in all its epochs.
pub(crate) fn source(identity: LogIdentity) -> String {
    format!("urn:uuid:{}", identity.log_id)
}

/// `airpost.delivery.in_transit.v1`.
pub(crate) fn type_text(
    category: Category,
    event_type: EventType,
    schema: SchemaVersion,
) -> String {
    let category = category_name(category)
        .map_or_else(|| format!("category_{}", category.get()), str::to_owned);
    let name = type_name(event_type).map_or_else(|| format!("type_{}", event_type.0), snake_case);
    format!("airpost.{category}.{name}.v{}", schema.0)
}

/// `in_transit` for `InTransit`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `delivery-<uuid>`.
pub(crate) fn subject(stream: StreamId) -> String {
    match category_name(stream.category) {
        Some(category) => format!("{category}-{}", stream.key),
        None => stream.to_string(),
    }
}

/// A line for each event of a record.
pub(super) fn lines(identity: LogIdentity, placed: &Placed) -> Vec<String> {
    let events = u16::try_from(placed.record.events.len()).unwrap_or(u16::MAX);
    let versioned = (0..).zip(placed.record.versioned());
    versioned
        .map(|(at, (version, event))| json(&line(identity, placed, (at, events), version, event)))
        .collect()
}

/// An event of a record: which one of how many.
fn line(
    identity: LogIdentity,
    Placed { record, place }: &Placed,
    (at, events): (u16, u16),
    version: StreamVersion,
    event: &Event,
) -> EventLine {
    let time = Timestamp::from_micros(event.event_time_us).ok();
    EventLine {
        specversion: SPEC_VERSION.to_owned(),
        id: event_id(record.stream, version),
        source: source(identity),
        event_type: type_text(record.stream.category, event.event_type, event.schema),
        subject: subject(record.stream),
        time: time.map(|time| time.to_string()),
        datacontenttype: CONTENT_TYPE.to_owned(),
        position: record.position.to_string(),
        place: at,
        events,
        streamversion: version.to_string(),
        category: record.stream.category.get(),
        streamkey: record.stream.key,
        eventtype: event.event_type.0,
        schemaversion: event.schema.0,
        eventtimeus: event.event_time_us.to_string(),
        inferred: event.inferred,
        cause: event.cause.as_ref().map(ToString::to_string),
        owner: record.owner,
        actor: record.actor.to_string(),
        correlationid: record.correlation_id,
        commitid: record.commit_id.0,
        commitplace: place.place,
        commitrecords: place.records,
        recordedtimeus: record.recorded_at_us.to_string(),
        data_base64: to_base64(&event.payload),
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("texts and numbers are JSON")
}

pub(super) fn position(line: &str) -> Result<Position, BadLine> {
    let line: EventLine = serde_json::from_str(line).map_err(|error| not_of_form(&error))?;
    number("position", &line.position).map(Position::new)
}

/// A number as it is written here: no sign but a minus, no leading zero.
fn number<N: std::str::FromStr + ToString>(name: &str, text: &str) -> Result<N, BadLine> {
    let parsed = text
        .parse()
        .ok()
        .filter(|number: &N| number.to_string() == text);
    parsed.ok_or_else(|| BadLine(format!("{name} is no number: {text}")))
}

/// Puts the events of a record together.
#[derive(Debug)]
pub(super) struct Joiner {
    identity: LogIdentity,
    /// The record that is not complete, and how many events it will have.
    open: Option<(Placed, u16)>,
    /// Of the record that is not complete.
    size: CommitSize,
}

impl Joiner {
    /// For the lines of a log's export.
    pub(super) const fn new(identity: LogIdentity) -> Self {
        Self {
            identity,
            open: None,
            size: CommitSize::EMPTY,
        }
    }

    pub(super) fn is_between_records(&self) -> bool {
        self.open.is_none()
    }

    /// Takes an event; gives the record that it completes.
    pub(super) fn take(&mut self, text: &str) -> Result<Option<Placed>, BadLine> {
        let found: EventLine = serde_json::from_str(text).map_err(|error| not_of_form(&error))?;
        let (at, events) = (found.place, found.events);
        let (next, version) = read(&found)?;
        // Written again it must say the same: so nothing in it is ignored.
        let event = next.record.events.first();
        let again = event.map(|event| line(self.identity, &next, (at, events), version, event));
        if let Some(again) = again.filter(|again| *again != found) {
            let should = json(&again);
            let why = format!("its attributes contradict each other; it should be {should}");
            return Err(BadLine(why));
        }
        if at == 0 {
            self.size = CommitSize::EMPTY;
        }
        self.size.take_events(&next.record.events)?;
        let (placed, expected) = match self.open.take() {
            None if at == 0 => (next, events),
            None => {
                let why = "the events of its record before it are missing";
                return Err(BadLine(why.to_owned()));
            }
            Some((mut placed, expected)) => {
                let is_next = usize::from(at) == placed.record.events.len();
                if !is_next || events != expected || !is_same(&placed, &next) {
                    let position = placed.record.position;
                    let why = format!("it does not go on with the record at position {position}");
                    return Err(BadLine(why));
                }
                placed.record.events.extend(next.record.events);
                (placed, expected)
            }
        };
        if placed.record.events.len() == usize::from(expected) {
            return Ok(Some(placed));
        }
        self.open = Some((placed, expected));
        Ok(None)
    }
}

/// Whether two events say the same of their record.
fn is_same(placed: &Placed, next: &Placed) -> bool {
    let without_events = |placed: &Placed| Placed {
        record: Record {
            events: Vec::new(),
            ..placed.record.clone()
        },
        place: placed.place,
    };
    without_events(placed) == without_events(next)
}

/// The record with this one event, and the version that the event made.
fn read(line: &EventLine) -> Result<(Placed, StreamVersion), BadLine> {
    let version: u64 = number("streamversion", &line.streamversion)?;
    let first = version.checked_sub(u64::from(line.place));
    let first = first.ok_or_else(|| BadLine("streamversion is below place".to_owned()))?;
    let kind = (line.eventtype, line.schemaversion);
    let time = (number("eventtimeus", &line.eventtimeus)?, line.inferred);
    let event = event(kind, time, line.cause.clone(), &line.data_base64)?;
    let record = Record {
        position: Position::new(number("position", &line.position)?),
        commit_id: CommitId(line.commitid),
        stream: StreamId::new(Category::new(line.category), line.streamkey),
        owner: line.owner,
        first_version: StreamVersion::new(first),
        recorded_at_us: number("recordedtimeus", &line.recordedtimeus)?,
        actor: label(line.actor.clone())?,
        correlation_id: line.correlationid,
        events: vec![event],
    };
    let place = CommitPlace {
        place: line.commitplace,
        records: line.commitrecords,
    };
    Ok((Placed { record, place }, StreamVersion::new(version)))
}
