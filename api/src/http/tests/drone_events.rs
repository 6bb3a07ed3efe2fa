//! Drone events: in three forms, counted one by one; and what is seen of drones.

use std::sync::Mutex;

use super::*;

pub(super) const ONE: [(&str, &str); 1] = [("content-type", "application/cloudevents+json")];
pub(super) const BATCH: [(&str, &str); 1] =
    [("content-type", "application/cloudevents-batch+json")];
const LINES: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];
const MISSION: &str = "msn_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55";

pub(super) fn event(kind: &str, seq: u64, own: &Value) -> Value {
    let mut data =
        json!({"drone_id": "M100-07", "mission_id": MISSION, "session_id": "0001", "seq": seq});
    data.as_object_mut()
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    json!({
        "specversion": "1.0", "type": format!("drone.{kind}.v1"), "source": "/fleets/pgh/drones/M100-07",
        "id": format!("{kind}-{seq}"), "time": "2026-10-24T15:04:05.120Z", "data": data,
    })
}

pub(super) fn flight(delivery: &str) -> Vec<Value> {
    let place = json!({"lat_deg": 40.461, "lon_deg": -79.779});
    vec![
        event("mission_assigned", 1, &json!({"delivery_id": delivery})),
        event("departed", 2, &json!({"leg": "pickup"})),
        event("arrived", 3, &json!({"at": "pickup"})),
        event("package_loaded", 4, &json!({})),
        event("departed", 5, &json!({"leg": "dropoff"})),
        event("arrived", 6, &json!({"at": "dropoff", "position": place})),
        event(
            "package_released",
            7,
            &json!({"method": "winch", "confirmed": true, "position": place}),
        ),
    ]
}

pub(super) fn telemetry(seq: u64) -> Value {
    let position = json!({"lat_deg": 40.46, "lon_deg": -79.78, "height_above_home_m": 24.8});
    event(
        "telemetry",
        seq,
        &json!({"phase": "in_flight", "position": position, "heading_deg": 353.1,
        "velocity": {"north_mps": 3.9, "east_mps": -0.5, "down_mps": 0.1}, "battery": {"remaining_pct": 61}}),
    )
}

fn lines(events: &[Value]) -> Value {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    json!(lines.join("\n"))
}

pub(super) async fn send(scene: &Scene, headers: &[(&str, &str)], body: Value) -> Answer {
    scene
        .call("POST", "/v1/drone-events", headers, Some(body))
        .await
}

#[tokio::test]
async fn a_flight_completes_its_delivery_in_each_of_the_three_forms() {
    for form in ["one", "batch", "lines"] {
        let scene = Scene::new();
        let user = scene.user("ada@example.org").await;
        let delivery = scene.delivery(&user).await;
        let events = flight(&delivery);
        match form {
            "one" => {
                for event in &events {
                    let taken = send(&scene, &ONE, event.clone()).await;
                    assert_eq!(
                        taken.json(),
                        json!({"accepted": 1, "duplicates": 0, "rejected": [], "unknown": []})
                    );
                }
            }
            "batch" => assert_eq!(send(&scene, &BATCH, json!(events)).await.at("/accepted"), 7),
            _ => assert_eq!(
                send(&scene, &LINES, lines(&events)).await.at("/accepted"),
                7
            ),
        }
        let read = scene.get(&format!("/v1/deliveries/{delivery}")).await;
        assert_eq!(
            (read.text("/status"), read.text("/stage")),
            ("complete".into(), "Completed".into()),
            "{form}"
        );
        assert_eq!(
            (read.text("/drone_id"), read.text("/mission_id")),
            ("M100-07".into(), MISSION.into())
        );
        assert_eq!(
            read.text("/milestones/completed_at"),
            "2026-10-24T15:04:05.120000Z"
        );
        let again = send(&scene, &LINES, lines(&events)).await;
        assert_eq!(
            (again.at("/accepted"), again.at("/duplicates")),
            (json!(0), json!(7))
        );
        let history = scene
            .get(&format!("/v1/deliveries/{delivery}/history"))
            .await;
        assert_eq!(history.at("/items").as_array().unwrap().len(), 9);
        assert_eq!(
            history.at("/items/8/actor"),
            json!({"kind": "drone", "id": "M100-07"})
        );
    }
}

#[tokio::test]
async fn what_is_bad_is_named_at_its_index_and_the_rest_is_taken() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let facts = flight(&delivery);
    let mut bad = facts[1].clone();
    bad["data"]["seq"] = json!("x");
    let large = event(
        "departed",
        9,
        &json!({"leg": "pickup", "filler": "x".repeat(65 * 1024)}),
    );
    let mut conflict = facts[0].clone();
    conflict["time"] = json!("2026-10-24T16:00:00Z");
    let body = format!(
        "{}\n\nnot json\n{bad}\n{large}\n  \n{}\n{conflict}",
        facts[0],
        telemetry(1)
    );
    let taken = send(&scene, &LINES, json!(body)).await;
    assert_eq!(
        (taken.status, taken.at("/accepted"), taken.at("/duplicates")),
        (200, json!(2), json!(0)),
        "{taken:?}"
    );
    let rejected = taken.at("/rejected");
    let told: Vec<_> = rejected
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["index"].as_u64().unwrap(),
                one["problem"]["code"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (1, "malformed-body"),
        (2, "invalid-request"),
        (3, "content-too-large"),
        (5, "sequence-conflict"),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&rejected[0]["id"], &rejected[1]["id"]),
        (&Value::Null, &json!("departed-2"))
    );
    assert_eq!(rejected[1]["problem"]["errors"][0]["pointer"], "/data/seq");
    assert_eq!(
        rejected[1]["problem"]["type"],
        "http://airpost.test/problems/invalid-request"
    );

    let batch = send(&scene, &BATCH, json!([large, bad])).await;
    assert_eq!(batch.at("/rejected/0/problem/code"), "content-too-large");
    assert_eq!(
        batch.at("/rejected/1/problem/errors/0/pointer"),
        "/data/seq"
    );
}

#[tokio::test]
async fn a_single_bad_event_and_a_request_of_the_wrong_form_are_refused_whole() {
    let scene = Scene::new();
    let mut bad = telemetry(1);
    bad["data"]["seq"] = json!(0);
    assert_eq!(send(&scene, &ONE, bad).await.problem(422).1, ["/data/seq"]);
    assert_eq!(
        send(&scene, &ONE, json!("{")).await.problem(400).0,
        "malformed-body"
    );
    assert_eq!(
        send(&scene, &BATCH, json!("[{]")).await.problem(400).0,
        "malformed-body"
    );
    assert_eq!(
        send(&scene, &BATCH, telemetry(1)).await.problem(422).1,
        [""]
    );
    assert_eq!(
        send(&scene, &[], telemetry(1)).await.problem(415).0,
        "unsupported-media-type"
    );
    let many = vec![telemetry(1); 10_001];
    assert_eq!(
        send(&scene, &LINES, lines(&many)).await.problem(413).0,
        "content-too-large"
    );
    assert_eq!(
        send(&scene, &BATCH, json!(many)).await.problem(413).0,
        "content-too-large"
    );
    let large = event(
        "departed",
        9,
        &json!({"leg": "pickup", "filler": "x".repeat(65 * 1024)}),
    );
    assert_eq!(
        send(&scene, &ONE, large).await.problem(413).0,
        "content-too-large"
    );
    assert_eq!(
        send(&scene, &LINES, json!("x".repeat(17 * 1024 * 1024)))
            .await
            .problem(413)
            .0,
        "content-too-large"
    );
    assert_eq!(
        send(&scene, &LINES, json!("\n \n")).await.json(),
        json!({"accepted": 0, "duplicates": 0, "rejected": [], "unknown": []})
    );
    assert_eq!(scene.head(), 0);
}

#[tokio::test]
async fn a_drone_is_seen_with_its_delivery_and_its_position_on_the_status() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let mut events = flight(&delivery);
    events.truncate(5);
    events.push(telemetry(2));
    events.push(telemetry(1));
    events.push(telemetry(2));
    let taken = send(&scene, &BATCH, json!(events)).await;
    assert_eq!(
        (taken.at("/accepted"), taken.at("/duplicates")),
        (json!(7), json!(1))
    );
    let drone = scene.get("/v1/drones/M100-07").await;
    assert_eq!(
        (drone.text("/delivery_id"), drone.text("/mission_id")),
        (delivery.clone(), MISSION.into())
    );
    assert_eq!(drone.at("/position/height_above_home_m"), 24.8);
    assert_eq!(
        (drone.at("/heading_deg"), drone.at("/battery/remaining_pct")),
        (json!(353.1), json!(61))
    );
    // The list is as of its view's position.
    let head = scene.head().to_string();
    let fresh = [("min-position", head.as_str())];
    let list = scene.call("GET", "/v1/drones", &fresh, None).await;
    assert_eq!(list.at("/items/0"), drone.json());
    assert_eq!(
        scene.get("/v1/drones/none").await.problem(404).0,
        "not-found"
    );

    let path = format!("/v1/deliveries/{delivery}/status");
    let status = scene.get(&path).await;
    let expected =
        json!({"lat": 40.46, "lon": -79.78, "observed_at": "2026-10-24T15:04:05.120000Z"});
    assert_eq!(
        (status.text("/status"), status.at("/position")),
        ("in_transit".into(), expected)
    );
    let mut moved = telemetry(3);
    moved["data"]["position"]["lat_deg"] = json!(40.4601);
    send(&scene, &ONE, moved).await;
    let later = scene
        .call(
            "GET",
            &path,
            &[("if-none-match", status.header("etag"))],
            None,
        )
        .await;
    assert_eq!(later.status, 200, "the position has moved");
    assert_eq!(later.at("/sequence"), status.at("/sequence"));
}

/// Damages the session of drone `M100-08`.
async fn append_damage(scene: &Scene) {
    let [fleet, drone, session] = ["pgh", "M100-08", "0001"];
    scene
        .damage(StreamName::drone_session(
            &fleet.parse().unwrap(),
            &drone.parse().unwrap(),
            &session.parse().unwrap(),
        ))
        .await;
}

/// The same event of the drone whose session is damaged.
fn of_damaged(mut event: Value) -> Value {
    event["source"] = json!("/fleets/pgh/drones/M100-08");
    event["data"]["drone_id"] = json!("M100-08");
    event
}

#[tokio::test]
async fn a_session_that_cannot_be_read_keeps_no_other_events_out() {
    let scene = Scene::new();
    append_damage(&scene).await;
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let mut events = flight(&delivery);
    events.insert(
        1,
        of_damaged(event("departed", 1, &json!({"leg": "pickup"}))),
    );
    let taken = send(&scene, &BATCH, json!(events)).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(taken.at("/accepted"), 7);
    assert_eq!(taken.at("/rejected").as_array().unwrap().len(), 1);
    assert_eq!(
        (taken.at("/rejected/0/index"), taken.text("/rejected/0/id")),
        (json!(1), "departed-1".into())
    );
    let problem = taken.at("/rejected/0/problem");
    assert_eq!(
        (&problem["code"], &problem["retryable"]),
        (&json!("internal-error"), &json!(false))
    );
    let status = scene
        .get(&format!("/v1/deliveries/{delivery}/status"))
        .await;
    assert_eq!(status.text("/status"), "complete");

    let alone = of_damaged(event("departed", 1, &json!({"leg": "pickup"})));
    assert_eq!(
        send(&scene, &ONE, alone).await.problem(500).0,
        "internal-error"
    );
}

/// What is logged.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_told_once_a_minute_however_often_it_is_met() {
    let scene = Scene::new();
    append_damage(&scene).await;
    let said = Said::default();
    let writer = said.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let listening = tracing::subscriber::set_default(lines.finish());
    for seq in 1..=20 {
        let event = of_damaged(event("departed", seq, &json!({"leg": "pickup"})));
        assert_eq!(send(&scene, &ONE, event).await.status, 500);
    }
    drop(listening);
    let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    let told = said
        .lines()
        .filter(|line| line.contains("a drone event was not taken: a stream could not be read"));
    assert_eq!(told.count(), 1, "{said}");
}

#[tokio::test]
async fn a_view_that_stands_still_is_told_by_readiness_as_what_waiting_does_not_mend() {
    let scene = Scene::new();
    scene.damage_more_than_is_parked().await;
    let told = loop {
        let answer = scene.get("/readyz").await;
        if answer.status == 503 && answer.header("retry-after") != "1" {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(told.problem(503).0, "not-ready");
    assert_eq!(
        (told.header("retry-after"), told.text("/reader")),
        ("30", "following".into())
    );
    assert!(told.text("/detail").contains("stands still"), "{told:?}");
}

#[tokio::test]
async fn the_last_page_of_drones_has_no_next_even_when_it_is_full() {
    let scene = Scene::new();
    send(
        &scene,
        &BATCH,
        json!([telemetry(1), of_damaged(telemetry(1))]),
    )
    .await;
    let first = scene.get("/v1/drones?limit=1").await;
    assert_eq!(first.text("/items/0/id"), "M100-07");
    let second = format!("/v1/drones?limit=1&cursor={}", first.text("/next"));
    let second = scene.get(&second).await;
    assert_eq!(
        (second.text("/items/0/id"), second.at("/next")),
        ("M100-08".into(), Value::Null)
    );
    assert_eq!(
        scene.get("/v1/drones?limit=2").await.at("/next"),
        Value::Null
    );
}

#[tokio::test]
async fn after_a_delivery_that_cannot_be_read_gaps_are_still_passed() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let (flown, damaged) = (scene.delivery(&user).await, scene.delivery(&user).await);
    let id = damaged.parse().expect("a delivery's id");
    scene.damage_of(&user, StreamName::delivery(id)).await;
    // The second never comes, so the third is held.
    let mut facts = flight(&flown);
    facts.truncate(3);
    facts.remove(1);
    assert_eq!(send(&scene, &BATCH, json!(facts)).await.at("/accepted"), 2);
    let path = format!("/v1/deliveries/{flown}");
    assert_eq!(scene.get(&path).await.text("/status"), "assigned");

    // Ten seconds later, by the timer that a service has.
    let environment = Environment::fixed(NOW_US + 10_000_000);
    let application = Application::new(scene.log.clone(), environment, Thresholds::default());
    let ingest = Ingest::new(application, limits());
    let views = Arc::new(Views::in_memory(scene.log.clone()).unwrap());
    let (stop, stopping) = watch::channel(false);
    let timer = tokio::spawn(ingest.run_waiting(views, stopping));
    let passed = async {
        while scene.get(&path).await.text("/status") == "assigned" {
            tokio::task::yield_now().await;
        }
    };
    let passed = tokio::time::timeout(std::time::Duration::from_secs(20), passed).await;
    assert!(passed.is_ok(), "the gap is passed");
    assert_eq!(scene.get(&path).await.text("/status"), "at_pickup");
    stop.send_replace(true);
    timer.await.unwrap();
}

#[tokio::test]
async fn a_sender_that_mistypes_a_kind_is_told_how_many_were_not_understood() {
    let scene = Scene::new();
    let mistyped = |kind: &str, seq| event(kind, seq, &json!({}));
    let one = send(&scene, &ONE, mistyped("departd", 1)).await;
    let expected = json!([{"type": "drone.departd.v1", "count": 1}]);
    assert_eq!(
        (one.status, one.at("/accepted"), one.at("/unknown")),
        (200, json!(1), expected)
    );
    let again = send(&scene, &ONE, mistyped("departd", 1)).await;
    assert_eq!(
        (again.at("/duplicates"), again.at("/unknown")),
        (json!(1), json!([]))
    );

    let many: Vec<_> = (2..=26)
        .map(|seq| mistyped(&format!("kind_{:02}", seq / 2), seq))
        .collect();
    let batch = send(&scene, &BATCH, json!(many)).await;
    assert_eq!(batch.at("/accepted"), 25);
    let unknown = batch.at("/unknown");
    let unknown = unknown.as_array().unwrap();
    assert_eq!(unknown.len(), 11, "{unknown:?}");
    assert_eq!(unknown[0], json!({"type": "drone.kind_01.v1", "count": 2}));
    assert_eq!(unknown[10], json!({"type": null, "count": 5}));
}
