//! What is done outside is one node's at a time, and another's when that one is gone.

use std::time::Duration;

use api::environment::Environment;
use tempfile::TempDir;
use tests::{Billing, Bills, Client, NatsServer, Recording, Server, poll_until};

use super::{FOLLOW_TIME_MAX, Log, first_node, level, node, two_nodes};
use crate::scene::{Order, chance, new_user, text};

/// Within this another node goes on with what a node was at that died.
const HANDED_ON_MAX: Duration = Duration::from_secs(10);

/// How long a node waits for the billing service's answer, and a little less.
const ANSWER_WAIT_MIN: Duration = Duration::from_millis(9_800);

/// Much longer than anything here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Orders a delivery whose payment is being asked for when this returns; gives the path of
/// its booking.
async fn ordered(client: &Client, billing: &Billing) -> String {
    let mut chance = chance();
    let user = new_user(client, &mut chance).await;
    let order = Order::request(&user, &Recording::load(268), &mut chance);
    let made = client.post("/v1/deliveries").json(&order);
    let made = made.header("prefer", "respond-async").send().await;
    let path = made.expect(202).required_header("location").to_owned();
    let asked = || async { (billing.hanging() > 0).then_some(()) };
    poll_until(PATIENCE, "the payment to be asked for", asked).await;
    assert_eq!(billing.requests(), 1);
    path
}

/// How long it takes until the payment is asked for once more.
async fn asked_again(billing: &Billing) -> Duration {
    let clock = Environment::system();
    let again = || async { (billing.requests() > 1).then_some(()) };
    poll_until(PATIENCE, "the payment to be asked for again", again).await;
    clock.elapsed()
}

async fn stands(client: &Client, path: &str) {
    let stands = || async {
        let found = client.read(path).await;
        (text(&found, "/status") == "succeeded").then_some(())
    };
    poll_until(FOLLOW_TIME_MAX, "the booking to stand", stands).await;
}

/// A node that runs, and its folder.
struct Running {
    server: Server,
    _folder: TempDir,
}

/// The node that is asking for the payment of a booking, the booking's path, and another node.
async fn one_of_two_asks(log: &Log, billing: &Billing) -> (Running, String, Running) {
    let (first, second) = (first_node(log).await, node(log).await);
    let options = ["--billing-url", billing.url()];
    // Alone, so that it is this one who asks.
    let asking = log.serve_with(first.path(), &options).await;
    let path = ordered(&asking.client(), billing).await;
    let other = log.serve_with(second.path(), &options).await;
    level(&[&asking.client(), &other.client()]).await;
    assert_eq!(billing.requests(), 1, "it is claimed");
    let running = |server, folder| Running {
        server,
        _folder: folder,
    };
    (running(asking, first), path, running(other, second))
}

/// The other node asks for the payment soon, and the booking stands.
async fn handed_on(other: Running, billing: &Billing, path: &str) {
    let took = asked_again(billing).await;
    assert!(took < HANDED_ON_MAX, "it took {took:?}");
    stands(&other.server.client(), path).await;
    assert_eq!(billing.charges().len(), 1);
    other.server.stop().await;
}

#[tokio::test]
async fn given_a_node_that_dies_asking_for_a_payment_then_another_asks_within_ten_seconds() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let billing = Billing::start([Bills::Hanging], Bills::Well).await;
    let (asking, path, other) = one_of_two_asks(&log, &billing).await;
    asking.server.kill().await;
    handed_on(other, &billing, &path).await;
}

#[tokio::test]
async fn given_a_node_that_dies_while_the_cluster_is_away_then_another_asks_within_ten_seconds_of_its_return()
 {
    let mut nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let billing = Billing::start([Bills::Hanging], Bills::Well).await;
    let (asking, path, other) = one_of_two_asks(&log, &billing).await;
    nats.kill();
    asking.server.kill().await;
    nats.start().await;
    handed_on(other, &billing, &path).await;
}

#[tokio::test]
async fn given_a_payment_that_takes_longer_than_a_claim_then_no_other_node_asks_for_it_meanwhile() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let billing = Billing::start([Bills::Hanging], Bills::Well).await;
    let options = ["--billing-url", billing.url()];
    let [(_first, here), (_second, there)] = two_nodes(&log, &options).await;
    level(&[&here.client(), &there.client()]).await;
    let path = ordered(&here.client(), &billing).await;
    let took = asked_again(&billing).await;
    assert!(took >= ANSWER_WAIT_MIN, "another node asked after {took:?}");
    stands(&here.client(), &path).await;
    stands(&there.client(), &path).await;
    assert_eq!(billing.charges().len(), 1);
    here.stop().await;
    there.stop().await;
}
