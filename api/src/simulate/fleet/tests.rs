//! How drones number what they say, and that the service takes it.

use futures_util::FutureExt;

use super::super::dice::Lot;
use super::super::faults::Faults;
use super::super::order::Order;
use super::super::script::{Errand, Step, script};
use super::*;

const NOW_US: i64 = 1_800_000_000_000_000;

fn fleet(drones: u32) -> Fleet {
    Fleet::new((drones, "0001"), &City::of(1), &Environment::fixed(NOW_US))
}

fn accept(fleet: &Fleet, other_than: Option<&Drone>) -> Option<Accepted> {
    let mission = MissionId::from_uuid(uuid::Uuid::from_u128(1));
    let delivery = DeliveryId::from_uuid(uuid::Uuid::from_u128(2));
    fleet.accept((mission, delivery), other_than)
}

fn hovering() -> Fact {
    Fact {
        kind: "hold_ended",
        own: json!({}),
        at: City::of(1).hub(),
    }
}

#[test]
fn the_drone_with_least_to_do_accepts_and_never_the_one_that_flies_already() {
    let fleet = fleet(2);
    let first = accept(&fleet, None).unwrap();
    let second = accept(&fleet, None).unwrap();
    assert_ne!(first.drone.name, second.drone.name);
    let third = accept(&fleet, Some(&first.drone)).unwrap();
    assert_eq!(third.drone.name, second.drone.name);
    drop((second, third));
    assert_ne!(accept(&fleet, None).unwrap().drone.name, first.drone.name);
    let alone = self::fleet(1);
    let only = accept(&alone, None).unwrap();
    assert!(accept(&alone, Some(&only.drone)).is_none());
}

#[tokio::test]
async fn facts_are_numbered_without_gaps_and_from_one_in_every_life_of_a_sender() {
    let fleet = fleet(1);
    let (one, other) = (accept(&fleet, None).unwrap(), accept(&fleet, None).unwrap());
    let first = one.keep_back(&hovering()).await;
    // Another mission of the same drone goes on counting.
    let second = other.keep_back(&hovering()).await;
    assert_eq!(
        (&first["data"]["seq"], &second["data"]["seq"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(first["data"]["session_id"], second["data"]["session_id"]);

    one.restart().await;

    let third = one.keep_back(&hovering()).await;
    assert_eq!(third["data"]["seq"], 1);
    let session = |event: &Value| event["data"]["session_id"].as_str().unwrap().to_owned();
    assert!(session(&third) > session(&first));
}

#[tokio::test]
async fn no_two_drones_give_what_they_say_the_same_id() {
    let fleet = fleet(2);
    let (one, other) = (accept(&fleet, None).unwrap(), accept(&fleet, None).unwrap());
    let first = one.keep_back(&hovering()).await;
    let second = other.keep_back(&hovering()).await;
    assert_eq!(first["data"]["seq"], second["data"]["seq"]);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn the_drone_waits_for_its_turn() {
    let fleet = fleet(1);
    let (one, other) = (accept(&fleet, None).unwrap(), accept(&fleet, None).unwrap());
    let flying = one.turn().await;
    assert!(other.turn().now_or_never().is_none());
    drop(flying);
    assert!(other.turn().now_or_never().is_some());
}

#[tokio::test]
async fn whatever_a_drone_says_in_any_trouble_is_taken_by_the_service() {
    let receipt = crate::ingest::wire::Receipt {
        counts_skew: true,
        at: Timestamp::from_micros(NOW_US).unwrap(),
        skew_max: domain::time::DurationMs::from_seconds(5),
    };
    let fleet = fleet(1);
    let drone = accept(&fleet, None).unwrap();
    for number in 0..300 {
        let order = Order::draw(1, number);
        let errand = Errand {
            order: &order,
            pickup: order.pickup,
            dropoff: order.dropoff,
            is_at_hub: false,
            base: drone.drone.base,
            hub: City::of(1).hub(),
        };
        let lot: Lot = order.lot(1).of_attempt(1);
        for step in script(&lot, &errand, &Faults::all()).steps {
            let facts = match step {
                Step::Tell(telling) | Step::TellUntilSeen(telling) => telling.facts,
                Step::TellLate { late, meanwhile } => [vec![late], meanwhile.facts].concat(),
                Step::AwaitTurn
                | Step::LeaveDelivery
                | Step::Fly { .. }
                | Step::Stay { .. }
                | Step::Restart
                | Step::Cancel { .. }
                | Step::Change(_)
                | Step::AskBack
                | Step::AwaitStandDown
                | Step::AwaitCondition(_)
                | Step::SecondDrone => continue,
            };
            for fact in facts {
                let event = drone.keep_back(&fact).await;
                let document = crate::http::json::Document::from_value(event.clone());
                let read = crate::ingest::wire::read(document, "", receipt);
                assert!(read.is_ok(), "{event}: {read:?}");
            }
        }
    }
    let reports = Reports::default();
    drone.report(&reports, City::of(1).hub(), "in_flight").await;
    let report = crate::http::json::Document::from_value(reports.take().remove(0));
    assert!(crate::ingest::wire::read(report, "", receipt).is_ok());
}
