//! Servers and connections that go away and come back, for a moment or for long.

use std::time::Duration;

use api::environment::Environment;
use tests::{Client, NatsClient, NatsPlace, NatsServer, Recording, poll_until, tally};
use tokio::net::TcpListener;

use super::streams::until_said;
use super::{
    PATIENCE, STREAM, assert_all_is_out, deliver, feed, last, make_forgetful, register, serve,
};
use crate::scene::{
    FLIGHTS, Order, airpost, chance, metric, new_user, number_from, report, scratch_in_memory,
    settled,
};

/// How long a write may take while no server is there, on whatever machine: shorter than what it would
/// take if it waited for one, which is 5 s.
const WRITE_TIME_MAX: Duration = Duration::from_secs(3);

/// What comes of something, and how long that took.
async fn timed<T>(clock: &Environment, doing: impl Future<Output = T>) -> (T, Duration) {
    let begun = clock.elapsed();
    let done = doing.await;
    (done, clock.elapsed().saturating_sub(begun))
}

/// Books and flies deliveries for that long, and at least so many; how many that were, and how long the
/// slowest write took.
async fn write_for(client: &Client, time: Duration, deliveries: u64) -> (u64, Duration) {
    let (clock, mut chance) = (Environment::system(), chance());
    let user = new_user(client, &mut chance).await;
    let flights = FLIGHTS.map(Recording::load);
    let (begun, mut made, mut longest) = (clock.elapsed(), 0, Duration::ZERO);
    while made < deliveries || clock.elapsed().saturating_sub(begun) < time {
        for flight in &flights {
            let placing = Order::place_for(client, &user, flight, &mut chance);
            let (order, took) = timed(&clock, placing).await;
            longest = longest.max(took);
            for facts in order.facts().chunks(20) {
                let (_taken, took) = timed(&clock, report(client, facts)).await;
                longest = longest.max(took);
            }
            made += 1;
        }
    }
    (made, longest)
}

/// How often servers that are away are tried before it is looked what was logged of it.
const TRIES: usize = 60;
/// How many lines that may be: the connection lost, and what does not go on without it, for each the
/// reasons that follow each other.
const LINES_MAX: usize = 12;

#[tokio::test]
async fn while_no_server_is_there_the_log_tells_of_it_and_not_of_every_try() {
    let (data, mut broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    until_said(&server, &["connected to NATS"]).await;
    deliver(&server.client(), 1).await;
    broker.kill();
    let before = server.log().lines().count();
    let listener = TcpListener::bind(("127.0.0.1", broker.port())).await;
    let listener = listener.expect("the server has left its port");
    for _ in 0..TRIES {
        // Whoever tries is let in, and hung up on.
        drop(listener.accept().await.expect("it is tried again"));
    }
    drop(listener);
    let log = server.log();
    let lines: Vec<_> = log.lines().skip(before).collect();
    assert!((1..=LINES_MAX).contains(&lines.len()), "{lines:#?}");
    broker.start().await;
    until_said(&server, &["the connection to NATS is there again"]).await;
    until_said(&server, &["drone events come in over NATS again"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_no_server_is_there_follows_in_order_and_without_a_gap() {
    let seconds = number_from("AIRPOST_OUTAGE_SECONDS").unwrap_or(0);
    let (data, mut broker) = (scratch_in_memory(), NatsServer::alone().await);
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let client = server.client();
    deliver(&client, 5).await;
    let (mut deliveries, mut longest) = (0, Duration::ZERO);
    for outage in 0..3 {
        broker.kill();
        // The first one is as long as it is to be, the others as short as they can be.
        let time = Duration::from_secs(if outage == 0 { seconds } else { 0 });
        let (made, slowest) = write_for(&client, time, 10).await;
        (deliveries, longest) = (deliveries + made, longest.max(slowest));
        settled(&client).await;
        broker.start().await;
        deliver(&client, 5).await;
    }
    assert!(longest < WRITE_TIME_MAX, "a write took {longest:?}");
    let nats = NatsClient::connect(&broker.url()).await;
    let out = assert_all_is_out(&client, &nats, &[]).await;
    let is = async |name: &str| metric(&client, name).await;
    let look = || async {
        let lag = is("airpost_delivery_events_lag_positions").await?;
        (lag == "0").then_some(())
    };
    poll_until(PATIENCE, "the lag to be over", look).await;
    let shown = async |word: &str| {
        let look = || async {
            let publishing = is("airpost_delivery_events_publishing").await?;
            (publishing == word).then_some(())
        };
        poll_until(PATIENCE, "the gauge to say how it goes", look).await;
    };
    shown("1").await;
    // Also where nothing is to go out.
    broker.kill();
    shown("0").await;
    broker.start().await;
    shown("1").await;
    server.stop().await;
    tally(&format!(
        "outages of NATS while publishing: 3, the longest of {seconds} s or more; {deliveries} deliveries flown meanwhile, \
         the slowest write {} ms; {} events out, 0 missing, 0 doubled, all in order",
        longest.as_millis(),
        out.len()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_out_also_while_a_server_lets_only_one_connection_in() {
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
    settled(&client).await;
    let events = feed(&client).await.len();
    let is = async |name: &str| metric(&client, name).await;
    let look = || async {
        let out = is("airpost_delivery_events_published_total").await?;
        (out.parse::<usize>().ok()? == events).then_some(())
    };
    poll_until(PATIENCE, "all events to be out", look).await;
    until_said(&server, &["NATS is not reached"]).await;
    let flowing = is("airpost_drone_messages_flowing").await;
    assert_eq!(flowing.as_deref(), Some("0"));
    // An operator lets more in.
    broker.kill();
    let configuration = broker.folder().join("server.conf");
    let written = std::fs::read_to_string(&configuration).expect("the server was configured");
    let more = written.replace("max_connections: 1", "max_connections: 100");
    std::fs::write(&configuration, more).expect("a temporary folder can be written");
    broker.start().await;
    let look = || async {
        let flowing = is("airpost_drone_messages_flowing").await?;
        (flowing == "1").then_some(())
    };
    poll_until(PATIENCE, "drone events to come in", look).await;
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
    let events = feed(&server.client()).await.len() as u64;
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
