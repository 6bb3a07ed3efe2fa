//! A record's bytes: the body that the journal frames, and what admits a commit to it.

use std::ops::Range;

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::error::AppendError;
use crate::event::{Commit, CommitId, Event, EventType, Label, Part, Record, SchemaVersion};
use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_PARTS_MAX, LABEL_BYTES_MAX, RECORD_PREFIX_BYTES,
};
use crate::position::{Position, StreamVersion};
use crate::stream::{Category, StreamId};

/// The most bytes that `recorded_at_us` takes: it leads the body, and only the
/// writer knows it.
const RECORDED_AT_BYTES_MAX: usize = 10;

/// FROZEN: these fields in this order are what every journal on disk holds.
/// Another layout is another format version, read beside this one.
///
/// `recorded_at_us` stands before it as a signed varint.
#[derive(Debug, Serialize, Deserialize)]
struct BodyV1<'a> {
    commit_id: [u8; 16],
    /// Which record of its commit it is, from 0.
    commit_place: u16,
    /// How many records its commit has.
    commit_records: u16,
    category: u16,
    key: [u8; 16],
    owner: Option<[u8; 16]>,
    first_version: u64,
    #[serde(borrow)]
    actor: &'a str,
    correlation_id: [u8; 16],
    events: Vec<EventV1<'a>>,
}

/// FROZEN, see [`BodyV1`].
#[derive(Debug, Serialize, Deserialize)]
struct EventV1<'a> {
    event_type: u16,
    schema: u16,
    event_time_us: i64,
    inferred: bool,
    #[serde(borrow)]
    cause: Option<&'a str>,
    #[serde(serialize_with = "as_bytes", borrow)]
    payload: &'a [u8],
}

/// A slice is a sequence to serde, written element by element; as bytes it is
/// one copy, and the same bytes.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// A commit that keeps every rule and limit, encoded but for the recorded time.
#[derive(Debug)]
pub(crate) struct AdmittedCommit {
    pub(crate) id: CommitId,
    pub(crate) clock_us: i64,
    pub(crate) parts: Vec<AdmittedPart>,
    bytes: Vec<u8>,
}

/// One part of an admitted commit.
#[derive(Debug)]
pub(crate) struct AdmittedPart {
    pub(crate) stream: StreamId,
    pub(crate) expected: StreamVersion,
    /// 0 for a guard.
    pub(crate) events: u32,
    body: Range<usize>,
}

impl AdmittedCommit {
    /// Checks a commit against the rules and limits, and encodes it.
    pub(crate) fn new(commit: &Commit) -> Result<Self, AppendError> {
        let records = check(commit)?;
        let mut bytes = Vec::with_capacity(capacity(commit));
        let mut parts = Vec::with_capacity(commit.parts.len());
        let mut place = 0;
        for part in &commit.parts {
            let begin = bytes.len();
            if !part.events.is_empty() {
                bytes = encode_part(commit, part, place, records, bytes)?;
                place += 1;
            }
            parts.push(AdmittedPart {
                stream: part.stream,
                expected: part.expected.version(),
                events: u32::try_from(part.events.len()).unwrap_or(u32::MAX),
                body: begin..bytes.len(),
            });
        }
        let admitted = Self {
            id: commit.id,
            clock_us: commit.clock_us,
            parts,
            bytes,
        };
        limit("bytes", admitted.block_bytes_max(), COMMIT_BYTES_MAX)?;
        Ok(admitted)
    }

    /// The most bytes that its records take in a block.
    pub(crate) fn block_bytes_max(&self) -> usize {
        let records = self.parts.iter().filter(|part| part.events > 0).count();
        self.bytes.len() + records * (RECORD_PREFIX_BYTES + RECORDED_AT_BYTES_MAX)
    }

    /// Appends the body of one of its parts to `out`.
    pub(crate) fn write_body(&self, part: &AdmittedPart, recorded_at_us: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(recorded_at(recorded_at_us, &mut [0; RECORDED_AT_BYTES_MAX]));
        out.extend_from_slice(
            self.bytes
                .get(part.body.clone())
                .expect("a part's range lies in the commit's bytes"),
        );
    }
}

impl AdmittedPart {
    /// The bytes of its body.
    pub(crate) fn body_len(&self, recorded_at_us: i64) -> usize {
        recorded_at(recorded_at_us, &mut [0; RECORDED_AT_BYTES_MAX]).len() + self.body.len()
    }
}

fn recorded_at(us: i64, buffer: &mut [u8; RECORDED_AT_BYTES_MAX]) -> &[u8] {
    postcard::to_slice(&us, buffer).expect("a varint of 64 bits fits ten bytes")
}

/// The rules and limits that can be told without encoding; gives the number of records.
fn check(commit: &Commit) -> Result<u16, AppendError> {
    limit("parts", commit.parts.len(), COMMIT_PARTS_MAX)?;
    let events = commit.parts.iter().map(|part| part.events.len()).sum();
    limit("events", events, COMMIT_EVENTS_MAX)?;
    if events == 0 {
        return Err(AppendError::Malformed {
            why: "no part has an event",
        });
    }
    let mut streams: Vec<_> = commit.parts.iter().map(|part| part.stream).collect();
    streams.sort_unstable();
    if streams.array_windows().any(|[left, right]| left == right) {
        return Err(AppendError::Malformed {
            why: "a stream occurs twice",
        });
    }
    let payload = commit
        .parts
        .iter()
        .flat_map(|part| &part.events)
        .map(|event| event.payload.len())
        .sum();
    limit("bytes", payload, COMMIT_BYTES_MAX)?;
    let records = commit.parts.iter().filter(|part| !part.events.is_empty());
    Ok(u16::try_from(records.count()).expect("the limit of parts fits 16 bits"))
}

fn limit(what: &'static str, size: usize, max: usize) -> Result<(), AppendError> {
    if size > max {
        return Err(AppendError::TooLarge { what, size, max });
    }
    Ok(())
}

/// Room for a commit without growing: ids, labels and numbers beside the payloads.
fn capacity(commit: &Commit) -> usize {
    let part = |part: &Part| {
        80 + commit.actor.as_str().len() + part.events.iter().map(event).sum::<usize>()
    };
    commit.parts.iter().map(part).sum()
}

fn event(event: &Event) -> usize {
    let cause = event.cause.as_ref().map_or(0, |cause| cause.as_str().len());
    24 + cause + event.payload.len()
}

fn encode_part(
    commit: &Commit,
    part: &Part,
    commit_place: u16,
    commit_records: u16,
    out: Vec<u8>,
) -> Result<Vec<u8>, AppendError> {
    let body = BodyV1 {
        commit_id: commit.id.0.into_bytes(),
        commit_place,
        commit_records,
        category: part.stream.category.get(),
        key: part.stream.key.into_bytes(),
        owner: part.owner.map(Uuid::into_bytes),
        // An expected version beyond every stream is a conflict, told later.
        first_version: part.expected.version().get().saturating_add(1),
        actor: commit.actor.as_str(),
        correlation_id: commit.correlation_id.into_bytes(),
        events: part.events.iter().map(EventV1::from).collect(),
    };
    postcard::to_extend(&body, out).map_err(|_| AppendError::Malformed {
        why: "it cannot be encoded",
    })
}

impl<'a> From<&'a Event> for EventV1<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_type: event.event_type.0,
            schema: event.schema.0,
            event_time_us: event.event_time_us,
            inferred: event.inferred,
            cause: event.cause.as_ref().map(Label::as_str),
            payload: &event.payload,
        }
    }
}

/// Where a record stands in its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPlace {
    /// Which record of its commit it is, from 0.
    pub place: u16,
    /// How many records its commit has.
    pub records: u16,
}

/// What the index needs of a record, without building it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeadline {
    pub(crate) recorded_at_us: i64,
    pub(crate) commit_id: CommitId,
    pub(crate) place: CommitPlace,
    pub(crate) stream: StreamId,
    pub(crate) first_version: StreamVersion,
    pub(crate) events: u32,
}

/// Decodes the whole body, strictly: nothing may be left over.
fn decode_body(body: &[u8]) -> Result<(i64, BodyV1<'_>), &'static str> {
    let (recorded_at_us, rest) =
        postcard::take_from_bytes(body).map_err(|_| "the record's time cannot be decoded")?;
    let (body, rest): (BodyV1<'_>, _) =
        postcard::take_from_bytes(rest).map_err(|_| "the record cannot be decoded")?;
    if !rest.is_empty() {
        return Err("bytes are left over behind the record");
    }
    if body.events.is_empty() || body.first_version == 0 {
        return Err("the record has no event or no version");
    }
    if body.commit_place >= body.commit_records {
        return Err("the record lies outside its commit");
    }
    if body.actor.len() > LABEL_BYTES_MAX {
        return Err("a label is too long");
    }
    Ok((recorded_at_us, body))
}

/// Reads what the index needs.
pub(crate) fn headline(body: &[u8]) -> Result<RecordHeadline, &'static str> {
    let (recorded_at_us, body) = decode_body(body)?;
    Ok(body.headline(recorded_at_us))
}

/// Reads a record that lies at `position`.
pub(crate) fn decode(position: Position, body: &[u8]) -> Result<Record, &'static str> {
    let (recorded_at_us, body) = decode_body(body)?;
    body.record(position, recorded_at_us)
}

/// Whether encoding the body again gives the same bytes.
pub(crate) fn is_canonical(body: &[u8]) -> bool {
    decode_body(body).is_ok_and(|(recorded_at_us, decoded)| {
        postcard::to_extend(&recorded_at_us, Vec::with_capacity(body.len()))
            .and_then(|out| postcard::to_extend(&decoded, out))
            .is_ok_and(|again| again == body)
    })
}

impl BodyV1<'_> {
    fn stream(&self) -> StreamId {
        StreamId::new(Category::new(self.category), Uuid::from_bytes(self.key))
    }

    fn headline(&self, recorded_at_us: i64) -> RecordHeadline {
        RecordHeadline {
            recorded_at_us,
            commit_id: CommitId(Uuid::from_bytes(self.commit_id)),
            place: CommitPlace {
                place: self.commit_place,
                records: self.commit_records,
            },
            stream: self.stream(),
            first_version: StreamVersion::new(self.first_version),
            events: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
        }
    }

    fn record(&self, position: Position, recorded_at_us: i64) -> Result<Record, &'static str> {
        Ok(Record {
            position,
            commit_id: CommitId(Uuid::from_bytes(self.commit_id)),
            stream: self.stream(),
            owner: self.owner.map(Uuid::from_bytes),
            first_version: StreamVersion::new(self.first_version),
            recorded_at_us,
            actor: label(self.actor)?,
            correlation_id: Uuid::from_bytes(self.correlation_id),
            events: self
                .events
                .iter()
                .map(EventV1::event)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl EventV1<'_> {
    fn event(&self) -> Result<Event, &'static str> {
        Ok(Event {
            event_type: EventType(self.event_type),
            schema: SchemaVersion(self.schema),
            event_time_us: self.event_time_us,
            inferred: self.inferred,
            cause: self.cause.map(label).transpose()?,
            payload: self.payload.to_vec(),
        })
    }
}

fn label(text: &str) -> Result<Label, &'static str> {
    Label::new(text).map_err(|_| "a label is too long")
}
