//! What stands in the way of what goes out, and what is said to help: it does.

use std::path::Path;

use serde_json::json;
use tests::{NatsClient, NatsServer, Server, Stored};

use super::restored::{back_up, restore};
use super::streams::until_said;
use super::{STREAM, assert_all_is_out, deliver, feed, last, serve, until_out};
use crate::scene::{airpost, chance, copy_folder, new_user, scratch_in_memory, settled};

/// The log that was, which has told more than its older copy holds: the folder of the one and of the
/// other, and what the stream has.
async fn told_farther(data: &Path, older: &Path, broker: &NatsServer) -> Vec<Stored> {
    let server = serve(&airpost(), data, &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    copy_folder(data, older);
    let server = serve(&airpost(), data, &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let told = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    told
}

/// Users whose registrations are fewer events than one delivery's.
const FEWER_THAN_TOLD: usize = 3;

const FARTHER: [&str; 2] = ["no delivery events go out", "which this log does not have"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_log_tells_nothing_until_the_newest_is_put_back_or_the_streams_removed()
{
    let (folders, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let (data, older) = (folders.path().join("data"), folders.path().join("older"));
    let told = told_farther(&data, &older, &broker).await;
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), &older, &broker.url(), &[]).await;
    until_said(&server, &FARTHER).await;
    assert_eq!(last(&nats, STREAM).await, told.len() as u64);
    server.stop().await;
    // The newest one.
    let server = serve(&airpost(), &data, &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    // The older one, told anew.
    let server = serve(&airpost(), &older, &broker.url(), &[]).await;
    until_said(&server, &FARTHER).await;
    nats.remove_stream(STREAM).await;
    nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    deliver(&server.client(), 1).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    until_said(&server, &["delivery events go out over NATS again"]).await;
    server.stop().await;
}

/// As a node does that joined what was left of a cluster's log: in the same epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_its_end_and_was_written_on_past_it_tells_nothing_until_the_streams_are_removed()
 {
    let (folders, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let (data, older) = (folders.path().join("data"), folders.path().join("older"));
    let told = told_farther(&data, &older, &broker).await;
    let nats = NatsClient::connect(&broker.url()).await;
    let server = airpost().serve(&older).await;
    deliver(&server.client(), 3).await;
    settled(&server.client()).await;
    assert!(feed(&server.client()).await.len() > told.len());
    server.stop().await;

    let another = ["no delivery events go out", "another record at position"];
    let server = serve(&airpost(), &older, &broker.url(), &[]).await;
    until_said(&server, &another).await;
    assert_eq!(last(&nats, STREAM).await, told.len() as u64);
    server.stop().await;
    // Also where only the place beside the stream is left to tell.
    nats.purge(STREAM, 0).await;
    let server = serve(&airpost(), &older, &broker.url(), &[]).await;
    until_said(&server, &another).await;
    assert_eq!(last(&nats, STREAM).await, told.len() as u64);
    nats.remove_stream(STREAM).await;
    nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    deliver(&server.client(), 1).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    until_said(&server, &["delivery events go out over NATS again"]).await;
    server.stop().await;
}

/// Registers so many users in an older copy, as long as nobody minds that it tells nothing.
async fn write_on(older: &Path, users: usize) {
    let server = airpost().serve(older).await;
    super::register(&server.client(), users).await;
    settled(&server.client()).await;
    server.stop().await;
}

/// Goes on with a log whose folder's events up to `kept` were told as they are; what goes out behind
/// message `told`, which is all that the log has behind those, in its order.
async fn assert_the_rest_follows(server: &Server, nats: &NatsClient, told: usize, kept: usize) {
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(nats, told + events.len() - kept).await;
    let out = nats.messages(STREAM).await;
    let is_new = |it: &&Stored| it.sequence > told as u64;
    let out: Vec<_> = out.iter().filter(is_new).map(Stored::json).collect();
    assert_eq!(Some(&*out), events.get(kept..));
    until_said(server, &["cannot be taken back"]).await;
}

/// Also where it was written on before, by fewer events than were told or by more: what it has in place
/// of what was told is not left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_log_goes_on_in_a_new_epoch_behind_what_was_told() {
    for users in [0, FEWER_THAN_TOLD, 60] {
        let (folders, broker) = (scratch_in_memory(), NatsServer::alone().await);
        let (data, older) = (folders.path().join("data"), folders.path().join("older"));
        let told = told_farther(&data, &older, &broker).await;
        let nats = NatsClient::connect(&broker.url()).await;
        let server = airpost().serve(&older).await;
        let kept = feed(&server.client()).await.len();
        server.stop().await;
        if users > 0 {
            write_on(&older, users).await;
            let server = serve(&airpost(), &older, &broker.url(), &[]).await;
            until_said(&server, &["no delivery events go out"]).await;
            let is_farther = feed(&server.client()).await.len() < told.len();
            assert_eq!(is_farther, users == FEWER_THAN_TOLD);
            assert_eq!(last(&nats, STREAM).await, told.len() as u64);
            server.stop().await;
        }
        let backup = back_up(&older, folders.path()).await;
        let restored = restore(&backup, folders.path()).await;
        let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
        assert_the_rest_follows(&server, &nats, told.len(), kept).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_in_a_new_epoch_is_told_anew_where_the_stream_has_nothing_left_that_it_has() {
    // All are gone but the last one, which it does not have; or that one, too.
    for keep in [1, 0] {
        let (folders, broker) = (scratch_in_memory(), NatsServer::alone().await);
        let (data, older) = (folders.path().join("data"), folders.path().join("older"));
        let told = told_farther(&data, &older, &broker).await;
        let nats = NatsClient::connect(&broker.url()).await;
        write_on(&older, FEWER_THAN_TOLD).await;
        let backup = back_up(&older, folders.path()).await;
        let restored = restore(&backup, folders.path()).await;
        nats.purge(STREAM, keep).await;
        let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
        assert_the_rest_follows(&server, &nats, told.len(), 0).await;
        until_said(&server, &["all that the log has is told anew"]).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_the_id_of_one_given_up_a_moment_ago_goes_out_once_the_stream_forgets_that() {
    let (data, away) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    let mut stream = json!({
        "name": STREAM, "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64,
        "subjects": ["airpost.v1.deliveries.>", "airpost.v1.missions.>", "airpost.v1.users.>"],
        "allow_atomic": true,
    });
    nats.make_stream(&stream).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let user = new_user(&server.client(), &mut chance()).await;
    let suspend = async |client: &tests::Client, reason: &str| {
        let path = format!("/v1/users/{user}/suspend");
        let asked = client.post(&path).json(&json!({ "reason": reason }));
        let _done = asked.send().await.expect(200);
    };
    let kept = assert_all_is_out(&server.client(), &nats, &[]).await;
    let backup = back_up(data.path(), away.path()).await;
    suspend(&server.client(), "it is given up").await;
    let told = assert_all_is_out(&server.client(), &nats, &kept).await;
    server.stop().await;

    let restored = restore(&backup, away.path()).await;
    let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
    suspend(&server.client(), "it is in its place").await;
    // Enough for a batch, which is refused for the one in it.
    super::register(&server.client(), 100).await;
    let words = [
        "no delivery events go out",
        "takes no second event with the id",
        "--dupe-window 100ms",
    ];
    until_said(&server, &words).await;
    assert_eq!(last(&nats, STREAM).await, told.len() as u64);
    crate::scene::with(&mut stream, &json!({ "duplicate_window": 100_000_000 }));
    nats.ask(&format!("$JS.API.STREAM.UPDATE.{STREAM}"), &stream)
        .await
        .expect("it can be shorter");
    let events = feed(&server.client()).await;
    until_out(&nats, told.len() + events.len() - kept.len()).await;
    let out = nats.messages(STREAM).await;
    let after: Vec<_> = out.iter().skip(told.len()).map(Stored::json).collect();
    assert_eq!(Some(&*after), events.get(kept.len()..));
    // The same id, another content: the later one is what the log has.
    let id = |message: &Stored| message.header("Nats-Msg-Id").map(str::to_owned);
    let (one, other) = (
        told.last().expect("it is told"),
        out.get(told.len()).expect("it is told"),
    );
    assert_eq!(id(one), id(other));
    assert_ne!(one.payload, other.payload);
    until_said(&server, &["delivery events go out over NATS again"]).await;
    server.stop().await;
}
