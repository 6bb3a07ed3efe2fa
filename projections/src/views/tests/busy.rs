//! A log that always has more: what is asked for beside following it is done all the same.

use super::*;
use crate::test_log::{created, delivery, user};

const ID: RebuildId = RebuildId([7; 16]);

/// Records that come by themselves, at most: without an end a test would have none either.
const COME_MAX: u32 = 50_000;

/// A log to which one record more is appended whenever the views read a page of it.
#[derive(Debug)]
struct Growing {
    log: Mutex<TestLog>,
    store: Arc<dyn EventStore>,
    come: AtomicU32,
}

impl Growing {
    fn grow(&self) {
        let number = u128::from(self.come.fetch_add(1, Ordering::SeqCst));
        let mut log = self.log.lock().unwrap();
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }

    fn come(&self) -> u32 {
        self.come.load(Ordering::SeqCst)
    }
}

impl eventstore::StoreLayer for Growing {
    fn beneath(&self) -> &dyn EventStore {
        &*self.store
    }

    fn on_read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<eventstore::Page, ReadError> {
        let page = self.store.read_all(after, filter, budget);
        if (1..COME_MAX).contains(&self.come()) {
            self.grow();
        }
        page
    }
}

#[test]
fn a_rebuild_is_made_although_there_is_always_something_to_be_fed() {
    // Given views that are never where the log ends, from its first record on.
    let log = TestLog::new();
    let store = log.store();
    let growing = Arc::new(Growing {
        log: Mutex::new(log),
        store,
        come: AtomicU32::new(0),
    });
    let views = Views::in_memory(Arc::<Growing>::clone(&growing)).unwrap();
    growing.grow();

    // When a rebuild is asked for, then it is made while that goes on.
    assert_eq!(views.rebuild("fleet", ID), Some(ID));
    let mut turns = views.turns();
    let made =
        turns.wait_for(|()| views.rebuild_status(ID) == Some(("fleet", RebuildStatus::Succeeded)));
    runtime().block_on(made).unwrap();
    let come = growing.come();
    assert!(come < COME_MAX, "not before the log was at rest");
}
