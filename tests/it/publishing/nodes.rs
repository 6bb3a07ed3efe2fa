//! Nodes of one log, who all publish: one of them at a time has each place.

use std::path::Path;

use tests::{NatsClient, NatsServer, Output, tally};

use super::streams::until_said;
use super::{assert_all_is_out, deliver, make_forgetful, serve};
use crate::scene::{airpost, copy_folder, metric, number_from, scratch_in_memory, settled};

/// How often a node is killed in a usual run.
const KILLS: u64 = 6;

const LOG: [&str; 3] = ["--cluster", "LOG", "--single-replica"];

async fn command(words: &[&str], data: &Path, urls: &str) -> Output {
    let data = data.to_str().expect("a temporary folder has a plain name");
    let words = [&["cluster"], words, &["--data", data, "--nats", urls], &LOG].concat();
    airpost().run(words).await
}

async fn join(data: &Path, urls: &str) {
    let joined = command(&["join", "--new"], data, urls).await;
    assert_eq!(joined.code, Some(0), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_each_event_once_and_one_goes_on_alone_when_the_other_is_killed() {
    let kills = number_from("AIRPOST_NODE_KILLS").unwrap_or(KILLS);
    let (folders, broker) = (
        [scratch_in_memory(), scratch_in_memory()],
        NatsServer::alone().await,
    );
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    for folder in &folders {
        join(folder.path(), &broker.url()).await;
    }
    let [first, second] = folders.each_ref();
    let mut here = serve(&airpost(), first.path(), &broker.url(), &LOG).await;
    let mut there = serve(&airpost(), second.path(), &broker.url(), &LOG).await;
    let (mut killed, mut alive) = (first, second);
    let mut out = Vec::new();
    for _ in 0..kills {
        let clients = [here.client(), there.client()];
        tokio::join!(deliver(&clients[0], 2), deliver(&clients[1], 2));
        here.kill_in_place().await;
        // Nobody but the other one is left to tell it.
        deliver(&there.client(), 1).await;
        out = assert_all_is_out(&there.client(), &nats, &out).await;
        here = there;
        there = serve(&airpost(), killed.path(), &broker.url(), &LOG).await;
        (killed, alive) = (alive, killed);
    }
    deliver(&there.client(), 1).await;
    let out = assert_all_is_out(&there.client(), &nats, &out).await;
    let published = metric(&here.client(), "airpost_delivery_events_published_total").await;
    assert_ne!(
        published.as_deref(),
        Some("0"),
        "the one that goes on publishes"
    );
    here.stop_only().await;
    there.stop_only().await;
    tally(&format!(
        "kills of nodes that publish one log: {kills}; {} events out, 0 missing, 0 doubled, all in order",
        out.len()
    ));
}

/// As is said to help: the log's stream made anew of the journal that has all that was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_lost_its_end_and_was_written_on_tells_on_once_it_is_made_good_as_is_said() {
    let folders = scratch_in_memory();
    let [longest, other] = ["longest", "other"].map(|name| folders.path().join(name));
    let mut broker = NatsServer::alone().await;
    for folder in [&longest, &other] {
        join(folder, &broker.url()).await;
    }
    let server = serve(&airpost(), &longest, &broker.url(), &LOG).await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    server.stop_only().await;
    let server = serve(&airpost(), &other, &broker.url(), &LOG).await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop_only().await;
    broker.kill();
    let (store, copy) = (broker.store_of("LOG"), folders.path().join("copy"));
    copy_folder(&store, &copy);
    broker.start().await;
    let server = serve(&airpost(), &longest, &broker.url(), &LOG).await;
    deliver(&server.client(), 1).await;
    let nats = NatsClient::connect(&broker.url()).await;
    let told = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop_only().await;
    broker.kill();
    std::fs::remove_dir_all(&store).expect("the server is down");
    copy_folder(&copy, &store);
    broker.start().await;

    let server = serve(&airpost(), &other, &broker.url(), &LOG).await;
    super::register(&server.client(), 3).await;
    let words = [
        "which this log does not have",
        "remove the log's stream first",
        "heal --new",
    ];
    until_said(&server, &words).await;
    server.stop_only().await;
    let nats = NatsClient::connect(&broker.url()).await;
    let heal = ["heal", "--new"];
    // With the stream still there it has another record in place of the journal's.
    let refused = command(&heal, &longest, &broker.url()).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    nats.remove_stream("LOG").await;
    for (words, folder) in [(&heal[..], &longest), (&["resync"], &other)] {
        let done = command(words, folder, &broker.url()).await;
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let server = serve(&airpost(), &other, &broker.url(), &LOG).await;
    deliver(&server.client(), 1).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    assert!(out.len() > told.len());
    for (message, before) in out.iter().zip(&told) {
        assert_eq!(message.payload, before.payload);
    }
    server.stop_only().await;
}
