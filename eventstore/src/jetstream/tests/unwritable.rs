//! A cluster that can be read, and takes nothing.

use std::time::Duration;

use async_nats::jetstream::stream::DiscardPolicy;
use uuid::Uuid;

use super::nodes::Node;
use super::raw;
use crate::error::AppendError;
use crate::position::Position;
use crate::store::{EventStore, Health, OutageKind};
use crate::tests::clustered::{make_stream, on_one};
use crate::tests::given::{LOG_ID, append, everything, single};
use crate::tests::servers::{shared_server, wait_until};
use crate::{JetStreamOptions, PublishOccasion, create_stream, publish_journal};

fn outage(node: &Node) -> (OutageKind, String) {
    match node.store.health() {
        Health::Outage { kind, why } => (kind, why),
        health @ (Health::Writable | Health::ReadOnly { .. } | Health::Full | Health::Closed) => {
            panic!("{health:?}")
        }
    }
}

/// Waits for an outage whose reason has these words.
fn wait_for_outage(node: &Node, words: &str) {
    wait_until("the node says what is in the way", || {
        match node.store.health() {
            Health::Outage { why, .. } if why.contains(words) => Ok(()),
            health @ (Health::Outage { .. }
            | Health::Writable
            | Health::ReadOnly { .. }
            | Health::Full
            | Health::Closed) => Err(health),
        }
    });
}

fn wait_for_health(node: &Node) {
    wait_until("the node can be written", || match node.store.health() {
        Health::Writable => Ok(()),
        health @ (Health::Outage { .. }
        | Health::ReadOnly { .. }
        | Health::Full
        | Health::Closed) => Err(health),
    });
}

#[test]
fn a_full_stream_is_an_outage_until_it_takes_something_again_however_well_it_is_read() {
    let options = JetStreamOptions {
        patience: Duration::from_secs(2),
        ..on_one(&shared_server().url())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    raw::change(&options, |config| config.max_bytes = 1);
    let unknown = append(node.store.as_ref(), single(2, 1, 1));
    assert!(
        matches!(unknown, Err(AppendError::Indeterminate { .. })),
        "{unknown:?}"
    );
    raw::wait_for_reads(&options, 8);
    let (kind, why) = outage(&node);
    assert!(why.contains("maximum bytes exceeded"), "{why}");
    assert_eq!(kind, OutageKind::Full);

    // Nobody sends anything: what was not answered is what is tried.
    raw::change(&options, |config| config.max_bytes = -1);
    wait_for_health(&node);
    node.wait_for(Position::new(2));
    let again = append(node.store.as_ref(), single(2, 1, 1)).unwrap();
    assert_eq!(again.position(), Position::new(2), "it is one commit");
    assert_eq!(everything(node.store.as_ref()).len(), 2);
}

#[test]
fn given_a_stream_that_was_removed_then_it_is_said_to_be_gone_and_what_has_it_made_again() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    raw::delete(&options);
    // Nobody writes: it is found when the leader is asked.
    wait_for_outage(&node, "have no stream");
    let (kind, why) = outage(&node);
    assert_eq!(kind, OutageKind::Missing);
    assert!(why.contains("airpost cluster heal --new"), "{why}");
    assert_eq!(everything(node.store.as_ref()).len(), 1);
    let folder = node.leave();

    assert!(create_stream(folder.path(), &options).unwrap());
    publish_journal(
        folder.path(),
        &options,
        PublishOccasion::Healing,
        &mut |_, _| (),
    )
    .unwrap();
    let node = Node::on(folder, &options);
    append(node.store.as_ref(), single(2, 1, 1)).unwrap();
    assert_eq!(everything(node.store.as_ref()).len(), 2);
}

#[test]
fn given_a_stream_that_was_made_anew_with_another_history_then_a_node_that_ran_on_puts_nothing_there()
 {
    let [options, other] = [(); 2].map(|()| on_one(&shared_server().url()));
    for (options, id) in [(&options, 1), (&other, 2)] {
        make_stream(options, LOG_ID);
        let node = Node::joining(options);
        append(node.store.as_ref(), single(id, 1, 0)).unwrap();
        node.leave();
    }
    let node = Node::joining(&options);
    raw::delete(&options);
    wait_for_outage(&node, "have no stream");
    let theirs = raw::get(&other, 1);
    make_stream(&options, LOG_ID);
    raw::put(&options, &theirs);
    wait_for_outage(&node, "made anew while this node ran");
    assert!(append(node.store.as_ref(), single(3, 1, 1)).is_err());
    assert_eq!(raw::messages(&options), 1);
}

#[test]
fn given_an_empty_log_whose_stream_was_made_anew_for_another_then_nothing_is_put_there() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    raw::delete(&options);
    make_stream(&options, Uuid::from_u128(LOG_ID.as_u128() + 1));
    wait_for_outage(&node, "made anew while this node ran");
    assert!(append(node.store.as_ref(), single(1, 1, 0)).is_err());
    assert_eq!(raw::messages(&options), 0);
}

#[test]
fn given_settings_that_were_changed_beside_a_node_then_nothing_is_written_until_they_are_right() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    raw::change(&options, |config| config.discard = DiscardPolicy::Old);
    wait_for_outage(&node, "its discard policy must be new");
    assert_eq!(outage(&node).0, OutageKind::Unfit);
    assert!(append(node.store.as_ref(), single(2, 1, 1)).is_err());
    raw::change(&options, |config| config.discard = DiscardPolicy::New);
    wait_for_health(&node);
    append(node.store.as_ref(), single(2, 1, 1)).unwrap();
}

#[test]
fn what_the_servers_refuse_for_good_is_said_not_to_be_written_with_their_words() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    raw::change(&options, |config| config.max_message_size = 10);
    let refused = append(node.store.as_ref(), single(2, 1, 1));
    let Err(AppendError::Unavailable { why }) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("message size exceeds maximum"), "{why}");
    assert_eq!(outage(&node), (OutageKind::Refused, why));
    raw::change(&options, |config| config.max_message_size = -1);
    wait_for_health(&node);
    assert_eq!(
        node.head(),
        Position::new(1),
        "what was refused is not written"
    );
    append(node.store.as_ref(), single(3, 1, 1)).unwrap();
    assert_eq!(raw::messages(&options), 2);
}
