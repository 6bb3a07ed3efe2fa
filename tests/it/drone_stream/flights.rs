//! Recorded flights over NATS, with all that may happen on the way.

use serde_json::Value;
use tests::{
    Chance, Client, Faults, NatsClient, NatsCluster, NatsServer, Recording, poll_until, tally,
};

use super::{PATIENCE, STREAM, consumer, publish_all, serve, until_taken};
use crate::scene::{
    FLIGHTS, Order, WENT_WELL, airpost, expected_of, metric, number_from, report, scratch,
    scratch_in_memory, seeded, settled, text, verify,
};

/// What a broker may do with messages, and more.
pub(super) const FAULTS: Faults = Faults {
    duplicate_permille: 300,
    shuffle_places: 20,
    drop_telemetry_permille: 0,
};

/// How often the service or the server is killed in a usual run.
const KILLS: u64 = 4;

/// Status and history are those of the flight without faults.
pub(super) async fn assert_went_well(client: &Client, order: &Order) {
    assert_eq!(text(&order.read(client).await, "/status"), "complete");
    let history = order.history(client).await;
    assert_eq!(history.types(), WENT_WELL);
    assert_eq!(history.flown(), expected_of(&order.events()));
}

async fn orders(client: &Client, chance: &mut Chance) -> Vec<Order> {
    let mut orders = Vec::new();
    for flight in FLIGHTS.map(Recording::load) {
        orders.push(Order::place(client, &flight, chance).await);
    }
    orders
}

/// The flights at the same time, as the broker has them.
pub(super) fn mixed(orders: &[Order], chance: &mut Chance) -> Vec<Value> {
    let mut all: Vec<_> = orders
        .iter()
        .map(|order| FAULTS.applied_to(order.events(), chance).into_iter())
        .collect();
    let mut mixed = Vec::new();
    while !all.is_empty() {
        let place = usize::try_from(chance.below(all.len() as u64)).expect("few flights");
        match all.get_mut(place).and_then(Iterator::next) {
            Some(event) => mixed.push(event),
            None => drop(all.swap_remove(place)),
        }
    }
    mixed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flight_with_duplicates_and_out_of_order_goes_over_nats_as_it_goes_over_http() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (_, mut chance) = seeded();
    let server = serve(data.path(), &broker.url()).await;
    consumer(&nats).await;
    let client = server.client();
    let orders = orders(&client, &mut chance).await;
    let events = mixed(&orders, &mut chance);
    // By either door, also of one drone.
    let (mut by_nats, mut by_http) = (Vec::new(), 0);
    for part in events.chunks(25) {
        if chance.happens(700) {
            publish_all(&nats, part, &mut chance).await;
            by_nats.extend_from_slice(part);
        } else {
            report(&client, part).await;
            by_http += part.len();
        }
    }
    until_taken(&nats).await;
    settled(&client).await;
    for order in &orders {
        assert_went_well(&client, order).await;
    }
    let counted = |outcome: &'static str| {
        let client = &client;
        async move {
            let series = format!("airpost_drone_messages_total{{outcome=\"{outcome}\"}}");
            metric(client, &series)
                .await
                .and_then(|value| value.parse::<usize>().ok())
        }
    };
    let (accepted, duplicate) = (counted("accepted").await, counted("duplicate").await);
    assert_eq!(
        accepted.unwrap_or(0) + duplicate.unwrap_or(0),
        by_nats.len()
    );
    assert_eq!(counted("refused").await, Some(0));
    assert_eq!(
        client.read("/v1/dead-letters").await["items"],
        serde_json::json!([])
    );
    assert!(
        by_http > 0 && duplicate > Some(0),
        "{by_http} {duplicate:?}"
    );
    server.stop().await;
    verify(data.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_servers_that_are_killed_amid_flights_lose_and_double_nothing() {
    let (data, mut broker) = (scratch(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (seed, mut chance) = seeded();
    let kills = number_from("AIRPOST_DRONE_STREAM_KILLS").unwrap_or(KILLS);
    let mut server = serve(data.path(), &broker.url()).await;
    consumer(&nats).await;
    let orders = orders(&server.client(), &mut chance).await;
    let events = mixed(&orders, &mut chance);
    let parts = usize::try_from(kills + 1).expect("a small number");
    for number in 0..parts {
        let [begin, end] = [number, number + 1].map(|number| events.len() * number / parts);
        let part = events.get(begin..end).unwrap_or_default();
        publish_all(&nats, part, &mut chance).await;
        if number + 1 == parts {
            break;
        }
        if number % 2 == 0 {
            server.kill().await;
            server = serve(data.path(), &broker.url()).await;
        } else {
            broker.kill();
            broker.start().await;
        }
    }
    until_taken(&nats).await;
    let client = server.client();
    settled(&client).await;
    for order in &orders {
        assert_went_well(&client, order).await;
    }
    assert_eq!(
        client.read("/v1/dead-letters").await["items"],
        serde_json::json!([])
    );
    server.stop().await;
    verify(data.path()).await;
    tally(&format!(
        "drone events over NATS: {}, {kills} kills of the service and of the server, 0 lost, 0 doubled; AIRPOST_SEED={seed}",
        events.len()
    ));
}

/// Which of the servers leads the stream.
async fn leader(nats: &NatsClient) -> usize {
    let look = || async {
        let stream = nats.stream(STREAM).await?;
        let name = stream.pointer("/cluster/leader")?.as_str()?;
        name.strip_prefix('n')?.parse().ok()
    };
    poll_until(PATIENCE, "a server to lead the stream", look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flights_go_well_over_servers_that_keep_copies_while_the_one_that_leads_is_killed() {
    let (data, mut servers) = (scratch_in_memory(), NatsCluster::of_three().await);
    let nats = NatsClient::connect(&servers.urls()).await;
    let (_seed, mut chance) = seeded();
    let urls = servers.urls();
    let options = ["--nats", &urls, "--nats-copies", "3", "--gap-wait-s", "20"];
    let server = airpost().serve_with(data.path(), &options).await;
    consumer(&nats).await;
    let orders = orders(&server.client(), &mut chance).await;
    let events = mixed(&orders, &mut chance);
    for part in events.chunks(events.len().div_ceil(3)) {
        let leads = leader(&nats).await;
        let one = servers.servers.get_mut(leads).expect("there are three");
        one.kill();
        // Another one leads before any of these is stored.
        publish_all(&nats, part, &mut chance).await;
        assert_ne!(leader(&nats).await, leads);
        one.start().await;
        servers.ready().await;
    }
    until_taken(&nats).await;
    let client = server.client();
    settled(&client).await;
    for order in &orders {
        assert_went_well(&client, order).await;
    }
    server.stop().await;
    verify(data.path()).await;
}
