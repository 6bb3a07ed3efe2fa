//! Quantities: unsigned integers with their unit in the name.

/// A quantity lies outside the range that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {min} to {max} {unit}")]
pub struct OutOfRange {
    /// The smallest accepted.
    pub min: u32,
    /// The largest accepted.
    pub max: u32,
    /// The unit of both.
    pub unit: &'static str,
}

fn in_range(value: u32, min: u32, max: u32, unit: &'static str) -> Result<u32, OutOfRange> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(OutOfRange { min, max, unit })
    }
}

/// A mass, grams, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MassG(u32);

impl MassG {
    /// The largest mass that is accepted, grams: far above what a delivery drone carries,
    /// so that a larger number is a mistake in the unit.
    pub const MAX: u32 = 100_000;

    /// That many grams.
    ///
    /// # Errors
    /// [`OutOfRange`] for 0 and above [`MassG::MAX`].
    pub fn new(grams: u32) -> Result<Self, OutOfRange> {
        in_range(grams, 1, Self::MAX, "g").map(Self)
    }

    /// The number of grams.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Length, width and height, millimetres, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DimensionsMm {
    length: u32,
    width: u32,
    height: u32,
}

impl DimensionsMm {
    /// The longest side that is accepted, millimetres.
    pub const MAX: u32 = 10_000;

    /// Length, width and height.
    ///
    /// # Errors
    /// [`OutOfRange`] if a side is 0 or above [`DimensionsMm::MAX`].
    pub fn new([length, width, height]: [u32; 3]) -> Result<Self, OutOfRange> {
        let side = |millimetres| in_range(millimetres, 1, Self::MAX, "mm");
        Ok(Self {
            length: side(length)?,
            width: side(width)?,
            height: side(height)?,
        })
    }

    /// Length, width and height.
    #[must_use]
    pub const fn get(self) -> [u32; 3] {
        [self.length, self.width, self.height]
    }
}

/// A distance over ground, whole metres, rounded up: so a distance is within a
/// limit in whole metres exactly if the rounded one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DistanceM(u32);

impl DistanceM {
    /// That many metres.
    #[must_use]
    pub const fn new(metres: u32) -> Self {
        Self(metres)
    }

    /// The number of metres.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_weighs_nothing_and_nothing_weighs_tonnes() {
        assert!(MassG::new(0).is_err());
        assert_eq!(MassG::new(450).map(MassG::get), Ok(450));
        assert_eq!(
            MassG::new(100_001).unwrap_err().to_string(),
            "expected 1 to 100000 g"
        );
    }

    #[test]
    fn every_side_of_a_package_has_a_length() {
        assert!(DimensionsMm::new([1, 0, 1]).is_err());
        assert_eq!(
            DimensionsMm::new([1, 2, 3]).map(DimensionsMm::get),
            Ok([1, 2, 3])
        );
    }
}
