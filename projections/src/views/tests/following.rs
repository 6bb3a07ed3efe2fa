//! Following the log: over restarts, from other logs, up to what cannot be read.

use std::sync::mpsc;

use domain::delivery::{DeliveryEvent, Status};
use domain::id::DroneId;
use domain::user::UserEvent;

use super::*;
use crate::Flight;
use crate::shared::ReaderState;
use crate::test_log::{assigned, at, contact, created, delivery, mission, unreadable, user};
use crate::verify::Difference;
use crate::view_store::MadeStores;

fn booked(log: &mut TestLog, number: u128) {
    let events = [created(user(1)), DeliveryEvent::Scheduled];
    log.delivery(delivery(number), user(1), events);
}

fn status(views: &Views, number: u128) -> Option<Status> {
    let row = views.delivery(delivery(number)).unwrap();
    row.map(|row| row.status)
}

#[test]
fn views_go_on_where_they_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let views = open(folder.path(), &log);
    catch_up(&views, &log);
    stop_and_verify(views, folder.path(), &log);

    booked(&mut log, 2);
    let views = open(folder.path(), &log);
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 0);
    assert!(views.health().is_ready());
    let page = views.user_deliveries(user(1), &UserDeliveriesQuery::all(10));
    assert_eq!(page.unwrap().items.len(), 2);
    stop_and_verify(views, folder.path(), &log);
}

#[test]
fn views_follow_what_is_appended_while_they_run() {
    let mut log = TestLog::new();
    let views = Views::in_memory(log.store()).unwrap();
    for number in 0..20 {
        booked(&mut log, number);
        catch_up(&views, &log);
        assert_eq!(*views.applied().borrow(), log.head());
    }
}

#[test]
fn a_delivery_a_history_a_user_and_a_drone_are_current_even_where_the_views_are_behind() {
    let mut log = TestLog::new();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    booked(&mut log, 1);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    views.stop();
    let behind = *views.applied().borrow();

    log.delivery(
        delivery(1),
        user(1),
        [assigned(mission(1), 1, Some(at(60)))],
    );
    booked(&mut log, 2);
    log.user(user(2), [UserEvent::UserCreated(contact("bob"))]);

    assert_eq!(*views.applied().borrow(), behind, "nobody feeds the views");
    assert_eq!(status(&views, 1), Some(Status::Assigned));
    assert_eq!(status(&views, 2), Some(Status::Scheduled));
    assert_eq!(status(&views, 3), None);
    let history = |number| views.history(delivery(number)).unwrap();
    assert_eq!(history(1).unwrap().len(), 3);
    assert_eq!(history(2).unwrap().len(), 2);
    assert_eq!(history(3), None);
    let ada = user_now(&views, 1).unwrap();
    assert_eq!((ada.live_deliveries, ada.next_eta), (2, Some(at(60))));
    assert!(user_now(&views, 2).is_some());
    assert_eq!(user_now(&views, 3), None);
    let drone = DroneId::new("M100-07").unwrap();
    let drones = runtime().block_on(views.drones_named(&drone)).unwrap();
    assert_eq!(drones.degraded_since, None);
    let flights: Vec<_> = drones.shown.into_iter().map(|drone| drone.flight).collect();
    let (mission, delivery) = (mission(1), delivery(1));
    assert_eq!(flights, [Some(Flight { mission, delivery })]);
    // A list is as of its view and says so.
    assert_eq!(views.reached(List::Drones), behind);
    assert_eq!(views.drones(None, 10).unwrap(), []);
}

#[test]
fn whoever_waits_for_a_position_is_let_go_before_a_stop() {
    let log = TestLog::new();
    let views = Views::in_memory(log.store()).unwrap();
    let never = log.head().next();
    runtime().block_on(async {
        let ending = async { views.end_waits() };
        let (told, ()) = tokio::join!(views.wait_for_list(List::Tasks, never), ending);
        assert_eq!(told, Err(QueryError::Stopped));
    });
    let told = runtime().block_on(views.wait_for_list(List::Tasks, never));
    assert_eq!(told, Err(QueryError::Stopped), "also who comes later");
    catch_up(&views, &log);
}

#[test]
fn a_user_is_not_answered_from_a_view_that_is_far_behind_and_stays_there() {
    let mut log = TestLog::new();
    let views = Views::in_memory(log.store()).unwrap();
    views.stop();
    for number in 0..=u128::from(OVERLAY_POSITIONS_MAX) {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let answer = runtime().block_on(views.user(user(1)));
    assert_eq!(answer, Err(QueryError::Stopped));
    assert_eq!(
        status(&views, 1),
        Some(Status::Pending),
        "one stream is never far"
    );
}

#[test]
fn views_of_another_log_are_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = TestLog::with_id(1);
    booked(&mut old, 1);
    booked(&mut old, 2);
    let views = open(folder.path(), &old);
    catch_up(&views, &old);
    drop(views);

    let mut new = TestLog::with_id(2);
    booked(&mut new, 3);
    let views = open(folder.path(), &new);
    catch_up(&views, &new);
    assert_eq!(status(&views, 1), None);
    assert_eq!(status(&views, 3), Some(Status::Scheduled));
    stop_and_verify(views, folder.path(), &new);
}

#[test]
fn views_that_have_seen_more_than_the_log_holds_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut long = TestLog::new();
    booked(&mut long, 1);
    booked(&mut long, 2);
    let views = open(folder.path(), &long);
    catch_up(&views, &long);
    drop(views);

    let mut short = TestLog::new();
    booked(&mut short, 1);
    let error = Views::open(folder.path(), short.store(), OPTIONS).unwrap_err();
    let OpenError::Regressed { seen, head, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((seen, head), (long.head(), short.head()));
    let views = open(folder.path(), &long);
    catch_up(&views, &long);
    assert!(views.health().is_ready(), "nothing was changed");
    assert_eq!(views.health().begun_anew, 0, "nothing was changed");
}

/// A folder whose store is not opened before a word comes.
fn opened_at_a_word(word: mpsc::Receiver<()>, store: Arc<MemoryViewStore>) -> ViewFolder {
    ViewFolder::Made(MadeStores(Box::new(move || {
        word.recv().unwrap();
        Arc::<MemoryViewStore>::clone(&store)
    })))
}

#[test]
fn what_is_asked_for_by_its_id_is_answered_while_the_views_are_being_opened() {
    let mut log = TestLog::new();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    booked(&mut log, 1);
    let (word, held) = mpsc::channel();
    let folder = opened_at_a_word(held, Arc::default());
    let views = Views::start(folder, log.store(), Duration::ZERO).unwrap();

    assert!(!views.are_open());
    assert_eq!(views.health().reader, ReaderState::Opening);
    assert!(!views.health().is_ready());
    assert_eq!(status(&views, 1), Some(Status::Scheduled));
    assert_eq!(status(&views, 2), None);
    assert_eq!(user_now(&views, 1).unwrap().live_deliveries, 1);
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(10));
    let (position, wanted) = (Position::START, log.head());
    assert_eq!(list, Err(QueryError::Lagging { position, wanted }));

    word.send(()).unwrap();
    runtime().block_on(views.opened()).unwrap();
    assert!(views.are_open());
    catch_up(&views, &log);
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(10));
    assert_eq!(list.unwrap().items.len(), 1);
}

#[test]
fn views_that_prove_in_the_background_to_have_seen_more_than_the_log_holds_are_not_opened() {
    let mut long = TestLog::new();
    booked(&mut long, 1);
    booked(&mut long, 2);
    let store = Arc::<MemoryViewStore>::default();
    let folder = ViewFolder::Memory(Arc::clone(&store));
    let views = Views::start(folder, long.store(), Duration::MAX).unwrap();
    catch_up(&views, &long);
    drop(views);

    let mut short = TestLog::new();
    booked(&mut short, 1);
    let (word, held) = mpsc::channel();
    let folder = opened_at_a_word(held, store);
    let views = Views::start(folder, short.store(), Duration::ZERO).unwrap();
    word.send(()).unwrap();
    let refusal = runtime().block_on(views.opened()).unwrap_err();
    assert!(matches!(refusal, OpenError::Regressed { .. }), "{refusal}");
    assert!(!views.are_open());
    assert!(matches!(views.health().reader, ReaderState::Failed(_)));
    let waited = runtime().block_on(views.wait_for(short.head()));
    assert_eq!(waited, Err(QueryError::Stopped));
}

#[test]
fn a_record_that_cannot_be_read_parks_its_stream_and_no_view_stands_still() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let readable = log.head();
    unreadable(&log, StreamName::delivery(delivery(1)));
    booked(&mut log, 2);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);

    assert!(views.health().is_ready());
    let health = views.health().views.into_iter();
    let taken: Vec<_> = health
        .map(|view| (view.name, view.parked, view.skipped))
        .collect();
    for expected in [
        ("delivery_status", 1, 0),
        ("user", 1, 0),
        ("user_deliveries", 1, 0),
        ("deliveries", 1, 0),
        ("tasks", 1, 0),
        ("fleet", 0, 1),
        ("statistics", 0, 1),
        // These do not look into it.
        ("delivery_history", 0, 0),
        ("waiting_sessions", 0, 0),
        ("dead_letters", 0, 0),
        ("open_operations", 0, 0),
    ] {
        assert!(taken.contains(&expected), "{expected:?}: {taken:?}");
    }

    // What is not concerned is current; what is says since when it is not.
    let as_known = |number| views.delivery_as_known(delivery(number)).unwrap();
    assert_eq!(status(&views, 2), Some(Status::Scheduled));
    assert_eq!(as_known(2).degraded_since, None);
    assert_eq!(status(&views, 1), Some(Status::Scheduled));
    assert_eq!(as_known(1).degraded_since, Some(readable.next()));
    let history = views.history_as_known(delivery(1)).unwrap();
    assert_eq!(history.shown.unwrap().len(), 3, "it takes it undecoded");
    assert_eq!(history.degraded_since, None);
}

#[test]
fn what_is_parked_is_a_finding_wherever_the_views_stand() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let views = open(folder.path(), &log);
    catch_up(&views, &log);
    stop_and_verify(views, folder.path(), &log);
    let unreadable = unreadable(&log, StreamName::delivery(delivery(1)));
    booked(&mut log, 2);

    // Views that end before the record, and views that stand behind it.
    for _ in 0..2 {
        let found = verified(folder.path(), &log).findings;
        let concerned = found.iter().map(|finding| {
            let Difference::Parked { parked, .. } = &finding.difference else {
                panic!("{finding:?}")
            };
            assert_eq!(parked.position, unreadable);
            finding.view
        });
        let concerned: Vec<_> = concerned.collect();
        for view in ["user", "delivery_status"] {
            assert!(concerned.contains(&view), "{found:?}");
        }
        assert!(!concerned.contains(&"delivery_history"), "{found:?}");

        let views = open(folder.path(), &log);
        catch_up(&views, &log);
    }
}

#[test]
fn a_log_that_leaves_something_out_is_not_followed() {
    let mut log = TestLog::new();
    for number in 0..5 {
        booked(&mut log, number);
    }
    let altered = Arc::new(Altered::new(&log, |page| {
        page.records.retain(|record| record.position.get() != 3);
    }));
    let views = Views::in_memory(altered).unwrap();
    let waited = runtime().block_on(views.wait_for(log.head()));
    assert_eq!(waited, Err(QueryError::Stopped));
    let health = views.health();
    let ReaderState::Failed(why) = &health.reader else {
        panic!("{health:?}");
    };
    assert!(why.contains("position 3 was to come and 4 came"), "{why}");
    assert_eq!(health.applied, Position::START);
}

#[test]
fn a_log_that_stops_before_the_page_ends_is_not_followed() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let altered = Arc::new(Altered::new(&log, |page| page.records.clear()));
    let views = Views::in_memory(altered).unwrap();
    let waited = runtime().block_on(views.wait_for(log.head()));
    assert_eq!(waited, Err(QueryError::Stopped));
}

#[test]
fn lists_are_not_answered_before_the_views_have_caught_up_once() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let altered = Arc::new(Altered::new(&log, |page| page.records.clear()));
    let views = Views::in_memory(altered).unwrap();
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(10));
    let lagging = QueryError::Lagging {
        position: Position::START,
        wanted: log.head(),
    };
    assert_eq!(list, Err(lagging));
}

#[test]
fn stopping_twice_and_asking_afterwards_is_fine() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    views.stop();
    views.stop();
    assert_eq!(status(&views, 1), Some(Status::Scheduled));
    assert_eq!(views.health().reader, ReaderState::Stopped);
    let beyond = runtime().block_on(views.wait_for(log.head().next()));
    assert_eq!(beyond, Err(QueryError::Stopped));
}

#[test]
fn a_closed_log_is_read_to_its_end_and_can_be_stopped() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    log.store.close();
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    views.stop();
    assert_eq!(views.health().applied, log.head());
}

#[test]
fn a_name_that_a_user_gave_finds_the_delivery() {
    let mut log = TestLog::new();
    let name = ExternalId::new("order-7").unwrap();
    let mut order = crate::test_log::order(user(1));
    order.external_id = Some(name.clone());
    log.delivery(
        delivery(7),
        user(1),
        [DeliveryEvent::Created(Box::new(order))],
    );
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    let found = |number| views.delivery_by_external_id(user(number), &name);
    assert_eq!(found(1), Ok(Some(delivery(7))));
    assert_eq!(found(2), Ok(None), "it is the other user's");
    let mut query = UserDeliveriesQuery::all(10);
    query.external_id = Some(name.clone());
    assert_eq!(
        views.user_deliveries(user(1), &query).unwrap().items.len(),
        1
    );
}

#[test]
fn a_user_is_current_and_exact_while_the_views_are_being_fed() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TestLog::new();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    let views = open(folder.path(), &log);
    let head = log.store.head();
    let live_at = || head.borrow().get() - 1;
    let all_ready = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                all_ready.wait();
                loop {
                    let before = live_at();
                    let row = views.user_if_near(user(1)).unwrap().shown.unwrap();
                    let after = live_at();
                    let live = row.live_deliveries;
                    assert!(
                        (before..=after).contains(&live),
                        "{before}..={after}: {live}"
                    );
                    if before == 600 {
                        break;
                    }
                }
            });
        }
        all_ready.wait();
        for number in 0..600 {
            log.delivery(delivery(number), user(1), [created(user(1))]);
            if number % 20 == 0 {
                catch_up(&views, &log);
            }
        }
    });
    catch_up(&views, &log);
    stop_and_verify(views, folder.path(), &log);
}

#[test]
fn a_log_that_can_be_read_again_is_followed_again_though_nothing_is_appended() {
    let mut log = TestLog::new();
    booked(&mut log, 1);
    let mut altered = Altered::new(&log, |_| {});
    altered.failures_left = AtomicU32::new(2);
    let views = Views::in_memory(Arc::new(altered)).unwrap();
    catch_up(&views, &log);
    views.stop();
    assert_eq!(status(&views, 1), Some(Status::Scheduled));
    assert_eq!(views.health().applied, log.head());
}
