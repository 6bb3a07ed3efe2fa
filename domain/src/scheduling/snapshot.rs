//! An operation's state as bytes.

use serde::{Deserialize, Serialize};

use super::event::{Authorization, Effect, OperationEvent, OperationProblem, Step};
use super::state::{Asked, Operation, Outcome, Payment, Unheard};
use crate::codec::{InvalidField, number_of, word_of};
use crate::delivery::RejectReason;
use crate::id::{DeliveryId, MissionId};
use crate::snapshot::{Keep, Kept, KeptId, uuid};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(crate) struct KeptOperation {
    /// As the event that would start it.
    started: Kept,
    passed: Option<u8>,
    /// Which step, and why.
    failed: Option<(u8, u8)>,
    payment: KeptPayment,
    may_stay_charged: bool,
    asked: Option<KeptAsked>,
    holds_package: bool,
    shares_with: Option<KeptId>,
    /// Which, and for what problem.
    outcome: Option<(u8, u8)>,
    next_at_us: Option<i64>,
    has_ended: bool,
    started_at_us: i64,
    step_since_us: i64,
    changed_at_us: i64,
}

#[derive(Serialize, Deserialize)]
struct KeptAsked {
    mission: KeptId,
    epoch: u32,
    ask: u8,
    answer_by_us: i64,
    is_of_former_life: bool,
}

#[derive(Serialize, Deserialize)]
struct KeptPayment {
    attempts: u32,
    /// Which effect, and until when, microseconds.
    claim: Option<(u8, i64)>,
    retry_at_us: Option<i64>,
    deferrals: u32,
    is_refused: bool,
    denied: Option<u8>,
    /// Of an authorization, of a void.
    unheard: (bool, bool),
    authorizations: Vec<(String, bool)>,
    is_left_unpaid: bool,
}

impl Keep for Operation {
    type Kept = KeptOperation;

    fn kept(&self) -> KeptOperation {
        KeptOperation {
            started: Kept::of(&OperationEvent::OperationStarted {
                kind: self.kind,
                delivery: self.delivery,
                user: self.user,
                sequence: self.sequence,
            }),
            passed: self.passed.map(|step| number_of(Step::ALL, &step)),
            failed: self.failed.map(|(step, reason)| {
                let reason = number_of(RejectReason::ALL, &reason);
                (number_of(Step::ALL, &step), reason)
            }),
            payment: KeptPayment::of(&self.payment),
            may_stay_charged: self.may_stay_charged,
            asked: self.asked.map(KeptAsked::of),
            holds_package: self.holds_package,
            shares_with: self.shares_with.map(|other| other.uuid().into_bytes()),
            outcome: self.outcome.map(kept_outcome),
            next_at_us: self.next_at.map(Timestamp::micros),
            has_ended: self.has_ended,
            started_at_us: self.started_at.micros(),
            step_since_us: self.step_since.micros(),
            changed_at_us: self.changed_at.micros(),
        }
    }

    fn state(kept: KeptOperation) -> Option<Self> {
        let OperationEvent::OperationStarted {
            kind,
            delivery,
            user,
            sequence,
        } = kept.started.event()?
        else {
            return None;
        };
        let passed = kept.passed.map(|step| word_of("step", Step::ALL, step));
        let failed = kept.failed.map(|(step, reason)| {
            let reason = word_of("reason", RejectReason::ALL, reason)?;
            Ok::<_, InvalidField>((word_of("step", Step::ALL, step)?, reason))
        });
        Some(Self {
            kind,
            delivery,
            user,
            sequence,
            passed: passed.transpose().ok()?,
            failed: failed.transpose().ok()?,
            payment: kept.payment.payment().ok()?,
            may_stay_charged: kept.may_stay_charged,
            asked: kept.asked.map(KeptAsked::asked).transpose().ok()?,
            holds_package: kept.holds_package,
            shares_with: kept
                .shares_with
                .map(|other| DeliveryId::from_uuid(uuid(other))),
            outcome: kept.outcome.map(outcome_of).transpose().ok()?,
            next_at: kept.next_at_us.map(moment).transpose().ok()?,
            has_ended: kept.has_ended,
            started_at: moment(kept.started_at_us).ok()?,
            step_since: moment(kept.step_since_us).ok()?,
            changed_at: moment(kept.changed_at_us).ok()?,
        })
    }
}

impl KeptPayment {
    fn of(payment: &Payment) -> Self {
        Self {
            attempts: payment.attempts,
            claim: payment
                .claim
                .map(|(effect, until)| (number_of(Effect::ALL, &effect), until.micros())),
            retry_at_us: payment.retry_at.map(Timestamp::micros),
            deferrals: payment.deferrals,
            is_refused: payment.is_refused,
            denied: payment
                .denied
                .map(|reason| number_of(RejectReason::ALL, &reason)),
            unheard: (payment.unheard.authorization, payment.unheard.void),
            authorizations: payment
                .authorizations
                .iter()
                .map(|(name, is_voided)| (name.to_string(), *is_voided))
                .collect(),
            is_left_unpaid: payment.is_left_unpaid,
        }
    }

    fn payment(self) -> Result<Payment, InvalidField> {
        let claim = self.claim.map(|(effect, until)| {
            let effect = word_of("effect", Effect::ALL, effect)?;
            Ok((effect, moment(until)?))
        });
        let denied = self.denied;
        let denied = denied.map(|reason| word_of("reason", RejectReason::ALL, reason));
        let (authorization, void) = self.unheard;
        let unheard = Unheard {
            authorization,
            void,
        };
        let authorizations = self.authorizations.into_iter().map(|(name, is_voided)| {
            let name = Authorization::new(name).map_err(|_| InvalidField("authorization"))?;
            Ok((name, is_voided))
        });
        Ok(Payment {
            attempts: self.attempts,
            claim: claim.transpose()?,
            retry_at: self.retry_at_us.map(moment).transpose()?,
            deferrals: self.deferrals,
            is_refused: self.is_refused,
            denied: denied.transpose()?,
            unheard,
            authorizations: authorizations.collect::<Result<_, _>>()?,
            is_left_unpaid: self.is_left_unpaid,
        })
    }
}

impl KeptAsked {
    fn of(asked: Asked) -> Self {
        Self {
            mission: asked.mission.uuid().into_bytes(),
            epoch: asked.epoch,
            ask: asked.ask,
            answer_by_us: asked.answer_by.micros(),
            is_of_former_life: asked.is_of_former_life,
        }
    }

    fn asked(self) -> Result<Asked, InvalidField> {
        Ok(Asked {
            mission: MissionId::from_uuid(uuid(self.mission)),
            epoch: self.epoch,
            ask: self.ask,
            answer_by: moment(self.answer_by_us)?,
            is_of_former_life: self.is_of_former_life,
        })
    }
}

fn moment(micros: i64) -> Result<Timestamp, InvalidField> {
    Timestamp::from_micros(micros).map_err(|_| InvalidField("moment"))
}

fn kept_outcome(outcome: Outcome) -> (u8, u8) {
    let number = |problem| number_of(OperationProblem::ALL, &problem);
    match outcome {
        Outcome::Succeeded => (0, 0),
        Outcome::Cancelled => (1, 0),
        Outcome::Failed(problem) => (2, number(problem)),
        Outcome::TimedOut(problem) => (3, number(problem)),
    }
}

fn outcome_of(kept: (u8, u8)) -> Result<Outcome, InvalidField> {
    let problem = |number| word_of("problem", OperationProblem::ALL, number);
    Ok(match kept {
        (0, 0) => Outcome::Succeeded,
        (1, 0) => Outcome::Cancelled,
        (2, number) => Outcome::Failed(problem(number)?),
        (3, number) => Outcome::TimedOut(problem(number)?),
        _ => return Err(InvalidField("outcome")),
    })
}
