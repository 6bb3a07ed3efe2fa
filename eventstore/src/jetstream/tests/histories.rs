//! Servers that are back with another history than they acknowledged, while a
//! block is on its way to them.

use std::sync::Arc;
use std::time::Duration;

use super::super::cluster::{Cluster, Purpose};
use super::super::heads::Head;
use super::super::place::{Unplaced, place};
use super::super::slots::{SeenEnd, propose};
use super::nodes::{Node, end};
use super::raw;
use crate::journal::quorum::{Outage, Proposed};
use crate::tests::clustered::{make_stream, on_one};
use crate::tests::given::{LOG_ID, append, fill, single};
use crate::tests::servers::{Server, shared_server, wait_until};

#[test]
fn a_block_is_not_put_behind_a_message_that_has_become_another_one_meanwhile() {
    let mut server = Server::alone("");
    let options = on_one(&server.url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    fill(node.store.as_ref(), 2);
    server.kill();
    let earlier = server.copy_store();
    server.start();
    append(node.store.as_ref(), single(3, 50, 0)).unwrap();
    let (_, chain) = end(&node.leave());
    let cluster = Cluster::connect(&options, Purpose::Join).unwrap();
    let connection = cluster.link.connections();
    let seen = SeenEnd {
        sequence: 3,
        chain,
        connection,
    };

    // The third message is lost, and another node fills its place.
    server.kill();
    server.put_store(&earlier);
    server.start();
    let other = Node::joining(&options);
    append(other.store.as_ref(), single(103, 51, 0)).unwrap();
    wait_until("the connection is there again", || {
        let connections = cluster.link.connections();
        (connections > connection).then_some(()).ok_or(connections)
    });
    let (remote, figures) = (cluster.remote.clone(), Arc::clone(&cluster.figures));
    let block = b"what is to follow the third".to_vec();
    let patience = Duration::from_secs(20);
    let proposing = async move { propose(&remote, seen, block, (patience, &figures)).await };
    let proposed = cluster.link.run(proposing).unwrap();
    let Proposed::Unknown(Outage::Lasting(why)) = proposed else {
        panic!("{proposed:?}");
    };
    assert!(
        why.contains("is not the block that this journal ends with"),
        "{why}"
    );
    assert_eq!(raw::messages(&options), 3, "nothing was written");
}

#[test]
fn a_message_that_a_new_leader_does_not_have_yet_is_not_taken_for_a_foreign_one() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    fill(node.store.as_ref(), 3);
    let (position, chain) = end(&node.leave());
    let cluster = Cluster::connect(&options, Purpose::Join).unwrap();
    let (remote, before) = (cluster.remote.clone(), cluster.beginning().chain);
    let own = Head { position, chain };
    // One more than there are: as the leader counted that is gone since.
    let placing = async move { place(&remote, own, before, 4).await };
    let unplaced = cluster.link.run(placing).unwrap();
    let Err(Unplaced::Unanswered(why)) = unplaced else {
        panic!("{unplaced:?}");
    };
    assert!(
        why.starts_with("message 4 of the stream cannot be read"),
        "{why}"
    );
}
