//! What an operator does: puts a log on a cluster, looks, mends, and takes it off again.

use std::fs;
use std::path::Path;

use tests::{NatsServer, Output, Recording};

use super::{Log, first_node, level, node};
use crate::scene::{Order, airpost, chance, new_user, report, scratch, text};

/// A data folder whose embedded log has a delivery that was flown.
pub(super) async fn embedded(data: &Path) -> Order {
    let server = airpost().serve(data).await;
    let order = Order::place(&server.client(), &Recording::load(268), &mut chance()).await;
    report(&server.client(), &order.facts()).await;
    server.stop().await;
    order
}

#[track_caller]
pub(super) fn says(output: &Output, code: i32, words: &str) {
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(
        output.code == Some(code) && all.contains(words),
        "{words}: {output:?}"
    );
}

/// That a folder says of which log it has a copy, of which nothing is given up by itself.
async fn is_a_nodes(data: &Path) {
    let marked = fs::read_to_string(data.join("cluster")).expect("it says so");
    assert!(marked.starts_with("LOG\nlog "), "{marked}");
    let data = data.to_str().expect("a temporary folder has a plain name");
    let recover = ["recover", "--data", data];
    for words in ["cluster resync", "cluster heal", "cluster abandon"] {
        says(&airpost().run(recover).await, 1, words);
    }
}

#[tokio::test]
async fn an_embedded_log_goes_on_a_cluster_with_all_its_positions_and_comes_off_it_again() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, second) = (scratch(), scratch());
    let order = embedded(first.path()).await;
    says(
        &log.command("status", first.path()).await,
        1,
        "airpost cluster join",
    );
    let joined = log.join(first.path()).await;
    assert!(joined.contains("airpost serve --data"), "{joined}");
    assert!(joined.contains("records/s"), "{joined}");
    says(
        &log.command("join", first.path()).await,
        0,
        "it is a node's already",
    );
    // Without the cluster it would write another history.
    let alone = airpost()
        .run([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            first.path().to_str().unwrap(),
        ])
        .await;
    says(&alone, 1, "give --nats and --cluster LOG");

    let fetched = log.join(second.path()).await;
    assert!(fetched.contains("records/s"), "{fetched}");
    is_a_nodes(second.path()).await;
    let (here, there) = (
        log.serve(first.path()).await,
        log.serve(second.path()).await,
    );
    let (here_client, there_client) = (here.client(), there.client());
    level(&[&here_client, &there_client]).await;
    let (seen, copied) = (
        order.history(&here_client).await,
        order.history(&there_client).await,
    );
    assert_eq!(seen.items, copied.items);
    says(
        &log.command("status", first.path()).await,
        0,
        "nodes: 2 running",
    );
    says(&log.command("join", second.path()).await, 1, "lock");
    new_user(&there_client, &mut chance()).await;
    let end = level(&[&here_client, &there_client]).await;
    here.stop().await;
    there.stop().await;

    says(
        &log.command("leave", second.path()).await,
        3,
        "--accept-sealing",
    );
    let path = second.path().to_str().unwrap();
    let words = ["cluster", "leave", "--accept-sealing", "--data", path];
    let left = airpost().run(words.into_iter().chain(log.options())).await;
    says(&left, 0, &format!("at position {end}"));
    let again = airpost().run(words.into_iter().chain(log.options())).await;
    says(&again, 0, &format!("at position {end}"));
    let server = airpost().serve(second.path()).await;
    assert_eq!(order.history(&server.client()).await.items, seen.items);
    new_user(&server.client(), &mut chance()).await;
    server.stop().await;
    let late = log.not_served(first.path()).await;
    // On which machine, and in which folder, it goes on.
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    says(&late, 1, &format!("{}:{path}", machine.trim()));
}

#[tokio::test]
async fn given_a_nodes_journal_that_lost_its_end_then_the_log_is_fetched_anew_and_nothing_given_up()
{
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let server = log.serve(data.path()).await;
    let user = new_user(&server.client(), &mut chance()).await;
    server.stop().await;
    let segment = data.path().join("journal").join("00000000000000000001.seg");
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    drop(file);
    let refused = log.not_served(data.path()).await;
    says(&refused, 1, "airpost cluster resync");
    assert!(!refused.stderr.contains("airpost recover"), "{refused:?}");
    says(
        &log.command("resync", data.path()).await,
        0,
        "fetched the log",
    );
    let server = log.serve(data.path()).await;
    let found = server.client().read(&format!("/v1/users/{user}")).await;
    assert_eq!(text(&found, "/id"), user);
    server.stop().await;
}

#[tokio::test]
async fn given_a_nodes_journal_that_is_damaged_long_before_its_end_then_it_is_fetched_anew() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let server = log.serve_with(data.path(), &["--segment-kib", "64"]).await;
    let (client, mut chance) = (server.client(), chance());
    let journal = data.path().join("journal");
    let sealed = || journal.join("00000000000000000001.idx").exists();
    while !sealed() {
        new_user(&client, &mut chance).await;
    }
    server.stop().await;
    let first = journal.join("00000000000000000001.seg");
    let mut bytes = fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&first, bytes).unwrap();
    let path = data.path().to_str().unwrap();
    let found = airpost().run(["verify", "--data", path]).await;
    says(&found, 3, "if the stream LOG goes as far");
    says(&found, 3, "airpost cluster resync");
    assert!(!found.stdout.contains("restore"), "{found:?}");
    let mended = log.command("resync", data.path()).await;
    says(&mended, 0, "the stream has all of it");
    says(&mended, 0, "nothing that the log has not");
    log.serve(data.path()).await.stop().await;
}

#[tokio::test]
async fn a_journal_that_went_another_way_is_set_aside_and_the_log_is_fetched_anew() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, second) = (first_node(&log).await, node(&log).await);
    let here = log.serve(first.path()).await;
    let user = new_user(&here.client(), &mut chance()).await;
    here.stop().await;
    // An operator takes away what says that the folder is a node's, and serves it alone.
    let same = log.command("status", second.path()).await;
    says(&same, 0, "up to position 0, ");
    log.join(second.path()).await;
    let joined = log.command("status", second.path()).await;
    says(&joined, 0, "is a copy of the log up to position");
    says(&joined, 0, ", 0 behind the end");
    fs::remove_file(second.path().join("cluster")).unwrap();
    let alone = airpost().serve(second.path()).await;
    new_user(&alone.client(), &mut chance()).await;
    alone.stop().await;
    let here = log.serve(first.path()).await;
    new_user(&here.client(), &mut chance()).await;
    new_user(&here.client(), &mut chance()).await;
    says(&log.command("status", second.path()).await, 3, "resync");
    let diverged = log.not_served(second.path()).await;
    says(&diverged, 1, "airpost cluster resync");
    says(&diverged, 1, "are the same up to position");
    let mended = log.command("resync", second.path()).await;
    says(&mended, 0, "fetched the log");
    let aside = second.path().join("journal.aside-1");
    assert!(aside.is_dir());
    // What the folder alone has is told before it is moved, and where it is afterwards.
    let told = mended.stdout.find("the log gives them up");
    assert!(
        told < mended.stdout.find("moved to") && told.is_some(),
        "{mended:?}"
    );
    says(&mended, 0, &format!("{} alone has them", aside.display()));
    says(
        &log.command("resync", second.path()).await,
        0,
        "nothing to do",
    );
    let there = log.serve(second.path()).await;
    let named = aside.display().to_string();
    assert!(there.log().contains(&named), "{}", there.log());
    let found = there.client().read(&format!("/v1/users/{user}")).await;
    assert_eq!(text(&found, "/id"), user);
    level(&[&here.client(), &there.client()]).await;
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn a_journal_that_was_restored_and_went_on_is_set_aside_and_the_log_is_fetched_anew() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, copies) = (first_node(&log).await, scratch());
    let here = log.serve(first.path()).await;
    new_user(&here.client(), &mut chance()).await;
    here.stop().await;
    let [backup, second] = ["backup", "second"].map(|name| copies.path().join(name));
    let path = |path: &Path| path.display().to_string();
    let words = [
        "backup",
        "--data",
        &path(first.path()),
        "--to",
        &path(&backup),
    ];
    assert_eq!(airpost().run(words).await.code, Some(0));
    let words = [
        "restore",
        "--from",
        &path(&backup),
        "--data",
        &path(&second),
    ];
    assert_eq!(airpost().run(words).await.code, Some(0));
    let alone = airpost().serve(&second).await;
    new_user(&alone.client(), &mut chance()).await;
    alone.stop().await;
    let mended = log.command("resync", &second).await;
    says(&mended, 0, "fetched the log");
    says(&mended, 0, "the log gives them up");
    let aside = second.join("journal.aside-1");
    says(&mended, 0, &format!("{} alone has them", aside.display()));
    says(&log.command("resync", &second).await, 0, "nothing to do");
    log.serve(&second).await.stop().await;
}

#[tokio::test]
async fn what_a_cluster_lost_is_published_again_from_the_longest_journal() {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let (first, second) = (first_node(&log).await, node(&log).await);
    let here = log.serve(first.path()).await;
    let user = new_user(&here.client(), &mut chance()).await;
    here.stop().await;
    nats.kill();
    nats.wipe();
    nats.start().await;
    let missing = log.not_served(first.path()).await;
    says(&missing, 1, "there is no stream LOG");
    says(&missing, 1, "airpost cluster heal --new");
    says(
        &log.command("join", first.path()).await,
        1,
        "airpost cluster heal",
    );
    // An address that is wrong looks the same: nothing is made without a word.
    says(&log.command("heal", first.path()).await, 1, "with --new");
    let path = first.path().to_str().unwrap();
    let words = ["cluster", "heal", "--new", "--data", path];
    let healed = airpost().run(words.into_iter().chain(log.options())).await;
    says(&healed, 0, "has all that the journal");
    let (here, there) = (
        log.serve(first.path()).await,
        log.serve(second.path()).await,
    );
    level(&[&here.client(), &there.client()]).await;
    let found = there.client().read(&format!("/v1/users/{user}")).await;
    assert_eq!(text(&found, "/id"), user);
    here.stop().await;
    there.stop().await;
}
