//! A cluster that can be read, and takes nothing.

use std::time::Duration;

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
    wait_until("the node is in an outage", || match node.store.health() {
        Health::Outage {
            kind: OutageKind::Missing,
            ..
        } => Ok(()),
        health @ (Health::Outage { .. }
        | Health::Writable
        | Health::ReadOnly { .. }
        | Health::Full
        | Health::Closed) => Err(health),
    });
    let (_, why) = outage(&node);
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
    wait_until("the node is in an outage", || match node.store.health() {
        Health::Outage { .. } => Ok(()),
        health @ (Health::Writable | Health::ReadOnly { .. } | Health::Full | Health::Closed) => {
            Err(health)
        }
    });
    let theirs = raw::get(&other, 1);
    make_stream(&options, LOG_ID);
    raw::put(&options, &theirs);
    let why = wait_until("the node knows that it is another", || {
        match node.store.health() {
            Health::ReadOnly { why } => Ok(why),
            health @ (Health::Outage { .. } | Health::Writable | Health::Full | Health::Closed) => {
                Err(health)
            }
        }
    });
    assert!(why.contains("airpost cluster resync"), "{why}");
    assert!(append(node.store.as_ref(), single(3, 1, 1)).is_err());
    assert_eq!(raw::messages(&options), 1);
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
