//! What is missing may have been sent while nothing ran to take it.

use domain::session::ParkReason;

use super::*;
use crate::application::tests::application_at;

const SECOND_US: i64 = 1_000_000;

impl Service {
    /// A service that begins at a moment, on what the last one left.
    fn starts_at(&mut self, second: i64) {
        let limits = IngestLimits {
            settling: waiting::SETTLING,
            ..LIMITS
        };
        let application = application_at(Arc::clone(&self.store), now(second).micros());
        self.ingest = Ingest::new(application, limits);
    }

    async fn takes(&self, second: i64, events: &[Value]) {
        let facts = events.iter().map(fact_of).map(|(sender, mut fact)| {
            fact.received_at = now(second);
            (sender, fact)
        });
        self.ingest.receive(facts.collect()).await;
    }

    /// What the ticking task does at a moment.
    async fn ticks(&self, second: i64) {
        let now = now(second);
        for session in self.due(self.ingest.deadlines(now)).await {
            self.ingest.move_on(&session, now).await.unwrap();
        }
    }
}

fn now(second: i64) -> Timestamp {
    Timestamp::from_micros(receipt().at.micros() + second * SECOND_US).unwrap()
}

#[tokio::test]
async fn given_a_held_fact_when_the_service_was_down_then_what_is_missing_comes_in_its_turn() {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.starts_at(0);
    service.takes(0, &flight[..1]).await;
    service.takes(0, &flight[2..4]).await;
    service.starts_at(6);
    service.ticks(6).await;
    service.ticks(7).await;
    service.takes(7, &flight[1..2]).await;
    let (status, milestones) = service.outcome();
    assert_eq!(status, Status::Loaded);
    assert!(
        milestones.iter().all(|reached| !reached.inferred),
        "{milestones:?}"
    );
}

#[tokio::test]
async fn given_a_held_fact_when_what_is_missing_does_not_come_after_a_start_then_it_is_waited_for_half_a_minute()
 {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.starts_at(0);
    service
        .takes(0, &[&flight[..2], &flight[3..4]].concat())
        .await;
    service.starts_at(6);
    // What comes after the start behind the same gap hastens nothing.
    service.takes(7, &flight[5..6]).await;
    service.ticks(35).await;
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
    service.ticks(36).await;
    assert_eq!(service.delivery().status(), Status::AtDropoff);
}

#[tokio::test]
async fn given_a_gap_since_the_start_then_it_is_waited_for_as_long_as_any() {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.starts_at(0);
    service
        .takes(1, &[&flight[..2], &flight[3..4]].concat())
        .await;
    service.ticks(5).await;
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
    service.ticks(6).await;
    assert_eq!(service.delivery().status(), Status::Loaded);
}

#[tokio::test]
async fn given_a_parked_fact_when_the_service_was_down_for_its_wait_then_its_mission_may_still_come()
 {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    let mut departed = flight[1].clone();
    departed["data"]["session_id"] = json!("0002");
    departed["data"]["seq"] = json!(1);
    let (sender, _) = fact_of(&departed);
    service.starts_at(0);
    service.takes(0, &[departed]).await;
    service.starts_at(1_000);
    service.ticks(1_029).await;
    assert_eq!(service.letters(&sender), []);
    service.ticks(1_030).await;
    let letters = service.letters(&sender);
    assert!(
        matches!(letters[..], [(_, 1, ParkReason::UnknownMission)]),
        "{letters:?}"
    );
}

#[tokio::test]
async fn given_a_held_fact_when_the_door_was_shut_then_what_is_missing_comes_in_its_turn() {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.starts_at(0);
    service.takes(0, &flight[..1]).await;
    service.takes(0, &flight[2..4]).await;
    service.ingest.begins_again(now(100));
    service.ticks(101).await;
    service.takes(101, &flight[1..2]).await;
    let (status, milestones) = service.outcome();
    assert_eq!(status, Status::Loaded);
    assert!(
        milestones.iter().all(|reached| !reached.inferred),
        "{milestones:?}"
    );
}
