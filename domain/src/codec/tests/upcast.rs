//! An event that was changed twice: the example for whoever changes one.
//!
//! Drones reported how high they flew in decimetres; then in centimetres; then
//! in millimetres, with a remark. Three frozen structs stand side by side, each
//! knows the one before it, and what each of them wrote lies in a golden file
//! beside this one, to be read for ever.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::*;

/// What each schema wrote of one height: how high it was, in millimetres, and the bytes.
const GOLDEN: [(u16, u32, &str); 3] = [
    (1, 12_300, include_str!("golden/Height-v1.hex")),
    (2, 12_340, include_str!("golden/Height-v2.hex")),
    (3, 12_345, include_str!("golden/Height-v3.hex")),
];

/// As it was in the first release.
#[derive(Serialize, Deserialize)]
struct HeightV1 {
    decimetres: u32,
}

/// Decimetres were too coarse.
#[derive(Serialize, Deserialize)]
struct HeightV2 {
    centimetres: u32,
}

/// Centimetres were too coarse, and people wanted to say something about it.
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

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.trim().chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn bytes(payload: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(payload).unwrap()
}

#[test]
fn what_every_schema_wrote_is_read_for_ever() {
    for (schema, mm, golden) in GOLDEN {
        let remark = (schema == 3).then(|| "gusts".to_owned());
        let read = Measured::decode(9001, schema, &unhex(golden));
        assert_eq!(read, Ok(Measured::Height { mm, remark }), "schema {schema}");
    }
}

#[test]
fn only_the_newest_schema_is_written_and_it_is_written_as_in_its_golden_file() {
    let (schema, mm, golden) = GOLDEN[2];
    let remark = Some("gusts".to_owned());
    let stored = Measured::Height { mm, remark }.encode();
    assert_eq!((stored.schema, stored.payload), (schema, unhex(golden)));
}

#[test]
fn every_schema_keeps_a_shape_of_its_own() {
    let shapes: Vec<_> = Measured::shapes().iter().map(ToString::to_string).collect();
    assert_eq!(
        shapes,
        [
            "9001 1 Height: HeightV1 { decimetres: u32 }",
            "9001 2 Height: HeightV2 { centimetres: u32 }",
            "9001 3 Height: HeightV3 { millimetres: u32, remark: Option<String> }",
        ]
    );
}

proptest! {
    #[test]
    fn an_upcast_is_total_and_keeps_what_was_meant(decimetres: u32) {
        let v3 = HeightV3::upcast(HeightV2::upcast(HeightV1 { decimetres }));
        prop_assert_eq!(v3.millimetres, decimetres.saturating_mul(10).saturating_mul(10));
        prop_assert_eq!(v3.remark, None);
    }

    #[test]
    fn reading_an_old_schema_is_reading_the_newest_after_the_upcasts(
        decimetres in 0..20_000_u32,
        centimetres in 0..200_000_u32,
    ) {
        let (v1, v2) = (HeightV1 { decimetres }, HeightV2 { centimetres });
        let (old, older) = (bytes(&v2), bytes(&v1));
        let newest = |payload: HeightV3| Measured::decode(9001, 3, &bytes(&payload));
        // A height that is not possible is the same error but for the schema it names.
        let same = |old: Result<Measured, DecodeError>, new: Result<Measured, DecodeError>| {
            old.ok() == new.ok()
        };
        prop_assert!(same(Measured::decode(9001, 2, &old), newest(HeightV3::upcast(v2))));
        let up = HeightV3::upcast(HeightV2::upcast(v1));
        prop_assert!(same(Measured::decode(9001, 1, &older), newest(up)));
    }

    #[test]
    fn whatever_the_bytes_are_every_schema_reads_them_strictly_or_not_at_all(
        schema in 1..4_u16,
        payload in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        if Measured::decode(9001, schema, &payload).is_ok() {
            let again = match schema {
                1 => postcard::from_bytes::<HeightV1>(&payload).map(|old| bytes(&old)),
                2 => postcard::from_bytes::<HeightV2>(&payload).map(|old| bytes(&old)),
                _ => postcard::from_bytes::<HeightV3>(&payload).map(|new| bytes(&new)),
            };
            prop_assert_eq!(again, Ok(payload));
        }
    }
}
