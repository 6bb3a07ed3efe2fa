//! A store that hangs: it is given up, and nobody waits for it.

use std::sync::Condvar;

use super::*;
use crate::key::KeyRange;
use crate::test_log::{created, delivery, user};
use crate::view_store::{Batch, Checkpoint, Direction, Entry, MadeStores, ViewStore, ViewTree};

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

/// A store whose writes hang once the gate is there.
#[derive(Debug)]
struct Hanging {
    store: MemoryViewStore,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct HangingTree {
    tree: Arc<dyn ViewTree>,
    gate: Arc<Gate>,
}

impl ViewStore for Hanging {
    fn open_tree(&self, name: &str) -> Result<Arc<dyn ViewTree>, ViewStoreError> {
        let (tree, gate) = (self.store.open_tree(name)?, Arc::clone(&self.gate));
        Ok(Arc::new(HangingTree { tree, gate }))
    }

    fn remove_tree(&self, name: &str) -> Result<(), ViewStoreError> {
        self.store.remove_tree(name)
    }

    fn tree_names(&self) -> Result<Vec<String>, ViewStoreError> {
        self.store.tree_names()
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        self.store.note(name)
    }

    fn set_note(&self, name: &str, note: &[u8]) -> Result<(), ViewStoreError> {
        self.store.set_note(name, note)
    }

    fn stash(&self, tree: &str, writes: &[u8]) -> Result<(), ViewStoreError> {
        self.store.stash(tree, writes)
    }

    fn stashed(&self, tree: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        self.store.stashed(tree)
    }

    fn drop_stash(&self, tree: &str) -> Result<(), ViewStoreError> {
        self.store.drop_stash(tree)
    }

    fn flush(&self) -> Result<(), ViewStoreError> {
        self.store.flush()
    }

    fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        self.store.size_bytes()
    }
}

impl ViewTree for HangingTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError> {
        self.tree.get(key)
    }

    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        self.tree.scan(range, direction, limit)
    }

    fn apply(&self, batch: &Batch) -> Result<(), ViewStoreError> {
        self.gate.pass();
        self.tree.apply(batch)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError> {
        self.tree.checkpoint()
    }
}

#[test]
fn a_store_that_hangs_is_given_up_and_everything_is_answered_meanwhile() {
    let mut log = TestLog::new();
    for number in 0..20 {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
    let gate = Arc::<Gate>::default();
    let hangs = Arc::clone(&gate);
    let mut stores = vec![
        Arc::<MemoryViewStore>::default() as Arc<dyn ViewStore>,
        Arc::new(Hanging {
            store: MemoryViewStore::default(),
            gate: hangs,
        }),
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
    let hanging = Hanging {
        store: MemoryViewStore::default(),
        gate: Arc::clone(&gate),
    };
    let mut stores = vec![Arc::new(hanging) as Arc<dyn ViewStore>];
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
