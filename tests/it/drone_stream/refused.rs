//! What comes over NATS and is no drone event.

use serde_json::{Value, json};
use tests::{NatsClient, NatsServer, Recording, poll_until};

use super::{PATIENCE, consumer, publish, send, serve, subject_of, until_said, until_taken};
use crate::scene::{
    FLIGHTS, Order, airpost, at, chance, list, metric, number, scratch_in_memory, settled, text,
};

/// A message by subject, headers and content, and what is the matter with it.
type Garbage<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a str);

/// What the service says over HTTP of dead letters, newest first.
async fn letters(client: &tests::Client) -> Vec<Value> {
    settled(client).await;
    let page = client.read("/v1/dead-letters?limit=200").await;
    list(&page, "/items").to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_a_dead_letter_once_and_the_stream_goes_on() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (mut chance, server) = (chance(), serve(data.path(), &broker.url()).await);
    consumer(&nats).await;
    let flight = Recording::load(FLIGHTS[0]);
    let order = Order::place(&server.client(), &flight, &mut chance).await;
    let facts = order.facts();
    let subject = subject_of(&facts[0]);
    let mut unknown_field = facts[0].clone();
    unknown_field["data"]["seq"] = json!("one");
    let large = json!({ "x": "y".repeat(80_000) }).to_string();
    let batch = [("Content-Type", "application/cloudevents-batch+json")];
    let foreign = subject.replace("drone.v1.", "drone.v1.other-");
    let elsewhere = subject.replace("mission_assigned", "departed");
    let (event, unknown_field) = (facts[0].to_string(), unknown_field.to_string());
    let garbage: [Garbage<'_>; 6] = [
        (&subject, &[], b"{\xff", "malformed"),
        (&subject, &[], unknown_field.as_bytes(), "malformed"),
        (&subject, &[], large.as_bytes(), "too_large"),
        (&subject, &batch, b"[]", "unknown_form"),
        (&foreign, &[], event.as_bytes(), "misaddressed"),
        (&elsewhere, &[], event.as_bytes(), "misaddressed"),
    ];
    for _twice in 0..2 {
        for (subject, headers, content, _) in garbage {
            send(&nats, subject, headers, content).await;
        }
    }
    for fact in &facts {
        publish(&nats, fact, false).await;
    }
    // Another fact with a number that is taken: nobody can be told of that either.
    let mut other = facts[0].clone();
    other["id"] = json!("another");
    publish(&nats, &other, true).await;
    until_taken(&nats).await;
    let client = server.client();
    let found = letters(&client).await;
    let mut reasons: Vec<_> = found.iter().map(|it| text(it, "/reason")).collect();
    reasons.reverse();
    let mut expected = garbage.map(|(.., why)| why).to_vec();
    expected.push("number_taken");
    assert_eq!(reasons, expected);
    // Whose they are is what their subjects say, which is what a fleet may publish to.
    let of_another = found.iter().rev().nth(4).expect("it is misaddressed");
    let word = |number| foreign.split('.').nth(number);
    assert_eq!(Some(text(of_another, "/fleet_id")), word(2));
    assert_eq!(Some(text(of_another, "/drone_id")), word(3));
    let first = found.last().expect("there are some");
    assert_eq!(text(first, "/message/data_base64"), "e/8=");
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");

    // Nothing comes again, and what was not the service's fault is not read in the next life either.
    let task = text(first, "/links/redrive");
    assert_eq!(client.post(task).send().await.status(), 409);
    server.kill().await;
    let server = serve(data.path(), &broker.url()).await;
    until_taken(&nats).await;
    let client = server.client();
    assert_eq!(letters(&client).await.len(), expected.len());
    let series = "airpost_drone_messages_total{outcome=\"refused\"}";
    assert_eq!(metric(&client, series).await.as_deref(), Some("0"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_for_which_there_is_no_room_for_long_are_dead_letters_or_come_again() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    // One that is put off comes again after half a minute, and that is as long as any waits here.
    let url = broker.url();
    let options = ["--nats", &url, "--gap-wait-s", "60", "--park-wait-s", "30"];
    let (mut chance, server) = (chance(), airpost().serve_with(data.path(), &options).await);
    consumer(&nats).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    // More waits for its mission than a session has room for, also where the last ones come together.
    let departed = order.facts()[1].clone();
    let waiting = (1..=1_100).map(|seq| {
        let mut fact = departed.clone();
        fact["id"] = json!(format!("f{seq}"));
        fact["data"]["seq"] = json!(seq);
        (subject_of(&fact), fact.to_string())
    });
    nats.store_all(waiting).await;
    until_taken(&nats).await;
    settled(&client).await;
    let (mut kept, mut path) = (0, "/v1/dead-letters?limit=200".to_owned());
    loop {
        let page = client.read(&path).await;
        let found = list(&page, "/items").iter();
        kept += found.filter(|it| text(it, "/reason") == "no_room").count();
        match at(&page, "/next").as_str() {
            Some(next) => path = format!("/v1/dead-letters?limit=200&cursor={next}"),
            None => break,
        }
    }
    // So many are kept of a fleet and an hour; the test may run into the next one.
    assert!((32..=64).contains(&kept), "{kept} are kept");
    // Nothing else was refused: it came again until there was room.
    let series = "airpost_drone_messages_total{outcome=\"refused\"}";
    assert_eq!(metric(&client, series).await, Some(kept.to_string()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_off_is_told_before_nobodys_drone_events_come_in_any_more() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let url = broker.url();
    let options = ["--nats", &url, "--gap-wait-s", "60"];
    let server = airpost().serve_with(data.path(), &options).await;
    consumer(&nats).await;
    let (client, mut chance) = (server.client(), chance());
    let order = Order::place(&client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    let departed = order.facts()[1].clone();
    // Far more waits for its mission than a session has room for.
    let waiting = (1..=17_500).map(|seq| {
        let mut fact = departed.clone();
        fact["id"] = json!(format!("f{seq}"));
        fact["data"]["seq"] = json!(seq);
        (subject_of(&fact), fact.to_string())
    });
    nats.store_all(waiting).await;
    let held_up = || async {
        let unanswered = number(&consumer(&nats).await, "/num_ack_pending");
        (unanswered > 16_000).then_some(())
    };
    poll_until(PATIENCE, "most of them to be put off", held_up).await;
    server.stop().await;
    let server = airpost().serve_with(data.path(), &options).await;
    until_said(&server, &["nobody's come in", "/v1/dead-letters"]).await;
    let unanswered = metric(&server.client(), "airpost_drone_messages_unanswered").await;
    let unanswered: f64 = unanswered.and_then(|it| it.parse().ok()).expect("a number");
    assert!((16_000.0..=20_000.0).contains(&unanswered), "{unanswered}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_garbage_fills_neither_the_log_nor_the_way_of_others() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (mut chance, server) = (chance(), serve(data.path(), &broker.url()).await);
    consumer(&nats).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(FLIGHTS[1]), &mut chance).await;
    for number in 0..600 {
        let garbage = format!("garbage {number}");
        send(&nats, "drone.v1.mad.x.departed", &[], garbage.as_bytes()).await;
    }
    for fact in order.facts() {
        publish(&nats, &fact, false).await;
    }
    until_taken(&nats).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    // In one hour; the test may run into the next one.
    let kept = letters(&client).await.len();
    assert!((32..=64).contains(&kept), "{kept} are kept");
    server.stop().await;
}
