//! Journals that went another way, and are fetched anew.

use std::path::PathBuf;

use tempfile::TempDir;

use super::epochs::{new, put, restored_and_gone_on};
use super::nodes::Node;
use super::raw;
use crate::position::Position;
use crate::store::EventStore;
use crate::tests::clustered::{make_stream, on_one};
use crate::tests::given::{self, LOG_ID, append, everything, flip, single};
use crate::tests::servers::shared_server;
use crate::{ClusterError, JetStreamOptions, JetStreamStore, OpenError, move_diverged_aside};

/// A data folder with that journal in it.
fn data_with(journal: &TempDir) -> (TempDir, PathBuf) {
    let data = new();
    let folder = data.path().join("journal");
    std::fs::create_dir(&folder).unwrap();
    for (name, bytes) in given::contents(journal.path()) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    (data, folder)
}

/// A log of four commits that no other test's journal begins with.
fn log_of_four() -> (JetStreamOptions, Node) {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    for id in 101..=104 {
        append(node.store.as_ref(), single(id, 1, u64::from(id - 101))).unwrap();
    }
    (options, node)
}

#[test]
fn a_journal_that_differs_is_moved_aside_and_the_log_fetched_anew() {
    let (options, node) = log_of_four();
    let damaged = given::journal_of(3);
    let segment = given::files(damaged.path(), ".seg").remove(0);
    flip(&segment, 100);
    for journal in [given::journal_of(3), restored_and_gone_on(1), damaged] {
        let (data, folder) = data_with(&journal);
        let was = given::contents(&folder);
        let open = || JetStreamStore::open(&folder, given::options(1 << 20), &options);
        open().unwrap_err();
        // The name is taken already: by one that was moved aside before.
        std::fs::create_dir(data.path().join("journal.aside-1")).unwrap();
        let aside = move_diverged_aside(&folder, &options).unwrap().unwrap();
        assert_eq!(aside, data.path().join("journal.aside-2"));
        assert_eq!(given::contents(&aside), was, "all of it is there");
        assert!(!folder.exists());
        let store = open().unwrap();
        assert_eq!(everything(&store), everything(node.store.as_ref()));
        store.close();
        let again = move_diverged_aside(&folder, &options).unwrap();
        assert_eq!(again, None, "it agrees now");
        assert!(folder.exists());
    }
    assert_eq!(raw::messages(&options), 4, "nothing was written");
}

#[test]
fn a_journal_that_is_damaged_long_before_its_end_is_moved_aside_too() {
    let options = on_one(&shared_server().url());
    // Every block seals its segment.
    let journal = given::journal_with(6, 1);
    put(&journal, &options);
    let (_data, folder) = data_with(&journal);
    assert_eq!(move_diverged_aside(&folder, &options).unwrap(), None);
    let sealed = given::files(&folder, ".seg").remove(1);
    flip(&sealed, 100);
    let aside = move_diverged_aside(&folder, &options).unwrap();
    assert!(aside.is_some(), "what is damaged can be fetched");
    let store = JetStreamStore::open(&folder, given::options(1), &options).unwrap();
    assert_eq!(everything(&store).len(), 6);
}

#[test]
fn a_journal_that_is_worth_publishing_or_of_another_log_is_not_moved_away() {
    let options = JetStreamOptions {
        patience: std::time::Duration::from_secs(1),
        ..on_one(&shared_server().url())
    };
    put(&given::journal_of(6), &options);
    let journal = given::journal_of(6);
    let store = given::open(journal.path(), 1 << 20);
    append(&store, single(100, 70, 0)).unwrap();
    store.close();
    let (data, folder) = data_with(&journal);
    let refusal = move_diverged_aside(&folder, &options).unwrap_err();
    let ClusterError::ClusterBehind { known, .. } = refusal else {
        panic!("{refusal}");
    };
    assert_eq!(known, Position::new(7));

    let another = on_one(&shared_server().url());
    make_stream(&another, uuid::Uuid::from_u128(5));
    let refusal = move_diverged_aside(&folder, &another).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::OtherLog { .. }),
        "{refusal}"
    );
    assert_eq!(given::names(data.path()), ["journal"]);

    let nothing = new().path().join("journal");
    let refusal = move_diverged_aside(&nothing, &options).unwrap_err();
    let ClusterError::Journal(OpenError::Io { .. }) = refusal else {
        panic!("{refusal}");
    };

    // One that only stayed behind is as good as any.
    let (_data, folder) = data_with(&given::journal_of(4));
    assert_eq!(move_diverged_aside(&folder, &options).unwrap(), None);
    let store = given::open(&folder, 1 << 20);
    assert_eq!(*store.head().borrow(), Position::new(4));
}
