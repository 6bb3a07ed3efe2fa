//! What is taken of what a drone says, and what is refused.

use super::*;

#[test]
fn every_fault_of_an_event_is_named() {
    let event = json!({
        "specversion": "0.3", "type": "drone.departed.v2", "source": "/drones/7", "time": "noon",
        "data": {"drone_id": "7", "seq": 0, "position": {"lat_deg": 91, "lon_deg": 0}},
    });
    let problem = read(&event).unwrap_err();
    let pointers: Vec<_> = problem
        .faults()
        .iter()
        .map(crate::http::problem::Fault::pointer)
        .collect();
    for pointer in [
        "/specversion",
        "/type",
        "/source",
        "/id",
        "/time",
        "/data/session_id",
        "/data/seq",
        "/data/position/lat_deg",
    ] {
        assert!(
            pointers.contains(&pointer),
            "{pointer} is not among {pointers:?}"
        );
    }
}

#[test]
fn one_content_has_one_hash_in_whatever_order_it_is_written() {
    let event = event("0001", 1, "departed", &json!({"leg": "pickup"}));
    let mut other = event.clone();
    let data = other["data"].as_object().unwrap().clone();
    other["data"] = Value::Object(data.into_iter().rev().collect());
    assert_eq!(fact_of(&event).1.hash, fact_of(&other).1.hash);
}

#[test]
fn what_a_drone_says_is_kept_as_it_was_sent() {
    let sent = r#"{"specversion": "1.0", "type": "drone.departed.v1", "id": "M100-07:1:f1",
        "data": { "seq":1, "leg" :"pickup","drone_id":"M100-07","\u0061":[1.50, {}],
            "session_id": "1", "mission_id": "msn_00000000-0000-0000-0000-00000000004d" },
        "source": "/fleets/pgh/drones/M100-07", "time": "2099-01-01T00:00:00Z"}"#;
    let Ok(DroneEvent::Fact { fact, .. }) =
        wire::read(Document::parse(sent.as_bytes()).unwrap(), sent, receipt())
    else {
        panic!("it is a fact");
    };
    let data = String::from_utf8(fact.data).unwrap();
    assert!(data.starts_with(r#"{ "seq":1, "leg" :"pickup""#), "{data}");
    assert!(data.ends_with(r#"00000000004d" }"#), "{data}");
    assert!(data.contains(r#""\u0061":[1.50, {}]"#), "{data}");
    assert_eq!(fact.event_time, receipt().at);
    assert_eq!(fact.skewed_time, "2099-01-01T00:00:00Z".parse().ok());
}
