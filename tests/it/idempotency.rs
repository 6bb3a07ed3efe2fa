//! Requests under a key of their client's own: whatever happens to the server or
//! the connection, they are carried out once, and everybody gets the one answer.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Billing, Bills, Chance, Client, Recording, Request, Server};
use tokio::task::JoinSet;

use crate::scene::{
    History, Order, airpost, at, chance, list, new_user, report, scratch, seeded, text, verify,
    with,
};

/// How many twins are sent at once.
const TWINS: usize = 16;

/// How often the server is killed while it answers.
const KILLS: usize = 8;

/// The headers of an answer that a repetition has as well.
const LASTING: [&str; 8] = [
    "cache-control",
    "content-location",
    "content-type",
    "etag",
    "link",
    "location",
    "preference-applied",
    "stream-position",
];

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

/// How far a delivery is when something is asked of it.
enum Flown {
    /// No drone has taken it.
    Not,
    /// A drone has the package.
    Carried,
    /// The drone that had it has crashed.
    Lost,
    /// The recipient has it.
    Delivered,
}

/// A request under a key, another one that could be made under it, and how it is answered.
struct Case {
    method: &'static str,
    path: String,
    prefer: &'static str,
    asked: Value,
    other: Value,
    status: u16,
}

impl Case {
    /// A request about a delivery that is so far.
    async fn about(
        client: &Client,
        chance: &mut Chance,
        (flown, what): (Flown, &str),
        (asked, other): (Value, Value),
        status: u16,
    ) -> Self {
        let order = Order::place(client, &Recording::load(268), chance).await;
        let facts = order.facts();
        let is_on_its_way = |fact: &Value| fact.pointer("/data/leg") == Some(&json!("dropoff"));
        let carried = facts.iter().position(is_on_its_way);
        let carried = carried.expect("the drone brings the package") + 1;
        let (carrying, delivering) = facts.split_at(carried);
        let crashed = delivering.first().map(|next| {
            let mut crashed = next.clone();
            with(&mut crashed, &json!({"type": "drone.crashed.v1"}));
            crashed
        });
        let reported = match flown {
            Flown::Not => vec![],
            Flown::Carried => carrying.to_vec(),
            Flown::Lost => carrying.iter().cloned().chain(crashed).collect(),
            Flown::Delivered => facts.clone(),
        };
        if !reported.is_empty() {
            report(client, &reported).await;
        }
        let path = format!("{}{what}", order.path());
        let method = if what.is_empty() { "PATCH" } else { "POST" };
        Self {
            method,
            path,
            prefer: "",
            asked,
            other,
            status,
        }
    }

    fn preferring(self, prefer: &'static str, status: u16) -> Self {
        Self {
            prefer,
            status,
            ..self
        }
    }

    async fn send(&self, client: &Client, body: &Value) -> Answer {
        let request = client.request(self.method, &self.path).json(body);
        let request = request
            .header("if-match", "*")
            .header("prefer", self.prefer);
        // Each has an address of its own, so each has a key of its own.
        keyed(request, &format!("\"{}\"", self.path)).send().await
    }
}

/// What a repetition has in common with the first answer. Of an operation that goes on, that is
/// which one it is.
fn lasting(answer: &Answer) -> (u16, Vec<Option<&str>>, Value) {
    let headers = LASTING.map(|name| answer.header(name)).to_vec();
    let body = answer.json();
    let is_operation = answer.header("preference-applied") == Some("respond-async");
    let body = if is_operation {
        at(&body, "/id").clone()
    } else {
        body
    };
    (answer.status(), headers, body)
}

/// One request of every kind that a key can be sent with, but for those on users, whose own
/// test counts them.
async fn every_kind(client: &Client, chance: &mut Chance) -> Vec<Case> {
    let reason = |why: &str| json!({"reason": why});
    let back = || (json!({}), json!({"": null}));
    let later = || {
        let deadline = |day: u32| json!({"deliver_by": format!("2099-01-{day:02}T00:00:00Z")});
        (deadline(1), deadline(2))
    };
    let proof = |pin: &str| json!({"kind": "pin", "proof": pin});
    let place = |now: &str| json!({"what": "place", "now": now, "reason": "she rang"});
    let hub = |why: &str| json!({"to": "at_hub", "reason": why});
    let found = (hub("it was found whole"), hub("it was found"));
    let mistake = (reason("mistake"), reason("other"));
    let right = (place("with the neighbour"), place("in the shed"));
    let said = (reason("she has it"), reason("he has it"));
    let cases = [
        ((Flown::Not, ""), later(), 200),
        ((Flown::Not, "/cancel"), mistake, 202),
        ((Flown::Carried, "/return"), back(), 202),
        (
            (Flown::Carried, "/confirmations"),
            (proof("1234"), proof("4321")),
            201,
        ),
        ((Flown::Carried, "/complete"), said, 200),
        ((Flown::Delivered, "/correct"), right, 200),
        ((Flown::Lost, "/reopen"), found, 200),
    ];
    let mut every = Vec::new();
    for (about, bodies, status) in cases {
        every.push(Case::about(client, chance, about, bodies, status).await);
    }
    for (about, bodies) in [
        ((Flown::Carried, "/return"), back()),
        ((Flown::Not, ""), later()),
    ] {
        let case = Case::about(client, chance, about, bodies, 202).await;
        every.push(case.preferring("respond-async", 202));
    }
    let declared = |mass_g: u32| json!({"tag": "QR-one", "size": "small", "mass_g": mass_g});
    let own = json!({"tag": "QR-other", "size": "small", "mass_g": 500});
    let registered = client.post("/v1/packages").json(&own).send().await;
    let package = |method, path: &str, bodies: (Value, Value), status| Case {
        method,
        path: path.to_owned(),
        prefer: "",
        asked: bodies.0,
        other: bodies.1,
        status,
    };
    let path = registered
        .expect(201)
        .required_header("location")
        .to_owned();
    let lighter = (json!({"mass_g": 400}), json!({"mass_g": 300}));
    every.push(package(
        "POST",
        "/v1/packages",
        (declared(1), declared(2)),
        201,
    ));
    every.push(package("PATCH", &path, lighter, 200));
    every
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_under_a_key_is_answered_as_it_was_also_by_the_next_start_and_nothing_else_is_done_under_it()
 {
    let (mut chance, folder) = (chance(), scratch());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let every = every_kind(&client, &mut chance).await;
    let mut first = Vec::new();
    for case in &every {
        let answer = case.send(&client, &case.asked).await;
        assert_eq!(answer.status(), case.status, "{}: {answer}", case.path);
        assert_eq!(answer.header("idempotency-replayed"), None);
        first.push(answer);
    }
    let again = async |client: &Client| {
        for (case, first) in every.iter().zip(&first) {
            let answer = case.send(client, &case.asked).await;
            assert_eq!(lasting(&answer), lasting(first), "{}", case.path);
            assert_eq!(answer.required_header("idempotency-replayed"), "?1");
            let other = case.send(client, &case.other).await.expect_problem(422);
            assert_eq!(
                text(&other, "/code"),
                "idempotency-key-reused",
                "{}",
                case.path
            );
        }
    };
    again(&client).await;
    server.kill().await;
    let server = airpost().serve(folder.path()).await;
    again(&server.client()).await;
    server.stop().await;
}

#[tokio::test]
async fn an_operation_is_called_off_as_often_as_that_is_said_and_no_key_is_looked_at() {
    let (mut chance, folder) = (chance(), scratch());
    let billing = Billing::start([], Bills::NotNow).await;
    let program = airpost().with_setting("AIRPOST_BILLING__URL", billing.url());
    let server = program.serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let order = Order::request(&user, &Recording::load(268), &mut chance);
    let post = client.post("/v1/deliveries").json(&order);
    let booked = post
        .header("prefer", "respond-async")
        .send()
        .await
        .expect(202);
    let path = booked.required_header("location");
    let call_off = |key: &str| keyed(client.delete(path), key).send();
    let first = call_off("one").await.expect(202);
    for key in ["one", "another", "\"no key"] {
        let again = call_off(key).await.expect(202);
        assert_eq!(text(&again.json(), "/id"), text(&first.json(), "/id"));
        assert_eq!(again.header("idempotency-replayed"), None);
    }
    let delivery = text(&first.json(), "/delivery_id").to_owned();
    let history = History::of(&client, &delivery).await;
    let cancelled = history
        .types()
        .iter()
        .filter(|it| **it == "Cancelled")
        .count();
    assert_eq!(cancelled, 1, "{:?}", history.types());
    server.stop().await;
}
