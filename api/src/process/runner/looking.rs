//! One operation: looked at, and carried out what it has claimed outside.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::RejectReason;
use domain::id::OperationId;
use domain::scheduling::{Effect, OperationEvent, backoff};
use domain::time::{DurationMs, Timestamp};
use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::Runner;
use crate::application::{Advanced, Claimed, Claiming, Claims, Failure, Look};
use crate::observability::processes::BILLING_REQUEST_SECONDS;
use crate::process::agenda::Subject;
use crate::process::billing::{Answer, Bill};

/// After how long an effect that nobody spoke of again is another's to try: whoever
/// claimed it is gone. Where several nodes look at one log, another goes on within
/// ten seconds, and clocks may differ by what is left of it when it is prolonged.
const CLAIM: DurationMs = DurationMs::from_seconds(8);

/// How often whoever is at an effect says so again: an answer may take longer than
/// a claim lasts.
const PROLONGED_EVERY: Duration = Duration::from_secs(3);

/// An effect that this runner has claimed.
pub(super) struct Effective {
    pub(super) operation: OperationId,
    claimed: Claimed,
    /// Since when at least the claim counts, on the clock that never steps back.
    since: Duration,
    place: OwnedSemaphorePermit,
}

/// Why an operation did not go on.
pub(super) enum Missed {
    /// The cluster that the log is on does not answer.
    Outage,
    /// Something else, in these words.
    Failed(String),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Outage { .. } => Self::Outage,
            Failure::Append(_)
            | Failure::Load(_)
            | Failure::Contended
            | Failure::Repeated
            | Failure::Clock => Self::Failed(failure.to_string()),
        }
    }
}

/// What came of looking at an operation.
pub(super) enum Looked {
    /// It waits, for what is in the log.
    Waits,
    /// It could go on outside, and no place is free.
    Crowded,
    /// It could go on outside, and there is no billing service.
    Unbilled,
    /// It goes on outside.
    Claimed(Effective),
}

impl Runner {
    /// The operation that a subject is about, if there is one.
    pub(super) fn operation_of(&self, subject: Subject) -> Result<Option<OperationId>, String> {
        let delivery = || match subject {
            Subject::Operation(id) => Ok(Some(id)),
            Subject::BookingOfMission(mission) => {
                let delivery = self.application.delivery_of_mission(mission)?;
                Ok(delivery.map(OperationId::of_booking))
            }
            Subject::BookingOfDispatch(mission) => {
                let delivery = self.application.delivery_of_dispatch(mission)?;
                Ok(delivery.map(OperationId::of_booking))
            }
        };
        unless_it_panics(delivery)
    }

    /// Looks at an operation until it waits for something, where it has a place to go on outside
    /// or none. What one meets does not keep the others waiting.
    pub(super) async fn look_at(
        &self,
        id: OperationId,
        place: Option<OwnedSemaphorePermit>,
    ) -> (OperationId, Result<Looked, Missed>) {
        let looked = AssertUnwindSafe(self.go_on(id, place)).catch_unwind().await;
        let looked = looked.unwrap_or_else(|_| Err(Missed::Failed(PANICKED.to_owned())));
        (id, looked)
    }

    async fn go_on(
        &self,
        id: OperationId,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Looked, Missed> {
        let has_billing = self.settings.billing.is_some();
        let place = place.filter(|_| has_billing);
        let claims = match &place {
            Some(_) => self.claims(),
            None if has_billing => Claiming::Later,
            None => Claiming::Never,
        };
        loop {
            let (since, look) = (self.elapsed(), self.look(claims)?);
            match self.application.look_at(id, look).await? {
                Advanced::Again => {}
                Advanced::Waits => return Ok(Looked::Waits),
                Advanced::WouldClaim if has_billing => return Ok(Looked::Crowded),
                Advanced::WouldClaim => return Ok(Looked::Unbilled),
                Advanced::Refused(why) => return Err(refused(&why)),
                Advanced::Claimed(claimed) => {
                    let effective = place.map(|place| Effective {
                        operation: id,
                        claimed,
                        since,
                        place,
                    });
                    return Ok(effective.map_or(Looked::Waits, Looked::Claimed));
                }
            }
        }
    }

    /// Does outside what was claimed, and goes on until something is waited for.
    pub(super) async fn carry_out(
        self: Arc<Self>,
        effective: Effective,
    ) -> (OperationId, Result<(), Missed>) {
        let operation = effective.operation;
        let done = AssertUnwindSafe(self.go_on_outside(effective)).catch_unwind();
        let done = done.await;
        let done = done.unwrap_or_else(|_| Err(Missed::Failed(PANICKED.to_owned())));
        (operation, done)
    }

    async fn go_on_outside(&self, effective: Effective) -> Result<(), Missed> {
        let Effective {
            operation,
            mut claimed,
            mut since,
            place: _place,
        } = effective;
        loop {
            let event = tokio::select! {
                event = self.effect(operation, &claimed) => event,
                never = self.prolong(operation, claimed.attempt, since) => match never {},
            };
            let Some(event) = event else {
                return Ok(());
            };
            since = self.elapsed();
            let look = self.look(self.claims())?;
            let mut advanced = self.application.answer(operation, event, look).await?;
            while advanced == Advanced::Again {
                since = self.elapsed();
                let look = self.look(self.claims())?;
                advanced = self.application.look_at(operation, look).await?;
            }
            match advanced {
                Advanced::Claimed(next) => claimed = next,
                Advanced::Refused(why) => return Err(refused(&why)),
                Advanced::Waits | Advanced::WouldClaim | Advanced::Again => return Ok(()),
            }
        }
    }

    /// Says again and again that an effect is still being tried: at once, if writing down the claim
    /// took as long as it may be silent.
    async fn prolong(
        &self,
        operation: OperationId,
        attempt: u32,
        mut since: Duration,
    ) -> Infallible {
        loop {
            let silent = self.elapsed().saturating_sub(since);
            tokio::time::sleep(PROLONGED_EVERY.saturating_sub(silent)).await;
            since = self.elapsed();
            let said = self.application.prolong(operation, attempt, self.claim());
            if let Err(error) = said.await {
                // Another may try then, under the same idempotency key.
                tracing::debug!(%operation, %error, "a claim is not prolonged");
                // Not again at once, whatever time it took to fail.
                since = self.elapsed();
            }
        }
    }

    const fn claim(&self) -> Claims {
        Claims {
            node: self.node,
            limit: CLAIM,
        }
    }

    const fn claims(&self) -> Claiming {
        Claiming::Here(self.claim())
    }

    fn look(&self, claims: Claiming) -> Result<Look, Failure> {
        let now = self.application.now()?;
        let is_settled = now >= self.settled_at;
        Ok(Look {
            now,
            deadlines_to: if is_settled { now } else { Timestamp::MIN },
            claims,
            is_quota_used_up: false,
        })
    }

    /// What came of one attempt; nothing without a billing service.
    async fn effect(&self, operation: OperationId, claimed: &Claimed) -> Option<OperationEvent> {
        let billing = self.settings.billing.as_ref()?;
        let Claimed {
            effect, attempt, ..
        } = *claimed;
        let environment = self.application.environment();
        let asked_at = environment.elapsed();
        let answer = match (effect, &claimed.authorization) {
            (Effect::VoidPayment, Some(authorization)) => {
                billing.void(operation, authorization).await
            }
            (Effect::VoidPayment, None) => return None,
            (Effect::AuthorizePayment, _) => {
                let bill = Bill {
                    operation,
                    delivery: claimed.delivery,
                    user: claimed.user,
                };
                billing.authorize(bill).await
            }
        };
        let took = environment.elapsed().saturating_sub(asked_at);
        metrics::histogram!(BILLING_REQUEST_SECONDS, "effect" => effect.word()).record(took);
        let authorization = claimed.authorization.clone();
        let authorization = authorization.and_then(|it| it.parse().ok());
        Some(match (answer, authorization) {
            (Answer::Authorized(authorization), _) => {
                OperationEvent::PaymentAuthorized { authorization }
            }
            (Answer::Declined, _) => OperationEvent::PaymentDenied {
                reason: RejectReason::PaymentDeclined,
            },
            (Answer::Voided, Some(authorization)) => {
                OperationEvent::PaymentVoided { authorization }
            }
            (Answer::Voided, None) => return None,
            (Answer::Deferred(why, retry_after), _) => {
                let now = self.application.now().ok()?;
                let scale = self.settings.time_scale;
                let own = || now.plus(scale.shorten(backoff(claimed.deferrals)));
                let retry_at = retry_after.map_or_else(own, |told| told.begins(now));
                OperationEvent::EffectDeferred {
                    effect,
                    attempt,
                    why,
                    retry_at,
                }
            }
        })
    }
}

/// In the log's words: what panicked is told there by itself.
const PANICKED: &str = "looking at it panicked";

/// Does something that reads what may be unreadable.
pub(super) fn unless_it_panics<T>(
    read: impl FnOnce() -> Result<T, crate::application::LoadError>,
) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(PANICKED.to_owned()),
    }
}

fn refused(why: &str) -> Missed {
    Missed::Failed(format!(
        "its delivery does not take what would be next: {why}"
    ))
}
