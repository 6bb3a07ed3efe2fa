//! How scheduling goes, in sentences and laws.

mod world;
mod booking;
mod payment;
mod packages;
mod drones;
mod stood_down;
mod others;
mod laws;

use super::*;
use world::{Bill, World};

fn with_billing() -> SchedulingSettings {
    SchedulingSettings {
        has_billing: true,
        ..SchedulingSettings::default()
    }
}

/// That many seconds after the beginning.
fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}
