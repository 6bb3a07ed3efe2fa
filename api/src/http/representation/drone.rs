//! A drone: what it last said of itself.

use domain::drone::{Battery, BatteryState, FlightPhase, Position, Telemetry};
use domain::id::DeliveryId;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::{point, time};

/// A drone as of `now`, with the delivery that its mission is for.
pub(crate) fn drone(telemetry: &Telemetry, delivery: Option<DeliveryId>, now: Timestamp) -> Value {
    let age_us = now
        .micros()
        .saturating_sub(telemetry.received_at.micros())
        .max(0);
    json!({
        "id": telemetry.sender.drone.to_string(),
        "fleet_id": telemetry.sender.fleet.to_string(),
        "session_id": telemetry.sender.session.to_string(),
        "mission_id": telemetry.mission.map(|mission| mission.to_string()),
        "delivery_id": delivery.map(|delivery| delivery.to_string()),
        "simulated": telemetry.simulated,
        "phase": telemetry.phase.map(FlightPhase::word),
        "position": telemetry.position.map(position),
        "velocity": telemetry.velocity.map(|velocity| json!({
            "north_mps": thousandths(velocity.north),
            "east_mps": thousandths(velocity.east),
            "down_mps": thousandths(velocity.down),
        })),
        "heading_deg": telemetry.heading_cdeg.map(|heading| f64::from(heading) / 100.0),
        "battery": telemetry.battery.map(battery),
        "eta": {
            "next_s": telemetry.eta_next.map(domain::time::DurationS::get),
            "end_s": telemetry.eta_end.map(domain::time::DurationS::get),
        },
        "observed_at": time(telemetry.event_time),
        "received_at": time(telemetry.received_at),
        "age_s": age_us / 1_000_000,
    })
}

fn position(position: Position) -> Value {
    let mut shown = point(position.point);
    if let Value::Object(members) = &mut shown {
        let height = |height: Option<domain::drone::AltitudeMm>| {
            json!(height.map(|height| thousandths(height.0)))
        };
        members.insert("alt_msl_m".to_owned(), height(position.alt_msl_mm));
        members.insert(
            "height_above_home_m".to_owned(),
            height(position.height_above_home_mm),
        );
        members.insert(
            "h_acc_m".to_owned(),
            json!(
                position
                    .h_acc_mm
                    .map(|accuracy| f64::from(accuracy) / 1_000.0)
            ),
        );
    }
    shown
}

fn battery(battery: Battery) -> Value {
    json!({
        "remaining_pct": battery.remaining_pct,
        "voltage_v": battery.voltage_mv.map(|voltage| f64::from(voltage) / 1_000.0),
        "state": battery.state.map(BatteryState::word),
    })
}

fn thousandths(value: i32) -> f64 {
    f64::from(value) / 1_000.0
}
