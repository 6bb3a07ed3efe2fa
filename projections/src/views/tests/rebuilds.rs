//! Views that are built anew beside the ones that answer.

use std::sync::atomic::AtomicBool;

use domain::stream::Category;
use eventstore::Record;
use proptest::prelude::*;

use super::engines::engine;
use super::*;
use crate::any_log::{Service, happenings};
use crate::key::{Key, KeyRange};
use crate::overlay::Overlay;
use crate::projection::{Facts, Projection};
use crate::slot::RebuildId;
use crate::test_log::{created, delivery, user};
use crate::view_store::{Direction, Entry, OpenedStore};

const ID: RebuildId = RebuildId([7; 16]);

fn entries(view: &View) -> Vec<Entry> {
    let all = KeyRange::all();
    view.tree()
        .scan(&all, Direction::Forward, usize::MAX)
        .unwrap()
}

fn dump(set: &ViewSet) -> Vec<Vec<Entry>> {
    set.views().iter().map(|view| entries(view)).collect()
}

/// How many records a delivery has, times a factor by which versions differ.
struct Tally {
    version: u32,
    factor: u8,
    retired: Option<&'static dyn Projection>,
    /// It panics at every record while this holds.
    is_broken: &'static AtomicBool,
}

impl Projection for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn retired(&self) -> Option<&'static dyn Projection> {
        self.retired
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        assert!(!self.is_broken.load(Ordering::Relaxed), "it is broken");
        let key = Key::row().id(record.stream.key.as_bytes());
        let tally = view.get(&key)?.map_or(0, |tally| tally[0]);
        view.put(key, vec![tally + self.factor]);
        Ok(())
    }
}

static IN_ORDER: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicBool = AtomicBool::new(true);
static OLD: Tally = Tally {
    version: 1,
    factor: 1,
    retired: None,
    is_broken: &IN_ORDER,
};
static NEW: Tally = Tally {
    version: 2,
    factor: 10,
    retired: Some(&OLD),
    is_broken: &IN_ORDER,
};
static NEWEST: Tally = Tally {
    version: 3,
    factor: 20,
    retired: None,
    is_broken: &IN_ORDER,
};
static NEW_BUT_BROKEN: Tally = Tally {
    version: 2,
    factor: 10,
    retired: Some(&OLD),
    is_broken: &BROKEN,
};

pub(super) const OLD_ONLY: Projections = &[&OLD];
pub(super) const NEW_ONLY: Projections = &[&NEW];
const NEWEST_ONLY: Projections = &[&NEWEST];
const NEW_BUT_BROKEN_ONLY: Projections = &[&NEW_BUT_BROKEN];

pub(super) fn tallies(set: &ViewSet) -> Vec<u8> {
    let view = set.view(&OLD);
    entries(&view)
        .into_iter()
        .map(|(_, value)| value[0])
        .collect()
}

/// Three deliveries of one record each, and the tallies of an old release.
fn built_by_the_old_release() -> (TestLog, ViewFolder) {
    let mut log = TestLog::new();
    for number in 1..=3 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let set = log.opened_with(OLD_ONLY, &mut folder);
    log.feed(&set);
    assert_eq!(tallies(&set), [1, 1, 1]);
    (log, folder)
}

pub(super) fn checked(set: ViewSet) -> ViewSet {
    while !set.is_checked() {
        set.check_on(100).unwrap();
    }
    set
}

#[test]
fn a_new_version_is_built_beside_the_old_one_which_serves_and_follows() {
    let (mut log, mut folder) = built_by_the_old_release();
    let set = checked(log.opened_with(NEW_ONLY, &mut folder));
    assert_eq!(tallies(&set), [1, 1, 1], "the old one serves");
    log.delivery(delivery(4), user(1), [created(user(1))]);
    log.feed(&set);
    assert_eq!(tallies(&set), [1, 1, 1, 1], "and follows");
    while set.has_work() {
        set.build_on(&*log.store).unwrap();
    }
    assert_eq!(tallies(&set), [10, 10, 10, 10]);
    assert_eq!(set.view(&NEW).position(), log.head());

    drop(set);
    let set = checked(log.opened_with(NEW_ONLY, &mut folder));
    assert_eq!(tallies(&set), [10, 10, 10, 10], "also after a restart");
    assert!(!set.has_work());
}

#[test]
fn a_version_whose_code_is_gone_is_built_anew_in_its_place() {
    let (log, mut folder) = built_by_the_old_release();
    let set = checked(log.opened_with(NEWEST_ONLY, &mut folder));
    assert_eq!(tallies(&set), [] as [u8; 0]);
    log.feed(&set);
    assert_eq!(tallies(&set), [20, 20, 20]);
}

#[test]
fn a_new_view_that_cannot_be_built_is_given_up_and_the_old_one_goes_on() {
    let (mut log, mut folder) = built_by_the_old_release();
    let set = checked(log.opened_with(NEW_BUT_BROKEN_ONLY, &mut folder));
    set.begin_rebuild("tally", Some(ID)).unwrap();
    while set.has_work() {
        set.build_on(&*log.store).unwrap();
    }
    let (view, status) = set.rebuild_status(ID).unwrap();
    assert_eq!(view, "tally");
    assert!(matches!(&status, RebuildStatus::Failed { why } if why.contains("it is broken")));
    let reopened = log.opened_with(NEW_BUT_BROKEN_ONLY, &mut folder);
    let kept = reopened.rebuild_status(ID);
    assert_eq!(kept, Some(("tally", status)), "also after a restart");
    log.delivery(delivery(4), user(1), [created(user(1))]);
    log.feed(&set);
    assert_eq!(tallies(&set), [1, 1, 1, 1]);
}

#[test]
fn a_view_that_was_replaced_goes_when_its_last_reader_is_done() {
    let (log, mut folder) = built_by_the_old_release();
    let OpenedStore { store, .. } = folder.open().unwrap();
    let set = checked(log.opened_with(NEW_ONLY, &mut folder));
    let held = set.view(&OLD);
    for _ in 0..10 {
        set.build_on(&*log.store).unwrap();
    }
    assert_eq!(tallies(&set), [10, 10, 10]);
    assert_eq!(
        entries(&held).len(),
        3,
        "whoever reads it goes on reading it"
    );
    assert!(store.tree_names().unwrap().contains(&"tally-v1".to_owned()));
    drop(held);
    while set.has_work() {
        set.build_on(&*log.store).unwrap();
    }
    assert_eq!(store.tree_names().unwrap(), ["tally-v2"]);
    assert!(!set.has_work());
}

#[test]
fn what_a_crash_left_of_a_tree_that_goes_is_removed() {
    let mut log = TestLog::new();
    for number in 0..20 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let set = checked(log.opened(&mut folder));
    log.feed(&set);
    set.begin_rebuild("delivery_status", None).unwrap();
    while !set.building().is_empty() {
        set.build_on(&*log.store).unwrap();
    }
    let names = |folder: &mut ViewFolder| folder.open().unwrap().store.tree_names().unwrap();
    assert_eq!(names(&mut folder).len(), PROJECTIONS.len() + 1, "it goes");
    drop(set);

    let set = checked(log.opened(&mut folder));
    // Another rebuild meanwhile has a tree of its own.
    set.begin_rebuild("delivery_status", None).unwrap();
    while set.has_work() {
        set.build_on(&*log.store).unwrap();
    }
    assert_eq!(names(&mut folder).len(), PROJECTIONS.len());
    assert_eq!(dump(&set), dump(&log.folded()));
}

/// What happens to a service while views are built anew.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Something is appended, and followed.
    Happens,
    /// Something is appended.
    HappensUnseen,
    /// A rebuild of this view is asked for.
    Rebuild(usize, u8),
    /// A page is built on.
    BuildOn,
    /// The process is killed and started again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Happens),
        1 => Just(Step::HappensUnseen),
        2 => (0..PROJECTIONS.len(), any::<u8>()).prop_map(|(which, id)| Step::Rebuild(which, id)),
        3 => Just(Step::BuildOn),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// Law: whatever happens meanwhile, a view that is built anew changes no
    /// answer, and in the end every view is that of one fold.
    #[test]
    fn a_rebuild_changes_nothing(
        happenings in happenings(60),
        steps in steps(),
        engine in engine(),
    ) {
        let (mut service, mut place) = (Service::new(), engine.place());
        let mut set = service.log.opened(&mut place.folder);
        let mut happenings = happenings.iter();
        for step in steps {
            match step {
                Step::Happens | Step::HappensUnseen => {
                    if let Some(happening) = happenings.next() {
                        service.happen(happening);
                    }
                    if let Step::Happens = step {
                        service.log.feed(&set);
                        prop_assert_eq!(dump(&set), dump(&service.log.folded()));
                    }
                }
                Step::Rebuild(which, id) => {
                    let view = PROJECTIONS[which].name();
                    set.begin_rebuild(view, Some(RebuildId([id; 16]))).unwrap();
                }
                Step::BuildOn => {
                    let before = set.applied();
                    set.build_on(&*service.log.store).unwrap();
                    prop_assert_eq!(set.applied(), before, "no answer becomes older or newer by it");
                }
                Step::Restart => {
                    drop(set);
                    set = checked(service.log.opened(&mut place.folder));
                }
            }
        }
        service.log.feed(&set);
        while set.has_work() {
            set.build_on(&*service.log.store).unwrap();
        }
        prop_assert_eq!(dump(&set), dump(&service.log.folded()));
        drop(set);
        let trees = place.folder.open().unwrap().store.tree_names().unwrap().len();
        prop_assert_eq!(trees, PROJECTIONS.len());
    }
}

#[test]
fn a_rebuild_that_is_asked_for_is_made_while_the_views_follow() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TestLog::new();
    for number in 0..50 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let views = open(folder.path(), &log);
    catch_up(&views, &log);
    assert_eq!(views.rebuild("delivery_status", ID), Some(ID));
    assert_eq!(views.rebuild("nothing", ID), None);
    log.delivery(delivery(50), user(1), [created(user(1))]);
    let mut rebuilds = views.turns();
    let done = rebuilds.wait_for(|()| {
        views.rebuild_status(ID) == Some(("delivery_status", RebuildStatus::Succeeded))
    });
    runtime().block_on(done).unwrap();
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 0, "nothing was damaged");
    stop_and_verify(views, folder.path(), &log);
}

/// Takes the row of the only delivery away, as if it had never been written.
fn lose_the_row(views: &Views) {
    let status = views.shared.set().view(&DeliveryStatus);
    let checkpoint = status.tree().checkpoint().unwrap().unwrap();
    let (key, _) = entries(&status).remove(0);
    let writes = vec![(key, None)];
    let lost = crate::view_store::Batch { writes, checkpoint };
    status.tree().apply(&lost).unwrap();
}

/// How often the view was found to be wrong, and whether it is being mended.
fn drifted(views: &Views) -> (u64, bool) {
    let views = views.health().views;
    let view = views.iter().find(|view| view.name == "delivery_status");
    view.map(|view| (view.drifted, view.rebuilding.is_some()))
        .unwrap()
}

#[test]
fn a_view_that_is_not_what_the_log_says_is_noticed_and_built_anew_a_few_times() {
    // Given a view that lacks a row.
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    for time in 1..=3 {
        lose_the_row(&views);

        // Then it is noticed, by an audit, and mended.
        let is_mended = |(): &()| drifted(&views) == (time, false) && views.health().audited > 0;
        runtime()
            .block_on(views.turns().wait_for(is_mended))
            .unwrap();
        assert!(views.delivery(delivery(1)).unwrap().is_some());
        assert_eq!(views.health().begun_anew, 0);
        let folded = log.folded();
        assert_eq!(
            entries(&views.shared.set().view(&DeliveryStatus)),
            entries(&folded.view(&DeliveryStatus))
        );
    }

    // When it lacks it again, then that is counted and no more.
    lose_the_row(&views);
    let audited = views.health().audited;
    let is_audited = |(): &()| views.health().audited > audited + 3;
    runtime()
        .block_on(views.turns().wait_for(is_audited))
        .unwrap();
    let (times, is_rebuilt) = drifted(&views);
    assert!(times > 6 && !is_rebuilt, "{times}, {is_rebuilt}");
    let view = views.shared.set().view(&DeliveryStatus);
    assert!(
        view.tree_name().ends_with("-3"),
        "it is the third rebuild's"
    );
}
