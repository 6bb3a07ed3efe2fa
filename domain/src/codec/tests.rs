//! The codec's own rules, over all event types and on one with a history.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

// An event that was changed twice: the example to follow.
mod upcast;

#[test]
fn no_two_event_types_share_a_number_or_a_name() {
    let types = event_types();
    let numbers: HashSet<_> = types.iter().map(|t| t.number).collect();
    let names: HashSet<_> = types.iter().map(|t| t.name).collect();
    assert_eq!(numbers.len(), types.len());
    assert_eq!(names.len(), types.len());
}

fn again<E: StoredEvent>(event_type: u16, schema: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let event = E::decode(event_type, schema, payload).ok()?;
    Some(event.encode().payload)
}

proptest! {
    #[test]
    fn whatever_the_bytes_are_decoding_answers(
        place in 0..event_types().len(),
        schema in 0..4_u16,
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let number = event_types()[place].number;
        // An answer is enough; bytes that are taken must also be the ones written.
        let rewritten = [
            again::<DeliveryEvent>(number, schema, &payload),
            again::<UserEvent>(number, schema, &payload),
            again::<EmailClaimEvent>(number, schema, &payload),
            again::<ExternalIdClaimEvent>(number, schema, &payload),
            again::<SessionEvent>(number, schema, &payload),
            again::<RefusalEvent>(number, schema, &payload),
            again::<MissionEvent>(number, schema, &payload),
            again::<crate::dispatch::DispatchEvent>(number, schema, &payload),
            again::<crate::scheduling::OperationEvent>(number, schema, &payload),
            again::<TaskEvent>(number, schema, &payload),
            again::<PackageEvent>(number, schema, &payload),
            again::<TagClaimEvent>(number, schema, &payload),
            again::<TakenCommandEvent>(number, schema, &payload),
        ];
        for bytes in rewritten.into_iter().flatten() {
            prop_assert_eq!(&bytes, &payload);
        }
    }
}
