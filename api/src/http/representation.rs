//! What clients read: rows of the views as JSON.
//!
//! The shape of each is fixed: every field is always there, `null` when
//! unknown. Times are RFC 3339 in UTC with microseconds, places are in
//! degrees, quantities have their unit in the name.

use domain::delivery::{Place, Status};
use domain::geo::GeoPoint;
use domain::time::{Timestamp, Window};
use projections::Eta;
use serde_json::{Value, json};

pub(crate) mod delivery;
pub(crate) mod drone;
pub(crate) mod history;
pub(crate) mod statistics;
pub(crate) mod task;
pub(crate) mod user;

/// An instant.
pub(crate) fn time(at: Timestamp) -> Value {
    Value::String(at.to_string())
}

/// An instant that may be unknown.
pub(crate) fn time_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, time)
}

/// A place with its address.
fn place(place: &Place) -> Value {
    json!({
        "lat": place.point.lat_degrees(),
        "lon": place.point.lon_degrees(),
        "address": place.address.as_ref().map(ToString::to_string),
    })
}

fn point(point: GeoPoint) -> Value {
    json!({ "lat": point.lat_degrees(), "lon": point.lon_degrees() })
}

fn window(window: Option<Window>) -> Value {
    window.map_or(Value::Null, |window| {
        json!({ "not_before": time(window.not_before()), "not_after": time(window.not_after()) })
    })
}

/// `error_s` is how far off it may be, where that is known.
fn eta(eta: Option<Eta>) -> Value {
    eta.map_or(Value::Null, |eta| {
        json!({
            "pickup_at": time_or_null(eta.pickup_at),
            "dropoff_at": time_or_null(eta.dropoff_at),
            "error_s": null,
            "computed_at": time(eta.computed_at),
        })
    })
}

/// The stage of Fabrikam's Delivery Scheduler that a status belongs to.
fn stage(status: Status, revision: u32) -> Option<&'static str> {
    match status {
        Status::Pending | Status::Scheduled | Status::Assigned if revision > 0 => {
            Some("Rescheduled")
        }
        Status::Pending | Status::Scheduled | Status::Assigned => Some("Created"),
        Status::HeadedToPickup | Status::AtPickup | Status::Loaded => Some("HeadedToPickup"),
        Status::InTransit | Status::AtDropoff => Some("HeadedToDropoff"),
        Status::Complete => Some("Completed"),
        Status::Cancelling | Status::Cancelled | Status::Rejected => Some("Cancelled"),
        Status::Returning | Status::AtHub | Status::Returned | Status::Failed => None,
    }
}

/// How a delivery does beside its status. Nothing yet changes it.
const CONDITION: &str = "nominal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_says_rescheduled_only_while_no_drone_has_set_out() {
        for status in Status::ALL {
            let (first, later) = (stage(*status, 0), stage(*status, 1));
            assert_eq!(
                first == Some("Created"),
                later == Some("Rescheduled"),
                "{status:?}"
            );
            assert!(first == later || first == Some("Created"), "{status:?}");
        }
    }

    #[test]
    fn a_place_is_in_degrees_with_all_its_fields() {
        let point = GeoPoint::from_e7(404_587_000, -797_824_001).unwrap();
        let shown = place(&Place {
            point,
            address: None,
        })
        .to_string();
        assert_eq!(shown, r#"{"lat":40.4587,"lon":-79.7824001,"address":null}"#);
    }
}
