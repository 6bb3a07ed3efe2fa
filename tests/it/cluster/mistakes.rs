//! What is typed wrong or breaks off leaves a folder as it was, or says what it has become.

use std::fs;
use std::path::Path;

use tests::{NatsServer, Output, poll_until};

use super::commands::{embedded, says};
use super::{FOLLOW_TIME_MAX, Log, first_node, level, node};
use crate::scene::{airpost, chance, copy_folder, new_user, scratch, text};

async fn served_alone(data: &Path) -> Output {
    let data = data.to_str().expect("a temporary folder has a plain name");
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    airpost().run(words).await
}

fn names(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data).expect("the folder is there");
    let names = entries.map(|entry| {
        let entry = entry.expect("the folder can be listed");
        entry.file_name().to_string_lossy().into_owned()
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A server that lets one user make a stream and not fill it, and another one do both.
async fn half_open() -> NatsServer {
    NatsServer::configured(|place| {
        let (port, store) = (place.port, place.folder.display());
        format!(
            "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{store}\", sync_interval: always }}\n\
             authorization {{ users: [\n\
             {{ user: maker, password: m, permissions: {{ publish: {{ deny: \"airpost.log.LOG\" }} }} }}\n\
             {{ user: all, password: a }}\n] }}\n"
        )
    })
    .await
}

#[tokio::test]
async fn given_a_join_that_breaks_off_then_nobody_serves_the_folder_alone_until_it_is_run_again() {
    let nats = half_open().await;
    let at = |user: &str| Log::on_one_at(&format!("nats://{user}@127.0.0.1:{}", nats.port()));
    let (half, log) = (at("maker:m"), at("all:a"));
    let data = scratch();
    let order = embedded(data.path()).await;
    says(
        &half.command("join", data.path()).await,
        1,
        "run the same command again",
    );
    // There is a stream that is this log: another history of it is not begun.
    says(&served_alone(data.path()).await, 1, "airpost cluster join");
    log.join(data.path()).await;
    says(
        &served_alone(data.path()).await,
        1,
        "give --nats and --cluster LOG",
    );
    let (here, second) = (log.serve(data.path()).await, node(&log).await);
    let there = log.serve(second.path()).await;
    level(&[&here.client(), &there.client()]).await;
    let seen = order.history(&here.client()).await.items;
    assert_eq!(order.history(&there.client()).await.items, seen);
    new_user(&there.client(), &mut chance()).await;
    here.stop().await;
    there.stop().await;
    // As good as done when it broke off, and others have written since.
    fs::write(data.path().join("cluster"), "LOG\njoining\n").unwrap();
    assert!(log.join(data.path()).await.contains("fetched the log"));
}

#[tokio::test]
async fn given_a_stream_that_cannot_be_made_then_the_folder_is_served_as_before() {
    let nats = NatsServer::alone().await;
    let three_copies = Log::at(&nats.url());
    let data = scratch();
    embedded(data.path()).await;
    let refused = three_copies.command("join", data.path()).await;
    says(&refused, 1, "--single-replica");
    airpost().serve(data.path()).await.stop().await;
}

#[tokio::test]
async fn given_a_wrong_name_then_a_join_makes_nothing() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = scratch();
    says(&log.command("join", data.path()).await, 1, "--new");
    says(
        &log.command("status", data.path()).await,
        1,
        "there is no stream LOG",
    );
    assert!(
        !names(data.path())
            .iter()
            .any(|it| it == "journal" || it == "cluster")
    );
}

#[tokio::test]
async fn given_a_mistyped_name_then_the_logs_that_are_there_are_named() {
    let nats = NatsServer::alone().await;
    let (log, mut mistyped) = (Log::on_one(&nats), Log::on_one(&nats));
    mistyped.options[3] = "LGO".to_owned();
    let _first = first_node(&log).await;
    let data = scratch();
    let named = format!("no stream LGO at {} (the logs there: LOG)", nats.url());
    for command in ["status", "join", "resync"] {
        says(&mistyped.command(command, data.path()).await, 1, &named);
    }
    says(&mistyped.not_served(data.path()).await, 1, &named);
}

#[tokio::test]
async fn given_a_stream_that_lost_its_end_then_a_node_says_so_at_once_and_which_of_two_things_helps()
 {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (data, other) = (first_node(&log).await, scratch());
    let (store, kept) = (nats.folder().join("jetstream"), scratch());
    let here = log.serve(data.path()).await;
    new_user(&here.client(), &mut chance()).await;
    nats.kill();
    copy_folder(&store, kept.path());
    nats.start().await;
    here.ready().await;
    for _ in 0..3 {
        new_user(&here.client(), &mut chance()).await;
    }
    here.stop().await;
    nats.kill();
    nats.wipe();
    copy_folder(kept.path(), &store);
    nats.start().await;
    let shorter = log.not_served(data.path()).await;
    says(&shorter, 1, "looking again for up to 15 s");
    says(&shorter, 1, "airpost cluster heal");

    // A node that knew nothing of it goes on: the stream is shorter still, and another one.
    log.join(other.path()).await;
    let there = log.serve(other.path()).await;
    assert!(there.log().contains("opening the log"), "{}", there.log());
    new_user(&there.client(), &mut chance()).await;
    there.stop().await;
    let forked = log.not_served(data.path()).await;
    says(&forked, 1, "differ from there on");
    says(&forked, 1, "airpost cluster resync");
    let all = format!("{}{}", forked.stdout, forked.stderr);
    assert!(
        !all.contains("airpost cluster heal") && !all.contains("looking again"),
        "{all}"
    );
    says(
        &log.command("resync", data.path()).await,
        0,
        "alone has them",
    );
    log.serve(data.path()).await.stop().await;
}

#[tokio::test]
async fn given_an_empty_folder_then_serving_it_joins_and_says_so() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (_first, data) = (first_node(&log).await, scratch());
    let server = log.serve(data.path()).await;
    let said = server.log();
    assert!(
        said.contains("the folder is a node's of it from here on"),
        "{said}"
    );
    server.stop().await;
    let status = log.command("status", data.path()).await;
    says(&status, 0, "is a copy of the log up to position");
}

#[tokio::test]
async fn given_a_journal_that_need_not_be_fetched_anew_then_a_resync_moves_nothing() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, other) = (first_node(&log).await, scratch());
    embedded(other.path()).await;
    let before = names(other.path());
    says(&log.command("resync", other.path()).await, 1, "another log");
    assert_eq!(names(other.path()), before);
    airpost().serve(other.path()).await.stop().await;

    // It has all of the stream, and more.
    let here = log.serve(first.path()).await;
    new_user(&here.client(), &mut chance()).await;
    here.stop().await;
    fs::remove_file(first.path().join("cluster")).unwrap();
    let alone = airpost().serve(first.path()).await;
    new_user(&alone.client(), &mut chance()).await;
    alone.stop().await;
    let before = names(first.path());
    says(
        &log.command("resync", first.path()).await,
        1,
        "airpost cluster heal",
    );
    assert_eq!(names(first.path()), before);

    let nothing = scratch();
    let refused = log.command("resync", nothing.path()).await;
    says(&refused, 1, "no journal is there");
    assert!(!nothing.path().join("cluster").exists());
}

#[tokio::test]
async fn given_a_nodes_folder_without_its_journal_then_it_is_fetched_and_never_begun_anew() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let server = log.serve(data.path()).await;
    new_user(&server.client(), &mut chance()).await;
    server.stop().await;
    fs::remove_dir_all(data.path().join("journal")).unwrap();
    nats.kill();
    assert_eq!(log.not_served(data.path()).await.code, Some(1));
    says(
        &served_alone(data.path()).await,
        1,
        "give --nats and --cluster LOG",
    );
    nats.start().await;
    says(
        &log.command("resync", data.path()).await,
        0,
        "fetched the log",
    );
    says(
        &log.command("status", data.path()).await,
        0,
        "is a copy of the log",
    );
}

#[tokio::test]
async fn given_a_node_that_is_farther_than_the_stream_then_status_says_that_the_cluster_lost_it() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let (store, kept) = (nats.folder().join("jetstream"), scratch());
    let here = log.serve(data.path()).await;
    new_user(&here.client(), &mut chance()).await;
    nats.kill();
    copy_folder(&store, kept.path());
    nats.start().await;
    here.ready().await;
    new_user(&here.client(), &mut chance()).await;
    nats.kill();
    nats.wipe();
    copy_folder(kept.path(), &store);
    nats.start().await;
    let none = scratch();
    let lost = || async {
        let said = log.command("status", none.path()).await;
        said.stdout.contains("1 running").then_some(said)
    };
    let said = poll_until(FOLLOW_TIME_MAX, "the node to answer again", lost).await;
    says(&said, 3, "the cluster lost the end of the log");
    // At first nobody answered; what was found then is told, too.
    let told = || async { here.log().contains("airpost cluster heal").then_some(()) };
    poll_until(FOLLOW_TIME_MAX, "the node to log what is in the way", told).await;
    let ready = here
        .client()
        .get("/readyz")
        .send()
        .await
        .expect_problem(503);
    let has_less = "has less of it than this node";
    assert!(text(&ready, "/detail").contains(has_less), "{ready}");
    here.kill().await;

    // Without a stream that is as it must be each folder says at least how far it goes.
    let said = Log::at(&nats.url()).command("status", data.path()).await;
    says(&said, 3, "give it 3, or accept --single-replica");
    says(&said, 3, "ends at position");
    nats.kill();
    nats.wipe();
    nats.start().await;
    let said = log.command("status", data.path()).await;
    says(&said, 1, "ends at position");
}
