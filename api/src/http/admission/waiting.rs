//! Places for requests that wait for something: fewer than there are places
//! for requests, so that those who wait never keep everybody else out.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::Problem;
use crate::observability::HTTP_OVERLOADED;

/// Those places. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::http) struct WaitingPlaces(Arc<Semaphore>);

impl WaitingPlaces {
    /// Half of the places for requests. A request keeps its own while it waits,
    /// so the other half is always there for those who need not wait.
    pub(in crate::http) fn of(requests_max: u64) -> Self {
        let half = usize::try_from(requests_max / 2).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(
            half.clamp(1, Semaphore::MAX_PERMITS),
        )))
    }

    /// A place for as long as it is kept: for who has something done and then waits for it.
    ///
    /// # Errors
    /// `overloaded` (503) if none is left.
    pub(in crate::http) fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_none| {
            metrics::counter!(HTTP_OVERLOADED).increment(1);
            Problem::overloaded(
                "as many requests are waiting as may wait at once; send it again later, or so that it need not wait",
            )
        })
    }

    /// Waits for something that has no effect, in one of the places. What is
    /// there at once needs none.
    ///
    /// # Errors
    /// As [`WaitingPlaces::take`].
    pub(in crate::http) async fn wait<F: Future>(
        &self,
        something: F,
    ) -> Result<F::Output, Problem> {
        let mut something = pin!(something);
        if let Some(output) = something.as_mut().now_or_never() {
            return Ok(output);
        }
        let _place = self.take()?;
        Ok(something.await)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn half_of_all_places_are_for_waiting_and_one_at_least() {
        for (requests_max, waiting) in [(1, 1), (2, 1), (5, 2), (1_024, 512)] {
            let places = WaitingPlaces::of(requests_max);
            let held: Vec<_> = std::iter::from_fn(|| places.take().ok()).collect();
            assert_eq!(held.len(), waiting, "{requests_max}");
        }
    }

    #[tokio::test]
    async fn what_is_there_at_once_is_had_without_a_place_and_a_wait_that_ends_leaves_its_own() {
        let places = WaitingPlaces::of(2);
        {
            let mut waiting = pin!(places.wait(pending::<()>()));
            assert!(waiting.as_mut().now_or_never().is_none());
            assert_eq!(places.wait(ready(7)).await, Ok(7));
            assert!(places.wait(pending::<()>()).await.is_err());
        }
        assert!(places.take().is_ok(), "who is gone waits no more");
    }
}
