//! Two nodes on one log whose clocks differ.

use super::*;

/// By how much clocks may differ, and a little less, since whoever prolongs a claim may be late.
const APART_MS: i64 = 4_500;

/// So many events say that one node is at a payment, the first one when it begins: for longer than a
/// claim lasts that nobody prolongs.
const SAID: usize = 4;

/// The machine's clock, so much ahead.
fn ahead_by(ms: i64) -> Environment {
    let system = Environment::system();
    let (clock, stopwatch) = (system.clone(), system.clone());
    Environment::from_sources(
        move || clock.now_us() + ms * 1_000,
        move || stopwatch.elapsed(),
        move || system.new_id(),
    )
}

/// How often a payment was tried that one node was at when another began to look on, whose clock is
/// ahead by so much, and nobody answers.
async fn tries_beside(ahead_ms: i64) -> u32 {
    let bills = Bills::start(None).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let here = application(Arc::clone(&log) as _, Environment::system(), true);
    let there = application(Arc::clone(&log) as _, ahead_by(ahead_ms), true);
    let settings = RunnerSettings {
        time_scale: TimeScale::REAL,
        ..bills.settings()
    };
    let mut head = here.log().head();
    let mut said = async |times: usize| {
        while events(&log).get("EffectClaimed") < Some(&times) {
            head.changed().await.unwrap();
        }
    };
    let story = async {
        let delivery = booked(&here, 1).await;
        said(1).await;
        running(there, settings.clone(), said(SAID)).await;
        until(&here, delivery, |_| true).await.attempts()
    };
    tokio::select! {
        tries = running(here.clone(), settings.clone(), story) => tries,
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_clocks_that_differ_by_less_than_five_seconds_then_no_other_node_tries_what_one_is_at()
 {
    let tries = tokio::join!(tries_beside(APART_MS), tries_beside(-APART_MS));
    assert_eq!(tries, (1, 1));
}

#[tokio::test]
async fn given_a_clock_that_is_ahead_by_more_than_a_claim_lasts_then_its_node_tries_too() {
    assert!(tries_beside(60_000).await > 1);
}
