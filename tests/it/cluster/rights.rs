//! Rights that an operator takes from a node, and gives back while it runs.

use std::fs;

use tests::{Client, NatsPlace, NatsServer, poll_until};

use super::{FOLLOW_TIME_MAX, Log, level, two_nodes};
use crate::scene::{chance, metric, new_user, scratch};

/// A server that lets somebody in who may hear what is said under these subjects.
fn configuration(place: &NatsPlace<'_>, heard: &str) -> String {
    let (port, store) = (place.port, place.folder.display());
    format!(
        "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{store}\", sync_interval: always }}\n\
         authorization {{ users = [{{ user: a, password: b, permissions: {{ publish: \">\", subscribe: [{heard}] }} }}] }}\n"
    )
}

const ALL_IS_HEARD: &str = "\"_INBOX.>\", \"airpost.heads.*.*\"";

/// Has the server take its configuration anew, in which these subjects may be heard.
fn reload(nats: &NatsServer, heard: &str) {
    let path = nats.folder().join("server.conf");
    let text = fs::read_to_string(&path).expect("the server was configured");
    let (before, rest) = text
        .split_once("subscribe: [")
        .expect("it says what is heard");
    let (_, after) = rest.split_once(']').expect("a list ends");
    let text = format!("{before}subscribe: [{heard}]{after}");
    fs::write(&path, text).expect("a temporary folder can be written");
    nats.reload();
}

/// How often a node's connection was made anew.
async fn reconnects(client: &Client) -> Option<u64> {
    let counted = metric(client, "airpost_cluster_reconnects_total").await;
    counted.and_then(|counted| counted.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_may_not_hear_for_a_while_it_hears_again_when_it_may() {
    let nats = NatsServer::configured(|place| configuration(&place, ALL_IS_HEARD)).await;
    let log = Log::on_one_at(&nats.url().replace("://", "://a:b@"));
    let [(_first, here), (_second, there)] = two_nodes(&log, &[]).await;
    let clients = [&here.client(), &there.client()];
    for lost in ["\"airpost.heads.*.*\"", "\"_INBOX.>\""] {
        let mut before = Vec::new();
        for client in clients {
            before.push(reconnects(client).await);
        }
        reload(&nats, lost);
        for (client, before) in clients.into_iter().zip(before) {
            let again = || async { (reconnects(client).await > before).then_some(()) };
            poll_until(FOLLOW_TIME_MAX, "the connection to be made anew", again).await;
        }
        reload(&nats, ALL_IS_HEARD);
        for (node, client) in [&here, &there].into_iter().zip(clients) {
            let published = || async {
                let publishing = metric(client, "airpost_delivery_events_publishing").await?;
                (publishing == "1").then_some(())
            };
            poll_until(FOLLOW_TIME_MAX, "events to go out", published).await;
            node.ready().await;
        }
        new_user(clients[0], &mut chance()).await;
        level(&clients).await;
    }
    let none = scratch();
    let running = || async {
        let said = log.command("status", none.path()).await;
        said.stdout.contains("nodes: 2 running").then_some(())
    };
    poll_until(FOLLOW_TIME_MAX, "both nodes to be heard", running).await;
    here.stop().await;
    there.stop().await;
}
