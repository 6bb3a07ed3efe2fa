//! How soon a fact that a drone's gateway sends can be seen, with and without
//! a fleet that sends its telemetry at the same time.
//!
//! Facts are due at a steady rate, and every time counts from when its fact was
//! due. Each is sent alone, as what must not wait; a GET of its delivery
//! follows as soon as it is answered, until it shows it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Chance, Client, Mission, Recording, Server, poll_until};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Settings;
use super::fleet::Fleet;
use super::times::Times;

/// Facts a second.
const RATE: usize = 100;

/// The facts of a flight that are sent, each of which makes one event, and the
/// delivery's sequence after the first: it was created and scheduled before.
const FACTS: usize = 7;
const FIRST_SEQUENCE: u64 = 3;

/// Bare writes with fdatasync in a round, and their size: about a record's.
const BARE_WRITES: usize = 200;
const BARE_BYTES: usize = 512;

/// How long the last event may take to come.
const ARRIVAL_TIME_MAX: Duration = Duration::from_mins(1);

/// When which event of which delivery came over the feed.
type Arrivals = Arc<Mutex<HashMap<(String, u64), Instant>>>;

/// What was seen of some facts.
#[derive(Default)]
struct Seen {
    answered: Times,
    by_get: Times,
    by_feed: Times,
}

impl Seen {
    fn append(&mut self, other: Self) {
        self.answered.append(other.answered);
        self.by_get.append(other.by_get);
        self.by_feed.append(other.by_feed);
    }

    fn tell(&mut self, name: &str) {
        println!("P7 {name}: POST answered {}", self.answered.told());
        println!("P7 {name}: seen by GET   {}", self.by_get.told());
        println!("P7 {name}: seen by SSE   {}", self.by_feed.told());
    }
}

/// A fact, and what shows it.
struct Fact {
    delivery: String,
    sequence: u64,
    event: Value,
}

pub(crate) async fn measure(settings: &Settings, server: &Server, data: &Path) {
    let client = server.client();
    let mut chance = Chance::new(RandomState::new().hash_one("serve"));
    let user = user(&client, &mut chance).await;
    let first = book(&client, &user, &mut chance).await;
    let arrivals = Arrivals::default();
    let feed = tokio::spawn(follow(
        open_feed(server, &first.delivery).await,
        Arc::clone(&arrivals),
    ));
    let facts_a_phase = RATE * usize::try_from(settings.seconds).expect("a round is short");
    let mut fleet = Fleet::new();
    let (mut syncs, mut quiet, mut loaded) = (Times::default(), Seen::default(), Seen::default());
    let mut batches = Times::default();
    for _ in 0..settings.rounds {
        syncs.append(bare_syncs(data));
        let facts = flights(&client, &user, facts_a_phase, &mut chance).await;
        quiet.append(send(&client, facts, &arrivals).await);
        let facts = flights(&client, &user, facts_a_phase, &mut chance).await;
        let flying = fleet.begin(&client).await;
        loaded.append(send(&client, facts, &arrivals).await);
        batches.append(fleet.end(flying).await);
    }
    feed.abort();
    println!(
        "P7 a bare write of {BARE_BYTES} bytes and fdatasync: {}",
        syncs.told()
    );
    quiet.tell("alone");
    let name = format!("with {}", Fleet::told());
    println!("P7 {name}: batch answered {}", batches.told());
    loaded.tell(&name);
    println!("P7 goal: p99 of what is seen, with the fleet, at most 20 ms");
}

/// What the disk takes for one write that lasts.
fn bare_syncs(data: &Path) -> Times {
    let path = data.join("bare");
    let mut file = File::create(&path).expect("the folder can be written");
    let mut times = Times::default();
    for _ in 0..BARE_WRITES {
        let begin = Instant::now();
        let written = file
            .write_all(&[7; BARE_BYTES])
            .and_then(|()| file.sync_data());
        written.expect("the disk takes some bytes");
        times.push(begin.elapsed());
    }
    std::fs::remove_file(path).expect("what was made can be removed");
    times
}

async fn user(client: &Client, chance: &mut Chance) -> String {
    let name = format!("user-{:016x}", chance.bits());
    let body = json!({"name": name, "email": format!("{name}@example.org")});
    let made = client.post("/v1/users").json(&body).send().await;
    text(&made.expect(201).json(), "/id")
}

/// A delivery that nothing has flown for yet.
async fn book(client: &Client, user: &str, chance: &mut Chance) -> Mission {
    let (plan, tag) = (
        Recording::load(268).plan(),
        format!("QR-{:016x}", chance.bits()),
    );
    let order = json!({
        "user_id": user, "pickup": plan.pickup.json(), "dropoff": plan.dropoff.json(),
        "package": {"tag": tag, "size": "small", "mass_g": plan.payload_g},
    });
    let made = client.post("/v1/deliveries").json(&order).send().await;
    Mission {
        delivery: text(&made.expect(201).json(), "/id"),
        mission: format!("msn_{}", chance.uuid()),
        drone: format!("M100-{:016x}", chance.bits()),
        session: "0001".to_owned(),
        tag,
        released: true,
    }
}

fn text(json: &Value, pointer: &str) -> String {
    let found = json.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no text at {pointer} in {json}"))
        .to_owned()
}

/// So many facts of flights that go on side by side: all first ones, then all second ones …
async fn flights(client: &Client, user: &str, facts: usize, chance: &mut Chance) -> Vec<Fact> {
    let recording = Recording::load(268);
    let mut flights = Vec::new();
    for _ in 0..facts.div_ceil(FACTS) {
        let mission = book(client, user, chance).await;
        let events = recording.events(&mission).into_iter();
        let facts = events.filter(|event| text(event, "/type") != "drone.telemetry.v1");
        let facts: Vec<_> = (FIRST_SEQUENCE..).zip(facts.take(FACTS)).collect();
        flights.extend(facts.into_iter().map(|(sequence, event)| Fact {
            delivery: mission.delivery.clone(),
            sequence,
            event,
        }));
    }
    flights.sort_by_key(|fact| fact.sequence);
    flights
}

/// Sends facts at their rate, and sees when they are seen.
async fn send(client: &Client, facts: Vec<Fact>, arrivals: &Arrivals) -> Seen {
    let mut due = tokio::time::interval(Duration::from_secs(1) / u32::try_from(RATE).unwrap_or(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sending = JoinSet::new();
    for fact in facts {
        let due_at = due.tick().await.into_std();
        let client = client.clone();
        sending.spawn(async move { send_one(&client, fact, due_at).await });
    }
    let sent = sending.join_all().await;
    let mut seen = Seen::default();
    for Sent {
        key,
        due_at,
        answered,
        by_get,
    } in sent
    {
        let arrived = poll_until(ARRIVAL_TIME_MAX, "an event on the feed", async || {
            let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.get(&key).copied()
        });
        let arrived = arrived.await;
        seen.answered.push(answered);
        seen.by_get.push(by_get);
        seen.by_feed.push(arrived.saturating_duration_since(due_at));
    }
    seen
}

/// A fact that was sent, and after what time it was answered and seen.
struct Sent {
    key: (String, u64),
    due_at: Instant,
    answered: Duration,
    by_get: Duration,
}

async fn send_one(client: &Client, fact: Fact, due_at: Instant) -> Sent {
    let body = fact.event.to_string();
    let post = client
        .post("/v1/drone-events")
        .body("application/cloudevents+json", body);
    let _taken = post.send().await.expect(200);
    let answered = due_at.elapsed();
    let path = format!("/v1/deliveries/{}", fact.delivery);
    loop {
        let delivery = client.read(&path).await;
        let by_get = due_at.elapsed();
        if delivery.pointer("/sequence").and_then(Value::as_u64) >= Some(fact.sequence) {
            return Sent {
                key: (fact.delivery, fact.sequence),
                due_at,
                answered,
                by_get,
            };
        }
        assert!(
            by_get < ARRIVAL_TIME_MAX,
            "a fact of {path} is not seen: {delivery}"
        );
    }
}

/// A stream of all events after a delivery's.
async fn open_feed(server: &Server, delivery: &str) -> BufReader<TcpStream> {
    let page = server
        .client()
        .get(&format!("/v1/deliveries/{delivery}/events"))
        .header("accept", "application/json")
        .send()
        .await
        .expect(200);
    let after = text(&page.json(), "/next");
    let address = server.base().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address)
        .await
        .expect("the server listens");
    // A version that knows no chunks: what comes is the stream itself.
    let request =
        format!("GET /v1/events?after={after} HTTP/1.0\r\naccept: text/event-stream\r\n\r\n");
    let sent = socket.write_all(request.as_bytes()).await;
    sent.expect("a new connection takes a request");
    BufReader::new(socket)
}

/// Notes when which event comes, as long as there are any.
async fn follow(feed: BufReader<TcpStream>, arrivals: Arrivals) {
    let mut lines = feed.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let arrived = Instant::now();
        let Some(item) = line.strip_prefix("data:") else {
            continue;
        };
        let item: Value = serde_json::from_str(item.trim()).expect("an event is JSON");
        let delivery = item.pointer("/delivery_id").and_then(Value::as_str);
        let sequence = item.pointer("/sequence").and_then(Value::as_u64);
        if let (Some(delivery), Some(sequence)) = (delivery, sequence) {
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.insert((delivery.to_owned(), sequence), arrived);
        }
    }
}
