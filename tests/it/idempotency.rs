//! Requests under a key of their client's own: whatever happens to the server or
//! the connection, they are carried out once, and everybody gets the one answer.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Chance, Client, Recording, Request, Server};
use tokio::task::JoinSet;

use crate::scene::{Order, airpost, chance, list, new_user, scratch, seeded, text, verify};

/// How many twins are sent at once.
const TWINS: usize = 16;

/// How often the server is killed while it answers.
const KILLS: usize = 8;

/// The longest that a kill comes after what it may cut short.
const AFTER_US_MAX: u64 = 4_000;

fn keyed(request: Request, key: &str) -> Request {
    request.header("idempotency-key", key)
}

/// A user who is new, as its request says.
fn registration(chance: &mut Chance) -> Value {
    let name = format!("user-{:016x}", chance.bits());
    json!({"name": name, "email": format!("{name}@example.org")})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_under_a_key_all_get_the_answer_of_the_one_that_was_carried_out() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let mut order = Order::request(&user, &Recording::load(268), &mut chance);
    // Nothing but the key ties them together.
    order["external_id"] = Value::Null;

    let mut racing = JoinSet::new();
    for _ in 0..TWINS {
        racing.spawn(keyed(client.post("/v1/deliveries").json(&order), "twin").send());
    }
    let answers = racing.join_all().await;

    for answer in &answers {
        assert_eq!(answer.status(), 201, "{answer}");
        assert_eq!(answer.bytes(), answers[0].bytes());
    }
    let listed = client
        .get(&format!("/v1/users/{user}/deliveries"))
        .header("prefer", "wait=10")
        .header(
            "min-position",
            answers[0].required_header("stream-position"),
        );
    let listed = listed.send().await.expect(200).json();
    assert_eq!(list(&listed, "/items").len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_was_asked_under_a_key_is_done_once_when_it_is_asked_again() {
    let (seed, mut chance) = seeded();
    let folder = scratch();
    let mut asked: Vec<(String, Value, Answer)> = Vec::new();
    for kill in 0..KILLS {
        let server = airpost().serve(folder.path()).await;
        let (key, body) = (format!("key-{kill}"), registration(&mut chance));
        let after = Duration::from_micros(chance.below(AFTER_US_MAX));
        kill_while_answering(server, keyed_user(&key, &body), after).await;

        let server = airpost().serve(folder.path()).await;
        let client = server.client();
        // Whether or not it was carried out before, now it is.
        let answer = keyed_user(&key, &body)(&client).send().await.expect(201);
        asked.push((key, body, answer));
        for (key, body, first) in &asked {
            let again = keyed_user(key, body)(&client).send().await.expect(201);
            assert_eq!(again.bytes(), first.bytes(), "AIRPOST_SEED={seed}");
            assert_eq!(again.required_header("idempotency-replayed"), "?1");
            let email = text(body, "/email");
            let found = client.read(&format!("/v1/users?email={email}")).await;
            assert_eq!(text(&found, "/items/0/id"), text(&first.json(), "/id"));
        }
        server.stop().await;
    }
    verify(folder.path()).await;
}

fn keyed_user(key: &str, body: &Value) -> impl Fn(&Client) -> Request + Send + 'static {
    let (key, body) = (key.to_owned(), body.clone());
    move |client| keyed(client.post("/v1/users").json(&body), &key)
}

/// Sends a request and kills the server so long after it, whatever it has done by then.
async fn kill_while_answering(
    server: Server,
    request: impl Fn(&Client) -> Request + Send + 'static,
    after: Duration,
) {
    let client = server.client();
    let mut sending = tokio::spawn(async move { request(&client).try_send().await });
    let answered = tokio::time::timeout(after, &mut sending).await;
    server.kill().await;
    // Answered or not: asking again is to make no difference.
    if answered.is_err() {
        drop(sending.await.expect("a sender does not panic"));
    }
}
