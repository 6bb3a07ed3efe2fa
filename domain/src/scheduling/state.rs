//! What is known of an operation by having folded its events.

use super::event::{
    Authorization, Deferral, Effect, OperationEvent, OperationKind, OperationProblem, Step, Turn,
};
use crate::decider::Occurrence;
use crate::delivery::RejectReason;
use crate::id::{DeliveryId, MissionId, UserId};
use crate::time::Timestamp;

/// Most authorizations kept of one operation. One is usual; a further one comes
/// only of a billing service that does not keep to its idempotency keys.
pub const AUTHORIZATIONS_MAX: usize = 16;

/// An operation that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub(super) kind: OperationKind,
    pub(super) delivery: DeliveryId,
    pub(super) user: UserId,
    pub(super) sequence: u64,
    /// The last step that passed.
    pub(super) passed: Option<Step>,
    pub(super) failed: Option<(Step, RejectReason)>,
    pub(super) payment: Payment,
    /// Something that was charged, or may have been, was left to a person.
    pub(super) may_stay_charged: bool,
    pub(super) asked: Option<Asked>,
    pub(super) holds_package: bool,
    /// The other delivery with the same package that a person was told of last.
    pub(super) shares_with: Option<DeliveryId>,
    pub(super) outcome: Option<Outcome>,
    pub(super) next_at: Option<Timestamp>,
    pub(super) has_ended: bool,
    pub(super) started_at: Timestamp,
    pub(super) step_since: Timestamp,
    pub(super) changed_at: Timestamp,
}

/// What came of an operation, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is so.
    Succeeded,
    /// It will not be.
    Failed(OperationProblem),
    /// The delivery was cancelled before.
    Cancelled,
    /// It took too long.
    TimedOut(OperationProblem),
}

crate::delivery::words! {
    /// How far an operation is, as its client sees it.
    OperationStatus {
        /// It was asked for, and nothing was done yet.
        Pending "pending",
        /// It is under way.
        Running "running",
        /// It cannot be, and what was done is being undone.
        Compensating "compensating",
        /// It is so.
        Succeeded "succeeded",
        /// It will not be.
        Failed "failed",
        /// The delivery was cancelled before.
        Cancelled "cancelled",
        /// It took too long.
        TimedOut "timed_out",
    }
}

/// What is known of the payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Payment {
    /// Attempts so far, of whatever effect.
    pub(super) attempts: u32,
    /// Under way: which effect, until when.
    pub(super) claim: Option<(Effect, Timestamp)>,
    pub(super) retry_at: Option<Timestamp>,
    /// Deferrals since something last worked.
    pub(super) deferrals: u32,
    /// The last request was called wrong: it is not made again.
    pub(super) is_refused: bool,
    /// Why it will not be paid, if that was said.
    pub(super) denied: Option<RejectReason>,
    /// What may have been done outside.
    pub(super) unheard: Unheard,
    /// Those that were given, and whether they were taken back.
    pub(super) authorizations: Vec<(Authorization, bool)>,
    /// A person was told that the delivery flies unpaid.
    pub(super) is_left_unpaid: bool,
}

/// What may have been done, and nobody heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unheard {
    /// An authorization may have been given.
    pub(super) authorization: bool,
    /// The last one that stands may have been taken back.
    pub(super) void: bool,
}

/// The mission that Drone Management was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) mission: MissionId,
    pub(super) epoch: u32,
    pub(super) ask: u8,
    pub(super) answer_by: Timestamp,
    /// The delivery's life that it was asked for in is over, and another one goes on.
    pub(super) is_of_former_life: bool,
}

impl Operation {
    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        self.kind
    }

    /// The delivery it is about.
    #[must_use]
    pub const fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The delivery's sequence when it was asked for.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What came of it, once something did.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Why the booking is refused, if a step of it came out badly.
    #[must_use]
    pub fn refused(&self) -> Option<RejectReason> {
        self.failed.map(|(_, reason)| reason)
    }

    /// The mission that was asked for last.
    #[must_use]
    pub fn asked_mission(&self) -> Option<MissionId> {
        self.asked.map(|asked| asked.mission)
    }

    /// When it is to be looked at again if nothing happens before.
    #[must_use]
    pub const fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }

    /// Whether nothing is left to be done, also after its client's answer.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// When it was asked for.
    #[must_use]
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When it came to the step that it is at: when the one before was over, however often this
    /// one was tried since.
    #[must_use]
    pub const fn step_since(&self) -> Timestamp {
        self.step_since
    }

    /// When something was last written down of it, deadlines left out.
    #[must_use]
    pub const fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// How many attempts at effects were made.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.payment.attempts
    }

    /// What somebody is at outside, as far as is known, and at which attempt.
    #[must_use]
    pub fn claimed(&self) -> Option<(Effect, u32)> {
        let (effect, _) = self.payment.claim?;
        Some((effect, self.payment.attempts))
    }

    /// How many attempts in a row came to nothing.
    #[must_use]
    pub const fn deferrals(&self) -> u32 {
        self.payment.deferrals
    }

    /// When what could not be done outside is tried again, if that is waited for.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        self.payment.retry_at
    }

    /// The authorization that is to be taken back next: the last one that stands.
    #[must_use]
    pub fn authorization_to_void(&self) -> Option<&Authorization> {
        self.payment.standing().last()
    }

    /// Whether something that the billing service charged, or may have, could not be undone, so
    /// that a person was told.
    #[must_use]
    pub const fn may_stay_charged(&self) -> bool {
        self.may_stay_charged
    }

    /// How far it is, as its client sees it.
    #[must_use]
    pub fn status(&self) -> OperationStatus {
        match self.outcome {
            Some(Outcome::Succeeded) => OperationStatus::Succeeded,
            Some(Outcome::Failed(_)) => OperationStatus::Failed,
            Some(Outcome::Cancelled) => OperationStatus::Cancelled,
            Some(Outcome::TimedOut(_)) => OperationStatus::TimedOut,
            None if self.failed.is_some() => OperationStatus::Compensating,
            None if self.kind == OperationKind::Schedule && self.passed.is_none() => {
                OperationStatus::Pending
            }
            None => OperationStatus::Running,
        }
    }

    /// The step that it is at; none before the first, and none of other kinds than a booking.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        if self.kind != OperationKind::Schedule || self.has_ended {
            return None;
        }
        if let Some((step, _)) = self.failed {
            return Some(step);
        }
        if self.asked.is_some() {
            return Some(Step::Assignment);
        }
        if self.outcome == Some(Outcome::Succeeded) {
            return Some(Step::Dispatch);
        }
        match self.passed? {
            Step::User => Some(Step::Package),
            Step::Package => Some(Step::Serviceability),
            Step::Serviceability => Some(Step::Payment),
            Step::Payment | Step::Dispatch => Some(Step::Dispatch),
            Step::Assignment => Some(Step::Assignment),
        }
    }

    /// Whether the delivery's package was kept for it, and is no more.
    #[must_use]
    pub fn has_freed_package(&self) -> bool {
        self.has_passed(Step::Package) && !self.holds_package
    }

    /// The other delivery that has the package, by what a person was told last, as long as the
    /// operation's own one goes on without it.
    #[must_use]
    pub fn shares_package_with(&self) -> Option<DeliveryId> {
        let is_without = self.has_freed_package() && !self.has_ended;
        self.shares_with.filter(|_| is_without)
    }

    pub(super) fn has_passed(&self, step: Step) -> bool {
        self.passed >= Some(step)
    }

    /// The state after an event. Total: what makes no sense changes nothing.
    #[must_use]
    pub(super) fn after(
        state: Option<Self>,
        occurrence: &Occurrence<OperationEvent>,
    ) -> Option<Self> {
        let at = occurrence.event_time;
        // One that is over may be begun anew: a delivery whose life goes on is brought back again.
        let state = state.filter(|operation| {
            let begins = matches!(occurrence.event, OperationEvent::OperationStarted { .. });
            !(begins && operation.has_ended)
        });
        match (state, &occurrence.event) {
            (
                None,
                OperationEvent::OperationStarted {
                    kind,
                    delivery,
                    user,
                    sequence,
                },
            ) => Some(Self {
                kind: *kind,
                delivery: *delivery,
                user: *user,
                sequence: *sequence,
                passed: None,
                failed: None,
                payment: Payment::default(),
                may_stay_charged: false,
                asked: None,
                holds_package: false,
                shares_with: None,
                outcome: None,
                next_at: None,
                has_ended: false,
                started_at: at,
                step_since: at,
                changed_at: at,
            }),
            (None, _) => None,
            (Some(mut operation), event) => {
                operation.apply(event);
                operation.may_stay_charged |= leaves_charge(event);
                match event {
                    OperationEvent::DeadlineSet { .. } => {}
                    OperationEvent::StepPassed { .. } | OperationEvent::StepFailed { .. } => {
                        operation.step_since = at;
                        operation.changed_at = at;
                    }
                    OperationEvent::OperationStarted { .. }
                    | OperationEvent::EffectClaimed { .. }
                    | OperationEvent::EffectDeferred { .. }
                    | OperationEvent::PaymentAuthorized { .. }
                    | OperationEvent::PaymentDenied { .. }
                    | OperationEvent::PaymentVoided { .. }
                    | OperationEvent::VoidRefused { .. }
                    | OperationEvent::PaymentLeftUnknown
                    | OperationEvent::FlightUnpaid
                    | OperationEvent::MissionAsked { .. }
                    | OperationEvent::PackageFreed
                    | OperationEvent::PackageKept
                    | OperationEvent::PackageShared { .. }
                    | OperationEvent::OperationSucceeded
                    | OperationEvent::OperationFailed { .. }
                    | OperationEvent::OperationCancelled
                    | OperationEvent::OperationTimedOut { .. }
                    | OperationEvent::ProcessEnded
                    | OperationEvent::ProcessResumed => operation.changed_at = at,
                }
                Some(operation)
            }
        }
    }

    fn apply(&mut self, event: &OperationEvent) {
        match event.turn() {
            Turn::Same => {}
            Turn::Until(at) => self.next_at = at,
            Turn::Ended => {
                self.has_ended = true;
                self.next_at = None;
            }
            Turn::Resumed => self.has_ended = false,
        }
        match event {
            OperationEvent::OperationStarted { .. }
            | OperationEvent::DeadlineSet { .. }
            | OperationEvent::ProcessEnded => {}
            OperationEvent::ProcessResumed => self.begin_another_life(),
            OperationEvent::StepPassed { step } => {
                self.passed = self.passed.max(Some(*step));
                self.holds_package |= *step == Step::Package;
            }
            OperationEvent::StepFailed { step, reason } => {
                self.failed = self.failed.or(Some((*step, *reason)));
            }
            OperationEvent::EffectClaimed {
                effect,
                attempt,
                until,
                ..
            } => self.payment.claimed(*effect, *attempt, *until),
            OperationEvent::EffectDeferred {
                effect,
                attempt,
                why,
                retry_at,
            } => {
                // Somebody else may have claimed the next attempt meanwhile.
                if *attempt == self.payment.attempts {
                    self.payment.deferred(*effect, *why, *retry_at);
                }
            }
            OperationEvent::PaymentAuthorized { authorization } => {
                self.payment.authorized(authorization);
            }
            OperationEvent::PaymentDenied { reason } => {
                self.payment.answered();
                self.payment.denied = Some(*reason);
            }
            OperationEvent::PaymentVoided { authorization }
            | OperationEvent::VoidRefused { authorization } => self.payment.voided(authorization),
            OperationEvent::PaymentLeftUnknown => self.payment.answered(),
            OperationEvent::FlightUnpaid => self.payment.is_left_unpaid = true,
            OperationEvent::MissionAsked {
                mission,
                epoch,
                ask,
                answer_by,
            } => self.asked = Some(Asked::of((*mission, *epoch), *ask, *answer_by)),
            OperationEvent::PackageFreed => self.holds_package = false,
            OperationEvent::PackageKept => self.holds_package = true,
            OperationEvent::PackageShared { delivery: _, with } => self.shares_with = Some(*with),
            OperationEvent::OperationSucceeded => self.conclude(Outcome::Succeeded),
            OperationEvent::OperationFailed { problem } => {
                self.conclude(Outcome::Failed(*problem));
            }
            OperationEvent::OperationCancelled => self.conclude(Outcome::Cancelled),
            OperationEvent::OperationTimedOut { problem } => {
                self.conclude(Outcome::TimedOut(*problem));
            }
        }
    }

    fn begin_another_life(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.is_of_former_life = true;
        }
    }

    fn conclude(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.or(Some(outcome));
    }
}

impl Asked {
    const fn of((mission, epoch): (MissionId, u32), ask: u8, answer_by: Timestamp) -> Self {
        Self {
            mission,
            epoch,
            ask,
            answer_by,
            is_of_former_life: false,
        }
    }
}

/// Whether something that was charged, or may have been, is left to a person.
const fn leaves_charge(event: &OperationEvent) -> bool {
    matches!(
        event,
        OperationEvent::VoidRefused { .. } | OperationEvent::PaymentLeftUnknown
    )
}

impl Payment {
    fn claimed(&mut self, effect: Effect, attempt: u32, until: Timestamp) {
        if let Some((claimed, _)) = self.claim {
            // Whoever is at it says that it still goes on.
            if attempt == self.attempts {
                self.claim = Some((claimed, until));
                return;
            }
            // Whoever claimed before never said what came of it.
            self.may_be_done(claimed);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.claim = Some((effect, until));
        self.retry_at = None;
    }

    fn deferred(&mut self, effect: Effect, why: Deferral, retry_at: Timestamp) {
        match why {
            Deferral::Unreachable => {}
            // Who said that the service is away, or asked too often, may be something in front of
            // it, which gave up on the answer.
            Deferral::Unavailable
            | Deferral::Throttled
            | Deferral::Unanswered
            | Deferral::Unintelligible => self.may_be_done(effect),
            Deferral::Refused => {
                self.is_refused = true;
                if effect == Effect::AuthorizePayment {
                    self.denied = self.denied.or(Some(RejectReason::PaymentRefused));
                }
            }
        }
        self.claim = None;
        self.retry_at = Some(retry_at);
        self.deferrals = self.deferrals.saturating_add(1);
    }

    const fn may_be_done(&mut self, effect: Effect) {
        match effect {
            Effect::AuthorizePayment => self.unheard.authorization = true,
            Effect::VoidPayment => self.unheard.void = true,
        }
    }

    /// Something came of what was asked, and the next attempt begins anew.
    const fn went_on(&mut self) {
        self.claim = None;
        self.retry_at = None;
        self.deferrals = 0;
        self.is_refused = false;
    }

    const fn answered(&mut self) {
        self.went_on();
        self.unheard.authorization = false;
    }

    fn authorized(&mut self, authorization: &Authorization) {
        self.answered();
        let is_known = self
            .authorizations
            .iter()
            .any(|(it, _)| it == authorization);
        if !is_known && self.authorizations.len() < AUTHORIZATIONS_MAX {
            self.authorizations.push((authorization.clone(), false));
        }
    }

    fn voided(&mut self, authorization: &Authorization) {
        self.went_on();
        self.unheard.void = false;
        for (it, is_voided) in &mut self.authorizations {
            *is_voided |= it == authorization;
        }
    }

    /// An authorization was asked for.
    pub(super) const fn was_tried(&self) -> bool {
        self.attempts > 0
    }

    /// An authorization is being asked for, as far as is known.
    pub(super) fn is_authorizing(&self) -> bool {
        self.claim
            .is_some_and(|(effect, _)| effect == Effect::AuthorizePayment)
    }

    /// Until when whoever is at taking back an authorization has the time for it.
    pub(super) const fn voiding_until(&self) -> Option<Timestamp> {
        match self.claim {
            Some((Effect::VoidPayment, until)) => Some(until),
            Some((Effect::AuthorizePayment, _)) | None => None,
        }
    }

    pub(super) fn is_authorized(&self) -> bool {
        self.standing().next().is_some()
    }

    /// More was authorized than is to be paid.
    pub(super) fn has_surplus(&self) -> bool {
        self.standing().nth(1).is_some()
    }

    /// Somebody was asked to pay, nothing is known to stand of that, and nobody was told.
    pub(super) fn is_to_be_told_unpaid(&self, now: Timestamp) -> bool {
        let is_voiding = self.voiding_until().is_some_and(|until| until <= now);
        let is_certain = !self.unheard.void && !is_voiding;
        let is_paid = self.has_surplus() || (self.is_authorized() && is_certain);
        self.attempts > 0 && !is_paid && !self.is_left_unpaid
    }

    fn standing(&self) -> impl Iterator<Item = &Authorization> {
        let standing = self
            .authorizations
            .iter()
            .filter(|(_, is_voided)| !is_voided);
        standing.map(|(authorization, _)| authorization)
    }
}
