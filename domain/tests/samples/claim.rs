//! Events of the claims.

use domain::claim::{EmailClaimEvent, ExternalIdClaimEvent, TagClaimEvent};
use domain::id::{DeliveryId, UserId};
use uuid::Uuid;

const NAME: Uuid = Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55);

pub(crate) fn email() -> Vec<(&'static str, u16, EmailClaimEvent)> {
    let user = UserId::from_uuid(NAME);
    vec![
        ("full", 1, EmailClaimEvent::EmailClaimed { user }),
        ("full", 1, EmailClaimEvent::EmailReleased { user }),
    ]
}

pub(crate) fn external_id() -> Vec<(&'static str, u16, ExternalIdClaimEvent)> {
    let request_hash = std::array::from_fn(|n| u8::try_from(n).unwrap());
    let claimed = ExternalIdClaimEvent::ExternalIdClaimed {
        delivery: DeliveryId::from_uuid(NAME),
        request_hash,
    };
    vec![("full", 1, claimed)]
}

pub(crate) fn tag() -> Vec<(&'static str, u16, TagClaimEvent)> {
    let delivery = DeliveryId::from_uuid(NAME);
    vec![
        ("full", 1, TagClaimEvent::TagClaimed { delivery }),
        ("full", 1, TagClaimEvent::TagReleased { delivery }),
    ]
}
