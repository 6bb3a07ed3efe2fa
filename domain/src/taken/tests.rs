//! How taken commands behave, in sentences and laws.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::spec::{given, lived};
use crate::stream::Category;

const NOW: Timestamp = Timestamp::MIN;

fn taken(version: u64) -> TakenCommand {
    TakenCommand {
        request_hash: [7; 32],
        shown: StreamName {
            category: Category::User,
            key: Uuid::nil(),
        },
        version,
    }
}

fn take(version: u64) -> TakenCommandCommand {
    let taken = taken(version);
    TakenCommandCommand::Take { taken, now: NOW }
}

#[test]
fn a_command_is_taken_once_and_what_it_did_stays() {
    let once = given::<TakenCommand>([])
        .when(take(1))
        .then_events([TakenCommandEvent::CommandTaken(taken(1))]);
    assert_eq!(once.state(), Some(taken(1)));
    once.clone().when(take(1)).then_nothing();
    once.when(take(2)).then_rejected(TakenBefore);
}

#[test]
fn what_differs_in_anything_is_another_command() {
    let ids: HashSet<_> = [
        ("ada", ("POST", "/v1/users"), "1"),
        ("bob", ("POST", "/v1/users"), "1"),
        ("ada", ("PATCH", "/v1/users"), "1"),
        ("ada", ("POST", "/v1/users/1"), ""),
        ("ada", ("POST", "/v1/users"), "2"),
    ]
    .into_iter()
    .map(|(principal, asked, key)| CommandId::of(principal, asked, key))
    .flat_map(|id| [id.uuid(), id.commit_id(), id.created_id()])
    .collect();
    assert_eq!(ids.len(), 15);
    let again = CommandId::of("ada", ("POST", "/v1/users"), "1");
    assert!(ids.contains(&again.uuid()) && ids.contains(&again.created_id()));
}

fn any_taken() -> impl Strategy<Value = TakenCommand> {
    (
        any::<[u8; 32]>(),
        any_of::word(&Category::ALL),
        any_of::uuid(),
        any::<u64>(),
    )
        .prop_map(|(request_hash, category, key, version)| TakenCommand {
            request_hash,
            shown: StreamName { category, key },
            version,
        })
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold(
        life in prop::collection::vec((0..3_u64, any_of::time()), 0..20),
    ) {
        let life: Vec<_> = life
            .into_iter()
            .map(|(version, now)| TakenCommandCommand::Take { taken: taken(version), now })
            .collect();
        prop_assert!(lived::<TakenCommand>(&life).len() <= 1);
    }

    #[test]
    fn what_is_stored_is_read_back(taken in any_taken()) {
        let event = TakenCommandEvent::CommandTaken(taken);
        let stored = event.encode();
        prop_assert_eq!(
            TakenCommandEvent::decode(stored.event_type, stored.schema, &stored.payload),
            Ok(event)
        );
    }
}
