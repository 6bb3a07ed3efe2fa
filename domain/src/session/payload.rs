//! The frozen payloads of drone session events.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{ParkReason, Parked, ReceivedFact, SessionEvent};
use crate::codec::{InvalidField, at, checked, first_schema, number_of, stored_events, word_of};
use crate::drone::Sender;
use crate::id::{DeliveryId, DroneId, FactId, FleetId, MissionId, SessionId};
use crate::time::Timestamp;

/// Who sends. Also part of what is stored of missions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SenderV1 {
    fleet: String,
    drone: String,
    session: String,
}

impl SenderV1 {
    pub(crate) fn of(sender: &Sender) -> Self {
        Self {
            fleet: sender.fleet.to_string(),
            drone: sender.drone.to_string(),
            session: sender.session.to_string(),
        }
    }

    pub(crate) fn value(self) -> Result<Sender, InvalidField> {
        Ok(Sender {
            fleet: checked("fleet", FleetId::new(self.fleet))?,
            drone: checked("drone", DroneId::new(self.drone))?,
            session: checked("session", SessionId::new(self.session))?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SessionOpenedV1 {
    sender: SenderV1,
}

#[derive(Debug, Serialize, Deserialize)]
struct FactReceivedV1 {
    seq: u64,
    id: String,
    hash: [u8; 16],
    kind: String,
    mission: Option<[u8; 16]>,
    event_time_us: i64,
    received_at_us: i64,
    skewed_time_us: Option<i64>,
    data: Vec<u8>,
}

impl FactReceivedV1 {
    fn of(fact: &ReceivedFact) -> Self {
        Self {
            seq: fact.seq,
            id: fact.id.to_string(),
            hash: fact.hash,
            kind: fact.kind.clone(),
            mission: fact.mission.map(|mission| mission.uuid().into_bytes()),
            event_time_us: fact.event_time.micros(),
            received_at_us: fact.received_at.micros(),
            skewed_time_us: fact.skewed_time.map(Timestamp::micros),
            data: fact.data.clone(),
        }
    }

    fn value(self) -> Result<ReceivedFact, InvalidField> {
        Ok(ReceivedFact {
            seq: self.seq,
            id: checked("id", FactId::new(self.id))?,
            hash: self.hash,
            kind: self.kind,
            mission: self.mission.map(mission),
            event_time: at("event_time_us", self.event_time_us)?,
            received_at: at("received_at_us", self.received_at_us)?,
            skewed_time: (self.skewed_time_us)
                .map(|time_us| at("skewed_time_us", time_us))
                .transpose()?,
            data: self.data,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct GapPassedV1 {
    up_to: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct FactParkedV1 {
    seq: u64,
    why: u8,
    mission: Option<[u8; 16]>,
    delivery: Option<[u8; 16]>,
    since_us: i64,
    late: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct FactUnparkedV1 {
    seq: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeadLetteredV1 {
    seq: u64,
    why: u8,
}

first_schema!(
    SessionOpenedV1,
    FactReceivedV1,
    GapPassedV1,
    FactParkedV1,
    FactUnparkedV1,
    DeadLetteredV1
);

fn mission(bytes: [u8; 16]) -> MissionId {
    MissionId::from_uuid(Uuid::from_bytes(bytes))
}

stored_events!(SessionEvent {
    401 SessionOpened SessionOpenedV1
    { Self::SessionOpened(sender) => SessionOpenedV1 { sender: SenderV1::of(sender) } }
    { stored => SessionEvent::SessionOpened(stored.sender.value()?) }

    402 FactReceived FactReceivedV1
    { Self::FactReceived(fact) => FactReceivedV1::of(fact) }
    { stored => SessionEvent::FactReceived(Box::new(stored.value()?)) }

    403 GapPassed GapPassedV1
    { Self::GapPassed { up_to } => GapPassedV1 { up_to: *up_to } }
    { stored => SessionEvent::GapPassed { up_to: stored.up_to } }

    404 FactParked FactParkedV1
    { Self::FactParked { seq, parked } => FactParkedV1 {
        seq: *seq,
        why: number_of(ParkReason::ALL, &parked.why),
        mission: parked.mission.map(|mission| mission.uuid().into_bytes()),
        delivery: parked.delivery.map(|delivery| delivery.uuid().into_bytes()),
        since_us: parked.since.micros(),
        late: parked.late,
    } }
    { stored => SessionEvent::FactParked {
        seq: stored.seq,
        parked: Parked {
            why: word_of("why", ParkReason::ALL, stored.why)?,
            mission: stored.mission.map(mission),
            delivery: stored.delivery.map(|id| DeliveryId::from_uuid(Uuid::from_bytes(id))),
            since: at("since_us", stored.since_us)?,
            late: stored.late,
        },
    } }

    405 FactUnparked FactUnparkedV1
    { Self::FactUnparked { seq } => FactUnparkedV1 { seq: *seq } }
    { stored => SessionEvent::FactUnparked { seq: stored.seq } }

    406 DeadLettered DeadLetteredV1
    { Self::DeadLettered { seq, why } => DeadLetteredV1 {
        seq: *seq,
        why: number_of(ParkReason::ALL, why),
    } }
    { stored => SessionEvent::DeadLettered {
        seq: stored.seq,
        why: word_of("why", ParkReason::ALL, stored.why)?,
    } }
});
