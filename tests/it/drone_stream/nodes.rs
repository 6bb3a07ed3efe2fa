//! Nodes of one log, who take drone events from one consumer: which of them a message comes to is
//! chance, and no matter.

use std::path::Path;

use serde_json::{Value, json};
use tests::{Chance, Client, NatsClient, NatsServer, Proxy, Recording, Server, poll_until};

use super::flights::{assert_went_well, mixed};
use super::{
    PATIENCE, STREAM, consumer, number, publish, publish_all, text, until_said, until_taken,
};
use crate::scene::{FLIGHTS, Order, airpost, instant, metric, scratch_in_memory, seeded, settled};

const LOG: [&str; 3] = ["--cluster", "LOG", "--single-replica"];

/// A node with an empty folder, which takes drone events; facts wait for those before them for as
/// long as in the other tests.
async fn serve(data: &Path, urls: &str) -> Server {
    let path = data.to_str().expect("a temporary folder has a plain name");
    let words = ["cluster", "join", "--new", "--data", path, "--nats", urls];
    let joined = airpost().run(words.into_iter().chain(LOG)).await;
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let options = [&["--nats", urls, "--gap-wait-s", "20"], &LOG[..]].concat();
    let server = airpost().serve_with(data, &options).await;
    until_said(&server, &["drone events come in over NATS"]).await;
    server
}

async fn messages(client: &Client, outcome: &str) -> usize {
    let series = format!("airpost_drone_messages_total{{outcome=\"{outcome}\"}}");
    let counted = metric(client, &series).await;
    counted.and_then(|it| it.parse().ok()).expect("it is there")
}

/// The telemetry with the highest number.
fn newest(events: &[Value]) -> &Value {
    let telemetry = events
        .iter()
        .filter(|event| text(event, "/type") == "drone.telemetry.v1");
    let newest = telemetry.max_by_key(|event| number(event, "/data/seq"));
    newest.expect("a drone says where it is")
}

/// Waits until a node shows of a drone what it said last.
async fn until_shown(client: &Client, said: &Value) {
    let path = format!("/v1/drones/{}", text(said, "/data/drone_id"));
    let look = || async {
        let answer = client.get(&path).send().await;
        let shown = (answer.status() == 200).then(|| answer.json())?;
        let is_known = shown.pointer("/observed_at").is_some_and(Value::is_string);
        let is_newest = is_known && instant(&shown, "/observed_at") == instant(said, "/time");
        is_newest.then_some(())
    };
    poll_until(PATIENCE, "a node to show where a drone is", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flights_that_come_to_two_nodes_by_chance_go_as_over_one_and_both_show_the_drones() {
    let (folders, broker) = (
        [scratch_in_memory(), scratch_in_memory()],
        NatsServer::alone().await,
    );
    let nats = NatsClient::connect(&broker.url()).await;
    let (_, mut chance) = seeded();
    let here = serve(folders[0].path(), &broker.url()).await;
    let there = serve(folders[1].path(), &broker.url()).await;
    let clients = [here.client(), there.client()];
    let orders = orders(&clients, &mut chance).await;
    let events = mixed(&orders, &mut chance);
    publish_all(&nats, &events, &mut chance).await;
    until_taken(&nats).await;
    let mut taken = Vec::new();
    for client in &clients {
        settled(client).await;
        for order in &orders {
            until_shown(client, newest(&order.events())).await;
        }
        assert_eq!(messages(client, "refused").await, 0);
        taken.push(messages(client, "accepted").await + messages(client, "duplicate").await);
    }
    // Whatever came again to a node had been put off, and was not counted as taken then.
    assert_eq!(taken.iter().sum::<usize>(), events.len(), "{taken:?}");
    assert!(taken.iter().all(|count| *count > 0), "{taken:?}");
    for order in &orders {
        for client in &clients {
            assert_went_well(client, order).await;
        }
    }
    here.stop().await;
    there.stop().await;
}

async fn orders(clients: &[Client; 2], chance: &mut Chance) -> Vec<Order> {
    let mut orders = Vec::new();
    for (flight, client) in FLIGHTS.into_iter().zip(clients.iter().cycle()) {
        orders.push(Order::place(client, &Recording::load(flight), chance).await);
    }
    orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_late_and_one_whose_server_was_away_show_where_drones_are() {
    let (folders, mut broker) = (
        [scratch_in_memory(), scratch_in_memory()],
        NatsServer::alone().await,
    );
    let nats = NatsClient::connect(&broker.url()).await;
    let (_, mut chance) = seeded();
    let here = serve(folders[0].path(), &broker.url()).await;
    consumer(&nats).await;
    let order = Order::place(&here.client(), &Recording::load(FLIGHTS[0]), &mut chance).await;
    let events = order.events();
    let telemetry: Vec<_> = events
        .iter()
        .filter(|event| text(event, "/type") == "drone.telemetry.v1")
        .collect();
    let (first, then) = (telemetry[0], telemetry[1]);
    publish(&nats, first, false).await;
    until_taken(&nats).await;
    let there = serve(folders[1].path(), &broker.url()).await;
    until_shown(&there.client(), first).await;
    // What it was told by is gone then.
    broker.kill();
    broker.start().await;
    publish(&nats, then, true).await;
    for client in [here.client(), there.client()] {
        until_shown(&client, then).await;
    }
    // What is no telemetry is one dead letter, though both are told of it.
    super::send(&nats, &super::subject_of(then), &[], b"{1").await;
    until_taken(&nats).await;
    let refused = [here.client(), there.client()];
    let refused = [
        messages(&refused[0], "refused").await,
        messages(&refused[1], "refused").await,
    ];
    assert_eq!(refused.iter().sum::<usize>(), 1, "{refused:?}");
    here.stop().await;
    there.stop().await;
}

/// Waits until that many nodes were handed all telemetry that there is.
async fn until_handed_out(nats: &NatsClient, nodes: usize) {
    let look = || async {
        let asked = format!("$JS.API.CONSUMER.LIST.{STREAM}");
        let found = nats.ask(&asked, &json!({})).await.ok()?;
        let found = found.pointer("/consumers")?.as_array()?.iter();
        let own: Vec<_> = found
            .filter(|it| it.pointer("/config/durable_name").is_none())
            .collect();
        let is_done = own.iter().all(|it| number(it, "/num_pending") == 0);
        (own.len() == nodes && is_done).then_some(())
    };
    poll_until(PATIENCE, "each node to be handed all telemetry", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_to_a_node_when_its_connection_was_lost_is_shown_all_the_same() {
    let (folders, broker) = (
        [scratch_in_memory(), scratch_in_memory()],
        NatsServer::alone().await,
    );
    let nats = NatsClient::connect(&broker.url()).await;
    let (_, mut chance) = seeded();
    let line = Proxy::to(broker.port()).await;
    let by_line = format!("nats://{}", line.address());
    let here = serve(folders[0].path(), &by_line).await;
    let there = serve(folders[1].path(), &broker.url()).await;
    let clients = [here.client(), there.client()];
    let orders = orders(&clients, &mut chance).await;
    until_handed_out(&nats, 2).await;
    // What is handed to it by its own consumer gets no further, and never comes again; half of it the
    // other node takes in.
    line.hold();
    let said: Vec<_> = orders
        .iter()
        .map(|order| newest(&order.events()).clone())
        .collect();
    for telemetry in &said {
        publish(&nats, telemetry, false).await;
    }
    until_handed_out(&nats, 2).await;
    line.cut();
    let look = || async {
        let flowing = metric(&here.client(), "airpost_drone_positions_flowing").await;
        (flowing.as_deref() == Some("0")).then_some(())
    };
    poll_until(PATIENCE, "a node to know that it is not told", look).await;
    line.open();
    for client in &clients {
        for telemetry in &said {
            until_shown(client, telemetry).await;
        }
    }
    here.stop().await;
    there.stop().await;
}
