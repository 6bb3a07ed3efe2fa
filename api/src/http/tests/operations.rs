//! Operations that somebody wants to call off.

use super::drone_events::{flight, send};
use super::*;

/// The path of the operation that an answer leads to.
fn monitor(answer: &Answer) -> String {
    let (path, _) = answer.header("link").split_once('>').unwrap();
    path.trim_start_matches('<').to_owned()
}

/// What is said to whoever calls an operation off that is not: the status of its delivery, and why.
async fn refused(scene: &Scene, operation: &str) -> (Value, String) {
    let head = scene.head();
    let answer = scene.call("DELETE", operation, &[], None).await;
    assert_eq!(answer.problem(409).0, "state-conflict");
    assert_eq!(scene.head(), head, "a refusal wrote something");
    (answer.at("/current_status"), answer.text("/detail"))
}

#[tokio::test]
async fn what_is_over_is_said_to_be_over_with_the_status_and_what_is_possible_now() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let booked = scene.post("/v1/deliveries", order(&user)).await;
    let path = booked.header("location");
    let (status, why) = refused(&scene, &monitor(&booked)).await;
    assert_eq!(status, "scheduled");
    assert!(why.contains("it is over (succeeded)"), "{why}");
    assert!(why.contains("cancel it, or reschedule it"), "{why}");

    let later = json!({"deliver_by": "2026-11-21T20:00:00Z"});
    let any = [("if-match", "*")];
    let changed = scene.call("PATCH", path, &any, Some(later)).await;
    let (status, why) = refused(&scene, &monitor(&changed)).await;
    assert_eq!(status, "scheduled");
    assert!(why.contains("it is over (succeeded)"), "{why}");

    let cancelled = scene.call("DELETE", path, &[], None).await;
    let (status, why) = refused(&scene, &monitor(&cancelled)).await;
    assert_eq!(status, "cancelled");
    assert!(why.contains("it is over (succeeded)"), "{why}");
    assert!(why.contains("order a new one"), "{why}");
}

#[tokio::test]
async fn what_is_under_way_is_said_to_be_with_the_status_and_what_is_possible_now() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let id = scene.delivery(&user).await;
    for event in flight(&id).into_iter().take(1) {
        let taken = send(&scene, &super::drone_events::ONE, event).await;
        assert_eq!(taken.at("/accepted"), 1, "{taken:?}");
    }
    let path = format!("/v1/deliveries/{id}");
    let cancelling = scene.call("DELETE", &path, &[], None).await;
    let (status, why) = refused(&scene, &monitor(&cancelling)).await;
    assert_eq!(status, "cancelling");
    assert!(why.contains("under way"), "{why}");
    assert!(why.contains("until its drone has turned round"), "{why}");
}

#[tokio::test]
async fn a_rebuild_is_not_called_off_and_its_status_is_said() {
    let scene = Scene::new();
    let rebuild = "/v1/projections/user/rebuild";
    let wait = [("prefer", "wait=20")];
    let over = scene.call("POST", rebuild, &wait, None).await;
    let operation = over.text("/links/self");
    let (status, why) = refused(&scene, &operation).await;
    assert_eq!(status, "succeeded");
    assert!(why.contains("it is over (succeeded)"), "{why}");
}
