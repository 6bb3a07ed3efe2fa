//! Events of drone sessions and missions.

use domain::drone::Sender;
use domain::id::{DeliveryId, DroneId, FactId, FleetId, MissionId, SessionId};
use domain::mission::MissionEvent;
use domain::session::{ParkReason, Parked, ReceivedFact, SessionEvent};
use uuid::Uuid;

const NAME: Uuid = Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55);

fn sender() -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0192f2c1").unwrap(),
    }
}

fn fact(is_full: bool) -> SessionEvent {
    SessionEvent::FactReceived(Box::new(ReceivedFact {
        seq: if is_full { 4_711 } else { 1 },
        id: FactId::new("M100-07:0192f2c1:f9").unwrap(),
        hash: std::array::from_fn(|n| u8::try_from(n).unwrap()),
        kind: "departed".into(),
        mission: is_full.then(|| MissionId::from_uuid(NAME)),
        event_time: "2026-10-24T15:04:05.120Z".parse().unwrap(),
        received_at: "2026-10-24T15:04:05.300001Z".parse().unwrap(),
        skewed_time: is_full.then(|| "2026-10-24T15:09:05Z".parse().unwrap()),
        data: if is_full {
            br#"{"leg":"pickup"}"#.to_vec()
        } else {
            vec![]
        },
    }))
}

fn parked(is_full: bool) -> SessionEvent {
    SessionEvent::FactParked {
        seq: 7,
        parked: Parked {
            why: if is_full {
                ParkReason::UnknownKind
            } else {
                ParkReason::UnknownMission
            },
            mission: is_full.then(|| MissionId::from_uuid(NAME)),
            delivery: is_full.then(|| DeliveryId::from_uuid(NAME)),
            since: "2026-10-24T15:04:05.120Z".parse().unwrap(),
            late: is_full,
        },
    }
}

pub(crate) fn session() -> Vec<(&'static str, u16, SessionEvent)> {
    vec![
        ("full", 1, SessionEvent::SessionOpened(sender())),
        ("full", 1, fact(true)),
        ("minimal", 1, fact(false)),
        ("full", 1, SessionEvent::GapPassed { up_to: u64::MAX }),
        ("full", 1, parked(true)),
        ("minimal", 1, parked(false)),
        ("full", 1, SessionEvent::FactUnparked { seq: 300 }),
        (
            "full",
            1,
            SessionEvent::DeadLettered {
                seq: 300,
                why: ParkReason::UnknownDelivery,
            },
        ),
    ]
}

pub(crate) fn mission() -> Vec<(&'static str, u16, MissionEvent)> {
    let bound = MissionEvent::MissionBound {
        delivery: DeliveryId::from_uuid(NAME),
        epoch: 2,
        sender: sender(),
    };
    let session = SessionId::new("0192f2c2").unwrap();
    vec![
        ("full", 1, bound),
        ("full", 1, MissionEvent::MissionContinued { session }),
        (
            "full",
            1,
            MissionEvent::LinkLost {
                fact: FactId::new("M100-07:0192f2c1:f9").unwrap(),
            },
        ),
        ("full", 1, MissionEvent::LinkRestored),
    ]
}
