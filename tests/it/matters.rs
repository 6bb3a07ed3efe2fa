//! What a person has to look at comes about by itself, is seen in the list of tasks, and goes with
//! its reason.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Billing, Bills, Chance, Client, Program, Recording, poll_until};

use crate::scene::{Order, airpost, chance, list, new_user, scratch_in_memory, text};

/// How long anything may take that the service does by itself.
const SOON: Duration = Duration::from_secs(30);

/// Every wait of the service is so much shorter.
const TIME_SCALE: &str = "20";

fn hurried() -> Program {
    airpost().with_setting("AIRPOST_TIME_SCALE", TIME_SCALE)
}

fn billed_by(billing: &Billing) -> Program {
    hurried().with_setting("AIRPOST_BILLING__URL", &billing.url())
}

/// The tasks of a reason, whoever has seen to them, as far as the views are.
async fn tasks(client: &Client, reason: &str) -> Vec<Value> {
    let page = client.read("/v1/tasks?status=all").await;
    let all = list(&page, "/items").iter();
    let of_reason = all.filter(|task| text(task, "/reason") == reason);
    of_reason.cloned().collect()
}

/// The task of a reason, as soon as there is one.
async fn task(client: &Client, reason: &str) -> Value {
    let look = || async { tasks(client, reason).await.pop() };
    poll_until(SOON, reason, look).await
}

/// Waits until a task is none any more, by its name and in the list.
async fn gone(client: &Client, task: &Value) {
    let (path, reason) = (text(task, "/links/self"), text(task, "/reason"));
    poll_until(SOON, "the task to be gone", || async {
        let read = client.get(path).send().await;
        let is_gone = read.status() == 404 && tasks(client, reason).await.is_empty();
        is_gone.then_some(())
    })
    .await;
}

/// Says that somebody has seen to a task, which stays one.
async fn acknowledged(client: &Client, task: &Value) {
    let path = format!("{}/acknowledge", text(task, "/links/self"));
    let told = client.post(&path).send().await.expect(200).json();
    assert_eq!(text(&told, "/status"), "acknowledged");
}

async fn book(client: &Client, chance: &mut Chance) -> Answer {
    let user = new_user(client, chance).await;
    let request = Order::request(&user, &Recording::load(268), chance);
    let booked = client.post("/v1/deliveries").json(&request).send().await;
    booked.expect(201)
}

#[tokio::test]
async fn given_a_billing_service_that_is_away_when_a_booking_was_put_off_ten_times_then_that_is_a_task_until_it_goes_on()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::TooMany).await;
    let server = billed_by(&billing).serve(data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance).await;
    let delivery = booked.required_header("location");
    assert_eq!(tasks(&client, "operation_stuck").await, [] as [Value; 0]);
    let stuck = task(&client, "operation_stuck").await;
    assert!(billing.requests() >= 10, "{}", billing.requests());
    assert_eq!(text(&stuck, "/kind"), "operation");
    assert_eq!(text(&stuck, "/effect"), "authorize_payment");
    let operation = client.read(text(&stuck, "/links/subject")).await;
    assert_eq!(text(&operation, "/id"), text(&stuck, "/operation_id"));
    assert_eq!(text(&operation, "/status"), "running");
    acknowledged(&client, &stuck).await;
    assert_eq!(tasks(&client, "operation_stuck").await.len(), 1);

    billing.now(Bills::Well);
    gone(&client, &stuck).await;
    poll_until(SOON, "the booking to stand", || async {
        let read = client.read(delivery).await;
        (text(&read, "/status") == "scheduled").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn an_authorization_that_the_billing_service_does_not_take_back_is_left_to_a_person() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let server = billed_by(&billing).serve(data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance).await;
    let delivery = booked.required_header("location");
    poll_until(SOON, "the booking to stand", || async {
        let read = client.read(delivery).await;
        (text(&read, "/status") == "scheduled").then_some(())
    })
    .await;
    billing.now(Bills::Refusing);
    let cancelled = client.delete(delivery).send().await;
    assert!(cancelled.status() < 300, "{cancelled}");
    let refused = task(&client, "void_refused").await;
    let [charge] = billing.charges().try_into().expect("one was authorized");
    assert_eq!(text(&refused, "/authorization_id"), charge.authorization);
    assert_eq!(text(&refused, "/operation_id"), charge.operation);
    acknowledged(&client, &refused).await;
    assert_eq!(
        client.read("/v1/tasks").await.pointer("/items"),
        Some(&json!([]))
    );
    server.stop().await;
}
