//! What waits for time to pass or for others to speak: gaps that are passed
//! when their wait is over, and parked facts whose mission became known, or for which a commit
//! had no room.
//!
//! What waits is read from a view of the log, so a restart forgets nothing;
//! that it no longer waits is an event, so nothing is applied twice. What waited
//! already when the service began waits until [`SETTLING`] is over.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::session::{PARKED_FACTS_MAX, Session, Step};
use domain::stream::{Category, StreamName};
use domain::time::{DurationMs, Timestamp};
use eventstore::AppendError;
use futures_util::FutureExt;
use projections::{Deadlines, DueSession, QueryError, Views};
use tokio::sync::watch;

use super::apply::{Applying, RETRIES_MAX};
use super::receive::Ingest;
use crate::application::Failure;

/// How often it is looked whether something need not wait any longer, in real
/// time: a twentieth of the default wait.
pub const TICK: Duration = Duration::from_millis(250);

/// How long after a start no wait and no deadline is over that began before it, so that what was
/// sent meanwhile comes in first.
pub const SETTLING: DurationMs = DurationMs::from_seconds(30);

/// Most dead letters in one commit.
const DEAD_LETTERS_MAX: usize = 128;

/// What came of a look that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// Every session that was due was moved on.
    AtAll,
    /// The view of what waits is being built: the next look may tell.
    NotYet,
}

impl Ingest {
    /// Keeps looking until `shutdown` becomes true. A failure is logged once,
    /// and tried again at every tick.
    pub async fn run_waiting(self, views: Arc<Views>, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.limits().tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            match self.look(&views, &shutdown).await {
                Ok(Looked::AtAll) if failing => {
                    failing = false;
                    tracing::info!("drone sessions move on again");
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(
                        error,
                        "drone sessions do not move on; trying again until they do"
                    );
                }
                Ok(Looked::AtAll | Looked::NotYet) | Err(_) => {}
            }
        }
    }

    /// Moves on every session that is due.
    async fn look(
        &self,
        views: &Views,
        shutdown: &watch::Receiver<bool>,
    ) -> Result<Looked, String> {
        let now = self
            .application()
            .now()
            .map_err(|error| error.to_string())?;
        let due = match views.due_sessions(self.deadlines(now)) {
            // As after a start: the views follow by themselves, and say so if they cannot.
            Err(QueryError::Lagging { .. }) => return Ok(Looked::NotYet),
            due => due.map_err(|error| error.to_string())?,
        };
        let mut failed = None;
        for session in due {
            if *shutdown.borrow() {
                break;
            }
            // What one session holds must not keep the others waiting.
            let moved = AssertUnwindSafe(self.move_on(&session, now))
                .catch_unwind()
                .await;
            let error = match moved {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => {
                    failed = Some(format!(
                        "{}: applying its facts panicked",
                        session.stream.key
                    ));
                    continue;
                }
            };
            failed = Some(format!("{}: {error}", session.stream.key));
            if let Failure::Outage { .. }
            | Failure::Append(
                AppendError::Unavailable { .. }
                | AppendError::Full
                | AppendError::Indeterminate { .. },
            ) = error
            {
                break;
            }
        }
        failed.map_or(Ok(Looked::AtAll), Err)
    }

    pub(super) fn deadlines(&self, now: Timestamp) -> Deadlines {
        Deadlines {
            held: self.expired(self.limits().gap_wait, now),
            parked: self.expired(self.limits().park_wait, now),
        }
    }

    /// Does for one session what need not wait any longer.
    ///
    /// # Errors
    /// A failure of the machine; nothing is lost, and trying again is safe.
    pub async fn move_on(&self, session: &DueSession, now: Timestamp) -> Result<(), Failure> {
        let name = StreamName {
            category: Category::DroneSession,
            key: session.stream.key,
        };
        if session.gap {
            self.pass_gaps(name, now).await?;
        }
        // Nothing is given up that can be applied by now.
        if session.ready || session.expired {
            self.retry_parked(name).await?;
        }
        if session.expired {
            self.give_up_parked(name, now).await?;
        }
        Ok(())
    }

    async fn pass_gaps(&self, name: StreamName, now: Timestamp) -> Result<(), Failure> {
        let expired = self.deadlines(now).held;
        let session = self.application().loader().load::<Session>(name)?.state;
        // Named by what is passed, so that whoever passes it, it is passed once.
        let Some(up_to) = session.backlog().last_expired(expired) else {
            return Ok(());
        };
        let up_to = up_to.to_be_bytes().to_vec();
        let request = self.request("gap", name, session.sender(), std::iter::once(up_to));
        let pass = |session: &Session| -> ((), Step) { ((), session.pass_expired_gaps(expired)) };
        self.step(&request, name, None, pass).await?;
        Ok(())
    }

    async fn give_up_parked(&self, name: StreamName, now: Timestamp) -> Result<(), Failure> {
        let expired = self.deadlines(now).parked;
        let request = self.request("give up", name, None, self.round());
        let give_up = |session: &Session| -> ((), Step) {
            ((), session.give_up_parked(expired, DEAD_LETTERS_MAX))
        };
        self.step(&request, name, None, give_up).await?;
        Ok(())
    }

    async fn retry_parked(&self, name: StreamName) -> Result<(), Failure> {
        let sender = self
            .application()
            .loader()
            .load::<Session>(name)?
            .state
            .sender()
            .cloned();
        // Bounded: every round but the last releases as many as one commit may.
        for _ in 0..=PARKED_FACTS_MAX / RETRIES_MAX {
            let now = self.application().now()?;
            let request = self.request("retry", name, sender.as_ref(), self.round());
            let retried = self.apply_all(&request, |draft, on_panic| {
                let session = draft.load::<Session>(name)?;
                let Some(sender) = session.state.sender().cloned() else {
                    return Ok(false);
                };
                let thresholds = self.application().thresholds();
                Applying::new(draft, thresholds, (sender, session), (now, on_panic))
                    .retry_parked(None)
            });
            let may_be_more = retried.await?.value;
            if !may_be_more {
                break;
            }
        }
        Ok(())
    }

    /// Tells one try from the next where nothing else does.
    pub(super) fn round(&self) -> impl Iterator<Item = Vec<u8>> {
        std::iter::once(
            self.application()
                .environment()
                .new_id()
                .into_bytes()
                .to_vec(),
        )
    }
}
