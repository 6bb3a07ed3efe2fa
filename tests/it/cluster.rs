//! Several nodes on one log, which NATS servers keep: any of them takes writes, all of them answer.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::{Client, NatsServer, Output, Recording, Server, poll_until};

use crate::scene::{Order, WENT_WELL, airpost, chance, report, scratch, settled};

mod abandon;
mod commands;
mod doctor;
mod damage;
mod effects;
mod faults;
mod majority;
mod rights;
mod mistakes;
mod outage;
mod signals;

/// How long a node may take to have what another one wrote.
const FOLLOW_TIME_MAX: Duration = Duration::from_secs(20);

/// What nodes are started and commands are run with.
struct Log {
    options: Vec<String>,
}

impl Log {
    fn on_one(server: &NatsServer) -> Self {
        Self::on_one_at(&server.url())
    }

    fn on_one_at(url: &str) -> Self {
        let mut log = Self::at(url);
        log.options.push("--single-replica".to_owned());
        log
    }

    /// The log on servers that are reached there.
    fn at(urls: &str) -> Self {
        let options = ["--nats", urls, "--cluster", "LOG"];
        Self {
            options: options.map(str::to_owned).to_vec(),
        }
    }

    fn options(&self) -> Vec<&str> {
        self.options.iter().map(String::as_str).collect()
    }

    async fn command(&self, command: &str, data: &Path) -> Output {
        let data = data.to_str().expect("a temporary folder has a plain name");
        let words = ["cluster", command, "--data", data];
        airpost().run(words.into_iter().chain(self.options())).await
    }

    async fn join(&self, data: &Path) -> String {
        let output = self.command("join", data).await;
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    }

    /// Has a folder join, and a new log begun in it if there is no stream yet.
    async fn begin(&self, data: &Path) {
        let path = data.to_str().expect("a temporary folder has a plain name");
        let words = ["cluster", "join", "--new", "--data", path];
        let output = airpost().run(words.into_iter().chain(self.options())).await;
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// What a node says that does not start.
    async fn not_served(&self, data: &Path) -> Output {
        let data = data.to_str().expect("a temporary folder has a plain name");
        let words = ["serve", "--listen", "127.0.0.1:0", "--data", data];
        airpost().run(words.into_iter().chain(self.options())).await
    }

    async fn serve(&self, data: &Path) -> Server {
        self.serve_with(data, &[]).await
    }

    async fn serve_with(&self, data: &Path, options: &[&str]) -> Server {
        let options = [&self.options(), options].concat();
        airpost().serve_with(data, &options).await
    }
}

/// A node's folder, which the log was fetched into.
async fn node(log: &Log) -> TempDir {
    let folder = scratch();
    log.join(folder.path()).await;
    folder
}

/// The same of the first node, which begins the log.
async fn first_node(log: &Log) -> TempDir {
    let folder = scratch();
    log.begin(folder.path()).await;
    folder
}

/// Two nodes of a new log that run, each with its folder.
async fn two_nodes(log: &Log, options: &[&str]) -> [(TempDir, Server); 2] {
    let (first, second) = (first_node(log).await, node(log).await);
    let here = log.serve_with(first.path(), options).await;
    let there = log.serve_with(second.path(), options).await;
    [(first, here), (second, there)]
}

/// Waits until all of them have the same log, and gives where it ends.
async fn level(clients: &[&Client]) -> u64 {
    let mut ends = Vec::new();
    for client in clients {
        ends.push(settled(client).await);
    }
    let farthest = ends.into_iter().max().expect("there is a node");
    for client in clients {
        let look = || async { (settled(client).await >= farthest).then_some(()) };
        poll_until(
            FOLLOW_TIME_MAX,
            "a node to have what the others wrote",
            look,
        )
        .await;
    }
    farthest
}

#[tokio::test]
async fn two_nodes_take_orders_and_flights_and_both_answer_the_same() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let [(_first, here), (_second, there)] = two_nodes(&log, &[]).await;
    let (here_client, there_client) = (here.client(), there.client());
    let mut chance = chance();
    let order = Order::place(&here_client, &Recording::load(268), &mut chance).await;
    level(&[&here_client, &there_client]).await;
    let facts = order.facts();
    for (number, fact) in facts.into_iter().enumerate() {
        let client = if number % 2 == 0 {
            &there_client
        } else {
            &here_client
        };
        report(client, &[fact]).await;
    }
    level(&[&here_client, &there_client]).await;
    let (shown, copied) = (
        order.read(&here_client).await,
        order.read(&there_client).await,
    );
    assert_eq!(shown, copied);
    let history = order.history(&there_client).await;
    assert_eq!(history.types(), WENT_WELL);
    assert_eq!(history.items, order.history(&here_client).await.items);
    let path = format!("/v1/users/{}/deliveries", order.user);
    let lists: [Value; 2] = [
        here_client.read(&path).await,
        there_client.read(&path).await,
    ];
    assert_eq!(lists[0], lists[1]);
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn what_a_gap_holds_back_is_gone_on_with_once_though_every_node_waits_for_it() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let sooner = ["--time-scale", "20"];
    let [(_first, here), (_second, there)] = two_nodes(&log, &sooner).await;
    let (here_client, there_client) = (here.client(), there.client());
    let mut chance = chance();
    for _ in 0..4 {
        let order = Order::place(&here_client, &Recording::load(268), &mut chance).await;
        level(&[&here_client, &there_client]).await;
        let mut facts = order.facts();
        // The departure is never told: those behind it wait, and are then taken without it.
        facts.remove(1);
        report(&there_client, &facts).await;
        let delivered = || async {
            let told = order.history(&here_client).await;
            told.types().contains(&"DeliveryComplete").then_some(())
        };
        poll_until(FOLLOW_TIME_MAX, "what waits to be gone on with", delivered).await;
        level(&[&here_client, &there_client]).await;
        let (told, copied) = (
            order.history(&here_client).await,
            order.history(&there_client).await,
        );
        assert_eq!(told.items, copied.items);
        let ended = told
            .types()
            .iter()
            .filter(|it| **it == "DeliveryComplete")
            .count();
        assert_eq!(ended, 1, "{:?}", told.types());
    }
    here.stop().await;
    there.stop().await;
}
