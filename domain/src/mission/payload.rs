//! The frozen payloads of mission events.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MissionEvent;
use crate::codec::{checked, first_schema, stored_events};
use crate::id::{DeliveryId, SessionId};
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

first_schema!(MissionBoundV1, MissionContinuedV1);

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
});
