//! What drones say, as Drone Management's published language has it.

use domain::geo::GeoPoint;
use domain::id::MissionId;
use domain::time::Timestamp;
use serde_json::{Value, json};

/// One thing that a drone says.
#[derive(Clone, Debug)]
pub(super) struct Saying<'a> {
    pub(super) drone: &'a str,
    pub(super) session: &'a str,
    pub(super) mission: MissionId,
    pub(super) kind: &'a str,
    /// Counted apart for telemetry and for facts.
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) at: GeoPoint,
    pub(super) height_above_home_m: f64,
    /// What its kind has of its own.
    pub(super) own: &'a Value,
}

/// The kind that is no fact.
pub(super) const TELEMETRY: &str = "telemetry";

impl Saying<'_> {
    /// The cloud event.
    pub(super) fn to_json(&self) -> Value {
        let Self {
            drone,
            session,
            mission,
            kind,
            seq,
            ..
        } = self;
        let mut data = json!({
            "drone_id": drone,
            "mission_id": mission.to_string(),
            "session_id": session,
            "seq": seq,
            "simulated": true,
            "position": {
                "lat_deg": self.at.lat_degrees(),
                "lon_deg": self.at.lon_degrees(),
                "height_above_home_m": self.height_above_home_m,
            },
        });
        if let (Value::Object(data), Value::Object(own)) = (&mut data, self.own) {
            data.extend(own.clone());
        }
        let count = if *kind == TELEMETRY { 't' } else { 'f' };
        // A session is named alike by all drones of a run, so its name alone tells none apart.
        json!({
            "specversion": "1.0",
            "type": format!("drone.{kind}.v1"),
            "source": format!("/fleets/simulated/drones/{drone}"),
            "id": format!("{drone}:{session}:{count}{seq}"),
            "subject": format!("missions/{mission}"),
            "time": self.time.to_string(),
            "datacontenttype": "application/json",
            "data": data,
        })
    }
}
