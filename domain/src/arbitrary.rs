//! Any values, for property tests. Some come from small pools, so that they meet again.

use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::geo::GeoPoint;
use crate::id::{DroneId, FactId, FleetId, MissionId, Tag};
use crate::quantity::{DistanceM, MassG};
use crate::text::{Comment, Text};
use crate::time::{Timestamp, Window};

pub(crate) fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

pub(crate) fn word<T: Copy + std::fmt::Debug + 'static>(
    all: &'static [T],
) -> impl Strategy<Value = T> {
    select(all)
}

pub(crate) fn text<const CHARS_MAX: usize>() -> impl Strategy<Value = Text<CHARS_MAX>> {
    "[a-zA-Zäß✈][ -~äß✈\n]{0,30}".prop_map(|text| Text::new(text).unwrap())
}

pub(crate) fn comment() -> impl Strategy<Value = Option<Comment>> {
    prop::option::of(text())
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    let micros = prop_oneof![
        8 => 0..5_i64,
        1 => Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
    ];
    micros.prop_map(|micros| Timestamp::from_micros(micros).unwrap())
}

pub(crate) fn window() -> impl Strategy<Value = Window> {
    (time(), time()).prop_filter_map("a window has a length", |(a, b)| {
        Window::new(a.min(b), a.max(b)).ok()
    })
}

pub(crate) fn point() -> impl Strategy<Value = GeoPoint> {
    prop_oneof![
        Just((0, 0)),
        (
            -900_000_000..=900_000_000_i32,
            -1_800_000_000..=1_800_000_000_i32
        ),
    ]
    .prop_map(|(lat, lon)| GeoPoint::from_e7(lat, lon).unwrap())
}

pub(crate) fn mass() -> impl Strategy<Value = MassG> {
    (1..=MassG::MAX).prop_map(|grams| MassG::new(grams).unwrap())
}

pub(crate) fn distance() -> impl Strategy<Value = DistanceM> {
    any::<u32>().prop_map(DistanceM::new)
}

pub(crate) fn tag() -> impl Strategy<Value = Tag> {
    "[!-~]{1,64}".prop_map(|tag| Tag::new(tag).unwrap())
}

/// One of a few missions.
pub(crate) fn mission() -> impl Strategy<Value = MissionId> {
    (1..=4_u128).prop_map(|n| MissionId::from_uuid(Uuid::from_u128(n)))
}

/// One of a few dozen.
pub(crate) fn fact() -> impl Strategy<Value = FactId> {
    (0..40_u8).prop_map(|n| FactId::new(format!("fact-{n}")).unwrap())
}

/// One of two.
pub(crate) fn drone() -> impl Strategy<Value = DroneId> {
    select(&["M100-07", "M100-08"][..]).prop_map(|name| DroneId::new(name).unwrap())
}

pub(crate) fn fleet() -> impl Strategy<Value = FleetId> {
    Just("pgh").prop_map(|name| FleetId::new(name).unwrap())
}
