//! A change that is overtaken before it is answered.

use domain::codec::StoredEvent as _;
use domain::delivery::{CancelReason, DeliveryEvent};
use domain::id::DeliveryId;
use eventstore::{Appending, EventStore, StoreLayer};

use super::*;
use crate::application::Precondition;
use crate::application::tests::request;

/// A log in which a delivery is cancelled as soon as it is rescheduled.
#[derive(Debug)]
struct Overtaking {
    log: Arc<MemoryEventStore>,
    other: Application,
}

impl StoreLayer for Overtaking {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_append(&self, commit: Commit) -> Appending {
        let mut known = DeliveryEvent::TYPES.iter();
        let known = known.find(|known| known.name == "Rescheduled").unwrap();
        let is_it = |part: &&Part| {
            let mut events = part.events.iter();
            events.any(|event| event.event_type.0 == known.number)
        };
        let changed = commit.parts.iter().find(is_it);
        let changed = changed.map(|part| DeliveryId::from_uuid(part.stream.key));
        let (log, other) = (Arc::clone(&self.log), self.other.clone());
        Box::pin(async move {
            let appended = log.append(commit).await;
            if let Some(delivery) = changed {
                let why = (CancelReason::Mistake, None);
                let cancelled = other.cancel(request(), delivery, &Precondition::None, why);
                cancelled.await.unwrap();
            }
            appended
        })
    }
}

#[tokio::test]
async fn given_a_change_that_is_overtaken_then_its_answer_shows_what_it_made_as_its_replay_does() {
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let other = Application::new(
        log.clone(),
        Environment::fixed(NOW_US),
        Thresholds::default(),
    );
    let views = Views::in_memory(log.clone()).unwrap();
    let overtaking = Arc::new(Overtaking {
        log: Arc::clone(&log),
        other,
    });
    let scene = Scene::with_store(overtaking, log, views, NOW_US, &config());
    let user = scene.user("ada@example.org").await;
    let created = scene.post("/v1/deliveries", order(&user)).await;
    let path = format!("/v1/deliveries/{}", created.text("/id"));
    let headers = [("idempotency-key", "\"1\""), ("if-match", "*")];
    let body = json!({"deliver_by": "2199-01-01T00:00:00Z"});
    let first = scene
        .call("PATCH", &path, &headers, Some(body.clone()))
        .await;
    assert_eq!(
        (first.status, first.text("/status").as_str()),
        (200, "scheduled")
    );
    let again = scene.call("PATCH", &path, &headers, Some(body)).await;
    assert_eq!(again.header("idempotency-replayed"), "?1");
    assert_eq!(again.body, first.body);
    for header in ["etag", "stream-position"] {
        assert_eq!(again.header(header), first.header(header));
    }
    let now = scene.get(&path).await;
    assert_eq!(now.text("/status"), "cancelled");
}
