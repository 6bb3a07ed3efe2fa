//! A generated city: where packages wait, where they are wanted, and where drones are at home.

use domain::geo::GeoPoint;

use super::dice::{Dice, Lot};

/// In its midst. Any city of the middle latitudes would do.
const CENTRE: (i32, i32) = (404_406_000, -799_959_000);

/// How far from its midst anybody wants anything, metres to either side.
const HALF_WIDTH_M: i32 = 2_000;

/// How many shops have packages to send.
const SHOPS: u32 = 40;

/// How many places drones are at home at.
const BASES: u32 = 5;

/// 1e-7 degrees in a hundred metres, to the north, and to the east at the latitude of [`CENTRE`].
const E7_PER_100_M: (i32, i32) = (8_983, 11_804);

/// A city of a seed.
#[derive(Clone, Debug)]
pub(super) struct City {
    seed: u64,
}

impl City {
    pub(super) const fn of(seed: u64) -> Self {
        Self { seed }
    }

    /// One of the places that packages are fetched from.
    pub(super) fn shop(&self, dice: &mut Dice) -> GeoPoint {
        self.place("shop", dice.below(SHOPS))
    }

    /// Anywhere.
    pub(super) fn door(dice: &mut Dice) -> GeoPoint {
        point(dice)
    }

    /// Where a drone is at home; several share a place.
    pub(super) fn base(&self, drone: u32) -> GeoPoint {
        self.place("base", drone % BASES)
    }

    /// Where a package waits that could not be delivered.
    pub(super) fn hub(&self) -> GeoPoint {
        self.place("hub", 0)
    }

    fn place(&self, kind: &str, number: u32) -> GeoPoint {
        let lot = Lot {
            seed: self.seed,
            external_id: format!("{kind}-{number}"),
            attempt: 0,
        };
        point(&mut lot.dice("place"))
    }
}

fn point(dice: &mut Dice) -> GeoPoint {
    let mut away = |e7_per_100_m| dice.between(-HALF_WIDTH_M, HALF_WIDTH_M) * e7_per_100_m / 100;
    let (north, east) = (away(E7_PER_100_M.0), away(E7_PER_100_M.1));
    GeoPoint::from_e7(CENTRE.0 + north, CENTRE.1 + east).expect("a city's edge is near its midst")
}

/// The point so many thousandths of the way from one to another.
pub(super) fn on_the_way(from: GeoPoint, to: GeoPoint, permille: u32) -> GeoPoint {
    let permille = i64::from(permille.min(1_000));
    let between = |a: i32, b: i32| {
        let moved = i64::from(a) + (i64::from(b) - i64::from(a)) * permille / 1_000;
        i32::try_from(moved).unwrap_or(b)
    };
    let lat_e7 = between(from.lat_e7(), to.lat_e7());
    let lon_e7 = between(from.lon_e7(), to.lon_e7());
    GeoPoint::from_e7(lat_e7, lon_e7).expect("between two points of Earth lies one of Earth")
}

#[cfg(test)]
mod tests {
    use domain::quantity::DistanceM;

    use super::*;

    #[test]
    fn a_city_is_the_same_twice_another_one_for_another_seed_and_a_few_kilometres_wide() {
        let city = City::of(1);
        assert_eq!(city.base(3), City::of(1).base(3));
        assert_ne!(city.base(3), City::of(2).base(3));
        assert_ne!(city.base(3), city.base(4));
        assert_eq!(city.base(3), city.base(3 + BASES));
        let widest = DistanceM::new(5_700);
        let mut dice = Lot {
            seed: 1,
            external_id: "sim-1".to_owned(),
            attempt: 0,
        }
        .dice("plan");
        for _ in 0..100 {
            let (from, to) = (city.shop(&mut dice), City::door(&mut dice));
            assert!(from.distance_to(to) <= widest, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn a_way_begins_and_ends_where_it_should() {
        let (from, to) = (City::of(1).hub(), City::of(1).base(1));
        assert_eq!(on_the_way(from, to, 0), from);
        assert_eq!(on_the_way(from, to, 1_000), to);
        let half = on_the_way(from, to, 500);
        assert!(from.distance_to(half) < from.distance_to(to));
    }
}
