//! A stream that is of no use any more: one node goes on alone, and the others come back to it.

use std::fs;
use std::path::Path;

use tests::{Client, NatsClient, NatsServer, Output, poll_until};

use super::commands::{embedded, says};
use super::{FOLLOW_TIME_MAX, Log, first_node, level, two_nodes};
use crate::scene::{airpost, chance, new_user, scratch, text};

async fn abandon(data: &Path, options: &[&str]) -> Output {
    let data = data.to_str().expect("a temporary folder has a plain name");
    let words = ["cluster", "abandon", "--data", data];
    airpost().run(words.iter().chain(options).copied()).await
}

async fn has(client: &Client, users: &[String]) {
    for user in users {
        let found = client.read(&format!("/v1/users/{user}")).await;
        assert_eq!(text(&found, "/id"), user);
    }
}

#[tokio::test]
async fn given_a_strangers_message_in_the_log_then_a_node_goes_on_alone_and_the_others_come_back_to_it()
 {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let [(first, here), (second, there)] = two_nodes(&log, &[]).await;
    let (here_client, there_client) = (here.client(), there.client());
    let mut chance = chance();
    let mut users = vec![
        new_user(&here_client, &mut chance).await,
        new_user(&there_client, &mut chance).await,
    ];
    let end = level(&[&here_client, &there_client]).await;
    let stranger = NatsClient::connect(&nats.url()).await;
    let stored = stranger.store("airpost.log.LOG", &[], "not a block").await;
    stored.expect("anybody may write there");
    for client in [&here_client, &there_client] {
        let stopped = || async {
            let ready = client.get("/readyz").send().await;
            (ready.status() == 503).then(|| ready.json())
        };
        let ready = poll_until(FOLLOW_TIME_MAX, "a node to see it", stopped).await;
        assert_eq!(text(&ready, "/log"), "read_only");
        has(client, &users).await;
    }
    here.stop().await;
    there.stop().await;

    // What is said leads there, and tells the journals apart.
    let (first, second) = (first.path(), second.path());
    says(&log.not_served(first).await, 1, "airpost cluster abandon");
    let status = log.command("status", second).await;
    says(&status, 1, &format!("ends at position {end}"));
    let unsure = abandon(first, &[]).await;
    says(&unsure, 3, "--accept-fork");
    says(&unsure, 3, &format!("ends at position {end}"));
    says(&log.not_served(first).await, 1, "airpost cluster abandon");
    let alone = abandon(first, &["--accept-fork"]).await;
    says(&alone, 0, &format!("behind position {end}"));
    says(
        &abandon(first, &["--accept-fork"]).await,
        1,
        "no node's folder",
    );

    let server = airpost().serve(first).await;
    has(&server.client(), &users).await;
    users.push(new_user(&server.client(), &mut chance).await);
    server.stop().await;
    let back = log.command("join", first).await;
    assert_eq!(back.code, Some(1), "{back:?}");
    stranger.remove_stream("LOG").await;
    log.join(first).await;
    let (here, there) = (log.serve(first).await, log.serve(second).await);
    level(&[&here.client(), &there.client()]).await;
    has(&there.client(), &users).await;
    users.push(new_user(&there.client(), &mut chance).await);
    level(&[&here.client(), &there.client()]).await;
    has(&here.client(), &users).await;
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn given_servers_that_are_gone_for_good_then_a_node_goes_on_without_them() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let server = log.serve(data.path()).await;
    let users = [new_user(&server.client(), &mut chance()).await];
    server.stop().await;
    drop(nats);
    let status = log.command("status", data.path()).await;
    says(&status, 1, "ends at position");
    // Interrupted when all but the mark was done.
    let mark = data.path().join("cluster");
    let marked = fs::read(&mark).expect("it says that it is a node's");
    for _ in 0..2 {
        fs::write(&mark, &marked).expect("there is room");
        says(&abandon(data.path(), &["--accept-fork"]).await, 0, "alone");
        assert!(!mark.exists());
    }
    let server = airpost().serve(data.path()).await;
    has(&server.client(), &users).await;
    new_user(&server.client(), &mut chance()).await;
    server.stop().await;
}

#[tokio::test]
async fn given_a_folder_that_is_no_nodes_then_nothing_of_it_is_abandoned() {
    let data = scratch();
    embedded(data.path()).await;
    let refused = abandon(data.path(), &["--accept-fork"]).await;
    says(&refused, 1, "no node's folder");
}
