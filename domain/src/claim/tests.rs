//! How claims behave, in sentences and laws.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::spec::{given, lived};

const NOW: Timestamp = Timestamp::MIN;
const ADA: UserId = UserId::from_uuid(Uuid::from_u128(1));
const BOB: UserId = UserId::from_uuid(Uuid::from_u128(2));

const fn claim(user: UserId) -> EmailClaimCommand {
    EmailClaimCommand::Claim { user, now: NOW }
}

const fn release(user: UserId) -> EmailClaimCommand {
    EmailClaimCommand::Release { user, now: NOW }
}

#[test]
fn an_address_has_one_holder_at_a_time() {
    let claimed = given::<EmailClaim>([])
        .when(claim(ADA))
        .then_events([EmailClaimEvent::EmailClaimed { user: ADA }]);
    claimed.clone().when(claim(ADA)).then_nothing();
    claimed
        .clone()
        .when(claim(BOB))
        .then_rejected(EmailClaimRejection::Taken { by: ADA });
    claimed
        .when(release(ADA))
        .then_events([EmailClaimEvent::EmailReleased { user: ADA }])
        .when(claim(BOB))
        .then_events([EmailClaimEvent::EmailClaimed { user: BOB }]);
}

#[test]
fn only_its_holder_gives_an_address_up() {
    given::<EmailClaim>([]).when(release(ADA)).then_nothing();
    given::<EmailClaim>([])
        .after(claim(ADA))
        .when(release(BOB))
        .then_nothing();
}

#[test]
fn a_tag_is_in_one_delivery_at_a_time_and_only_that_one_gives_it_up() {
    let [one, other] = [1, 2].map(|n| DeliveryId::from_uuid(Uuid::from_u128(n)));
    let claim = |delivery| TagClaimCommand::Claim { delivery, now: NOW };
    let release = |delivery| TagClaimCommand::Release { delivery, now: NOW };
    given::<TagClaim>([]).when(release(one)).then_nothing();
    let claimed = given::<TagClaim>([])
        .when(claim(one))
        .then_events([TagClaimEvent::TagClaimed { delivery: one }]);
    claimed.clone().when(claim(one)).then_nothing();
    claimed
        .clone()
        .when(claim(other))
        .then_rejected(TagClaimRejection::Taken { by: one });
    claimed.clone().when(release(other)).then_nothing();
    claimed
        .when(release(one))
        .then_events([TagClaimEvent::TagReleased { delivery: one }])
        .when(claim(other))
        .then_events([TagClaimEvent::TagClaimed { delivery: other }]);
}

#[test]
fn an_external_id_names_one_delivery_for_ever() {
    let delivery = |n| DeliveryId::from_uuid(Uuid::from_u128(n));
    let claim = |n, hash| ExternalIdClaimCommand::Claim {
        delivery: delivery(n),
        request_hash: [hash; 32],
        now: NOW,
    };
    let claimed = given::<ExternalIdClaim>([]).when(claim(1, 7)).then_events([
        ExternalIdClaimEvent::ExternalIdClaimed {
            delivery: delivery(1),
            request_hash: [7; 32],
        },
    ]);
    claimed.clone().when(claim(1, 7)).then_nothing();
    let taken = |same_request| ExternalIdClaimRejection::Taken {
        delivery: delivery(1),
        same_request,
    };
    claimed.clone().when(claim(2, 7)).then_rejected(taken(true));
    claimed
        .clone()
        .when(claim(2, 8))
        .then_rejected(taken(false));
    claimed.when(claim(1, 8)).then_rejected(taken(false));
}

fn any_user() -> impl Strategy<Value = UserId> {
    (1..=3_u128).prop_map(|n| UserId::from_uuid(Uuid::from_u128(n)))
}

fn any_delivery() -> impl Strategy<Value = (DeliveryId, [u8; 32])> {
    (1..=3_u128, 0..3_u8)
        .prop_map(|(n, hash)| (DeliveryId::from_uuid(Uuid::from_u128(n)), [hash; 32]))
}

fn any_email_command() -> impl Strategy<Value = EmailClaimCommand> {
    prop_oneof![
        (any_user(), any_of::time()).prop_map(|(user, now)| EmailClaimCommand::Claim { user, now }),
        (any_user(), any_of::time())
            .prop_map(|(user, now)| EmailClaimCommand::Release { user, now }),
    ]
}

fn any_email_event() -> impl Strategy<Value = EmailClaimEvent> {
    prop_oneof![
        any_user().prop_map(|user| EmailClaimEvent::EmailClaimed { user }),
        any_user().prop_map(|user| EmailClaimEvent::EmailReleased { user }),
    ]
}

fn any_tag_command() -> impl Strategy<Value = TagClaimCommand> {
    (any_delivery(), any_of::time(), any::<bool>()).prop_map(|((delivery, _), now, claims)| {
        if claims {
            TagClaimCommand::Claim { delivery, now }
        } else {
            TagClaimCommand::Release { delivery, now }
        }
    })
}

fn any_tag_event() -> impl Strategy<Value = TagClaimEvent> {
    prop_oneof![
        any_delivery().prop_map(|(delivery, _)| TagClaimEvent::TagClaimed { delivery }),
        any_delivery().prop_map(|(delivery, _)| TagClaimEvent::TagReleased { delivery }),
    ]
}

fn any_external_id_event() -> impl Strategy<Value = ExternalIdClaimEvent> {
    any_delivery().prop_map(
        |(delivery, request_hash)| ExternalIdClaimEvent::ExternalIdClaimed {
            delivery,
            request_hash,
        },
    )
}

fn folds_in_parts<D>(events: Vec<D::Event>, cut: usize) -> bool
where
    D: Decider,
    D::State: PartialEq,
{
    let all: Vec<_> = events
        .into_iter()
        .map(|event| Occurrence::new(event, NOW))
        .collect();
    let (a, b) = all.split_at(cut.min(all.len()));
    D::fold(&all) == D::fold_from(D::fold(a), b)
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold_for_addresses(life in prop::collection::vec(any_email_command(), 0..20)) {
        let _ = lived::<EmailClaim>(&life);
    }

    #[test]
    fn the_laws_of_a_decider_hold_for_tags(life in prop::collection::vec(any_tag_command(), 0..20)) {
        // Whoever has it gives it up before another has it.
        let mut holder = None;
        for occurrence in lived::<TagClaim>(&life) {
            match occurrence.event {
                TagClaimEvent::TagClaimed { delivery } => prop_assert_eq!(holder.replace(delivery), None),
                TagClaimEvent::TagReleased { delivery } => prop_assert_eq!(holder.take(), Some(delivery)),
            }
        }
    }

    #[test]
    fn the_laws_of_a_decider_hold_for_external_ids(
        life in prop::collection::vec((any_delivery(), any_of::time()), 0..20),
    ) {
        let life: Vec<_> = life
            .into_iter()
            .map(|((delivery, request_hash), now)| ExternalIdClaimCommand::Claim { delivery, request_hash, now })
            .collect();
        prop_assert!(lived::<ExternalIdClaim>(&life).len() <= 1);
    }

    #[test]
    fn any_events_fold_in_parts_as_they_fold_at_once(
        email in prop::collection::vec(any_email_event(), 0..20),
        external_id in prop::collection::vec(any_external_id_event(), 0..20),
        tag in prop::collection::vec(any_tag_event(), 0..20),
        cut in 0..20_usize,
    ) {
        prop_assert!(folds_in_parts::<EmailClaim>(email, cut));
        prop_assert!(folds_in_parts::<ExternalIdClaim>(external_id, cut));
        prop_assert!(folds_in_parts::<TagClaim>(tag, cut));
    }

    #[test]
    fn what_is_stored_is_read_back(
        email in any_email_event(),
        external_id in any_external_id_event(),
        tag in any_tag_event(),
    ) {
        let stored = tag.encode();
        prop_assert_eq!(TagClaimEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(tag));
        let stored = email.encode();
        prop_assert_eq!(EmailClaimEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(email));
        let stored = external_id.encode();
        prop_assert_eq!(
            ExternalIdClaimEvent::decode(stored.event_type, stored.schema, &stored.payload),
            Ok(external_id)
        );
    }
}
