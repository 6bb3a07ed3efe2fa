//! What clients read: rows of the views as JSON.
//!
//! The shape of each is fixed: every field is always there, `null` when
//! unknown. Times are RFC 3339 in UTC with microseconds, places are in
//! degrees, quantities have their unit in the name.

use domain::delivery::{Place, Status};
use domain::geo::GeoPoint;
use domain::text::Address;
use domain::time::{Timestamp, Window};
use projections::Eta;
use serde::Serialize;
use serde_json::{Value, json};

use instant::Instant;

pub(crate) mod instant;
pub(crate) mod delivery;
pub(crate) mod dispatch;
pub(crate) mod drone;
pub(crate) mod history;
pub(crate) mod package;
pub(crate) mod statistics;
pub(crate) mod task;
pub(crate) mod user;

/// An instant.
pub(crate) fn time(at: Timestamp) -> Value {
    value_of(Instant(at))
}

/// An instant that may be unknown.
pub(crate) fn time_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, time)
}

/// What one of these forms is as a value, to stand in a larger one.
fn value_of(form: impl Serialize) -> Value {
    serde_json::to_value(form).expect("a form of named fields is an object of JSON")
}

/// A place with its address.
#[derive(Serialize)]
struct PlaceForm<'p> {
    lat: f64,
    lon: f64,
    address: Option<&'p str>,
}

impl<'p> PlaceForm<'p> {
    fn of(place: &'p Place) -> Self {
        Self {
            lat: place.point.lat_degrees(),
            lon: place.point.lon_degrees(),
            address: place.address.as_ref().map(Address::as_str),
        }
    }
}

fn place(place: &Place) -> Value {
    value_of(PlaceForm::of(place))
}

fn point(point: GeoPoint) -> Value {
    json!({ "lat": point.lat_degrees(), "lon": point.lon_degrees() })
}

#[derive(Serialize)]
struct WindowForm {
    not_before: Instant,
    not_after: Instant,
}

impl WindowForm {
    fn of(window: Window) -> Self {
        Self {
            not_before: Instant(window.not_before()),
            not_after: Instant(window.not_after()),
        }
    }
}

fn window(window: Option<Window>) -> Value {
    value_of(window.map(WindowForm::of))
}

#[derive(Serialize)]
struct EtaForm {
    pickup_at: Option<Instant>,
    dropoff_at: Option<Instant>,
    /// How far off it may be, where that is known.
    error_s: Option<u32>,
    computed_at: Instant,
}

impl EtaForm {
    fn of(eta: Eta) -> Self {
        Self {
            pickup_at: eta.pickup_at.map(Instant),
            dropoff_at: eta.dropoff_at.map(Instant),
            error_s: None,
            computed_at: Instant(eta.computed_at),
        }
    }
}

fn eta(eta: Option<Eta>) -> Value {
    value_of(eta.map(EtaForm::of))
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
