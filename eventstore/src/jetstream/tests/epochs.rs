//! Logs that were restored, on a cluster like any other.

use std::ops::ControlFlow;

use tempfile::TempDir;

use super::nodes::{Node, end};
use super::raw;
use crate::backup::{backup, restore};
use crate::history::{EpochStart, LogHistory};
use crate::journal::JournalReader;
use crate::position::Position;
use crate::store::EventStore;
use crate::tests::clustered::{make_stream, on_one, try_open};
use crate::tests::given::{self, LOG_ID, append, copy_of, everything, files, single};
use crate::tests::servers::shared_server;
use crate::{ClusterError, JetStreamOptions, PublishOccasion, create_stream, publish_journal};

/// The second epoch of the logs here: a clock's second.
const SECOND_EPOCH: u32 = 1_800_000_000;

/// A log of six commits that was restored after the fourth, and went on with
/// that many more.
pub(super) fn restored_and_gone_on(more: u32) -> TempDir {
    let (first, copy, folder) = (given::journal_of(6), new(), new());
    let now_us = i64::from(SECOND_EPOCH) * 1_000_000;
    backup(first.path(), copy.path(), now_us, &mut |_, _| ()).unwrap();
    let journal = folder.path().join("journal");
    let to = Some(Position::new(4));
    restore(copy.path(), &journal, to, now_us, &mut |_, _| ()).unwrap();
    let store = given::open(&journal, 1 << 20);
    for number in 1..=more {
        append(&store, single(100 + number, 90, u64::from(number - 1))).unwrap();
    }
    store.close();
    copy_of(&journal)
}

pub(super) fn new() -> TempDir {
    TempDir::new().unwrap()
}

pub(super) fn history(folder: &TempDir) -> LogHistory {
    JournalReader::open(folder.path())
        .unwrap()
        .history()
        .clone()
}

/// Makes the stream for a journal, and fills it.
pub(super) fn put(folder: &TempDir, options: &JetStreamOptions) {
    assert!(create_stream(folder.path(), options).unwrap());
    publish_journal(
        folder.path(),
        options,
        PublishOccasion::Joining,
        &mut |_, _| (),
    )
    .unwrap();
}

#[test]
fn a_restored_log_is_put_on_a_cluster_and_every_node_tells_its_epochs_alike() {
    for more in [0, 1, 3] {
        let options = on_one(&shared_server().url());
        let moved = restored_and_gone_on(more);
        let epochs = [(1, 1), (SECOND_EPOCH, 5)].map(|(epoch, first)| EpochStart {
            epoch,
            first_position: Position::new(first),
        });
        assert_eq!(history(&moved).epochs(), epochs);
        put(&moved, &options);
        assert!(
            !create_stream(moved.path(), &options).unwrap(),
            "it is there already"
        );
        let mut folders = [moved, new()];
        for round in 0..2 {
            let [moved, joined] = folders.map(|folder| Node::on(folder, &options));
            assert_eq!(joined.store.history(), moved.store.history());
            assert_eq!(joined.store.history().epochs(), epochs);
            let id = 200 + round * 10;
            append(moved.store.as_ref(), single(id, 91, u64::from(round))).unwrap();
            joined.wait_for(moved.head());
            append(joined.store.as_ref(), single(id + 1, 92, u64::from(round))).unwrap();
            moved.wait_for(joined.head());
            assert_eq!(
                everything(joined.store.as_ref()),
                everything(moved.store.as_ref())
            );
            folders = [moved, joined].map(Node::leave);
            assert_eq!(end(&folders[0]), end(&folders[1]));
            for folder in &folders {
                assert_eq!(history(folder).epochs(), epochs, "round {round}");
                assert_eq!(
                    JournalReader::open(folder.path()).unwrap().head().get(),
                    u64::from(4 + more + 2 * (round + 1))
                );
            }
        }
    }
}

#[test]
fn a_node_that_was_stopped_before_an_epoch_began_begins_it_when_it_comes_back() {
    let options = on_one(&shared_server().url());
    let moved = restored_and_gone_on(0);
    put(&moved, &options);
    let joined = Node::joining(&options).leave();
    assert_eq!(history(&joined), history(&moved));
    // As a kill right behind the epoch's last record leaves it.
    let cut = new();
    let first = files(joined.path(), ".seg").remove(0);
    std::fs::copy(&first, cut.path().join(first.file_name().unwrap())).unwrap();
    assert_eq!(history(&cut).epochs().len(), 1);
    let cut = Node::on(cut, &options);
    assert_eq!(cut.store.history(), history(&moved));
    let cut = cut.leave();
    assert_eq!(history(&cut), history(&moved));
}

#[test]
fn no_node_takes_part_before_the_stream_has_what_the_journal_had() {
    let options = JetStreamOptions {
        patience: std::time::Duration::from_secs(1),
        ..on_one(&shared_server().url())
    };
    let moved = restored_and_gone_on(3);
    create_stream(moved.path(), &options).unwrap();
    // Three blocks of it, as an interrupted publication leaves them.
    let mut blocks = Vec::new();
    let journal = JournalReader::open(moved.path()).unwrap();
    let walked = journal.walk_raw(Position::START, &mut |block| {
        blocks.push(block.bytes.to_vec());
        ControlFlow::Continue(())
    });
    walked.unwrap();
    for block in &blocks[..3] {
        raw::put(&options, block);
    }
    let joining = new();
    let refusal = try_open(&joining, &options).unwrap_err();
    let words = refusal.to_string();
    assert!(words.contains("airpost cluster join"), "{words}");
    let ClusterError::Unfilled {
        stream_head,
        filled_to,
        ..
    } = refusal
    else {
        panic!("{words}");
    };
    assert_eq!((stream_head.get(), filled_to.get()), (3, 7));
    let mut seen = Vec::new();
    let published = publish_journal(
        moved.path(),
        &options,
        PublishOccasion::Joining,
        &mut |done, all| {
            seen.push((done.get(), all.get()));
        },
    );
    assert_eq!(published.unwrap().blocks, 4);
    assert_eq!(seen, [(3, 7), (4, 7), (5, 7), (6, 7), (7, 7)]);
    let joined = Node::on(joining, &options);
    assert_eq!(joined.store.history(), history(&moved));
    assert_eq!(joined.head(), Position::new(7));
}

#[test]
fn a_journal_of_other_epochs_is_refused_and_left_as_it_is() {
    let options = on_one(&shared_server().url());
    let first = given::journal_of(6);
    put(&first, &options);
    let restored = restored_and_gone_on(0);
    let before = given::contents(restored.path());
    let refusals = [
        try_open(&restored, &options).map(|_| ()),
        publish_journal(
            restored.path(),
            &options,
            PublishOccasion::Joining,
            &mut |_, _| (),
        )
        .map(|_| ()),
        create_stream(restored.path(), &options).map(|_| ()),
    ];
    for refusal in refusals {
        let refusal = refusal.unwrap_err();
        let words = refusal.to_string();
        assert!(
            matches!(refusal, ClusterError::OtherEpochs { .. }),
            "{words}"
        );
        let ours = format!("1@1 {SECOND_EPOCH}@5");
        assert!(
            words.contains("epochs 1@1 (") && words.contains(&ours),
            "{words}"
        );
    }
    assert_eq!(given::contents(restored.path()), before);
    assert_eq!(raw::messages(&options), 6, "nothing was written");

    // The same the other way round: a journal that stayed behind.
    let options = on_one(&shared_server().url());
    put(&restored_and_gone_on(3), &options);
    let refusal = try_open(&first, &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::OtherEpochs { .. }),
        "{refusal}"
    );
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let refusal = create_stream(restored.path(), &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::OtherEpochs { .. }),
        "{refusal}"
    );
}
