//! What follows from what is so: the steps of a booking, the search for a drone, and what is
//! undone when either comes to nothing.

use super::event::{Effect, OperationKind, OperationProblem, Step};
use super::state::{Asked, Operation, Outcome};
use super::{Around, Ask, Left, Next, mission_id};
use crate::delivery::{
    Condition, DeliveryCommand, Failure, Milestone, Phase, Plan, RejectReason, Report, Reported,
    Status,
};
use crate::dispatch::{Dispatch, StandDownReason};
use crate::id::MissionId;
use crate::time::{Timestamp, Window};

/// What follows, of whatever kind the operation is.
pub(super) fn react(operation: &Operation, around: &Around<'_>) -> Next {
    if operation.has_ended {
        return Next::Wait(None);
    }
    let case = Case { operation, around };
    match operation.kind {
        OperationKind::Schedule => case.schedule(),
        OperationKind::Reschedule => case.concluded(Outcome::Succeeded),
        OperationKind::Cancel => case.cancel(),
        OperationKind::Return => case.bring_back(),
    }
}

#[derive(Clone, Copy)]
struct Case<'a> {
    operation: &'a Operation,
    around: &'a Around<'a>,
}

impl Case<'_> {
    /// Whether a deadline is over.
    fn is_over(self, deadline: Timestamp) -> bool {
        deadline <= self.around.deadlines_to
    }

    /// Says what came of it, once, then that nothing is left.
    fn concluded(self, outcome: Outcome) -> Next {
        if self.operation.outcome.is_none() {
            Next::Conclude(outcome)
        } else {
            Next::End
        }
    }

    fn cancel(self) -> Next {
        match self.around.delivery.status() {
            Status::Cancelling => Next::Wait(None),
            Status::Cancelled => self.concluded(Outcome::Succeeded),
            Status::Complete => self.failed(OperationProblem::AlreadyDelivered),
            Status::Rejected => self.failed(OperationProblem::EndedOtherwise),
            Status::Pending
            | Status::Scheduled
            | Status::Assigned
            | Status::HeadedToPickup
            | Status::AtPickup
            | Status::Loaded
            | Status::InTransit
            | Status::AtDropoff
            | Status::Returning
            | Status::AtHub
            | Status::Returned
            | Status::Failed => self.failed(OperationProblem::AlreadyPickedUp),
        }
    }

    fn bring_back(self) -> Next {
        match self.around.delivery.status() {
            Status::Returned => self.concluded(Outcome::Succeeded),
            Status::Complete => self.failed(OperationProblem::AlreadyDelivered),
            Status::Rejected | Status::Cancelled | Status::Failed => {
                self.failed(OperationProblem::EndedOtherwise)
            }
            Status::Pending
            | Status::Scheduled
            | Status::Assigned
            | Status::HeadedToPickup
            | Status::AtPickup
            | Status::Loaded
            | Status::InTransit
            | Status::AtDropoff
            | Status::Cancelling
            | Status::Returning
            | Status::AtHub => Next::Wait(None),
        }
    }

    fn failed(self, problem: OperationProblem) -> Next {
        self.concluded(Outcome::Failed(problem))
    }

    fn schedule(self) -> Next {
        if self.flies_unpaid() {
            return Next::Leave(Left::UnpaidFlight);
        }
        if let Some(next) = self.keep_again() {
            return next;
        }
        let delivery = self.around.delivery;
        match delivery.phase() {
            Phase::Pending => self.book(),
            Phase::Scheduled => {
                if self.operation.outcome.is_none() {
                    return Next::Conclude(Outcome::Succeeded);
                }
                self.find_drone()
            }
            Phase::AtHub if delivery.wants_another_attempt() => self.find_drone(),
            Phase::AtHub if !delivery.may_be_assigned_again() && !delivery.is_kept_at_hub() => {
                self.give_up()
            }
            Phase::AtHub if delivery.is_left_at_hub() => self.note_stranded(),
            Phase::AtHub | Phase::Released(_) => {
                self.unneeded_mission().unwrap_or_else(|| self.watch())
            }
            Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Returning
            | Phase::Cancelling { .. } => self.unneeded_mission().unwrap_or_else(|| self.insist()),
            Phase::Complete | Phase::Returned => self.wind_up(false),
            Phase::Failed(reason) => self.wind_up(reason == Failure::NoDrone),
            Phase::Cancelled | Phase::Rejected(_) => self.wind_up(true),
        }
    }

    /// The steps up to the booking that stands.
    fn book(self) -> Next {
        let operation = self.operation;
        if let Some((_, reason)) = operation.failed {
            return self.decide_to_reject(reason);
        }
        let checks = [Step::User, Step::Package, Step::Serviceability];
        let unchecked = checks.into_iter().find(|step| !operation.has_passed(*step));
        if let Some(step) = unchecked {
            return Next::Check(step);
        }
        // Whoever was asked to pay is not forgotten where nobody can be asked any more.
        let is_paid = self.around.settings.has_billing || operation.payment.was_tried();
        if is_paid && !operation.has_passed(Step::Payment) {
            return self.pay();
        }
        let now = self.around.now;
        Next::Decide(DeliveryCommand::Schedule { now })
    }

    fn decide_to_reject(self, reason: RejectReason) -> Next {
        let now = self.around.now;
        Next::Decide(DeliveryCommand::Reject { reason, now })
    }

    fn pay(self) -> Next {
        if self.operation.payment.is_authorized() {
            return Next::Pass(Step::Payment);
        }
        if let Some(reason) = self.operation.payment.denied {
            return Next::Fail(Step::Payment, reason);
        }
        let latest = self.payment_latest();
        let is_asked = self.operation.payment.claim.is_some() && !self.is_nobody_asked();
        if self.is_over(latest) && !is_asked {
            return Next::Fail(Step::Payment, RejectReason::PaymentUnavailable);
        }
        self.attempt(Effect::AuthorizePayment).at_latest(latest)
    }

    /// There is no billing service any more, and the time of whoever asked it last is over.
    fn is_nobody_asked(self) -> bool {
        let claim = self.operation.payment.claim;
        let is_claimed = claim.is_some_and(|(_, until)| until > self.around.now);
        !self.around.settings.has_billing && !is_claimed
    }

    /// Until when an answer about the payment is any good.
    fn payment_latest(self) -> Timestamp {
        let plan = &self.around.delivery.order().plan;
        let waited = self
            .operation
            .started_at
            .plus(self.around.settings.payment_wait);
        let window = plan.pickup_window.map(Window::not_after);
        [window, plan.deliver_by]
            .into_iter()
            .flatten()
            .fold(waited, Ord::min)
    }

    /// Tries something outside, unless somebody is at it or it is too early to try again.
    fn attempt(self, effect: Effect) -> Next {
        let payment = &self.operation.payment;
        if let Some((_, until)) = payment.claim
            && until > self.around.now
        {
            return Next::Wait(Some(until));
        }
        if let Some(retry_at) = payment.retry_at
            && retry_at > self.around.now
        {
            return Next::Wait(Some(retry_at));
        }
        Next::Claim {
            effect,
            attempt: payment.attempts.saturating_add(1),
            latest: None,
        }
    }

    /// What is left to be undone; nothing if all is. The last thing comes first, but for the
    /// payment: nobody waits for the billing service to have their package back.
    fn undo(self) -> Option<Next> {
        if let Some(next) = self.unneeded_mission() {
            return Some(next);
        }
        if self.operation.holds_package {
            return Some(Next::FreePackage);
        }
        let payment = &self.operation.payment;
        if payment.unheard.authorization || payment.is_authorizing() {
            return Some(self.find_out());
        }
        payment.is_authorized().then(|| self.void())
    }

    /// Only the same request again tells whether there is something to take back. The billing
    /// service is asked until it answers; if it calls the request wrong, a person has to ask.
    /// Where there is none any more, it is waited for one no longer than for an answer.
    fn find_out(self) -> Next {
        let latest = self.payment_latest();
        let is_over = self.is_over(latest);
        if self.operation.payment.is_refused || (is_over && self.is_nobody_asked()) {
            return Next::Leave(Left::UnknownPayment);
        }
        let attempt = self.attempt(Effect::AuthorizePayment);
        if is_over {
            attempt
        } else {
            attempt.at_latest(latest)
        }
    }

    /// Has the last authorization that stands taken back.
    fn void(self) -> Next {
        let is_refused = self.operation.payment.is_refused;
        let authorization = self.operation.authorization_to_void();
        match authorization.filter(|_| is_refused) {
            Some(authorization) => Next::Leave(Left::Authorization(authorization.clone())),
            None => self.attempt(Effect::VoidPayment),
        }
    }

    /// The delivery's life goes on after what it was authorized was taken back, or may have been.
    fn flies_unpaid(self) -> bool {
        let payment = &self.operation.payment;
        self.is_flown() && payment.is_to_be_told_unpaid(self.around.now)
    }

    /// The delivery's life goes on after its package was let go. It goes on also where another
    /// one took the package meanwhile: what a drone has cannot be refused.
    fn keep_again(self) -> Option<Next> {
        let is_under_way = self.is_flown() && !self.around.delivery.status().is_terminal();
        if !is_under_way || !self.operation.has_freed_package() {
            return None;
        }
        let Some(with) = self.around.package_holder else {
            return Some(Next::KeepPackage);
        };
        let delivery = self.operation.delivery;
        let is_told = self.operation.shares_with == Some(with);
        (!is_told).then_some(Next::Leave(Left::SharedPackage { delivery, with }))
    }

    /// A drone has, or had, something to do with the package.
    fn is_flown(self) -> bool {
        match self.around.delivery.phase() {
            Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Returned => true,
            // For one that no drone came for nobody pays, though a drone may have been there before.
            Phase::Failed(reason) => {
                reason != Failure::NoDrone && self.around.delivery.attempt() > 0
            }
            Phase::Pending | Phase::Scheduled | Phase::Cancelled | Phase::Rejected(_) => false,
        }
    }

    /// The delivery's life is over: nothing of the booking stays, or only what was earned.
    fn wind_up(self, is_for_nothing: bool) -> Next {
        let left = if is_for_nothing {
            self.undo()
        } else {
            let payment = &self.operation.payment;
            let surplus = || payment.has_surplus().then(|| self.void());
            let package = || self.operation.holds_package.then_some(Next::FreePackage);
            // What comes of it is to be known if somebody is at taking back what is due after all.
            let voiding = || payment.voiding_until().filter(|it| *it > self.around.now);
            let left = self.unneeded_mission().or_else(package).or_else(surplus);
            left.or_else(|| Some(Next::Wait(Some(voiding()?))))
        };
        left.unwrap_or_else(|| self.concluded(self.ending()))
    }

    /// What came of the booking whose delivery's life is over before it stood.
    fn ending(self) -> Outcome {
        match (self.around.delivery.phase(), self.operation.failed) {
            (Phase::Rejected(RejectReason::PaymentUnavailable), _) => {
                Outcome::TimedOut(OperationProblem::PaymentUnavailable)
            }
            (Phase::Rejected(reason), _) | (_, Some((_, reason))) => {
                Outcome::Failed(OperationProblem::of_rejection(reason))
            }
            (
                Phase::Pending
                | Phase::Scheduled
                | Phase::Fetching { .. }
                | Phase::Carrying(_)
                | Phase::Released(_)
                | Phase::Returning
                | Phase::AtHub
                | Phase::Cancelling { .. }
                | Phase::Complete
                | Phase::Returned
                | Phase::Cancelled
                | Phase::Failed(_),
                None,
            ) => Outcome::Cancelled,
        }
    }

    /// Asks for a drone, waits for it, asks again.
    fn find_drone(self) -> Next {
        let delivery = self.around.delivery;
        if !delivery.may_be_assigned_again() {
            return self.no_drone();
        }
        let window = delivery.order().plan.pickup_window;
        if let Some(window) = window
            && self.is_over(window.not_after())
        {
            return self.no_drone();
        }
        let epoch = delivery.epoch().saturating_add(1);
        // What was asked for before the plan changed would be flown by the old one. Where it
        // changed back the mission is stood down all the same, and another one begins anew.
        let is_outdated = self.is_asked_by_another_plan();
        let is_of_now = |asked: &Asked| asked.epoch == epoch && !asked.is_of_former_life;
        let asked = self.operation.asked.filter(is_of_now);
        let Some(asked) = asked.filter(|_| !is_outdated) else {
            let reason = if is_outdated {
                StandDownReason::Replanned
            } else {
                StandDownReason::NotWanted
            };
            if let Some(mission) = self.open_mission() {
                return Next::StandDown(mission, reason);
            }
            let lead = self.around.settings.dispatch_lead;
            let begin = window.map(|window| window.not_before().minus(lead));
            return match begin.filter(|begin| *begin > self.around.now) {
                Some(begin) => self.wait(begin),
                None => self.ask(1, self.mission(1)),
            };
        };
        let is_settled = self.around.asked.is_some_and(Dispatch::is_settled);
        if !is_settled && !self.is_over(asked.answer_by) {
            let end = window.map_or(asked.answer_by, Window::not_after);
            return self.wait(asked.answer_by.min(end));
        }
        let ask = asked.ask.saturating_add(1);
        if ask > self.around.settings.asks_max {
            return self.no_drone();
        }
        // Silence may be a request that was lost: the same mission is asked for once more. What
        // was refused or stood down is not.
        let mission = if is_settled {
            self.mission(ask)
        } else {
            asked.mission
        };
        self.ask(ask, mission)
    }

    /// Whether the mission that was asked for last was so by a plan that is none any more, or was
    /// stood down because it was.
    fn is_asked_by_another_plan(self) -> bool {
        let plan = &self.around.delivery.order().plan;
        self.around.asked.is_some_and(|asked| {
            let told = asked.stood_down().map(|told| told.reason);
            asked.is_outdated(plan) || told == Some(StandDownReason::Replanned)
        })
    }

    fn mission(self, ask: u8) -> MissionId {
        mission_id(self.operation.delivery, self.around.delivery, ask)
    }

    fn ask(self, ask: u8, mission: MissionId) -> Next {
        let epoch = self.around.delivery.epoch().saturating_add(1);
        let answer_by = self.around.now.plus(self.around.settings.answer_wait);
        Next::Ask(Ask {
            mission,
            epoch,
            ask,
            answer_by,
        })
    }

    /// No drone comes. The delivery's life ends first, so that none can be assigned while what
    /// was done for it is being undone. One that somebody keeps at a hub is theirs to end.
    fn no_drone(self) -> Next {
        if let Some(next) = self.unneeded_mission() {
            return next;
        }
        let delivery = self.around.delivery;
        if delivery.is_kept_at_hub() {
            if delivery.is_left_at_hub() {
                self.note_stranded()
            } else {
                self.watch()
            }
        } else if delivery.epoch() == 0 {
            self.decide_to_reject(RejectReason::NoDrone)
        } else {
            self.give_up()
        }
    }

    fn note_stranded(self) -> Next {
        let now = self.around.now;
        Next::Decide(DeliveryCommand::NoteStranded { now })
    }

    fn give_up(self) -> Next {
        let now = self.around.now;
        Next::Decide(DeliveryCommand::GiveUp { reason: None, now })
    }

    /// A mission that the delivery does not need any more, or it has another one.
    fn unneeded_mission(self) -> Option<Next> {
        let mission = self.open_mission()?;
        Some(Next::StandDown(mission, StandDownReason::NotWanted))
    }

    /// A mission that was asked for, and that Drone Management may yet fly.
    fn open_mission(self) -> Option<MissionId> {
        let mission = self.operation.asked?.mission;
        let mut reached = self.around.delivery.milestones().iter();
        let was_taken =
            reached.any(|step| step.milestone == Milestone::Assigned && step.mission == mission);
        let is_open = !was_taken && !self.around.asked.is_some_and(Dispatch::is_settled);
        is_open.then_some(mission)
    }

    /// What time alone brings about.
    fn watch(self) -> Next {
        let (delivery, settings) = (self.around.delivery, self.around.settings);
        let now = self.around.now;
        let deadline = delivery.order().plan.deliver_by;
        let deadline = deadline.filter(|_| !delivery.is_deadline_missed());
        let deadlines = [
            deadline.map(|at| (at, DeliveryCommand::MissDeadline { now })),
            delivery
                .released_unconfirmed_since()
                .map(|since| since.plus(settings.confirmation_wait))
                .map(|at| (at, DeliveryCommand::OverdueConfirmation { now })),
            delivery
                .left_on_board_since()
                .map(|since| since.plus(settings.left_on_board_wait))
                .map(|at| (at, DeliveryCommand::NoteStranded { now })),
            self.link_to_lose()
                .map(|(since, report)| (since.plus(settings.link_wait), report)),
        ];
        let next = deadlines.into_iter().flatten().min_by_key(|(at, _)| *at);
        match next {
            Some((at, command)) if self.is_over(at) => Next::Decide(command),
            Some((at, _)) => Next::Wait(Some(at)),
            None => Next::Wait(None),
        }
    }

    /// A drone that is to turn round has to say that it did. That may have been lost, the request
    /// or the answer: it is asked again, as for a drone, and then a person looks.
    fn insist(self) -> Next {
        let (delivery, settings) = (self.around.delivery, self.around.settings);
        let Some((mission, reason)) = self.mission_to_end() else {
            return self.watch();
        };
        let told = self.around.live_dispatch.and_then(Dispatch::stood_down);
        // What it was told last is not why it is to turn round now.
        let told = told.filter(|told| told.reason == reason || told.is_enough());
        let Some(told) = told else {
            return Next::StandDown(mission, reason);
        };
        let answer_by = told.last.plus(settings.answer_wait);
        if !self.is_over(answer_by) {
            self.wait(answer_by)
        } else if told.times < settings.asks_max && !told.is_enough() {
            Next::StandDown(mission, reason)
        } else if delivery.is_left_to_drone() {
            self.note_stranded()
        } else {
            self.watch()
        }
    }

    /// The live mission, if its drone is to turn round and did not say that it does, and why: for
    /// the newest reason that it was told.
    ///
    /// Without the package it is to do so if it was ever told to: it may have been given the
    /// mission before that was heard. With the package only if it would bring that to a place that
    /// is none any more, or if it was asked to bring it back.
    fn mission_to_end(self) -> Option<(MissionId, StandDownReason)> {
        let delivery = self.around.delivery;
        let mission = delivery.live_mission()?.assignment.mission;
        let dispatch = self.around.live_dispatch;
        let told = dispatch.and_then(Dispatch::stood_down);
        let told = told.map(|told| told.reason);
        let plan = &delivery.order().plan;
        let replanned = |is_so: fn(&Dispatch, &Plan) -> bool| {
            let dispatch = dispatch.filter(|it| is_so(it, plan));
            dispatch.map(|_| StandDownReason::Replanned)
        };
        let reason = match delivery.phase() {
            Phase::Cancelling { .. } => told,
            Phase::Fetching { .. } => told.or_else(|| replanned(Dispatch::is_outdated)),
            Phase::Carrying(_) => replanned(Dispatch::is_misdirected),
            Phase::Returning => told.filter(|_| delivery.is_to_turn_round()),
            Phase::Pending
            | Phase::Scheduled
            | Phase::Released(_)
            | Phase::AtHub
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => None,
        };
        reason.map(|reason| (mission, reason))
    }

    /// Since when the drone is not heard, if the delivery does not say so yet, and the report of it.
    fn link_to_lose(self) -> Option<(Timestamp, DeliveryCommand)> {
        let delivery = self.around.delivery;
        let (since, fact) = self.around.live?.link_lost()?;
        // Nothing would come of it, and it would keep what time brings about later from coming.
        if !delivery.may_turn(Condition::LinkLost) {
            return None;
        }
        let report = Report {
            fact: fact.clone(),
            mission: delivery.live_mission()?.assignment.mission,
            event_time: since,
            reported: Reported::LinkLost,
        };
        Some((since, DeliveryCommand::Report(report)))
    }

    /// Waits for a moment, or for what else time brings about before.
    fn wait(self, at: Timestamp) -> Next {
        self.watch().at_latest(at)
    }
}

impl Next {
    /// The same; where nothing is to be done, or nobody may, it is looked again then at the
    /// latest.
    fn at_latest(self, at: Timestamp) -> Self {
        let sooner = |until: Option<Timestamp>| Some(until.map_or(at, |until| until.min(at)));
        match self {
            Self::Wait(until) => Self::Wait(sooner(until)),
            Self::Claim {
                effect,
                attempt,
                latest,
            } => Self::Claim {
                effect,
                attempt,
                latest: sooner(latest),
            },
            next @ (Self::Check(_)
            | Self::Pass(_)
            | Self::Fail(..)
            | Self::Decide(_)
            | Self::Ask(_)
            | Self::StandDown(..)
            | Self::Leave(_)
            | Self::FreePackage
            | Self::KeepPackage
            | Self::Conclude(_)
            | Self::End) => next,
        }
    }
}
