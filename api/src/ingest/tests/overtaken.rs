//! An assignment that comes when its fleet has already said that the mission is over.

use domain::dispatch::{DispatchEvent, StandDownReason};

use super::*;
use crate::application::{Claiming, Look};

impl Service {
    /// The mission that Airpost asks for now.
    pub(super) async fn asks_for(&self) -> MissionId {
        let application = self.ingest.application();
        let booking = OperationId::of_booking(self.delivery);
        let now = application.now().unwrap();
        let look = Look {
            now,
            deadlines_to: now,
            claims: Claiming::Never,
            is_quota_used_up: false,
        };
        application.look_at(booking, look).await.unwrap();
        let booking = self.load::<Option<Operation>>(StreamName::operation(booking));
        booking.unwrap().asked_mission().unwrap()
    }
}

/// A booking for which a mission was asked, and what its drone says of that: that it has it, and
/// that it will not fly it.
async fn given_two_sessions(assigning: &str, aborting: &str) -> (Service, [Value; 2]) {
    let service = Service::with_a_booking().await;
    let asked = service.asks_for().await.to_string();
    let delivery = service.delivery.to_string();
    let assigned = json!({"mission_id": asked, "delivery_id": delivery});
    let assigned = event(assigning, 1, "mission_assigned", &assigned);
    let aborted = json!({"mission_id": asked, "reason": "weather"});
    let seq = if assigning == aborting { 2 } else { 1 };
    let aborted = event(aborting, seq, "mission_aborted", &aborted);
    (service, [assigned, aborted])
}

/// It waits for another mission, which it gets.
async fn goes_on_with_another(service: &Service, over: &Value) {
    assert_eq!(service.delivery().status(), Status::Scheduled);
    let other = service.asks_for().await;
    let over = fact_of(over).1.mission.unwrap();
    assert_ne!(other, over);
    let own = json!({"mission_id": other.to_string(), "delivery_id": service.delivery.to_string()});
    service
        .receive(&[event("0009", 1, "mission_assigned", &own)])
        .await;
    let delivery = service.delivery();
    let live = delivery.live_mission().unwrap();
    assert_eq!(live.assignment.mission, other);
    let bound = service.load::<Option<Mission>>(StreamName::mission(over));
    assert_eq!(bound.unwrap().epoch(), 0, "the delivery never had it");
}

#[tokio::test]
async fn given_an_abort_when_its_assignment_comes_late_then_the_booking_goes_on_with_another_mission()
 {
    let (service, [assigned, aborted]) = given_two_sessions("0001", "0001").await;
    service.receive(std::slice::from_ref(&aborted)).await;
    service.move_on(&fact_of(&aborted).0).await;
    service.asks_for().await;
    let before = service.events();
    service.receive(std::slice::from_ref(&assigned)).await;
    assert_eq!(service.events(), before);
    goes_on_with_another(&service, &assigned).await;
}

#[tokio::test]
async fn given_an_abort_of_a_newer_session_when_an_older_one_tells_of_the_assignment_then_its_drone_is_stood_down()
 {
    let (service, [assigned, aborted]) = given_two_sessions("0001", "0002").await;
    service.receive(&[aborted]).await;
    service.receive(std::slice::from_ref(&assigned)).await;
    let stood_down =
        |event: &DispatchEvent| matches!(event, DispatchEvent::StandDownRequested { .. });
    let over = fact_of(&assigned).1.mission.unwrap();
    let asked = service.asked(&[over]).remove(0);
    assert_eq!(asked.iter().filter(|it| stood_down(it)).count(), 1);
    goes_on_with_another(&service, &assigned).await;
}

#[tokio::test]
async fn given_an_abort_when_its_assignment_comes_in_time_then_the_mission_was_flown_and_ended() {
    let (service, [assigned, aborted]) = given_two_sessions("0001", "0001").await;
    service.receive(&[aborted]).await;
    service.receive(&[assigned]).await;
    let unassigned = |event: &DeliveryEvent| matches!(event, DeliveryEvent::DroneUnassigned { .. });
    assert_eq!(
        service.events().iter().filter(|it| unassigned(it)).count(),
        1
    );
    assert_eq!(service.delivery().status(), Status::Scheduled);
}

#[tokio::test]
async fn given_a_flight_that_ends_before_its_mission_is_known_then_its_end_waits_with_the_rest() {
    let (service, [assigned, mut aborted]) = given_two_sessions("0001", "0002").await;
    let loaded = as_told(&assigned, 1, "package_loaded");
    aborted["data"]["seq"] = json!(2);
    aborted["id"] = json!("M100-07:0002:f2");
    service.receive(&[loaded, aborted]).await;
    service.receive(&[assigned]).await;
    service.release().await;
    assert_eq!(service.delivery().status(), Status::Returning);
}

#[tokio::test]
async fn given_a_mission_that_is_flown_though_it_was_stood_down_when_its_assignment_comes_last_then_the_package_is_not_asked_for_again()
 {
    let (service, [assigned, _]) = given_two_sessions("0001", "0002").await;
    let asked = fact_of(&assigned).1.mission.unwrap();
    service.stand_down(asked, StandDownReason::Replanned).await;
    let told = [(1, "package_loaded"), (2, "stood_down")];
    let told = told.map(|(seq, kind)| as_told(&assigned, seq, kind));
    service.receive(&told).await;
    service.receive(&[assigned]).await;
    service.release().await;
    let noted = service.asked(&[asked]).remove(0);
    let is_refused = |event: &DispatchEvent| matches!(event, DispatchEvent::MissionRefused { .. });
    assert!(!noted.iter().any(is_refused), "{noted:?}");
    assert_eq!(service.delivery().status(), Status::Returning);
}

#[tokio::test]
async fn given_a_refusal_behind_what_shows_no_flight_then_it_is_heard_at_once() {
    let harmless = ["link_lost", "link_restored", "hold_ended"];
    for refusal in ["mission_rejected", "mission_aborted"] {
        let (service, [assigned, _]) = given_two_sessions("0001", "0002").await;
        let asked = fact_of(&assigned).1.mission.unwrap();
        let mut told: Vec<_> = harmless
            .into_iter()
            .zip(1..)
            .map(|(kind, seq)| as_told(&assigned, seq, kind))
            .collect();
        let mut refused = as_told(&assigned, 4, refusal);
        refused["data"]["reason"] = json!("weather");
        told.push(refused);
        for fact in &told {
            service.receive(std::slice::from_ref(fact)).await;
        }
        let noted = service.asked(&[asked]).remove(0);
        let is_heard = matches!(noted.last(), Some(DispatchEvent::MissionRefused { .. }));
        assert!(is_heard, "{refusal}: {noted:?}");
    }
}

/// What the drone of an assigned mission says in its second session.
fn as_told(assigned: &Value, seq: u64, kind: &str) -> Value {
    let mission = fact_of(assigned).1.mission.unwrap().to_string();
    event("0002", seq, kind, &json!({"mission_id": mission}))
}
