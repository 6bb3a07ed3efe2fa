//! How deliveries are scheduled: what can be flown, who pays, how long is waited for whom.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::area::{Area, Polygon};
use domain::geo::GeoPoint;
use domain::quantity::{DistanceM, MassG};
use domain::scheduling::SchedulingSettings;
use domain::serviceability::ServiceRules;
use domain::time::{DurationMs, TimeScale};
use serde_json::Value;

use crate::application::SchedulingRules;

/// The largest file of an area, bytes: ten thousand corners with every digit.
const AREA_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The settings of the scheduling process. Waits are in seconds; the service's time scale
/// shortens them.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct SchedulingOptions {
    /// Where payments are authorized, such as <https://billing.example.org/authorizations>: a
    /// booking stands once that says so. Without it nobody is asked.
    #[arg(long, env = "AIRPOST_BILLING__URL", value_name = "URL")]
    pub billing_url: Option<String>,

    /// Whose certificates are believed of it where its address begins with https: a PEM file of
    /// authorities, such as a company's own. Without it those that this machine believes.
    #[arg(
        long,
        env = "AIRPOST_BILLING__CA",
        value_name = "FILE",
        requires = "billing_url"
    )]
    pub billing_ca: Option<PathBuf>,

    /// How long a booking waits for the billing service to come back, seconds; then it is refused.
    #[arg(long, env = "AIRPOST_PAYMENT_WAIT_S", value_name = "S", default_value_t = 86_400,
          value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub payment_wait_s: u32,

    /// How long before the pick-up window a drone is asked for, seconds.
    #[arg(long, env = "AIRPOST_DISPATCH_LEAD_S", value_name = "S", default_value_t = 600,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub dispatch_lead_s: u32,

    /// How long Drone Management may be silent before a drone is asked for once more, seconds.
    #[arg(long, env = "AIRPOST_MISSION_ANSWER_S", value_name = "S", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub mission_answer_s: u32,

    /// How often a drone is asked for before the delivery is given up.
    #[arg(long, env = "AIRPOST_MISSION_ASKS_MAX", value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub mission_asks_max: u8,

    /// How long a confirmation may come after the drone told that it let the package go, seconds;
    /// then a person has to look.
    #[arg(long, env = "AIRPOST_CONFIRMATION_WAIT_S", value_name = "S", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub confirmation_wait_s: u32,

    /// How long after a drone told that its mission ended with the package on board it may be told
    /// where that went, seconds; then a person has to look.
    #[arg(long, env = "AIRPOST_LEFT_ON_BOARD_WAIT_S", value_name = "S", default_value_t = 120,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub left_on_board_wait_s: u32,

    /// How long a drone may be silent before its delivery says so, seconds.
    #[arg(long, env = "AIRPOST_LINK_WAIT_S", value_name = "S", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub link_wait_s: u32,

    /// How many deliveries of one user may be under way at once; without it any number.
    #[arg(long, env = "AIRPOST_DELIVERIES_PER_USER_MAX", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub deliveries_per_user_max: Option<u32>,

    /// How far the drop-off may be from the pick-up, metres; without it that is the fleet's
    /// business.
    #[arg(long, env = "AIRPOST_RANGE_M_MAX", value_name = "M",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub range_m_max: Option<u32>,

    /// How much a package may weigh, grams; without it that is the fleet's business.
    #[arg(long, env = "AIRPOST_PAYLOAD_G_MAX", value_name = "G",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MassG::MAX)))]
    pub payload_g_max: Option<u32>,

    /// Where pick-up and drop-off must lie: a `GeoJSON` file with a Polygon or `MultiPolygon`, as a
    /// geometry, a feature or a collection of features; without it anywhere.
    #[arg(long, env = "AIRPOST_SERVICE_AREA", value_name = "FILE")]
    pub service_area: Option<PathBuf>,

    /// How long before its pick-up window a delivery may be booked, seconds; without it any time.
    #[arg(long, env = "AIRPOST_BOOKING_AHEAD_S_MAX", value_name = "S",
          value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub booking_ahead_s_max: Option<u32>,
}

impl Default for SchedulingOptions {
    fn default() -> Self {
        Self {
            billing_url: None,
            billing_ca: None,
            payment_wait_s: 86_400,
            dispatch_lead_s: 600,
            mission_answer_s: 60,
            mission_asks_max: 3,
            confirmation_wait_s: 300,
            left_on_board_wait_s: 120,
            link_wait_s: 30,
            deliveries_per_user_max: None,
            range_m_max: None,
            payload_g_max: None,
            service_area: None,
            booking_ahead_s_max: None,
        }
    }
}

impl SchedulingOptions {
    /// Whether orders may be of any weight, and from anywhere to anywhere.
    #[must_use]
    pub const fn restricts_nothing(&self) -> bool {
        self.range_m_max.is_none() && self.payload_g_max.is_none() && self.service_area.is_none()
    }

    /// Where bookings are paid, if they are: no more of the address than may be shown to everyone.
    #[must_use]
    pub fn billing_host(&self) -> Option<String> {
        let url = self.billing_url.as_deref()?;
        let host = reqwest::Url::parse(url).ok();
        let host = host.map(|url| url.origin().ascii_serialization());
        Some(host.unwrap_or_else(|| "a billing service".to_owned()))
    }

    /// What they come to, with the area's file read.
    ///
    /// # Errors
    /// Says what is wrong with that file.
    pub fn rules(&self, scale: TimeScale) -> anyhow::Result<SchedulingRules> {
        let wait = |seconds| scale.shorten(DurationMs::from_seconds(seconds));
        let area = self.service_area.as_deref().map(|path| {
            read_area(path).with_context(|| format!("the service area in {}", path.display()))
        });
        Ok(SchedulingRules {
            settings: SchedulingSettings {
                has_billing: self.billing_url.is_some(),
                dispatch_lead: wait(self.dispatch_lead_s),
                answer_wait: wait(self.mission_answer_s),
                asks_max: self.mission_asks_max,
                payment_wait: wait(self.payment_wait_s),
                confirmation_wait: wait(self.confirmation_wait_s),
                left_on_board_wait: wait(self.left_on_board_wait_s),
                link_wait: wait(self.link_wait_s),
            },
            service: ServiceRules {
                range_max: self.range_m_max.map(DistanceM::new),
                payload_max: self.payload_g_max.map(MassG::new).transpose()?,
                area: area.transpose()?,
                ahead_max: self.booking_ahead_s_max.map(DurationMs::from_seconds),
            },
        })
    }
}

fn read_area(path: &Path) -> anyhow::Result<Area> {
    let bytes = std::fs::metadata(path)?.len();
    anyhow::ensure!(
        bytes <= AREA_BYTES_MAX,
        "it has {bytes} bytes, and {AREA_BYTES_MAX} are read: simplify the outline"
    );
    let document: Value =
        serde_json::from_slice(&std::fs::read(path)?).context("it is no GeoJSON")?;
    let mut polygons = Vec::new();
    collect(&document, &mut polygons)?;
    Ok(Area::new(polygons)?)
}

/// The polygons of a `GeoJSON` object (RFC 7946).
fn collect(object: &Value, polygons: &mut Vec<Polygon>) -> anyhow::Result<()> {
    let member = |name: &str| object.get(name).unwrap_or(&Value::Null);
    match member("type").as_str() {
        Some("FeatureCollection") => {
            let features = member("features").as_array();
            for feature in features.context("expected features")? {
                collect(feature, polygons)?;
            }
        }
        Some("Feature") => collect(member("geometry"), polygons)?,
        Some("Polygon") => polygons.push(polygon(member("coordinates"))?),
        Some("MultiPolygon") => {
            let several = member("coordinates").as_array();
            for one in several.context("expected coordinates")? {
                polygons.push(polygon(one)?);
            }
        }
        other => anyhow::bail!(
            "expected a Polygon, a MultiPolygon, a Feature or a FeatureCollection, found {other:?}"
        ),
    }
    Ok(())
}

fn polygon(coordinates: &Value) -> anyhow::Result<Polygon> {
    let rings = coordinates.as_array().context("expected rings")?;
    let rings = rings.iter().map(|ring| {
        let positions = ring.as_array().context("expected positions")?;
        positions.iter().map(position).collect()
    });
    Ok(Polygon::new(rings.collect::<anyhow::Result<_>>()?)?)
}

/// Longitude first, as RFC 7946 has it; a height is left out.
fn position(coordinates: &Value) -> anyhow::Result<GeoPoint> {
    let degree = |place| coordinates.get(place).and_then(Value::as_f64);
    let (lon, lat) = degree(0)
        .zip(degree(1))
        .context("expected [longitude, latitude]")?;
    Ok(GeoPoint::from_degrees(lat, lon)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn area(document: &Value) -> anyhow::Result<Area> {
        let mut polygons = Vec::new();
        collect(document, &mut polygons)?;
        Ok(Area::new(polygons)?)
    }

    #[test]
    fn an_area_is_read_from_every_kind_of_geojson_that_has_polygons() {
        let ring = json!([
            [-80.0, 40.0],
            [-79.0, 40.0],
            [-79.0, 41.0],
            [-80.0, 41.0],
            [-80.0, 40.0]
        ]);
        let polygon = json!({ "type": "Polygon", "coordinates": [ring] });
        let several = json!({ "type": "MultiPolygon", "coordinates": [[ring]] });
        let feature = json!({ "type": "Feature", "properties": {}, "geometry": polygon });
        let collection = json!({ "type": "FeatureCollection", "features": [feature] });
        for document in [&polygon, &several, &feature, &collection] {
            let area = area(document).unwrap();
            assert!(area.contains(GeoPoint::from_degrees(40.5, -79.5).unwrap()));
            assert!(!area.contains(GeoPoint::from_degrees(-79.5, 40.5).unwrap()));
        }
    }

    #[test]
    fn what_is_no_area_is_refused_with_what_was_expected() {
        for (document, expected) in [
            (
                json!({ "type": "Point", "coordinates": [1, 2] }),
                "expected a Polygon",
            ),
            (json!([]), "expected a Polygon"),
            (
                json!({ "type": "Polygon", "coordinates": [[[1]]] }),
                "longitude",
            ),
            (
                json!({ "type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1]]] }),
                "four positions",
            ),
            (
                json!({ "type": "FeatureCollection", "features": [] }),
                "at least one",
            ),
        ] {
            let refused = format!("{:#}", area(&document).unwrap_err());
            assert!(refused.contains(expected), "{document}: {refused}");
        }
    }
}
