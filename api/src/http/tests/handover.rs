//! Confirmations, and what operators say of deliveries.

use super::drone_events::{event, flight, send};
use super::*;

/// A delivery that has to be confirmed by a PIN, and as much of its flight as is told.
async fn flown(scene: &Scene, events: usize) -> String {
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["confirmation"] = json!("pin");
    let booked = scene.post("/v1/deliveries", body).await;
    let id = booked.text("/id");
    for event in flight(&id).into_iter().take(events) {
        tell(scene, event).await;
    }
    format!("/v1/deliveries/{id}")
}

async fn tell(scene: &Scene, event: Value) {
    let taken = send(scene, &super::drone_events::ONE, event).await;
    assert_eq!(taken.at("/accepted"), 1, "{taken:?}");
}

const PIN: &str = "4711";

fn pin() -> Value {
    json!({"kind": "pin", "proof": PIN})
}

#[tokio::test]
async fn a_package_that_was_let_go_waits_for_its_confirmation_and_is_complete_with_it() {
    let scene = Scene::new();
    let path = flown(&scene, 7).await;
    let waits = scene.get(&path).await;
    assert_eq!(
        (
            waits.text("/status"),
            waits.text("/condition"),
            waits.text("/hold_reason")
        ),
        (
            "at_dropoff".into(),
            "holding".into(),
            "awaiting_confirmation".into()
        )
    );
    assert_eq!(waits.at("/confirmed"), Value::Null);
    let operation = scene.get(&waits.text("/links/operation")).await;
    assert_eq!(
        (operation.status, operation.text("/kind")),
        (200, "schedule".into())
    );

    let confirmed = scene.post(&format!("{path}/confirmations"), pin()).await;
    assert_eq!(
        (confirmed.status, confirmed.text("/status")),
        (201, "complete".into())
    );
    assert_eq!(confirmed.header("location"), path);
    assert_eq!(confirmed.text("/confirmed/kind"), "pin");
    let hash = confirmed.text("/confirmed/proof_hash");
    assert_eq!(hash.len(), 64);

    let history = scene.get(&format!("{path}/history")).await;
    let items = history.at("/items");
    let said = items.as_array().unwrap().iter();
    let said = said.filter(|item| item["type"] == "Confirmed");
    let data: Vec<_> = said.map(|item| item["data"].clone()).collect();
    assert_eq!(data, [json!({"kind": "pin", "proof_hash": hash})]);
    let everything = format!("{:?}{:?}", history.json(), confirmed.json());
    assert!(!everything.contains(PIN), "the proof itself is kept");
}

#[tokio::test]
async fn a_confirmation_before_the_release_completes_the_delivery_with_it() {
    let scene = Scene::new();
    let path = flown(&scene, 6).await;
    let confirmed = scene.post(&format!("{path}/confirmations"), pin()).await;
    assert_eq!(
        (confirmed.status, confirmed.text("/status")),
        (201, "at_dropoff".into())
    );
    let id = path.rsplit('/').next().unwrap();
    tell(&scene, flight(id).swap_remove(6)).await;
    assert_eq!(scene.get(&path).await.text("/status"), "complete");
}

#[tokio::test]
async fn a_drone_may_have_seen_the_recipient_itself() {
    let scene = Scene::new();
    let path = flown(&scene, 7).await;
    let seen = json!({"kind": "photo", "proof_hash": "c0ffee"});
    tell(&scene, event("recipient_verified", 8, &seen)).await;
    let done = scene.get(&path).await;
    assert_eq!(done.text("/status"), "complete");
    assert_eq!(
        (
            done.text("/confirmed/kind"),
            done.text("/confirmed/proof_hash")
        ),
        ("photo".into(), "c0ffee".into())
    );
}

#[tokio::test]
async fn a_confirmation_that_does_not_fit_is_refused_with_what_is_possible() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["confirmation"] = json!("photo");
    let id = scene.post("/v1/deliveries", body).await.text("/id");
    let path = format!("/v1/deliveries/{id}/confirmations");
    let early = scene
        .post(&path, json!({"kind": "photo", "proof": "x"}))
        .await;
    assert_eq!(early.problem(409).0, "state-conflict");
    assert_eq!(early.text("/current_status"), "scheduled");

    for event in flight(&id).into_iter().take(6) {
        tell(&scene, event).await;
    }
    assert_eq!(
        scene.post(&path, pin()).await.problem(422).1,
        ["/kind"],
        "weaker than was asked for"
    );
    let nothing = json!({"kind": "none", "proof": ""});
    assert_eq!(
        scene.post(&path, nothing).await.problem(422).1,
        ["/kind", "/proof"]
    );
    let photo = json!({"kind": "photo", "proof": "https://example.org/1.jpg"});
    assert_eq!(scene.post(&path, photo.clone()).await.status, 201);
    assert_eq!(scene.post(&path, photo).await.status, 201, "the same again");
    let other = json!({"kind": "signature", "proof": "Ada"});
    assert_eq!(scene.post(&path, other).await.status, 409);
    assert_eq!(
        scene
            .post("/v1/deliveries/dlv_0/confirmations", pin())
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn an_operator_vouches_reopens_and_puts_right_each_with_a_reason() {
    let scene = Scene::new();
    let path = flown(&scene, 6).await;
    let crashed = event("crashed", 7, &json!({}));
    tell(&scene, crashed).await;
    let failed = scene.get(&path).await;
    assert_eq!(
        (failed.text("/status"), failed.at("/action_required")),
        ("failed".into(), json!(true))
    );

    let why = json!({"to": "in_transit", "reason": "it lay in the yard, whole"});
    let reopened = scene.post(&format!("{path}/reopen"), why).await;
    assert_eq!(
        (
            reopened.status,
            reopened.text("/status"),
            reopened.at("/failure")
        ),
        (200, "in_transit".into(), Value::Null)
    );
    let reason = json!({"reason": "the recipient rang"});
    let complete = scene
        .post(&format!("{path}/complete"), reason.clone())
        .await;
    assert_eq!(
        (complete.status, complete.text("/status")),
        (200, "complete".into())
    );
    let right = json!({"what": "place", "now": "with the neighbour", "reason": "she rang"});
    let corrected = scene.post(&format!("{path}/correct"), right).await;
    assert_eq!(
        (corrected.status, corrected.text("/status")),
        (200, "complete".into())
    );

    let history = scene.get(&format!("{path}/history")).await;
    let items = history.at("/items");
    let by_operator: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["actor"]["kind"] == "operator")
        .map(|item| item["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        by_operator,
        [
            "Reopened",
            "Stranded",
            "Vouched",
            "DeliveryComplete",
            "Corrected"
        ]
    );
    let again = scene.post(&format!("{path}/complete"), reason).await;
    assert_eq!(again.problem(409).0, "state-conflict");
}

#[tokio::test]
async fn given_a_package_at_a_hub_when_an_operator_gives_it_up_as_damaged_then_it_failed_so() {
    let scene = Scene::new();
    let path = flown(&scene, 6).await;
    tell(&scene, event("returned", 7, &json!({"to": "hub"}))).await;
    let wrong = json!({"reason": "it is wet", "damaged": "yes"});
    let give_up = format!("{path}/give-up");
    let refused = scene.post(&give_up, wrong).await;
    assert_eq!(refused.problem(422).1, ["/damaged"]);
    let damaged = json!({"reason": "it is wet", "damaged": true});
    let failed = scene.post(&give_up, damaged).await;
    assert_eq!(
        (
            failed.status,
            failed.text("/status"),
            failed.text("/failure")
        ),
        (200, "failed".into(), "damaged".into())
    );
    let in_vain = json!({"reason": "nobody comes", "damaged": false});
    let again = scene.post(&give_up, in_vain).await;
    assert_eq!(again.problem(409).0, "state-conflict");
}

#[tokio::test]
async fn a_package_that_a_crashed_drone_had_is_handed_back_by_an_operator() {
    let scene = Scene::new();
    let path = flown(&scene, 6).await;
    tell(&scene, event("crashed", 7, &json!({}))).await;
    let reason = json!({"reason": "the sender fetched it from the yard"});
    let hand_back = format!("{path}/hand-back");
    let refused = scene.post(&hand_back, reason.clone()).await;
    assert_eq!(refused.problem(409).0, "state-conflict");
    assert!(refused.text("/detail").contains("reopen it"), "{refused:?}");

    let why = json!({"to": "returning", "reason": "it lay in the yard, whole"});
    let reopened = scene.post(&format!("{path}/reopen"), why).await;
    assert_eq!(
        (reopened.text("/status"), reopened.at("/action_required")),
        ("returning".into(), json!(true)),
        "no drone brings it"
    );
    let fresh = [("min-position", &*scene.head().to_string())];
    let waits = "/v1/tasks?kind=action_required";
    let task = scene.call("GET", waits, &fresh, None).await;
    assert_eq!(task.text("/items/0/reason"), "ended_with_package");
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(
        task.text("/items/0/links/hand_back"),
        format!("/v1/deliveries/{id}/hand-back")
    );

    let back = scene.post(&hand_back, reason.clone()).await;
    assert_eq!(
        (
            back.status,
            back.text("/status"),
            back.at("/action_required")
        ),
        (200, "returned".into(), json!(false))
    );
    let again = scene.post(&hand_back, reason).await;
    assert_eq!((again.status, again.json()), (200, back.json()));
    let history = scene.get(&format!("{path}/history")).await;
    let items = history.at("/items");
    let said = items.as_array().unwrap().iter().rev().take(2);
    let said: Vec<_> = said
        .map(|item| (item["type"].clone(), item["actor"]["kind"].clone()))
        .collect();
    let by_operator = |what: &str| (json!(what), json!("operator"));
    assert_eq!(said, [by_operator("Returned"), by_operator("HandedBack")]);
}

#[tokio::test]
async fn whoever_says_nothing_of_why_is_told_what_is_missing() {
    let scene = Scene::new();
    let path = flown(&scene, 6).await;
    for (verb, pointers) in [
        ("complete", vec!["/reason"]),
        ("hand-back", vec!["/reason"]),
        ("give-up", vec!["/reason"]),
        ("reopen", vec!["/to", "/reason"]),
        ("correct", vec!["/what", "/now", "/reason"]),
        ("confirmations", vec!["/kind", "/proof"]),
    ] {
        let refused = scene.post(&format!("{path}/{verb}"), json!({})).await;
        assert_eq!(refused.problem(422).1, pointers, "{verb}");
    }
}

#[tokio::test]
async fn what_befalls_a_drone_shows_in_its_delivery() {
    let scene = Scene::new();
    let path = flown(&scene, 5).await;
    let holds = event("hold_started", 6, &json!({"reason": "weather"}));
    tell(&scene, holds).await;
    let held = scene.get(&format!("{path}/status")).await;
    assert_eq!(
        (held.text("/condition"), held.text("/hold_reason")),
        ("holding".into(), "weather".into())
    );
    tell(&scene, event("hold_ended", 7, &json!({}))).await;
    tell(&scene, event("emergency_landed", 8, &json!({}))).await;
    let down = scene.get(&path).await;
    assert_eq!(
        (down.text("/condition"), down.at("/action_required")),
        ("emergency".into(), json!(true))
    );
    let position = scene.head().to_string();
    let fresh = [("min-position", position.as_str())];
    let tasks = scene
        .call("GET", "/v1/tasks?kind=action_required", &fresh, None)
        .await;
    assert_eq!(tasks.text("/items/0/reason"), "emergency_landed");
}

#[tokio::test]
async fn a_confirmation_or_an_operators_word_under_a_key_is_taken_once() {
    let scene = Scene::new();
    let path = flown(&scene, 7).await;
    let right = json!({"what": "place", "now": "with the neighbour", "reason": "she rang"});
    for (verb, body) in [("confirmations", pin()), ("correct", right)] {
        let path = format!("{path}/{verb}");
        let key = [("idempotency-key", "\"4711\"")];
        let first = scene.call("POST", &path, &key, Some(body.clone())).await;
        let head = scene.head();
        let again = scene.call("POST", &path, &key, Some(body)).await;
        assert_eq!(again.header("idempotency-replayed"), "?1");
        assert_eq!(
            (again.status, again.json()),
            (first.status, first.json()),
            "{verb}"
        );
        assert_eq!(scene.head(), head, "{verb}");
    }
}
