//! Facts that waited for their mission or its delivery mean what they would have meant at once.

use domain::delivery::{AttemptFailure, ReturnReason};
use domain::session::ParkReason;

use super::given_up::of_long_ago;
use super::*;

/// What a drone says that finds nobody who takes the package, after it was assigned.
fn in_vain(session: &str, first: u64) -> Vec<Value> {
    [
        ("departed", json!({"leg": "pickup"})),
        ("arrived", json!({"at": "pickup"})),
        ("package_loaded", json!({})),
        ("departed", json!({"leg": "dropoff"})),
        ("hold_started", json!({"reason": "weather"})),
        ("arrived", json!({"at": "dropoff"})),
        ("departed", json!({"leg": "return"})),
        ("returned", json!({"to": "hub"})),
    ]
    .into_iter()
    .zip(first..)
    .map(|((kind, own), seq)| event(session, seq, kind, &own))
    .collect()
}

#[tokio::test]
async fn given_a_flight_when_its_assignment_comes_after_it_in_an_older_session_then_it_is_as_it_was_told()
 {
    let service = Service::with_a_booking().await;
    let before = service.asked(&[mission()]);
    service.receive(&in_vain("0002", 1)).await;
    service.receive(&flight(service.delivery)[..1]).await;
    service.release().await;
    let events = service.events();
    let mission = mission();
    let failed = DeliveryEvent::AttemptFailed {
        mission,
        reason: AttemptFailure::Undeliverable,
    };
    let turned = DeliveryEvent::ReturnStarted {
        mission,
        reason: ReturnReason::Undeliverable,
    };
    assert!(
        events.contains(&failed) && events.contains(&turned),
        "{events:?}"
    );
    assert_eq!(service.delivery().status(), Status::AtHub);
    assert!(!service.delivery().wants_another_attempt());
    assert_eq!(service.asked(&[mission]), before);
}

#[tokio::test]
async fn given_many_waiting_facts_when_their_mission_is_known_then_a_further_one_does_not_overtake_them()
 {
    let service = Service::with_a_booking().await;
    let mut flown: Vec<_> = (1..=40)
        .map(|seq| event("0002", seq, "hold_ended", &json!({})))
        .collect();
    flown.extend(in_vain("0002", 41));
    let last = flown.pop().unwrap();
    service.receive(&flown).await;
    service.receive(&flight(service.delivery)[..1]).await;
    service.receive(&[last]).await;
    assert_ne!(service.delivery().status(), Status::AtHub);
    service.release().await;
    assert_eq!(service.delivery().status(), Status::AtHub);
    let whole = Service::with_a_booking().await;
    whole.receive(&flight(whole.delivery)[..1]).await;
    whole.receive(&in_vain("0001", 2)).await;
    let times = |service: &Service| service.delivery().milestones().len();
    assert_eq!(times(&service), times(&whole));
}

#[tokio::test]
async fn given_more_facts_behind_waiting_ones_than_a_commit_has_room_for_then_time_alone_brings_all()
 {
    let service = Service::with_a_booking().await;
    let assigned = &flight(service.delivery)[..1];
    let mut flown: Vec<_> = (2..=74)
        .map(|seq| event("0001", seq, "hold_ended", &json!({})))
        .collect();
    flown.extend(in_vain("0001", 75));
    let (early, further) = flown.split_at(17);
    service.receive(early).await;
    service.move_on(&fact_of(&early[0]).0).await;
    let name = name_of(&early[0]);
    let waiting = || service.load::<Session>(name).backlog().parked().len();
    assert_eq!(waiting(), 17, "the gap was passed");
    service.receive(&[assigned, further].concat()).await;
    assert_ne!(waiting(), 0, "a request has not room for all");
    service.release().await;
    assert_eq!(waiting(), 0);
    assert_eq!(service.letters(&fact_of(&early[0]).0), []);
    assert_eq!(service.delivery().status(), Status::AtHub);
}

#[tokio::test]
async fn given_facts_whose_mission_is_there_when_their_time_is_over_then_they_are_applied_and_not_given_up()
 {
    let service = Service::with_a_booking().await;
    let flown = in_vain("0002", 1);
    let long_ago = flown.iter().map(of_long_ago);
    service.ingest.receive(long_ago.collect()).await;
    service.receive(&flight(service.delivery)[..1]).await;
    let (sender, _) = fact_of(&flown[0]);
    let now = service.ingest.application().now().unwrap();
    let due = service.due(service.ingest.deadlines(now)).await;
    let due = due.iter().find(|due| due.expired).unwrap();
    let only_expired = DueSession {
        ready: false,
        ..*due
    };
    service.ingest.move_on(&only_expired, now).await.unwrap();
    assert_eq!(service.letters(&sender), []);
    assert_eq!(service.delivery().status(), Status::AtHub);
}

#[tokio::test]
async fn given_an_unknown_kind_behind_waiting_facts_then_it_waits_for_a_release_that_knows_it() {
    let service = Service::with_a_booking().await;
    let mut told: Vec<_> = (1..=40)
        .map(|seq| event("0002", seq, "hold_ended", &json!({})))
        .collect();
    service.receive(&told).await;
    service.receive(&flight(service.delivery)[..1]).await;
    told.push(event("0002", 41, "sang_a_song", &json!({})));
    service.receive(&told[40..]).await;
    service.release().await;
    let session = service.load::<Session>(name_of(&told[0]));
    let waits: Vec<_> = session.backlog().parked().collect();
    let why = waits.iter().map(|(seq, parked)| (*seq, parked.why));
    assert_eq!(why.collect::<Vec<_>>(), [(41, ParkReason::UnknownKind)]);
}

#[tokio::test]
async fn given_a_late_fact_that_waits_then_it_is_late_still_when_it_is_applied() {
    let service = Service::with_a_booking().await;
    let flown = in_vain("0002", 1);
    // The return is told of after what followed it.
    let (turned, others): (Vec<_>, Vec<_>) = flown
        .into_iter()
        .partition(|event| event["data"]["leg"] == json!("return"));
    service.receive(&others).await;
    service.move_on(&fact_of(&others[0]).0).await;
    service.receive(&turned).await;
    let name = name_of(&turned[0]);
    let session = service.load::<Session>(name);
    let late: Vec<_> = session
        .backlog()
        .parked()
        .filter(|(_, parked)| parked.late)
        .map(|(seq, _)| seq)
        .collect();
    assert_eq!(late, [7]);
    service.receive(&flight(service.delivery)[..1]).await;
    service.release().await;
    assert_eq!(service.delivery().status(), Status::AtHub);
}
