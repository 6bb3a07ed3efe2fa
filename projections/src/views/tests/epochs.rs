//! Views of a log that goes on in a later epoch: kept where they still hold,
//! built anew where they have seen what was given up.

use domain::delivery::{DeliveryEvent, Status};
use eventstore::{EpochStart, LogHistory};

use super::*;
use crate::test_log::{created, delivery, user};
use crate::verify::{Difference, witnesses};

/// A log that says that it has come to a later epoch.
#[derive(Debug)]
struct InEpochs {
    log: Arc<dyn EventStore>,
    history: LogHistory,
}

impl eventstore::StoreLayer for InEpochs {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_identity(&self) -> eventstore::LogIdentity {
        self.history.identity()
    }

    fn on_history(&self) -> LogHistory {
        self.history.clone()
    }
}

/// The log in epoch 2, which begins behind a position.
fn second_epoch(log: &TestLog, kept_to: Position) -> Arc<InEpochs> {
    let history = log.store().history().followed_by(EpochStart {
        epoch: 2,
        first_position: kept_to.next(),
    });
    let log = log.store();
    Arc::new(InEpochs { log, history })
}

fn booked(log: &mut TestLog, number: u128) {
    let events = [created(user(1)), DeliveryEvent::Scheduled];
    log.delivery(delivery(number), user(1), events);
}

fn is_scheduled(views: &Views, number: u128) -> bool {
    let row = views.delivery(delivery(number)).unwrap();
    row.is_some_and(|row| row.status == Status::Scheduled)
}

fn clean(folder: &Path, log: &InEpochs) -> Verification {
    verify(folder, log, OPTIONS, &mut |_| {}).unwrap()
}

#[test]
fn views_of_an_earlier_epoch_that_was_kept_go_on_without_being_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let views = open(folder.path(), &log);
    catch_up(&views, &log);
    stop_and_verify(views, folder.path(), &log);
    let kept_to = log.head();
    let later = second_epoch(&log, kept_to);
    assert!(clean(folder.path(), &later).is_clean());

    let log_now = Arc::<InEpochs>::clone(&later);
    let views = Views::open(folder.path(), log_now, OPTIONS).unwrap();
    assert_eq!(*views.applied().borrow(), kept_to, "they hold it already");
    booked(&mut log, 2);
    catch_up(&views, &log);
    assert!(is_scheduled(&views, 1) && is_scheduled(&views, 2));
    views.stop();
    drop(views);
    assert!(clean(folder.path(), &later).is_clean());
    let noted = witnesses(folder.path(), OPTIONS).unwrap();
    assert!(noted.iter().all(|noted| noted.identity.epoch == 2));
}

#[test]
fn views_that_have_seen_what_was_given_up_are_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut long = TestLog::new();
    booked(&mut long, 1);
    booked(&mut long, 2);
    let views = open(folder.path(), &long);
    catch_up(&views, &long);
    drop(views);

    // The log was kept to its first record, and has come as far again since.
    let mut now = TestLog::new();
    booked(&mut now, 1);
    let kept_to = now.head();
    booked(&mut now, 3);
    let later = second_epoch(&now, kept_to);
    let findings = clean(folder.path(), &later).findings;
    let seen = long.head();
    assert_eq!(findings[0].difference, Difference::Beyond { seen, kept_to });

    let log_now = Arc::<InEpochs>::clone(&later);
    let views = Views::open(folder.path(), log_now, OPTIONS).unwrap();
    catch_up(&views, &now);
    assert!(is_scheduled(&views, 1) && is_scheduled(&views, 3));
    assert_eq!(views.delivery(delivery(2)).unwrap(), None);
    views.stop();
    drop(views);
    assert!(clean(folder.path(), &later).is_clean());
}

#[test]
fn views_tell_how_far_they_have_seen_and_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let views_folder = folder.path().join("views");
    assert_eq!(witnesses(&views_folder, OPTIONS).unwrap(), []);
    assert!(!views_folder.exists());
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let views = open(&views_folder, &log);
    catch_up(&views, &log);
    views.stop();
    drop(views);
    for _ in 0..2 {
        let seen = witnesses(&views_folder, OPTIONS).unwrap();
        assert_eq!(seen.len(), PROJECTIONS.len());
        assert!(seen.iter().all(|seen| seen.position == log.head()));
    }
    assert!(views_folder.join("clean").exists());
}
