//! What a fleet is asked for because of what its drones report.

use std::convert::Infallible;

use domain::actor::{Actor, ActorKind};
use domain::decider::Occurrence;
use domain::dispatch::{Dispatch, DispatchEvent, MissionRequest, STAND_DOWNS_MAX, StandDownReason};

use super::*;
use crate::application::{Request, TransactError};

fn second() -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(78))
}

impl Service {
    /// What was asked about some missions, in the order of each one's stream.
    pub(super) fn asked(&self, missions: &[MissionId]) -> Vec<Vec<DispatchEvent>> {
        let loader = self.ingest.application().loader();
        let asked = missions
            .iter()
            .map(|mission| loader.events(StreamName::dispatch(*mission)).unwrap());
        asked.collect()
    }

    /// Airpost asks for a mission.
    async fn ask_for(&self, mission: MissionId) {
        let asked = MissionRequest::of(self.delivery, &self.delivery(), 1, 1);
        let asked = DispatchEvent::MissionRequested(Box::new(asked));
        self.ask(mission, mission.uuid(), asked).await;
    }

    /// Airpost asks to end a mission.
    pub(super) async fn stand_down(&self, mission: MissionId, reason: StandDownReason) {
        let delivery = self.delivery;
        let asked = DispatchEvent::StandDownRequested { delivery, reason };
        self.ask(mission, delivery.uuid(), asked).await;
    }

    async fn ask(&self, mission: MissionId, commit: Uuid, asked: DispatchEvent) {
        let asked = [Occurrence::new(asked, receipt().at)];
        let actor = Actor::named(ActorKind::Customer, self.delivery().order().user);
        let request = Request::of_client(commit, actor);
        let written = self.ingest.application().transact(&request, |draft| {
            let mut dispatch = draft.load::<Option<Dispatch>>(StreamName::dispatch(mission))?;
            draft.record(&mut dispatch, None, None, &asked);
            Ok::<_, TransactError<Infallible>>(())
        });
        written.await.unwrap();
    }

    /// How many facts of a drone event's session wait for something.
    fn parked(&self, told: &Value) -> usize {
        let session = self.load::<Session>(name_of(told));
        session.backlog().parked().len()
    }

    fn stand_downs(&self, mission: MissionId) -> Vec<StandDownReason> {
        let asked = self.asked(&[mission]).into_iter().flatten();
        asked
            .filter_map(|event| match event {
                DispatchEvent::StandDownRequested { reason, .. } => Some(reason),
                DispatchEvent::MissionRequested(_) | DispatchEvent::MissionRefused { .. } => None,
            })
            .collect()
    }
}

/// A drone is on its way, and says that it flies another mission for the delivery as well.
async fn given_a_mission_too_many() -> Service {
    let service = Service::with_a_booking().await;
    let delivery = service.delivery.to_string();
    let assigned = event(
        "1",
        1,
        "mission_assigned",
        &json!({"delivery_id": delivery}),
    );
    let again = json!({"delivery_id": delivery, "mission_id": second().to_string()});
    let too_many = event("1", 2, "mission_assigned", &again);
    service.receive(&[assigned, too_many]).await;
    assert_eq!(
        service.stand_downs(second()),
        [StandDownReason::NotWanted],
        "it was asked to end it"
    );
    service
}

/// So many times the second mission says that it has the package.
fn loaded(times: u8) -> Vec<Value> {
    let own = json!({"mission_id": second().to_string()});
    (3..)
        .take(usize::from(times))
        .map(|seq| event("1", seq, "package_loaded", &own))
        .collect()
}

#[tokio::test]
async fn given_a_mission_that_was_stood_down_when_it_takes_the_package_then_it_is_stood_down_again()
{
    let service = given_a_mission_too_many().await;
    service.receive(&loaded(1)).await;
    assert_eq!(
        service.stand_downs(second()),
        [StandDownReason::NotWanted, StandDownReason::TwoDrones]
    );
}

#[tokio::test]
async fn given_a_drone_that_does_not_obey_then_it_is_asked_as_often_in_one_request_as_in_many() {
    for in_one in [true, false] {
        let service = given_a_mission_too_many().await;
        let facts = loaded(STAND_DOWNS_MAX.saturating_mul(2));
        let request = if in_one { facts.len() } else { 1 };
        for request in facts.chunks(request) {
            service.receive(request).await;
        }
        assert_eq!(
            service.stand_downs(second()).len(),
            usize::from(STAND_DOWNS_MAX),
            "in one request: {in_one}"
        );
    }
}

#[tokio::test]
async fn given_a_refusal_of_what_was_asked_for_when_it_comes_twice_at_once_then_it_is_noted_once() {
    let service = given_a_mission_too_many().await;
    let asked = MissionId::from_uuid(Uuid::from_u128(79));
    let own = json!({"mission_id": asked.to_string(), "reason": "weather"});
    service.ask_for(asked).await;
    let refused = [3, 4].map(|seq| event("1", seq, "mission_rejected", &own));
    service.receive(&refused).await;
    let noted = service.asked(&[asked]).remove(0);
    assert_eq!(noted.len(), 2, "{noted:?}");
}

#[tokio::test]
async fn given_a_mission_that_was_stood_down_before_a_drone_had_it_when_a_fleet_says_so_then_it_is_refused()
 {
    let service = Service::with_a_booking().await;
    let asked = second();
    let own = json!({"mission_id": asked.to_string()});
    service.ask_for(asked).await;
    service.stand_down(asked, StandDownReason::Replanned).await;
    let answers = [1, 2].map(|seq| event("1", seq, "stood_down", &own));
    service.receive(&answers).await;
    let noted = service.asked(&[asked]).remove(0);
    assert_eq!(noted.len(), 3, "{noted:?}");
    assert!(matches!(noted[2], DispatchEvent::MissionRefused { .. }));
    assert_eq!(service.parked(&answers[0]), 0);
}

#[tokio::test]
async fn given_a_mission_that_nobody_stood_down_when_it_is_said_so_early_then_its_assignment_is_waited_for()
 {
    let service = Service::with_a_booking().await;
    let asked = second();
    let own = json!({"mission_id": asked.to_string()});
    service.ask_for(asked).await;
    let told = [event("1", 1, "stood_down", &own)];
    service.receive(&told).await;
    assert_eq!(service.asked(&[asked])[0].len(), 1);
    assert_eq!(service.parked(&told[0]), 1);
}

#[tokio::test]
async fn given_a_mission_that_was_stood_down_when_it_is_assigned_then_it_is_stood_down_again_at_once()
 {
    let service = Service::with_a_booking().await;
    let asked = second();
    service.ask_for(asked).await;
    service.stand_down(asked, StandDownReason::Replanned).await;
    let delivery = service.delivery.to_string();
    let own = json!({"mission_id": asked.to_string(), "delivery_id": delivery});
    service
        .receive(&[event("1", 1, "mission_assigned", &own)])
        .await;
    assert_eq!(service.stand_downs(asked), [StandDownReason::Replanned; 2]);
}
