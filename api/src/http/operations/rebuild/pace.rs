//! How long something that moves will still take, from two looks at it.

use std::time::Duration;

/// How far two looks must be apart to tell a pace.
const APART_MIN: Duration = Duration::from_secs(1);

/// After how long a look is too old to be the one that others are held against.
const AGE_MAX: Duration = Duration::from_secs(10);

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// When, since some fixed moment.
    pub(super) at: Duration,
    /// How far it was then.
    pub(super) position: u64,
}

/// What two earlier looks have shown.
///
/// Looks are taken when somebody asks, so the pace is that of the last ten
/// seconds or, if nobody asked for longer, of the time since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    earlier: Option<Look>,
    later: Option<Look>,
}

impl Pace {
    /// Takes a look into account.
    pub(super) fn note(&mut self, now: Look) {
        let is_old = |look: Look| now.at.saturating_sub(look.at) >= AGE_MAX;
        if self.later.is_none_or(is_old) {
            self.earlier = self.later;
            self.later = Some(now);
        }
    }

    /// How long it takes from here to `target` if it goes on as it did, seconds,
    /// rounded up; nothing before that can be said, or where nothing moved.
    pub(super) fn remaining_s(&self, now: Look, target: u64) -> Option<u64> {
        let looks = [self.later, self.earlier].into_iter().flatten();
        let since = |look: &Look| now.at.saturating_sub(look.at);
        let before = looks
            .into_iter()
            .find(|look| since(look) >= APART_MIN && look.position <= now.position)?;
        let moved = u128::from(now.position.saturating_sub(before.position));
        let left = u128::from(target.saturating_sub(now.position));
        let millis = (left * since(&before).as_millis()).checked_div(moved)?;
        u64::try_from(millis.div_ceil(1_000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(at_ms: u64, position: u64) -> Look {
        Look {
            at: Duration::from_millis(at_ms),
            position,
        }
    }

    #[test]
    fn one_look_two_at_once_and_standing_still_say_nothing() {
        let mut pace = Pace::default();
        assert_eq!(pace.remaining_s(look(0, 0), 100), None);
        pace.note(look(0, 10));
        assert_eq!(pace.remaining_s(look(999, 50), 100), None);
        assert_eq!(pace.remaining_s(look(5_000, 10), 100), None);
        assert_eq!(pace.remaining_s(look(5_000, 9), 100), None);
        assert_eq!(pace.remaining_s(look(5_000, 20), 100), Some(40));
        assert_eq!(pace.remaining_s(look(5_000, 20), 20), Some(0));
    }

    proptest! {
        #[test]
        fn what_moves_evenly_takes_what_is_left_at_its_pace(
            per_s in 1_u64..100_000,
            looks_ms in proptest::collection::vec(1_000_u64..30_000, 2..10),
            left in 0_u64..10_000_000,
        ) {
            let (mut pace, mut at_ms) = (Pace::default(), 0);
            let position = |at_ms: u64| at_ms * per_s;
            for apart in looks_ms {
                let now = look(at_ms, position(at_ms));
                pace.note(now);
                at_ms += apart;
                let now = look(at_ms, position(at_ms));
                let expected = left.div_ceil(per_s).div_ceil(1_000);
                let said = pace.remaining_s(now, now.position + left);
                prop_assert!(said.is_some_and(|said| said.abs_diff(expected) <= 1), "{said:?} {expected}");
            }
        }
    }
}
