//! Servers that are killed, paused and wiped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::nodes::{Acknowledged, Node, StopAtEnd, assert_kept, write};
use super::raw;
use crate::error::AppendError;
use crate::store::{EventStore, Health};
use crate::tests::clustered::{make_stream, on_one, options};
use crate::tests::given::{self, LOG_ID, append, everything, single};
use crate::tests::servers::{Cluster, Server, wait_until};
use crate::{ClusterError, JetStreamOptions, JetStreamStore};

/// Runs a writer on each of two nodes while things happen to the servers.
fn through(
    options: &JetStreamOptions,
    happen: impl FnOnce(&dyn Fn(usize)),
) -> (Vec<Node>, Vec<Acknowledged>) {
    make_stream(options, LOG_ID);
    let nodes: Vec<_> = (0..2).map(|_| Node::joining(options)).collect();
    let (goes_on, count) = (AtomicBool::new(true), AtomicUsize::new(0));
    let acknowledged = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u16)
            .map(|writer| {
                let store = Arc::clone(&nodes[usize::from(writer)].store);
                let (goes_on, count) = (&goes_on, &count);
                scope.spawn(move || write(store.as_ref(), writer, (goes_on, count)))
            })
            .collect();
        let _stop = StopAtEnd(&goes_on);
        happen(&|more| {
            let before = count.load(Ordering::Relaxed);
            wait_until("more commits are acknowledged", || {
                let count = count.load(Ordering::Relaxed);
                if count >= before + more {
                    Ok(())
                } else {
                    Err(count)
                }
            });
        });
        goes_on.store(false, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    (nodes, acknowledged)
}

/// The number of the stream's leader among the servers.
fn leader(options: &JetStreamOptions) -> usize {
    wait_until("the stream has a leader", || {
        let cluster = raw::info(options).cluster.ok_or("it is not on a cluster")?;
        let name = cluster.leader.ok_or("it has none")?;
        let number = name.strip_prefix('n').ok_or("its name")?;
        number.parse().map_err(|_| "its name")
    })
}

#[test]
fn given_each_of_three_servers_killed_in_turn_nothing_is_lost_or_doubled() {
    let mut cluster = Cluster::of_three();
    let options = options(&cluster.urls());
    let (nodes, acknowledged) = through(&options, |acknowledged| {
        acknowledged(20);
        for number in 0..3 {
            cluster.servers[number].kill();
            acknowledged(20);
            cluster.servers[number].start();
            acknowledged(20);
        }
    });
    assert_kept(nodes, &acknowledged);
}

#[test]
fn given_a_leader_that_stands_still_and_comes_back_nothing_is_lost_or_doubled() {
    let cluster = Cluster::of_three();
    let options = options(&cluster.urls());
    let (nodes, acknowledged) = through(&options, |acknowledged| {
        acknowledged(20);
        let leader = leader(&options);
        cluster.servers[leader].pause();
        acknowledged(20);
        cluster.servers[leader].go_on();
        acknowledged(20);
    });
    assert_kept(nodes, &acknowledged);
}

#[test]
fn given_all_servers_killed_at_once_the_log_goes_on_when_they_are_back() {
    let mut cluster = Cluster::of_three();
    let options = options(&cluster.urls());
    let (nodes, acknowledged) = through(&options, |acknowledged| {
        acknowledged(20);
        cluster.servers.iter_mut().for_each(Server::kill);
        cluster.servers.iter_mut().for_each(Server::start);
        acknowledged(20);
    });
    assert_kept(nodes, &acknowledged);
}

#[test]
fn given_a_server_that_lost_everything_it_stored_it_is_given_it_again() {
    let mut cluster = Cluster::of_three();
    let options = options(&cluster.urls());
    let (nodes, acknowledged) = through(&options, |acknowledged| {
        acknowledged(20);
        cluster.servers[1].kill();
        cluster.servers[1].wipe();
        cluster.servers[1].start();
        acknowledged(20);
    });
    assert_kept(nodes, &acknowledged);
}

#[test]
fn given_a_server_that_stands_still_an_append_is_indeterminate_and_its_retry_is_one_commit() {
    let server = Server::alone("");
    let options = JetStreamOptions {
        patience: Duration::from_secs(4),
        ..on_one(&server.url())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    let store = node.store.as_ref();
    append(store, single(1, 1, 0)).unwrap();
    server.pause();
    let commit_id = single(2, 1, 1).id;
    let unknown = append(store, single(2, 1, 1));
    assert_eq!(unknown, Err(AppendError::Indeterminate { commit_id }));
    assert!(
        matches!(store.health(), Health::Outage { .. }),
        "{:?}",
        store.health()
    );
    assert_eq!(
        everything(store).len(),
        1,
        "reads go on, and show only what is known"
    );
    server.go_on();
    wait_until("the retry is answered", || append(store, single(2, 1, 1)));
    assert_eq!(store.health(), Health::Writable);
    append(store, single(3, 1, 2)).unwrap();
    assert_eq!(everything(store).len(), 3);
    assert_eq!(raw::messages(&options), 3);
}

#[test]
fn given_a_server_killed_and_started_an_append_waits_for_it() {
    let mut server = Server::alone("");
    let options = on_one(&server.url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    server.kill();
    let waiting = node.store.append(single(2, 1, 1));
    server.start();
    let appended = crate::tests::given::wait(waiting).unwrap();
    assert_eq!(appended.position().get(), 2);
}

#[test]
fn given_no_majority_a_node_says_so_though_nobody_writes_and_none_joins_a_copy_that_nobody_leads() {
    let mut cluster = Cluster::of_three();
    let options = JetStreamOptions {
        patience: Duration::from_secs(4),
        ..options(&cluster.urls())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    let store = node.store.as_ref();
    append(store, single(1, 1, 0)).unwrap();
    let leader = leader(&options);
    let gone = [leader, (leader + 1) % 3];
    for server in gone {
        cluster.servers[server].kill();
    }

    let is_out = |health: &Health| matches!(health, Health::Outage { .. });
    wait_until("a node that is not asked for anything says so", || {
        let health = store.health();
        if is_out(&health) { Ok(()) } else { Err(health) }
    });
    // The server that is left goes on showing what it has.
    raw::wait_for_looks(&options, 6);
    assert!(is_out(&store.health()), "{:?}", store.health());
    let folder = TempDir::new().unwrap();
    let joined = JetStreamStore::open(folder.path(), given::options(1 << 20), &options);
    let joined = joined.err();
    assert!(
        matches!(joined, Some(ClusterError::Unanswered { .. })),
        "{joined:?}"
    );

    for server in gone {
        cluster.servers[server].start();
    }
    wait_until("the log goes on", || {
        let health = store.health();
        if is_out(&health) { Err(health) } else { Ok(()) }
    });
    append(store, single(2, 1, 1)).unwrap();
}
