//! A recorded flight, and what a drone that flies it says.

use std::io::Read;
use std::time::Duration;

use domain::geo::GeoPoint;
use domain::id::{DeliveryId, MissionId};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::speech::{Saying, TELEMETRY};

/// How long before the first row each step to the package happens, seconds.
const LEAD_S: f64 = 120.0;

/// A flight, row by row, sorted by time.
#[derive(Clone, Debug)]
pub struct Recording {
    name: String,
    rows: Vec<Row>,
    /// Which row is farthest from the first: where the package is let go.
    farthest: usize,
}

/// One row of a recording. `position_x` is the longitude.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Row {
    time: f64,
    #[serde(rename = "position_y")]
    lat_deg: f64,
    #[serde(rename = "position_x")]
    lon_deg: f64,
    #[serde(rename = "position_z")]
    height_above_home_m: f64,
    payload: f64,
}

impl Row {
    fn point(&self) -> GeoPoint {
        GeoPoint::from_degrees(self.lat_deg, self.lon_deg)
            .expect("the rows of a recording were found to lie on Earth when it was read")
    }
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It is no such table.
    #[error(
        "expected a table with the columns time, position_x, position_y, position_z, payload: {0}"
    )]
    Table(#[from] csv::Error),
    /// It is too short to be a flight.
    #[error("expected at least two rows")]
    TooShort,
    /// Its times do not grow.
    #[error("the time of row {row} lies before that of the row above: sort the rows by time")]
    Unsorted {
        /// Counted from 1, the heading not counted.
        row: usize,
    },
    /// A row is nowhere on Earth.
    #[error("row {row}: {why}")]
    Position {
        /// Counted from 1, the heading not counted.
        row: usize,
        /// Why.
        why: domain::geo::InvalidGeoPoint,
    },
}

/// What to order so that the flight fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pickup: Point,
    pub(super) dropoff: Point,
    pub(super) mass_g: u32,
}

/// A point in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    lat: f64,
    lon: f64,
}

impl Point {
    pub(super) fn to_json(self) -> Value {
        json!({ "lat": self.lat, "lon": self.lon })
    }
}

/// Who flies with which package, for which delivery, and when it is over.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) delivery: DeliveryId,
    pub(super) mission: MissionId,
    pub(super) drone: String,
    pub(super) session: String,
    pub(super) tag: String,
    pub(super) lands_at: Timestamp,
}

/// A drone event and when it is said, from the beginning of the flight.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) offset: Duration,
    pub(super) event: Value,
}

impl Recording {
    /// Reads a table of comma-separated values.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(name: &str, table: impl Read) -> Result<Self, RecordingError> {
        let rows: Vec<Row> = csv::Reader::from_reader(table)
            .deserialize()
            .collect::<Result<_, _>>()?;
        let (Some(first), true) = (rows.first(), rows.len() > 1) else {
            return Err(RecordingError::TooShort);
        };
        if let Some(place) = rows
            .windows(2)
            .position(|pair| matches!(pair, [a, b] if a.time > b.time))
        {
            return Err(RecordingError::Unsorted { row: place + 2 });
        }
        let points = rows
            .iter()
            .enumerate()
            .map(|(place, row)| {
                GeoPoint::from_degrees(row.lat_deg, row.lon_deg).map_err(|why| {
                    RecordingError::Position {
                        row: place + 1,
                        why,
                    }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let home = GeoPoint::from_degrees(first.lat_deg, first.lon_deg)
            .map_err(|why| RecordingError::Position { row: 1, why })?;
        let farthest = (0..points.len())
            .rev()
            .max_by_key(|place| points.get(*place).map(|point| point.distance_to(home)))
            .unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            rows,
            farthest,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn plan(&self) -> Plan {
        let point = |row: &Row| Point {
            lat: row.lat_deg,
            lon: row.lon_deg,
        };
        Plan {
            pickup: point(self.row(0)),
            dropoff: point(self.row(self.farthest)),
            mass_g: self.mass_g(),
        }
    }

    /// What the drone says, in order: facts and telemetry are numbered apart.
    pub(super) fn events(&self, flight: &Flight) -> Vec<Said> {
        let (first, last) = (self.row(0), self.row(self.rows.len() - 1));
        let mut speaker = Speaker {
            flight,
            first,
            lands_s: last.time + 2.0,
            facts: 0,
            reports: 0,
            said: Vec::new(),
        };
        speaker.fact(
            first,
            -LEAD_S,
            "mission_assigned",
            &json!({ "delivery_id": flight.delivery.to_string() }),
        );
        speaker.fact(first, -60.0, "departed", &json!({ "leg": "pickup" }));
        speaker.fact(first, -30.0, "arrived", &json!({ "at": "pickup" }));
        speaker.fact(
            first,
            -10.0,
            "package_loaded",
            &json!({ "tag": flight.tag, "mass_g": self.mass_g() }),
        );
        speaker.fact(first, -1.0, "departed", &json!({ "leg": "dropoff" }));
        for (place, row) in self.rows.iter().enumerate() {
            speaker.telemetry(row);
            if place == self.farthest {
                speaker.fact(row, 0.01, "arrived", &json!({ "at": "dropoff" }));
                speaker.fact(row, 0.02, "package_released", &json!({
                    "method": "winch", "height_above_ground_m": 7.0, "confirmed": true, "evidence": "winch_status",
                }));
                speaker.fact(row, 0.03, "departed", &json!({ "leg": "return" }));
            }
        }
        speaker.fact(
            last,
            2.0,
            "mission_completed",
            &json!({ "outcome": "landed_home", "payload_on_board": false }),
        );
        speaker.said
    }

    /// A flight without a package still says that it carries something: a gram.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float to integer stays in range, and a wrong mass is refused by the service"
    )]
    fn mass_g(&self) -> u32 {
        (self.row(0).payload as u32).max(1)
    }

    fn row(&self, place: usize) -> &Row {
        self.rows
            .get(place)
            .expect("a recording has rows, and only their places are asked for")
    }
}

struct Speaker<'a> {
    flight: &'a Flight,
    first: &'a Row,
    /// When the last event is said, in the recording's own time.
    lands_s: f64,
    facts: u64,
    reports: u64,
    said: Vec<Said>,
}

impl Speaker<'_> {
    fn fact(&mut self, row: &Row, after_s: f64, kind: &str, data: &Value) {
        self.facts += 1;
        self.say(row, after_s, kind, self.facts, data);
    }

    fn telemetry(&mut self, row: &Row) {
        self.reports += 1;
        self.say(
            row,
            0.0,
            TELEMETRY,
            self.reports,
            &json!({ "phase": "in_flight" }),
        );
    }

    fn say(&mut self, row: &Row, after_s: f64, kind: &str, seq: u64, own: &Value) {
        let flight = self.flight;
        let at_s = row.time + after_s;
        let event = Saying {
            drone: &flight.drone,
            session: &flight.session,
            mission: flight.mission,
            kind,
            seq,
            time: self.time_of(at_s),
            at: row.point(),
            height_above_home_m: row.height_above_home_m,
            own,
        }
        .to_json();
        let offset =
            Duration::try_from_secs_f64(at_s - self.first.time + LEAD_S).unwrap_or_default();
        self.said.push(Said { offset, event });
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a flight is shorter than an age"
    )]
    fn time_of(&self, at_s: f64) -> Timestamp {
        let before_landing_us = ((self.lands_s - at_s) * 1e6) as i64;
        let micros = self
            .flight
            .lands_at
            .micros()
            .saturating_sub(before_landing_us);
        Timestamp::from_micros(micros).unwrap_or(self.flight.lands_at)
    }
}
