//! Servers that lost some of the log, to a disk that rots or to a store that was put back: their
//! nodes say so and go on showing what they have, and the journals put it right.

use std::fs;
use std::path::Path;

use tests::{Client, NatsServer, poll_until};

use super::commands::says;
use super::{FOLLOW_TIME_MAX, Log, first_node, level, node, two_nodes};
use crate::scene::{chance, copy_folder, new_user, scratch, text};

async fn new_users(client: &Client, count: usize) -> Vec<String> {
    let mut chance = chance();
    let mut users = Vec::with_capacity(count);
    for _ in 0..count {
        users.push(new_user(client, &mut chance).await);
    }
    users
}

async fn has_all(client: &Client, users: &[String]) {
    for user in users {
        let found = client.read(&format!("/v1/users/{user}")).await;
        assert_eq!(text(&found, "/id"), user);
    }
}

/// Flips forty bits, spread over the second half of what a stream's messages are stored in.
fn damage(stream: &Path) {
    let file = stream.join("msgs").join("1.blk");
    let mut bytes = fs::read(&file).expect("the stream has a file");
    let half = bytes.len() / 2;
    let later = bytes.iter_mut().skip(half).step_by(half / 40);
    later.for_each(|byte| *byte ^= 1);
    fs::write(&file, bytes).expect("there is room");
}

#[tokio::test]
async fn given_a_server_alone_whose_store_is_damaged_then_its_nodes_say_so_and_a_journal_puts_it_right()
 {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let [(first, here), (second, there)] = two_nodes(&log, &[]).await;
    let users = new_users(&here.client(), 40).await;
    level(&[&here.client(), &there.client()]).await;
    nats.kill();
    damage(&nats.store_of("LOG"));
    nats.start().await;
    for node in [&here, &there] {
        let client = node.client();
        let told = || async {
            let ready = client.get("/readyz").send().await;
            let is_told = node.log().contains("airpost cluster heal");
            (ready.status() == 503 && is_told).then(|| ready.json())
        };
        let ready = poll_until(FOLLOW_TIME_MAX, "a node to say that it is lost", told).await;
        assert_eq!(text(&ready, "/log"), "outage");
        assert!(text(&ready, "/detail").contains("has less of it than this node"));
        has_all(&client, &users).await;
    }
    here.stop().await;
    there.stop().await;
    // Who comes with an empty folder is not given the rest for all.
    let healed = log.command("heal", first.path()).await;
    says(&healed, 0, "has all that the journal");
    let third = node(&log).await;
    let mut nodes = Vec::new();
    for folder in [&first, &second, &third] {
        nodes.push(log.serve(folder.path()).await);
    }
    let clients: Vec<_> = nodes.iter().map(tests::Server::client).collect();
    let all: Vec<_> = clients.iter().collect();
    level(&all).await;
    for client in &clients {
        has_all(client, &users).await;
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn given_a_node_that_runs_and_has_less_then_nothing_is_healed_beside_it() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, second) = (first_node(&log).await, node(&log).await);
    let (store, kept) = (nats.folder().join("jetstream"), scratch());
    let (here, there) = (
        log.serve(first.path()).await,
        log.serve(second.path()).await,
    );
    let mut users = new_users(&here.client(), 2).await;
    level(&[&here.client(), &there.client()]).await;
    there.stop().await;
    nats.kill();
    copy_folder(&store, kept.path());
    nats.start().await;
    here.ready().await;
    users.extend(new_users(&here.client(), 2).await);
    let end = level(&[&here.client()]).await;
    here.stop().await;
    // The store is put back to what it was, and a node that has no more is started.
    nats.kill();
    nats.wipe();
    copy_folder(kept.path(), &store);
    nats.start().await;
    let there = log.serve(second.path()).await;
    let refused = log.command("heal", first.path()).await;
    says(&refused, 1, "stop every node that serves this stream");
    says(&refused, 1, &format!("ends at position {end}"));
    there.stop().await;
    let healed = log.command("heal", first.path()).await;
    says(&healed, 0, "has all that the journal");
    let (here, there) = (
        log.serve(first.path()).await,
        log.serve(second.path()).await,
    );
    level(&[&here.client(), &there.client()]).await;
    has_all(&there.client(), &users).await;
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn given_views_that_have_seen_what_the_log_has_lost_then_a_journal_is_looked_for_and_nothing_given_up()
 {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let (store, kept) = (nats.folder().join("jetstream"), scratch());
    let here = log.serve(data.path()).await;
    new_users(&here.client(), 2).await;
    nats.kill();
    copy_folder(&store, kept.path());
    nats.start().await;
    here.ready().await;
    new_users(&here.client(), 2).await;
    level(&[&here.client()]).await;
    here.stop().await;
    nats.kill();
    nats.wipe();
    copy_folder(kept.path(), &store);
    nats.start().await;
    fs::remove_dir_all(data.path().join("journal")).expect("it is there");
    let refused = log.not_served(data.path()).await;
    says(&refused, 1, "airpost cluster heal");
    let mut last = refused.stderr.lines();
    let last = last.rfind(|line| line.starts_with("error: "));
    let last = last.expect("it says why it ended");
    assert!(!last.contains("airpost recover"), "{last}");
}
