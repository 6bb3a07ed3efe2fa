//! `/v1/drone-events`: what Drone Management says, one event, a batch or lines.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use eventstore::ReadError;
use serde_json::{Value, json};

use super::Api;
use super::answer::{at, failed, json as json_answer};
use super::body::content_type;
use super::json::{self, Document};
use super::path::no_query;
use super::problem::{Problem, ProblemContext, ProblemKind};
use crate::application::LoadError;
use crate::ingest::wire::{self, DroneEvent, EVENT_BYTES_MAX, Receipt};
use crate::ingest::{Taken, number_taken};

/// One event.
const ONE: &str = "application/cloudevents+json";
/// An array of events.
const BATCH: &str = "application/cloudevents-batch+json";
/// One event per line.
const LINES: &str = "application/x-ndjson";

/// Most events in one request.
const EVENTS_MAX: usize = 10_000;

/// Most faults that are listed for one refused event of many.
const FAULTS_PER_EVENT_MAX: usize = 5;

/// Most types that are named among those that are not understood.
const UNKNOWN_TYPES_MAX: usize = 10;

/// The longest id of a refused event that is repeated, characters.
const ID_CHARS_MAX: usize = 128;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/drone-events", post(receive))
}

async fn receive(
    State(api): State<Api>,
    Extension(context): Extension<ProblemContext>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    no_query(&parts.uri)?;
    let form = content_type(&parts.headers, &body, &[ONE, BATCH, LINES])?;
    let whole = api.batches.read(&parts.headers, body).await?;
    let now = api.application.now().map_err(|failure| failed(&failure))?;
    let receipt = api.ingest.receipt(now);
    let entries = read_all(form, whole.bytes.clone(), receipt).await?;
    let is_single = form == ONE;
    let tally = take(&api, entries).await?;
    if let Some((_, problem)) = tally.rejected.first().filter(|_| is_single) {
        return Err(problem.clone());
    }
    let rejected: Vec<Value> = tally
        .rejected
        .into_iter()
        .map(|((index, id), problem)| {
            let problem = problem
                .with_faults_max(FAULTS_PER_EVENT_MAX)
                .to_json(Some(&context));
            json!({ "index": index, "id": id, "problem": problem })
        })
        .collect();
    let body = json!({
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "rejected": rejected,
        "unknown": tally.unknown.to_json(),
    });
    Ok(at(
        api.application.head(),
        json_answer(StatusCode::OK, &body),
    ))
}

/// One event of a request: its name, where it could be read, and what it says.
struct Entry {
    id: Option<String>,
    event: Result<DroneEvent, Problem>,
}

/// Reads all events, beside the threads that answer: up to 16 MiB take their time.
async fn read_all(
    form: &'static str,
    bytes: Bytes,
    receipt: Receipt,
) -> Result<Vec<Entry>, Problem> {
    let reading = move || match form {
        ONE => read_one(&bytes, receipt),
        BATCH => read_batch(&bytes, receipt),
        _ => read_lines(&bytes, receipt),
    };
    tokio::task::spawn_blocking(reading)
        .await
        .unwrap_or_else(|_panic| {
            tracing::error!("panic while reading drone events");
            Err(Problem::internal())
        })
}

fn read_one(bytes: &[u8], receipt: Receipt) -> Result<Vec<Entry>, Problem> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(too_large());
    }
    Ok(vec![read_entry(
        Document::parse(bytes)?,
        text_of(bytes),
        receipt,
    )])
}

fn read_batch(bytes: &[u8], receipt: Receipt) -> Result<Vec<Entry>, Problem> {
    let items = Document::parse(bytes)?.into_items().map_err(|_| {
        Problem::invalid(
            super::problem::Fault::new("", "type", "expected an array of events").into(),
        )
    })?;
    if items.len() > EVENTS_MAX {
        return Err(too_many());
    }
    let sent = json::items_as_sent(text_of(bytes));
    Ok(items
        .into_iter()
        .zip(sent)
        .map(|(item, sent)| {
            if sent.len() <= EVENT_BYTES_MAX {
                read_entry(item, sent, receipt)
            } else {
                Entry {
                    id: id_of(&item),
                    event: Err(too_large()),
                }
            }
        })
        .collect())
}

/// Of what was read as JSON, which is UTF-8.
fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Blank lines do not count.
fn read_lines(bytes: &[u8], receipt: Receipt) -> Result<Vec<Entry>, Problem> {
    let lines = || {
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
    };
    if lines().count() > EVENTS_MAX {
        return Err(too_many());
    }
    Ok(lines()
        .map(|line| {
            if line.len() > EVENT_BYTES_MAX {
                return Entry {
                    id: None,
                    event: Err(too_large()),
                };
            }
            match Document::parse(line) {
                Ok(document) => read_entry(document, text_of(line), receipt),
                Err(problem) => Entry {
                    id: None,
                    event: Err(problem),
                },
            }
        })
        .collect())
}

fn read_entry(document: Document, sent: &str, receipt: Receipt) -> Entry {
    Entry {
        id: id_of(&document),
        event: wire::read(document, sent, receipt),
    }
}

fn id_of(document: &Document) -> Option<String> {
    let id = document.value().get("id")?.as_str()?;
    (id.chars().count() <= ID_CHARS_MAX).then(|| id.to_owned())
}

fn too_large() -> Problem {
    Problem::new(
        ProblemKind::ContentTooLarge,
        format!(
            "the event is larger than the {EVENT_BYTES_MAX} bytes that are taken; leave out what is not needed"
        ),
    )
}

fn too_many() -> Problem {
    Problem::new(
        ProblemKind::ContentTooLarge,
        format!(
            "more than {EVENTS_MAX} events in one request; none was applied, send them in several"
        ),
    )
}

/// What became of the events of a request.
#[derive(Default)]
struct Tally {
    accepted: usize,
    duplicates: usize,
    /// By index and id.
    rejected: Vec<((usize, Option<String>), Problem)>,
    /// Of those that were accepted.
    unknown: Unknown,
}

/// Facts of kinds that this release does not understand, which it keeps and
/// does nothing about: a sender that has mistyped a kind learns it here.
#[derive(Default)]
struct Unknown {
    by_kind: BTreeMap<String, u64>,
    /// Of further kinds.
    others: u64,
}

impl Unknown {
    fn add(&mut self, kind: String) {
        if self.by_kind.len() < UNKNOWN_TYPES_MAX || self.by_kind.contains_key(&kind) {
            *self.by_kind.entry(kind).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// How many of each type, and of all that are not named.
    fn to_json(&self) -> Value {
        let named = self.by_kind.iter();
        let named =
            named.map(|(kind, count)| json!({ "type": wire::type_of(kind), "count": count }));
        let others = (self.others > 0).then(|| json!({ "type": null, "count": self.others }));
        named.chain(others).collect()
    }
}

/// Takes all events that could be read.
///
/// A failure of the machine fails the request as a whole: whether some of its
/// facts were taken does not matter, since sending all again is safe.
async fn take(api: &Api, entries: Vec<Entry>) -> Result<Tally, Problem> {
    let mut tally = Tally::default();
    let (mut names, mut events) = (Vec::new(), Vec::new());
    for (index, Entry { id, event }) in entries.into_iter().enumerate() {
        match event {
            Ok(event) => {
                names.push((index, id));
                events.push(event);
            }
            Err(problem) => tally.rejected.push(((index, id), problem)),
        }
    }
    let taken = api.ingest.take(&api.live, events).await;
    for (name, taken) in names.into_iter().zip(taken) {
        match taken {
            Taken::Accepted { unknown } => {
                tally.accepted += 1;
                if let Some(kind) = unknown {
                    tally.unknown.add(kind);
                }
            }
            Taken::Duplicate => tally.duplicates += 1,
            Taken::Conflict => tally.rejected.push((name, conflict())),
            Taken::BacklogFull => tally.rejected.push((name, backlog_full())),
            Taken::Unreadable(error) => tally.rejected.push((name, unreadable(&error))),
            Taken::Failed(failure) => return Err(failed(&failure)),
        }
    }
    tally.rejected.sort_by_key(|((index, _), _)| *index);
    Ok(tally)
}

fn conflict() -> Problem {
    Problem::new(ProblemKind::SequenceConflict, number_taken().explanation)
}

/// Damage stays until an operator has mended it; a disk that did not answer
/// may answer the next time.
fn unreadable(error: &LoadError) -> Problem {
    if let LoadError::Read(ReadError::Unavailable { .. }) = error {
        return Problem::overloaded(
            "what is stored for this event could not be read just now, so it was not taken; send it again",
        );
    }
    Problem::new(
        ProblemKind::Internal,
        "what is stored of this event's session, mission or delivery cannot be read, so it was not taken; keep \
         it and send it again once the operator of this service has mended that",
    )
}

fn backlog_full() -> Problem {
    Problem::new(
        ProblemKind::BacklogFull,
        "too many events of this session wait for a mission or a delivery that is not known; \
         send the assignment, or this one again later",
    )
    .with_retry_after_s(60)
}
