//! The one home of the wall clock, the monotonic clock and new ids.
//!
//! Everything that needs a time or an id is handed an [`Environment`], so a
//! test decides what time it is and which ids come next.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// Where times and ids come from. Cheap to clone; clones share their source.
///
/// Does not promise that the wall clock never steps back: order is kept by
/// positions in the log, not by times.
#[derive(Clone)]
pub struct Environment {
    wall_clock_us: Arc<dyn Fn() -> i64 + Send + Sync>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl Environment {
    /// The machine's own clocks, and random ids of version 7 (RFC 9562).
    #[must_use]
    pub fn system() -> Self {
        let started = monotonic_now();
        Self::from_sources(
            system_micros,
            move || monotonic_now().saturating_duration_since(started),
            fresh_id,
        )
    }

    /// An environment of given sources: microseconds since the Unix epoch,
    /// time since some fixed moment, and ids that never repeat.
    #[must_use]
    pub fn from_sources(
        wall_clock_us: impl Fn() -> i64 + Send + Sync + 'static,
        elapsed: impl Fn() -> Duration + Send + Sync + 'static,
        ids: impl Fn() -> Uuid + Send + Sync + 'static,
    ) -> Self {
        Self {
            wall_clock_us: Arc::new(wall_clock_us),
            elapsed: Arc::new(elapsed),
            ids: Arc::new(ids),
        }
    }

    /// A world in which no time passes and ids count up from 1: for tests and
    /// for runs that must come out the same twice.
    #[must_use]
    pub fn fixed(now_us: i64) -> Self {
        let last_id = AtomicU64::new(0);
        Self::from_sources(
            move || now_us,
            || Duration::ZERO,
            move || numbered_id(last_id.fetch_add(1, Ordering::Relaxed).saturating_add(1)),
        )
    }

    /// The wall clock, microseconds since the Unix epoch, UTC.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        (self.wall_clock_us)()
    }

    /// Time since some fixed moment; never steps back. Only differences mean anything.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }

    /// An id that nobody has had before.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        (self.ids)()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("now_us", &self.now_us())
            .finish_non_exhaustive()
    }
}

/// An id of the shape of version 7 that shows its number.
fn numbered_id(number: u64) -> Uuid {
    /// The version nibble and the variant bits of RFC 9562.
    const VERSION_7: u128 = (7 << 76) | (2 << 62);
    Uuid::from_u128(VERSION_7 | u128::from(number))
}

#[expect(clippy::disallowed_methods, reason = "this file is the clock's home")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this file is the home of new ids"
)]
fn fresh_id() -> Uuid {
    Uuid::now_v7()
}

/// A clock set before 1970 or after the year 294,000 is a broken clock; the
/// nearest representable time is taken rather than stopping the service.
#[expect(clippy::disallowed_methods, reason = "this file is the clock's home")]
fn system_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_system_are_of_version_7_and_grow() {
        let environment = Environment::system();
        let ids: Vec<Uuid> = std::iter::repeat_with(|| environment.new_id())
            .take(100)
            .collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_system_knows_what_century_it_is() {
        let environment = Environment::system();
        assert!(environment.now_us() > 1_700_000_000_000_000);
        assert!(environment.elapsed() <= environment.elapsed());
    }

    #[test]
    fn a_fixed_environment_repeats_itself() {
        let (one, other) = (Environment::fixed(7), Environment::fixed(7));
        assert_eq!((one.now_us(), one.elapsed()), (7, Duration::ZERO));
        let first = one.new_id();
        assert_eq!(first, other.new_id());
        assert_ne!(
            first,
            one.new_id(),
            "a clone or a second call must not repeat an id"
        );
        assert_eq!(first.get_version_num(), 7);
    }
}
