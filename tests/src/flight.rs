//! Recorded flights as Drone Management's events, with faults on request.
//!
//! This is the tests' own producer: it shares no code with the service, so a
//! mistake in the service's reading of the language cannot hide here.

use std::path::Path;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::Chance;

/// When the first row of every flight was recorded, as the events tell it.
/// It lies in the past on every clock, since a time in the future is clock skew.
const FIRST_ROW_AT: &str = "2024-05-04T12:00:00Z";

/// A recorded flight: out with a package, and back to where it began.
#[derive(Debug, Clone)]
pub struct Recording {
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    time_s: f64,
    place: Place,
    height_m: f64,
    payload_g: u32,
}

/// A position in degrees, WGS-84.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// North of the equator.
    pub lat: f64,
    /// East of Greenwich.
    pub lon: f64,
}

/// What a delivery must ask for so that a flight fits it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where the flight began.
    pub pickup: Place,
    /// Its farthest place from there.
    pub dropoff: Place,
    /// What the drone carried, in grams.
    pub payload_g: u32,
}

/// One mission flown for one delivery.
#[derive(Debug, Clone)]
pub struct Mission {
    /// The delivery's id, as the service gave it.
    pub delivery: String,
    /// The mission's id, `msn_` and a UUID.
    pub mission: String,
    /// The drone that flies it.
    pub drone: String,
    /// The drone's session; it grows with each.
    pub session: String,
    /// The tag of the package that is loaded.
    pub tag: String,
    /// False when the drone returns with the package on board.
    pub released: bool,
}

/// What happens to the events on their way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// So many events in a thousand come twice.
    pub duplicate_permille: u16,
    /// Each event is displaced by up to so many places.
    pub shuffle_places: u16,
    /// So many telemetry events in a thousand never come.
    pub drop_telemetry_permille: u16,
}

impl Place {
    /// As the service's bodies spell it.
    #[must_use]
    pub fn json(self) -> Value {
        json!({"lat": self.lat, "lon": self.lon})
    }

    /// The distance in metres, precise enough within a few kilometres.
    fn metres_to(self, other: Self) -> f64 {
        const METRES_PER_DEGREE: f64 = 111_320.0;
        let north = (self.lat - other.lat) * METRES_PER_DEGREE;
        let east = (self.lon - other.lon) * METRES_PER_DEGREE * self.lat.to_radians().cos();
        north.hypot(east)
    }
}

impl Recording {
    /// The flight `number` of those in `tests/flights`.
    ///
    /// # Panics
    /// When it is not there or cannot be read.
    #[must_use]
    pub fn load(number: u32) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("flights/{number}.csv"));
        let mut reader = csv::Reader::from_path(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let rows = reader.deserialize().map(|row| {
            let row: Map<String, Value> =
                row.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let number = |column: &str| row.get(column).and_then(Value::as_f64);
            let number = |column| {
                number(column).unwrap_or_else(|| panic!("{}: no {column}", path.display()))
            };
            let payload = row
                .get("payload")
                .and_then(Value::as_u64)
                .and_then(|grams| u32::try_from(grams).ok());
            Row {
                time_s: number("time"),
                place: Place {
                    lat: number("position_y"),
                    lon: number("position_x"),
                },
                height_m: (number("position_z") * 1e3).round() / 1e3,
                payload_g: payload.unwrap_or_else(|| panic!("{}: no payload", path.display())),
            }
        });
        let rows: Vec<_> = rows.collect();
        assert!(!rows.is_empty(), "{} has no rows", path.display());
        Self { rows }
    }

    /// What a delivery must ask for so that this flight fits it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let first = self.first();
        let farthest = self.rows.get(self.farthest()).unwrap_or(first);
        Plan {
            pickup: first.place,
            dropoff: farthest.place,
            payload_g: first.payload_g,
        }
    }

    /// The events of `mission`, in the order in which they happened.
    #[must_use]
    pub fn events(&self, mission: &Mission) -> Vec<Value> {
        let (first, farthest) = (self.first(), self.farthest());
        let mut flown = Flown::new(mission, first.time_s);
        flown.fact(
            "mission_assigned",
            first,
            -120_000,
            &json!({"delivery_id": mission.delivery}),
        );
        flown.fact("departed", first, -60_000, &json!({"leg": "pickup"}));
        flown.fact("arrived", first, -30_000, &json!({"at": "pickup"}));
        let load = json!({"tag": mission.tag, "mass_g": first.payload_g.max(1)});
        flown.fact("package_loaded", first, -10_000, &load);
        flown.fact("departed", first, -1_000, &json!({"leg": "dropoff"}));
        for (at, row) in self.rows.iter().enumerate() {
            flown.telemetry(row);
            if at == farthest {
                flown.at_dropoff(row, mission.released);
            }
        }
        let last = self.rows.last().unwrap_or(first);
        if !mission.released {
            flown.fact(
                "returned",
                last,
                1_000,
                &json!({"to": "sender", "tag": mission.tag}),
            );
        }
        let ended = json!({"outcome": "landed_home", "payload_on_board": !mission.released});
        flown.fact("mission_completed", last, 2_000, &ended);
        flown.events
    }

    fn first(&self) -> &Row {
        self.rows.first().expect("a loaded recording has rows")
    }

    /// The first of the rows that are farthest from the beginning.
    fn farthest(&self) -> usize {
        let home = self.first().place;
        let (mut farthest, mut metres_max) = (0, 0.0);
        for (at, row) in self.rows.iter().enumerate() {
            let metres = home.metres_to(row.place);
            if metres > metres_max {
                (farthest, metres_max) = (at, metres);
            }
        }
        farthest
    }
}

/// The events of a mission while they are being written down.
struct Flown<'a> {
    mission: &'a Mission,
    first_s: f64,
    facts: u64,
    telemetry: u64,
    events: Vec<Value>,
}

impl<'a> Flown<'a> {
    fn new(mission: &'a Mission, first_s: f64) -> Self {
        Self {
            mission,
            first_s,
            facts: 0,
            telemetry: 0,
            events: Vec::new(),
        }
    }

    fn fact(&mut self, kind: &str, row: &Row, after_ms: i64, fields: &Value) {
        self.facts += 1;
        self.push(kind, row, after_ms, ("f", self.facts), fields);
    }

    fn telemetry(&mut self, row: &Row) {
        self.telemetry += 1;
        self.push(
            "telemetry",
            row,
            0,
            ("t", self.telemetry),
            &json!({"phase": "in_flight"}),
        );
    }

    fn at_dropoff(&mut self, row: &Row, released: bool) {
        self.fact("arrived", row, 10, &json!({"at": "dropoff"}));
        if released {
            let release = json!({"method": "winch", "height_above_ground_m": 7.0, "confirmed": true, "evidence": "winch_status"});
            self.fact("package_released", row, 20, &release);
        }
        self.fact("departed", row, 30, &json!({"leg": "return"}));
    }

    fn push(
        &mut self,
        kind: &str,
        row: &Row,
        after_ms: i64,
        (count, seq): (&str, u64),
        fields: &Value,
    ) {
        let Mission {
            drone,
            mission,
            session,
            ..
        } = self.mission;
        let mut data = json!({
            "drone_id": drone, "mission_id": mission, "session_id": session, "seq": seq, "simulated": true,
            "position": {"lat_deg": row.place.lat, "lon_deg": row.place.lon, "height_above_home_m": row.height_m},
        });
        let members = data
            .as_object_mut()
            .zip(fields.as_object())
            .expect("both were written as objects");
        members.0.extend(members.1.clone());
        self.events.push(json!({
            "specversion": "1.0", "type": format!("drone.{kind}.v1"), "source": format!("/fleets/cmu/drones/{drone}"),
            "id": format!("{drone}:{session}:{count}{seq}"), "subject": format!("missions/{mission}"),
            "time": rfc3339(row.time_s - self.first_s, after_ms), "datacontenttype": "application/json", "data": data,
        }));
    }
}

/// The time `flown_s` seconds and `after_ms` milliseconds after the first row, to the microsecond.
fn rfc3339(flown_s: f64, after_ms: i64) -> String {
    let first: DateTime<Utc> = FIRST_ROW_AT.parse().expect("a constant in RFC 3339");
    // The recordings give hundredths of a second, so whole milliseconds lose nothing.
    #[expect(clippy::cast_possible_truncation, reason = "a flight lasts minutes")]
    let offset_ms = (flown_s * 1e3).round() as i64;
    (first + Duration::milliseconds(offset_ms + after_ms))
        .to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Faults {
    /// The faults that every delivery must bear: three in ten twice, up to
    /// ten places out of order, one telemetry event in five lost.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            duplicate_permille: 300,
            shuffle_places: 10,
            drop_telemetry_permille: 200,
        }
    }

    /// What arrives of `events`: a function of the events, the faults and the chance.
    #[must_use]
    pub fn applied_to(self, events: Vec<Value>, chance: &mut Chance) -> Vec<Value> {
        /// A place among the events, finer than the events themselves.
        const FINENESS: u64 = 1 << 20;
        let mut arrived = Vec::new();
        for event in events {
            let telemetry = event.get("type") == Some(&Value::from("drone.telemetry.v1"));
            if telemetry && chance.happens(self.drop_telemetry_permille) {
                continue;
            }
            if chance.happens(self.duplicate_permille) {
                arrived.push(event.clone());
            }
            arrived.push(event);
        }
        let displaced = (0_u64..).zip(arrived).map(|(at, event)| {
            let by = chance.below(u64::from(self.shuffle_places) * FINENESS + 1);
            (at * FINENESS + by, event)
        });
        let mut displaced: Vec<_> = displaced.collect();
        displaced.sort_by_key(|(place, _)| *place);
        displaced.into_iter().map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mission(released: bool) -> Mission {
        let [delivery, mission, drone, session, tag] =
            ["dlv_1", "msn_1", "M100-07", "s1", "QR-1"].map(String::from);
        Mission {
            delivery,
            mission,
            drone,
            session,
            tag,
            released,
        }
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        let kinds = events.iter().filter_map(|event| event["type"].as_str());
        kinds.filter(|kind| *kind != "drone.telemetry.v1").collect()
    }

    #[test]
    fn a_flight_keeps_its_first_place_its_farthest_and_its_load() {
        let plan = Recording::load(268).plan();
        assert_eq!(
            plan.pickup,
            Place {
                lat: 40.459_054_405_860_6,
                lon: -79.782_819_737_475_1
            }
        );
        assert_eq!(
            plan.dropoff,
            Place {
                lat: 40.456_570_302_397_6,
                lon: -79.783_373_435_402
            }
        );
        assert_eq!(plan.payload_g, 500);
        assert_eq!(Recording::load(270).plan().payload_g, 250);
    }

    #[test]
    fn a_released_package_is_told_by_nine_facts_numbered_without_a_gap() {
        let events = Recording::load(269).events(&mission(true));
        let told = [
            "mission_assigned",
            "departed",
            "arrived",
            "package_loaded",
            "departed",
            "arrived",
            "package_released",
            "departed",
            "mission_completed",
        ];
        assert_eq!(kinds(&events), told.map(|kind| format!("drone.{kind}.v1")));
        let facts = events
            .iter()
            .filter(|event| event["type"] != "drone.telemetry.v1");
        assert_eq!(
            facts
                .map(|fact| fact["data"]["seq"].as_u64())
                .collect::<Vec<_>>(),
            (1..=9).map(Some).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_package_that_is_not_released_is_told_to_return() {
        let events = Recording::load(269).events(&mission(false));
        assert!(!kinds(&events).contains(&"drone.package_released.v1"));
        assert!(kinds(&events).ends_with(&["drone.returned.v1", "drone.mission_completed.v1"]));
        assert_eq!(events.last().unwrap()["data"]["payload_on_board"], true);
    }

    #[test]
    fn faults_repeat_displace_and_drop_but_never_lose_a_fact() {
        let events = Recording::load(270).events(&mission(true));
        let arrived = Faults::usual().applied_to(events.clone(), &mut Chance::new(1));
        assert_eq!(
            arrived,
            Faults::usual().applied_to(events.clone(), &mut Chance::new(1))
        );
        assert_ne!(
            arrived,
            Faults::usual().applied_to(events.clone(), &mut Chance::new(2))
        );
        for fact in events
            .iter()
            .filter(|event| event["type"] != "drone.telemetry.v1")
        {
            assert!(arrived.contains(fact), "lost {fact}");
        }
        assert!(
            events.iter().any(|event| !arrived.contains(event)),
            "nothing was dropped"
        );
        assert_eq!(
            Faults::default().applied_to(events.clone(), &mut Chance::new(1)),
            events
        );
    }
}
