//! Where the links of a task lead: to what its delivery takes as it is.

use domain::codec::StoredEvent as _;
use domain::delivery::{
    Anomaly, Assignment, CancelReason, Condition, DeliveryEvent, Failure, HubPlace, ReleaseMethod,
    ReturnReason, Stranding, UnassignReason,
};
use domain::id::{DeliveryId, FactId, MissionId};
use domain::quantity::DistanceM;

use super::lists::fresh;
use super::*;

const FIRST: MissionId = MissionId::from_uuid(Uuid::from_u128(1));
const SECOND: MissionId = MissionId::from_uuid(Uuid::from_u128(2));

fn assigned(mission: MissionId, epoch: u32) -> DeliveryEvent {
    DeliveryEvent::DroneAssigned(Assignment {
        mission,
        fleet: "pgh".parse().unwrap(),
        drone: "M100-07".parse().unwrap(),
        epoch,
        eta_pickup: None,
        eta_dropoff: None,
    })
}

/// Where a delivery may be after it was booked, and what led it there.
fn phases() -> Vec<(&'static str, Vec<DeliveryEvent>)> {
    let mission = FIRST;
    let after = |before: &[DeliveryEvent], then: &[DeliveryEvent]| [before, then].concat();
    let fetched = [assigned(mission, 1)];
    let cancelling = after(
        &fetched,
        &[DeliveryEvent::CancellationRequested {
            reason: CancelReason::Mistake,
            comment: None,
        }],
    );
    let (tag, mass, distance) = (None, None, Some(DistanceM::new(3)));
    let loaded = after(&fetched, &[DeliveryEvent::PickedUp { mission, tag, mass }]);
    let in_transit = after(&loaded, &[DeliveryEvent::InTransit { mission }]);
    let at_dropoff = after(
        &in_transit,
        &[DeliveryEvent::ArrivedAtDropoff { mission, distance }],
    );
    let released = DeliveryEvent::Released {
        mission,
        method: ReleaseMethod::Winch,
        evidence: None,
        distance: DistanceM::new(3),
    };
    let complete = DeliveryEvent::DeliveryComplete {
        mission,
        method: None,
        evidence: None,
        distance,
    };
    let lost = DeliveryEvent::Failed {
        mission,
        reason: Failure::PackageLost,
    };
    let reason = ReturnReason::Requested;
    let returning = after(
        &in_transit,
        &[DeliveryEvent::ReturnStarted { mission, reason }],
    );
    let place = HubPlace::Hub;
    let at_hub = after(
        &returning,
        &[DeliveryEvent::ArrivedAtHub { mission, place }],
    );
    vec![
        ("scheduled", vec![]),
        ("cancelled", after(&cancelling, &[DeliveryEvent::Cancelled])),
        ("cancelling", cancelling),
        ("fetched", fetched.to_vec()),
        ("loaded", loaded),
        ("failed", after(&in_transit, &[lost])),
        ("in transit", in_transit),
        ("released", after(&at_dropoff, &[released])),
        ("complete", after(&at_dropoff, &[complete])),
        ("at the drop-off", at_dropoff),
        (
            "returned",
            after(&returning, &[DeliveryEvent::Returned { mission }]),
        ),
        ("returning", returning),
        ("fetched from a hub", after(&at_hub, &[assigned(SECOND, 2)])),
        ("at a hub", at_hub),
    ]
}

/// What makes a task about a delivery that something may be said of.
fn matters() -> Vec<(&'static str, DeliveryEvent)> {
    let (mission, condition) = (FIRST, Condition::Emergency);
    let stranded = |place| DeliveryEvent::Stranded { place };
    let failed = |reason| DeliveryEvent::Failed { mission, reason };
    let odd = |why| {
        let fact = FactId::new("M100-07:1").unwrap();
        DeliveryEvent::AnomalyRecorded { fact, mission, why }
    };
    vec![
        ("left on board", stranded(Stranding::OnBoard)),
        ("left at a hub", stranded(Stranding::AtHub)),
        ("not stood down", stranded(Stranding::WithSender)),
        ("not turned round", stranded(Stranding::UnderWay)),
        (
            "landed",
            DeliveryEvent::ConditionChanged { mission, condition },
        ),
        ("unconfirmed", DeliveryEvent::ConfirmationOverdue),
        ("lost", failed(Failure::PackageLost)),
        ("undeliverable", failed(Failure::Undeliverable)),
        ("not confirmed", odd(Anomaly::ReleaseNotConfirmed)),
        ("too weak", odd(Anomaly::ConfirmationTooWeak)),
    ]
}

/// Something happens to a delivery, whoever decided it.
async fn happens(scene: &Scene, delivery: &str, event: &DeliveryEvent) {
    let delivery: DeliveryId = delivery.parse().unwrap();
    let stored = event.encode();
    let kind = (stored.event_type, stored.schema);
    let name = StreamName::delivery(delivery);
    scene.decided(name, kind, stored.payload).await;
}

/// A service with a booked delivery to which this happened, and its newest task.
async fn scene_after(events: &[DeliveryEvent]) -> (Scene, Value) {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    for event in events {
        happens(&scene, &delivery, event).await;
    }
    let task = fresh(&scene, "/v1/tasks").await.at("/items/0");
    (scene, task)
}

/// The links of a task that lead to where something is said of its delivery.
fn verbs(task: &Value) -> Vec<(String, String)> {
    let links = task["links"].as_object().unwrap().iter();
    let verbs = links.filter(|(name, _)| !["self", "subject"].contains(&name.as_str()));
    verbs
        .map(|(name, path)| (name.clone(), path.as_str().unwrap().to_owned()))
        .collect()
}

fn body(verb: &str) -> Value {
    match verb {
        "confirmations" => json!({"kind": "signature", "proof": "Ada"}),
        "reopen" => json!({"to": "at_hub", "reason": "it is there"}),
        "correct" => json!({"what": "other", "now": "it is there", "reason": "they rang"}),
        _ => json!({"reason": "they rang"}),
    }
}

#[tokio::test]
async fn every_link_of_a_task_leads_to_what_its_delivery_takes_in_every_phase() {
    for (phase, before) in phases() {
        for (matter, event) in matters() {
            let events = [&before[..], &[event]].concat();
            let (_, task) = scene_after(&events).await;
            assert!(!task["help"].as_str().unwrap().is_empty(), "{task}");
            for (verb, path) in verbs(&task) {
                let (scene, _) = scene_after(&events).await;
                // Its own delivery has another id.
                let segment = path.rsplit('/').next().unwrap();
                let own = fresh(&scene, "/v1/tasks")
                    .await
                    .at("/items/0/links/subject");
                let own = format!("{}/{segment}", own.as_str().unwrap());
                let said = scene.post(&own, body(&verb)).await;
                assert!(
                    [200, 201].contains(&said.status),
                    "{matter} while {phase}: {verb}: {said:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_task_links_to_what_helps_and_can_be_said_in_the_phase_of_its_delivery() {
    let none: &[&str] = &[];
    for (phase, matter, fitting) in [
        (
            "in transit",
            "left on board",
            &["complete", "give_up", "hand_back"][..],
        ),
        ("returning", "landed", &["complete", "give_up", "hand_back"]),
        (
            "fetched",
            "left on board",
            &["complete", "give_up", "hand_back"],
        ),
        ("at a hub", "left at a hub", &["give_up", "hand_back"]),
        (
            "cancelling",
            "not stood down",
            &["complete", "give_up", "hand_back"],
        ),
        (
            "fetched",
            "not stood down",
            &["complete", "give_up", "hand_back"],
        ),
        (
            "returning",
            "not turned round",
            &["complete", "give_up", "hand_back"],
        ),
        (
            "in transit",
            "not turned round",
            &["complete", "give_up", "hand_back"],
        ),
        ("scheduled", "left at a hub", none),
        (
            "released",
            "unconfirmed",
            &["complete", "confirmations", "give_up", "hand_back"],
        ),
        ("in transit", "lost", &["correct", "reopen"]),
        ("in transit", "not confirmed", &["complete", "hand_back"]),
    ] {
        let phases = phases();
        let (_, before) = phases.iter().find(|(name, _)| *name == phase).unwrap();
        let matters = matters();
        let (_, event) = matters.iter().find(|(name, _)| *name == matter).unwrap();
        let (_, task) = scene_after(&[&before[..], std::slice::from_ref(event)].concat()).await;
        let mut verbs: Vec<_> = verbs(&task).into_iter().map(|(verb, _)| verb).collect();
        verbs.sort_unstable();
        assert_eq!(verbs, fitting, "{matter} while {phase}");
    }
}

#[tokio::test]
async fn a_task_has_another_tag_when_something_else_can_be_said_of_its_delivery() {
    let place = Stranding::OnBoard;
    let stranded = DeliveryEvent::Stranded { place };
    let (scene, task) = scene_after(&[assigned(FIRST, 1), stranded]).await;
    let path = task["links"]["self"].as_str().unwrap();
    let waits = scene.get(path).await;
    let delivery = task["links"]["subject"].as_str().unwrap();
    assert_eq!(
        waits.text("/links/complete"),
        format!("{delivery}/complete")
    );
    let mission = FIRST;
    let reason = UnassignReason::Aborted;
    let detail = None;
    let unassigned = DeliveryEvent::DroneUnassigned {
        mission,
        reason,
        detail,
    };
    happens(&scene, delivery.rsplit('/').next().unwrap(), &unassigned).await;
    let free = fresh(&scene, path).await;
    assert_eq!(free.json()["links"].get("complete"), None, "{free:?}");
    assert_ne!(waits.header("etag"), free.header("etag"));
    let seen = [("if-match", waits.header("etag"))];
    let path = format!("{path}/acknowledge");
    let acknowledged = scene.call("POST", &path, &seen, None).await;
    assert_eq!(acknowledged.status, 200, "nobody has seen to it since");
}

#[tokio::test]
async fn a_task_of_a_delivery_that_cannot_be_read_hides_no_other_one() {
    let place = Stranding::OnBoard;
    let stranded = DeliveryEvent::Stranded { place };
    let (scene, task) = scene_after(&[assigned(FIRST, 1), stranded.clone()]).await;
    let delivery = task["links"]["subject"].as_str().unwrap();
    let delivery: DeliveryId = delivery.rsplit('/').next().unwrap().parse().unwrap();
    let eve = scene.user("eve@example.org").await;
    let other = scene.delivery(&eve).await;
    happens(&scene, &other, &assigned(SECOND, 1)).await;
    happens(&scene, &other, &stranded).await;

    let kind = stranded.encode();
    let unreadable = (kind.event_type, kind.schema);
    let name = StreamName::delivery(delivery);
    scene.decided(name, unreadable, vec![0xff; 3]).await;

    let page = fresh(&scene, "/v1/tasks").await;
    assert_eq!(page.status, 200, "{page:?}");
    let subjects = page.json()["items"].as_array().unwrap().clone();
    let is_other = |task: &Value| task["links"]["subject"] == format!("/v1/deliveries/{other}");
    let of_other = subjects.iter().find(|task| is_other(task));
    assert!(
        of_other.is_some_and(|task| task["links"]["complete"].is_string()),
        "{page:?}"
    );
}
