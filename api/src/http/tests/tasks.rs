//! What needs a person, and that somebody has seen to it.

use domain::codec::StoredEvent as _;
use domain::delivery::{Anomaly, DeliveryEvent, Failure, Stranding};
use domain::id::{DeliveryId, FactId, MissionId, OperationId};
use domain::scheduling::OperationEvent;
use domain::session::SessionEvent;

use super::drone_events::{ONE, event, send};
use super::lists::{a_minute_later, followed, fresh, give_up, ids, session};
use super::*;

/// Adds an event to a delivery, as a drone's fact would bring about.
async fn happened(scene: &Scene, delivery: &str, event: DeliveryEvent) {
    let id: DeliveryId = delivery.parse().unwrap();
    let stored = event.encode();
    let kind = (stored.event_type, stored.schema);
    let name = StreamName::delivery(id);
    scene.decided(name, kind, stored.payload).await;
}

fn odd(why: Anomaly) -> DeliveryEvent {
    let fact = FactId::new("M100-07:1").unwrap();
    let mission = MissionId::from_uuid(Uuid::from_u128(1));
    DeliveryEvent::AnomalyRecorded { fact, mission, why }
}

fn left_on_board() -> DeliveryEvent {
    let place = Stranding::OnBoard;
    DeliveryEvent::Stranded { place }
}

fn failed(reason: Failure) -> DeliveryEvent {
    let mission = MissionId::from_uuid(Uuid::nil());
    DeliveryEvent::Failed { mission, reason }
}

/// A service with a delivery about which something cannot be; the address of that task.
pub(super) async fn scene_with_task() -> (Scene, String, String) {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    happened(&scene, &delivery, odd(Anomaly::TwoDrones)).await;
    let tasks = fresh(&scene, "/v1/tasks").await;
    let path = tasks.text("/items/0/links/self");
    (scene, delivery, path)
}

async fn acknowledge(scene: &Scene, path: &str, body: Option<Value>) -> Answer {
    let path = format!("{path}/acknowledge");
    scene.call("POST", &path, &[], body).await
}

#[tokio::test]
async fn a_task_that_somebody_has_seen_to_is_not_open_any_more() {
    let (scene, delivery, path) = scene_with_task().await;
    let open = scene.get(&path).await;
    assert_eq!(
        (open.status, open.text("/status")),
        (200, "open".to_owned())
    );
    let said = json!({"note": "both are back at the hub"});
    let answer = acknowledge(&scene, &path, Some(said)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("stream-position"),
        scene.head().to_string(),
        "it is durable"
    );
    let uuid = delivery.strip_prefix("dlv_").unwrap();
    let id = format!("tsk_delivery-{uuid}-3");
    let expected = json!({
        "id": id, "event_id": open.at("/event_id"), "kind": "anomaly", "reason": "two_drones",
        "status": "acknowledged", "since": open.at("/since"), "delivery_id": delivery, "fact_id": "M100-07:1",
        "other_delivery_id": null, "operation_id": null, "effect": null, "authorization_id": null,
        "acknowledged_at": "2026-11-21T00:00:00.000000Z",
        "acknowledged_by": {"kind": "operator", "id": null}, "note": "both are back at the hub",
        "help": "ask the fleet which drone has the package",
        "links": {"self": path, "subject": format!("/v1/deliveries/{delivery}")},
    });
    assert_eq!(answer.json(), expected);
    assert_ne!(answer.header("etag"), open.header("etag"));

    let read = scene.get(&path).await;
    assert_eq!(read.body, answer.body);
    assert_eq!(read.header("etag"), answer.header("etag"));
    let known = [("if-none-match", read.header("etag"))];
    assert_eq!(scene.call("GET", &path, &known, None).await.status, 304);
    for (query, listed) in [
        ("", json!([])),
        ("?status=open", json!([])),
        ("?status=acknowledged", json!([expected])),
        ("?status=all", json!([expected])),
    ] {
        let list = fresh(&scene, &format!("/v1/tasks{query}")).await;
        assert_eq!(list.at("/items"), listed, "{query}");
    }
}

#[tokio::test]
async fn saying_it_again_answers_the_same_and_writes_nothing() {
    let (scene, _, path) = scene_with_task().await;
    let first = acknowledge(&scene, &path, None).await;
    assert_eq!((first.status, first.at("/note")), (200, Value::Null));
    let head = scene.head();
    for body in [None, Some(json!({})), Some(json!({"note": null}))] {
        let later = a_minute_later(&scene).await;
        let again = acknowledge(&later, &path, body).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("stream-position"), head.to_string());
    }
    let other_words = Some(json!({"note": "so did I"}));
    let refused = acknowledge(&scene, &path, other_words).await;
    assert_eq!(refused.problem(409).0, "state-conflict");
    assert!(refused.text("/detail").contains("note"), "{refused:?}");
    assert_eq!(scene.head(), head);
}

#[tokio::test]
async fn what_came_about_just_now_is_acknowledged_whatever_the_views_have_not_seen() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    // A view that stands still lags for ever.
    let damaged = DeliveryId::from_uuid(Uuid::from_u128(9));
    scene.damage(StreamName::delivery(damaged)).await;
    happened(&scene, &delivery, left_on_board()).await;
    let uuid = delivery.strip_prefix("dlv_").unwrap();
    let path = format!("/v1/tasks/tsk_delivery-{uuid}-3");
    let answer = acknowledge(&scene, &path, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/kind"), "action_required");
    assert_eq!(scene.get(&path).await.body, answer.body);
}

#[tokio::test]
async fn a_task_stays_acknowledged_until_its_reason_goes_and_then_is_none() {
    let (scene, delivery, odd_one) = scene_with_task().await;
    happened(&scene, &delivery, left_on_board()).await;
    let tasks = fresh(&scene, "/v1/tasks").await;
    assert_eq!(tasks.text("/items/0/reason"), "ended_with_package");
    let left = tasks.text("/items/0/links/self");
    assert_eq!(acknowledge(&scene, &left, None).await.status, 200);
    let open = fresh(&scene, "/v1/tasks").await.at("/items");
    assert_eq!(
        ids(open.as_array().unwrap()),
        [odd_one.strip_prefix("/v1/tasks/").unwrap()]
    );
    happened(&scene, &delivery, failed(Failure::Misdelivered)).await;
    assert_eq!(scene.get(&left).await.problem(404).0, "not-found");
    let head = scene.head();
    let gone = acknowledge(&scene, &left, None).await;
    assert_eq!(
        (gone.problem(404).0.as_str(), scene.head()),
        ("not-found", head)
    );
    let tasks = fresh(&scene, "/v1/tasks?status=all").await;
    let reasons: Vec<_> = tasks.at("/items").as_array().unwrap().clone();
    let reasons: Vec<_> = reasons
        .iter()
        .map(|task| (task["reason"].clone(), task["status"].clone()))
        .collect();
    assert_eq!(
        reasons,
        [
            (json!("misdelivered"), json!("open")),
            (json!("two_drones"), json!("open"))
        ]
    );
}

#[tokio::test]
async fn a_fact_that_was_given_up_is_acknowledged_until_it_is_applied() {
    let scene = Scene::new();
    let unknown = event("departed", 1, &json!({"leg": "pickup"}));
    assert_eq!(send(&scene, &ONE, unknown).await.at("/accepted"), 1);
    give_up(&scene, 1).await;
    let path = fresh(&scene, "/v1/tasks").await.text("/items/0/links/self");
    assert_eq!(acknowledge(&scene, &path, None).await.status, 200);
    assert_eq!(fresh(&scene, "/v1/tasks").await.at("/items"), json!([]));
    let letters = fresh(&scene, "/v1/dead-letters").await;
    assert_eq!(letters.at("/items/0/seq"), 1, "it is a dead letter still");
    let applied = SessionEvent::FactUnparked { seq: 1 }.encode();
    let kind = (applied.event_type, applied.schema);
    scene.decided(session(), kind, applied.payload).await;
    scene.get(&path).await.problem(404);
    let all = fresh(&scene, "/v1/tasks?status=all").await;
    assert_eq!(all.at("/items"), json!([]));
}

#[tokio::test]
async fn a_fact_that_was_given_up_is_driven_once_more_when_what_it_waited_for_is_there() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    let arrived = event("arrived", 2, &json!({"at": "pickup"}));
    // Its assignment, which has the number before, is not there yet.
    let departed = event("departed", 1, &json!({"leg": "pickup"}));
    for fact in [departed, arrived] {
        assert_eq!(send(&scene, &ONE, fact).await.at("/accepted"), 1);
    }
    give_up(&scene, 1).await;
    let letters = fresh(&scene, "/v1/dead-letters").await;
    let redrive = letters.text("/items/0/links/redrive");
    let head = scene.head();
    let refused = scene.call("POST", &redrive, &[], None).await;
    assert_eq!(refused.problem(409).0, "state-conflict");
    assert_eq!(refused.text("/reason"), "unknown_mission");
    assert_eq!(scene.head(), head);

    let assigned = event("mission_assigned", 3, &json!({"delivery_id": delivery}));
    assert_eq!(send(&scene, &ONE, assigned).await.at("/accepted"), 1);
    let driven = scene.call("POST", &redrive, &[], Some(json!({}))).await;
    assert_eq!(
        (driven.status, driven.text("/status")),
        (200, "applied".into())
    );
    assert_eq!(
        fresh(&scene, "/v1/dead-letters").await.at("/items"),
        json!([])
    );
    let head = scene.head();
    let again = scene.call("POST", &redrive, &[], None).await;
    assert_eq!((again.status, again.body), (200, driven.body));
    assert_eq!(scene.head(), head);

    let nothing = format!("/v1/dead-letters/tsk_{}-1/redrive", session());
    for path in [nothing.as_str(), "/v1/dead-letters/evt_1/redrive"] {
        scene.call("POST", path, &[], None).await.problem(404);
    }
    let said = scene
        .call("POST", &redrive, &[], Some(json!({"now": true})))
        .await;
    assert_eq!(said.problem(422).1, ["/now"]);
}

#[tokio::test]
async fn a_fact_that_is_driven_under_a_key_is_answered_as_the_first_time_and_no_other_under_it() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    let departed = event("departed", 1, &json!({"leg": "pickup"}));
    let arrived = event("arrived", 2, &json!({"at": "pickup"}));
    for (fact, seq) in [(departed, 1), (arrived, 2)] {
        assert_eq!(send(&scene, &ONE, fact).await.at("/accepted"), 1);
        give_up(&scene, seq).await;
    }
    let letters = fresh(&scene, "/v1/dead-letters").await;
    let [one, other] =
        ["/items/0", "/items/1"].map(|item| letters.text(&format!("{item}/links/redrive")));
    let assigned = event("mission_assigned", 3, &json!({"delivery_id": delivery}));
    assert_eq!(send(&scene, &ONE, assigned).await.at("/accepted"), 1);

    let key = [("idempotency-key", "k")];
    let driven = scene.call("POST", &one, &key, None).await;
    assert_eq!(driven.text("/status"), "applied");
    assert!(!driven.headers.contains_key("idempotency-replayed"));
    let head = scene.head();
    let again = scene.call("POST", &one, &key, None).await;
    assert_eq!(again.header("idempotency-replayed"), "?1");
    assert_eq!(
        again.header("stream-position"),
        driven.header("stream-position")
    );
    assert_eq!((again.status, again.body), (driven.status, driven.body));
    let reused = scene.call("POST", &other, &key, None).await;
    assert_eq!(reused.problem(422).0, "idempotency-key-reused");
    assert_eq!(scene.head(), head);
}

#[tokio::test]
async fn the_feed_and_the_history_show_what_made_a_task_and_not_what_becomes_of_it() {
    let (scene, delivery, path) = scene_with_task().await;
    let before = scene.get("/v1/events").await;
    let history = scene
        .get(&format!("/v1/deliveries/{delivery}/history"))
        .await;
    let task = acknowledge(&scene, &path, None).await;
    let after = scene.get("/v1/events").await;
    let events = |feed: &Answer| ids(feed.at("/items").as_array().unwrap());
    assert_eq!(events(&after), events(&before));
    assert_eq!(events(&after).last(), Some(&task.text("/event_id")));
    let again = scene
        .get(&format!("/v1/deliveries/{delivery}/history"))
        .await;
    assert_eq!(again.body, history.body);
}

#[tokio::test]
async fn what_is_no_task_is_not_found_and_nothing_is_written() {
    let (scene, delivery, path) = scene_with_task().await;
    let head = scene.head();
    let uuid = delivery.strip_prefix("dlv_").unwrap();
    for id in [
        format!("tsk_delivery-{uuid}-1"),
        format!("tsk_delivery-{uuid}-4"),
        format!("tsk_delivery-{uuid}-18446744073709551615"),
        format!("tsk_delivery-{uuid}-03"),
        format!("tsk_drone_session-{uuid}-3"),
        format!("tsk_drone_session-{uuid}-18446744073709551615"),
        format!("tsk_delivery-{}-1", Uuid::nil()),
        format!("tsk_user-{uuid}-1"),
        format!("evt_{uuid}"),
        delivery.clone(),
        "tsk_".to_owned(),
        "%00".to_owned(),
    ] {
        let path = format!("/v1/tasks/{id}");
        scene.get(&path).await.problem(404);
        acknowledge(&scene, &path, None).await.problem(404);
    }
    let wrong = [
        (json!({"note": ""}), vec!["/note"]),
        (json!({"note": "x".repeat(501)}), vec!["/note"]),
        (json!({"note": 7, "by": "ada"}), vec!["/note", "/by"]),
        (json!([]), vec![""]),
    ];
    for (body, pointers) in wrong {
        let refused = acknowledge(&scene, &path, Some(body)).await;
        assert_eq!(
            refused.problem(422),
            (
                "invalid-request".to_owned(),
                pointers.into_iter().map(str::to_owned).collect()
            )
        );
    }
    acknowledge(&scene, &path, Some(json!("no JSON")))
        .await
        .problem(400);
    let text = [("content-type", "text/plain")];
    let refused = scene
        .call(
            "POST",
            &format!("{path}/acknowledge"),
            &text,
            Some(json!("{}")),
        )
        .await;
    refused.problem(415);
    assert_eq!(scene.call("DELETE", &path, &[], None).await.status, 405);
    scene.get(&format!("{path}?as_of=now")).await.problem(422);
    scene.get("/v1/tasks?status=closed").await.problem(422);
    assert_eq!(scene.head(), head);
}

#[tokio::test]
async fn who_bases_it_on_an_old_state_is_shown_the_current_one() {
    let (scene, _, path) = scene_with_task().await;
    let open = scene.get(&path).await;
    let acknowledge = format!("{path}/acknowledge");
    let based_on = |tag: &str| [("if-match", tag.to_owned())];
    for (tag, status) in [
        ("\"7-1\"".to_owned(), 412),
        (open.header("etag").to_owned(), 200),
        (open.header("etag").to_owned(), 412),
        ("*".to_owned(), 200),
    ] {
        let headers = based_on(&tag);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = scene.call("POST", &acknowledge, &headers, None).await;
        assert_eq!(answer.status, status, "{tag}: {answer:?}");
        if status == 412 {
            assert_eq!(answer.at("/current"), scene.get(&path).await.json());
        }
    }
}

/// The billing service does not take back what a delivery's booking was authorized.
async fn void_refused(scene: &Scene, delivery: &str) {
    let refused = OperationEvent::VoidRefused {
        authorization: "auth-7".parse().unwrap(),
    };
    left(scene, delivery, &refused).await;
}

/// A delivery's booking leaves something to a person.
async fn left(scene: &Scene, delivery: &str, event: &OperationEvent) {
    let booking = OperationId::of_booking(delivery.parse().unwrap());
    let stored = event.encode();
    let kind = (stored.event_type, stored.schema);
    let name = StreamName::operation(booking);
    scene.decided(name, kind, stored.payload).await;
}

#[tokio::test]
async fn what_is_the_matter_with_an_operation_is_a_task_that_names_and_leads_to_it() {
    let (scene, delivery, _) = scene_with_task().await;
    void_refused(&scene, &delivery).await;
    let booking = OperationId::of_booking(delivery.parse().unwrap()).to_string();
    let task = fresh(&scene, "/v1/tasks?kind=operation")
        .await
        .at("/items/0");
    assert_eq!(
        (
            &task["reason"],
            &task["operation_id"],
            &task["authorization_id"]
        ),
        (&json!("void_refused"), &json!(booking), &json!("auth-7"))
    );
    assert_eq!(task["delivery_id"], Value::Null);
    let operation = scene.get(task["links"]["subject"].as_str().unwrap()).await;
    assert_eq!(operation.at("/delivery_id"), delivery);
    let path = task["links"]["self"].as_str().unwrap();
    let answer = acknowledge(&scene, path, None).await;
    assert_eq!(
        (answer.status, answer.text("/status")),
        (200, "acknowledged".to_owned())
    );
    let redrive = format!("/v1/dead-letters/{}/redrive", task["id"].as_str().unwrap());
    let redriven = scene.call("POST", &redrive, &[], None).await;
    assert_eq!(redriven.status, 404, "it is no dead letter");
}

#[tokio::test]
async fn what_may_be_paid_for_nothing_and_what_flies_for_nothing_are_tasks_under_their_names() {
    let (scene, delivery, _) = scene_with_task().await;
    for (event, reason) in [
        (OperationEvent::PaymentLeftUnknown, "payment_unknown"),
        (OperationEvent::FlightUnpaid, "flight_unpaid"),
    ] {
        left(&scene, &delivery, &event).await;
        let task = fresh(&scene, "/v1/tasks?kind=operation").await;
        let task = task.at("/items/0");
        assert_eq!(task["reason"], reason, "{task}");
        assert_eq!(task["authorization_id"], Value::Null, "{task}");
        assert_eq!(task["kind"], "operation", "{task}");
    }
}

#[tokio::test]
async fn two_deliveries_that_have_one_package_are_both_named_by_their_task() {
    let (scene, delivery, _) = scene_with_task().await;
    let other = DeliveryId::from_uuid(Uuid::from_u128(7));
    let shared = OperationEvent::PackageShared {
        delivery: delivery.parse().unwrap(),
        with: other,
    };
    left(&scene, &delivery, &shared).await;
    let task = fresh(&scene, "/v1/tasks?kind=operation")
        .await
        .at("/items/0");
    assert_eq!(task["reason"], "package_shared", "{task}");
    assert_eq!(
        (&task["delivery_id"], &task["other_delivery_id"]),
        (&json!(delivery), &json!(other.to_string()))
    );
    let operation = scene.get(task["links"]["subject"].as_str().unwrap()).await;
    assert_eq!(operation.at("/delivery_id"), delivery);
}

#[tokio::test]
async fn tasks_of_a_kind_are_found_among_all() {
    let (scene, delivery, _) = scene_with_task().await;
    happened(&scene, &delivery, left_on_board()).await;
    let unknown = event("departed", 1, &json!({"leg": "pickup"}));
    assert_eq!(send(&scene, &ONE, unknown).await.at("/accepted"), 1);
    give_up(&scene, 1).await;
    void_refused(&scene, &delivery).await;
    let all = fresh(&scene, "/v1/tasks?status=all").await.at("/items");
    let all = all.as_array().unwrap();
    let mut found = 0;
    for kind in ["anomaly", "action_required", "dead_letter", "operation"] {
        let list = fresh(&scene, &format!("/v1/tasks?kind={kind}")).await;
        let of_kind: Vec<_> = all.iter().filter(|task| task["kind"] == kind).collect();
        assert_eq!(list.at("/items"), json!(of_kind), "{kind}");
        assert!(!of_kind.is_empty(), "{kind}");
        found += of_kind.len();
    }
    assert_eq!(found, all.len());
    scene.get("/v1/tasks?kind=odd").await.problem(422);
    let next = scene.get("/v1/tasks?limit=1").await.text("/next");
    let other = format!("/v1/tasks?kind=anomaly&cursor={next}");
    assert_eq!(scene.get(&other).await.problem(400).0, "bad-cursor");
}

#[tokio::test]
async fn a_cursor_goes_on_in_the_list_that_gave_it() {
    let (scene, delivery, path) = scene_with_task().await;
    for why in [
        Anomaly::WrongStatus,
        Anomaly::ForeignDrone,
        Anomaly::UnknownDelivery,
    ] {
        happened(&scene, &delivery, odd(why)).await;
    }
    let whole = fresh(&scene, "/v1/tasks").await.at("/items");
    assert_eq!(json!(followed(&scene, "/v1/tasks?limit=2").await), whole);
    let next = scene.get("/v1/tasks?limit=2").await.text("/next");
    assert_eq!(acknowledge(&scene, &path, None).await.status, 200);
    let rest = fresh(&scene, &format!("/v1/tasks?limit=2&cursor={next}")).await;
    assert_eq!(
        rest.at("/items"),
        json!([whole[2]]),
        "the last is acknowledged"
    );
    let other = format!("/v1/tasks?status=all&cursor={next}");
    assert_eq!(scene.get(&other).await.problem(400).0, "bad-cursor");
}
