//! What goes out over NATS: just what the feed gives, once, in its order, whatever happens to the
//! service, to the server and to the connection between them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tests::{
    Client, Mission, NatsClient, NatsServer, Program, Recording, Server, Stored, poll_until,
};

use crate::scene::{
    FLIGHTS, Order, airpost, chance, facts_of, new_user, report, scratch_in_memory, settled, text,
};

mod batches;
mod faults;
mod nodes;
mod outages;
mod remedies;
mod streams;
mod restored;

/// The stream, unless told otherwise.
pub(crate) const STREAM: &str = "DELIVERY_EVENTS";

/// Far longer than anything takes here.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A city with everything that may go wrong with drones, customers and messages.
const CITY: [&str; 13] = [
    "simulate",
    "--faults",
    "all",
    "--speed",
    "max",
    "--drones",
    "10",
    "--deliveries",
    "40",
    "--seed",
    "7",
    "--time-scale",
    "60",
];

/// The machine may be as slow as it is: a fleet or a recipient that it makes late is no silent one.
const UNHURRIED: [&str; 6] = [
    "--time-scale",
    "60",
    "--mission-answer-s",
    "86400",
    "--confirmation-wait-s",
    "86400",
];

/// Starts a service that publishes there, with further options.
pub(crate) async fn serve(program: &Program, data: &Path, urls: &str, options: &[&str]) -> Server {
    let nats = [&["--nats", urls], options].concat();
    program.serve_with(data, &nats).await
}

/// Makes the stream by hand, on a server that knows an id again for a tenth of a second only: what
/// holds then holds beyond every window.
async fn make_forgetful(nats: &NatsClient) {
    let stream = json!({
        "name": STREAM, "storage": "file", "num_replicas": 1, "duplicate_window": 100_000_000,
        "allow_atomic": true,
        "subjects": ["airpost.v1.deliveries.>", "airpost.v1.missions.>", "airpost.v1.users.>"],
    });
    nats.make_stream(&stream).await;
}

/// All public events as cloud events, as the feed gives them.
pub(crate) async fn feed(client: &Client) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?limit=200{after}");
        let asked = client
            .get(&path)
            .header("accept", "application/cloudevents-batch+json");
        let page = asked.send().await.expect(200).json();
        events.extend(page.as_array().expect("a batch is a list").iter().cloned());
        let page = client.read(&path).await;
        if page.pointer("/more") == Some(&Value::Bool(false)) {
            return events;
        }
        after = format!("&after={}", text(&page, "/next"));
    }
}

/// The last message of the stream, as the server counts.
pub(crate) async fn last(nats: &NatsClient, stream: &str) -> u64 {
    let told = nats.stream(stream).await;
    let last = told.and_then(|told| told.pointer("/state/last_seq")?.as_u64());
    last.unwrap_or(0)
}

/// Waits until so many events have gone out.
async fn until_out(nats: &NatsClient, events: usize) {
    let events = u64::try_from(events).expect("events fit memory");
    let look = || async { (last(nats, STREAM).await >= events).then_some(()) };
    poll_until(PATIENCE, "all events to be out", look).await;
}

/// Waits until the service has nothing more to write and all of it is out, and holds what went
/// out against the feed; `before` is what was in the stream and may have been removed since.
async fn assert_all_is_out(client: &Client, nats: &NatsClient, before: &[Stored]) -> Vec<Stored> {
    settled(client).await;
    let events = feed(client).await;
    until_out(nats, events.len()).await;
    let mut out = before.to_vec();
    let known = out.last().map_or(0, |last| last.sequence);
    let now = nats.messages(STREAM).await;
    out.extend(now.into_iter().filter(|message| message.sequence > known));
    assert_same(&out, &events);
    out
}

/// The same, from the stream's beginning.
pub(crate) async fn assert_told(client: &Client, nats: &NatsClient) {
    assert_all_is_out(client, nats, &[]).await;
}

/// Message by message: the same events in the same order, none left out and none twice, and all
/// that subscribers find and tell them apart by.
#[track_caller]
fn assert_same(out: &[Stored], events: &[Value]) {
    for ((message, event), sequence) in out.iter().zip(events).zip(1..) {
        let payload = String::from_utf8_lossy(&message.payload);
        assert_eq!(payload, event.to_string(), "message {}", message.sequence);
        assert_eq!(message.sequence, sequence);
        assert_eq!(message.header("Nats-Msg-Id"), Some(text(event, "/id")));
        assert_eq!(
            message.header("Airpost-Cursor"),
            Some(text(event, "/cursor"))
        );
        let content = message.header("Content-Type");
        assert_eq!(content, Some("application/cloudevents+json"));
        assert_eq!(message.subject, subject_of(event));
    }
    assert_eq!(out.len(), events.len());
    assert_no_gap_of_a_delivery(out);
}

fn subject_of(event: &Value) -> String {
    let kind = text(event, "/data/type");
    let request = match kind {
        "MissionRequested" => "mission_requested",
        "StandDownRequested" => "stand_down_requested",
        _ => "",
    };
    if !request.is_empty() {
        let mission = text(event, "/data/data/mission_id");
        format!("airpost.v1.missions.{mission}.{request}")
    } else if kind.starts_with("User") {
        format!("airpost.v1.users.{}.{kind}", text(event, "/data/user_id"))
    } else {
        format!(
            "airpost.v1.deliveries.{}.{kind}",
            text(event, "/data/delivery_id")
        )
    }
}

/// A subscriber to one delivery sees its `sequence` go on by one each time.
#[track_caller]
fn assert_no_gap_of_a_delivery(out: &[Stored]) {
    let mut last = BTreeMap::new();
    for message in out {
        let Some(delivery) = message.subject.strip_prefix("airpost.v1.deliveries.") else {
            continue;
        };
        let (delivery, _type) = delivery.split_once('.').expect("a type follows");
        let event = message.json();
        let sequence = event.pointer("/data/sequence").and_then(Value::as_u64);
        let sequence = sequence.expect("a delivery's event has its sequence");
        let before = last.insert(delivery.to_owned(), sequence).unwrap_or(0);
        assert_eq!(sequence, before + 1, "of {delivery}");
    }
}

/// Registers so many users, many at a time: an event each.
async fn register(client: &Client, users: usize) {
    let registered = futures_util::stream::iter(0..users).map(async |user| {
        let user = json!({ "name": "Ada", "email": format!("ada-{user}@example.org") });
        let made = client.post("/v1/users").json(&user).send().await;
        let _made = made.expect(201);
    });
    registered.buffer_unordered(32).collect::<()>().await;
}

/// Books and flies some deliveries of a user.
pub(crate) async fn deliver(client: &Client, deliveries: usize) {
    let mut chance = chance();
    let flights = FLIGHTS.map(Recording::load);
    let user = new_user(client, &mut chance).await;
    let mut facts = Vec::new();
    for flight in flights.iter().cycle().take(deliveries) {
        let order = Order::place_for(client, &user, flight, &mut chance).await;
        facts.extend(order.facts());
    }
    for some in facts.chunks(200) {
        report(client, some).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_with_every_trouble_is_told_over_nats_as_the_feed_tells_it() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = serve(&airpost(), data.path(), &broker.url(), &UNHURRIED).await;
    let at = ["--url", server.base()];
    let lived = airpost()
        .run_for(PATIENCE, CITY.iter().take(11).chain(&at))
        .await;
    assert_eq!(lived.code, Some(0), "{}{}", lived.stdout, lived.stderr);
    let nats = NatsClient::connect(&broker.url()).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    for prefix in [
        "airpost.v1.deliveries.",
        "airpost.v1.missions.",
        "airpost.v1.users.",
    ] {
        assert!(
            out.iter()
                .any(|message| message.subject.starts_with(prefix)),
            "{prefix}"
        );
    }
    assert!(out.len() > 400, "{} events", out.len());
    server.stop().await;
}

#[tokio::test]
async fn a_dispatcher_who_hears_of_missions_over_nats_alone_flies_a_delivery_to_its_end() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let (client, mut chance) = (server.client(), chance());
    let nats = NatsClient::connect(&broker.url()).await;
    let mut missions = nats.subscribe("airpost.v1.missions.>").await;
    // Answered behind that, so that the server knows who listens.
    let answer = nats.ask("$JS.API.INFO", &json!({})).await;
    answer.expect("the server keeps streams");
    let flight = Recording::load(268);
    let order = Order::place(&client, &flight, &mut chance).await;

    let (subject, asked) = missions.next().await;
    let asked: Value = serde_json::from_slice(&asked).expect("a cloud event is JSON");
    let told = |name: &str| text(&asked, &format!("/data/data/{name}")).to_owned();
    let mission = told("mission_id");
    assert_eq!(
        subject,
        format!("airpost.v1.missions.{mission}.mission_requested")
    );
    let flown = flight.events(&Mission {
        delivery: told("delivery_id"),
        mission,
        drone: "M100-07".to_owned(),
        session: "0001".to_owned(),
        tag: told("package/tag"),
        released: true,
    });
    report(&client, &facts_of(flown)).await;
    let look = || async {
        let delivery = order.read(&client).await;
        (text(&delivery, "/status") == "complete").then_some(())
    };
    poll_until(PATIENCE, "the delivery to be complete", look).await;
    assert_all_is_out(&client, &nats, &[]).await;
    server.stop().await;
}

#[tokio::test]
async fn what_was_written_before_there_were_servers_goes_out_first() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = airpost().serve(data.path()).await;
    deliver(&server.client(), 5).await;
    server.stop().await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 5).await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
}
