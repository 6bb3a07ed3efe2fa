//! How messages are read, in both forms.

use domain::time::DurationMs;
use serde_json::json;

use super::*;

const SUBJECT: &str = "drone.v1.pgh.M100-07.departed";

fn receipt() -> Receipt {
    Receipt {
        counts_skew: true,
        at: "2026-10-24T15:04:06Z".parse().unwrap(),
        skew_max: DurationMs::from_seconds(5),
    }
}

fn data() -> String {
    // Spaces and order are to be kept.
    r#"{"session_id":"s1", "drone_id":"M100-07","mission_id":"msn_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55","seq":3,"leg":"pickup"}"#.to_owned()
}

fn structured(type_of: &str, source: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"{type_of}","source":"{source}","id":"f:3","time":"2026-10-24T15:04:05Z","data":{}}}"#,
        data()
    )
}

fn headers(changed: &[(&str, &str)]) -> Vec<(String, String)> {
    let usual = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "drone.departed.v1"),
        ("ce-source", "/fleets/pgh/drones/M100-07"),
        ("ce-id", "f%3A3"),
        ("ce-time", "2026-10-24T15:04:05Z"),
    ];
    let kept = usual
        .iter()
        .filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
    let all = kept.chain(changed).filter(|(_, value)| !value.is_empty());
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(subject: &str, headers: Vec<(String, String)>, data: &str) -> Result<DroneEvent, Unread> {
    let data = data.as_bytes();
    let message = Message {
        subject,
        headers,
        data,
    };
    message.read(receipt())
}

fn binary(changed: &[(&str, &str)], data: &str) -> Result<DroneEvent, Unread> {
    read(SUBJECT, headers(changed), data)
}

fn refused(read: Result<DroneEvent, Unread>) -> (Refused, String) {
    let unread = read.unwrap_err();
    (unread.why, unread.explanation)
}

#[test]
fn both_forms_are_the_same_event_and_its_data_stays_as_sent() {
    let text = structured("drone.departed.v1", "/fleets/pgh/drones/M100-07");
    let plain = read(SUBJECT, vec![], &text).unwrap();
    let typed = vec![(
        "content-type".to_owned(),
        "application/CloudEvents+json; charset=utf-8".to_owned(),
    )];
    assert_eq!(read(SUBJECT, typed, &text), Ok(plain.clone()));
    assert_eq!(binary(&[], &data()), Ok(plain.clone()));
    assert_eq!(binary(&[("content-type", "")], &data()), Ok(plain.clone()));
    let DroneEvent::Fact { fact, .. } = plain else {
        panic!("{plain:?}");
    };
    assert_eq!((fact.seq, fact.id.as_str()), (3, "f:3"));
    assert_eq!(fact.data, data().into_bytes());
}

#[test]
fn an_event_is_sent_to_the_subject_of_its_own_fleet_drone_and_kind() {
    let text = structured("drone.departed.v1", "/fleets/pgh/drones/M100-07");
    for other in [
        "drone.v1.bos.M100-07.departed",
        "drone.v1.pgh.M100-08.departed",
        "drone.v1.pgh.M100-07.arrived",
        "drone.v1.pgh.M100-07",
        "drone.v1.pgh.M100-07.departed.x",
    ] {
        let (why, words) = refused(read(other, vec![], &text));
        assert_eq!(why, Refused::Misaddressed, "{other}");
        assert!(words.contains(SUBJECT), "{words}");
        assert!(read(other, headers(&[]), &data()).is_err(), "{other}");
    }
}

#[test]
fn a_full_stop_in_a_name_ends_no_word_of_the_subject() {
    let subject = |fleet: &str, drone: &str| {
        let (fleet, drone) = (FleetId::new(fleet).unwrap(), DroneId::new(drone).unwrap());
        subject_of(&fleet, &drone, "departed")
    };
    assert_eq!(subject("a.b", "c"), "drone.v1.a%2Eb.c.departed");
    assert_ne!(subject("a.b", "c"), subject("a", "b.c"));
}

#[test]
fn whatever_is_wrong_is_named() {
    let malformed = |read| {
        let (why, words) = refused(read);
        assert_eq!(why, Refused::Malformed, "{words}");
        words
    };
    assert!(malformed(read(SUBJECT, vec![], "{")).contains("not JSON"));
    let words = malformed(binary(&[("ce-type", "departed"), ("ce-id", "")], &data()));
    assert!(
        words.contains("/type: ") && words.contains("/id: "),
        "{words}"
    );
    let words = malformed(binary(&[], r#"{"seq":0}"#));
    assert!(words.contains("/data/seq: "), "{words}");
    // What follows the data becomes no attribute.
    let words = malformed(binary(&[], r#"{},"source":"/fleets/bos/drones/x""#));
    assert!(words.contains("the content is not JSON"), "{words}");
    assert!(malformed(binary(&[("ce-id", "%FF")], &data())).contains("/id"));
    assert!(malformed(binary(&[("ce-data", "x")], &data())).contains("/data"));
    let twice = [
        ("ce-type", "drone.departed.v1"),
        ("ce-type", "drone.arrived.v1"),
    ];
    assert!(malformed(binary(&twice, &data())).contains("/type"));
}

#[test]
fn other_forms_and_sizes_are_refused() {
    for other in [
        "application/cloudevents-batch+json",
        "application/cloudevents+avro",
        "text/plain",
    ] {
        let typed = vec![("content-type".to_owned(), other.to_owned())];
        let (why, words) = refused(read(SUBJECT, typed, "[]"));
        assert_eq!(why, Refused::UnknownForm, "{other}");
        assert!(words.contains("batch"), "{words}");
    }
    let typed = [("content-type", "application/xml")];
    assert_eq!(refused(binary(&typed, &data())).0, Refused::Malformed);
    let large = json!({ "x": "y".repeat(EVENT_BYTES_MAX) }).to_string();
    assert_eq!(refused(read(SUBJECT, vec![], &large)).0, Refused::TooLarge);
}

#[test]
fn what_is_kept_of_a_message_can_be_read_again_if_it_is_whole() {
    let unread = Unread::new(Refused::Malformed, "a\u{1}b");
    let at = receipt().at;
    let (headers, data) = (headers(&[]), data());
    let message = Message {
        subject: SUBJECT,
        headers,
        data: data.as_bytes(),
    };
    let kept = message.refused(&unread, at);
    assert!(kept.is_whole());
    assert_eq!(kept.explanation.as_str(), "a\u{fffd}b");
    assert_eq!(Message::of_refused(&kept), message);
    assert!(Message::of_refused(&kept).read(receipt()).is_ok());

    let large = vec![b' '; KEPT_BYTES_MAX + 1];
    let long = "x".repeat(KEPT_HEADER_BYTES_MAX);
    let cut = Message {
        headers: vec![("ce-x".to_owned(), long)],
        data: &large,
        ..message.clone()
    };
    let cut = cut.refused(&unread, at);
    assert_eq!((cut.headers.len(), cut.data.len()), (0, KEPT_BYTES_MAX));
    assert!(!cut.is_whole());
    assert_ne!(cut.digest, kept.digest);
    let elsewhere = Message {
        subject: "",
        ..message
    };
    assert_ne!(elsewhere.refused(&unread, at).digest, kept.digest);
    assert_eq!(elsewhere.refused(&unread, at).subject.as_str(), "(blank)");
}

#[test]
fn a_value_may_stand_between_quotation_marks() {
    let plain = binary(&[], &data()).unwrap();
    let quoted = [
        ("ce-id", "\"f\\:3\""),
        ("ce-type", "\"drone.departed.v1\""),
        ("ce-source", "\"/fleets/pgh/drones%2FM100-07\""),
    ];
    assert_eq!(binary(&quoted, &data()), Ok(plain));
}

#[test]
fn headers_are_no_part_of_an_event_that_is_one_text() {
    let text = structured("drone.departed.v1", "/fleets/pgh/drones/M100-07");
    let padded = format!("{text}{}", " ".repeat(EVENT_BYTES_MAX - text.len()));
    let typed = vec![(
        "content-type".to_owned(),
        "application/cloudevents+json".to_owned(),
    )];
    assert_eq!(
        read(SUBJECT, typed.clone(), &padded),
        read(SUBJECT, vec![], &text)
    );
    let (why, _) = refused(read(SUBJECT, typed, &format!("{padded} ")));
    assert_eq!(why, Refused::TooLarge);
}

#[test]
fn a_subject_says_whose_events_are_published_there_as_far_as_it_goes() {
    let said = |subject: &str| {
        let (fleet, drone) = sender_in(subject);
        let (fleet, drone) = (
            fleet.map(|it| it.to_string()),
            drone.map(|it| it.to_string()),
        );
        (fleet.unwrap_or_default(), drone.unwrap_or_default())
    };
    for (subject, fleet, drone) in [
        (SUBJECT, "pgh", "M100-07"),
        ("drone.v1.pgh.M100%2E07.departed", "pgh", "M100.07"),
        ("drone.v1.pgh.M100-07", "pgh", ""),
        ("drone.v1.pgh.M100-07.de.parted", "pgh", ""),
        ("drone.v1.p\u{fffd}h.M100-07.departed", "", "M100-07"),
        ("drone.v1", "", ""),
    ] {
        assert_eq!(
            said(subject),
            (fleet.to_owned(), drone.to_owned()),
            "{subject}"
        );
    }
}

#[test]
fn a_clock_that_is_ahead_is_counted_by_who_takes_the_event_in_and_by_nobody_who_reads_it_besides() {
    let headers = headers(&[("ce-time", "2026-10-24T15:05:00Z")]);
    let data = data();
    let message = Message {
        subject: SUBJECT,
        headers,
        data: data.as_bytes(),
    };
    let counted = |counts_skew| {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let receipt = Receipt {
            counts_skew,
            ..receipt()
        };
        let read = metrics::with_local_recorder(&recorder, || message.read(receipt));
        assert!(read.is_ok(), "{read:?}");
        let text = recorder.handle().render();
        text.contains("airpost_drone_events_skewed_total 1")
    };
    assert_eq!([true, false].map(counted), [true, false]);
}
