//! What waits for time to pass or for others to speak: gaps that are passed
//! when their wait is over, and parked facts whose mission became known.
//!
//! What waits is read from a view of the log, so a restart forgets nothing;
//! that it no longer waits is an event, so nothing is applied twice.

use std::sync::Arc;
use std::time::Duration;

use domain::session::{PARKED_FACTS_MAX, Session, Step};
use domain::stream::{Category, StreamName};
use domain::time::Timestamp;
use projections::{Views, WaitingSession};
use tokio::sync::watch;

use super::apply::{Applying, RETRIES_MAX};
use super::receive::{Ingest, only_failure};
use crate::application::Failure;

/// How often it is looked whether something need not wait any longer: a
/// twentieth of the default wait.
pub const TICK: Duration = Duration::from_millis(250);

impl Ingest {
    /// Keeps looking until `shutdown` becomes true. A failure is logged, and
    /// tried again at the next tick.
    pub async fn run_waiting(self, views: Arc<Views>, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            match views.waiting_sessions() {
                Ok(waiting) => {
                    for session in waiting {
                        if let Err(error) = self.move_on(&session).await {
                            tracing::warn!(session = %session.stream.key, %error, "a session could not move on; trying again");
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the waiting sessions could not be read; trying again");
                }
            }
        }
    }

    /// Does for one session what need not wait any longer.
    ///
    /// # Errors
    /// A failure of the machine; nothing is lost, and trying again is safe.
    pub async fn move_on(&self, session: &WaitingSession) -> Result<(), Failure> {
        let name = StreamName {
            category: Category::DroneSession,
            key: session.stream.key,
        };
        let now = self.application().now()?;
        if session
            .oldest_held
            .is_some_and(|held| held.plus(self.limits().gap_wait) <= now)
        {
            self.pass_gaps(name, now).await?;
        }
        if session.oldest_parked.is_some() {
            self.retry_parked(name).await?;
        }
        Ok(())
    }

    async fn pass_gaps(&self, name: StreamName, now: Timestamp) -> Result<(), Failure> {
        let wait = self.limits().gap_wait;
        let expired =
            |session: &Session| -> ((), Step) { ((), session.pass_expired_gaps(now, wait)) };
        let until = now.micros().to_be_bytes().to_vec();
        let request = self.request("gap", name, None, std::iter::once(until));
        self.step(&request, name, None, expired).await?;
        Ok(())
    }

    async fn retry_parked(&self, name: StreamName) -> Result<(), Failure> {
        // Bounded: every round but the last releases as many as one commit may.
        for _ in 0..=PARKED_FACTS_MAX / RETRIES_MAX {
            let now = self.application().now()?;
            let round = self.application().environment().new_id();
            let request = self.request(
                "retry",
                name,
                None,
                std::iter::once(round.into_bytes().to_vec()),
            );
            let retried = self.application().transact(&request, |draft| {
                let session = draft.load::<Session>(name)?;
                let Some(sender) = session.state.sender().cloned() else {
                    return Ok(false);
                };
                let thresholds = self.application().thresholds();
                Ok(Applying::new(draft, thresholds, (sender, session), now).retry_parked(None)?)
            });
            let may_be_more = retried.await.map_err(only_failure)?.value;
            if !may_be_more {
                break;
            }
        }
        Ok(())
    }
}
