//! Where a drone says that it is, and how that is spelled.

use super::*;

#[test]
fn no_fix_means_no_position() {
    let mut event = event("0001", 1, "telemetry", &json!({"phase": "in_flight"}));
    for position in [
        json!(null),
        json!({"lat_deg": 0.0, "lon_deg": 0}),
        json!({"lat_deg": null, "lon_deg": null, "height_above_home_m": 24.8}),
        json!({"height_above_home_m": 24.8}),
    ] {
        event["data"]["position"] = position;
        match read(&event) {
            Ok(DroneEvent::Telemetry(telemetry)) => assert_eq!(telemetry.position, None),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_position_whose_coordinates_have_other_names_is_refused_and_told_how_they_are_called() {
    for (kind, data) in [
        ("telemetry", json!({"phase": "in_flight"})),
        ("departed", json!({"leg": "pickup"})),
    ] {
        let mut event = event("0001", 1, kind, &data);
        event["data"]["position"] = json!({"lat": 40.461, "lon": -79.779});
        let problem = read(&event).unwrap_err();
        let faults = problem.faults().iter();
        let pointers: Vec<_> = faults.map(crate::http::problem::Fault::pointer).collect();
        assert_eq!(
            pointers,
            ["/data/position/lat_deg", "/data/position/lon_deg"],
            "{kind}"
        );
    }
}

#[test]
fn a_fact_that_was_taken_without_coordinates_is_understood_still() {
    let event = event("0001", 1, "departed", &json!({"leg": "pickup"}));
    let (_, mut kept) = fact_of(&event);
    let mut data: serde_json::Value = serde_json::from_slice(&kept.data).unwrap();
    data["position"] = json!({"lat": 40.461, "lon": -79.779});
    kept.data = data.to_string().into_bytes();
    let understood = wire::interpret(&kept).unwrap();
    assert_eq!(understood.position, None);
}
