//! Chance that can be repeated: a seeded generator, so that a failing run can be run again.

/// A stream of pseudo-random numbers (`SplitMix64`), a function of its seed alone.
///
/// It is neither cryptographic nor shared between threads; give each its own.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The numbers of `seed`: equal seeds give equal numbers, on every machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        // Constants of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`. Its bias is below `bound` / 2^64.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        u64::try_from((u128::from(self.bits()) * u128::from(bound)) >> 64)
            .expect("a product shifted by 64 bits fits")
    }

    /// True `permille` times in a thousand.
    pub fn happens(&mut self, permille: u16) -> bool {
        self.below(1000) < u64::from(permille)
    }

    /// A UUID of version 4's shape, for ids that the tests themselves hand out.
    pub fn uuid(&mut self) -> uuid::Uuid {
        let bits = (u128::from(self.bits()) << 64) | u128::from(self.bits());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_other_seeds_others() {
        let numbers = |seed| {
            let mut chance = Chance::new(seed);
            [chance.bits(), chance.below(1_000_000), chance.bits()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn what_happens_a_third_of_the_time_does_so() {
        let mut chance = Chance::new(1);
        let happened = (0..10_000).filter(|_| chance.happens(333)).count();
        assert!((3_000..3_700).contains(&happened), "{happened} of 10,000");
    }
}
