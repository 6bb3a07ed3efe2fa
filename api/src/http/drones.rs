//! `/v1/drones`: which drones there are, what they do, and what they last said
//! of themselves.
//!
//! What a drone does comes from the log and is there after a restart; where it
//! is comes from its telemetry, which is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::drone::Telemetry;
use domain::id::DroneId;
use projections::{DroneName, DroneRow, List};
use serde_json::Value;

use super::Api;
use super::answer::{current, degraded, failed, json as json_answer, unanswered};
use super::conditional::{EntityTag, Preconditions};
use super::fields::read_query;
use super::listing::{Asked, Listed, Piece};
use super::path::{PathId, Thing, no_query, unknown};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::drone::drone as representation;

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
    let id: DroneId = id.parse(Thing::Drone)?;
    let position = api.application.head();
    let rows = api.waiting.wait(api.views.drones_named(&id)).await?;
    let known = rows.map_err(|error| unanswered(&error))?;
    let drones = joined(api.live.drones_named(&id), &known.shown);
    // Of drones with one name the one that was heard last is meant.
    let drone = drones.into_values().max_by_key(Drone::heard_at);
    let drone = drone.ok_or_else(|| unknown(Thing::Drone))?;
    let body = drone.shown(&api)?;
    let tag = EntityTag::of_bytes(body.to_string().as_bytes());
    let response =
        Preconditions::of(&method, &headers)?.answer(tag, || json_answer(StatusCode::OK, &body));
    Ok(current(position, known.degraded_since, response))
}

async fn list(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let piece = read_query(&uri, |query| Some(Piece::read(query)))?;
    let after = piece.after(&api, LIST, place)?;
    // One more than is shown, so that the last page is known even when it is full.
    let most = piece.limit + 1;
    let rows = freshness
        .ask(&api, List::Drones, |views| {
            let degraded_since = views.degraded_since(List::Drones, None);
            Ok((degraded_since, views.drones(after.as_ref(), most)?))
        })
        .await?;
    let (degraded_since, told) = &rows.content;
    let drones = joined(api.live.list(after.as_ref(), most), told);
    let has_more = drones.len() > piece.limit;
    let page: Vec<_> = drones.into_iter().take(piece.limit).collect();
    let last = page.last().filter(|_| has_more);
    let next = last.map(|((drone, fleet), _)| format!("{drone}/{fleet}").into_bytes());
    let items = page.iter().map(|(_, drone)| drone.shown(&api));
    let items = items.collect::<Result<_, _>>()?;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let scope = LIST;
    let response = asked.answer(&api, rows.position, Listed { scope, items, next })?;
    Ok(degraded(*degraded_since, rows.stamp(response)))
}

fn place(position: &[u8]) -> Option<DroneName> {
    let (drone, fleet) = std::str::from_utf8(position).ok()?.split_once('/')?;
    Some((drone.parse().ok()?, fleet.parse().ok()?))
}

/// What is known of a drone, from the one or the other.
#[derive(Debug, Default)]
struct Drone<'r> {
    telemetry: Option<Arc<Telemetry>>,
    row: Option<&'r DroneRow>,
}

/// Both together, sorted by name.
fn joined(live: Vec<Arc<Telemetry>>, rows: &[DroneRow]) -> BTreeMap<DroneName, Drone<'_>> {
    let mut drones = BTreeMap::<DroneName, Drone<'_>>::new();
    for telemetry in live {
        let sender = &telemetry.sender;
        let name = (sender.drone.clone(), sender.fleet.clone());
        drones.entry(name).or_default().telemetry = Some(telemetry);
    }
    for row in rows {
        let name = (row.drone.clone(), row.fleet.clone());
        drones.entry(name).or_default().row = Some(row);
    }
    drones
}

impl Drone<'_> {
    fn heard_at(&self) -> Option<domain::time::Timestamp> {
        let said = self
            .telemetry
            .as_ref()
            .map(|telemetry| telemetry.received_at);
        let told = self.row.and_then(|row| row.fact_received_at);
        said.max(told)
    }

    fn shown(&self, api: &Api) -> Result<Value, Problem> {
        let now = api.application.now().map_err(|failure| failed(&failure))?;
        let telemetry = self.telemetry.as_deref();
        let delivery = match telemetry.and_then(|telemetry| telemetry.mission) {
            Some(mission) => api
                .application
                .delivery_of_mission(mission)
                .map_err(|error| failed(&error.into()))?,
            None => None,
        };
        Ok(representation(telemetry, self.row, delivery, now))
    }
}
