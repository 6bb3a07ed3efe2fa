//! The frozen payloads of mission events.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MissionEvent;
use crate::codec::{checked, first_schema, stored_events};
use crate::id::{DeliveryId, FactId, SessionId};
use crate::session::payload::SenderV1;

#[derive(Debug, Serialize, Deserialize)]
struct MissionBoundV1 {
    delivery: [u8; 16],
    epoch: u32,
    sender: SenderV1,
}

#[derive(Debug, Serialize, Deserialize)]
struct MissionContinuedV1 {
    session: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkLostV1 {
    fact: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkRestoredV1 {}

first_schema!(
    MissionBoundV1,
    MissionContinuedV1,
    LinkLostV1,
    LinkRestoredV1
);

stored_events!(MissionEvent {
    501 MissionBound MissionBoundV1
    { Self::MissionBound { delivery, epoch, sender } => MissionBoundV1 {
        delivery: delivery.uuid().into_bytes(),
        epoch: *epoch,
        sender: SenderV1::of(sender),
    } }
    { stored => MissionEvent::MissionBound {
        delivery: DeliveryId::from_uuid(Uuid::from_bytes(stored.delivery)),
        epoch: stored.epoch,
        sender: stored.sender.value()?,
    } }

    502 MissionContinued MissionContinuedV1
    { Self::MissionContinued { session } => MissionContinuedV1 { session: session.to_string() } }
    { stored => MissionEvent::MissionContinued {
        session: checked("session", SessionId::new(stored.session))?,
    } }

    506 LinkLost LinkLostV1
    { Self::LinkLost { fact } => LinkLostV1 { fact: fact.to_string() } }
    { stored => MissionEvent::LinkLost { fact: checked("fact", FactId::new(stored.fact))? } }

    507 LinkRestored LinkRestoredV1
    { Self::LinkRestored => LinkRestoredV1 {} }
    { LinkRestoredV1 {} => MissionEvent::LinkRestored }
});
