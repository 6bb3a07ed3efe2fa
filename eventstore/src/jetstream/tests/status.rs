//! What whoever looks at a log on a cluster is told.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::super::link::Link;
use super::super::status::servers;
use super::nodes::{Node, StopAtEnd, write};
use super::publishing::lost;
use crate::position::Position;
use crate::tests::clustered::{make_stream, on_one};
use crate::tests::given::LOG_ID;
use crate::tests::servers::{Server, shared_server, wait_until};
use crate::{ClusterError, FolderPlace, JetStreamOptions, cluster_status};

#[test]
fn a_node_that_has_what_the_stream_lost_is_shown_and_its_folder_is_ahead() {
    let (_server, options, knowing, away) = lost();
    let folder = knowing.folder.path();
    let status = wait_until("the node has connected again, and is heard", || {
        let status = cluster_status(&options, Some(folder)).unwrap();
        let is_heard = !status.nodes.is_empty();
        is_heard.then_some(status).ok_or("nobody is heard")
    });
    assert_eq!(status.head, Some(Position::new(6)));
    assert_eq!(status.nodes, [Position::new(10)]);
    assert_eq!(status.farther, [Position::new(10)]);
    assert_eq!(status.folder, Some(FolderPlace::Ahead(Position::new(10))));
    let status = cluster_status(&options, Some(away.path())).unwrap();
    assert_eq!(status.folder, Some(FolderPlace::At(Position::new(6))));
}

#[test]
fn a_busy_node_is_at_a_place_of_the_stream_and_no_farther_at_every_look() {
    let options = JetStreamOptions {
        heads_wait: std::time::Duration::from_millis(20),
        ..on_one(&shared_server().url())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    let (goes_on, count) = (AtomicBool::new(true), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&goes_on);
        for writer in 0..4 {
            let (store, goes_on, count) = (node.store.as_ref(), &goes_on, &count);
            scope.spawn(move || write(store, writer, (goes_on, count)));
        }
        for _ in 0..20 {
            let status = cluster_status(&options, Some(node.folder.path())).unwrap();
            assert_eq!(status.farther, []);
            let place = status.folder.unwrap();
            assert!(
                matches!(place, FolderPlace::At(_) | FolderPlace::Empty),
                "{place:?} of {:?}",
                status.head
            );
        }
    });
}

#[test]
fn who_asks_for_the_servers_while_the_connection_is_made_anew_is_told_so_in_time() {
    let mut server = Server::alone("");
    let link = Link::connect(&on_one(&server.url())).unwrap();
    server.kill();
    // Until the client has seen it, it answers.
    let refusal = wait_until("it is seen", || {
        servers(&link).err().ok_or("nothing is wrong")
    });
    let words = refusal.to_string();
    assert!(
        matches!(refusal, ClusterError::Unanswered { .. }),
        "{words}"
    );
    assert!(
        words.contains("connection to the servers was lost"),
        "{words}"
    );
}
