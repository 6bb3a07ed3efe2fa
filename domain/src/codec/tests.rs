//! The codec's own rules, shown on a type with a history of three schemas.

use std::collections::HashSet;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize)]
struct HeightV1 {
    decimetres: u32,
}

#[derive(Serialize, Deserialize)]
struct HeightV2 {
    centimetres: u32,
}

#[derive(Serialize, Deserialize)]
struct HeightV3 {
    millimetres: u32,
    remark: Option<String>,
}

first_schema!(HeightV1);

impl Payload for HeightV2 {
    const SCHEMA: u16 = 2;
    type Previous = HeightV1;

    fn upcast(previous: HeightV1) -> Self {
        Self {
            centimetres: previous.decimetres.saturating_mul(10),
        }
    }
}

impl Payload for HeightV3 {
    const SCHEMA: u16 = 3;
    type Previous = HeightV2;

    fn upcast(previous: HeightV2) -> Self {
        Self {
            millimetres: previous.centimetres.saturating_mul(10),
            remark: None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Measured {
    Height { mm: u32, remark: Option<String> },
}

stored_events! { Measured {
    9001 Height HeightV3
        { Self::Height { mm, remark } => HeightV3 { millimetres: *mm, remark: remark.clone() } }
        { p => Self::Height {
            mm: checked("millimetres", (p.millimetres < 1_000_000).then_some(p.millimetres).ok_or(()))?,
            remark: p.remark,
        } }
} }

fn malformed(why: Malformation) -> Result<Measured, DecodeError> {
    Err(DecodeError::Malformed {
        name: "Height",
        schema: 3,
        why,
    })
}

#[test]
fn an_older_schema_is_read_with_its_own_struct_and_goes_up_step_by_step() {
    let height = |mm| Ok(Measured::Height { mm, remark: None });
    assert_eq!(Measured::decode(9001, 1, &[5]), height(500));
    assert_eq!(Measured::decode(9001, 2, &[5]), height(50));
    assert_eq!(Measured::decode(9001, 3, &[5, 0]), height(5));
}

#[test]
fn what_a_later_release_wrote_is_named_and_not_guessed_at() {
    assert_eq!(
        Measured::decode(9002, 1, &[5]),
        Err(DecodeError::UnknownType { event_type: 9002 })
    );
    for schema in [0, 4] {
        let unknown = DecodeError::UnknownSchema {
            name: "Height",
            schema,
            newest: 3,
        };
        assert_eq!(Measured::decode(9001, schema, &[5]), Err(unknown));
    }
}

#[test]
fn a_payload_is_taken_only_if_it_is_exactly_what_would_be_written() {
    assert_eq!(
        Measured::decode(9001, 3, &[5]),
        malformed(Malformation::NotThisPayload)
    );
    assert_eq!(
        Measured::decode(9001, 3, &[5, 0, 0]),
        malformed(Malformation::TrailingBytes)
    );
    // 5 as a varint of two bytes.
    assert_eq!(
        Measured::decode(9001, 3, &[0x85, 0, 0]),
        malformed(Malformation::NotCanonical)
    );
}

#[test]
fn a_value_that_is_not_possible_names_its_field() {
    let bytes = postcard::to_stdvec(&HeightV3 {
        millimetres: 1_000_000,
        remark: None,
    })
    .unwrap();
    assert_eq!(
        Measured::decode(9001, 3, &bytes),
        malformed(Malformation::InvalidField("millimetres"))
    );
}

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
            again::<MissionEvent>(number, schema, &payload),
        ];
        for bytes in rewritten.into_iter().flatten() {
            prop_assert_eq!(&bytes, &payload);
        }
    }
}
