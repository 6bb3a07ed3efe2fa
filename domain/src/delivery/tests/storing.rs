//! A delivery's events as they are stored.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::arbitrary;
use super::*;
use crate::codec::{DecodeError, Malformation, StoredEvent};

#[test]
fn the_random_events_are_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let names: HashSet<_> = (0..1_000)
        .map(|_| {
            arbitrary::event()
                .new_tree(&mut runner)
                .unwrap()
                .current()
                .name()
        })
        .collect();
    assert_eq!(names.len(), DeliveryEvent::TYPES.len());
}

#[test]
fn a_word_that_is_not_known_is_named() {
    let stored = DeliveryEvent::CancellationRequested {
        reason: CancelReason::Other,
        comment: None,
    }
    .encode();
    let unknown = [u8::try_from(CancelReason::ALL.len()).unwrap(), 0];
    assert_eq!(
        DeliveryEvent::decode(stored.event_type, stored.schema, &unknown),
        Err(DecodeError::Malformed {
            name: "CancellationRequested",
            schema: 1,
            why: Malformation::InvalidField("reason"),
        })
    );
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(event in arbitrary::event()) {
        let stored = event.encode();
        prop_assert_eq!(DeliveryEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(event));
    }

    #[test]
    fn a_damaged_payload_is_refused_or_another_event_but_never_a_panic(
        event in arbitrary::event(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let stored = event.encode();
        let mut damaged = stored.payload.clone();
        if !damaged.is_empty() {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        damaged.truncate(cut.index(damaged.len() + 1).max(damaged.len() / 2));
        if let Ok(read) = DeliveryEvent::decode(stored.event_type, stored.schema, &damaged) {
            // Strictness: whatever is read would be written just so.
            prop_assert_eq!(read.encode().payload, damaged);
        }
    }
}
