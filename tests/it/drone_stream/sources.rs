//! Streams and consumers that are missing, are not as they have to be, or go away.

use serde_json::json;
use tests::{NatsClient, NatsServer, Recording};

use super::{STREAM, consumer, publish, serve, until_said, until_taken};
use crate::scene::{FLIGHTS, Order, chance, scratch_in_memory, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_be_used_is_named_with_what_to_change_and_left_alone() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let unfit = json!({
        "name": STREAM, "subjects": ["drone.v1.pgh.>"], "storage": "memory", "retention": "workqueue",
        "discard": "old", "max_msgs": 10, "num_replicas": 1,
    });
    nats.make_stream(&unfit).await;
    let before = nats.stream(STREAM).await.expect("it is there");
    let server = serve(data.path(), &broker.url()).await;
    let words = [
        STREAM,
        "left as it is",
        "its subjects are drone.v1.pgh.>",
        "keeps its messages in memory",
        "retention is not limits",
        "--discard new",
    ];
    until_said(&server, &words).await;
    let after = nats.stream(STREAM).await.expect("it is there");
    assert_eq!(before["config"], after["config"]);
    assert_eq!(after["state"]["consumer_count"], 0);

    // Once it is mended it goes on without a new start.
    nats.remove_stream(STREAM).await;
    let info = consumer(&nats).await;
    assert_eq!(info["config"]["ack_policy"], "explicit");
    let made = nats.stream(STREAM).await.expect("it is made");
    for (name, value) in [
        ("storage", "file"),
        ("retention", "limits"),
        ("discard", "new"),
    ] {
        assert_eq!(made["config"][name], value);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_or_a_stream_that_goes_away_is_made_again_and_gone_on_with() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (mut chance, server) = (chance(), serve(data.path(), &broker.url()).await);
    let client = server.client();
    let order = Order::place(&client, &Recording::load(FLIGHTS[2]), &mut chance).await;
    let facts = order.facts();
    let name = text(&consumer(&nats).await, "/name").to_owned();
    let (first, rest) = facts.split_at(3);
    for fact in first {
        publish(&nats, fact, false).await;
    }
    until_taken(&nats).await;
    let gone = format!("$JS.API.CONSUMER.DELETE.{STREAM}.{name}");
    nats.ask(&gone, &json!({}))
        .await
        .expect("it can be removed");
    // All is handed out once more, and known.
    until_taken(&nats).await;
    let (second, third) = rest.split_at(3);
    for fact in second {
        publish(&nats, fact, true).await;
    }
    until_taken(&nats).await;
    nats.remove_stream(STREAM).await;
    for fact in third {
        publish(&nats, fact, false).await;
    }
    until_taken(&nats).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_runs_without_a_server_and_takes_drone_events_once_there_is_one() {
    let data = scratch_in_memory();
    let mut broker = NatsServer::alone().await;
    broker.kill();
    let server = serve(data.path(), &broker.url()).await;
    let (client, mut chance) = (server.client(), chance());
    let order = Order::place(&client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    until_said(&server, &["NATS is not reached"]).await;
    broker.start().await;
    let nats = NatsClient::connect(&broker.url()).await;
    consumer(&nats).await;
    for fact in order.facts() {
        publish(&nats, &fact, false).await;
    }
    until_taken(&nats).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    // Nor does it need one to end.
    broker.kill();
    until_said(&server, &["the connection to NATS is lost"]).await;
    server.stop().await;
}
