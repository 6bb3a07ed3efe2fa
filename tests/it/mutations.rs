//! Drone events as no drone sends them: every one is accounted for, and nothing stops for it.
//!
//! `AIRPOST_MUTATIONS` says how many there are; without it ten thousand.

use serde_json::{Value, json};
use tests::{Chance, Recording};

use crate::scene::{
    Order, Taken, airpost, at, list, number_from, report, scratch_in_memory, seeded, text, verify,
};

/// How many lines without being told otherwise.
const LINES_USUAL: u64 = 10_000;

/// Lines in one request.
const LINES_AT_ONCE: u64 = 200;

/// Values that a member may suddenly have.
fn odd_value(chance: &mut Chance) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(-1.0e308),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(300)),
        json!("msn_00000000-0000-0000-0000-000000000000"),
        json!("dlv_00000000-0000-7000-8000-000000000000"),
        json!("9999-12-31T23:59:59.999999Z"),
        json!("0001-01-01T00:00:00Z"),
        json!([]),
        json!([[[[[]]]]]),
        json!({}),
        json!({"lat_deg": 91, "lon_deg": null}),
    ];
    pick(&values, chance).clone()
}

fn pick<'a, T>(some: &'a [T], chance: &mut Chance) -> &'a T {
    let place = chance.below(some.len() as u64);
    let place = usize::try_from(place).expect("it is a place in memory");
    some.get(place).expect("it is one of them")
}

/// Changes a member somewhere in a document, or takes it away.
fn change(value: &mut Value, chance: &mut Chance) {
    let Some(members) = value.as_object_mut().filter(|members| !members.is_empty()) else {
        *value = odd_value(chance);
        return;
    };
    let names: Vec<String> = members.keys().cloned().collect();
    let name = pick(&names, chance);
    match chance.below(4) {
        0 => drop(members.remove(name)),
        1 => drop(members.insert(name.clone(), odd_value(chance))),
        2 => drop(members.insert(format!("{name}_"), odd_value(chance))),
        _ => change(members.get_mut(name).expect("it is one of them"), chance),
    }
}

/// A line that may have been an event.
fn line(corpus: &[Value], chance: &mut Chance) -> Vec<u8> {
    let mut event = pick(corpus, chance).clone();
    for _ in 0..chance.below(4) {
        change(&mut event, chance);
    }
    let mut bytes = event.to_string().into_bytes();
    match chance.below(6) {
        0 => {
            let length = usize::try_from(chance.below(bytes.len() as u64)).expect("it is a length");
            bytes.truncate(length);
        }
        1 => {
            for _ in 0..=chance.below(8) {
                let place = usize::try_from(chance.below(bytes.len() as u64)).expect("a place");
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= u8::try_from(chance.below(255) + 1).expect("it is a byte");
                }
            }
        }
        _ => {}
    }
    // A line is a line, and one without anything does not count.
    bytes.retain(|byte| *byte != b'\n' && *byte != b'\r');
    if bytes.iter().all(u8::is_ascii_whitespace) {
        bytes = b"{}".to_vec();
    }
    bytes
}

/// Events of every kind, of missions of their own.
fn corpus(order: &Order, chance: &mut Chance) -> Vec<Value> {
    let mut events = order.events();
    let kinds = [
        ("mission_rejected", json!({"reason": "weather"})),
        (
            "mission_aborted",
            json!({"reason": "airspace", "detail": "too close"}),
        ),
        (
            "recipient_verified",
            json!({"kind": "pin", "proof_hash": "ab".repeat(32)}),
        ),
        ("hold_started", json!({"reason": "traffic"})),
        ("hold_ended", json!({})),
        ("battery", json!({"level": "critical", "endurance_s": 60})),
        ("diverted", json!({"reason": "battery", "to": "hub"})),
        ("link_lost", json!({})),
        ("link_restored", json!({})),
        ("crashed", json!({"detail": "tree"})),
        ("lost", json!({})),
        ("package_dropped", json!({})),
        ("emergency_landed", json!({})),
        ("stood_down", json!({})),
        ("returned", json!({"to": "sender"})),
        (
            "mission_completed",
            json!({"outcome": "landed_home", "payload_on_board": true}),
        ),
        ("no_such_kind", json!({"what": 1})),
    ];
    for (number, (kind, members)) in (100_u64..).zip(kinds) {
        let drone = format!("odd-{:04x}", chance.below(1 << 16));
        let mut data = json!({
            "drone_id": drone, "mission_id": order.mission.mission, "session_id": "1", "seq": number % 3 + 1,
        });
        crate::scene::with(&mut data, &members);
        events.push(json!({
            "specversion": "1.0", "type": format!("drone.{kind}.v1"),
            "source": format!("/fleets/pgh/drones/{drone}"), "id": format!("{drone}:1:{number}"),
            "time": "2026-11-21T09:00:00Z", "data": data,
        }));
    }
    events
}

#[tokio::test]
async fn whatever_comes_as_drone_events_is_accounted_for_and_the_stream_goes_on() {
    let (data, (_, mut chance)) = (scratch_in_memory(), seeded());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let odd = Order::place(&client, &Recording::load(268), &mut chance).await;
    let corpus = corpus(&odd, &mut chance);
    let lines = number_from("AIRPOST_MUTATIONS").unwrap_or(LINES_USUAL);
    let (mut accepted, mut rejected) = (0, 0);
    for _ in 0..lines.div_ceil(LINES_AT_ONCE) {
        let mut body = Vec::new();
        for _ in 0..LINES_AT_ONCE {
            body.extend(line(&corpus, &mut chance));
            body.push(b'\n');
        }
        let post = client
            .post("/v1/drone-events")
            .body("application/x-ndjson", body);
        let answer = post.send().await.expect(200);
        let taken = Taken::of(&answer);
        let refused = taken.rejected.len() as u64;
        let counted = taken.accepted + taken.duplicates + refused;
        assert_eq!(counted, LINES_AT_ONCE, "every line is accounted for");
        for refusal in &taken.rejected {
            assert!(!text(refusal, "/problem/detail").is_empty(), "{refusal}");
            assert_ne!(text(refusal, "/problem/code"), "internal", "{refusal}");
        }
        accepted += taken.accepted;
        rejected += refused;
    }
    assert!(
        accepted > lines / 20 && rejected > lines / 20,
        "{accepted} {rejected}"
    );

    let fine = Order::place(&client, &Recording::load(269), &mut chance).await;
    report(&client, &fine.facts()).await;
    assert_eq!(text(&fine.read(&client).await, "/status"), "complete");
    let waiting = client.read("/v1/dead-letters").await;
    assert!(at(&waiting, "/items").is_array() && list(&waiting, "/items").len() <= 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop().await;
    verify(data.path()).await;
}
