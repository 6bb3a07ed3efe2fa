//! Places on Earth, and how far they are apart.

use std::fmt;

use crate::quantity::DistanceM;

/// A point in WGS-84, in units of 1e-7 degree (about 1 cm).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GeoPoint {
    lat_e7: i32,
    lon_e7: i32,
}

/// Which coordinate is not on Earth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGeoPoint {
    /// Latitude.
    #[error("expected a latitude of -90 to 90 degrees")]
    Latitude,
    /// Longitude.
    #[error("expected a longitude of -180 to 180 degrees")]
    Longitude,
}

const LAT_E7_MAX: i32 = 900_000_000;
const LON_E7_MAX: i32 = 1_800_000_000;

/// Metres in 1e-7 degree of a great circle of the mean Earth radius, 6,371,008.8 m (IUGG).
const METRES_PER_E7: f64 = 6_371_008.8 * std::f64::consts::PI / 180.0 * 1e-7;

impl GeoPoint {
    /// A point from units of 1e-7 degree.
    ///
    /// # Errors
    /// [`InvalidGeoPoint`] beyond ±90 or ±180 degrees.
    pub fn from_e7(lat_e7: i32, lon_e7: i32) -> Result<Self, InvalidGeoPoint> {
        if !(-LAT_E7_MAX..=LAT_E7_MAX).contains(&lat_e7) {
            return Err(InvalidGeoPoint::Latitude);
        }
        if !(-LON_E7_MAX..=LON_E7_MAX).contains(&lon_e7) {
            return Err(InvalidGeoPoint::Longitude);
        }
        Ok(Self { lat_e7, lon_e7 })
    }

    /// A point from degrees, rounded to 1e-7 degree.
    ///
    /// # Errors
    /// [`InvalidGeoPoint`] beyond ±90 or ±180 degrees and for what is no number.
    pub fn from_degrees(lat: f64, lon: f64) -> Result<Self, InvalidGeoPoint> {
        Ok(Self {
            lat_e7: degrees_to_e7(lat, LAT_E7_MAX).ok_or(InvalidGeoPoint::Latitude)?,
            lon_e7: degrees_to_e7(lon, LON_E7_MAX).ok_or(InvalidGeoPoint::Longitude)?,
        })
    }

    /// Latitude, 1e-7 degree, north positive.
    #[must_use]
    pub const fn lat_e7(self) -> i32 {
        self.lat_e7
    }

    /// Longitude, 1e-7 degree, east positive.
    #[must_use]
    pub const fn lon_e7(self) -> i32 {
        self.lon_e7
    }

    /// Latitude, degrees.
    #[must_use]
    pub fn lat_degrees(self) -> f64 {
        f64::from(self.lat_e7) / 1e7
    }

    /// Longitude, degrees.
    #[must_use]
    pub fn lon_degrees(self) -> f64 {
        f64::from(self.lon_e7) / 1e7
    }

    /// The distance over ground, on a sphere, by the equirectangular
    /// approximation: within 0.6 % of the ellipsoid's up to some 100 km, and the same on
    /// every machine, since only exactly rounded operations are used.
    #[must_use]
    pub fn distance_to(self, other: Self) -> DistanceM {
        let north = f64::from(self.lat_e7) - f64::from(other.lat_e7);
        let mut east = (f64::from(self.lon_e7) - f64::from(other.lon_e7)).abs();
        if east > f64::from(LON_E7_MAX) {
            // The short way leads over the antimeridian.
            east = 2.0 * f64::from(LON_E7_MAX) - east;
        }
        let east = east * cos_degrees((f64::from(self.lat_e7) + f64::from(other.lat_e7)) / 2e7);
        let metres = (north * north + east * east).sqrt() * METRES_PER_E7;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no two points are farther apart than half the Earth's girth, 20,016 km"
        )]
        DistanceM::new(metres.ceil() as u32)
    }
}

impl fmt::Debug for GeoPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:.7}, {:.7})", self.lat_degrees(), self.lon_degrees())
    }
}

fn degrees_to_e7(degrees: f64, e7_max: i32) -> Option<i32> {
    let e7 = (degrees * 1e7).round();
    if e7.abs() > f64::from(e7_max) || e7.is_nan() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked against the range just above"
    )]
    Some(e7 as i32)
}

/// Cosine of an angle of −90 to 90 degrees by its Taylor series, error below 1e-9.
///
/// The standard library's `cos` may differ in the last digit between
/// platforms; what is decided from a distance must not.
fn cos_degrees(degrees: f64) -> f64 {
    let x = degrees * (std::f64::consts::PI / 180.0);
    let square = x * x;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=9 {
        let n = f64::from(n);
        term *= -square / ((2.0 * n - 1.0) * (2.0 * n));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(lat: f64, lon: f64) -> GeoPoint {
        GeoPoint::from_degrees(lat, lon).unwrap()
    }

    proptest! {
        #[test]
        fn degrees_and_their_text_bring_back_the_same_point(lat in -LAT_E7_MAX..=LAT_E7_MAX, lon in -LON_E7_MAX..=LON_E7_MAX) {
            let there = GeoPoint::from_e7(lat, lon).unwrap();
            prop_assert_eq!(point(there.lat_degrees(), there.lon_degrees()), there);
        }

        #[test]
        fn distance_is_symmetric_and_zero_only_at_the_same_place(
            a in (-800_000_000..=800_000_000, -LON_E7_MAX..LON_E7_MAX),
            b in (-800_000_000..=800_000_000, -LON_E7_MAX..LON_E7_MAX),
        ) {
            let (a, b) = (GeoPoint::from_e7(a.0, a.1).unwrap(), GeoPoint::from_e7(b.0, b.1).unwrap());
            prop_assert_eq!(a.distance_to(b), b.distance_to(a));
            prop_assert_eq!(a.distance_to(b).get() == 0, a == b);
        }

        #[test]
        fn the_cosine_is_the_cosine(degrees in -90.0..=90.0_f64) {
            prop_assert!((cos_degrees(degrees) - degrees.to_radians().cos()).abs() < 1e-9);
        }
    }

    #[test]
    fn a_known_distance_is_met() {
        // Pittsburgh, the recorded flights' start, and 0.001 degree north: 111.2 m.
        assert_eq!(
            point(40.459, -79.782)
                .distance_to(point(40.460, -79.782))
                .get(),
            112
        );
        // A degree of longitude at 60 degrees north is half as long as at the equator.
        let half = point(60.0, 10.0).distance_to(point(60.0, 11.0)).get();
        let whole = point(0.0, 10.0).distance_to(point(0.0, 11.0)).get();
        assert!(half.abs_diff(whole / 2) <= 1, "{half} {whole}");
    }

    #[test]
    fn the_antimeridian_is_no_border() {
        assert!(
            point(0.0, 179.9999)
                .distance_to(point(0.0, -179.9999))
                .get()
                <= 23
        );
    }

    #[test]
    fn what_is_not_on_earth_is_refused() {
        assert_eq!(
            GeoPoint::from_degrees(90.1, 0.0),
            Err(InvalidGeoPoint::Latitude)
        );
        assert_eq!(
            GeoPoint::from_degrees(0.0, -180.1),
            Err(InvalidGeoPoint::Longitude)
        );
        assert_eq!(
            GeoPoint::from_degrees(f64::NAN, 0.0),
            Err(InvalidGeoPoint::Latitude)
        );
        assert_eq!(
            GeoPoint::from_degrees(0.0, f64::INFINITY),
            Err(InvalidGeoPoint::Longitude)
        );
    }
}
