//! A cluster that lost its end, and journals that are put on one.

use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::super::cluster::{Cluster, Purpose};
use super::super::heads::Head;
use super::super::place::Standing;
use super::epochs::put;
use super::nodes::{Node, end};
use super::raw;
use crate::journal::JournalReader;
use crate::position::Position;
use crate::store::{EventStore, Health, OutageKind};
use crate::tests::clustered::{make_stream, on_one, try_open};
use crate::tests::given::{self, LOG_ID, append, everything, fill, single};
use crate::tests::servers::{Server, shared_server, wait_until};
use crate::{ClusterError, JetStreamOptions, PublishOccasion, fork_of, publish_journal};

/// A log of ten commits, whose server then lost the last four, as a power cut
/// of all servers without `sync_interval: always` would have it: a node that
/// knows all ten and is still up, and the folder of one that was away since
/// the sixth.
pub(super) fn lost() -> (Server, JetStreamOptions, Node, TempDir) {
    let mut server = Server::alone("");
    let options = on_one(&server.url());
    make_stream(&options, LOG_ID);
    let [knowing, away] = [Node::joining(&options), Node::joining(&options)];
    fill(knowing.store.as_ref(), 6);
    away.wait_for(Position::new(6));
    let away = away.leave();
    server.kill();
    let earlier = server.copy_store();
    server.start();
    for id in 7..=10 {
        append(knowing.store.as_ref(), single(id, 50, u64::from(id - 7))).unwrap();
    }
    server.kill();
    server.put_store(&earlier);
    server.start();
    (server, options, knowing, away)
}

fn publish(folder: &TempDir, options: &JetStreamOptions) -> Result<(u64, u64, u64), ClusterError> {
    let published = publish_journal(
        folder.path(),
        options,
        PublishOccasion::Joining,
        &mut |_, _| (),
    )?;
    let (before, head) = (published.before.get(), published.head.get());
    Ok((before, head, published.blocks))
}

#[test]
fn a_cluster_behind_a_journal_takes_nothing_until_what_is_missing_is_published() {
    let (_server, options, knowing, away) = lost();
    wait_until("the node has seen it", || match knowing.store.health() {
        Health::Outage {
            kind: OutageKind::Behind,
            why,
        } if why.contains("appends stop") => Ok(()),
        health @ (Health::Writable
        | Health::ReadOnly { .. }
        | Health::Outage { .. }
        | Health::Full
        | Health::Closed) => Err(health),
    });
    assert_eq!(everything(knowing.store.as_ref()).len(), 10, "reads go on");

    // The stream's end is this one's, but another node knows more.
    let refusal = try_open(&away, &quick(&options)).unwrap_err();
    let ClusterError::ClusterBehind {
        known, stream_head, ..
    } = refusal
    else {
        panic!("{refusal}");
    };
    assert_eq!((known.get(), stream_head.get()), (10, 6));

    let knowing = knowing.leave();
    let refusal = try_open(&knowing, &quick(&options)).unwrap_err();
    let ClusterError::ClusterBehind {
        known, stream_head, ..
    } = refusal
    else {
        panic!("{refusal}");
    };
    assert_eq!((known.get(), stream_head.get()), (10, 6));
    assert_eq!(raw::messages(&options), 6, "nothing was written");

    assert_eq!(publish(&knowing, &options).unwrap(), (6, 10, 4));
    assert_eq!(publish(&knowing, &options).unwrap(), (10, 10, 0));
    let [knowing, away] = [knowing, away].map(|folder| Node::on(folder, &options));
    append(knowing.store.as_ref(), single(11, 51, 0)).unwrap();
    away.wait_for(Position::new(11));
    assert_eq!(end(&knowing.leave()), end(&away.leave()));
}

#[test]
fn given_all_nodes_started_together_after_the_cluster_lost_its_end_the_shorter_one_waits_for_the_longer()
 {
    let (_server, options, knowing, away) = lost();
    let knowing = knowing.leave();
    let copy = given::copy_of(knowing.path());
    // It looks for its end in the stream until that is published.
    let waiting = JetStreamOptions {
        patience: Duration::from_mins(2),
        ..options.clone()
    };
    // It starts at the same time, and asks before the other can be heard, or after.
    let hasty = JetStreamOptions {
        heads_wait: Duration::from_secs(5),
        ..quick(&options)
    };
    std::thread::scope(|scope| {
        let shorter = scope.spawn(|| try_open(&away, &hasty).map(|_| ()));
        let longer = scope.spawn(|| try_open(&knowing, &waiting).map(|store| store.close()));
        let shorter = shorter.join().unwrap();
        assert_eq!(publish(&copy, &options).unwrap(), (6, 10, 4));
        longer.join().unwrap().unwrap();
        let Err(ClusterError::ClusterBehind { known, .. }) = shorter else {
            panic!("{shorter:?}");
        };
        assert_eq!(known.get(), 10);
    });
    let [knowing, away] = [knowing, away].map(|folder| Node::on(folder, &options));
    assert_eq!((knowing.head().get(), away.head().get()), (10, 10));
}

#[test]
fn a_stream_that_lost_its_end_and_was_written_on_is_said_to_differ_though_it_is_shorter() {
    let (_server, options, knowing, away) = lost();
    let knowing = knowing.leave();
    let away = Node::on(away, &options);
    append(away.store.as_ref(), single(101, 60, 0)).unwrap();
    let refusal = try_open(&knowing, &quick(&options)).unwrap_err();
    let words = refusal.to_string();
    let ClusterError::Diverged { fork, .. } = refusal else {
        panic!("{words}");
    };
    let ends = [fork.common, fork.ours, fork.theirs].map(Position::get);
    assert_eq!(ends, [6, 10, 7], "{words}");
    assert_eq!(fork.only_ours(), 4);
    assert_eq!(fork_of(knowing.path(), &options).unwrap(), fork);
    let refusal = publish(&knowing, &options).unwrap_err();
    assert_eq!(refusal.to_string(), words);
    assert_eq!(raw::messages(&options), 7, "nothing was written");
    // One that only stayed behind has no other end than the stream's beginning.
    let copy = given::copy_of(away.folder.path());
    append(away.store.as_ref(), single(102, 60, 1)).unwrap();
    let fork = fork_of(copy.path(), &options).unwrap();
    let ends = [fork.common, fork.ours, fork.theirs].map(Position::get);
    assert_eq!(ends, [7, 7, 8]);
}

#[test]
fn a_stream_that_seemed_short_at_the_first_look_alone_is_no_other_than_the_journal() {
    let options = on_one(&shared_server().url());
    put(&given::journal_of(6), &options);
    let behind = given::journal_of(4);
    let cluster = Cluster::connect(&options, Purpose::Join).unwrap();
    let (position, chain) = JournalReader::open(behind.path()).unwrap().end();
    let own = Head { position, chain };
    let found = cluster.find_end(own, behind.path()).unwrap();
    // As a leader of a moment ago, which has no more yet, shows it.
    let short = cluster.head_at(1, raw::messages(&options)).unwrap();
    assert!(short.position < position);
    let seen = Ok(Standing::Behind(1, short));
    let again = cluster.find_end_seen(seen, own, behind.path());
    assert_eq!(again.unwrap(), found);
}

fn quick(options: &JetStreamOptions) -> JetStreamOptions {
    JetStreamOptions {
        patience: Duration::from_secs(4),
        ..options.clone()
    }
}

#[test]
fn a_node_that_has_what_the_cluster_lost_goes_on_once_it_is_published() {
    let (_server, options, knowing, _away) = lost();
    // As its journal lies there, its blocks are published beside it.
    let copy = given::copy_of(knowing.folder.path());
    assert_eq!(publish(&copy, &options).unwrap(), (6, 10, 4));
    wait_until("it goes on", || {
        append(knowing.store.as_ref(), single(11, 51, 0))
    });
    assert_eq!(everything(knowing.store.as_ref()).len(), 11);
    assert_eq!(knowing.store.health(), Health::Writable);
}

#[test]
fn a_journal_is_put_on_a_cluster_with_its_positions_and_others_join_it() {
    let folder = given::journal_with(40, 1);
    let journal = given::open(folder.path(), 1);
    let records = everything(&journal);
    let identity = journal.identity();
    journal.close();
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    assert_eq!(publish(&folder, &options).unwrap(), (0, 40, 40));
    let [moved, joined] = [Node::on(folder, &options), Node::joining(&options)];
    for node in [&moved, &joined] {
        assert_eq!(everything(node.store.as_ref()), records);
        assert_eq!(node.store.identity(), identity);
    }
    append(joined.store.as_ref(), single(99, 99, 0)).unwrap();
    moved.wait_for(Position::new(41));
}

#[test]
fn a_journal_that_the_stream_has_all_of_is_left_as_it_is() {
    let folder = given::journal_of(3);
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    assert_eq!(publish(&folder, &options).unwrap(), (0, 3, 3));
    // Interrupted after that, and others wrote on.
    let other = Node::joining(&options);
    append(other.store.as_ref(), single(101, 77, 0)).unwrap();
    assert_eq!(publish(&folder, &options).unwrap(), (4, 4, 0));
    assert_eq!(raw::messages(&options), 4, "nothing was written");
}

#[test]
fn a_cluster_is_not_healed_while_a_node_runs_that_would_fill_the_places() {
    let (_server, options, knowing, away) = lost();
    let knowing = knowing.leave();
    let away = Node::on(away, &options);
    let refusal = publish(&knowing, &options).unwrap_err();
    let words = refusal.to_string();
    let ClusterError::Running { head, shorter, .. } = refusal else {
        panic!("{words}");
    };
    assert_eq!((head, shorter), (Position::new(10), vec![Position::new(6)]));
    assert!(
        words.contains("(they end at 6): stop every node"),
        "{words}"
    );
    assert_eq!(raw::messages(&options), 6, "nothing was written");
    away.leave();
    assert_eq!(publish(&knowing, &options).unwrap(), (6, 10, 4));
}

#[test]
fn a_journal_is_published_only_where_it_belongs() {
    let options = on_one(&shared_server().url());
    make_stream(&options, Uuid::from_u128(8));
    let folder = given::journal_of(3);
    let refusal = publish(&folder, &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::OtherLog { .. }),
        "{refusal}"
    );
    assert_eq!(raw::messages(&options), 0);

    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    append(Node::joining(&options).store.as_ref(), single(101, 1, 0)).unwrap();
    let refusal = publish(&folder, &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::Diverged { .. }),
        "{refusal}"
    );
    assert_eq!(raw::messages(&options), 1, "nothing was written");
}
