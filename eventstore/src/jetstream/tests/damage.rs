//! A server whose store is damaged: nobody goes on over what it lost, and all
//! is well once its store was emptied.

use async_nats::jetstream::stream::{ClusterInfo, PeerInfo};
use tempfile::TempDir;

use super::nodes::{Node, end};
use super::raw;
use crate::position::Position;
use crate::tests::clustered::{make_stream, on_one, options, try_open};
use crate::tests::given::{LOG_ID, append, commit, everything, part};
use crate::tests::servers::{Cluster, Server, wait_until};
use crate::{ClusterError, JetStreamOptions, PublishOccasion, create_stream, publish_journal};

/// So large that a server's file, of 8 MB, has some thirty of them.
const PAYLOAD_BYTES: usize = 250_000;

/// A message in the part of the first file that is damaged.
const LOST: u64 = 30;

/// Appends so many commits, each a message of the stream.
fn append_all(node: &Node, (first, count): (u32, u32)) {
    for id in first..first + count {
        let number = u16::try_from(id).unwrap();
        let mut part = part(number, 0, &[PAYLOAD_BYTES]);
        // As servers find nothing to compress in: what they have in their own short
        // logs they put right by themselves.
        let mut bytes = blake3::Hasher::new()
            .update(&id.to_le_bytes())
            .finalize_xof();
        part.events
            .iter_mut()
            .for_each(|event| bytes.fill(&mut event.payload));
        append(node.store.as_ref(), commit(id, vec![part])).unwrap();
    }
}

fn cluster_of(options: &JetStreamOptions) -> Result<ClusterInfo, String> {
    let cluster = raw::try_info(options)?.cluster;
    cluster.ok_or_else(|| "it is not on a cluster".to_owned())
}

/// How many messages the leader has, and which the last one is.
fn count_of(options: &JetStreamOptions) -> Result<(u64, u64), String> {
    let state = raw::try_info(options)?.state;
    Ok((state.messages, state.last_sequence))
}

/// Has a server by that name lead the stream.
fn have_lead(options: &JetStreamOptions, number: usize) {
    let name = format!("n{number}");
    wait_until("that server leads", || {
        let cluster = cluster_of(options)?;
        if cluster.leader.as_ref() == Some(&name) {
            return Ok(());
        }
        raw::step_down(options, &name);
        Err("another one leads".to_owned())
    });
}

/// Waits until every server's copy is as long as the leader's.
fn wait_level(options: &JetStreamOptions) {
    wait_until("all copies are level", || {
        let cluster = cluster_of(options)?;
        let is_level = |copy: &PeerInfo| copy.current;
        let are_level = cluster.replicas.len() == 2 && cluster.replicas.iter().all(is_level);
        (cluster.leader.is_some() && are_level)
            .then_some(())
            .ok_or_else(|| format!("{cluster:?}"))
    });
}

/// Three servers with a log, of which one that does not lead has a damaged store,
/// and a node that has all of it.
fn damaged() -> (Cluster, usize, JetStreamOptions, Node) {
    let mut cluster = Cluster::of_three();
    let options = options(&cluster.urls());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append_all(&node, (1, 47));
    wait_level(&options);
    let victim = wait_until("the stream has a leader", || {
        let leader = cluster_of(&options)?.leader.ok_or("it has none")?;
        let other = (0..3).find(|number| leader != format!("n{number}"));
        other.ok_or_else(|| leader.clone())
    });
    cluster.servers[victim].kill();
    cluster.servers[victim].damage_store(&options.stream);
    append_all(&node, (48, 3));
    cluster.servers[victim].start();
    wait_until("it knows the others", || {
        let log = cluster.servers[victim].log();
        log.contains("metadata leader").then_some(()).ok_or(log)
    });
    wait_level(&options);
    wait_until("it shows what it lost", || {
        let lost = raw::is_lost_by_one(&options, LOST);
        lost.then_some(()).ok_or("all servers have it")
    });
    (cluster, victim, options, node)
}

#[test]
fn given_one_copy_that_misses_messages_amid_others_then_the_words_lead_to_a_stream_that_has_all() {
    let mut server = Server::alone("");
    let options = on_one(&server.url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append_all(&node, (1, 47));
    let records = everything(node.store.as_ref());
    let folder = node.leave();
    server.kill();
    server.damage_store(&options.stream);
    server.start();
    let (messages, last) = count_of(&options).unwrap();
    assert!(messages < last && last == 47, "{messages} of {last}");

    // Neither a node nor what puts a journal's end back can do without them.
    let remedy = format!("nats stream rm {}", options.stream);
    for refused in [
        try_open(&folder, &options).err(),
        create_stream(folder.path(), &options).err(),
    ] {
        let words = refused.unwrap().to_string();
        assert!(words.contains(&remedy), "{words}");
        assert!(words.contains("airpost cluster heal --new"), "{words}");
    }

    raw::delete(&options);
    assert!(create_stream(folder.path(), &options).unwrap());
    publish_journal(
        folder.path(),
        &options,
        PublishOccasion::Healing,
        &mut |_, _| (),
    )
    .unwrap();
    for folder in [folder, TempDir::new().unwrap()] {
        let node = Node::on(folder, &options);
        assert_eq!(everything(node.store.as_ref()), records);
        node.leave();
    }
}

fn same_as(node: &Node, other: &Node) {
    other.wait_for(node.head());
    assert_eq!(
        everything(other.store.as_ref()),
        everything(node.store.as_ref())
    );
}

#[test]
fn given_a_server_with_a_damaged_store_then_a_node_that_joins_has_all_and_never_less() {
    let (_cluster, _victim, options, node) = damaged();
    let head = node.head();
    let whole = end(&node.leave());
    for _ in 0..6 {
        let joined = Node::joining(&options);
        assert_eq!(joined.head(), head, "it opened before it had all");
        assert_eq!(end(&joined.leave()), whole);
    }
}

#[test]
fn given_a_leader_with_a_damaged_store_then_it_is_named_and_all_is_well_once_that_was_emptied() {
    let (mut cluster, victim, options, node) = damaged();
    let other = Node::joining(&options);
    have_lead(&options, victim);
    // The one before it may still answer for a moment.
    wait_until("the leader tells what it lost", || {
        let (messages, last) = count_of(&options)?;
        (messages < last)
            .then_some(())
            .ok_or_else(|| format!("{messages} of {last}"))
    });

    // Who has all of it goes on; who has not does not begin.
    append_all(&node, (1_001, 3));
    same_as(&node, &other);
    let words = wait_until("it is refused", || {
        have_lead(&options, victim);
        let opened = try_open(&TempDir::new().unwrap(), &options);
        match opened {
            Err(refused @ ClusterError::Settings { .. }) => Ok(refused.to_string()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(words.contains("empty its store and start it"), "{words}");

    let damaged: &mut Server = &mut cluster.servers[victim];
    damaged.kill();
    damaged.wipe();
    append_all(&node, (2_001, 3));
    damaged.start();
    wait_level(&options);
    have_lead(&options, victim);
    wait_until("it has all again", || {
        let (messages, last) = count_of(&options)?;
        (messages == last && last == 56)
            .then_some(())
            .ok_or_else(|| format!("{messages} of {last}"))
    });
    let joined = Node::joining(&options);
    assert_eq!(joined.head(), Position::new(56));
    append_all(&joined, (3_001, 3));
    for node in [&node, &other] {
        same_as(&joined, node);
    }
    let ends = [node, other, joined].map(|node| end(&node.leave()));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}
