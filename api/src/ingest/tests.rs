//! From lines of JSON to deliveries, over the store in memory.

use std::sync::Arc;

use domain::codec::StoredEvent;
use domain::delivery::{Confirmation, Delivery, DeliveryEvent, Reached, Status};
use domain::drone::Sender;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::mission::Mission;
use domain::scheduling::Operation;
use domain::session::{Expired, ReceivedFact, Session, SessionEvent, Verdict};
use domain::stream::{Category, StreamName};
use domain::time::{DurationMs, Timestamp};
use eventstore::{Budget, EventStore, Filter, MemoryEventStore, StreamId};
use projections::{Deadlines, DueSession, Views};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::{DroneEvent, Receipt};
use super::*;
use crate::application::tests::{
    application_again, application_on, booked, order, request, tag_of, user,
};
use crate::http::json::Document;
use crate::http::problem::Problem;

mod asked;
mod at_once;
mod given_up;
mod late;
mod lives;
mod overtaken;
mod positions;
mod refused;
mod said;
mod settling;
mod waited;

pub(super) use given_up::{as_learnt, panic_where_asked};

const LIMITS: IngestLimits = IngestLimits {
    park_wait: DurationMs::from_seconds(900),
    gap_wait: DurationMs::from_seconds(5),
    held_facts_max: 64,
    tick: waiting::TICK,
    settling: DurationMs::from_seconds(0),
    skew_max: DurationMs::from_seconds(5),
};

/// A service that can be restarted: only its store lasts.
struct Service {
    store: Arc<dyn EventStore>,
    ingest: Ingest,
    delivery: DeliveryId,
}

impl Service {
    async fn with_a_booking() -> Self {
        Self::with_a_booking_to_confirm(Confirmation::None).await
    }

    async fn with_a_booking_to_confirm(confirmation: Confirmation) -> Self {
        let service = Self::without_a_booking();
        service.book(confirmation).await;
        service
    }

    fn without_a_booking() -> Self {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new(Uuid::nil()));
        Self {
            ingest: Ingest::new(application_on(Arc::clone(&store)), LIMITS),
            store,
            delivery: DeliveryId::from_uuid(Uuid::from_u128(1)),
        }
    }

    async fn book(&self, confirmation: Confirmation) {
        let application = self.ingest.application();
        let mut order = order(user(application, 1).await, self.delivery);
        order.confirmation = confirmation;
        let booked = application.book(request(), self.delivery, order, false);
        booked.await.unwrap();
    }

    fn restart(&mut self) {
        self.ingest = Ingest::new(application_again(Arc::clone(&self.store)), LIMITS);
    }

    async fn receive(&self, events: &[Value]) -> Vec<Verdict> {
        let facts = events.iter().map(fact_of).collect();
        let judged = |outcome| match outcome {
            FactOutcome::Judged(verdict) => verdict,
            FactOutcome::Failed(failure) => panic!("{failure}"),
        };
        self.ingest
            .receive(facts)
            .await
            .into_iter()
            .map(judged)
            .collect()
    }

    fn load<S: crate::application::Folded>(&self, name: StreamName) -> S {
        self.ingest
            .application()
            .loader()
            .load::<S>(name)
            .unwrap()
            .state
    }

    fn delivery(&self) -> Delivery {
        self.load::<Option<Delivery>>(StreamName::delivery(self.delivery))
            .unwrap()
    }

    fn outcome(&self) -> (Status, Vec<Reached>) {
        let delivery = self.delivery();
        (delivery.status(), delivery.milestones().to_vec())
    }

    fn commits(&self) -> usize {
        let page = self
            .store
            .read_all(
                eventstore::Position::START,
                &Filter::everything(),
                Budget::PAGE,
            )
            .unwrap();
        page.records.len()
    }

    /// Moves one session on, as the ticking task does.
    async fn move_on(&self, sender: &Sender) {
        let name = StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session);
        let now = self.ingest.application().now().unwrap();
        let deadlines = self.ingest.deadlines(now);
        let stream = StreamId::new(eventstore::Category::new(name.category.number()), name.key);
        let due = self.due(deadlines).await;
        let session = due.iter().find(|session| session.stream == stream).unwrap();
        self.ingest.move_on(session, now).await.unwrap();
    }

    async fn due(&self, deadlines: Deadlines) -> Vec<DueSession> {
        let views = Views::in_memory(Arc::clone(&self.store)).unwrap();
        let head = *self.store.head().borrow();
        views.wait_for(head).await.unwrap();
        views.due_sessions(deadlines).unwrap()
    }

    /// Does what the ticking task does before any wait is over, until nothing is left of it.
    async fn release(&self) {
        let none = Expired {
            from: Timestamp::MAX,
            to: Timestamp::MIN,
        };
        let deadlines = Deadlines {
            held: none,
            parked: none,
        };
        for _round in 0..9 {
            // Most have nothing that waits, and need no view to tell.
            let sessions = ["0001", "0002"]
                .map(|session| name_of(&event(session, 1, "departed", &json!({"leg": "pickup"}))));
            let parked = sessions.map(|name| self.load::<Session>(name).backlog().parked().len());
            if parked == [0, 0] {
                return;
            }
            let due = self.due(deadlines).await;
            if due.is_empty() {
                return;
            }
            let now = self.ingest.application().now().unwrap();
            for session in due {
                self.ingest.move_on(&session, now).await.unwrap();
            }
        }
        panic!("what is there is waited for");
    }

    fn events(&self) -> Vec<DeliveryEvent> {
        let name = StreamName::delivery(self.delivery);
        self.ingest.application().loader().events(name).unwrap()
    }
}

fn receipt() -> Receipt {
    // Ten seconds before the application's clock, so that what is held has waited long enough.
    let at = Timestamp::from_micros(1_800_000_000_000_000 - 10_000_000).unwrap();
    Receipt {
        counts_skew: true,
        at,
        skew_max: DurationMs::from_seconds(5),
    }
}

fn read(event: &Value) -> Result<DroneEvent, Problem> {
    let document = Document::from_value(event.clone());
    wire::read(document, &event.to_string(), receipt())
}

fn fact_of(event: &Value) -> (Sender, ReceivedFact) {
    match read(event) {
        Ok(DroneEvent::Fact { sender, fact }) => (sender, *fact),
        other => panic!("expected a fact, found {other:?}"),
    }
}

fn mission() -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(77))
}

fn event(session: &str, seq: u64, kind: &str, own: &Value) -> Value {
    let mut data = json!({
        "drone_id": "M100-07", "mission_id": mission().to_string(), "session_id": session, "seq": seq,
        "position": {"lat_deg": 40.461, "lon_deg": -79.779},
    });
    data.as_object_mut()
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    json!({
        "specversion": "1.0", "type": format!("drone.{kind}.v1"), "source": "/fleets/pgh/drones/M100-07",
        "id": format!("M100-07:{session}:f{seq}"), "time": format!("2026-10-24T15:{:02}:{:02}Z", seq / 60, seq % 60), "data": data,
    })
}

/// What a drone says that brings a package, in order.
fn flight(delivery: DeliveryId) -> Vec<Value> {
    [
        (
            "mission_assigned",
            json!({"delivery_id": delivery.to_string()}),
        ),
        ("departed", json!({"leg": "pickup"})),
        ("arrived", json!({"at": "pickup"})),
        (
            "package_loaded",
            json!({"tag": tag_of(delivery).as_str(), "mass_g": 510}),
        ),
        ("departed", json!({"leg": "dropoff"})),
        ("arrived", json!({"at": "dropoff"})),
        (
            "package_released",
            json!({"method": "winch", "confirmed": true}),
        ),
        ("departed", json!({"leg": "return"})),
        ("mission_completed", json!({"outcome": "landed_home"})),
    ]
    .into_iter()
    .zip(1..)
    .map(|((kind, own), seq)| event("0001", seq, kind, &own))
    .collect()
}

#[tokio::test]
async fn given_a_booking_when_a_drone_flies_it_then_it_is_complete() {
    let service = Service::with_a_booking().await;
    let verdicts = service.receive(&flight(service.delivery)).await;
    assert_eq!(verdicts, [Verdict::Accepted; 9]);
    assert_eq!(service.delivery().status(), Status::Complete);
    assert!(
        service
            .delivery()
            .milestones()
            .iter()
            .all(|reached| !reached.inferred)
    );
}

#[tokio::test]
async fn given_a_mission_that_was_asked_for_when_another_delivery_is_assigned_to_it_then_it_stays_the_first_ones()
 {
    let service = Service::with_a_booking().await;
    let other = booked(service.ingest.application(), 2).await;
    let booking = StreamName::operation(OperationId::of_booking(service.delivery));
    let booking = service.load::<Option<Operation>>(booking).unwrap();
    let asked = booking.asked_mission().unwrap().to_string();
    let assigned = |seq, delivery: DeliveryId| {
        let own = json!({"mission_id": asked, "delivery_id": delivery.to_string()});
        event("0001", seq, "mission_assigned", &own)
    };
    service.receive(&[assigned(1, other)]).await;
    let misled = StreamName::delivery(other);
    let told = service.ingest.application().loader().events(misled);
    let is_told = |event: &DeliveryEvent| matches!(event, DeliveryEvent::AnomalyRecorded { .. });
    assert_eq!(told.unwrap().iter().filter(|it| is_told(it)).count(), 1);
    let misled = service.load::<Option<Delivery>>(misled).unwrap();
    assert_eq!(misled.status(), Status::Scheduled);
    service.receive(&[assigned(2, service.delivery)]).await;
    assert_eq!(service.delivery().status(), Status::Assigned);
}

#[tokio::test]
async fn given_a_flight_when_it_is_sent_again_then_nothing_is_written() {
    let service = Service::with_a_booking().await;
    service.receive(&flight(service.delivery)).await;
    let commits = service.commits();
    assert_eq!(
        service.receive(&flight(service.delivery)).await,
        [Verdict::Duplicate; 9]
    );
    assert_eq!(service.commits(), commits);
}

#[tokio::test]
async fn given_a_number_in_use_when_another_content_bears_it_then_that_is_a_conflict() {
    let service = Service::with_a_booking().await;
    service.receive(&flight(service.delivery)[..2]).await;
    let other = event("0001", 2, "departed", &json!({"leg": "return"}));
    assert_eq!(service.receive(&[other]).await, [Verdict::Conflict]);
}

#[tokio::test]
async fn given_a_missing_fact_when_it_comes_too_late_then_it_only_corrects_the_inferred_time() {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.receive(&flight[..2]).await;
    service.receive(&flight[3..]).await;
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
    service.restart();
    service.move_on(&fact_of(&flight[0]).0).await;
    // Whoever waited, it was the drone that said it.
    let page = service.store.read_all(
        eventstore::Position::START,
        &Filter::everything(),
        Budget::PAGE,
    );
    assert_eq!(
        page.unwrap().records.last().unwrap().actor.as_str(),
        "drone:M100-07"
    );
    let (status, inferred) = service.outcome();
    assert_eq!(status, Status::Complete);
    assert_eq!(
        inferred.iter().filter(|reached| reached.inferred).count(),
        1
    );
    service.receive(&flight[2..3]).await;
    let complete = Service::with_a_booking().await;
    complete.receive(&flight).await;
    assert_eq!(service.outcome(), complete.outcome());
}

#[tokio::test]
async fn given_an_unknown_mission_when_it_is_bound_then_what_waited_for_it_is_applied() {
    let service = Service::with_a_booking().await;
    let departed = event("0001", 1, "departed", &json!({"leg": "pickup"}));
    assert_eq!(service.receive(&[departed]).await, [Verdict::Accepted]);
    assert_eq!(service.delivery().status(), Status::Scheduled);
    let assigned = event(
        "0001",
        2,
        "mission_assigned",
        &json!({"delivery_id": service.delivery.to_string()}),
    );
    service.receive(&[assigned]).await;
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
}

#[tokio::test]
async fn given_facts_of_a_later_session_when_the_mission_is_bound_then_they_are_applied_in_their_turn()
 {
    let mut service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    let later: Vec<_> = [
        ("departed", json!({"leg": "pickup"})),
        ("arrived", json!({"at": "pickup"})),
    ]
    .into_iter()
    .zip(1..)
    .map(|((kind, own), seq)| event("0002", seq, kind, &own))
    .collect();
    service.receive(&later).await;
    service.receive(&flight[..1]).await;
    assert_eq!(service.delivery().status(), Status::Assigned);
    service.restart();
    service.move_on(&fact_of(&later[0]).0).await;
    assert_eq!(service.delivery().status(), Status::AtPickup);
    let session = service.load::<Session>(StreamName {
        category: Category::DroneSession,
        ..name_of(&later[0])
    });
    assert_eq!(session.backlog().parked().len(), 0);
}

fn name_of(event: &Value) -> StreamName {
    let sender = fact_of(event).0;
    StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session)
}

#[tokio::test]
async fn given_a_kind_that_nobody_knows_then_it_is_kept_and_the_flight_goes_on() {
    let service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    let odd = json!({"mission_id": null, "whatever": [1]});
    let events = [
        flight[0].clone(),
        event("0001", 2, "sang_a_song", &odd),
        event("0001", 3, "departed", &json!({"leg": "pickup"})),
    ];
    assert_eq!(service.receive(&events).await, [Verdict::Accepted; 3]);
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
    let kept = service
        .ingest
        .application()
        .loader()
        .events::<SessionEvent>(name_of(&flight[0]));
    let parked = |event: &&SessionEvent| matches!(event, SessionEvent::FactParked { seq: 2, .. });
    assert_eq!(kept.unwrap().iter().filter(parked).count(), 1);
}

#[tokio::test]
async fn given_a_mission_of_another_drone_then_its_facts_change_nothing() {
    let service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    service.receive(&flight[..1]).await;
    let mut foreign = event(
        "0001",
        1,
        "departed",
        &json!({"leg": "pickup", "drone_id": "M100-08"}),
    );
    foreign["source"] = json!("/fleets/pgh/drones/M100-08");
    service.receive(&[foreign]).await;
    assert_eq!(service.delivery().status(), Status::Assigned);
}

#[tokio::test]
async fn given_a_clock_that_runs_ahead_then_the_receipt_time_counts() {
    let service = Service::with_a_booking().await;
    let mut assigned = flight(service.delivery).remove(0);
    assigned["time"] = json!("2099-01-01T00:00:00Z");
    service.receive(&[assigned]).await;
    assert_eq!(service.delivery().milestones()[0].at, receipt().at);
}

#[tokio::test]
async fn given_many_facts_of_an_unknown_mission_when_it_is_bound_then_all_are_applied_bit_by_bit() {
    let service = Service::with_a_booking().await;
    let early: Vec<_> = (1..=100)
        .map(|seq| event("0001", seq, "departed", &json!({"leg": "pickup"})))
        .collect();
    service.receive(&early).await;
    let name = name_of(&early[0]);
    assert_eq!(service.load::<Session>(name).backlog().parked().len(), 100);
    let assigned = json!({"delivery_id": service.delivery.to_string()});
    service
        .receive(&[event("0001", 101, "mission_assigned", &assigned)])
        .await;
    service.move_on(&fact_of(&early[0]).0).await;
    assert_eq!(service.load::<Session>(name).backlog().parked().len(), 0);
    assert_eq!(service.delivery().status(), Status::HeadedToPickup);
}

#[tokio::test]
async fn given_a_full_hold_of_many_missions_when_the_gap_fills_then_all_are_applied_in_one_commit()
{
    let service = Service::with_a_booking().await;
    let application = service.ingest.application();
    let mut missions = Vec::new();
    for number in 100..200u128 {
        let delivery = booked(application, number).await;
        missions.push((delivery, MissionId::from_uuid(Uuid::from_u128(number))));
    }
    let about = |session: &str, seq, mission: MissionId, kind: &str, own: Value| {
        let mut event = event(session, seq, kind, &own);
        event["data"]["mission_id"] = json!(mission.to_string());
        event
    };
    let assigned: Vec<_> = missions
        .iter()
        .zip(1..)
        .map(|((delivery, mission), seq)| {
            about(
                "0001",
                seq,
                *mission,
                "mission_assigned",
                json!({"delivery_id": delivery.to_string()}),
            )
        })
        .collect();
    service.receive(&assigned).await;
    // Each implies every step from the assignment on, and continues its mission in a new session.
    let released: Vec<_> = missions
        .iter()
        .zip(1..)
        .map(|((_, mission), seq)| {
            about(
                "0002",
                seq,
                *mission,
                "package_released",
                json!({"method": "winch", "confirmed": true}),
            )
        })
        .collect();
    service.receive(&released[1..64]).await;
    service
        .receive(&[&released[..1], &released[64..]].concat())
        .await;
    for (delivery, _) in missions {
        let name = StreamName::delivery(delivery);
        assert_eq!(
            service.load::<Option<Delivery>>(name).unwrap().status(),
            Status::Complete
        );
    }
}

/// Some requests, each followed by a restart or not.
fn requests() -> impl Strategy<Value = Vec<(Vec<usize>, bool)>> {
    let order = Just((0..9usize).collect::<Vec<_>>()).prop_shuffle();
    let again = prop::collection::vec(0..9usize, 0..9);
    let cuts = prop::collection::vec((1..5usize, any::<bool>()), 18);
    (order, again, cuts).prop_map(|(mut order, again, cuts)| {
        order.extend(again);
        let mut rest = order.as_slice();
        let mut requests = Vec::new();
        for (cut, restart) in cuts {
            let (request, later) = rest.split_at(cut.min(rest.len()));
            requests.push((request.to_vec(), restart));
            rest = later;
        }
        requests
    })
}

proptest! {
    /// I11.
    #[test]
    fn any_order_duplication_split_and_restart_gives_the_same_status_and_milestone_times(requests in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let in_order = Service::with_a_booking().await;
            let flight = flight(in_order.delivery);
            in_order.receive(&flight).await;
            let mut service = Service::with_a_booking().await;
            for (request, restart) in requests {
                let events: Vec<_> = request.iter().map(|place| flight[*place].clone()).collect();
                service.receive(&events).await;
                if restart {
                    service.restart();
                }
            }
            prop_assert_eq!(service.outcome(), in_order.outcome());
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn what_a_drone_says_late_of_its_link_is_overtaken() {
    let service = Service::with_a_booking().await;
    let flight = flight(service.delivery);
    let link = |seq, kind| event("0001", seq, kind, &json!({}));
    let is_lost = || {
        let mission = service.load::<Option<Mission>>(StreamName::mission(mission()));
        mission.unwrap().link_lost().is_some()
    };
    service.receive(&flight[..1]).await;
    // Whether it was lost or heard again, what came after it says how it is.
    for (seq, late, newer, lost) in [
        (2, "link_lost", "link_restored", false),
        (4, "link_restored", "link_lost", true),
    ] {
        service.receive(&[link(seq + 1, newer)]).await;
        service.move_on(&fact_of(&flight[0]).0).await;
        assert_eq!(is_lost(), lost, "{newer}");
        let verdicts = service.receive(&[link(seq, late)]).await;
        assert_eq!(verdicts, [Verdict::Accepted]);
        assert_eq!(is_lost(), lost, "{late} after {newer}");
    }
    // What an older session says is as late.
    service
        .receive(&[event("0002", 1, "link_restored", &json!({}))])
        .await;
    assert!(!is_lost());
    service.receive(&[link(6, "link_lost")]).await;
    assert!(!is_lost());
}

#[tokio::test]
async fn a_refusal_of_a_mission_that_nobody_asked_for_waits_for_whom_it_concerns() {
    let service = Service::with_a_booking().await;
    let refused = event("0001", 1, "mission_rejected", &json!({"reason": "weather"}));
    let verdicts = service.receive(std::slice::from_ref(&refused)).await;
    assert_eq!(verdicts, [Verdict::Accepted]);
    let session = service.load::<Session>(name_of(&refused));
    assert_eq!(session.backlog().parked().len(), 1);
}
