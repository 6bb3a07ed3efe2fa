//! How values are spread, in a few kilobytes whatever their number.
//!
//! Values are counted in buckets: each power of two is cut into 32. So a value
//! is known to 1/64 of itself, spreads of two hours can be put together without
//! loss, and the same values give the same bytes in whatever order they came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::overlay::Row;

/// Into how many buckets a power of two is cut.
const CUTS: u64 = 32;

/// The largest value that is told apart from larger ones: 49 days in milliseconds.
const VALUE_MAX: u64 = u32::MAX as u64;

/// What a bucket takes in memory, bytes, roughly.
const BUCKET_BYTES: usize = 16;

/// Values, each known to 1/64 of itself.
///
/// As bytes at most 896 buckets of 7 bytes, and their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// How many values are in which bucket; the full ones take no more.
    buckets: BTreeMap<u16, u32>,
}

impl Distribution {
    /// One more value.
    pub(crate) fn add(&mut self, value: u64) {
        self.take(bucket(value), 1);
    }

    /// All values of another one as well.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.take(*bucket, *count);
        }
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.values().map(|count| u64::from(*count)).sum()
    }

    /// How many of them are 0.
    pub(crate) fn zeros(&self) -> u64 {
        self.buckets.get(&0).copied().map_or(0, u64::from)
    }

    /// The smallest value that so many thousandths of all values are not larger
    /// than, off by at most 1/64 of itself. `None` of no values.
    pub(crate) fn quantile(&self, permille: u64) -> Option<u64> {
        let rank = (self.count().saturating_mul(permille))
            .div_ceil(1_000)
            .max(1);
        let mut below = 0;
        for (bucket, count) in &self.buckets {
            below += u64::from(*count);
            if below >= rank {
                return Some(middle(*bucket));
            }
        }
        None
    }

    fn take(&mut self, bucket: u16, count: u32) {
        let counted = self.buckets.entry(bucket).or_default();
        *counted = counted.saturating_add(count);
    }
}

impl Row for Distribution {
    fn heap_bytes(&self) -> usize {
        self.buckets.len() * BUCKET_BYTES
    }
}

fn bucket(value: u64) -> u16 {
    let value = value.min(VALUE_MAX);
    let shift = value.max(CUTS).ilog2() - CUTS.ilog2();
    let bucket = u64::from(shift) * CUTS + (value >> shift);
    u16::try_from(bucket).expect("27 powers of two have 32 buckets each")
}

/// The value in the middle of a bucket.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let shift = (bucket / CUTS).saturating_sub(1);
    let first = (bucket - shift * CUTS) << shift;
    first + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::stored::to_bytes;
    use crate::view_store::VALUE_BYTES_MAX;

    /// Values of all sizes.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        vec(
            (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift),
            1..60,
        )
    }

    fn of(values: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(*value);
        }
        distribution
    }

    proptest! {
        /// Law: a quantile is off by at most 1/64 of the exact one.
        #[test]
        fn a_quantile_is_known_to_a_sixty_fourth(values in values(), permille in 1..=1_000_u64) {
            let mut sorted: Vec<u64> = values.iter().map(|value| (*value).min(VALUE_MAX)).collect();
            sorted.sort_unstable();
            let rank = (sorted.len() as u64 * permille).div_ceil(1_000);
            let exact = sorted[usize::try_from(rank).unwrap() - 1];
            let found = of(&values).quantile(permille).unwrap();
            prop_assert!(found.abs_diff(exact) <= exact / 64, "{} for {}", found, exact);
        }

        /// Law: the values of two, in whatever order, are those of both put together.
        #[test]
        fn two_put_together_are_as_one(a in values(), b in values()) {
            let mut merged = of(&b);
            merged.merge(&of(&a));
            prop_assert_eq!(to_bytes(&merged), to_bytes(&of(&[a, b].concat())));
        }
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(Distribution::default().quantile(500), None);
        assert_eq!(Distribution::default().count(), 0);
    }

    #[test]
    fn all_buckets_full_fit_a_value_of_a_view() {
        let last = bucket(u64::MAX);
        let buckets = (0..=last).map(|bucket| (bucket, u32::MAX)).collect();
        let full = Distribution { buckets };
        assert!(to_bytes(&full).len() <= VALUE_BYTES_MAX);
        let mut more = full.clone();
        more.add(0);
        assert_eq!(more, full, "what is full takes no more");
    }
}
