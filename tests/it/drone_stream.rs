//! Drone events that come in over NATS: the same comes of them as over HTTP, whatever happens to
//! the messages, to the service, to the server and to the connection between them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Chance, NatsClient, Server, poll_until};

use crate::scene::{airpost, at, number, text};

mod flights;
mod nodes;
mod odd;
mod refused;
mod sources;

/// The stream, unless told otherwise.
const STREAM: &str = "DRONE_EVENTS";

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(2);

/// Starts a service that takes drone events there. What a killed one took along comes again after
/// ten seconds, half of how long a fact waits for those before it.
async fn serve(data: &Path, urls: &str) -> Server {
    let options = ["--nats", urls, "--gap-wait-s", "20"];
    airpost().serve_with(data, &options).await
}

/// The subject of an event, as its sender knows it.
fn subject_of(event: &Value) -> String {
    let source = text(event, "/source").strip_prefix("/fleets/");
    let (fleet, drone) = source
        .and_then(|source| source.split_once("/drones/"))
        .expect("a drone speaks");
    let kind = text(event, "/type").strip_prefix("drone.");
    let kind = kind.and_then(|kind| kind.strip_suffix(".v1"));
    format!("drone.v1.{fleet}.{drone}.{}", kind.expect("it has a kind"))
}

/// Publishes an event in one form or the other, and again until the server has it.
async fn publish(nats: &NatsClient, event: &Value, is_binary: bool) {
    let attributes = event.as_object().expect("an event is an object");
    let mut headers = vec![(
        "Content-Type".to_owned(),
        "application/cloudevents+json".to_owned(),
    )];
    let mut content = event.to_string();
    if is_binary {
        content = at(event, "/data").to_string();
        headers = attributes
            .iter()
            .filter_map(|(name, value)| Some((format!("CE-{name}"), value.as_str()?.to_owned())))
            .filter(|(name, _)| name != "CE-datacontenttype")
            .map(|(name, value)| (name, value.replace('%', "%25")))
            .collect();
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let headers: Vec<_> = headers
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    send(nats, &subject_of(event), &headers, content.as_bytes()).await;
}

/// Publishes whatever it is, and again until the server has it.
async fn send(nats: &NatsClient, subject: &str, headers: &[(&str, &str)], content: &[u8]) {
    let look = || async { nats.store(subject, headers, content).await.ok() };
    poll_until(PATIENCE, "the server to take a message", look).await;
}

/// Publishes events, half of them in each form.
async fn publish_all(nats: &NatsClient, events: &[Value], chance: &mut Chance) {
    for event in events {
        publish(nats, event, chance.happens(500)).await;
    }
}

/// What the server says of the service's consumer, once it has one. Others that nodes have beside it
/// are no longer than they.
async fn consumer(nats: &NatsClient) -> Value {
    let look = || async {
        let asked = format!("$JS.API.CONSUMER.LIST.{STREAM}");
        let found = nats.ask(&asked, &json!({})).await.ok()?;
        let mut found = found.pointer("/consumers")?.as_array()?.iter();
        let lasts = |it: &&Value| it.pointer("/config/durable_name").is_some();
        found.find(lasts).cloned()
    };
    poll_until(PATIENCE, "the service to have a consumer", look).await
}

/// Waits until everything was handed out and is answered for good.
async fn until_taken(nats: &NatsClient) {
    let look = || async {
        let info = consumer(nats).await;
        let last = nats
            .stream(STREAM)
            .await?
            .pointer("/state/last_seq")?
            .as_u64()?;
        let is_answered = info.pointer("/ack_floor/stream_seq")?.as_u64()? == last;
        let is_done = [
            number(&info, "/num_ack_pending"),
            number(&info, "/num_pending"),
        ] == [0, 0];
        (is_answered && is_done).then_some(())
    };
    poll_until(PATIENCE, "all messages to be answered", look).await;
}

/// Waits until the service has said that.
async fn until_said(server: &Server, words: &[&str]) {
    let look = || async {
        let log = server.log();
        let mut lines = log.lines();
        let said = lines.any(|line| words.iter().all(|words| line.contains(words)));
        said.then_some(())
    };
    poll_until(PATIENCE, &words.join(" … "), look).await;
}
