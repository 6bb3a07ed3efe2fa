//! How the claims' events are stored.
//!
//! **These structs are frozen.** Bytes written with them lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EmailClaimEvent, ExternalIdClaimEvent, TagClaimEvent};
use crate::codec::{first_schema, stored_events};
use crate::id::{DeliveryId, UserId};

/// `EmailClaimed` and `EmailReleased`.
#[derive(Serialize, Deserialize)]
struct EmailHolderV1 {
    user: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct ExternalIdClaimedV1 {
    delivery: [u8; 16],
    request_hash: [u8; 32],
}

/// `TagClaimed` and `TagReleased`.
#[derive(Serialize, Deserialize)]
struct TagHolderV1 {
    delivery: [u8; 16],
}

first_schema!(EmailHolderV1, ExternalIdClaimedV1, TagHolderV1);

stored_events! { EmailClaimEvent {
    301 EmailClaimed EmailHolderV1
        { Self::EmailClaimed { user } => EmailHolderV1 { user: user.uuid().into_bytes() } }
        { p => Self::EmailClaimed { user: UserId::from_uuid(Uuid::from_bytes(p.user)) } }
    302 EmailReleased EmailHolderV1
        { Self::EmailReleased { user } => EmailHolderV1 { user: user.uuid().into_bytes() } }
        { p => Self::EmailReleased { user: UserId::from_uuid(Uuid::from_bytes(p.user)) } }
} }

stored_events! { ExternalIdClaimEvent {
    311 ExternalIdClaimed ExternalIdClaimedV1
        { Self::ExternalIdClaimed { delivery, request_hash } => ExternalIdClaimedV1 {
            delivery: delivery.uuid().into_bytes(),
            request_hash: *request_hash,
        } }
        { p => Self::ExternalIdClaimed {
            delivery: DeliveryId::from_uuid(Uuid::from_bytes(p.delivery)),
            request_hash: p.request_hash,
        } }
} }

stored_events! { TagClaimEvent {
    711 TagClaimed TagHolderV1
        { Self::TagClaimed { delivery } => TagHolderV1 { delivery: delivery.uuid().into_bytes() } }
        { p => Self::TagClaimed { delivery: DeliveryId::from_uuid(Uuid::from_bytes(p.delivery)) } }
    712 TagReleased TagHolderV1
        { Self::TagReleased { delivery } => TagHolderV1 { delivery: delivery.uuid().into_bytes() } }
        { p => Self::TagReleased { delivery: DeliveryId::from_uuid(Uuid::from_bytes(p.delivery)) } }
} }
