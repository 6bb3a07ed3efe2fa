//! When a delivery is expected, and when it is worth saying that this has changed.

use super::event::DeliveryEvent;
use super::phase::Phase;
use super::state::Delivery;
use crate::id::MissionId;
use crate::time::{DurationMs, Timestamp};

/// From when on another expected time is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtaThresholds {
    /// One that moved by less is told as it was, unless by `moved_percent_min`.
    pub moved_min: DurationMs,
    /// One that moved by this part of what was left is told in any case, 1/100.
    pub moved_percent_min: u32,
    /// It is told anew once in so long at most.
    pub revised_every: DurationMs,
}

impl Default for EtaThresholds {
    /// 60 s, or 10 %, every 15 s at most.
    fn default() -> Self {
        Self {
            moved_min: DurationMs::from_seconds(60),
            moved_percent_min: 10,
            revised_every: DurationMs::from_seconds(15),
        }
    }
}

/// When a delivery is expected, as last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eta {
    /// At the pick-up, until the package is on board.
    pub pickup_at: Option<Timestamp>,
    /// At the drop-off.
    pub dropoff_at: Option<Timestamp>,
    /// When that was told.
    pub computed_at: Timestamp,
}

/// When a drone expects to be where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// At the pick-up.
    pub pickup_at: Option<Timestamp>,
    /// At the drop-off.
    pub dropoff_at: Option<Timestamp>,
}

impl Delivery {
    /// The event that tells that the newest mission now expects to be there at other times, if
    /// it is the one under way and on its way out, if one of the times has moved far enough, and
    /// if it is long enough since they were last told. A time that is not known any more is no
    /// news.
    #[must_use]
    pub fn revise_eta(
        &self,
        mission: MissionId,
        estimate: Estimate,
        thresholds: &EtaThresholds,
        at: Timestamp,
    ) -> Option<DeliveryEvent> {
        let is_loaded = match self.phase {
            Phase::Fetching { .. } => false,
            Phase::Carrying(_) => true,
            Phase::Pending
            | Phase::Scheduled
            | Phase::Released(_)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => return None,
        };
        let told = self.eta;
        let every = thresholds.revised_every;
        let is_recent = told.is_some_and(|told| at < told.computed_at.plus(every));
        if is_recent || !self.is_newest(mission) {
            return None;
        }
        let was = |time: fn(Eta) -> Option<Timestamp>| told.and_then(time);
        let (pickup_was, dropoff_was) = (was(|eta| eta.pickup_at), was(|eta| eta.dropoff_at));
        let pickup_at = estimate.pickup_at.or(pickup_was).filter(|_| !is_loaded);
        let dropoff_at = estimate.dropoff_at.or(dropoff_was);
        let moved = (!is_loaded && thresholds.has_moved(pickup_was, pickup_at, at))
            || thresholds.has_moved(dropoff_was, dropoff_at, at);
        moved.then_some(DeliveryEvent::EtaRevised {
            mission,
            pickup_at,
            dropoff_at,
        })
    }
}

impl EtaThresholds {
    fn has_moved(&self, was: Option<Timestamp>, is: Option<Timestamp>, at: Timestamp) -> bool {
        match (was, is) {
            (Some(was), Some(is)) => {
                let (moved, left) = (micros_between(was, is), micros_between(was, at));
                let part = left / 100 * i64::from(self.moved_percent_min);
                moved > 0 && (moved >= i64::from(self.moved_min.get()) * 1_000 || moved >= part)
            }
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        }
    }
}

const fn micros_between(a: Timestamp, b: Timestamp) -> i64 {
    // Both lie within the years 1 to 9999, whose distance fits.
    (a.micros() - b.micros()).abs()
}
