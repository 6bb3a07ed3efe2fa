//! What was stashed for a view is lost with the machine: that view alone is begun anew.

use super::*;
use crate::key::KeyRange;
use crate::slot::Build;
use crate::test_log::{created, delivery, user};
use crate::user_deliveries::UserDeliveries;
use crate::view_store::{Direction, Entry, ViewStore};

/// The tree that is in the middle of a gathering when the machine goes down:
/// views before it have all of theirs, views behind it nothing.
fn amid() -> String {
    Build::first_tree(&UserDeliveries)
}

/// All entries of every view but that one.
fn others(set: &ViewSet) -> Vec<(String, Position, Vec<Entry>)> {
    let views = set.views().into_iter();
    let others = views.filter(|view| view.tree_name() != amid());
    let all = KeyRange::all();
    let entries = |view: &View| view.tree().scan(&all, Direction::Forward, usize::MAX);
    others
        .map(|view| {
            let name = view.tree_name().to_owned();
            (name, view.position(), entries(&view).unwrap())
        })
        .collect()
}

/// Loses a tree's stash in one way or another.
fn only_that_view_is_begun_anew(lose: impl Fn(&dyn ViewStore, &str)) {
    // Given views that are fed from afar, one of them with half of what was gathered.
    let mut log = TestLog::new();
    for number in 0..400 {
        log.delivery(
            delivery(number),
            user(number % 7),
            [created(user(number % 7))],
        );
    }
    let store = Arc::<MemoryViewStore>::default();
    let mut folder = ViewFolder::Memory(Arc::clone(&store));
    let set = log.opened(&mut folder);
    let tree = store.open_tree(&amid()).unwrap();
    let is_amid = || {
        tree.checkpoint()
            .unwrap()
            .is_some_and(|it| it.is_amid_stash)
    };
    while !is_amid() {
        assert!(set.feed_from_afar(&*log.store, log.head()).unwrap());
    }
    let before = others(&set);
    drop((set, tree));

    // When what was stashed for it is lost.
    lose(&*store, &amid());
    let set = log.opened(&mut folder);

    // Then it is empty, and no other view is touched.
    let view = set.view(&UserDeliveries);
    let left = view.tree().scan(&KeyRange::all(), Direction::Forward, 1);
    assert_eq!(left, Ok(Vec::new()));
    assert_eq!(view.position(), Position::START);
    assert_eq!(others(&set), before);

    // And fed again all are those of one fold.
    while set.feed_from_afar(&*log.store, log.head()).unwrap() {}
    while !set.is_checked() {
        set.check_on(1_000).unwrap();
    }
    let fresh = log.folded();
    assert_eq!(others(&set), others(&fresh));
    let (view, fresh) = (set.view(&UserDeliveries), fresh.view(&UserDeliveries));
    assert_eq!(view.checkpoint().digest, fresh.checkpoint().digest);
    assert_eq!(view.position(), log.head());
}

#[test]
fn a_view_whose_stash_is_gone_is_begun_anew_and_no_other_is() {
    only_that_view_is_begun_anew(|store, tree| store.drop_stash(tree).unwrap());
}

#[test]
fn a_view_whose_stash_is_garbled_is_begun_anew_and_no_other_is() {
    only_that_view_is_begun_anew(|store, tree| {
        let mut stash = store.stashed(tree).unwrap().unwrap();
        let last = stash.last_mut().unwrap();
        *last = last.wrapping_add(1);
        store.stash(tree, &stash).unwrap();
    });
}
