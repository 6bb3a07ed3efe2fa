//! `/v1/drones`: what drones last said of themselves.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::drone::Telemetry;
use domain::id::{DroneId, FleetId};
use serde_json::{Value, json};

use super::answer::{at, failed, json as json_answer};
use super::conditional::{EntityTag, Preconditions};
use super::fields::{decimal, parsed, read_query};
use super::path::{PathId, no_query, unknown};
use super::problem::Problem;
use super::representation::drone::drone as representation;
use super::{Api, cursor};

/// How many items a page has where the client does not say.
const LIMIT_DEFAULT: usize = 50;

/// Most items on one page.
const LIMIT_MAX: usize = 200;

/// What its cursors fit with.
const LIST: &str = "drones";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/drones", get(list))
        .route("/v1/drones/{id}", get(read))
}

async fn read(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_query(&uri)?;
    let id: DroneId = id.parse("drone")?;
    // Of drones with one name the one that was heard last is meant.
    let named = api.live.drones_named(&id).into_iter();
    let telemetry = named.max_by_key(|telemetry| telemetry.received_at);
    let telemetry = telemetry.ok_or_else(|| unknown("drone"))?;
    answer(&api, &method, &headers, &shown(&api, &telemetry)?)
}

async fn list(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (limit, cursor) = read_query(&uri, |query| {
        let limit = query.optional("limit", decimal(1..=LIMIT_MAX));
        let cursor = query.optional(
            "cursor",
            parsed(|text| Ok::<_, std::convert::Infallible>(text.to_owned())),
        );
        Some((limit.unwrap_or(LIMIT_DEFAULT), cursor))
    })?;
    let after = cursor
        .map(|cursor| place(&cursor::decode(LIST, api.views.log(), &cursor)?))
        .transpose()?;
    // One more than is shown, so that the last page is known even when it is full.
    let mut page = api.live.list(after.as_ref(), limit + 1);
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|last| {
        let place = format!("{}/{}", last.sender.drone, last.sender.fleet);
        let issued = cursor::Issued::now(api.views.log(), api.application.head());
        cursor::encode(LIST, issued, place.as_bytes())
    });
    let items = page
        .iter()
        .map(|telemetry| shown(&api, telemetry))
        .collect::<Result<Vec<_>, _>>()?;
    answer(
        &api,
        &method,
        &headers,
        &json!({ "items": items, "next": next }),
    )
}

fn place(position: &[u8]) -> Result<(DroneId, FleetId), Problem> {
    let names = std::str::from_utf8(position)
        .ok()
        .and_then(|text| text.split_once('/'));
    let place = names.and_then(|(drone, fleet)| Some((drone.parse().ok()?, fleet.parse().ok()?)));
    place.ok_or_else(cursor::bad)
}

fn shown(api: &Api, telemetry: &Telemetry) -> Result<Value, Problem> {
    let now = api.application.now().map_err(|failure| failed(&failure))?;
    let delivery = match telemetry.mission {
        Some(mission) => api
            .application
            .delivery_of_mission(mission)
            .map_err(|error| failed(&error.into()))?,
        None => None,
    };
    Ok(representation(telemetry, delivery, now))
}

fn answer(
    api: &Api,
    method: &Method,
    headers: &HeaderMap,
    body: &Value,
) -> Result<Response, Problem> {
    let tag = EntityTag::of_bytes(body.to_string().as_bytes());
    let response =
        Preconditions::of(method, headers)?.answer(tag, || json_answer(StatusCode::OK, body));
    Ok(at(api.application.head(), response))
}
