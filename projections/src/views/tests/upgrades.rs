//! A release that brings another version of a view, over views on disk that the one before has built.

use super::rebuilds::{NEW_ONLY, OLD_ONLY, checked, tallies};
use super::*;
use crate::test_log::{created, delivery, user};

/// So many that building a view anew takes more than one step.
const DELIVERIES: u128 = 5_000;

/// Lets the views of some release follow the log on disk, and leave it in good order.
fn run(projections: Projections, views: &Path, log: &TestLog) -> Views {
    let folder = ViewFolder::disk(views, OPTIONS.cache_bytes);
    let wait = Duration::MAX;
    let views = Views::start_with(projections, folder, log.store(), wait, TICK).unwrap();
    catch_up(&views, log);
    views
}

fn trees(views: &Path) -> Vec<String> {
    let mut folder = ViewFolder::disk(views, OPTIONS.cache_bytes);
    folder.open().unwrap().store.tree_names().unwrap()
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_on_disk_also_over_a_restart_in_the_middle() {
    let parent = tempfile::tempdir().unwrap();
    let views = parent.path().join("views");
    let mut log = TestLog::new();
    for number in 0..DELIVERIES {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    run(OLD_ONLY, &views, &log).stop();
    assert_eq!(trees(&views), ["tally-v1"]);

    let mut folder = ViewFolder::disk(&views, OPTIONS.cache_bytes);
    let set = checked(log.opened_with(NEW_ONLY, &mut folder));
    set.build_on(&*log.store).unwrap();
    let reached = set.rebuilding("tally").unwrap();
    assert!(
        Position::START < reached && reached < log.head(),
        "{reached}"
    );
    log.delivery(delivery(DELIVERIES), user(1), [created(user(1))]);
    log.feed(&set);
    assert_eq!(set.views()[0].version(), 1);
    let told = tallies(&set);
    assert_eq!(told.len() as u128, DELIVERIES + 1, "the old one follows");
    assert!(told.iter().all(|tally| *tally == 1), "and serves");
    // Killed in the middle: nothing is flushed, nothing marked.
    drop(set);

    let set = checked(log.opened_with(NEW_ONLY, &mut folder));
    assert_eq!(set.views()[0].version(), 1, "as before the restart");
    assert!(set.rebuilding("tally").is_some(), "it is gone on with");
    drop(set);
    let served = run(NEW_ONLY, &views, &log);
    let is_switched = |(): &()| {
        let health = served.health();
        health.views[0].version == 2 && health.views[0].rebuilding.is_none()
    };
    runtime()
        .block_on(served.turns().wait_for(is_switched))
        .unwrap();
    log.delivery(delivery(DELIVERIES + 1), user(1), [created(user(1))]);
    catch_up(&served, &log);
    let told = tallies(&served.shared.set());
    assert_eq!(told.len() as u128, DELIVERIES + 2);
    assert!(told.iter().all(|tally| *tally == 10));
    let is_swept = |(): &()| !served.shared.set().has_work();
    runtime()
        .block_on(served.turns().wait_for(is_swept))
        .unwrap();
    served.stop();
    drop(served);
    assert_eq!(trees(&views), ["tally-v2"], "the old tree is gone");

    let again = run(NEW_ONLY, &views, &log);
    assert_eq!(again.health().views[0].version, 2, "also after a restart");
    assert_eq!(again.health().views[0].rebuilding, None);
}
