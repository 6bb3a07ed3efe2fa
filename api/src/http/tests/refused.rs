//! Messages that were refused over a broker, as those see them who look after the service.

use domain::refusals::{RefusalHour, Refused};
use domain::stream::StreamName;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::drone_events::event;
use super::lists::fresh;
use super::*;
use crate::ingest::message::{Message, Unread};

const SUBJECT: &str = "drone.v1.pgh.M100-07.departed";

/// A door on the scene's log that no answer comes out of.
fn door(scene: &Scene) -> Ingest {
    let environment = Environment::fixed(NOW_US);
    let application = Application::new(scene.log.clone(), environment, Thresholds::default());
    Ingest::new(application, limits())
}

fn now() -> Timestamp {
    Timestamp::from_micros(NOW_US).unwrap()
}

async fn refuse(scene: &Scene, data: &[u8]) {
    let content_type = "application/cloudevents+json".to_owned();
    let message = Message {
        subject: SUBJECT,
        headers: vec![("content-type".to_owned(), content_type)],
        data,
    };
    let door = door(scene);
    let unread = message.read(door.receipt(now())).err();
    let unread = unread.unwrap_or_else(|| Unread::new(Refused::Malformed, "not understood yet"));
    let kept = vec![message.refused(&unread, now())];
    door.refuse(RefusalHour::of(now()), kept).await.unwrap();
}

fn stream() -> StreamName {
    StreamName::refusals(RefusalHour::of(now()))
}

#[tokio::test]
async fn a_message_that_was_refused_is_a_task_and_a_dead_letter_with_its_bytes_and_the_reason() {
    let scene = Scene::new();
    refuse(&scene, br#"{"specversion":"1.0"}"#).await;
    refuse(&scene, b"\xff").await;
    let task = format!("tsk_{}-1", stream());
    let letters = fresh(&scene, "/v1/dead-letters").await;
    let letter = letters.at("/items/1");
    assert_eq!(letter["task_id"], json!(task));
    assert_eq!(
        (&letter["reason"], &letter["fact"]),
        (&json!("malformed"), &Value::Null)
    );
    let message = &letter["message"];
    assert_eq!(message["subject"], SUBJECT);
    assert_eq!(message["form"], "structured");
    assert_eq!(message["data_as_sent"], r#"{"specversion":"1.0"}"#);
    assert_eq!(message["data_base64"], Value::Null, "it is there once");
    assert_eq!(
        (&message["size_bytes"], &message["is_whole"]),
        (&json!(61), &json!(true))
    );
    let words = message["explanation"].as_str().unwrap();
    assert!(
        words.contains("/type: ") && words.contains("/data: "),
        "{words}"
    );
    assert_eq!(letters.at("/items/0/message/data_as_sent"), Value::Null);
    assert_eq!(letters.text("/items/0/message/data_base64"), "/w==");

    let one = fresh(&scene, &format!("/v1/dead-letters?task_id={task}")).await;
    assert_eq!(one.at("/items"), json!([letter]));
    let shown = scene.get(&format!("/v1/tasks/{task}")).await;
    assert_eq!(
        (shown.text("/kind"), shown.text("/reason")),
        ("dead_letter".into(), "malformed".into())
    );
    assert_eq!(
        shown.text("/links/redrive"),
        format!("/v1/dead-letters/{task}/redrive")
    );
    let seen = scene
        .call("POST", &format!("/v1/tasks/{task}/acknowledge"), &[], None)
        .await;
    assert_eq!(seen.text("/status"), "acknowledged");
}

#[tokio::test]
async fn a_message_is_driven_once_more_and_refused_anew_or_taken() {
    let scene = Scene::new();
    let event = event("departed", 1, &json!({"leg": "pickup"})).to_string();
    refuse(&scene, b"{").await;
    refuse(&scene, event.as_bytes()).await;
    let redrive = |version| format!("/v1/dead-letters/tsk_{}-{version}/redrive", stream());
    let head = scene.head();
    let refused = scene.call("POST", &redrive(1), &[], None).await;
    assert_eq!(refused.problem(409).0, "state-conflict");
    assert_eq!(refused.text("/reason"), "malformed");
    assert!(refused.text("/detail").contains("not JSON"));
    assert_eq!(scene.head(), head);

    let key = [("idempotency-key", "k")];
    let taken = scene.call("POST", &redrive(2), &key, None).await;
    assert_eq!(
        (taken.status, taken.text("/status")),
        (200, "applied".into())
    );
    let again = scene.call("POST", &redrive(2), &key, None).await;
    assert_eq!(again.header("idempotency-replayed"), "?1");
    assert_eq!(again.body, taken.body);
    let letters = fresh(&scene, "/v1/dead-letters").await;
    assert_eq!(letters.at("/items").as_array().unwrap().len(), 1);
    scene
        .get(&format!("/v1/tasks/tsk_{}-2", stream()))
        .await
        .problem(404);
    scene
        .call("POST", &redrive(3), &[], None)
        .await
        .problem(404);
}
