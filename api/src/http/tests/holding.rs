//! Views that hang: writes wait for them, and nothing else does.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use eventstore::{Budget, EventStore, Filter, Page, Position, ReadError, StoreLayer};

use super::*;

/// The thread that feeds the views.
const FEEDER: &str = "views";

/// A log that the views' thread cannot follow while the gate is closed;
/// everybody else reads it, as an answer about a user does.
#[derive(Debug)]
struct Gated {
    log: Arc<MemoryEventStore>,
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gated {
    fn set(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

impl StoreLayer for Gated {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        if std::thread::current().name() == Some(FEEDER) {
            let closed = self.is_closed.lock().unwrap();
            drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
        }
        self.log.read_all(after, filter, budget)
    }
}

/// Waits until the views hold writes, or do not.
async fn until_held(scene: &Scene, is_held: bool) {
    let turn = async {
        while scene.get("/v1/projections").await.at("/holds_writes") != is_held {
            tokio::task::yield_now().await;
        }
    };
    let turned = tokio::time::timeout(Duration::from_secs(30), turn).await;
    assert!(turned.is_ok(), "writes are held: not {is_held} in time");
}

fn ada(number: u32) -> Value {
    json!({"name": "Ada", "email": format!("ada-{number}@example.org")})
}

#[tokio::test]
async fn writes_are_refused_while_the_views_hang_and_taken_again_afterwards() {
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let gated = Arc::new(Gated {
        log: Arc::clone(&log),
        is_closed: Mutex::new(false),
        opened: Condvar::new(),
    });
    let views = Views::in_memory(Arc::<Gated>::clone(&gated)).unwrap();
    let scene = Scene::with_views(log, views, NOW_US, &config());
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let delivery = format!("/v1/deliveries/{delivery}");

    gated.set(true);
    let late = scene.post("/v1/users", ada(0)).await;
    assert_eq!(late.status, 201, "they are not behind for long yet");
    until_held(&scene, true).await;

    let refused = scene.post("/v1/users", ada(1)).await;
    assert_eq!(refused.problem(503).0, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(
        refused.text("/detail").contains("five seconds behind"),
        "{refused:?}"
    );
    let asked = scene.call("POST", "/v1/projections/user/rebuild", &[], None);
    assert_eq!(asked.await.status, 202, "it writes nothing");
    assert_eq!(scene.get(&delivery).await.status, 200);
    assert_eq!(scene.get("/v1/deliveries").await.status, 200);
    let list = scene.get("/v1/projections").await;
    assert!(
        list.at("/items/0/lag_ms").as_u64() > Some(5_000),
        "{list:?}"
    );

    gated.set(false);
    until_held(&scene, false).await;
    assert_eq!(scene.post("/v1/users", ada(1)).await.status, 201);
}
