//! The runner over a log in memory, with a billing service on a socket.

use std::collections::HashMap;
use std::sync::Arc;

use domain::delivery::CancelReason;
use domain::id::DeliveryId;
use domain::scheduling::{Operation, SchedulingSettings, Step};
use domain::time::DurationMs;
use domain::translation::Thresholds;
use eventstore::{EventStore, Filter, MemoryEventStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::application::tests::{booked, request};
use crate::application::{Precondition, SchedulingRules};
use crate::environment::Environment;

mod clocks;
mod crowds;
mod logs;
mod outages;
mod sharing;

use logs::{Damage, OneAtATime, Unreadable};

/// Longer than any of it may take; who needs as long has hung.
const TIME_MAX: Duration = Duration::from_secs(20);

/// In which no time passes.
fn still() -> Environment {
    Environment::fixed(1_800_000_000_000_000)
}

fn application(store: Arc<dyn EventStore>, environment: Environment, billing: bool) -> Application {
    let settings = SchedulingSettings {
        has_billing: billing,
        ..SchedulingSettings::default()
    };
    let rules = SchedulingRules {
        settings,
        ..SchedulingRules::default()
    };
    Application::new(store, environment, Thresholds::default()).with_scheduling(rules)
}

/// A billing service that gives one answer to all, on a connection for each.
struct Bills {
    listener: TcpListener,
    answer: watch::Sender<Option<String>>,
}

const AUTHORIZED: &str = "200 OK\r\nconnection: close\r\ncontent-length: 51\r\n\r\n\
     {\"authorization_id\": \"a-1\", \"status\": \"authorized\"}";

impl Bills {
    /// Without an answer the connections are left hanging until there is one.
    async fn start(answer: Option<&str>) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            answer: watch::Sender::new(answer.map(str::to_owned)),
        }
    }

    fn settings(&self) -> RunnerSettings {
        let url = format!("http://{}/", self.listener.local_addr().unwrap());
        RunnerSettings {
            billing: Some(Billing::new(&url, None).unwrap()),
            ..settings()
        }
    }

    async fn serve(&self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((connection, _)) = self.listener.accept() => {
                    connections.spawn(answer(connection, self.answer.subscribe()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn answer(mut connection: TcpStream, mut answer: watch::Receiver<Option<String>>) {
    // A request of a few hundred bytes comes in one piece, or the rest of it is of no concern.
    let mut request = [0; 4096];
    let _ = connection.read(&mut request).await;
    let answer = answer.wait_for(Option::is_some).await.map(|it| it.clone());
    let answer = format!("HTTP/1.1 {}", answer.ok().flatten().unwrap_or_default());
    let _ = connection.write_all(answer.as_bytes()).await;
}

/// Without a billing service, for a world in which what is waited for is soon over.
fn settings() -> RunnerSettings {
    RunnerSettings {
        time_scale: TimeScale::new(1_000).unwrap(),
        tick: Duration::from_millis(2),
        billing: None,
        limits: Limits::USUAL,
    }
}

/// Runs what an application has to go on with while a story is told.
async fn running<T>(
    application: Application,
    settings: RunnerSettings,
    story: impl Future<Output = T>,
) -> T {
    let log = Arc::clone(application.log());
    running_beside(log, application, settings, story).await
}

/// The same with the views of another log than the application's.
async fn running_beside<T>(
    viewed: Arc<dyn EventStore>,
    application: Application,
    settings: RunnerSettings,
    story: impl Future<Output = T>,
) -> T {
    let views = Views::in_memory(viewed).unwrap();
    let runner = Runner::new(application, Arc::new(views), settings).unwrap();
    let (_stop, stopping) = watch::channel(false);
    tokio::select! {
        biased;
        () = runner.run(stopping) => unreachable!("nobody stops it"),
        told = tokio::time::timeout(TIME_MAX, story) => told.expect("it hangs"),
    }
}

/// Waits until the operation that books a delivery is as it should be.
async fn until(
    application: &Application,
    delivery: DeliveryId,
    is_so: impl Fn(&Operation) -> bool,
) -> Operation {
    let mut head = application.log().head();
    loop {
        head.mark_unchanged();
        let operation = application.operation(OperationId::of_booking(delivery));
        let (operation, _) = operation.unwrap().unwrap();
        if is_so(&operation) {
            return operation;
        }
        head.changed().await.unwrap();
    }
}

fn stands(operation: &Operation) -> bool {
    operation.step() > Some(Step::Payment)
}

async fn cancelled(customers: &Application, delivery: DeliveryId) {
    let why = (CancelReason::CustomerRequest, None);
    let cancelled = customers.cancel(request(), delivery, &Precondition::None, why);
    cancelled.await.unwrap();
}

/// How often each kind of event of an operation is in the log.
fn events(log: &MemoryEventStore) -> HashMap<&'static str, usize> {
    let all = log.read_all(
        Position::default(),
        &Filter::everything(),
        Budget {
            records_max: usize::MAX,
            bytes_max: usize::MAX,
        },
    );
    let mut events = HashMap::new();
    for event in all
        .unwrap()
        .records
        .iter()
        .flat_map(|record| &record.events)
    {
        let mut known = OperationEvent::TYPES.iter();
        let known = known.find(|known| known.number == event.event_type.0);
        if let Some(known) = known {
            *events.entry(known.name).or_default() += 1;
        }
    }
    events
}

#[tokio::test]
async fn what_an_effect_holds_while_its_outcome_is_written_down_comes_free_though_others_wait_for_it()
 {
    let bills = Bills::start(Some(AUTHORIZED)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let narrow = OneAtATime::over(&log);
    let mut writes_payment = narrow.waiting.subscribe();
    let customers = application(log, still(), true);
    let narrowed = application(narrow, still(), true);
    let settings = RunnerSettings {
        time_scale: TimeScale::REAL,
        tick: Duration::from_hours(1),
        ..bills.settings()
    };
    let story = async {
        let first = booked(&customers, 1).await;
        writes_payment.wait_for(|it| *it).await.unwrap();
        let second = booked(&customers, 2).await;
        until(&customers, first, stands).await;
        until(&customers, second, stands).await;
    };
    tokio::select! {
        () = running(narrowed, settings, story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_a_billing_service_that_wants_to_be_asked_again_at_once_then_it_is_a_second_later() {
    let at_once = "503 Not Now\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let bills = Bills::start(Some(at_once)).await;
    let customers = application(Arc::new(MemoryEventStore::new(Uuid::nil())), still(), true);
    let story = async {
        let delivery = booked(&customers, 1).await;
        let is_deferred = |operation: &Operation| operation.deferrals() > 0;
        let operation = until(&customers, delivery, is_deferred).await;
        let wanted = customers.now().unwrap().plus(DurationMs::from_seconds(1));
        assert_eq!(operation.retry_at(), Some(wanted));
    };
    tokio::select! {
        () = running(customers.clone(), bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_more_payments_than_places_while_billing_hangs_then_nothing_is_written_for_who_waits_and_the_rest_goes_on()
 {
    let bills = Bills::start(None).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let customers = application(Arc::clone(&log) as _, Environment::system(), true);
    let story = async {
        let mut deliveries = Vec::new();
        for number in 1..=u128::try_from(Limits::USUAL.effects).unwrap() + 3 {
            deliveries.push(booked(&customers, number).await);
        }
        let mut head = customers.log().head();
        while events(&log).get("EffectClaimed") < Some(&Limits::USUAL.effects) {
            head.changed().await.unwrap();
        }
        let waits = |delivery: &DeliveryId| {
            let operation = customers.operation(OperationId::of_booking(*delivery));
            operation.unwrap().unwrap().0.attempts() == 0
        };
        let waiting: Vec<_> = deliveries.iter().copied().filter(waits).collect();
        assert_eq!(waiting.len(), 3);
        cancelled(&customers, waiting[1]).await;
        until(&customers, waiting[1], Operation::has_ended).await;
        let written = events(&log);
        assert_eq!(written["EffectClaimed"], Limits::USUAL.effects);
        assert_eq!(written.get("DeadlineSet"), None, "{written:?}");

        bills.answer.send_replace(Some(AUTHORIZED.to_owned()));
        for delivery in deliveries.iter().filter(|it| **it != waiting[1]) {
            until(&customers, *delivery, stands).await;
        }
    };
    tokio::select! {
        () = running(customers.clone(), bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

/// The machine's own clocks, and how often it was asked how much time has passed: each round asks.
fn counted() -> (Environment, watch::Receiver<u64>) {
    let (asked, rounds) = watch::channel(0);
    let environment = Environment::system();
    let (clock, stopwatch, ids) = (environment.clone(), environment.clone(), environment);
    let elapsed = move || {
        asked.send_modify(|asked| *asked += 1);
        stopwatch.elapsed()
    };
    let counted = Environment::from_sources(move || clock.now_us(), elapsed, move || ids.new_id());
    (counted, rounds)
}

#[tokio::test]
async fn given_a_payment_to_take_back_and_no_billing_service_then_it_waits_quietly_until_there_is_one()
 {
    let bills = Bills::start(Some(AUTHORIZED)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let customers = application(Arc::clone(&log) as _, Environment::system(), true);
    let paid = async {
        let delivery = booked(&customers, 1).await;
        until(&customers, delivery, stands).await;
        delivery
    };
    let delivery = tokio::select! {
        delivery = running(customers.clone(), bills.settings(), paid) => delivery,
        () = bills.serve() => unreachable!("it never ends"),
    };

    let (environment, mut rounds) = counted();
    let without = application(Arc::clone(&log) as _, environment, false);
    let story = async {
        cancelled(&without, delivery).await;
        rounds.wait_for(|rounds| *rounds > 50).await.unwrap();
        let before = events(&log);
        rounds.wait_for(|rounds| *rounds > 150).await.unwrap();
        assert_eq!(events(&log), before);
        let operation = without.operation(OperationId::of_booking(delivery));
        let (operation, _) = operation.unwrap().unwrap();
        assert!(!operation.has_ended());
        assert_eq!(
            operation
                .next_at()
                .filter(|at| *at <= without.now().unwrap()),
            None
        );
    };
    running(without.clone(), settings(), story).await;

    let voided = until(&customers, delivery, |it| {
        it.has_ended() && it.authorization_to_void().is_none()
    });
    tokio::select! {
        _ = running(customers.clone(), bills.settings(), voided) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_an_operation_that_cannot_be_read_then_the_others_go_on_and_so_does_it_once_it_can() {
    for damage in [Damage::Fails, Damage::Panics] {
        let bills = Bills::start(Some(AUTHORIZED)).await;
        let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
        let damaged = Unreadable::over(&log);
        let customers = application(log, Environment::system(), true);
        let runner = application(Arc::clone(&damaged) as _, Environment::system(), true);
        let story = async {
            let one = OperationId::of_booking(DeliveryId::from_uuid(Uuid::from_u128(1)));
            damaged.streams.lock().unwrap().insert(one.uuid(), damage);
            let (first, second) = (booked(&customers, 1).await, booked(&customers, 2).await);
            until(&customers, second, stands).await;
            let third = booked(&customers, 3).await;
            until(&customers, third, stands).await;
            let waits = until(&customers, first, |_| true).await;
            assert_eq!(waits.attempts(), 0, "{damage:?}");

            damaged.streams.lock().unwrap().clear();
            until(&customers, first, stands).await;
        };
        tokio::select! {
            () = running(runner, bills.settings(), story) => {}
            () = bills.serve() => unreachable!("it never ends"),
        }
    }
}
