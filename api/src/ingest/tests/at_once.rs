//! The process of a delivery ends at the moment at which its life goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::delivery::ReopenedAs;
use domain::scheduling::OperationEvent;
use domain::text::Comment;
use eventstore::{Appending, Commit, StoreLayer};
use tokio::sync::Notify;

use super::*;
use crate::application::deliveries::handover::OperatorsWord;
use crate::application::tests::request;
use crate::application::{Advanced, Claiming, Look, Precondition};

/// A log that holds up the first commit with an event of one type until it is told to go on.
#[derive(Debug)]
struct HeldUp {
    log: Arc<MemoryEventStore>,
    event_type: u16,
    has_been: AtomicBool,
    reached: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl StoreLayer for HeldUp {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_append(&self, commit: Commit) -> Appending {
        let mut events = commit.parts.iter().flat_map(|part| &part.events);
        let is_it = events.any(|event| event.event_type.0 == self.event_type);
        if !is_it || self.has_been.swap(true, Ordering::Relaxed) {
            return self.log.append(commit);
        }
        let log = Arc::clone(&self.log);
        let (reached, goes_on) = (Arc::clone(&self.reached), Arc::clone(&self.goes_on));
        Box::pin(async move {
            reached.notify_one();
            goes_on.notified().await;
            log.append(commit).await
        })
    }
}

fn number_of<E: StoredEvent>(name: &str) -> u16 {
    let known = E::TYPES.iter().find(|known| known.name == name);
    known.unwrap().number
}

/// Who says that the life of a delivery goes on.
#[derive(Clone, Copy, Debug)]
enum Voice {
    Drone,
    Operator,
}

impl Service {
    /// A delivery whose drone crashed with the package, and its process not looked at since.
    async fn with_a_crash() -> (Self, Arc<MemoryEventStore>) {
        let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
        let application = application_on(Arc::<MemoryEventStore>::clone(&log));
        let delivery = booked(&application, 1).await;
        let service = Self {
            store: Arc::<MemoryEventStore>::clone(&log),
            ingest: Ingest::new(application, LIMITS),
            delivery,
        };
        let mut told = flight(delivery);
        told.truncate(4);
        told.push(event("0001", 5, "crashed", &json!({})));
        service.receive(&told).await;
        assert!(matches!(service.delivery().status(), Status::Failed));
        (service, log)
    }

    async fn hears_that_it_goes_on(&self, voice: Voice) {
        match voice {
            Voice::Drone => {
                let returned = event("0001", 6, "returned", &json!({"to": "hub"}));
                self.receive(&[returned]).await;
            }
            Voice::Operator => {
                let word = OperatorsWord::Reopen {
                    to: ReopenedAs::InTransit,
                    reason: Comment::new("it lives").unwrap(),
                };
                let application = self.ingest.application();
                application
                    .heed(request(), self.delivery, &Precondition::None, word)
                    .await
                    .unwrap();
            }
        }
    }

    async fn looks_at_the_booking(&self) {
        let application = self.ingest.application();
        let now = application.now().unwrap();
        let look = Look {
            now,
            deadlines_to: now,
            claims: Claiming::Never,
            is_quota_used_up: false,
        };
        let booking = OperationId::of_booking(self.delivery);
        let looked = application.look_at(booking, look).await;
        assert_eq!(looked, Ok(Advanced::Waits));
    }

    fn booking(&self) -> Operation {
        let booking = StreamName::operation(OperationId::of_booking(self.delivery));
        self.load::<Option<Operation>>(booking).unwrap()
    }
}

/// The same service behind a log that holds up the first commit with an event of one type.
fn held_up(
    service: &Service,
    log: &Arc<MemoryEventStore>,
    event_type: u16,
) -> (Service, [Arc<Notify>; 2]) {
    let (reached, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let store: Arc<dyn EventStore> = Arc::new(HeldUp {
        log: Arc::clone(log),
        event_type,
        has_been: AtomicBool::new(false),
        reached: Arc::clone(&reached),
        goes_on: Arc::clone(&goes_on),
    });
    let held_up = Service {
        ingest: Ingest::new(application_on(Arc::clone(&store)), LIMITS),
        store,
        delivery: service.delivery,
    };
    (held_up, [reached, goes_on])
}

#[tokio::test]
async fn given_a_process_that_ends_while_its_delivery_is_being_reopened_then_it_goes_on() {
    for voice in [Voice::Drone, Voice::Operator] {
        let (service, log) = Service::with_a_crash().await;
        let reopened = number_of::<DeliveryEvent>("Reopened");
        let (slow, [reached, goes_on]) = held_up(&service, &log, reopened);
        let meanwhile = async {
            reached.notified().await;
            service.looks_at_the_booking().await;
            assert!(service.booking().has_ended());
            goes_on.notify_one();
        };
        tokio::join!(slow.hears_that_it_goes_on(voice), meanwhile);
        assert!(!service.delivery().status().is_terminal(), "{voice:?}");
        assert!(!service.booking().has_ended(), "{voice:?}");
    }
}

#[tokio::test]
async fn given_a_delivery_that_is_reopened_while_its_process_ends_then_that_goes_on() {
    for voice in [Voice::Drone, Voice::Operator] {
        let (service, log) = Service::with_a_crash().await;
        let ended = number_of::<OperationEvent>("ProcessEnded");
        let (slow, [reached, goes_on]) = held_up(&service, &log, ended);
        let meanwhile = async {
            reached.notified().await;
            service.hears_that_it_goes_on(voice).await;
            goes_on.notify_one();
        };
        tokio::join!(slow.looks_at_the_booking(), meanwhile);
        assert!(!service.delivery().status().is_terminal(), "{voice:?}");
        assert!(!service.booking().has_ended(), "{voice:?}");
        // Nor was done what belongs to an end.
        let booking = StreamName::operation(OperationId::of_booking(service.delivery));
        let events = service
            .ingest
            .application()
            .loader()
            .events(booking)
            .unwrap();
        assert!(!events.contains(&OperationEvent::PackageFreed), "{voice:?}");
        // Yet it is another life.
        assert!(
            events.contains(&OperationEvent::ProcessResumed),
            "{voice:?}"
        );
    }
}
