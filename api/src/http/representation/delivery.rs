//! A delivery, and its small hot part.

use domain::delivery::{Failure, Milestone, Package};
use domain::drone::Telemetry;
use domain::id::DeliveryId;
use projections::{DeliveryRow, MissionRow};
use serde_json::{Map, Value, json};

use super::{CONDITION, eta, place, stage, time, time_or_null, window};
use crate::http::conditional::EntityTag;

/// Grows when the bytes of a delivery change for the same events.
const VERSION: u16 = 1;

/// The address of a delivery.
pub(crate) fn path(id: DeliveryId) -> String {
    format!("/v1/deliveries/{id}")
}

/// The tag of a delivery: all of it comes from its own stream.
pub(crate) fn tag(row: &DeliveryRow) -> EntityTag {
    EntityTag::new(row.sequence.get(), VERSION)
}

/// A delivery.
pub(crate) fn delivery(row: &DeliveryRow) -> Value {
    let order = &row.order;
    let mission = current_mission(row);
    let cancellation = row.cancellation.as_ref().map(|cancellation| {
        json!({
            "reason": cancellation.reason.word(),
            "comment": cancellation.comment.as_ref().map(ToString::to_string),
        })
    });
    json!({
        "id": row.id.to_string(),
        "external_id": order.external_id.as_ref().map(ToString::to_string),
        "user_id": order.user.to_string(),
        "status": row.status.word(),
        "stage": stage(row.status, row.revision),
        "condition": CONDITION,
        "action_required": row.action_required,
        "pickup": place(&order.plan.pickup),
        "dropoff": place(&order.plan.dropoff),
        "pickup_window": window(order.plan.pickup_window),
        "deliver_by": time_or_null(order.plan.deliver_by),
        "package": package(&order.package),
        "confirmation": "none",
        "expedited": order.expedited,
        "on_undeliverable": order.on_undeliverable.word(),
        "on_cancel_after_pickup": order.on_cancel_after_pickup.word(),
        "metadata": metadata(row),
        "drone_id": mission.map(|mission| mission.drone.to_string()),
        "mission_id": mission.map(|mission| mission.mission.to_string()),
        "attempt": row.attempt,
        "revision": row.revision,
        "eta": eta(row.eta),
        "milestones": milestones(row),
        "failure": row.failure.map(Failure::word),
        "cancellation": cancellation,
        "updated_at": time(row.updated_at),
        "sequence": row.sequence.get(),
        "links": links(row),
    })
}

/// What changes often: with the live position, if there is one.
pub(crate) fn status(row: &DeliveryRow, live: Option<&Telemetry>) -> Value {
    json!({
        "id": row.id.to_string(),
        "status": row.status.word(),
        "stage": stage(row.status, row.revision),
        "condition": CONDITION,
        "action_required": row.action_required,
        "eta": eta(row.eta),
        "position": live_position(live),
        "updated_at": time(row.updated_at),
        "sequence": row.sequence.get(),
    })
}

/// The tag of [`status`]: the position comes from no stream.
pub(crate) fn status_tag(row: &DeliveryRow, live: Option<&Telemetry>) -> EntityTag {
    let position = live_position(live);
    if position.is_null() {
        tag(row)
    } else {
        tag(row).with_derived(position.to_string().as_bytes())
    }
}

/// The mission that the delivery has now, or had when its life ended.
pub(crate) fn current_mission(row: &DeliveryRow) -> Option<&MissionRow> {
    row.mission.as_ref().filter(|mission| !mission.unassigned)
}

fn live_position(live: Option<&Telemetry>) -> Value {
    let Some((telemetry, position)) = live.and_then(|live| Some((live, live.position?))) else {
        return Value::Null;
    };
    json!({
        "lat": position.point.lat_degrees(),
        "lon": position.point.lon_degrees(),
        "observed_at": time(telemetry.event_time),
    })
}

fn package(package: &Package) -> Value {
    let dimensions = package.dimensions.map(|dimensions| {
        let [length, width, height] = dimensions.get();
        json!({ "length": length, "width": width, "height": height })
    });
    json!({
        "id": package.id.map(|id| id.to_string()),
        "tag": package.tag.to_string(),
        "size": package.size.word(),
        "mass_g": package.mass.get(),
        "dimensions_mm": dimensions,
        "flags": package.flags.iter().map(|flag| flag.word()).collect::<Vec<_>>(),
    })
}

fn metadata(row: &DeliveryRow) -> Value {
    let entries = row.order.metadata.iter();
    Value::Object(
        entries
            .map(|(key, value)| (key.to_string(), json!(value.to_string())))
            .collect(),
    )
}

fn milestones(row: &DeliveryRow) -> Value {
    let reached = &row.milestones;
    let mut object = Map::new();
    object.insert("created_at".to_owned(), time(reached.created_at));
    object.insert(
        "scheduled_at".to_owned(),
        time_or_null(reached.scheduled_at),
    );
    for milestone in Milestone::ALL {
        object.insert(
            format!("{}_at", milestone.word()),
            time_or_null(reached.at(*milestone)),
        );
    }
    object.insert(
        "cancelled_at".to_owned(),
        time_or_null(reached.cancelled_at),
    );
    object.insert("failed_at".to_owned(), time_or_null(reached.failed_at));
    Value::Object(object)
}

/// What is not there yet has no link.
fn links(row: &DeliveryRow) -> Value {
    let own = path(row.id);
    json!({
        "self": own,
        "status": format!("{own}/status"),
        "history": format!("{own}/history"),
        "user": super::user::path(row.order.user),
        "events": null,
        "operation": null,
    })
}
