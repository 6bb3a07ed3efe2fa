//! Chance that comes out the same twice.

/// What chance is asked about: a delivery's how-manieth attempt, in a run of a seed.
///
/// Every draw is keyed by it and by what the draw is about, so that no draw
/// depends on which were made before it, or on how fast anything goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lot {
    /// The seed of the run.
    pub(super) seed: u64,
    /// The delivery, by the client's own name of it.
    pub(super) external_id: String,
    /// Counted from 1; what belongs to no attempt is drawn with 0.
    pub(super) attempt: u32,
}

/// A source of draws that never ends.
#[derive(Clone, Debug)]
pub(super) struct Dice(blake3::OutputReader);

impl Lot {
    /// The draws about one thing.
    pub(super) fn dice(&self, about: &str) -> Dice {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.seed.to_be_bytes())
            .update(&self.attempt.to_be_bytes())
            .update(self.external_id.as_bytes())
            .update(&[0])
            .update(about.as_bytes());
        Dice(hasher.finalize_xof())
    }

    /// The same delivery's draws of another attempt.
    pub(super) fn of_attempt(&self, attempt: u32) -> Self {
        Self {
            attempt,
            ..self.clone()
        }
    }
}

impl Dice {
    /// Any number.
    pub(super) fn bits(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// A number below `end`; 0 if that is 0. No number is more than 2^-32 likelier
    /// than another where `end` fits 32 bits.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let scaled = (u128::from(self.bits()) * u128::from(end)) >> 64;
        u32::try_from(scaled).unwrap_or_default()
    }

    /// A number from `least` to `most`.
    pub(super) fn between(&mut self, least: i32, most: i32) -> i32 {
        let span = most.abs_diff(least).saturating_add(1);
        least.saturating_add_unsigned(self.below(span))
    }

    /// True so many times out of a thousand.
    pub(super) fn happens(&mut self, permille: u32) -> bool {
        self.below(1_000) < permille
    }

    /// One of several; `None` of none.
    pub(super) fn pick<T: Copy>(&mut self, several: &[T]) -> Option<T> {
        let end = u32::try_from(several.len()).unwrap_or(u32::MAX);
        let place = usize::try_from(self.below(end)).unwrap_or_default();
        several.get(place).copied()
    }

    /// Brings several things into any order.
    pub(super) fn shuffle<T>(&mut self, several: &mut [T]) {
        for end in (2..=several.len()).rev() {
            let bound = u32::try_from(end).unwrap_or(u32::MAX);
            let place = usize::try_from(self.below(bound)).unwrap_or_default();
            several.swap(place, end - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lot(seed: u64, external_id: &str, attempt: u32) -> Lot {
        let external_id = external_id.to_owned();
        Lot {
            seed,
            external_id,
            attempt,
        }
    }

    proptest! {
        #[test]
        fn a_draw_follows_from_its_key_and_from_nothing_else(seed: u64, attempt: u32, end in 1..u32::MAX) {
            let (once, again) = (lot(seed, "sim-1", attempt), lot(seed, "sim-1", attempt));
            // What was drawn about something else in between changes nothing.
            once.dice("weather").bits();
            prop_assert_eq!(once.dice("tag").below(end), again.dice("tag").below(end));
            prop_assert!(once.dice("tag").below(end) < end);
        }

        #[test]
        fn shuffling_keeps_everything(seed: u64, mut several in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut before = several.clone();
            lot(seed, "sim-1", 1).dice("order").shuffle(&mut several);
            before.sort_unstable();
            several.sort_unstable();
            prop_assert_eq!(before, several);
        }
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let draws = [
            lot(1, "sim-1", 1).dice("tag").bits(),
            lot(2, "sim-1", 1).dice("tag").bits(),
            lot(1, "sim-2", 1).dice("tag").bits(),
            lot(1, "sim-1", 2).dice("tag").bits(),
            lot(1, "sim-1", 1).dice("hold").bits(),
        ];
        for (place, draw) in draws.iter().enumerate() {
            assert!(!draws[place + 1..].contains(draw));
        }
    }

    #[test]
    fn what_happens_three_times_in_ten_does() {
        let mut dice = lot(7, "sim-1", 1).dice("rain");
        let times = (0..10_000).filter(|_| dice.happens(300)).count();
        assert!((2_850..3_150).contains(&times), "{times}");
        assert_eq!(dice.pick::<u8>(&[]), None);
        assert_eq!(dice.between(-3, -3), -3);
    }
}
