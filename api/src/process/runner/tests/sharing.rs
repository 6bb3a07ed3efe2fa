//! A delivery whose life goes on after another one took its package has it again once that is over.

use domain::delivery::{Order, ReopenedAs};
use domain::id::{MissionId, UserId};
use domain::text::Comment;
use serde_json::{Value, json};

use super::*;
use crate::application::TransactError;
use crate::application::deliveries::BookingError;
use crate::application::deliveries::handover::OperatorsWord;
use crate::application::packages::ReservationRefusal;
use crate::application::tests::{order, tag_of, user};
use crate::http::json::Document;
use crate::ingest::wire::{self, DroneEvent, Receipt};
use crate::ingest::{FactOutcome, Ingest, IngestLimits, waiting};

fn told(seq: u64, kind: &str, own: &Value) -> Value {
    let mission = MissionId::from_uuid(Uuid::from_u128(77));
    let mut data = json!({
        "drone_id": "M100-07", "mission_id": mission.to_string(), "session_id": "0001", "seq": seq,
    });
    let own = own.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(own);
    json!({
        "specversion": "1.0", "type": format!("drone.{kind}.v1"), "source": "/fleets/pgh/drones/M100-07",
        "id": format!("M100-07:0001:f{seq}"), "time": format!("2026-10-24T15:00:{seq:02}Z"), "data": data,
    })
}

/// A drone takes the package of a delivery, and is lost with it.
async fn crashes(customers: &Application, delivery: DeliveryId) {
    let limits = IngestLimits {
        park_wait: DurationMs::from_seconds(900),
        gap_wait: DurationMs::from_seconds(5),
        held_facts_max: 64,
        tick: waiting::TICK,
        settling: DurationMs::from_seconds(0),
        skew_max: DurationMs::from_seconds(5),
    };
    let receipt = Receipt {
        counts_skew: true,
        at: customers.now().unwrap(),
        skew_max: DurationMs::from_seconds(5),
    };
    let assigned = json!({"delivery_id": delivery.to_string()});
    let events = [
        told(1, "mission_assigned", &assigned),
        told(2, "package_loaded", &json!({})),
        told(3, "crashed", &json!({})),
    ];
    let read = |event: Value| {
        let sent = event.to_string();
        wire::read(Document::from_value(event), &sent, receipt)
    };
    let fact_of = |event| match read(event) {
        Ok(DroneEvent::Fact { sender, fact }) => (sender, *fact),
        other => panic!("expected a fact, found {other:?}"),
    };
    let facts = events.into_iter().map(fact_of).collect();
    for outcome in Ingest::new(customers.clone(), limits).receive(facts).await {
        assert!(matches!(outcome, FactOutcome::Judged(_)), "{outcome:?}");
    }
}

async fn reopened(customers: &Application, delivery: DeliveryId) {
    let word = OperatorsWord::Reopen {
        to: ReopenedAs::Returning,
        reason: Comment::new("it lay in the yard").unwrap(),
    };
    let heeded = customers.heed(request(), delivery, &Precondition::None, word);
    heeded.await.unwrap();
}

/// An order of the package that another delivery was booked with.
fn the_same(user: UserId, delivery: DeliveryId, other: DeliveryId) -> Order {
    let mut order = order(user, delivery);
    order.package.tag = tag_of(other);
    order
}

#[tokio::test]
async fn given_a_package_that_another_delivery_took_when_that_one_is_over_then_no_third_one_gets_it()
 {
    let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let customers = application(Arc::clone(&log) as _, still(), false);
    let [second, third] = [2, 3].map(|number| DeliveryId::from_uuid(Uuid::from_u128(number)));
    let before_a_restart = async {
        let first = booked(&customers, 1).await;
        crashes(&customers, first).await;
        until(&customers, first, Operation::has_ended).await;
        let other = user(&customers, 2).await;
        let order = the_same(other, second, first);
        let taken = customers.book(request(), second, order, false);
        taken.await.unwrap();
        reopened(&customers, first).await;
        let shares = |it: &Operation| it.shares_package_with() == Some(second);
        until(&customers, first, shares).await;
        (first, other)
    };
    let (first, other) = running(customers.clone(), settings(), before_a_restart).await;

    let (environment, mut rounds) = counted();
    let runner = application(Arc::clone(&log) as _, environment, false);
    let story = async {
        // It was looked at at the start, and nothing but the other delivery's end is news of it.
        rounds.wait_for(|rounds| *rounds > 50).await.unwrap();
        let before = events(&log);
        rounds.wait_for(|rounds| *rounds > 150).await.unwrap();
        assert_eq!(
            events(&log),
            before,
            "a look that changes nothing is not written down"
        );
        cancelled(&customers, second).await;
        until(&customers, first, |it| !it.has_freed_package()).await;
        let order = the_same(other, third, first);
        let refused = customers.book(request(), third, order, false).await;
        let in_use = ReservationRefusal::TagInUse { by: first };
        assert_eq!(
            refused.map(|_| ()),
            Err(TransactError::Rejected(BookingError::Package(in_use)))
        );
    };
    running(runner, settings(), story).await;
}
