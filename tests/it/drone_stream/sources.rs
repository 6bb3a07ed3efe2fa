//! Streams and consumers that are missing, are not as they have to be, or go away.

use serde_json::json;
use tests::{Client, NatsClient, NatsCluster, NatsServer, Recording, poll_until};

use super::{PATIENCE, STREAM, consumer, publish, send, serve, until_said, until_taken};
use crate::scene::{FLIGHTS, Order, airpost, at, chance, metric, scratch_in_memory, text, with};

/// What an operator is told about whether drone events come in.
async fn flowing(client: &Client) -> String {
    let series = metric(client, "airpost_drone_messages_flowing").await;
    series.expect("it is there from the start")
}

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
        "--dupe-window 100ms",
    ];
    until_said(&server, &words).await;
    assert_eq!(flowing(&server.client()).await, "0");
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
    let bytes_max = made["config"]["max_bytes"].as_i64();
    assert_eq!(bytes_max, Some(8 * 1024 * 1024 * 1024), "the log's room");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_name_of_the_stream_is_mistyped_the_one_that_is_there_is_named() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let theirs = json!({
        "name": "DRONES", "subjects": ["drone.>"], "storage": "file", "num_replicas": 1,
    });
    nats.make_stream(&theirs).await;
    let told = json!({
        "name": "TOLD", "subjects": ["airpost.v1.deliveries.>"], "storage": "file", "num_replicas": 1,
    });
    nats.make_stream(&told).await;
    let server = serve(data.path(), &broker.url()).await;
    let words = [
        "DRONE_EVENTS",
        "the stream DRONES has",
        "--nats-drone-stream",
    ];
    until_said(&server, &words).await;
    let words = [
        "DELIVERY_EVENTS",
        "another one (TOLD)",
        "--nats-delivery-stream",
    ];
    until_said(&server, &words).await;
    server.stop().await;
}

/// Has as many copies kept of a stream.
async fn keep_copies(nats: &NatsClient, stream: &str, copies: u32) {
    let found = nats.stream(stream).await.expect("it is there");
    let mut config = at(&found, "/config").clone();
    with(&mut config, &json!({ "num_replicas": copies }));
    let update = format!("$JS.API.STREAM.UPDATE.{stream}");
    nats.ask(&update, &config).await.expect("it can be changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_one_machine_are_named_with_what_gives_them_the_copies_of_a_cluster() {
    let (data, cluster) = (scratch_in_memory(), NatsCluster::of_three().await);
    let nats = NatsClient::connect(&cluster.urls()).await;
    let server = serve(data.path(), &cluster.urls()).await;
    consumer(&nats).await;
    let look = || async { nats.stream("DELIVERY_EVENTS_CURSOR").await };
    poll_until(PATIENCE, "the other streams to be made", look).await;
    server.stop().await;

    let urls = cluster.urls();
    let options = ["--nats", &urls, "--nats-copies", "3"];
    let server = airpost().serve_with(data.path(), &options).await;
    let edit = |stream: &str| format!("nats stream edit {stream} --replicas 3");
    until_said(&server, &["it has 1 copies", &edit(STREAM)]).await;
    let out = [
        "no delivery events go out",
        &edit("DELIVERY_EVENTS"),
        "DELIVERY_EVENTS_CURSOR if",
    ];
    until_said(&server, &out).await;
    assert_eq!(flowing(&server.client()).await, "0");
    keep_copies(&nats, STREAM, 3).await;
    keep_copies(&nats, "DELIVERY_EVENTS", 3).await;
    // One that was forgotten is no safer than the others.
    let beside = edit("DELIVERY_EVENTS_CURSOR");
    until_said(&server, &["no delivery events go out", &beside]).await;
    keep_copies(&nats, "DELIVERY_EVENTS_CURSOR", 3).await;
    until_said(&server, &["delivery events go out over NATS again"]).await;
    until_said(&server, &["drone events come in over NATS"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_nearly_full_is_told_of_before_it_takes_no_more() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let small = json!({
        "name": STREAM, "subjects": ["drone.v1.>"], "storage": "file", "retention": "limits", "discard": "new",
        "num_replicas": 1, "duplicate_window": 100_000_000, "max_bytes": 1_000_000,
    });
    nats.make_stream(&small).await;
    let telemetry = vec![b' '; 60_000];
    for _ in 0..14 {
        send(&nats, "drone.v1.pgh.a.telemetry", &[], &telemetry).await;
    }
    let server = serve(data.path(), &broker.url()).await;
    // This one would refuse every message with such a header.
    let words = [
        "nearly full",
        "--max-bytes",
        "Nats-TTL",
        "allow_msg_ttl: true",
    ];
    until_said(&server, &words).await;
    let used = metric(&server.client(), "airpost_drone_stream_used_ratio").await;
    let used: f64 = used.and_then(|used| used.parse().ok()).expect("a part");
    assert!((0.8..=1.0).contains(&used), "{used}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_is_forgotten_when_its_fleet_says_so() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(data.path(), &broker.url()).await;
    consumer(&nats).await;
    let short = [("Nats-TTL", "1s")];
    send(&nats, "drone.v1.pgh.a.telemetry", &short, b"{}").await;
    let look = || async {
        let found = nats.stream(STREAM).await?;
        let (last, kept) = (&found["state"]["last_seq"], &found["state"]["messages"]);
        (last.as_u64() >= Some(1) && kept == 0).then_some(())
    };
    poll_until(PATIENCE, "the server to have forgotten it", look).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_fleets_send_under_one_id_comes_in_from_both() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(data.path(), &broker.url()).await;
    consumer(&nats).await;
    let made = nats.stream(STREAM).await.expect("it is made");
    let known_ns = made["config"]["duplicate_window"].as_u64();
    assert_eq!(known_ns, Some(100_000_000), "longer than it may");
    let same = [("Nats-Msg-Id", "1")];
    send(&nats, "drone.v1.pgh.a.departed", &same, b"{1").await;
    // As long as one id may be known.
    let look = || async {
        send(&nats, "drone.v1.cle.b.departed", &same, b"{2").await;
        let stored = nats.messages(STREAM).await;
        stored.iter().any(|it| it.payload == b"{2").then_some(())
    };
    poll_until(PATIENCE, "another fleet's message to be stored", look).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_somebody_else_is_left_alone() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let stream = json!({
        "name": STREAM, "subjects": ["drone.v1.>"], "storage": "file", "retention": "limits", "discard": "new",
        "num_replicas": 1, "duplicate_window": 100_000_000,
    });
    nats.make_stream(&stream).await;
    let theirs = json!({ "stream_name": STREAM, "config": {
        "durable_name": "theirs", "ack_policy": "explicit", "filter_subject": "drone.v1.pgh.>",
    }});
    let made = format!("$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.theirs");
    nats.ask(&made, &theirs).await.expect("it can be made");
    let before = consumer(&nats).await;
    let url = broker.url();
    let options = ["--nats", &url, "--nats-drone-consumer", "theirs"];
    let server = airpost().serve_with(data.path(), &options).await;
    until_said(
        &server,
        &["theirs", "left as it is", "--nats-drone-consumer"],
    )
    .await;
    assert_eq!(before["config"], consumer(&nats).await["config"]);
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
    assert_eq!(flowing(&client).await, "0");
    broker.start().await;
    let nats = NatsClient::connect(&broker.url()).await;
    consumer(&nats).await;
    for fact in order.facts() {
        publish(&nats, &fact, false).await;
    }
    until_taken(&nats).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    assert_eq!(flowing(&client).await, "1");
    // Nor does it need one to end.
    broker.kill();
    let look = || async { (flowing(&client).await == "0").then_some(()) };
    poll_until(PATIENCE, "the service to show that nothing comes in", look).await;
    server.stop().await;
}
