//! What `airpost doctor` says of servers that are in order, and of others.

use serde_json::json;
use tests::{NatsClient, NatsServer, Output};

use super::{Log, first_node};
use crate::scene::airpost;

async fn doctor(nats: &str, more: &[&str]) -> Output {
    let words = ["doctor", "--nats", nats];
    airpost().run(words.iter().chain(more)).await
}

#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    let is_said = output.stdout.contains(words);
    assert!(output.code == Some(code) && is_said, "{words}: {output:?}");
}

#[tokio::test]
async fn servers_that_are_in_order_are_told_so_and_nothing_is_written_to_them() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let _node = first_node(&log).await;
    let monitor = nats.monitor();
    let more = [
        "--cluster",
        "LOG",
        "--single-replica",
        "--monitor",
        &monitor,
    ];
    let output = doctor(&nats.url(), &more).await;
    for words in [
        "version 2.15.1",
        "ok     JetStream: enabled",
        "ok     permissions: airpost.log.LOG: blocks can be published",
        "ok     permissions: airpost.heads.LOG.>",
        "ok     sync_interval of alone: always",
        "ok     clock: ",
        "stream LOG: 0 blocks",
        "it is not there yet: airpost serve makes it",
        "note   who else may publish to airpost.log.LOG: the server lets everybody in",
    ] {
        says(&output, 0, words);
    }
    says(&doctor(&nats.url(), &[]).await, 0, "unseen sync_interval");
}

#[tokio::test]
async fn what_the_service_would_not_take_of_streams_that_are_there_the_doctor_says_before() {
    let nats = NatsServer::alone().await;
    let client = NatsClient::connect(&nats.url()).await;
    let drones = json!({
        "name": "DRONE_EVENTS", "subjects": ["drone.v1.>"], "storage": "file", "num_replicas": 1,
        "duplicate_window": 120_000_000_000_u64,
    });
    client.make_stream(&drones).await;
    let consumer = json!({
        "stream_name": "DRONE_EVENTS",
        "config": { "durable_name": "theirs", "ack_policy": "none" },
    });
    let subject = "$JS.API.CONSUMER.DURABLE.CREATE.DRONE_EVENTS.theirs";
    client.ask(subject, &consumer).await.expect("it is made");
    let deliveries = json!({
        "name": "DELIVERY_EVENTS", "subjects": ["airpost.v1.deliveries.>"], "storage": "file", "num_replicas": 1,
    });
    client.make_stream(&deliveries).await;
    let output = doctor(&nats.url(), &["--nats-drone-consumer", "theirs"]).await;
    for words in [
        "wrong  stream DRONE_EVENTS: ",
        "nats stream edit --dupe-window 100ms",
        "wrong  consumer theirs: it is another's",
        "wrong  stream DELIVERY_EVENTS: ",
        "its subjects must be",
        "stream DELIVERY_EVENTS_CURSOR: it is not there yet",
    ] {
        says(&output, 3, words);
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_servers_is_told_with_what_to_change() {
    let none = "wrong  server 127.0.0.1:1: not reached";
    says(&doctor("nats://127.0.0.1:1", &[]).await, 3, none);

    let without =
        NatsServer::configured(|place| format!("host: 127.0.0.1\nport: {}\n", place.port));
    let without = without.await;
    says(&doctor(&without.url(), &[]).await, 3, "enable JetStream");

    let lazy = NatsServer::configured(|place| {
        let (port, monitor, store) = (place.port, place.monitor, place.folder.display());
        format!(
            "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor}\"\njetstream {{ store_dir: \"{store}\" }}\n"
        )
    });
    let lazy = lazy.await;
    let output = doctor(&lazy.url(), &["--monitor", &lazy.monitor()]).await;
    says(&output, 3, "set jetstream { sync_interval: always }");

    let strict = NatsServer::configured(|place| {
        let (port, store) = (place.port, place.folder.display());
        format!(
            "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{store}\" }}\nauthorization {{ users = [\
             {{ user: a, password: b, permissions: {{ publish: [\"$JS.API.>\", \"_INBOX.>\"], subscribe: [\"_INBOX.>\"] }} }}] }}\n"
        )
    });
    let strict = strict.await;
    says(
        &doctor(&strict.url(), &[]).await,
        3,
        "see the user and its password",
    );
    let url = strict.url().replace("://", "://a:b@");
    let output = doctor(&url, &["--cluster", "LOG", "--single-replica"]).await;
    says(
        &output,
        3,
        "allow to publish and subscribe to airpost.heads.LOG.>",
    );
    says(&output, 3, "allow the user to publish to airpost.log.LOG");
    says(&output, 3, "airpost cluster join");
    // In the server's own words, of what nobody answered.
    says(
        &output,
        3,
        "wrong  permissions: Permissions Violation for Publish to \"airpost.heads.LOG",
    );
}
