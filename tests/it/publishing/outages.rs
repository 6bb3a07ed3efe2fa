//! Servers and connections that go away and come back, for a moment or for long.

use tests::{NatsClient, NatsPlace, NatsServer, poll_until};

use super::{PATIENCE, STREAM, assert_all_is_out, deliver, last, make_forgetful, register, serve};
use crate::scene::{airpost, metric, scratch_in_memory, settled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_no_server_is_there_follows_in_order_and_without_a_gap() {
    let (data, mut broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let client = server.client();
    deliver(&client, 5).await;
    for _ in 0..3 {
        broker.kill();
        // Every order and every fact is answered as ever.
        deliver(&client, 10).await;
        settled(&client).await;
        broker.start().await;
        deliver(&client, 5).await;
    }
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&client, &nats, &[]).await;
    let is = async |name: &str| metric(&client, name).await;
    let look = || async {
        let lag = is("airpost_delivery_events_lag_positions").await?;
        (lag == "0").then_some(())
    };
    poll_until(PATIENCE, "the lag to be over", look).await;
    assert_eq!(
        is("airpost_delivery_events_publishing").await.as_deref(),
        Some("1")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_is_told_also_while_a_server_lets_only_one_connection_in() {
    let data = scratch_in_memory();
    let full = NatsServer::configured(|place| {
        let NatsPlace { folder, port, .. } = place;
        let folder = folder.display();
        format!(
            "port: {port}\nhost: 127.0.0.1\nmax_connections: 1\njetstream {{ store_dir: \"{folder}\" }}\n"
        )
    });
    let mut broker = full.await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let client = server.client();
    deliver(&client, 1).await;
    let look = || async {
        let lag = metric(&client, "airpost_delivery_events_lag_seconds").await?;
        (lag.parse::<f64>().ok()? > 0.0).then_some(())
    };
    poll_until(PATIENCE, "the lag to be told", look).await;
    // An operator lets more in.
    broker.kill();
    let configuration = broker.folder().join("server.conf");
    let written = std::fs::read_to_string(&configuration).expect("the server was configured");
    let more = written.replace("max_connections: 1", "max_connections: 100");
    std::fs::write(&configuration, more).expect("a temporary folder can be written");
    broker.start().await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&client, &nats, &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_without_a_server_and_publishes_once_there_is_one() {
    let data = scratch_in_memory();
    let mut broker = NatsServer::alone().await;
    broker.kill();
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let client = server.client();
    let publishing = metric(&client, "airpost_delivery_events_publishing").await;
    assert_eq!(publishing.as_deref(), Some("0"));
    deliver(&client, 5).await;
    // The alarm of an outage goes off also in one that was there before the service.
    let look = || async {
        let lag = metric(&client, "airpost_delivery_events_lag_seconds").await?;
        (lag.parse::<f64>().ok()? > 0.0).then_some(())
    };
    poll_until(PATIENCE, "the lag to be told", look).await;
    broker.start().await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_or_stands_still_amid_the_events_gets_each_once() {
    let (data, mut broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = airpost().serve(data.path()).await;
    // As many as there is time for a fault amid them.
    register(&server.client(), 3_000).await;
    deliver(&server.client(), 20).await;
    settled(&server.client()).await;
    let events = super::feed(&server.client()).await.len() as u64;
    server.stop().await;
    make_forgetful(&NatsClient::connect(&broker.url()).await).await;

    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let mut amid = 0;
    for part in 1..=4 {
        let nats = NatsClient::connect(&broker.url()).await;
        let look = || async { (last(&nats, STREAM).await > events * part / 6).then_some(()) };
        poll_until(PATIENCE, "some events to be out", look).await;
        amid += u64::from(last(&nats, STREAM).await < events);
        if part % 2 == 0 {
            broker.pause();
            deliver(&server.client(), 1).await;
            broker.go_on();
        } else {
            broker.kill();
            broker.start().await;
        }
    }
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    assert!(amid > 0, "all was out before the first fault");
    server.stop().await;
}
