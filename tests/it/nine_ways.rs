//! The nine ways in which the drone delivery sample of a well-known vendor fails its clients
//! (<https://github.com/mspnp/microservices-reference-implementation>): none of them is one here.

use serde_json::{Value, json};
use tests::{Chance, Client, Recording};

use crate::scene::{
    History, Order, WENT_WELL, airpost, at, chance, number, report, scratch_in_memory, text,
    verify, with,
};

async fn booked(client: &Client, chance: &mut Chance) -> Order {
    Order::place(client, &Recording::load(268), chance).await
}

/// Changes what can be changed of a delivery, on whatever state it is in.
async fn patch(client: &Client, order: &Order, change: &Value) -> Value {
    let patch = client.patch(&order.path()).header("if-match", "*");
    patch.json(change).send().await.expect(200).json()
}

#[tokio::test]
async fn one_cancelling_and_rescheduling_work_through_the_whole_path() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    let later = json!({"deliver_by": "2099-01-01T12:00:00Z"});
    let changed = patch(&client, &order, &later).await;
    assert_eq!(text(&changed, "/deliver_by"), "2099-01-01T12:00:00.000000Z");
    let cancel = client.post(&format!("{}/cancel", order.path()));
    let cancelled = cancel.json(&json!({"reason": "mistake"})).send().await;
    let cancelled = cancelled.expect(202);
    let position = cancelled.required_header("stream-position");
    let cancelled = order.read(&client).await;
    assert_eq!(text(&cancelled, "/status"), "cancelled");
    let list = client.get(&format!("/v1/users/{}/deliveries", order.user));
    let listed = list.header("min-position", position).send().await;
    let listed = listed.expect(200).json();
    assert_eq!(text(&listed, "/items/0/status"), "cancelled");
    server.stop().await;
}

#[tokio::test]
async fn two_the_status_is_the_fold_of_what_happened() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    report(&client, &order.facts()).await;
    let history = order.history(&client).await;
    assert_eq!(history.types(), WENT_WELL);
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    server.stop().await;
    // And so it is in every view, of every delivery.
    verify(data.path()).await;
}

#[tokio::test]
async fn three_coordinates_come_back_as_they_were_sent() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    for (lat, lon) in [
        (-33.868_820_1, 151.209_295_7),
        (0.000_000_1, -179.999_999_9),
        (40.4, -79.7),
    ] {
        let order = booked(&client, &mut chance).await;
        let there = json!({"dropoff": {"lat": lat, "lon": lon}});
        patch(&client, &order, &there).await;
        let shown = order.read(&client).await;
        assert_eq!(at(&shown, "/dropoff/lat"), &json!(lat));
        assert_eq!(at(&shown, "/dropoff/lon"), &json!(lon));
    }
    server.stop().await;
}

#[tokio::test]
async fn four_what_goes_before_others_stays_so() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    let mut request = order.request.clone();
    let package = json!({"tag": "QR-in-a-hurry", "size": "small", "mass_g": 500});
    let hurry = json!({"external_id": "in-a-hurry", "expedited": true, "package": package});
    with(&mut request, &hurry);
    let post = client.post("/v1/deliveries").json(&request);
    let made = post.send().await.expect(201).json();
    let path = format!("/v1/deliveries/{}", text(&made, "/id"));
    let later = client.patch(&path).header("if-match", "*");
    let later = later.json(&json!({"deliver_by": "2099-01-01T12:00:00Z"}));
    assert_eq!(
        at(&later.send().await.expect(200).json(), "/expedited"),
        &json!(true)
    );
    assert_eq!(at(&client.read(&path).await, "/expedited"), &json!(true));
    server.stop().await;
}

#[tokio::test]
async fn five_the_second_reschedule_leaves_the_first_in_the_history() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    for year in ["2098", "2099"] {
        let by = json!({"deliver_by": format!("{year}-01-01T12:00:00Z")});
        patch(&client, &order, &by).await;
    }
    let history = order.history(&client).await;
    let rescheduled = history
        .items
        .iter()
        .filter(|item| text(item, "/type") == "Rescheduled");
    let deadlines: Vec<_> = rescheduled
        .map(|item| text(item, "/data/deliver_by"))
        .collect();
    assert_eq!(
        deadlines,
        ["2098-01-01T12:00:00.000000Z", "2099-01-01T12:00:00.000000Z"]
    );
    assert_eq!(number(&order.read(&client).await, "/revision"), 2);
    server.stop().await;
}

#[tokio::test]
async fn six_a_confirmation_is_stored_checked_and_there_to_be_read() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    let mut request = order.request.clone();
    let package = json!({"tag": "QR-signed", "size": "small", "mass_g": 500});
    let signed = json!({"external_id": "signed", "confirmation": "photo", "package": package});
    with(&mut request, &signed);
    let post = client.post("/v1/deliveries").json(&request);
    let made = post.send().await.expect(201).json();
    let id = text(&made, "/id");
    let path = format!("/v1/deliveries/{id}");
    let mission = Order::mission(id, &request, &mut chance);
    let facts = crate::scene::facts_of(Recording::load(268).events(&mission));
    let confirm = |kind: &str, proof: &str| {
        let post = client.post(&format!("{path}/confirmations"));
        post.json(&json!({"kind": kind, "proof": proof})).send()
    };
    // Not before a drone brings it, and not by less than was asked for.
    let early = confirm("photo", "https://example.org/1.jpg").await;
    assert_eq!(
        text(&early.expect_problem(409), "/current_status"),
        "scheduled"
    );
    report(&client, &facts).await;
    assert_ne!(text(&client.read(&path).await, "/status"), "complete");
    let _ = confirm("pin", "4711").await.expect_problem(422);
    let _ = confirm("photo", "https://example.org/1.jpg")
        .await
        .expect(201);
    let shown = client.read(&path).await;
    assert_eq!(text(&shown, "/status"), "complete");
    assert_eq!(text(&shown, "/confirmed/kind"), "photo");
    assert!(!text(&shown, "/confirmed/proof_hash").contains("example.org"));
    let history = History::of(&client, id).await;
    assert!(history.types().contains(&"Confirmed"), "{history:?}");
    server.stop().await;
}

#[tokio::test]
async fn seven_what_is_complete_is_not_cancelled_and_what_is_cancelled_not_completed() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    report(&client, &order.facts()).await;
    let mistake = json!({"reason": "mistake"});
    let cancel = client
        .post(&format!("{}/cancel", order.path()))
        .json(&mistake);
    let refused = cancel.send().await.expect_problem(409);
    assert_eq!(text(&refused, "/current_status"), "complete");
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");

    let order = booked(&client, &mut chance).await;
    let cancel = client
        .post(&format!("{}/cancel", order.path()))
        .json(&mistake);
    let _ = cancel.send().await.expect(202);
    report(&client, &order.facts()).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "cancelled");
    let history = History::of(&client, &order.id).await;
    assert!(
        !history.types().contains(&"DeliveryComplete"),
        "{history:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn eight_what_a_patch_leaves_out_stays_as_it_was() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let order = booked(&client, &mut chance).await;
    let before = order.read(&client).await;
    let moved = json!({"dropoff": {"address": "1 Main Street"}});
    let after = patch(&client, &order, &moved).await;
    assert_eq!(text(&after, "/dropoff/address"), "1 Main Street");
    for member in [
        "pickup",
        "pickup_window",
        "deliver_by",
        "package",
        "confirmation",
        "expedited",
        "metadata",
    ] {
        assert_eq!(after.get(member), before.get(member), "{member}");
    }
    assert_eq!(at(&after, "/dropoff/lat"), at(&before, "/dropoff/lat"));
    server.stop().await;
}

#[tokio::test]
async fn nine_what_was_accepted_is_there_whatever_happens_right_after() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    for _ in 0..5 {
        let server = airpost().serve(data.path()).await;
        let client = server.client();
        let order = booked(&client, &mut chance).await;
        let cancel = client.post(&format!("{}/cancel", order.path()));
        let cancel = cancel.header("prefer", "respond-async");
        let accepted = cancel
            .json(&json!({"reason": "mistake"}))
            .send()
            .await
            .expect(202);
        server.kill().await;
        let server = airpost().serve(data.path()).await;
        let client = server.client();
        assert_eq!(text(&order.read(&client).await, "/status"), "cancelled");
        let operation = client.read(accepted.required_header("location")).await;
        assert_eq!(text(&operation, "/kind"), "cancel");
        let history = order.history(&client).await;
        assert_eq!(history.types().len(), 4, "{history:?}");
        server.stop().await;
    }
}
