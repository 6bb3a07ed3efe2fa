//! When a delivery is expected, and when it is worth saying that this has changed.

use super::event::DeliveryEvent;
use super::phase::Phase;
use super::state::Delivery;
use crate::id::MissionId;
use crate::time::{DurationMs, Timestamp};

/// An expected time that moved by less is told as it was, unless by [`MOVED_PERCENT_MIN`].
const MOVED_MIN: DurationMs = DurationMs::from_seconds(60);

/// An expected time that moved by this part of what was left is told in any case, 1/100.
const MOVED_PERCENT_MIN: i64 = 10;

/// An expected time is told anew once in so long at most.
const REVISED_EVERY: DurationMs = DurationMs::from_seconds(15);

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
    /// it is the one under way and on its way out, if one of the times has moved by 60 s or by a
    /// tenth of what was left, and if 15 s have passed since they were last told. A time that is
    /// not known any more is no news.
    #[must_use]
    pub fn revise_eta(
        &self,
        mission: MissionId,
        estimate: Estimate,
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
        let is_recent = told.is_some_and(|told| at < told.computed_at.plus(REVISED_EVERY));
        if is_recent || !self.is_newest(mission) {
            return None;
        }
        let was = |time: fn(Eta) -> Option<Timestamp>| told.and_then(time);
        let (pickup_was, dropoff_was) = (was(|eta| eta.pickup_at), was(|eta| eta.dropoff_at));
        let pickup_at = estimate.pickup_at.or(pickup_was).filter(|_| !is_loaded);
        let dropoff_at = estimate.dropoff_at.or(dropoff_was);
        let moved = (!is_loaded && has_moved(pickup_was, pickup_at, at))
            || has_moved(dropoff_was, dropoff_at, at);
        moved.then_some(DeliveryEvent::EtaRevised {
            mission,
            pickup_at,
            dropoff_at,
        })
    }
}

fn has_moved(was: Option<Timestamp>, is: Option<Timestamp>, at: Timestamp) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => {
            let (moved, left) = (micros_between(was, is), micros_between(was, at));
            moved >= i64::from(MOVED_MIN.get()) * 1_000
                || (moved > 0 && moved >= left / 100 * MOVED_PERCENT_MIN)
        }
        (None, Some(_)) => true,
        (Some(_) | None, None) => false,
    }
}

const fn micros_between(a: Timestamp, b: Timestamp) -> i64 {
    // Both lie within the years 1 to 9999, whose distance fits.
    (a.micros() - b.micros()).abs()
}
