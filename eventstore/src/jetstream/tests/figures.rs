//! What a node counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::nodes::Node;
use super::raw;
use crate::position::Position;
use crate::store::{EventStore, Health};
use crate::tests::clustered::{make_stream, on_one, options};
use crate::tests::given::{LOG_ID, append, fill, part, single, stream, version};
use crate::tests::servers::{Server, shared_cluster, shared_server, wait_until};
use crate::{ClusterCounts, JetStreamOptions, JetStreamStore};

#[test]
fn every_block_is_counted_where_it_was_published_and_where_it_was_taken() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [one, other] = [Node::joining(&options), Node::joining(&options)];
    let told = Arc::new(Mutex::new(String::new()));
    let telling = Arc::clone(&told);
    one.store.figures().on_publish(Box::new(move || {
        telling.lock().unwrap().push('(');
        let telling = Arc::clone(&telling);
        Box::new(move || telling.lock().unwrap().push(')'))
    }));
    fill(one.store.as_ref(), 5);
    other.wait_for(Position::new(5));
    let quiet = ClusterCounts {
        published: 0,
        overtaken: 0,
        retried: 0,
        taken: 0,
        reconnected: 0,
        head: Position::new(5),
        known_head: Position::new(5),
    };
    let published = ClusterCounts {
        published: 5,
        ..quiet
    };
    assert_eq!(one.store.figures().counts(), published);
    let taken = ClusterCounts { taken: 5, ..quiet };
    assert_eq!(other.store.figures().counts(), taken);
    assert_eq!(*told.lock().unwrap(), "()()()()()", "sent and accepted");

    // A node of which more is heard than this one has.
    raw::say(
        &options.written_subject(),
        &options,
        br#"{"node":"x","position":9,"chain":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"#,
    );
    wait_until("it has heard of it", || {
        let counts = other.store.figures().counts();
        if counts.lag() == 4 {
            Ok(())
        } else {
            Err(counts)
        }
    });
}

#[test]
fn a_node_whose_disk_is_full_shows_how_far_the_others_have_gone_on() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let folder = tempfile::TempDir::new().unwrap();
    let full = crate::JournalOptions {
        disk_free_bytes_min: u64::MAX,
        ..crate::tests::given::options(1 << 20)
    };
    let full = JetStreamStore::open(folder.path(), full, &options).unwrap();
    let other = Node::joining(&options);
    for count in 1..=3 {
        append(
            other.store.as_ref(),
            single(count, 50, u64::from(count) - 1),
        )
        .unwrap();
        wait_until("the full node has heard of it", || {
            let counts = full.figures().counts();
            let is_told = counts.lag() == u64::from(count);
            is_told.then_some(()).ok_or(counts)
        });
    }
    assert_eq!(full.health(), Health::Full);
    assert_eq!(full.figures().counts().head, Position::START);
}

#[test]
fn blocks_that_came_second_and_tries_and_connections_are_counted() {
    let options = options(&shared_cluster().urls());
    make_stream(&options, LOG_ID);
    let nodes: [Node; 3] = std::array::from_fn(|_| Node::joining(&options));
    let won = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for (number, node) in (0..).zip(&nodes) {
            let won = &won;
            scope.spawn(move || {
                for round in 0..20 {
                    let expected = version(node.store.as_ref(), stream(1)).get();
                    let parts = vec![part(1, expected, &[1])];
                    let commit = crate::tests::given::commit(number * 100 + round, parts);
                    let appended = append(node.store.as_ref(), commit);
                    won.fetch_add(u64::from(appended.is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    let blocks = raw::messages(&options);
    let head = Position::new(won.into_inner());
    for node in &nodes {
        node.wait_for(head);
    }
    let counts = nodes.map(|node| node.store.figures().counts());
    let sum = |count: fn(&ClusterCounts) -> u64| counts.iter().map(count).sum::<u64>();
    assert_eq!(sum(|counts| counts.published), blocks, "{counts:?}");
    assert_eq!(sum(|counts| counts.taken), 2 * blocks, "{counts:?}");
    assert!(sum(|counts| counts.overtaken) > 0, "{counts:?}");
    for counts in &counts {
        assert_eq!((counts.head, counts.lag()), (head, 0), "{counts:?}");
    }

    let mut server = Server::alone("");
    let options = JetStreamOptions {
        patience: Duration::from_mins(1),
        ..on_one(&server.url())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    server.pause();
    let waiting = node.store.append(single(2, 1, 1));
    wait_until("it is tried again", || {
        let counts = node.store.figures().counts();
        if counts.retried > 0 {
            Ok(())
        } else {
            Err(counts)
        }
    });
    server.go_on();
    server.kill();
    server.start();
    crate::tests::given::wait(waiting).unwrap();
    let counts = node.store.figures().counts();
    assert!(counts.reconnected > 0, "{counts:?}");
    assert_eq!(counts.published, 2);
}
