//! Whoever wrote finds in the next list what they wrote, whatever else goes on.

use serde_json::{Value, json};
use tests::{Answer, Chance, Client, Recording};
use tokio::task::JoinSet;

use crate::scene::{
    FLIGHTS, Order, airpost, list, new_user, report, scratch, seeded, settled, text,
};

/// How many clients write and read at once.
const CLIENTS: u64 = 12;

/// How many deliveries each of them books, moves and cancels.
const ROUNDS: usize = 12;

/// One client's user, and what is written and asked for it.
struct Writer {
    client: Client,
    user: String,
}

impl Writer {
    /// The user's deliveries in a status, seen at least to where `written` was answered.
    async fn list(&self, status: &str, written: &Answer) -> Vec<Value> {
        let position = written.required_header("stream-position");
        let path = format!(
            "/v1/users/{}/deliveries?limit=200&status={status}",
            self.user
        );
        let asked = self.client.get(&path).header("min-position", position);
        let answer = asked.header("prefer", "wait=30").send().await.expect(200);
        assert_eq!(answer.required_header("preference-applied"), "wait=30");
        let seen: u64 = number_of(answer.required_header("stream-position"));
        assert!(seen >= number_of(position), "{seen} < {position}");
        list(&answer.json(), "/items").to_vec()
    }

    async fn assert_listed(&self, id: &str, status: &str, written: &Answer) {
        let listed = self.list(status, written).await;
        let found = listed.iter().any(|item| text(item, "/id") == id);
        assert!(
            found,
            "{id} is not among the {status} ones after\n{written}"
        );
    }

    /// Books, moves and cancels one delivery, and lists after each.
    async fn round(&self, flight: &Recording, chance: &mut Chance) {
        let order = Order::request(&self.user, flight, chance);
        let booked = self.client.post("/v1/deliveries").json(&order);
        let booked = booked.send().await.expect(201);
        let id = text(&booked.json(), "/id").to_owned();
        self.assert_listed(&id, "scheduled", &booked).await;

        let path = format!("/v1/deliveries/{id}");
        let moved = self.client.patch(&path).header("if-match", "*");
        let moved = moved.json(&json!({"deliver_by": "2199-01-01T00:00:00Z"}));
        let moved = moved.send().await.expect(200);
        let listed = self.list("scheduled", &moved).await;
        let listed = listed.iter().find(|item| text(item, "/id") == id);
        let listed = listed.expect("a moved delivery is still listed");
        assert_eq!(text(listed, "/deliver_by"), "2199-01-01T00:00:00.000000Z");

        let cancelled = self.client.delete(&path).send().await.expect(202);
        self.assert_listed(&id, "cancelled", &cancelled).await;
    }
}

fn number_of(text: &str) -> u64 {
    text.parse().expect("a position is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_after_a_write_contains_it_also_under_load() {
    let (folder, (seed, mut chance)) = (scratch(), seeded());
    let server = airpost().serve(folder.path()).await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let writer = Writer {
            client: server.client(),
            user: new_user(&server.client(), &mut chance).await,
        };
        let mut chance = Chance::new(seed.wrapping_add(client + 1));
        clients.spawn(async move {
            let flight = Recording::load(268);
            for _ in 0..ROUNDS {
                writer.round(&flight, &mut chance).await;
            }
        });
    }
    // Meanwhile drones fly, so that the views have more to follow.
    let client = server.client();
    for flight in FLIGHTS.into_iter().cycle().take(12).map(Recording::load) {
        let order = Order::place(&client, &flight, &mut chance).await;
        for part in order.events().chunks(40) {
            report(&client, part).await;
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client found what it wrote");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_answer_names_a_position_and_no_answer_one_that_it_does_not_show() {
    let (folder, (_, mut chance)) = (scratch(), seeded());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(268), &mut chance).await;
    report(&client, &order.facts()).await;
    settled(&client).await;
    let read = client.get(&order.path()).send().await.expect(200);
    let position = read.required_header("stream-position");
    let head = number_of(position);
    let user = format!("/v1/users/{}", order.user);
    // Its views may not be there yet, and then it says so.
    let list = client.get(&format!("{user}/deliveries"));
    let tag = read.required_header("etag");
    for (request, status) in [
        (client.request("HEAD", &order.path()), 200),
        (client.get(&order.path()).header("if-none-match", tag), 304),
        (client.get(&format!("{}/history", order.path())), 200),
        (list.header("min-position", position), 200),
        (client.get(&user), 200),
        (client.get("/v1/users?email=nobody@example.org"), 200),
        (client.get("/v1/deliveries/dlv_none"), 404),
        (client.get("/v1/nothing"), 404),
        (client.post("/v1/users").json(&json!({})), 422),
        (client.delete(&order.path()), 409),
    ] {
        let answer = request.send().await.expect(status);
        let position = number_of(answer.required_header("stream-position"));
        assert_eq!(position, head, "nothing was written meanwhile\n{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_position_that_is_not_there_is_waited_for_and_then_told_apart() {
    let (folder, (_, mut chance)) = (scratch(), seeded());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let path = format!("/v1/users/{user}/deliveries");
    let head = async || {
        let answer = client.get("/v1/nothing").send().await.expect(404);
        number_of(answer.required_header("stream-position"))
    };
    // How many positions a booking takes is the log's business; the first takes
    // one more, which makes its events known.
    let _ = Order::place_for(&client, &user, &Recording::load(268), &mut chance).await;
    let before = head().await;
    let _ = Order::place_for(&client, &user, &Recording::load(268), &mut chance).await;
    let after = head().await;
    let next = (after + (after - before)).to_string();

    let lagging = client.get(&path).header("min-position", &next);
    let lagging = lagging.header("prefer", "wait=0").send().await;
    let problem = lagging.expect_problem(503);
    assert_eq!(text(&problem, "/code"), "projection-lagging");
    assert_eq!(lagging.required_header("retry-after"), "1");
    assert_eq!(lagging.required_header("cache-control"), "no-store");
    assert!(lagging.header("preference-applied").is_none());

    // It comes while it is waited for.
    let waiting = client.get(&path).header("min-position", &next);
    let waiting = tokio::spawn(waiting.header("prefer", "wait=30").send());
    let _ = Order::place_for(&client, &user, &Recording::load(268), &mut chance).await;
    let answer = waiting.await.expect("the request ended").expect(200);
    assert_eq!(list(&answer.json(), "/items").len(), 3);
    server.stop().await;
}
