//! A cluster that does not answer: what can be read is read, what is written waits or is refused,
//! and all goes on by itself.

use std::time::Duration;

use api::environment::Environment;
use serde_json::Value;
use tests::{Client, NatsClient, NatsServer, Proxy, Recording, poll_until};

use super::{FOLLOW_TIME_MAX, Log, first_node, level, node, two_nodes};
use crate::scene::{Order, chance, metric, new_user, scratch, text};

/// How long a block is tried, and some more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Grace of 4 s, up to 5 s to close, and room for a busy machine.
const STOP_MAX: Duration = Duration::from_secs(14);

async fn status(client: &Client, path: &str) -> u16 {
    client.get(path).send().await.status()
}

async fn registration(client: &Client, name: &str) -> u16 {
    let body = serde_json::json!({"name": name, "email": format!("{name}@example.org")});
    client.post("/v1/users").json(&body).send().await.status()
}

#[tokio::test]
async fn given_a_cluster_that_does_not_answer_then_reads_go_on_writes_are_refused_and_all_comes_back_by_itself()
 {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let folder = first_node(&log).await;
    let server = log.serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance()).await;
    nats.kill();
    // The first is tried for as long as a block is; whoever comes then is told at once.
    let refused = || async { (registration(&client, "late").await == 503).then_some(()) };
    poll_until(PATIENCE, "a write to be refused", refused).await;
    let clock = Environment::system();
    let body = serde_json::json!({"name": "later", "email": "later@example.org"});
    let answer = client.post("/v1/users").json(&body).send().await;
    let problem = answer.expect_problem(503);
    assert!(text(&problem, "/detail").contains("cluster"), "{problem}");
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(
        clock.elapsed() < Duration::from_secs(5),
        "{:?}",
        clock.elapsed()
    );
    assert_eq!(status(&client, &format!("/v1/users/{user}")).await, 200);
    let ready = client.get("/readyz").send().await.expect_problem(503);
    assert_eq!(text(&ready, "/log"), "outage");
    assert_eq!(
        metric(&client, "airpost_log_writable").await.as_deref(),
        Some("0")
    );

    nats.start().await;
    server.ready().await;
    let taken = || async { (registration(&client, "after").await == 201).then_some(()) };
    poll_until(FOLLOW_TIME_MAX, "a write to be taken", taken).await;
    assert_eq!(
        metric(&client, "airpost_log_writable").await.as_deref(),
        Some("1")
    );
    assert!(
        metric(&client, "airpost_cluster_reconnects_total")
            .await
            .is_some()
    );
    server.stop().await;
}

/// How large the log's stream may become, bytes.
async fn limit(nats: &NatsServer, bytes_max: i64) {
    let client = NatsClient::connect(&nats.url()).await;
    let found = client.stream("LOG").await.expect("it is there");
    let config = found.get("config").and_then(Value::as_object);
    let mut config = config.expect("a stream has settings").clone();
    config.insert("max_bytes".to_owned(), bytes_max.into());
    let config = Value::Object(config);
    let changed = client.ask("$JS.API.STREAM.UPDATE.LOG", &config).await;
    changed.expect("a limit can be changed");
}

#[tokio::test]
async fn given_a_stream_that_is_full_then_that_is_what_is_said_until_there_is_room() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let folder = first_node(&log).await;
    let server = log.serve(folder.path()).await;
    let client = server.client();
    new_user(&client, &mut chance()).await;
    limit(&nats, 1).await;
    let full = || async { (registration(&client, "late").await == 507).then_some(()) };
    poll_until(PATIENCE, "a write to be refused for want of room", full).await;
    let body = serde_json::json!({"name": "later", "email": "later@example.org"});
    let refused = client.post("/v1/users").json(&body).send().await;
    let problem = refused.expect_problem(507);
    assert!(
        text(&problem, "/type").ends_with("storage-full"),
        "{problem}"
    );
    assert!(
        text(&problem, "/detail").contains("no room left"),
        "{problem}"
    );
    let ready = client.get("/readyz").send().await.expect_problem(503);
    assert_eq!(text(&ready, "/log"), "full");
    let said = log.command("status", folder.path()).await;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stdout.contains("it is full"), "{said:?}");

    limit(&nats, -1).await;
    server.ready().await;
    let taken = || async { (registration(&client, "after").await == 201).then_some(()) };
    poll_until(FOLLOW_TIME_MAX, "a write to be taken", taken).await;
    server.stop().await;
}

#[tokio::test]
async fn a_node_is_stopped_within_its_grace_though_the_cluster_does_not_answer() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let folder = first_node(&log).await;
    let server = log.serve(folder.path()).await;
    let client = server.client();
    new_user(&client, &mut chance()).await;
    nats.kill();
    let waiting = tokio::spawn(async move {
        let body = serde_json::json!({"name": "late", "email": "late@example.org"});
        drop(client.post("/v1/users").json(&body).try_send().await);
    });
    let clock = Environment::system();
    server.stop_only().await;
    assert!(clock.elapsed() < STOP_MAX, "it took {:?}", clock.elapsed());
    waiting.await.expect("nobody panics while waiting");
}

#[tokio::test]
async fn given_no_cluster_or_no_stream_then_a_node_does_not_start_and_nothing_is_written() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let folder = scratch();
    let missing = log.not_served(folder.path()).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.stderr.contains("airpost cluster join"),
        "{missing:?}"
    );
    nats.kill();
    let away = log.not_served(folder.path()).await;
    assert_eq!(away.code, Some(1), "{away:?}");
    assert!(away.stderr.contains("no NATS server answered"), "{away:?}");
    assert!(!folder.path().join("journal").exists() && !folder.path().join("cluster").exists());
}

#[tokio::test]
async fn what_a_client_has_seen_on_one_node_is_waited_for_on_another() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let [(_first, here), (_second, there)] = two_nodes(&log, &[]).await;
    let (here_client, there_client) = (here.client(), there.client());
    level(&[&here_client, &there_client]).await;
    for number in 0..20 {
        let name = format!("seen-{number}");
        let body = serde_json::json!({"name": name, "email": format!("{name}@example.org")});
        let made = here_client
            .post("/v1/users")
            .json(&body)
            .send()
            .await
            .expect(201);
        let (path, seen) = (
            made.required_header("location"),
            made.required_header("stream-position"),
        );
        let asked = there_client.get(path).header("min-position", seen);
        let _ = asked.send().await.expect(200);
        // What a feed goes on behind is waited for as well, and is no cursor that was given up.
        let feed = here_client
            .get("/v1/events?after=latest")
            .header("accept", "application/json");
        let next = text(&feed.send().await.expect(200).json(), "/next").to_owned();
        let behind = there_client.get(&format!("/v1/events?after={next}"));
        let _ = behind
            .header("accept", "application/json")
            .send()
            .await
            .expect(200);
    }
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn given_a_node_that_is_behind_then_what_a_client_knows_of_another_is_told_apart_from_what_was_given_up()
 {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let line = Proxy::to(nats.port()).await;
    let held = Log::on_one_at(&format!("nats://{}", line.address()));
    let (first, second) = (first_node(&log).await, node(&log).await);
    let (here, there) = (
        log.serve(first.path()).await,
        held.serve(second.path()).await,
    );
    let (here_client, there_client) = (here.client(), there.client());
    let path = format!("/v1/users/{}", new_user(&here_client, &mut chance()).await);
    level(&[&here_client, &there_client]).await;
    line.hold();
    let user = new_user(&here_client, &mut chance()).await;
    let order = Order::request(&user, &Recording::load(268), &mut chance());
    let begun = here_client.post("/v1/deliveries").json(&order);
    let begun = begun.header("prefer", "respond-async").send().await;
    let operation = begun.expect(202).required_header("location").to_owned();
    let body = serde_json::json!({"name": "Somebody else"});
    let change = |client: &Client, tag: &str| {
        let request = client.patch(&path).header("if-match", tag);
        request.body("application/merge-patch+json", body.to_string())
    };
    let read = here_client.get(&path).send().await.expect(200);
    let changed = change(&here_client, read.required_header("etag"))
        .send()
        .await
        .expect(200);
    let later = changed.required_header("etag").to_owned();
    let seen = changed.required_header("stream-position");
    let feed = here_client
        .get("/v1/events?after=latest")
        .header("accept", "application/json");
    let next = text(&feed.send().await.expect(200).json(), "/next").to_owned();

    let behind = change(&there_client, &later)
        .send()
        .await
        .expect_problem(503);
    assert_behind(&behind);
    let unseen = there_client
        .get(&path)
        .header("min-position", seen)
        .send()
        .await;
    let unseen = unseen.expect_problem(503);
    assert_behind(&unseen);
    let unbegun = there_client.get(&operation).header("min-position", seen);
    let unbegun = unbegun.send().await.expect_problem(503);
    assert_behind(&unbegun);
    let unheard = there_client.get(&format!("/v1/events?after={next}"));
    let unheard = unheard
        .header("accept", "application/json")
        .send()
        .await
        .expect_problem(503);
    assert_behind(&unheard);
    // Without any of it: as the node knows it.
    let _ = there_client.get(&path).send().await.expect(200);

    line.open();
    let taken = || async {
        let answer = change(&there_client, &later).send().await;
        (answer.status() == 200).then_some(())
    };
    poll_until(FOLLOW_TIME_MAX, "the change to be taken", taken).await;
    here.stop().await;
    there.stop().await;
}

/// That an answer is the problem of a node that knows less than its client.
fn assert_behind(problem: &Value) {
    let is_behind = text(problem, "/type").ends_with("projection-lagging");
    assert!(is_behind, "{problem}");
}
