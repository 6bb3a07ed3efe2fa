//! A store that hangs: it is given up, and nobody waits for it.

use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::stream::Category;
use eventstore::Record;

use super::troubled::{Doing, Troubled};
use super::*;
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::shared::{ReaderState, WriteHold};
use crate::test_log::{created, delivery, user};
use crate::view_store::{MadeStores, ViewStore};

const ID: RebuildId = RebuildId([7; 16]);

/// A word that somebody waits for.
#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// Somebody has come to it.
    is_met: AtomicBool,
}

impl Gate {
    fn pass(&self) {
        self.is_met.store(true, Ordering::SeqCst);
        let is_open = self.is_open.lock().unwrap();
        drop(
            self.opened
                .wait_while(is_open, |is_open| !*is_open)
                .unwrap(),
        );
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// A store whose writes hang until the gate is open.
fn hanging(gate: &Arc<Gate>) -> Arc<dyn ViewStore> {
    let gate = Arc::clone(gate);
    Arc::new(Troubled::new(Arc::default(), move |doing| {
        if matches!(doing, Doing::Applying(_)) {
            gate.pass();
        }
        Ok(())
    }))
}

#[test]
fn a_store_that_hangs_is_given_up_and_everything_is_answered_meanwhile() {
    let mut log = TestLog::new();
    for number in 0..20 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let gate = Arc::<Gate>::default();
    let mut stores = vec![
        Arc::<MemoryViewStore>::default() as Arc<dyn ViewStore>,
        hanging(&gate),
    ];
    let folder = ViewFolder::Made(MadeStores(Box::new(move || stores.pop().unwrap())));
    let tick = Duration::from_millis(2);
    let views = Views::start_with(PROJECTIONS, folder, log.store(), Duration::MAX, tick).unwrap();

    let row = views.delivery(delivery(7)).unwrap();
    assert!(
        row.is_some(),
        "answered from the log while the writer hangs"
    );
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 1);
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert_eq!(list.unwrap().items.len(), 20);

    // The thread that was given up comes back, and does no harm.
    gate.open();
    log.delivery(delivery(20), user(1), [created(user(1))]);
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 1);
    views.stop();
}

#[test]
fn whoever_comes_after_one_that_has_waited_in_vain_does_not_wait() {
    // Given a view whose write hangs.
    let mut log = TestLog::new();
    let (gate, reads) = (Arc::<Gate>::default(), Arc::<AtomicU32>::default());
    let (at_the_gate, read) = (Arc::clone(&gate), Arc::clone(&reads));
    let store = Arc::new(Troubled::new(Arc::default(), move |doing| {
        if matches!(doing, Doing::Applying(_)) {
            at_the_gate.pass();
        }
        if doing == Doing::Reading && !feeds() {
            read.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }));
    let spare = Arc::<MemoryViewStore>::default();
    let views = views_in(vec![spare, store], &log, TICK);
    log.delivery(delivery(1), user(1), [created(user(1))]);
    until(|| gate.is_met.load(Ordering::SeqCst));

    // When it is asked again and again, then all is answered from the log before the
    // store is given up: each would otherwise have waited half a second or more.
    for _ in 0..40 {
        assert!(views.delivery(delivery(1)).unwrap().is_some());
    }
    let before = reads.load(Ordering::SeqCst);
    let health = views.health();
    assert_eq!(health.begun_anew, 0, "ten seconds are over");
    assert_eq!(health.applied, Position::START);
    assert_eq!(
        reads.load(Ordering::SeqCst),
        before,
        "nothing is read for it"
    );

    // And once it goes on, it shows what it has.
    gate.open();
    catch_up(&views, &log);
    until(|| views.health().applied == log.head());
    assert_eq!(
        views.shared.set().view(&DeliveryStatus).read().position(),
        log.head()
    );
}

/// What a store is at when it hangs, and what brings it there.
#[derive(Clone, Copy, Debug)]
enum Hangs {
    /// A flush, with which a rebuild begins.
    Flush,
    /// A row is read to fold on with.
    Read,
    /// A note is written, with which a rebuild begins.
    Note,
}

impl Hangs {
    fn is_at(self, doing: Doing<'_>) -> bool {
        match self {
            Self::Flush => doing == Doing::Flushing,
            Self::Read => doing == Doing::Reading,
            Self::Note => doing == Doing::Writing,
        }
    }
}

/// Whether this is the thread that feeds the views; whoever else comes to a
/// disk that hangs is not waited for by anybody.
fn feeds() -> bool {
    std::thread::current().name() == Some("views")
}

/// A store that hangs whatever it is at does so once the views follow: they are
/// begun anew, and meanwhile nobody who asks how they are, or for something by
/// its id, waits.
fn given_up_wherever_it_hangs(hangs: Hangs) {
    let mut log = TestLog::new();
    for number in 0..20 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let (gate, is_armed) = (Arc::<Gate>::default(), Arc::<AtomicBool>::default());
    let (at_the_gate, armed) = (Arc::clone(&gate), Arc::clone(&is_armed));
    let store = Arc::new(Troubled::new(Arc::default(), move |doing| {
        if hangs.is_at(doing) && feeds() && armed.load(Ordering::SeqCst) {
            at_the_gate.pass();
        }
        Ok(())
    }));
    let spare = Arc::<MemoryViewStore>::default();
    let views = views_in(vec![spare, store], &log, Duration::from_millis(5));
    catch_up(&views, &log);
    is_armed.store(true, Ordering::SeqCst);
    let rebuild = match hangs {
        Hangs::Flush | Hangs::Note => views.rebuild("user", ID),
        Hangs::Read => None,
    };
    if rebuild.is_none() {
        log.delivery(delivery(20), user(1), [created(user(1))]);
    }
    until(|| gate.is_met.load(Ordering::SeqCst));
    if rebuild.is_some() {
        log.delivery(delivery(20), user(1), [created(user(1))]);
    }

    let health = views.health();
    assert_eq!(health.head, log.head(), "{hangs:?}");
    assert_eq!(views.rebuild_status(ID).is_some(), rebuild.is_some());
    for number in 0..=20 {
        assert!(views.delivery(delivery(number)).unwrap().is_some());
    }
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 1, "{hangs:?}");
    let failed = views.rebuild_status(ID);
    let is_told = matches!(
        &failed,
        Some(("user", RebuildStatus::Failed { why })) if why.contains("begun anew")
    );
    assert_eq!(is_told, rebuild.is_some(), "{failed:?}");
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert_eq!(list.unwrap().items.len(), 21);

    // The thread that was given up comes back, and does no harm.
    gate.open();
    log.delivery(delivery(21), user(1), [created(user(1))]);
    catch_up(&views, &log);
    assert_eq!(views.health().begun_anew, 1);
    views.stop();
    assert_eq!(views.health().reader, ReaderState::Stopped);
}

#[test]
fn a_store_that_hangs_in_a_flush_is_given_up() {
    given_up_wherever_it_hangs(Hangs::Flush);
}

#[test]
fn a_store_that_hangs_in_a_read_is_given_up() {
    given_up_wherever_it_hangs(Hangs::Read);
}

#[test]
fn a_store_that_hangs_in_a_note_is_given_up() {
    given_up_wherever_it_hangs(Hangs::Note);
}

/// Views in the stores of this list, the last first.
fn views_in(stores: Vec<Arc<dyn ViewStore>>, log: &TestLog, tick: Duration) -> Views {
    let folder = taking(stores);
    Views::start_with(PROJECTIONS, folder, log.store(), Duration::MAX, tick).unwrap()
}

fn taking(mut stores: Vec<Arc<dyn ViewStore>>) -> ViewFolder {
    ViewFolder::Made(MadeStores(Box::new(move || stores.pop().unwrap())))
}

/// Waits, without any time limit but the test runner's, until it is so.
fn until(is_so: impl Fn() -> bool) {
    runtime().block_on(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn how_old_the_views_are_grows_while_they_hang_and_writes_wait_until_they_follow() {
    let mut log = TestLog::new();
    let gate = Arc::<Gate>::default();
    let spare = Arc::<MemoryViewStore>::default();
    // So slow that it is not given up before the test is over.
    let tick = Duration::from_millis(100);
    let views = views_in(vec![spare, hanging(&gate)], &log, tick);
    assert_eq!(views.health().lag, Duration::ZERO);
    assert_eq!(views.holds_writes(), None);

    log.delivery(delivery(1), user(1), [created(user(1))]);
    until(|| views.holds_writes() == Some(WriteHold::Behind));
    assert!(views.shared.lag() > 20 * tick);
    assert!(views.shared.lag_of("delivery_status") > 20 * tick);

    gate.open();
    catch_up(&views, &log);
    until(|| views.holds_writes().is_none());
    until(|| views.health().lag == Duration::ZERO);
    let health = views.health();
    assert!(
        health.views.iter().all(|view| view.lag == Duration::ZERO),
        "{health:?}"
    );
}

#[test]
fn a_store_that_hangs_again_and_again_is_given_up_for_good_and_holds_writes() {
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    let gate = Arc::<Gate>::default();
    let stores = (0..4).map(|_| hanging(&gate)).collect();
    let views = views_in(stores, &log, Duration::from_millis(2));
    let waited = runtime().block_on(views.wait_for(log.head()));
    assert_eq!(waited, Err(QueryError::Stopped));
    let health = views.health();
    assert_eq!(health.begun_anew, 3);
    let ReaderState::Failed(why) = &health.reader else {
        panic!("{health:?}");
    };
    assert!(why.contains("hung again and again"), "{why}");
    until(|| views.holds_writes().is_some());
    assert!(views.delivery(delivery(1)).unwrap().is_some());

    // All that were given up come back, and change nothing.
    gate.open();
    assert!(views.stop_within(Duration::MAX));
    assert_eq!(views.health().begun_anew, 3);
    assert!(matches!(views.health().reader, ReaderState::Failed(_)));
}

#[test]
fn views_whose_store_hangs_are_stopped_all_the_same() {
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    let gate = Arc::<Gate>::default();
    let views = views_in(vec![hanging(&gate)], &log, Duration::from_secs(1));
    until(|| gate.is_met.load(Ordering::SeqCst));
    assert!(!views.stop_within(Duration::from_millis(20)));
    assert!(views.delivery(delivery(1)).unwrap().is_some());
    // Nothing is left to be waited for.
    assert!(views.stop_within(Duration::MAX));
    gate.open();
}

/// A view that can fold nothing and stands still.
#[derive(Debug)]
struct Broken;

impl Projection for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn version(&self) -> u32 {
        1
    }

    fn poison(&self) -> Poison {
        Poison::Halt
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        _view: &mut Overlay<'_>,
        record: &Record,
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        panic!("it cannot fold {}", record.position)
    }
}

#[test]
fn a_view_that_stands_still_holds_no_writes() {
    const SOME: Projections = &[&Broken, &DeliveryHistory];
    let mut log = TestLog::new();
    let store = Arc::<MemoryViewStore>::default();
    // Also after a restart, when it never comes to where the log ended.
    for number in 0..2 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
        // So slow that a panic, which takes its time, is not taken for a store that hangs.
        let tick = Duration::from_millis(20);
        let folder = taking(vec![Arc::clone(&store) as Arc<dyn ViewStore>]);
        let views = Views::start_with(SOME, folder, log.store(), Duration::MAX, tick).unwrap();
        let told = |name: &str| {
            let views = views.health().views;
            let view = views.into_iter().find(|view| view.name == name).unwrap();
            (view.halted.is_some(), view.lag)
        };
        until(|| told("broken").0 && told("broken").1 > 40 * tick);
        until(|| told("delivery_history") == (false, Duration::ZERO));
        assert_eq!(views.health().lag, Duration::ZERO);
        assert_eq!(views.holds_writes(), None);
    }
}
