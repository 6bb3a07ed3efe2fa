//! Nodes of one log, who all publish: one of them at a time has each place.

use std::path::Path;

use tests::{NatsClient, NatsServer, tally};

use super::{assert_all_is_out, deliver, make_forgetful, serve};
use crate::scene::{airpost, metric, number_from, scratch_in_memory};

/// How often a node is killed in a usual run.
const KILLS: u64 = 6;

const LOG: [&str; 3] = ["--cluster", "LOG", "--single-replica"];

async fn join(data: &Path, urls: &str) {
    let data = data.to_str().expect("a temporary folder has a plain name");
    let words = ["cluster", "join", "--new", "--data", data, "--nats", urls];
    let joined = airpost().run(words.into_iter().chain(LOG)).await;
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
