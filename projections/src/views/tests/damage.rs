//! Damaged views are set aside and built anew, and are never silently wrong.

use std::fs;
use std::path::PathBuf;

use domain::delivery::{DeliveryEvent, Status};

use super::*;
use crate::projection::Projection;
use crate::rebuild::{RebuildError, rebuild, rebuild_some};
use crate::shared::ReaderState;
use crate::slot::Build;
use crate::test_log::{created, delivery, user};
use crate::user_deliveries::UserDeliveries;
use crate::verify::Difference;

const DELIVERIES: u128 = 50;

/// A folder with views that were stopped, below one that is removed.
struct Stopped {
    parent: tempfile::TempDir,
    views: PathBuf,
    log: TestLog,
}

impl Stopped {
    fn new() -> Self {
        let mut log = TestLog::new();
        for number in 0..DELIVERIES {
            let events = [created(user(1)), DeliveryEvent::Scheduled];
            log.delivery(delivery(number), user(1), events);
        }
        let parent = tempfile::tempdir().unwrap();
        let views = parent.path().join("views");
        let opened = open(&views, &log);
        catch_up(&opened, &log);
        opened.stop();
        Self { parent, views, log }
    }

    /// As if they had not been stopped, and the machine had not gone on.
    fn machine_went_down(&self) {
        self.process_was_killed();
        fs::remove_file(self.views.join("boot")).unwrap();
    }

    /// As if they had not been stopped.
    fn process_was_killed(&self) {
        fs::remove_file(self.views.join("clean")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.views.join("store-1").join(name)
    }

    fn quarantined(&self) -> Vec<String> {
        let entries = fs::read_dir(self.parent.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "views").collect()
    }

    /// Opens the views, and finds every answer right, whatever had happened to them.
    fn answers_are_right(&self) -> u32 {
        let views = open(&self.views, &self.log);
        for number in 0..DELIVERIES {
            let row = views.delivery(delivery(number)).unwrap().unwrap();
            assert_eq!(row.status, Status::Scheduled);
        }
        catch_up(&views, &self.log);
        let all = views.user_deliveries(user(1), &UserDeliveriesQuery::all(200));
        assert_eq!(all.unwrap().items.len() as u128, DELIVERIES);
        let entries = fs::read_dir(&self.views).unwrap();
        let stores = entries.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(stores.count(), 1, "one store");
        assert!(!self.views.join("clean").exists(), "it is in use");
        let generation = u32::from(!self.quarantined().is_empty());
        stop_and_verify(views, &self.views, &self.log);
        generation
    }
}

fn damage(path: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn views_in_good_order_are_not_set_aside() {
    let stopped = Stopped::new();
    assert_eq!(stopped.answers_are_right(), 0);
    assert_eq!(stopped.quarantined(), [] as [String; 0]);
}

#[test]
fn a_file_of_something_else_is_noticed_or_does_no_harm() {
    let stopped = Stopped::new();
    damage(&stopped.file("db"), |bytes| bytes.fill(0xAB));
    stopped.answers_are_right();
}

#[test]
fn an_unreadable_configuration_of_the_engine_is_set_aside() {
    let stopped = Stopped::new();
    damage(&stopped.file("conf"), |bytes| bytes.reverse());
    assert_eq!(stopped.answers_are_right(), 1);
    assert_eq!(stopped.quarantined(), ["views-quarantined-1"]);
}

#[test]
fn whatever_is_cut_off_after_a_crash_is_noticed_or_does_no_harm() {
    for tenths in 0..10 {
        let stopped = Stopped::new();
        stopped.machine_went_down();
        damage(&stopped.file("db"), |bytes| {
            bytes.truncate(bytes.len() * tenths / 10);
        });
        stopped.answers_are_right();
    }
}

#[test]
fn whatever_is_overwritten_before_a_crash_is_noticed_or_does_no_harm() {
    for tenths in 0..10 {
        let stopped = Stopped::new();
        stopped.machine_went_down();
        damage(&stopped.file("db"), |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            let from = used * tenths / 10;
            bytes[from..from + 64].fill(0x5A);
        });
        stopped.answers_are_right();
    }
}

#[test]
fn at_most_one_damaged_store_is_kept() {
    let stopped = Stopped::new();
    damage(&stopped.file("db"), |bytes| bytes.fill(0xAB));
    damage(&stopped.file("conf"), |bytes| bytes.reverse());
    assert_eq!(stopped.answers_are_right(), 1);
    damage(&stopped.views.join("store-2").join("conf"), |bytes| {
        bytes.reverse();
    });
    stopped.answers_are_right();
    assert_eq!(stopped.quarantined(), ["views-quarantined-2"]);
}

#[test]
fn a_view_that_is_not_checked_shows_nothing_and_one_that_is_shows_all() {
    let stopped = Stopped::new();
    stopped.machine_went_down();
    let head = stopped.log.head();
    let mut folder = crate::view_store::ViewFolder::disk(&stopped.views, OPTIONS.cache_bytes);
    let opened = folder.open().unwrap();
    let set =
        crate::view_set::ViewSet::open(PROJECTIONS, opened, &stopped.log.store().history(), head)
            .unwrap();

    let shown = || {
        let answering = set.view(&DeliveryStatus);
        let reading = answering.read();
        let row = crate::delivery_status::delivery(&reading.overlay(), delivery(1)).unwrap();
        (reading.position(), row.is_some())
    };
    assert_eq!(shown(), (Position::START, false));
    set.check_on(1_000).unwrap();
    assert_eq!(
        shown(),
        (Position::START, false),
        "a check that is not at its end says nothing"
    );
    assert_eq!(set.applied(), Position::START);
    while !set.is_checked() {
        set.check_on(1_000).unwrap();
    }
    assert_eq!(shown(), (head, true));
    assert_eq!(set.applied(), head);
}

impl Stopped {
    /// As if an entry had got lost without a trace.
    fn lose_an_entry(&self) {
        let mut folder = ViewFolder::disk(&self.views, OPTIONS.cache_bytes);
        let store = folder.open().unwrap().store;
        let tree = store
            .open_tree(&Build::first_tree(&UserDeliveries))
            .unwrap();
        let checkpoint = tree.checkpoint().unwrap().unwrap();
        let range = crate::key::KeyRange::all();
        let entries = tree.scan(&range, crate::view_store::Direction::Forward, 1);
        let (key, _) = entries.unwrap().remove(0);
        let writes = vec![(key, None)];
        tree.apply(&crate::view_store::Batch { writes, checkpoint })
            .unwrap();
        store.flush().unwrap();
        fs::write(self.views.join("clean"), []).unwrap();
    }
}

#[test]
fn entries_that_went_missing_are_noticed_before_anybody_sees_it_when_the_machine_stopped() {
    let stopped = Stopped::new();
    stopped.lose_an_entry();
    stopped.machine_went_down();
    assert_eq!(stopped.answers_are_right(), 1);
}

#[test]
fn entries_that_went_missing_are_noticed_when_the_process_was_killed() {
    let stopped = Stopped::new();
    stopped.lose_an_entry();
    stopped.process_was_killed();
    let views = open(&stopped.views, &stopped.log);
    let mut applied = views.applied();
    runtime()
        .block_on(applied.wait_for(|_| views.health().begun_anew == 1))
        .unwrap();
    catch_up(&views, &stopped.log);
    let all = views.user_deliveries(user(1), &UserDeliveriesQuery::all(200));
    assert_eq!(all.unwrap().items.len() as u128, DELIVERIES);
    stop_and_verify(views, &stopped.views, &stopped.log);
}

#[test]
fn a_verification_names_what_differs_and_a_rebuild_mends_it() {
    let stopped = Stopped::new();
    let mut folder = ViewFolder::disk(&stopped.views, OPTIONS.cache_bytes);
    let store = folder.open().unwrap().store;
    let tree = store
        .open_tree(&Build::first_tree(&DeliveryStatus))
        .unwrap();
    let checkpoint = tree.checkpoint().unwrap().unwrap();
    let key = crate::key::Key::row().number(1).into_bytes();
    let writes = vec![(key, Some(vec![1]))];
    tree.apply(&crate::view_store::Batch { writes, checkpoint })
        .unwrap();
    store.flush().unwrap();
    drop((tree, store));

    let found = verified(&stopped.views, &stopped.log);
    let [finding] = found.findings.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(finding.view, "delivery_status");
    assert_eq!(finding.key_hex, "0100000001");
    assert_eq!(finding.difference, Difference::Unexpected);

    let mut told = Vec::new();
    let log = &*stopped.log.store;
    let head = rebuild(&stopped.views, log, OPTIONS, &mut |advance| {
        told.push(advance);
    });
    assert_eq!(head.unwrap(), stopped.log.head());
    assert_eq!(told.last().unwrap().position, stopped.log.head());
    assert!(verified(&stopped.views, &stopped.log).is_clean());
    assert_eq!(stopped.answers_are_right(), 0);
}

#[test]
fn what_is_asked_for_by_its_id_is_answered_while_damage_shows() {
    let mut log = TestLog::new();
    for number in 0..DELIVERIES {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    let told = || {
        let id = delivery(1);
        (views.delivery(id), views.history(id), user_now(&views, 1))
    };
    let before = told();
    assert!(matches!(before.0, Ok(Some(_))));
    let set = views.shared.set();
    for projection in PROJECTIONS {
        let view = set.view(*projection);
        let checkpoint = view.tree().checkpoint().unwrap().unwrap();
        let entries = view.tree().scan(
            &crate::key::KeyRange::all(),
            crate::view_store::Direction::Forward,
            usize::MAX,
        );
        let entries = entries.unwrap().into_iter();
        let writes = entries.map(|(key, _)| (key, Some(vec![0xFF; 3]))).collect();
        let unreadable = crate::view_store::Batch { writes, checkpoint };
        view.tree().apply(&unreadable).unwrap();
    }
    assert_eq!(told(), before);
}

/// Puts an entry into a view that no fold of the log has.
fn plant(views: &Path, view: &dyn Projection) {
    let mut folder = ViewFolder::disk(views, OPTIONS.cache_bytes);
    let store = folder.open().unwrap().store;
    let tree = store.open_tree(&Build::first_tree(view)).unwrap();
    let checkpoint = tree.checkpoint().unwrap().unwrap();
    let key = crate::key::Key::row().number(1).into_bytes();
    let writes = vec![(key, Some(vec![1]))];
    tree.apply(&crate::view_store::Batch { writes, checkpoint })
        .unwrap();
    store.flush().unwrap();
    folder.mark_clean().unwrap();
}

#[test]
fn a_rebuild_of_some_views_mends_those_and_leaves_the_others_as_they_are() {
    let stopped = Stopped::new();
    plant(&stopped.views, &DeliveryStatus);
    plant(&stopped.views, &User);
    let log = &*stopped.log.store;
    let mut told = Vec::new();
    let mut rebuild = |names: &[&'static str]| {
        let built = rebuild_some(&stopped.views, names, log, OPTIONS, &mut |advance| {
            told.push(advance);
        });
        assert_eq!(built.unwrap(), stopped.log.head());
        let findings = verified(&stopped.views, &stopped.log).findings.into_iter();
        findings.map(|finding| finding.view).collect::<Vec<_>>()
    };
    assert_eq!(rebuild(&["fleet", "delivery_status"]), ["user"]);
    assert_eq!(rebuild(&["delivery_status"]), ["user"]);
    assert_eq!(rebuild(&["user"]), [] as [&str; 0]);
    assert_eq!(told.last().unwrap().position, stopped.log.head());
    assert_eq!(stopped.answers_are_right(), 0);
}

#[test]
fn a_rebuild_of_some_views_goes_on_with_one_that_a_service_had_begun_and_ends_it() {
    let stopped = Stopped::new();
    let id = RebuildId([7; 16]);
    let mut folder = ViewFolder::disk(&stopped.views, OPTIONS.cache_bytes);
    let set = stopped.log.opened(&mut folder);
    set.begin_rebuild("user", Some(id)).unwrap();
    drop(set);
    let log = &*stopped.log.store;
    rebuild_some(&stopped.views, &["user"], log, OPTIONS, &mut |_| {}).unwrap();
    let views = open(&stopped.views, &stopped.log);
    let status = views.rebuild_status(id);
    assert_eq!(status, Some(("user", RebuildStatus::Succeeded)));
    drop(views);
    assert_eq!(stopped.answers_are_right(), 0);
}

#[test]
fn views_that_are_damaged_are_not_touched_by_a_rebuild_of_some() {
    let stopped = Stopped::new();
    damage(&stopped.file("conf"), |bytes| bytes.reverse());
    let log = &*stopped.log.store;
    let refused = rebuild_some(&stopped.views, &["user"], log, OPTIONS, &mut |_| {});
    assert!(
        matches!(refused, Err(RebuildError::Damaged(_))),
        "{refused:?}"
    );
    assert_eq!(stopped.quarantined(), [] as [String; 0]);
    rebuild(&stopped.views, log, OPTIONS, &mut |_| {}).unwrap();
    assert_eq!(stopped.answers_are_right(), 0);
}

#[test]
fn damage_that_shows_while_running_is_mended_while_running() {
    let mut log = TestLog::new();
    for number in 0..DELIVERIES {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    let set = views.shared.set();
    let answering = set.view(&UserDeliveries);
    let tree = answering.tree();
    let checkpoint = tree.checkpoint().unwrap().unwrap();
    let range = crate::key::KeyRange::all();
    let entries = tree.scan(&range, crate::view_store::Direction::Forward, 1);
    let (key, _) = entries.unwrap().remove(0);
    let writes = vec![(key, Some(vec![0xFF; 3]))];
    tree.apply(&crate::view_store::Batch { writes, checkpoint })
        .unwrap();

    let query = UserDeliveriesQuery::all(200);
    let damaged = views.user_deliveries(user(1), &query);
    assert!(matches!(damaged, Err(QueryError::Views(_))), "{damaged:?}");
    runtime().block_on(async {
        let mut applied = views.applied();
        let mended = |_: &Position| views.health().begun_anew == 1;
        applied.wait_for(mended).await.unwrap();
        views.wait_for(log.head()).await.unwrap();
    });
    let mended = views.user_deliveries(user(1), &query).unwrap();
    assert_eq!(mended.items.len() as u128, DELIVERIES);
}

/// Removes a folder in which the engine may make something at this moment.
fn removed(folder: &Path) {
    while folder.exists() {
        let _removed = fs::remove_dir_all(folder);
    }
}

/// Writes go on and what has an id is answered while the views cannot be set
/// aside, and they follow again once they can be.
fn come_back_although(obstruct: impl Fn(&Path), clear: impl Fn(&Path)) {
    let mut stopped = Stopped::new();
    let views = open(&stopped.views, &stopped.log);
    catch_up(&views, &stopped.log);
    removed(&stopped.views);
    obstruct(&stopped.views);
    let damage = ViewStoreError::unreadable("nothing is there any more");
    views.shared.report_damage(&views.shared.set(), &damage);
    let mut log = std::mem::replace(&mut stopped.log, TestLog::new());
    log.delivery(delivery(DELIVERIES), user(1), [created(user(1))]);
    let is_obstructed = stopped.views.is_file();
    runtime().block_on(async {
        while is_obstructed && !matches!(views.health().reader, ReaderState::Retrying(_)) {
            tokio::task::yield_now().await;
        }
    });
    for number in 0..=DELIVERIES {
        assert!(views.delivery(delivery(number)).unwrap().is_some());
    }
    clear(&stopped.views);
    catch_up(&views, &log);
    let all = views.user_deliveries(user(1), &UserDeliveriesQuery::all(200));
    assert_eq!(all.unwrap().items.len() as u128, DELIVERIES + 1);
    let health = views.health();
    assert_eq!(health.begun_anew, 1);
    assert_eq!(health.reader, ReaderState::Following);
    stop_and_verify(views, &stopped.views, &log);
}

#[test]
fn views_whose_folder_was_removed_are_begun_anew() {
    come_back_although(|_| {}, |_| {});
}

#[test]
fn views_that_cannot_be_set_aside_are_tried_again_until_they_can_be() {
    come_back_although(
        |views| fs::write(views, "something else").unwrap(),
        |views| fs::remove_file(views).unwrap(),
    );
}

#[test]
fn views_that_cannot_be_set_aside_can_be_stopped() {
    let stopped = Stopped::new();
    let views = open(&stopped.views, &stopped.log);
    catch_up(&views, &stopped.log);
    removed(&stopped.views);
    fs::write(&stopped.views, "something else").unwrap();
    let damage = ViewStoreError::unreadable("nothing is there any more");
    views.shared.report_damage(&views.shared.set(), &damage);
    runtime().block_on(async {
        while !matches!(views.health().reader, ReaderState::Retrying(_)) {
            tokio::task::yield_now().await;
        }
    });
    assert!(views.stop_within(Duration::MAX));
}

#[test]
fn a_full_disk_at_a_start_leaves_views_in_good_order() {
    let stopped = Stopped::new();
    // Writing to it fails as on a full disk, in that it fails.
    fs::remove_file(stopped.views.join("boot")).unwrap();
    fs::create_dir(stopped.views.join("boot")).unwrap();
    let mut folder = ViewFolder::disk(&stopped.views, OPTIONS.cache_bytes);
    assert!(folder.open().is_err());
    fs::remove_dir(stopped.views.join("boot")).unwrap();
    let left = folder.open().unwrap().left;
    assert_eq!(left, crate::view_store::Left::InGoodOrder);
}
