//! What many things that go out have in common, as JSON: instants, places, windows.
//!
//! Times are RFC 3339 in UTC with microseconds, places are in degrees; what
//! is not known is `null`.

use domain::delivery::Place;
use domain::geo::GeoPoint;
use domain::text::Address;
use domain::time::{Timestamp, Window};
use serde::Serialize;
use serde_json::{Value, json};

use instant::Instant;

pub(crate) mod instant;

/// An instant.
pub(crate) fn time(at: Timestamp) -> Value {
    value_of(Instant(at))
}

/// An instant that may be unknown.
pub(crate) fn time_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, time)
}

/// What one of these forms is as a value, to stand in a larger one.
pub(crate) fn value_of(form: impl Serialize) -> Value {
    serde_json::to_value(form).expect("a form of named fields is an object of JSON")
}

/// A place with its address.
#[derive(Serialize)]
pub(crate) struct PlaceForm<'p> {
    lat: f64,
    lon: f64,
    address: Option<&'p str>,
}

impl<'p> PlaceForm<'p> {
    pub(crate) fn of(place: &'p Place) -> Self {
        Self {
            lat: place.point.lat_degrees(),
            lon: place.point.lon_degrees(),
            address: place.address.as_ref().map(Address::as_str),
        }
    }
}

/// A place with its address.
pub(crate) fn place(place: &Place) -> Value {
    value_of(PlaceForm::of(place))
}

/// A place without one.
pub(crate) fn point(point: GeoPoint) -> Value {
    json!({ "lat": point.lat_degrees(), "lon": point.lon_degrees() })
}

/// A window of time.
#[derive(Serialize)]
pub(crate) struct WindowForm {
    not_before: Instant,
    not_after: Instant,
}

impl WindowForm {
    pub(crate) fn of(window: Window) -> Self {
        Self {
            not_before: Instant(window.not_before()),
            not_after: Instant(window.not_after()),
        }
    }
}

/// A window that may be unknown.
pub(crate) fn window(window: Option<Window>) -> Value {
    value_of(window.map(WindowForm::of))
}

#[cfg(test)]
mod tests {
    use super::*;

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
