//! A store that hangs: it is given up, and nobody waits for it.

use std::sync::Condvar;

use super::troubled::{Doing, Troubled};
use super::*;
use crate::test_log::{created, delivery, user};
use crate::view_store::{MadeStores, ViewStore};

/// A word that somebody waits for.
#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
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
        if let Doing::Applying(_) = doing {
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
    assert_eq!(views.health().rebuilds, 1);
    let list = views.user_deliveries(user(1), &UserDeliveriesQuery::all(50));
    assert_eq!(list.unwrap().items.len(), 20);

    // The thread that was given up comes back, and does no harm.
    gate.open();
    log.delivery(delivery(20), user(1), [created(user(1))]);
    catch_up(&views, &log);
    assert_eq!(views.health().rebuilds, 1);
    views.stop();
}

#[test]
fn how_old_the_views_are_grows_while_they_hang_and_is_nothing_when_they_follow() {
    let mut log = TestLog::new();
    let gate = Arc::<Gate>::default();
    let mut stores = vec![hanging(&gate)];
    let folder = ViewFolder::Made(MadeStores(Box::new(move || stores.pop().unwrap())));
    let views = Views::start_with(
        PROJECTIONS,
        folder,
        log.store(),
        Duration::MAX,
        // So that it is not given up before the test is over.
        Duration::from_millis(100),
    )
    .unwrap();
    assert_eq!(views.lag(), Some(Duration::ZERO));
    log.delivery(delivery(1), user(1), [created(user(1))]);
    let grows = async {
        while views.health().lag < Duration::from_millis(300) {
            tokio::task::yield_now().await;
        }
    };
    runtime().block_on(grows);
    gate.open();
    catch_up(&views, &log);
    let follows = async {
        while views.health().lag > Duration::ZERO {
            tokio::task::yield_now().await;
        }
    };
    runtime().block_on(follows);
}
