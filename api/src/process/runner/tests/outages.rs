//! A cluster that is away, or slow: what it keeps waiting keeps nothing else waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use super::logs::{Away, Slow};
use super::*;

#[tokio::test]
async fn given_a_cluster_that_was_away_when_an_operation_was_to_go_on_then_it_does_once_that_is_back()
 {
    let bills = Bills::start(Some(AUTHORIZED)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let away = Away::over(&log);
    let customers = application(log, still(), true);
    // No time passes here, so that nothing is tried again later.
    let runner = application(Arc::clone(&away) as _, still(), true);
    let story = async {
        away.is_out.store(true, Ordering::Relaxed);
        let booked = [booked(&customers, 1).await, booked(&customers, 2).await];
        let mut asked = away.asked.subscribe();
        asked.wait_for(|asked| *asked > 100).await.unwrap();
        for delivery in booked {
            let waits = until(&customers, delivery, |_| true).await;
            assert_eq!(waits.attempts(), 0);
        }
        away.is_out.store(false, Ordering::Relaxed);
        for delivery in booked {
            until(&customers, delivery, stands).await;
        }
    };
    tokio::select! {
        () = running(runner, bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_an_operation_whose_append_is_not_answered_then_the_others_go_on_meanwhile() {
    let bills = Bills::start(Some(AUTHORIZED)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let away = Away::over(&log);
    let customers = application(log, Environment::system(), true);
    let runner = application(Arc::clone(&away) as _, Environment::system(), true);
    let story = async {
        let first = OperationId::of_booking(DeliveryId::from_uuid(Uuid::from_u128(1)));
        *away.unanswered.lock().unwrap() = Some(first.uuid());
        let first = booked(&customers, 1).await;
        let mut hanging = away.hanging.subscribe();
        hanging.wait_for(|hanging| *hanging).await.unwrap();
        let second = booked(&customers, 2).await;
        until(&customers, second, stands).await;
        let waits = until(&customers, first, |_| true).await;
        assert_eq!(waits.attempts(), 0);
    };
    tokio::select! {
        () = running(runner, bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test(start_paused = true)]
async fn given_a_claim_that_took_long_to_be_written_down_then_it_is_prolonged_at_once() {
    let bills = Bills::start(None).await;
    let late = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&late);
    let ids = Environment::system();
    let environment = Environment::from_sources(
        || 1_800_000_000_000_000,
        move || Duration::from_secs(clock.load(Ordering::Relaxed)),
        move || ids.new_id(),
    );
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let slow = Slow::over(&log, late);
    let customers = application(Arc::clone(&log) as _, still(), true);
    let runner = application(slow, environment, true);
    let story = async {
        booked(&customers, 1).await;
        let mut head = customers.log().head();
        while !events(&log).contains_key("EffectClaimed") {
            head.changed().await.unwrap();
        }
        let prolonged = async {
            while events(&log).get("EffectClaimed") < Some(&2) {
                head.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(2), prolonged);
        in_time.await.expect("it is prolonged at once");
    };
    tokio::select! {
        () = running(runner, bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}
