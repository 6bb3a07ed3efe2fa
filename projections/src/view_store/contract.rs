//! What every view store keeps to: one suite, run over both.

use std::path::Path;
use std::sync::Arc;

use eventstore::{LogIdentity, Position};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::sled_engine::SledViewStore;
use super::*;
use crate::key::Key;

const CACHE_BYTES: u64 = 8 * 1024 * 1024;

fn on_disk(folder: &Path) -> Arc<dyn ViewStore> {
    Arc::new(SledViewStore::open(folder, CACHE_BYTES).unwrap())
}

/// Both stores, with a name for the message of a failure.
fn both(folder: &Path) -> [(&'static str, Arc<dyn ViewStore>); 2] {
    let memory: Arc<dyn ViewStore> = Arc::<MemoryViewStore>::default();
    [("memory", memory), ("disk", on_disk(folder))]
}

fn checkpoint(position: u64) -> Checkpoint {
    Checkpoint {
        identity: LogIdentity {
            log_id: Uuid::from_u128(7),
            epoch: 1,
        },
        position: Position::new(position),
        digest: Digest::default(),
        is_amid_stash: false,
    }
}

fn key(number: u8) -> Vec<u8> {
    Key::row().number(u32::from(number)).into_bytes()
}

fn batch(position: u64, writes: &[(u8, Option<u8>)]) -> Batch {
    let writes = writes
        .iter()
        .map(|(number, value)| (key(*number), value.map(|value| vec![value])));
    Batch {
        writes: writes.collect(),
        checkpoint: checkpoint(position),
    }
}

#[test]
fn a_batch_brings_its_writes_and_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in both(folder.path()) {
        let tree = store.open_tree("a").unwrap();
        assert_eq!(tree.checkpoint(), Ok(None), "{name}");
        tree.apply(&batch(1, &[(1, Some(1)), (2, Some(2))]))
            .unwrap();
        tree.apply(&batch(2, &[(1, None), (3, Some(3))])).unwrap();
        assert_eq!(tree.get(&key(1)), Ok(None), "{name}");
        assert_eq!(tree.get(&key(3)), Ok(Some(vec![3])), "{name}");
        assert_eq!(tree.checkpoint(), Ok(Some(checkpoint(2))), "{name}");
    }
}

/// What is noted and stashed under a name in some store.
fn kept(store: &dyn ViewStore, name: &str) -> [Option<Vec<u8>>; 2] {
    [store.note(name).unwrap(), store.stashed(name).unwrap()]
}

#[test]
fn what_is_noted_and_what_is_stashed_is_kept_under_its_name_until_something_else_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in both(folder.path()) {
        assert_eq!(kept(&*store, "a"), [None, None], "{name}");
        store.set_note("a", b"first").unwrap();
        store.set_note("a", b"second").unwrap();
        store.stash("a", &vec![1; 100_000]).unwrap();
        store.stash("a", &[2; 3]).unwrap();
        let second = [Some(b"second".to_vec()), Some(vec![2; 3])];
        assert_eq!(kept(&*store, "a"), second, "{name}");
        assert_eq!(kept(&*store, "b"), [None, None], "{name}");
        // Neither is a tree, nor goes with one.
        assert_eq!(store.tree_names(), Ok(vec![]), "{name}");
        store.remove_tree("a").unwrap();
        assert_eq!(kept(&*store, "a"), second, "{name}");
        store.drop_stash("a").unwrap();
        store.drop_stash("a").unwrap();
        assert_eq!(
            kept(&*store, "a"),
            [Some(b"second".to_vec()), None],
            "{name}"
        );
    }
}

#[test]
fn on_disk_what_is_noted_and_stashed_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    store.set_note("a", b"noted").unwrap();
    store.stash("a", b"stashed").unwrap();
    drop(store);
    let again = on_disk(folder.path());
    let both = [Some(b"noted".to_vec()), Some(b"stashed".to_vec())];
    assert_eq!(kept(&*again, "a"), both);
}

#[test]
fn trees_do_not_see_each_other_and_one_can_go() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in both(folder.path()) {
        let (a, b) = (store.open_tree("a").unwrap(), store.open_tree("b").unwrap());
        a.apply(&batch(1, &[(1, Some(1))])).unwrap();
        assert_eq!(b.get(&key(1)), Ok(None), "{name}");
        let mut names = store.tree_names().unwrap();
        names.sort();
        assert_eq!(names, ["a", "b"], "{name}");
        drop(a);
        store.remove_tree("a").unwrap();
        store.remove_tree("never there").unwrap();
        assert_eq!(store.tree_names().unwrap(), ["b"], "{name}");
        let again = store.open_tree("a").unwrap();
        assert_eq!(again.get(&key(1)), Ok(None), "{name}");
        assert_eq!(again.checkpoint(), Ok(None), "{name}");
    }
}

#[test]
fn an_empty_range_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in both(folder.path()) {
        let tree = store.open_tree("a").unwrap();
        tree.apply(&batch(1, &[(1, Some(1))])).unwrap();
        let range = KeyRange {
            start: key(2),
            end: Some(key(1)),
        };
        for direction in [Direction::Forward, Direction::Backward] {
            assert_eq!(tree.scan(&range, direction, 10), Ok(vec![]), "{name}");
        }
    }
}

#[test]
fn what_was_flushed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    let tree = store.open_tree("a").unwrap();
    tree.apply(&batch(9, &[(1, Some(1))])).unwrap();
    store.flush().unwrap();
    assert!(store.size_bytes().unwrap() > 0);
    drop((tree, store));
    let tree = on_disk(folder.path()).open_tree("a").unwrap();
    assert_eq!(tree.get(&key(1)), Ok(Some(vec![1])));
    assert_eq!(tree.checkpoint(), Ok(Some(checkpoint(9))));
}

#[test]
fn views_that_are_in_use_are_not_taken_for_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let _in_use = on_disk(folder.path());
    let error = SledViewStore::open(folder.path(), CACHE_BYTES).unwrap_err();
    assert!(matches!(error, ViewStoreError::InUse { .. }), "{error}");
}

proptest! {
    /// Law: the store on disk is the store in memory, whatever is applied and read.
    #[test]
    fn disk_reads_as_memory_does(
        batches in vec(vec((any::<u8>(), option::of(any::<u8>())), 0..30), 1..8),
        from: u8,
        to: u8,
        limit in 0_usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let [(_, memory), (_, disk)] = both(folder.path());
        let (memory, disk) = (memory.open_tree("a").unwrap(), disk.open_tree("a").unwrap());
        for (position, writes) in (1..).zip(&batches) {
            // A batch has each key once.
            let mut writes = writes.clone();
            writes.sort_unstable();
            writes.dedup_by_key(|(number, _)| *number);
            memory.apply(&batch(position, &writes)).unwrap();
            disk.apply(&batch(position, &writes)).unwrap();
        }
        let range = KeyRange { start: key(from), end: Some(key(to)) };
        for range in [range, KeyRange::all()] {
            for direction in [Direction::Forward, Direction::Backward] {
                prop_assert_eq!(
                    disk.scan(&range, direction, limit),
                    memory.scan(&range, direction, limit)
                );
            }
        }
        prop_assert_eq!(disk.get(&key(from)), memory.get(&key(from)));
        prop_assert_eq!(disk.checkpoint(), memory.checkpoint());
    }

    /// Law: a digest depends on which entries there are and not on how they came;
    /// taking one out again undoes putting it in.
    #[test]
    fn a_digest_is_that_of_the_entries(
        mut entries in vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..10),
        gone: (Vec<u8>, Vec<u8>),
    ) {
        let of = |entries: &[(Vec<u8>, Vec<u8>)]| {
            let mut digest = Digest::default();
            for (key, value) in entries {
                digest.toggle(key, value);
            }
            digest
        };
        let before = of(&entries);
        let mut with = before;
        with.toggle(&gone.0, &gone.1);
        prop_assert_ne!(with, before);
        with.toggle(&gone.0, &gone.1);
        prop_assert_eq!(with, before);
        entries.reverse();
        prop_assert_eq!(of(&entries), before);
    }
}
