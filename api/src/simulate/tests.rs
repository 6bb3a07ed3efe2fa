//! Recordings and speeds.

use domain::id::{DeliveryId, MissionId};
use domain::time::Timestamp;

use super::recording::{self, Flight};
use super::*;
use crate::environment::Environment;

const BUNDLED: &str = include_str!("../../flights/268.csv");

fn events() -> Vec<recording::Said> {
    let recording = Recording::read("268", BUNDLED.as_bytes()).unwrap();
    let environment = Environment::fixed(1_800_000_000_000_000);
    recording.events(&Flight {
        delivery: DeliveryId::from_uuid(environment.new_id()),
        mission: MissionId::from_uuid(environment.new_id()),
        drone: "sim-268".to_owned(),
        session: "1".to_owned(),
        tag: "QR-1".to_owned(),
        lands_at: Timestamp::from_micros(environment.now_us()).unwrap(),
    })
}

#[test]
fn every_event_of_a_recording_is_one_that_the_service_takes() {
    let receipt = crate::ingest::wire::Receipt {
        counts_skew: true,
        at: "2027-01-15T08:00:00Z".parse().unwrap(),
        skew_max: domain::time::DurationMs::from_seconds(5),
    };
    for said in events() {
        let document = crate::http::json::Document::from_value(said.event.clone());
        assert!(
            crate::ingest::wire::read(document, "", receipt).is_ok(),
            "{}",
            said.event
        );
    }
}

#[test]
fn a_flight_is_told_in_order_and_ends_now() {
    let events = events();
    assert!(events.is_sorted_by_key(|said| said.offset));
    assert_eq!(
        events.last().unwrap().event["time"],
        "2027-01-15T08:00:00.000000Z"
    );
    let facts: Vec<_> = events
        .iter()
        .filter(|said| said.event["type"] != "drone.telemetry.v1")
        .collect();
    assert_eq!(facts.len(), 9);
    assert_eq!(facts.last().unwrap().event["data"]["seq"], 9);
}

#[test]
fn what_is_no_flight_is_refused_in_words() {
    let heading = "time,position_x,position_y,position_z,payload,flight\n";
    for (table, word) in [
        ("a,b\n1,2\n3,4\n".to_owned(), "columns"),
        (heading.to_owned(), "two rows"),
        (format!("{heading}1,-79,40,1,500,1\n"), "two rows"),
        (
            format!("{heading}2,-79,40,1,500,1\n1,-79,40,1,500,1\n"),
            "row 2",
        ),
        (
            format!("{heading}1,-79,40,1,500,1\n2,-79,140,1,500,1\n"),
            "row 2",
        ),
    ] {
        let error = Recording::read("x", table.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_speed_is_a_positive_number_or_the_highest() {
    for text in ["0", "-1", "NaN", "fast", ""] {
        assert!(Speed::parse(text).is_err(), "{text:?} was taken");
    }
    let wait = |text| Speed::parse(text).unwrap().wait(Duration::from_secs(10));
    assert_eq!(wait("10"), Duration::from_secs(1));
    assert_eq!(wait("max"), Duration::ZERO);
}
