//! Lists of the people who keep the service going: page by page, filtered, conditional.

use domain::codec::StoredEvent as _;
use domain::session::{ParkReason, SessionEvent};

use super::drone_events::{BATCH, ONE, event, flight, send, telemetry};
use super::*;

/// Everything in a list, page by page, by the links.
pub(super) async fn followed(scene: &Scene, path: &str) -> Vec<Value> {
    let (mut items, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = scene.get(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        items.extend(answer.at("/items").as_array().unwrap().iter().cloned());
        let Some(next) = answer.at("/next").as_str().map(str::to_owned) else {
            assert!(!answer.headers.contains_key("link"), "{answer:?}");
            return items;
        };
        let link = answer.header("link");
        let target = link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let target = target.unwrap_or_else(|| panic!("{link}"));
        assert!(target.ends_with(&next), "{link}");
        target.clone_into(&mut path);
    }
}

pub(super) fn ids(items: &[Value]) -> Vec<String> {
    let ids = items.iter().map(|item| item["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The list as of everything that was written.
pub(super) async fn fresh(scene: &Scene, path: &str) -> Answer {
    let head = scene.head().to_string();
    scene
        .call("GET", path, &[("min-position", &head)], None)
        .await
}

/// The service a minute later, with other ids than those that it has given already.
pub(super) async fn a_minute_later(scene: &Scene) -> Scene {
    let later = scene.at(NOW_US + 60_000_000);
    for _ in 0..20 {
        later.get("/livez").await;
    }
    later
}

#[tokio::test]
async fn a_dispatcher_sees_the_deliveries_of_all_users_newest_first() {
    let scene = Scene::new();
    let (ada, eve) = (
        scene.user("ada@example.org").await,
        scene.user("eve@example.org").await,
    );
    let mut booked = Vec::new();
    for user in [&ada, &eve, &ada, &eve, &ada] {
        booked.insert(0, scene.delivery(user).await);
    }
    let whole = fresh(&scene, "/v1/deliveries").await;
    assert_eq!(ids(whole.at("/items").as_array().unwrap()), booked);
    assert_eq!(whole.header("stream-position"), scene.head().to_string());
    assert_eq!(whole.header("cache-control"), "private, no-cache");
    let one = scene.get(&format!("/v1/deliveries/{}", booked[0])).await;
    assert_eq!(whole.at("/items/0"), one.json());

    assert_eq!(
        ids(&followed(&scene, "/v1/deliveries?limit=2").await),
        booked
    );
    let of_ada = format!("/v1/deliveries?user_id={ada}&limit=1");
    assert_eq!(
        ids(&followed(&scene, &of_ada).await),
        [&booked[0], &booked[2], &booked[4]].map(String::clone)
    );

    let tag = whole.header("etag");
    let again = scene
        .call("GET", "/v1/deliveries", &[("if-none-match", tag)], None)
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn a_dispatcher_finds_deliveries_by_status_and_by_when_they_were_booked() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let first = scene.delivery(&ada).await;
    let second = a_minute_later(&scene).await.delivery(&ada).await;
    let cancel = json!({"reason": "mistake"});
    let cancelled = scene
        .post(&format!("/v1/deliveries/{first}/cancel"), cancel)
        .await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    for (query, expected) in [
        ("status=cancelled", vec![&first]),
        ("status=scheduled", vec![&second]),
        ("status=cancelled,scheduled", vec![&second, &first]),
        ("status=complete", vec![]),
        ("created_after=2026-11-21T00:00:30Z", vec![&second]),
        ("created_before=2026-11-21T00:00:30Z", vec![&first]),
        (
            "status=scheduled&created_before=2026-11-21T00:00:30Z",
            vec![],
        ),
        ("user_id=usr_00000000-0000-7000-8000-00000000ffff", vec![]),
    ] {
        let found = fresh(&scene, &format!("/v1/deliveries?{query}")).await;
        let found = ids(found.at("/items").as_array().unwrap());
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_at_its_parameter() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    for _ in 0..2 {
        scene.delivery(&ada).await;
    }
    let faulty = scene
        .get("/v1/deliveries?status=flying&limit=201&user_id=ada&x=1")
        .await;
    let (code, mut pointers) = faulty.problem(422);
    pointers.sort_unstable();
    assert_eq!(
        (code.as_str(), pointers),
        (
            "invalid-request",
            ["/limit", "/status", "/user_id", "/x"]
                .map(str::to_owned)
                .to_vec()
        )
    );
    let next = fresh(&scene, "/v1/deliveries?limit=1").await.text("/next");
    for query in [
        format!("status=scheduled&cursor={next}"),
        "cursor=abc".to_owned(),
    ] {
        let answer = scene.get(&format!("/v1/deliveries?{query}")).await;
        assert_eq!(answer.problem(400).0, "bad-cursor", "{query}");
    }
    let refused = scene.call("PUT", "/v1/deliveries", &[], None).await;
    assert_eq!(refused.problem(405).0, "method-not-allowed");
    assert_eq!(refused.header("allow"), "POST, GET, HEAD, OPTIONS");
}

/// What a drone's session is, in the events of these tests.
pub(super) fn session() -> StreamName {
    let [fleet, drone, session] = ["pgh", "M100-07", "0001"];
    StreamName::drone_session(
        &fleet.parse().unwrap(),
        &drone.parse().unwrap(),
        &session.parse().unwrap(),
    )
}

/// Gives up a fact of that session, as happens when it has waited for long enough.
pub(super) async fn give_up(scene: &Scene, seq: u64) {
    let why = ParkReason::UnknownMission;
    let given_up = SessionEvent::DeadLettered { seq, why }.encode();
    let kind = (given_up.event_type, given_up.schema);
    scene.decided(session(), kind, given_up.payload).await;
}

#[tokio::test]
async fn a_fact_that_was_given_up_is_a_task_and_shown_as_it_came_in() {
    let scene = Scene::new();
    for (seq, leg) in [(1, "pickup"), (2, "dropoff")] {
        let unknown = event("departed", seq, &json!({"leg": leg, "own": [seq]}));
        assert_eq!(send(&scene, &ONE, unknown).await.at("/accepted"), 1);
    }
    assert_eq!(
        fresh(&scene, "/v1/dead-letters").await.at("/items"),
        json!([])
    );
    give_up(&scene, 1).await;
    give_up(&scene, 2).await;
    let letters = fresh(&scene, "/v1/dead-letters").await;
    let expected = json!({
        "id": letters.at("/items/0/id"), "task_id": format!("tsk_{}-7", session()), "reason": "unknown_mission",
        "fleet_id": "pgh", "drone_id": "M100-07", "session_id": "0001", "seq": 2,
        "mission_id": "msn_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55", "delivery_id": null,
        "waited_since": "2026-11-21T00:00:00.000000Z", "given_up_at": letters.at("/items/0/given_up_at"),
        "fact": {
            "id": "departed-2", "type": "drone.departed.v1", "event_time": "2026-10-24T15:04:05.120000Z",
            "received_at": "2026-11-21T00:00:00.000000Z", "clock_skewed": false, "skewed_time": null,
            "data": letters.at("/items/0/fact/data"),
            "data_as_sent": letters.at("/items/0/fact/data").to_string(),
        },
        "message": null,
        "links": {
            "task": format!("/v1/tasks/tsk_{}-7", session()),
            "redrive": format!("/v1/dead-letters/tsk_{}-7/redrive", session()),
        },
    });
    assert_eq!(letters.at("/items/0"), expected);
    let data = letters.at("/items/0/fact/data");
    assert_eq!(
        (&data["leg"], &data["own"]),
        (&json!("dropoff"), &json!([2]))
    );
    assert_eq!(letters.at("/items/1/seq"), 1);

    let whole = letters.at("/items").as_array().unwrap().clone();
    assert_eq!(followed(&scene, "/v1/dead-letters?limit=1").await, whole);
    let tasks = fresh(&scene, "/v1/tasks").await;
    let id = format!("tsk_{}-7", session());
    let expected = json!({
        "id": id, "event_id": whole[0]["id"], "kind": "dead_letter", "reason": "unknown_mission",
        "help": "have the fleet send what is missing, mission_assigned as a rule; then redrive the dead letter",
        "status": "open", "since": tasks.at("/items/0/since"), "delivery_id": null, "fact_id": null,
        "other_delivery_id": null, "operation_id": null, "effect": null, "authorization_id": null,
        "acknowledged_at": null, "acknowledged_by": null, "note": null,
        "links": {
            "self": format!("/v1/tasks/{id}"),
            "subject": format!("/v1/dead-letters?task_id={id}"),
            "redrive": format!("/v1/dead-letters/{id}/redrive"),
        },
    });
    assert_eq!(tasks.at("/items/0"), expected);
    for (task, letter) in [(0, 0), (1, 1)] {
        let subject = tasks.text(&format!("/items/{task}/links/subject"));
        let found = fresh(&scene, &subject).await.at("/items");
        assert_eq!(found, json!([whole[letter]]));
    }
    let none = format!("/v1/dead-letters?task_id=tsk_{}-5", session());
    assert_eq!(fresh(&scene, &none).await.at("/items"), json!([]));
    scene.get("/v1/dead-letters?task_id=7").await.problem(422);
    let by_pages = followed(&scene, "/v1/tasks?limit=1").await;
    let events: Vec<_> = by_pages.iter().map(|task| &task["event_id"]).collect();
    assert_eq!(
        events,
        whole.iter().map(|letter| &letter["id"]).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_a_drone_reported_and_cannot_be_is_a_task_of_its_delivery() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    let mut events = flight(&delivery);
    events[6]["data"]
        .as_object_mut()
        .unwrap()
        .remove("position");
    assert_eq!(send(&scene, &BATCH, json!(events)).await.at("/accepted"), 7);
    let tasks = fresh(&scene, "/v1/tasks").await;
    assert_eq!(tasks.at("/items").as_array().unwrap().len(), 1);
    for (pointer, expected) in [
        ("/items/0/kind", "anomaly".to_owned()),
        ("/items/0/reason", "release_without_position".to_owned()),
        ("/items/0/delivery_id", delivery.clone()),
        ("/items/0/fact_id", "package_released-7".to_owned()),
        (
            "/items/0/links/subject",
            format!("/v1/deliveries/{delivery}"),
        ),
    ] {
        assert_eq!(tasks.text(pointer), expected);
    }
    assert_eq!(tasks.header("stream-position"), scene.head().to_string());
    let known = [("if-none-match", tasks.header("etag"))];
    assert_eq!(
        scene.call("GET", "/v1/tasks", &known, None).await.status,
        304
    );
}

#[tokio::test]
async fn statistics_are_told_by_the_hour_and_by_the_day() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    let flown = send(&scene, &BATCH, json!(flight(&delivery))).await;
    assert_eq!(flown.at("/accepted"), 7);
    let by_hour = fresh(&scene, "/v1/statistics").await;
    let spans: Vec<_> = by_hour
        .at("/items")
        .as_array()
        .unwrap()
        .iter()
        .map(|hour| {
            (
                hour["from"].clone(),
                hour["to"].clone(),
                hour["created"].clone(),
                hour["completed"].clone(),
            )
        })
        .collect();
    assert_eq!(
        spans,
        [
            (
                json!("2026-11-21T00:00:00.000000Z"),
                json!("2026-11-21T01:00:00.000000Z"),
                json!(1),
                json!(0)
            ),
            (
                json!("2026-10-24T15:00:00.000000Z"),
                json!("2026-10-24T16:00:00.000000Z"),
                json!(0),
                json!(1)
            ),
        ]
    );
    let expected = json!({"count": 1, "p50_s": 0.0, "p90_s": 0.0});
    assert_eq!(
        by_hour.at("/items/1/stages/total"),
        expected,
        "the flight is older than the order"
    );
    assert_eq!(by_hour.at("/items/0/failed/drone_lost"), 0);
    assert_eq!(by_hour.at("/items/0/rejected/no_drone"), 0);
    assert_eq!(by_hour.at("/items/0/eta_error/p50_s"), Value::Null);
    let days = followed(&scene, "/v1/statistics?by=day&limit=1").await;
    let begins: Vec<_> = days.iter().map(|day| day["from"].clone()).collect();
    assert_eq!(
        begins,
        ["2026-11-21T00:00:00.000000Z", "2026-10-24T00:00:00.000000Z"]
    );
    let november = fresh(
        &scene,
        "/v1/statistics?from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z",
    )
    .await;
    assert_eq!(november.at("/items").as_array().unwrap().len(), 1);
    for (query, pointer) in [
        ("by=week", "/by"),
        ("from=today", "/from"),
        ("from=2026-11-01T00:00:00Z&to=2026-11-01T00:00:00Z", "/to"),
    ] {
        let faulty = scene.get(&format!("/v1/statistics?{query}")).await;
        assert_eq!(faulty.problem(422).1, [pointer], "{query}");
    }
}

#[tokio::test]
async fn drones_are_still_known_after_a_restart_and_what_they_do() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    send(&scene, &BATCH, json!(flight(&delivery)[..5])).await;
    send(&scene, &ONE, telemetry(1)).await;
    let before = fresh(&scene, "/v1/drones/M100-07").await;
    assert_eq!(before.at("/heading_deg"), 353.1);

    let restarted = scene.at(NOW_US);
    let after = fresh(&restarted, "/v1/drones/M100-07").await;
    for answer in [&before, &after] {
        assert_eq!(answer.text("/activity"), "in_transit");
        assert_eq!(answer.text("/since"), "2026-10-24T15:04:05.120000Z");
        assert_eq!(answer.text("/delivery_id"), delivery);
        assert_eq!(answer.text("/session_id"), "0001");
    }
    assert_eq!(
        (after.at("/position"), after.at("/age_s")),
        (Value::Null, Value::Null)
    );
    let members = |answer: &Answer| {
        answer
            .json()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(members(&before), members(&after), "what is unknown is null");
    let listed = fresh(&restarted, "/v1/drones").await;
    assert_eq!(listed.at("/items"), json!([after.json()]));
}
