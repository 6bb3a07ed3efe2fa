//! Drone events that are refused: at their index in a batch, as a whole when they are alone.

use serde_json::json;

use super::{Stage, head};
use crate::scene::{Taken, lines, number, text};

#[tokio::test]
async fn a_bad_line_of_a_batch_is_named_and_the_others_are_taken() {
    let stage = Stage::set().await;
    let mut facts = stage.order.facts();
    let mut no_drone = facts.first().expect("a flight has facts").clone();
    no_drone["data"]
        .as_object_mut()
        .expect("data is an object")
        .remove("drone_id");
    let mut large = no_drone.clone();
    large["data"]["detail"] = json!("x".repeat(65 * 1024));
    let last = facts.split_off(5);
    let body = format!(
        "{}not json\n\n{no_drone}\n{large}\n{}",
        lines(&facts),
        lines(&last)
    );
    let answer = stage
        .client
        .post("/v1/drone-events")
        .body("application/x-ndjson", body)
        .send()
        .await
        .expect(200);
    let taken = Taken::of(&answer);
    assert_eq!((taken.accepted, taken.duplicates), (9, 0));
    let indices: Vec<_> = taken
        .rejected
        .iter()
        .map(|rejected| number(rejected, "/index"))
        .collect();
    assert_eq!(indices, [5, 6, 7], "blank lines do not count");
    for rejected in &taken.rejected {
        assert!(!text(rejected, "/problem/detail").is_empty(), "{rejected}");
    }
    assert_eq!(
        text(&stage.order.read(&stage.client).await, "/status"),
        "complete"
    );
    stage.leave().await;
}

#[tokio::test]
async fn a_single_bad_drone_event_is_422_and_a_batch_of_no_list_400_or_422() {
    let stage = Stage::set().await;
    let mut event = stage.order.events().remove(0);
    event["data"]["seq"] = json!("first");
    let one = stage
        .client
        .post("/v1/drone-events")
        .body("application/cloudevents+json", event.to_string());
    let answer = one.send().await;
    answer.expect_problem(422);
    let batch = stage
        .client
        .post("/v1/drone-events")
        .body("application/cloudevents-batch+json", "{\"no\": \"list\"}");
    batch.send().await.expect_problem(422);
    let broken = stage
        .client
        .post("/v1/drone-events")
        .body("application/cloudevents-batch+json", "[{]");
    broken.send().await.expect_problem(400);
    assert_eq!(head(&stage.client, &stage.user).await, stage.head);
    stage.leave().await;
}
