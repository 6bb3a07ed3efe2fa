//! Clients at the same moment: one wins, the others are told, and nothing is done twice.

use serde_json::{Value, json};
use tests::{Answer, Client, Recording, Request};
use tokio::task::JoinSet;

use crate::scene::{
    History, Order, Taken, WENT_WELL, airpost, chance, lines, new_user, report, scratch, text,
};

/// How many clients try at once.
const CLIENTS: usize = 16;

/// The answers to requests that were all sent at once.
async fn at_once(request: impl Fn() -> Request) -> Vec<Answer> {
    let mut racing = JoinSet::new();
    for _ in 0..CLIENTS {
        racing.spawn(request().send());
    }
    racing.join_all().await
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers
        .iter()
        .filter(|answer| answer.status() == status)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_users_with_the_same_address_one_is_registered() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let body = json!({"name": "Ada", "email": "ada@example.org"});

    let answers = at_once(|| client.post("/v1/users").json(&body)).await;

    assert_eq!(with_status(&answers, 201).len(), 1);
    for refused in with_status(&answers, 409) {
        refused.expect_problem(409);
    }
    assert_eq!(with_status(&answers, 409).len(), CLIENTS - 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_order_sent_at_once_is_one_delivery() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let order = Order::request(&user, &Recording::load(268), &mut chance);

    let answers = at_once(|| client.post("/v1/deliveries").json(&order)).await;

    assert_eq!(with_status(&answers, 201).len(), 1);
    assert_eq!(with_status(&answers, 200).len(), CLIENTS - 1);
    let bodies: Vec<Value> = answers.iter().map(Answer::json).collect();
    let mut ids: Vec<_> = bodies.iter().map(|body| text(body, "/id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_users_orders_as_many_are_taken_as_their_quota_leaves() {
    let (folder, mut chance) = (scratch(), chance());
    let limited = airpost().with_setting("AIRPOST_DELIVERIES_PER_USER_MAX", "3");
    let server = limited.serve(folder.path()).await;
    let client = server.client();
    let flight = Recording::load(268);
    let user = new_user(&client, &mut chance).await;
    let book = |order: &Value| client.post("/v1/deliveries").json(order).send();
    let mut racing = JoinSet::new();
    for _ in 0..CLIENTS {
        let order = Order::request(&user, &flight, &mut chance);
        let booked = book(&order);
        racing.spawn(async move { (order, booked.await) });
    }

    let (taken, refused): (Vec<_>, Vec<_>) = racing
        .join_all()
        .await
        .into_iter()
        .partition(|(_, answer)| answer.status() == 201);

    assert_eq!(taken.len(), 3);
    for (_, answer) in &refused {
        let problem = answer.expect_problem(409);
        assert_eq!(text(&problem, "/code"), "quota-used-up");
    }
    // Another user is not concerned, and what was taken is none more when it is sent again.
    Order::place(&client, &flight, &mut chance).await;
    let (order, answer) = taken.first().expect("three were taken");
    assert_eq!(book(order).await.status(), 200);
    // What is over leaves its place to another, and to no more than one.
    let path = format!("/v1/deliveries/{}", text(&answer.json(), "/id"));
    let _ = client.delete(&path).send().await.expect(202);
    for expected in [201, 409] {
        let order = Order::request(&user, &flight, &mut chance);
        assert_eq!(book(&order).await.status(), expected);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_based_on_the_same_state_one_is_made() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(268), &mut chance).await;
    let seen = client.get(&order.path()).send().await.expect(200);
    let tag = seen.required_header("etag");
    let body = json!({"deliver_by": "2199-01-01T00:00:00Z"});

    let answers = at_once(|| {
        client
            .patch(&order.path())
            .header("if-match", tag)
            .json(&body)
    })
    .await;

    assert_eq!(with_status(&answers, 200).len(), 1);
    assert_eq!(with_status(&answers, 412).len(), CLIENTS - 1);
    let types = ["Created", "Scheduled", "Rescheduled"];
    assert_eq!(order.history(&client).await.types(), types);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flight_told_by_many_at_once_is_flown_once() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(270), &mut chance).await;
    let facts = order.facts();

    let tell = |client: &Client| {
        client
            .post("/v1/drone-events")
            .body("application/x-ndjson", lines(&facts))
    };
    let answers = at_once(|| tell(&client)).await;

    // Twins that commit at the same moment share one commit, and each is told "accepted".
    for answer in &answers {
        let taken = Taken::of(answer);
        assert_eq!(
            taken.accepted + taken.duplicates,
            facts.len() as u64,
            "{answer}"
        );
    }
    let again = Taken::of(&tell(&client).send().await.expect(200));
    assert_eq!((again.accepted, again.duplicates), (0, facts.len() as u64));
    assert_eq!(History::of(&client, &order.id).await.types(), WENT_WELL);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_based_on_the_delivery_before_its_drone_was_assigned_is_not_made() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(268), &mut chance).await;
    let seen = client.get(&order.path()).send().await.expect(200);
    let _ = report(&client, &assignment(&order)).await;

    let late = client
        .patch(&order.path())
        .header("if-match", seen.required_header("etag"))
        .json(&json!({"deliver_by": "2199-01-01T00:00:00Z"}));
    let problem = late.send().await.expect_problem(412);

    assert_eq!(text(&problem, "/code"), "precondition-failed");
    assert_eq!(text(&problem, "/current/status"), "assigned");
    assert_eq!(problem["current"], order.read(&client).await);
    let types = ["Created", "Scheduled", "DroneAssigned"];
    assert_eq!(order.history(&client).await.types(), types);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_change_and_an_assignment_at_once_the_change_is_made_first_or_not_at_all() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for _ in 0..CLIENTS {
        let order = Order::place(&client, &Recording::load(268), &mut chance).await;
        let seen = client.get(&order.path()).send().await.expect(200);
        let patch = client
            .patch(&order.path())
            .header("if-match", seen.required_header("etag"))
            .json(&json!({"deliver_by": "2199-01-01T00:00:00Z"}));
        let facts = assignment(&order);

        let (changed, _taken) = tokio::join!(patch.send(), report(&client, &facts));

        let types = if changed.status() == 200 {
            vec!["Created", "Scheduled", "Rescheduled", "DroneAssigned"]
        } else {
            changed.expect_problem(412);
            vec!["Created", "Scheduled", "DroneAssigned"]
        };
        assert_eq!(order.history(&client).await.types(), types);
    }
    server.stop().await;
}

/// What its drone says first: that it takes the delivery.
fn assignment(order: &Order) -> Vec<Value> {
    let mut facts = order.facts();
    facts.truncate(1);
    let types: Vec<_> = facts.iter().map(|fact| text(fact, "/type")).collect();
    assert_eq!(types, ["drone.mission_assigned.v1"]);
    facts
}
