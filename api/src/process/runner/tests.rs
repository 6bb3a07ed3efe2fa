//! The runner over a log in memory, with a billing service on a socket.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::scheduling::{Operation, SchedulingSettings, Step};
use domain::stream::StreamName;
use domain::translation::Thresholds;
use eventstore::{
    Appending, Commit, EventStore, Health, LogHistory, LogIdentity, MemoryEventStore, Position,
    ReadError, StreamId, StreamPage, StreamVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::*;
use crate::application::SchedulingRules;
use crate::application::tests::booked;
use crate::environment::Environment;

/// Longer than any of it may take; who needs as long has hung.
const TIME_MAX: Duration = Duration::from_secs(20);

/// A log that takes one commit at a time. The first one that says what a payment came to
/// waits, while nobody else gets in, until another wants to.
#[derive(Debug)]
struct OneAtATime {
    log: Arc<MemoryEventStore>,
    place: Arc<Mutex<()>>,
    wanted: watch::Sender<u64>,
    waiting: watch::Sender<bool>,
    has_waited: AtomicBool,
}

impl OneAtATime {
    fn over(log: &Arc<MemoryEventStore>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            place: Arc::default(),
            wanted: watch::Sender::new(0),
            waiting: watch::Sender::new(false),
            has_waited: AtomicBool::new(false),
        })
    }

    fn is_payment(commit: &Commit) -> bool {
        let events = commit.parts.iter().flat_map(|part| &part.events);
        let numbers: Vec<_> = events.map(|event| event.event_type.0).collect();
        let known = OperationEvent::TYPES.iter();
        let mut payments = known.filter(|known| known.name == "PaymentAuthorized");
        payments.any(|known| numbers.contains(&known.number))
    }
}

impl EventStore for OneAtATime {
    fn append(&self, commit: Commit) -> Appending {
        let waits = Self::is_payment(&commit) && !self.has_waited.swap(true, Ordering::Relaxed);
        self.wanted.send_modify(|wanted| *wanted += 1);
        let mut wanted = self.wanted.subscribe();
        let (place, waiting) = (Arc::clone(&self.place), self.waiting.clone());
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            let _place = place.lock().await;
            if waits {
                waiting.send_replace(true);
                wanted.changed().await.expect("the log is still there");
            }
            log.append(commit).await
        })
    }

    fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        self.log.read_stream(stream, after, budget)
    }

    fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        self.log.read_all(after, filter, budget)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.log.head()
    }

    fn identity(&self) -> LogIdentity {
        self.log.identity()
    }

    fn history(&self) -> LogHistory {
        self.log.history()
    }

    fn health(&self) -> Health {
        self.log.health()
    }
}

/// Authorizes whatever it is asked for, on a connection for each; never ends.
async fn authorize_all(listener: TcpListener) {
    let body = r#"{"authorization_id": "a-1", "status": "authorized"}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    while let Ok((mut connection, _)) = listener.accept().await {
        // A request of a few hundred bytes comes in one piece, or the rest of it is of no concern.
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await;
        let _ = connection.write_all(answer.as_bytes()).await;
    }
}

fn application(store: Arc<dyn EventStore>) -> Application {
    let settings = SchedulingSettings {
        has_billing: true,
        ..SchedulingSettings::default()
    };
    let rules = SchedulingRules {
        settings,
        ..SchedulingRules::default()
    };
    let environment = Environment::fixed(1_800_000_000_000_000);
    Application::new(store, environment, Thresholds::default()).with_scheduling(rules)
}

/// Waits until the booking of a delivery stands.
async fn stands(application: &Application, delivery: DeliveryId) {
    let mut head = application.log().head();
    let name = StreamName::operation(OperationId::of_booking(delivery));
    loop {
        let operation = application.loader().load::<Option<Operation>>(name);
        let operation = operation.unwrap().state.unwrap();
        if operation.step() > Some(Step::Payment) {
            return;
        }
        head.changed().await.unwrap();
    }
}

#[tokio::test]
async fn what_an_effect_holds_while_its_outcome_is_written_down_comes_free_though_others_wait_for_it()
 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let narrow = OneAtATime::over(&log);
    let mut writes_payment = narrow.waiting.subscribe();
    let (customers, narrowed) = (application(log), application(narrow));
    let settings = RunnerSettings {
        time_scale: TimeScale::REAL,
        tick: Duration::from_hours(1),
        billing: Some(Billing::new(&url, None).unwrap()),
    };
    let views = Views::in_memory(Arc::clone(customers.log())).unwrap();
    let runner = Runner::new(narrowed, Arc::new(views), settings).unwrap();
    let (stop, stopping) = watch::channel(false);

    let story = async {
        let first = booked(&customers, 1).await;
        writes_payment.wait_for(|it| *it).await.unwrap();
        let second = booked(&customers, 2).await;
        stands(&customers, first).await;
        stands(&customers, second).await;
        stop.send_replace(true);
    };
    let all = async { tokio::join!(runner.run(stopping), story) };
    tokio::select! {
        ended = tokio::time::timeout(TIME_MAX, all) => assert!(ended.is_ok(), "it hangs"),
        () = authorize_all(listener) => unreachable!("it never ends"),
    }
}
