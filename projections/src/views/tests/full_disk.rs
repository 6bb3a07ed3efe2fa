//! A disk without room: nothing is taken for damaged, and everything goes on once there is some.

use std::sync::atomic::AtomicBool;

use super::troubled::{Doing, Troubled};
use super::*;
use crate::shared::ReaderState;
use crate::test_log::{created, delivery, user};
use crate::view_store::{MadeStores, ViewStore};

const ID: RebuildId = RebuildId([7; 16]);
const ANOTHER: RebuildId = RebuildId([8; 16]);

/// A disk that what a rebuild writes fills.
#[derive(Debug, Default)]
struct SmallDisk {
    /// There is no room for what a rebuild writes.
    is_small: AtomicBool,
    /// There is room for nothing any more.
    is_full: AtomicBool,
}

impl SmallDisk {
    fn take(&self, doing: Doing<'_>) -> Result<(), ViewStoreError> {
        let is_of_rebuild = matches!(doing, Doing::Applying(tree) if tree.ends_with("-1"));
        if is_of_rebuild && self.is_small.load(Ordering::SeqCst) {
            self.is_full.store(true, Ordering::SeqCst);
        }
        let is_reading = matches!(doing, Doing::Reading);
        if !is_reading && self.is_full.load(Ordering::SeqCst) {
            return Err(ViewStoreError::NoRoom {
                doing: "writing",
                why: "no space left on device".to_owned(),
            });
        }
        Ok(())
    }
}

/// Views of some deliveries on such a disk, which follow.
fn on(disk: &Arc<SmallDisk>, log: &TestLog) -> Views {
    let views = started_on(disk, log);
    catch_up(&views, log);
    views
}

/// The same, whatever becomes of them.
fn started_on(disk: &Arc<SmallDisk>, log: &TestLog) -> Views {
    let (store, disk) = (Arc::<MemoryViewStore>::default(), Arc::clone(disk));
    let open = move || {
        let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
        let troubled = Troubled::new(store, move |doing| disk.take(doing));
        Arc::new(troubled) as Arc<dyn ViewStore>
    };
    let folder = ViewFolder::Made(MadeStores(Box::new(open)));
    Views::start(folder, log.store(), Duration::MAX).unwrap()
}

fn deliveries() -> TestLog {
    let mut log = TestLog::new();
    for number in 0..20 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    log
}

/// Waits until the rebuild is over, and says how it ended.
fn ended(views: &Views, id: RebuildId) -> RebuildStatus {
    let is_over = |(_, status): &(&str, RebuildStatus)| match status {
        RebuildStatus::Waiting | RebuildStatus::Running { .. } => false,
        RebuildStatus::Succeeded | RebuildStatus::Failed { .. } => true,
    };
    runtime().block_on(async {
        loop {
            if let Some((_, status)) = views.rebuild_status(id).filter(is_over) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    })
}

#[test]
fn a_rebuild_that_fills_the_disk_is_given_up_and_the_views_go_on_once_there_is_room() {
    let (mut log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    let views = on(&disk, &log);
    disk.is_small.store(true, Ordering::SeqCst);
    assert_eq!(views.rebuild("user_deliveries", ID), Some(ID));
    let failed = ended(&views, ID);
    assert!(
        matches!(&failed, RebuildStatus::Failed { why } if why.contains("make room on the disk")),
        "{failed:?}"
    );
    let reader = views.health().reader;
    assert!(
        matches!(&reader, ReaderState::WaitingForRoom(why) if why.contains("no space left")),
        "{reader:?}"
    );
    log.delivery(delivery(20), user(1), [created(user(1))]);
    for number in 0..=20 {
        let row = views.delivery(delivery(number)).unwrap();
        assert!(row.is_some(), "{number} is in the log");
    }

    disk.is_full.store(false, Ordering::SeqCst);
    catch_up(&views, &log);
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert_eq!(list.unwrap().items.len(), 21);
    assert_eq!(ended(&views, ID), failed, "it is kept");
    assert_eq!(
        views.health().begun_anew,
        0,
        "nothing was taken for damaged"
    );
    assert!(views.shared.set().building().is_empty());

    disk.is_small.store(false, Ordering::SeqCst);
    assert_eq!(views.rebuild("user_deliveries", ANOTHER), Some(ANOTHER));
    assert_eq!(ended(&views, ANOTHER), RebuildStatus::Succeeded);
    assert_eq!(ended(&views, ID), failed, "also when another one is over");
    let health = views.health().views;
    let lists = health.iter().find(|view| view.name == "user_deliveries");
    let counted = lists.map(|view| (view.rebuilds_succeeded, view.rebuilds_failed));
    assert_eq!(counted, Some((1, 1)), "though nobody looked at the metrics");
}

#[test]
fn a_rebuild_that_cannot_be_begun_has_failed_and_the_next_one_is_begun_once_there_is_room() {
    // Given views that follow, on a disk that has become full.
    let (log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    let views = on(&disk, &log);
    disk.is_full.store(true, Ordering::SeqCst);

    // When two rebuilds are asked for.
    assert_eq!(views.rebuild("user_deliveries", ID), Some(ID));
    assert_eq!(views.rebuild("fleet", ANOTHER), Some(ANOTHER));

    // Then the first has failed and says why, and the other is not forgotten.
    let failed = runtime().block_on(async {
        loop {
            match views.rebuild_status(ID) {
                Some((_, RebuildStatus::Waiting)) => tokio::task::yield_now().await,
                told => break told,
            }
        }
    });
    assert!(
        matches!(&failed, Some((_, RebuildStatus::Failed { why })) if why.contains("make room on the disk")),
        "{failed:?}"
    );
    let waits = views.rebuild_status(ANOTHER);
    assert_eq!(waits, Some(("fleet", RebuildStatus::Waiting)));
    disk.is_full.store(false, Ordering::SeqCst);
    assert_eq!(ended(&views, ANOTHER), RebuildStatus::Succeeded);
    assert_eq!(views.rebuild_status(ID), failed, "it is kept");
    let health = views.health().views;
    let counted = health.iter().map(|view| view.rebuilds_failed).sum::<u64>();
    assert_eq!(counted, 1, "once");
}

#[test]
fn a_disk_that_is_full_while_the_views_follow_is_waited_for() {
    let (mut log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    let views = on(&disk, &log);
    disk.is_full.store(true, Ordering::SeqCst);
    log.delivery(delivery(20), user(1), [created(user(1))]);
    runtime().block_on(async {
        while views.health().reader == ReaderState::Following {
            tokio::task::yield_now().await;
        }
    });
    assert!(views.delivery(delivery(20)).unwrap().is_some());
    disk.is_full.store(false, Ordering::SeqCst);
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 0);
    views.stop();
}

#[test]
fn views_can_be_stopped_while_their_disk_is_full() {
    let (mut log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    let views = on(&disk, &log);
    disk.is_full.store(true, Ordering::SeqCst);
    log.delivery(delivery(20), user(1), [created(user(1))]);
    runtime().block_on(async {
        while views.health().reader == ReaderState::Following {
            tokio::task::yield_now().await;
        }
    });
    views.stop();
    assert!(views.delivery(delivery(20)).unwrap().is_some());
}

#[test]
fn a_disk_that_is_full_at_the_start_keeps_nobody_from_what_needs_no_views() {
    let (mut log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    disk.is_full.store(true, Ordering::SeqCst);
    let views = started_on(&disk, &log);
    let health = views.health();
    assert!(
        matches!(&health.reader, ReaderState::WaitingForRoom(why) if why.contains("make room on the disk")),
        "{health:?}"
    );
    assert!(!health.is_ready());
    assert!(!views.are_open(), "what they have seen is not known yet");
    for number in 0..20 {
        assert!(views.delivery(delivery(number)).unwrap().is_some());
    }
    assert!(user_now(&views, 1).is_none(), "the log has none");
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert!(matches!(list, Err(QueryError::Lagging { .. })), "{list:?}");

    disk.is_full.store(false, Ordering::SeqCst);
    log.delivery(delivery(20), user(1), [created(user(1))]);
    catch_up(&views, &log);
    runtime().block_on(views.opened()).unwrap();
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert_eq!(list.unwrap().items.len(), 21);
    assert_eq!(
        views.health().begun_anew,
        0,
        "nothing was taken for damaged"
    );
}

#[test]
fn views_that_wait_for_room_since_the_start_can_be_stopped() {
    let (log, disk) = (deliveries(), Arc::<SmallDisk>::default());
    disk.is_full.store(true, Ordering::SeqCst);
    let views = started_on(&disk, &log);
    assert!(views.stop_within(Duration::MAX));
    assert_eq!(views.health().reader, ReaderState::Stopped);
    assert!(views.delivery(delivery(1)).unwrap().is_some());
}
