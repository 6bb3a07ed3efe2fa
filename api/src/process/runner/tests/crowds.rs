//! More than is looked at together, and what is not heard at once: nobody is forgotten over it.

use std::sync::atomic::Ordering;

use super::*;

const NOT_NOW: &str = "503 Not Now\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Less than what is to be done in these tests.
const FEW: Limits = Limits {
    round: 4,
    effects: 1,
    agenda: AgendaLimits {
        failing: 100,
        crowd: 1,
    },
};

fn is_put_off(operation: &Operation) -> bool {
    operation.deferrals() > 0
}

#[tokio::test]
async fn given_more_overdue_operations_that_fail_than_a_round_takes_when_one_is_booked_beside_them_then_it_goes_on_each_time_it_is_due()
 {
    let bills = Bills::start(Some(NOT_NOW)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let customers = application(Arc::clone(&log) as _, Environment::system(), true);
    let limits = Limits { effects: 64, ..FEW };
    let settings = RunnerSettings {
        limits,
        ..bills.settings()
    };
    let put_off = async {
        let mut deliveries = Vec::new();
        for number in 1..=3 * u128::try_from(limits.round).unwrap() {
            let delivery = booked(&customers, number).await;
            until(&customers, delivery, is_put_off).await;
            deliveries.push(delivery);
        }
        deliveries
    };
    let overdue = tokio::select! {
        overdue = running(customers.clone(), settings.clone(), put_off) => overdue,
        () = bills.serve() => unreachable!("it never ends"),
    };

    let damaged = Unreadable::over(&log);
    for delivery in overdue {
        let operation = OperationId::of_booking(delivery).uuid();
        let mut streams = damaged.streams.lock().unwrap();
        streams.insert(operation, Damage::Fails);
    }
    let runner = application(damaged, Environment::system(), true);
    let story = async {
        let beside = booked(&customers, 99).await;
        until(&customers, beside, is_put_off).await;
        // Nobody speaks of it: from now on only the view knows, behind all that come before it.
        bills.answer.send_replace(Some(AUTHORIZED.to_owned()));
        until(&customers, beside, stands).await;
    };
    tokio::select! {
        () = running(runner, settings, story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_more_that_wait_for_a_place_than_are_kept_in_mind_then_those_are_found_again_as_well()
{
    let bills = Bills::start(None).await;
    let (environment, mut rounds) = counted();
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let customers = application(log, environment, true);
    let settings = RunnerSettings {
        limits: FEW,
        ..bills.settings()
    };
    let story = async {
        let mut deliveries = Vec::new();
        for number in 1..=5 {
            deliveries.push(booked(&customers, number).await);
        }
        // So the sweep with which a runner begins is over: what it found is forgotten again.
        rounds.wait_for(|rounds| *rounds > 100).await.unwrap();
        bills.answer.send_replace(Some(AUTHORIZED.to_owned()));
        for delivery in deliveries {
            until(&customers, delivery, stands).await;
        }
    };
    tokio::select! {
        () = running(customers.clone(), settings, story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn given_a_log_that_cannot_be_heard_for_a_while_then_what_was_written_meanwhile_is_heard_afterwards()
 {
    let bills = Bills::start(Some(AUTHORIZED)).await;
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let mute = Unreadable::over(&log);
    let customers = application(log, Environment::system(), true);
    let runner = application(Arc::clone(&mute) as _, Environment::system(), true);
    // Views that know of no operation: what is not heard is not found otherwise.
    let nothing = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let story = async {
        let before = booked(&customers, 1).await;
        until(&customers, before, stands).await;

        mute.is_mute.store(true, Ordering::Relaxed);
        let meanwhile = [booked(&customers, 2).await, booked(&customers, 3).await];
        let mut unheard = mute.unheard.subscribe();
        unheard.wait_for(|unheard| *unheard > 2).await.unwrap();
        for delivery in meanwhile {
            let waits = until(&customers, delivery, |_| true).await;
            assert_eq!(waits.attempts(), 0);
        }

        mute.is_mute.store(false, Ordering::Relaxed);
        let after = booked(&customers, 4).await;
        for delivery in meanwhile.into_iter().chain([after]) {
            until(&customers, delivery, stands).await;
        }
    };
    tokio::select! {
        () = running_beside(nothing, runner, bills.settings(), story) => {}
        () = bills.serve() => unreachable!("it never ends"),
    }
}
