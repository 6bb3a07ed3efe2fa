//! An area of the earth's surface, as polygons of degrees.
//!
//! An edge is a straight line in degrees, as in RFC 7946; an area that crosses the
//! antimeridian is to be cut there, as that says. Whether a point is inside is
//! decided in integers, so it comes out the same on every machine.

use crate::geo::GeoPoint;

/// Most corners of an area, all rings together: far more than a city's outline
/// has, and still judged in microseconds.
pub const CORNERS_MAX: usize = 10_000;

/// Some polygons, each with an outline and maybe holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area(Vec<Polygon>);

/// An outline, and the holes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polygon {
    rings: Vec<Vec<GeoPoint>>,
}

/// Corners do not make an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArea {
    /// There is no polygon, or one without an outline.
    #[error("expected at least one polygon with an outline")]
    Empty,
    /// A ring has fewer than three corners, or does not come back to its beginning.
    #[error("expected rings of at least four positions, the last equal to the first")]
    OpenRing,
    /// There are too many corners.
    #[error("expected at most {CORNERS_MAX} corners: simplify the outline")]
    TooManyCorners,
}

impl Polygon {
    /// A polygon of rings as RFC 7946 writes them: the outline first, then the
    /// holes, each ending where it begins.
    ///
    /// # Errors
    /// [`InvalidArea`] says what is wrong with the rings.
    pub fn new(rings: Vec<Vec<GeoPoint>>) -> Result<Self, InvalidArea> {
        if rings.is_empty() {
            return Err(InvalidArea::Empty);
        }
        let is_closed = |ring: &Vec<GeoPoint>| ring.len() >= 4 && ring.first() == ring.last();
        if !rings.iter().all(is_closed) {
            return Err(InvalidArea::OpenRing);
        }
        Ok(Self { rings })
    }

    /// A corner's own polygon holds it or not; either is a matter of 1e-7 degree.
    fn contains(&self, point: GeoPoint) -> bool {
        let crossed = self
            .rings
            .iter()
            .flat_map(|ring| ring.iter().zip(ring.iter().skip(1)))
            .filter(|(from, to)| crosses(point, **from, **to));
        crossed.count() % 2 == 1
    }
}

impl Area {
    /// An area of polygons.
    ///
    /// # Errors
    /// [`InvalidArea`] if there are none, or too many corners in all.
    pub fn new(polygons: Vec<Polygon>) -> Result<Self, InvalidArea> {
        if polygons.is_empty() {
            return Err(InvalidArea::Empty);
        }
        let corners: usize = polygons
            .iter()
            .flat_map(|polygon| &polygon.rings)
            .map(Vec::len)
            .sum();
        if corners > CORNERS_MAX {
            return Err(InvalidArea::TooManyCorners);
        }
        Ok(Self(polygons))
    }

    /// Whether a point lies in one of the polygons.
    #[must_use]
    pub fn contains(&self, point: GeoPoint) -> bool {
        self.0.iter().any(|polygon| polygon.contains(point))
    }
}

/// Whether the ray from a point to the east crosses an edge.
fn crosses(point: GeoPoint, from: GeoPoint, to: GeoPoint) -> bool {
    let (south, north) = if from.lat_e7() <= to.lat_e7() {
        (from, to)
    } else {
        (to, from)
    };
    // The upper end belongs to the next edge, so that a corner is crossed once.
    if point.lat_e7() < south.lat_e7() || point.lat_e7() >= north.lat_e7() {
        return false;
    }
    let lat = |a: GeoPoint, b: GeoPoint| i128::from(a.lat_e7()) - i128::from(b.lat_e7());
    let lon = |a: GeoPoint, b: GeoPoint| i128::from(a.lon_e7()) - i128::from(b.lon_e7());
    // West of the edge, by the sign of the cross product.
    lon(point, south) * lat(north, south) < lon(north, south) * lat(point, south)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(lat_e7: i32, lon_e7: i32) -> GeoPoint {
        GeoPoint::from_e7(lat_e7, lon_e7).unwrap()
    }

    fn ring(corners: &[(i32, i32)]) -> Vec<GeoPoint> {
        let closed = corners.iter().chain(corners.first());
        closed.map(|(lat, lon)| point(*lat, *lon)).collect()
    }

    fn square(from: i32, to: i32) -> Vec<GeoPoint> {
        ring(&[(from, from), (from, to), (to, to), (to, from)])
    }

    proptest! {
        #[test]
        fn a_square_contains_what_lies_between_its_sides(
            lat in -200..300_i32, lon in -200..300_i32,
        ) {
            let area = Area::new(vec![Polygon::new(vec![square(-100, 100)]).unwrap()]).unwrap();
            let inside = |degree: i32| (-100..100).contains(&degree);
            prop_assert_eq!(area.contains(point(lat, lon)), inside(lat) && inside(lon));
        }

        #[test]
        fn the_direction_of_a_ring_does_not_matter(
            corners in prop::collection::vec((-50..50_i32, -50..50_i32), 3..8),
            lat in -60..60_i32, lon in -60..60_i32,
        ) {
            let there = Polygon::new(vec![ring(&corners)]).unwrap();
            let mut reversed = corners.clone();
            reversed.reverse();
            let back = Polygon::new(vec![ring(&reversed)]).unwrap();
            prop_assert_eq!(there.contains(point(lat, lon)), back.contains(point(lat, lon)));
        }
    }

    #[test]
    fn a_hole_is_outside_and_a_second_polygon_inside() {
        let ring_road = Polygon::new(vec![square(-100, 100), square(-10, 10)]).unwrap();
        let island = Polygon::new(vec![square(500, 600)]).unwrap();
        let area = Area::new(vec![ring_road, island]).unwrap();
        for (lat, lon, inside) in [
            (50, 50, true),
            (0, 0, false),
            (550, 550, true),
            (300, 300, false),
        ] {
            assert_eq!(area.contains(point(lat, lon)), inside, "{lat} {lon}");
        }
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        assert_eq!(Polygon::new(vec![]), Err(InvalidArea::Empty));
        let open = vec![point(0, 0), point(0, 1), point(1, 1), point(1, 0)];
        assert_eq!(Polygon::new(vec![open]), Err(InvalidArea::OpenRing));
        assert_eq!(Area::new(vec![]), Err(InvalidArea::Empty));
        let many = vec![point(0, 0); CORNERS_MAX + 1];
        let many = Polygon::new(vec![many]).unwrap();
        assert_eq!(Area::new(vec![many]), Err(InvalidArea::TooManyCorners));
    }
}
