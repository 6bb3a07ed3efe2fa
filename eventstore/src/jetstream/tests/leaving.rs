//! Logs that leave their cluster.

use std::fs;

use tempfile::TempDir;
use uuid::Uuid;

use super::epochs::{history, new, put, restored_and_gone_on};
use super::nodes::{Node, end};
use super::raw;
use crate::error::AppendError;
use crate::event::Label;
use crate::history::Standing;
use crate::jetstream::farewell::Farewell;
use crate::journal::JournalReader;
use crate::position::Position;
use crate::store::{EventStore, Health};
use crate::tests::clustered::{make_stream, on_one, options, try_open};
use crate::tests::given::{self, LOG_ID, append, copy_of, everything, fill, single};
use crate::tests::servers::{shared_cluster, shared_server, wait_until};
use crate::{
    ClusterError, JetStreamOptions, Leaver, LeftCluster, PublishOccasion, abandon_cluster,
    create_stream, leave_cluster, publish_journal,
};

/// The second in which the logs leave.
const LEFT_IN: u32 = 1_900_000_000;

fn leaver(number: u128) -> Leaver {
    Leaver {
        id: Uuid::from_u128(number),
        by: Label::new(format!("node {number}")).unwrap(),
        now_us: i64::from(LEFT_IN) * 1_000_000,
    }
}

fn leave(
    folder: &TempDir,
    options: &JetStreamOptions,
    number: u128,
) -> Result<LeftCluster, ClusterError> {
    let journal = given::options(1 << 20);
    leave_cluster(folder.path(), journal, options, &leaver(number))
}

/// The refusal that names who left.
fn assert_sealed<T: std::fmt::Debug>(refused: Result<T, ClusterError>, by: &str) {
    let refusal = refused.unwrap_err();
    let words = refusal.to_string();
    assert!(matches!(refusal, ClusterError::Sealed { .. }), "{words}");
    assert!(words.contains("the log left the stream"), "{words}");
    assert!(words.contains(by), "{words}");
}

#[test]
fn a_log_that_left_goes_on_where_it_went_and_nowhere_else() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [leaving, staying] = [Node::joining(&options), Node::joining(&options)];
    let noted = leaving.store.identity();
    let leaving = leaving.leave();
    fill(staying.store.as_ref(), 5);
    let left = leave(&leaving, &options, 1).unwrap();
    assert_eq!(left.head, Position::new(5), "it came to the end first");
    assert_eq!(left.identity.epoch, LEFT_IN);
    assert!(raw::info(&options).config.sealed);
    assert_eq!(raw::messages(&options), 6, "five blocks and the farewell");

    // The node that stays sees it, says so at once from then on, and shows what it has.
    let why = wait_until("the node has seen it", || {
        let health = staying.store.health();
        if let Health::ReadOnly { why } = health {
            Ok(why)
        } else {
            Err(health)
        }
    });
    assert!(why.contains("the log left the stream"), "{why}");
    let refused = append(staying.store.as_ref(), single(9, 9, 0));
    assert_eq!(refused, Err(AppendError::Unavailable { why }));
    assert_eq!(everything(staying.store.as_ref()).len(), 5);
    let staying = staying.leave();
    assert_sealed(try_open(&staying, &options), "node 1");
    assert_sealed(try_open(&new(), &options), "node 1");
    assert_sealed(leave(&staying, &options, 2), "node 1");
    let published = publish_journal(
        staying.path(),
        &options,
        PublishOccasion::Joining,
        &mut |_, _| (),
    );
    assert_sealed(published, "node 1");

    // Where it went: the next epoch, and what was noted before holds.
    assert_eq!(end(&leaving), end(&staying));
    let store = given::open(leaving.path(), 1 << 20);
    assert_eq!(store.identity(), left.identity);
    let head = Position::new(5);
    assert_eq!(store.history().judge(noted, head, head), Standing::Valid);
    let beyond = Position::new(6);
    assert!(matches!(
        store.history().judge(noted, beyond, beyond),
        Standing::Beyond { .. }
    ));
    let appended = append(&store, single(9, 9, 0)).unwrap();
    assert_eq!(appended.position(), beyond);
    store.close();
    assert_sealed(try_open(&leaving, &options), "node 1");
    let before = given::contents(leaving.path());
    assert_eq!(
        leave(&leaving, &options, 3).unwrap(),
        left,
        "once is enough"
    );
    assert_eq!(given::contents(leaving.path()), before);

    // And from there onto a cluster again.
    let again = on_one(&shared_server().url());
    create_stream(leaving.path(), &again).unwrap();
    publish_journal(
        leaving.path(),
        &again,
        PublishOccasion::Joining,
        &mut |_, _| (),
    )
    .unwrap();
    let epochs = history(&leaving);
    let back = Node::on(leaving, &again);
    assert_eq!(back.store.history(), epochs);
    append(back.store.as_ref(), single(10, 9, 1)).unwrap();
    let left = leave(&back.leave(), &again, 4).unwrap();
    assert_eq!(left.identity.epoch, LEFT_IN + 1, "the same second");
}

#[test]
fn a_log_leaves_before_its_epoch_has_a_record() {
    let begun = on_one(&shared_server().url());
    make_stream(&begun, LOG_ID);
    let restored = on_one(&shared_server().url());
    put(&restored_and_gone_on(0), &restored);
    for (options, head) in [(begun, 0), (restored, 4)] {
        let folder = Node::joining(&options).leave();
        let left = leave(&folder, &options, 1).unwrap();
        assert_eq!(left.head.get(), head);
        assert_eq!(leave(&folder, &options, 1).unwrap(), left);
        let store = given::open(folder.path(), 1 << 20);
        assert_eq!(store.identity(), left.identity);
        append(&store, single(100, 7, 0)).unwrap();
    }
}

#[test]
fn interrupted_anywhere_it_is_completed_by_the_same_call() {
    #[derive(Debug, PartialEq, PartialOrd)]
    enum After {
        Noted,
        Said,
        Sealed,
        Segment,
        Begun,
    }
    for after in [
        After::Noted,
        After::Said,
        After::Sealed,
        After::Segment,
        After::Begun,
    ] {
        let options = on_one(&shared_server().url());
        make_stream(&options, LOG_ID);
        let node = Node::joining(&options);
        fill(node.store.as_ref(), 3);
        let folder = node.leave();
        let farewell = Farewell {
            log_id: LOG_ID,
            epoch: LEFT_IN,
            id: Uuid::from_u128(1),
            by: "node 1".to_owned(),
        };
        let farewell = farewell.encode();
        let before = copy_of(folder.path());
        if after == After::Said {
            raw::put(&options, &farewell);
        }
        if after >= After::Sealed {
            leave(&folder, &options, 1).unwrap();
        }
        if after == After::Segment {
            // The epoch's segment is there, and the head file is the one before.
            fs::copy(before.path().join("head"), folder.path().join("head")).unwrap();
        }
        let interrupted = if after >= After::Segment {
            folder
        } else {
            before
        };
        let noted = interrupted.path().join("leaving");
        fs::write(&noted, &farewell).unwrap();
        let left = leave(&interrupted, &options, 2).unwrap();
        assert_eq!(left.head, Position::new(3), "{after:?}");
        assert_eq!(left.identity.epoch, LEFT_IN);
        assert!(raw::info(&options).config.sealed, "{after:?}");
        assert_eq!(raw::messages(&options), 4, "{after:?}");
        assert_eq!(history(&interrupted).identity(), left.identity);
        assert!(!noted.exists(), "{after:?}");
        let store = given::open(interrupted.path(), 1 << 20);
        assert_eq!(store.identity(), left.identity, "{after:?}");
        let appended = append(&store, single(9, 9, 0)).unwrap();
        assert_eq!(appended.position(), Position::new(4), "{after:?}");
    }
}

#[test]
fn a_log_goes_on_alone_without_a_stream_that_nothing_can_be_written_to_any_more() {
    let options = JetStreamOptions {
        patience: std::time::Duration::from_secs(2),
        ..on_one(&shared_server().url())
    };
    make_stream(&options, LOG_ID);
    let [node, other] = [Node::joining(&options), Node::joining(&options)];
    fill(node.store.as_ref(), 3);
    other.wait_for(Position::new(3));
    let [folder, other] = [node.leave(), other.leave()];
    raw::put(&options, b"what another program wrote");
    let in_vain = leave(&folder, &options, 1).unwrap_err();
    assert!(matches!(in_vain, ClusterError::Foreign { .. }), "{in_vain}");
    let noted = folder.path().join("leaving");
    assert!(noted.exists());

    let abandon = |second: u32| {
        let now_us = i64::from(second) * 1_000_000;
        abandon_cluster(folder.path(), given::options(1 << 20), now_us).unwrap()
    };
    let left = abandon(LEFT_IN + 7);
    assert_eq!(left.head, Position::new(3));
    assert_eq!(left.identity.epoch, LEFT_IN, "as it was noted");
    assert!(!noted.exists());
    // As after an interruption: the epoch without a record gives way.
    let left = abandon(LEFT_IN + 9);
    assert_eq!(left.identity.epoch, LEFT_IN + 9);
    assert_eq!(history(&folder).epochs().len(), 2);
    let store = given::open(folder.path(), 1 << 20);
    assert_eq!(store.identity(), left.identity);
    append(&store, single(9, 9, 0)).unwrap();
    store.close();
    assert_eq!(raw::messages(&options), 4, "nothing was written");
    assert!(!raw::info(&options).config.sealed);

    // Onto another stream, where the other node's journal goes on, too.
    let again = on_one(&shared_server().url());
    put(&folder, &again);
    let other = Node::on(other, &again);
    assert_eq!(other.head(), Position::new(4));
    assert_eq!(other.store.identity(), left.identity);
}

#[test]
fn a_folder_without_a_journal_is_not_made_one_by_going_on_alone() {
    let folder = new();
    let refused = abandon_cluster(folder.path(), given::options(1 << 20), 0);
    assert!(
        matches!(refused, Err(ClusterError::Journal(_))),
        "{refused:?}"
    );
    assert!(given::names(folder.path()).is_empty());
}

#[test]
fn of_nodes_that_leave_at_once_exactly_one_does() {
    let options = options(&shared_cluster().urls());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    fill(node.store.as_ref(), 3);
    let first = node.leave();
    let folders = [copy_of(first.path()), copy_of(first.path()), first];
    let left: Vec<_> = std::thread::scope(|scope| {
        let leaving = folders.iter().zip(1..).map(|(folder, number)| {
            let options = &options;
            scope.spawn(move || leave(folder, options, number))
        });
        let leaving: Vec<_> = leaving.collect();
        leaving.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let who = left.iter().position(Result::is_ok).unwrap();
    for (number, (folder, left)) in folders.iter().zip(left).enumerate() {
        let epochs = history(folder).epochs().len();
        if number == who {
            assert_eq!(epochs, 2);
        } else {
            assert_eq!(epochs, 1);
            assert_sealed(left, &format!("node {}", who + 1));
        }
    }
    assert_eq!(raw::messages(&options), 4);
}

#[test]
fn what_was_acknowledged_while_the_log_left_is_where_it_went() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [leaving, writing] = [Node::joining(&options), Node::joining(&options)];
    let leaving = leaving.leave();
    let store = &writing.store;
    let (left, acknowledged) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = 0;
            loop {
                let number = acknowledged;
                match append(store.as_ref(), single(number, 1, u64::from(number))) {
                    Ok(_) => acknowledged += 1,
                    Err(AppendError::Unavailable { why }) => break (acknowledged, why),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        wait_until("it is in full swing", || {
            let head = writing.head();
            if head >= Position::new(30) {
                Ok(())
            } else {
                Err(head)
            }
        });
        let left = leave(&leaving, &options, 1).unwrap();
        (left, writer.join().unwrap())
    });
    let (acknowledged, why) = acknowledged;
    assert!(why.contains("the log left the stream"), "{why}");
    assert_eq!(left.head.get(), u64::from(acknowledged));
    let journal = JournalReader::open(leaving.path()).unwrap();
    assert_eq!(journal.head(), left.head);
}
