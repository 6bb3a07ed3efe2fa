//! Where a drone is and how it does.

use domain::drone::{
    AltitudeMm, Battery, BatteryState, FlightPhase, Position, Telemetry, VelocityMmps,
};
use domain::geo::GeoPoint;
use domain::time::DurationS;

use super::{Common, Receipt};
use crate::http::fields::{Fields, integer, known, number, object};

/// Farthest below and above that anything flies, metres.
const HEIGHT_M: std::ops::RangeInclusive<f64> = -12_000.0..=100_000.0;

/// Faster than anything that delivers, metres a second.
const SPEED_MPS: std::ops::RangeInclusive<f64> = -1_000.0..=1_000.0;

/// What telemetry has of its own.
pub(super) struct Readings {
    phase: Option<FlightPhase>,
    position: Option<Position>,
    velocity: Option<VelocityMmps>,
    heading_cdeg: Option<u16>,
    battery: Option<Battery>,
    eta_next: Option<DurationS>,
    eta_end: Option<DurationS>,
}

impl Readings {
    pub(super) fn into_telemetry(self, common: Common, receipt: Receipt) -> Telemetry {
        Telemetry {
            sender: common.sender,
            seq: common.seq,
            mission: common.mission,
            simulated: common.simulated,
            event_time: receipt.judge(common.time).0,
            received_at: receipt.at,
            phase: self.phase,
            position: self.position,
            velocity: self.velocity,
            heading_cdeg: self.heading_cdeg,
            battery: self.battery,
            eta_next: self.eta_next,
            eta_end: self.eta_end,
        }
    }
}

pub(super) fn read_readings(data: &mut Fields<'_>) -> Option<Readings> {
    let phase = data.required("phase", known(FlightPhase::ALL, FlightPhase::word));
    let position = read_position(data, Coordinates::Named);
    let velocity = data.optional("velocity", object(read_velocity));
    let heading = data.optional("heading_deg", number(0.0..=359.999_999));
    let battery = data.optional("battery", object(|battery| Some(read_battery(battery))));
    let eta = data.optional(
        "eta",
        object(|eta| {
            eta.ignore_unknown();
            let seconds = |s| Some(DurationS::new(s));
            let next = eta
                .optional("next_s", integer(0..=u32::MAX))
                .and_then(seconds);
            let end = eta
                .optional("end_s", integer(0..=u32::MAX))
                .and_then(seconds);
            Some((next, end))
        }),
    );
    let (eta_next, eta_end) = eta.unwrap_or_default();
    Some(Readings {
        phase: Some(phase?),
        position,
        velocity,
        heading_cdeg: heading.map(to_centidegrees),
        battery,
        eta_next,
        eta_end,
    })
}

/// What is made of a position whose coordinates have other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinates {
    /// It is refused: they would be lost without a word.
    Named,
    /// It has none: it was taken before that was asked.
    AsKept,
}

/// Latitude and longitude that are both 0 are how receivers without a fix
/// spell "no position".
pub(super) fn read_position(data: &mut Fields<'_>, asked: Coordinates) -> Option<Position> {
    data.optional(
        "position",
        object(|position| {
            position.ignore_unknown();
            for (name, other) in [("lat_deg", "lat"), ("lon_deg", "lon")] {
                let has_other = position.has(other) && !position.has(name);
                if asked == Coordinates::Named && has_other {
                    let detail =
                        "this member is missing; coordinates of a drone are lat_deg and lon_deg";
                    position.fault::<()>(name, "required", detail);
                }
            }
            let lat = position.optional("lat_deg", number(-90.0..=90.0));
            let lon = position.optional("lon_deg", number(-180.0..=180.0));
            let alt_msl = position.optional("alt_msl_m", number(HEIGHT_M));
            let above_home = position.optional("height_above_home_m", number(HEIGHT_M));
            let accuracy = position.optional("h_acc_m", number(0.0..=1_000_000.0));
            let point = GeoPoint::from_degrees(lat?, lon?).ok()?;
            let height = |metres| AltitudeMm(to_thousandths(metres));
            (point.lat_e7() != 0 || point.lon_e7() != 0).then_some(Position {
                point,
                alt_msl_mm: alt_msl.map(height),
                height_above_home_mm: above_home.map(height),
                h_acc_mm: accuracy.map(|metres| to_thousandths(metres).unsigned_abs()),
            })
        }),
    )
}

fn read_velocity(velocity: &mut Fields<'_>) -> Option<VelocityMmps> {
    velocity.ignore_unknown();
    let north = velocity.required("north_mps", number(SPEED_MPS));
    let east = velocity.required("east_mps", number(SPEED_MPS));
    let down = velocity.required("down_mps", number(SPEED_MPS));
    Some(VelocityMmps {
        north: to_thousandths(north?),
        east: to_thousandths(east?),
        down: to_thousandths(down?),
    })
}

fn read_battery(battery: &mut Fields<'_>) -> Battery {
    battery.ignore_unknown();
    let remaining = battery.optional("remaining_pct", number(0.0..=100.0));
    let voltage = battery.optional("voltage_v", number(0.0..=1_000.0));
    let state = battery.optional("state", known(BatteryState::ALL, BatteryState::word));
    Battery {
        remaining_pct: remaining.map(to_whole_percent),
        voltage_mv: voltage.map(|volts| to_thousandths(volts).unsigned_abs()),
        state,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "every caller's range, times 1,000, fits"
)]
fn to_thousandths(value: f64) -> i32 {
    (value * 1_000.0).round() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentage of 0 to 100 fits"
)]
fn to_whole_percent(value: f64) -> u8 {
    value.round() as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 36,000 fits, and a full turn is none"
)]
fn to_centidegrees(degrees: f64) -> u16 {
    (degrees * 100.0).round() as u16 % 36_000
}
