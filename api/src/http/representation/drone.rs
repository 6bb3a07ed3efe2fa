//! A drone: what it does, and what it last said of itself.

use domain::drone::{Battery, BatteryState, FlightPhase, Position, Telemetry};
use domain::id::DeliveryId;
use domain::time::{DurationS, Timestamp};
use projections::DroneRow;
use serde_json::{Value, json};

use crate::forms::{point, time_or_null};

/// A drone as of `now`: what it last said of itself, what the log tells of it,
/// and the delivery that the mission it spoke of is for. One of the two is there.
pub(crate) fn drone(
    telemetry: Option<&Telemetry>,
    row: Option<&DroneRow>,
    delivery: Option<DeliveryId>,
    now: Timestamp,
) -> Value {
    let sender = telemetry.map(|telemetry| &telemetry.sender);
    let id = sender
        .map(|sender| &sender.drone)
        .or(row.map(|row| &row.drone));
    let fleet = sender
        .map(|sender| &sender.fleet)
        .or(row.map(|row| &row.fleet));
    let session = sender.map(|sender| &sender.session);
    let session = session.max(row.and_then(|row| row.session.as_ref()));
    let flight = row.and_then(|row| row.flight);
    // What the drone says goes before what the log concludes.
    let said = telemetry.and_then(|telemetry| telemetry.mission);
    let (mission, delivery) = match said {
        Some(mission) => (Some(mission), delivery),
        None => (
            flight.map(|flight| flight.mission),
            flight.map(|flight| flight.delivery),
        ),
    };
    let mut shown = json!({
        "id": id.map(ToString::to_string),
        "fleet_id": fleet.map(ToString::to_string),
        "session_id": session.map(ToString::to_string),
        "mission_id": mission.map(|mission| mission.to_string()),
        "delivery_id": delivery.map(|delivery| delivery.to_string()),
        "activity": row.map(|row| row.activity.word()),
        "since": time_or_null(row.map(|row| row.since)),
        "known_since": time_or_null(row.map(|row| row.known_since)),
        "fact_received_at": time_or_null(row.and_then(|row| row.fact_received_at)),
    });
    if let (Value::Object(members), Value::Object(of_telemetry)) =
        (&mut shown, last_said(telemetry, now))
    {
        members.extend(of_telemetry);
    }
    shown
}

/// What comes from telemetry; all of it unknown until there is some.
fn last_said(telemetry: Option<&Telemetry>, now: Timestamp) -> Value {
    let age_s = telemetry.map(|telemetry| {
        let age_us = now.micros().saturating_sub(telemetry.received_at.micros());
        age_us.max(0) / 1_000_000
    });
    let velocity = telemetry.and_then(|telemetry| telemetry.velocity);
    let heading_cdeg = telemetry.and_then(|telemetry| telemetry.heading_cdeg);
    let eta_s =
        |eta: fn(&Telemetry) -> Option<DurationS>| telemetry.and_then(eta).map(DurationS::get);
    json!({
        "simulated": telemetry.map(|telemetry| telemetry.simulated),
        "phase": telemetry.and_then(|telemetry| telemetry.phase).map(FlightPhase::word),
        "position": telemetry.and_then(|telemetry| telemetry.position).map(position),
        "velocity": velocity.map(|velocity| json!({
            "north_mps": thousandths(velocity.north),
            "east_mps": thousandths(velocity.east),
            "down_mps": thousandths(velocity.down),
        })),
        "heading_deg": heading_cdeg.map(|heading| f64::from(heading) / 100.0),
        "battery": telemetry.and_then(|telemetry| telemetry.battery).map(battery),
        "eta": {
            "next_s": eta_s(|telemetry| telemetry.eta_next),
            "end_s": eta_s(|telemetry| telemetry.eta_end),
        },
        "observed_at": time_or_null(telemetry.map(|telemetry| telemetry.event_time)),
        "received_at": time_or_null(telemetry.map(|telemetry| telemetry.received_at)),
        "age_s": age_s,
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
