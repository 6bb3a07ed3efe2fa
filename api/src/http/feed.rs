//! `/v1/events` and `/v1/deliveries/{id}/events`: what happened, in the order
//! of the log, page by page or as it happens.
//!
//! The feed reads the log and no view. A cursor is a place in the log; it
//! stays valid as long as the log does.

use std::convert::Infallible;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LINK};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::id::{DeliveryId, UserId};
use domain::stream::StreamName;
use eventstore::{Budget, StreamVersion};
use serde_json::{Value, json};

use super::Api;
use super::answer::{at, json as json_answer};
use super::body::JSON;
use super::conditional::{EntityTag, Preconditions};
use super::fields::{Fields, decimal, parsed, read_query};
use super::listing::link_to;
use super::negotiate::choose;
use super::path::{PathId, Thing, unknown};
use super::prefer::{WAIT_DEFAULT, behind};
use super::problem::{Fault, Problem, ProblemKind};
use crate::public_events::place::Place;
use page::{FeedError, Page, read_page};
use place::place_of;
use wanted::{Wanted, read_types};

// What is asked for.
mod place;
mod wanted;
// What is shown.
mod source;
mod page;
// The same as it happens.
mod frame;
mod batch;
mod ring;
mod stream;

pub(super) use stream::Streams;

#[cfg(test)]
mod tests;

/// The media type of several cloud events
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>, section 4).
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";

/// The media type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";

/// Asks a proxy to pass on at once what it is handed.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The header in which a browser says how far a stream had come.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The forms of all events, for who does not choose a page.
const PAGES_FIRST: [&str; 3] = [JSON, CLOUD_EVENTS, EVENT_STREAM];

/// The forms of one delivery's events: who does not choose watches it.
const STREAM_FIRST: [&str; 3] = [EVENT_STREAM, JSON, CLOUD_EVENTS];

/// Most events on one page, and how many it has where the client does not say.
const LIMIT_MAX: usize = 200;

/// Where the log ends now, in the place of a cursor. No cursor is as short.
const LATEST: &str = "latest";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/events", get(all))
        .route("/v1/deliveries/{id}/events", get(of_delivery))
}

async fn all(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = read_query(&uri, |query| {
        let user = query.optional("user", parsed(str::parse::<UserId>));
        let delivery = query.optional("delivery", parsed(str::parse::<DeliveryId>));
        Some(read_asked(query, user, delivery))
    })?;
    let form = choose(&headers, &PAGES_FIRST)?;
    answer(&api, &method, &uri, &headers, asked, form).await
}

async fn of_delivery(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id: DeliveryId = id.parse(Thing::Delivery)?;
    let asked = read_query(&uri, |query| Some(read_asked(query, None, Some(id))))?;
    if !exists(&api, &asked.wanted)? {
        return Err(unknown(Thing::Delivery));
    }
    let form = choose(&headers, &STREAM_FIRST)?;
    answer(&api, &method, &uri, &headers, asked, form).await
}

/// Whether the log has an event of the one delivery that is wanted.
fn exists(api: &Api, wanted: &Wanted) -> Result<bool, Problem> {
    let Some(id) = wanted.delivery else {
        return Ok(true);
    };
    let stream = source::stream_of(StreamName::delivery(id));
    let budget = Budget {
        records_max: 1,
        bytes_max: 1,
    };
    let page = api
        .application
        .log()
        .read_stream(stream, StreamVersion::EMPTY, budget);
    let page = page.map_err(|error| stopped(&error.into()))?;
    Ok(page.version > StreamVersion::EMPTY)
}

/// What a client asks for in the address.
struct Asked {
    wanted: Wanted,
    after: Option<String>,
    limit: Option<usize>,
}

fn read_asked(query: &mut Fields<'_>, user: Option<UserId>, delivery: Option<DeliveryId>) -> Asked {
    let types = query.optional("types", parsed(read_types));
    let after = query.optional("after", parsed(|text| Ok::<_, Infallible>(text.to_owned())));
    let limit = query.optional("limit", decimal(1..=LIMIT_MAX));
    let wanted = Wanted {
        types: types.unwrap_or_default(),
        user,
        delivery,
    };
    Asked {
        wanted,
        after,
        limit,
    }
}

impl Asked {
    /// Where to begin, once another node's cursor can be told: a stream that is refused is not
    /// asked for again by what browsers have.
    async fn place_once_here(&self, api: &Api, headers: &HeaderMap) -> Result<Place, Problem> {
        let mut head = api.application.log().head();
        let looking = async {
            loop {
                head.mark_unchanged();
                match self.place(api, headers) {
                    Err(problem) if problem.kind() == ProblemKind::ProjectionLagging => {}
                    place => return place,
                }
                if head.changed().await.is_err() {
                    return Err(behind());
                }
            }
        };
        let looked = api
            .waiting
            .wait(tokio::time::timeout(WAIT_DEFAULT, looking));
        looked.await?.unwrap_or_else(|_elapsed| Err(behind()))
    }

    /// Where to begin: what a stream that broke off had come to is later than
    /// what its address says.
    fn place(&self, api: &Api, headers: &HeaderMap) -> Result<Place, Problem> {
        let last = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty());
        let log = &**api.application.log();
        match (last, self.after.as_deref()) {
            (Some(last), _) => place_of(log, last.to_str().unwrap_or_default()),
            (None, Some(LATEST)) => Ok(Place::behind(api.application.head())),
            (None, Some(cursor)) => place_of(log, cursor),
            (None, None) => Ok(Place::START),
        }
    }
}

async fn answer(
    api: &Api,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    asked: Asked,
    form: &'static str,
) -> Result<Response, Problem> {
    let after = asked.place_once_here(api, headers).await?;
    if form == EVENT_STREAM {
        if asked.limit.is_some() {
            return Err(no_pages());
        }
        return stream(api, asked.wanted, after);
    }
    let preconditions = Preconditions::of(method, headers)?;
    let log = api.application.log();
    let identity = log.identity();
    let page = read_page(
        log.clone(),
        &asked.wanted,
        after,
        asked.limit.unwrap_or(LIMIT_MAX),
        |happening| {
            let shown = if form == CLOUD_EVENTS {
                happening.cloud_event(identity)
            } else {
                happening.item(identity)
            };
            shown.map(|(_name, shown)| shown)
        },
    );
    let Page {
        items,
        next,
        more,
        head,
    } = page.await.map_err(|error| stopped(&error))?;
    let next = next.cursor(identity);
    let body = if form == CLOUD_EVENTS {
        Value::Array(items)
    } else {
        json!({ "items": items, "next": next, "more": more })
    };
    let tag = EntityTag::of_bytes(body.to_string().as_bytes());
    let mut response = preconditions.answer(tag, || {
        let mut response = json_answer(StatusCode::OK, &body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
        response
    });
    let link = HeaderValue::try_from(link_to(uri, "after", &next));
    let headers = response.headers_mut();
    headers.extend(link.ok().map(|link| (LINK, link)));
    Ok(at(head, response))
}

/// What is not understood is not passed over.
fn no_pages() -> Problem {
    let detail = "a stream has no pages and no limit; leave limit out, or ask for a page with Accept: application/json";
    Problem::invalid(Fault::new("/limit", "value", detail).into())
}

fn stream(api: &Api, wanted: Wanted, after: Place) -> Result<Response, Problem> {
    let position = api.application.head();
    let body = api.streams.open(wanted, after)?;
    let headers = [
        (CONTENT_TYPE, EVENT_STREAM),
        (CACHE_CONTROL, "no-store"),
        (ACCEL_BUFFERING, "no"),
    ];
    Ok(at(position, (headers, body).into_response()))
}

/// The feed stands still rather than leave something out: what cannot be shown
/// is answered again and again, until an operator has looked. Logs the cause.
fn stopped(error: &FeedError) -> Problem {
    match error {
        FeedError::Read(error) => {
            tracing::error!(%error, "the feed could not read the log");
            Problem::internal()
        }
        FeedError::Unreadable(error) => {
            tracing::error!(%error, "the feed stands still");
            let detail = format!(
                "the event at position {} of the log cannot be read by this release, and the feed leaves nothing out; \
                 tell the operator, who finds the cause with airpost verify",
                error.position
            );
            Problem::new(ProblemKind::Internal, detail)
                .with_member("position", json!(error.position.get()))
        }
    }
}
