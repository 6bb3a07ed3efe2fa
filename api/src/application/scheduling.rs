//! The scheduling process, carried out: what it says is next is done in the commit at hand, as
//! far as nothing outside is needed.

use std::collections::HashMap;

use domain::decider::{Decider, Occurrence};
use domain::delivery::{Delivery, DeliveryCommand, DeliveryEvent, RejectReason};
use domain::dispatch::{
    Dispatch, DispatchEvent, MissionRequest, StandDownReason, reason_to_ask, stand_downs,
};
use domain::id::{DeliveryId, MissionId, OperationId, UserId};
use domain::mission::Mission;
use domain::process::Process as _;
use domain::scheduling::{
    Around, Effect, Next, Operation, OperationEvent, OperationKind, Outcome, Scheduling,
    SchedulingSettings, Step,
};
use domain::serviceability::ServiceRules;
use domain::stream::StreamName;
use domain::time::{DurationMs, Timestamp};
use domain::user::{User, UserStatus};
use uuid::Uuid;

use super::deliveries::BookingError;
use super::load::{LoadError, Loaded};
use super::packages::{self, ReservationRefusal};
use super::transact::{Draft, Failure, TransactError};

/// Most steps of one operation in one commit. A booking takes eight of them.
const STEPS_MAX: usize = 32;

/// How deliveries are scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulingRules {
    /// How the process goes about it.
    pub settings: SchedulingSettings,
    /// What can be flown.
    pub service: ServiceRules,
}

/// When an operation is looked at, and what may be begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The clock.
    pub(crate) now: Timestamp,
    /// Deadlines up to then are over.
    pub(crate) deadlines_to: Timestamp,
    /// Who may claim what is done outside.
    pub(crate) claims: Claiming,
    /// The user has as many deliveries under way as they may. It is asked where a booking is
    /// taken: in that commit the user's step is over.
    pub(crate) is_quota_used_up: bool,
}

/// Who may claim what is done outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claiming {
    /// Whoever looks.
    Here(Claims),
    /// Whoever looks next: it is looked at again.
    Later,
    /// Nobody, as this service is configured: it waits until another start.
    Never,
}

/// Who claims, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    /// The running service.
    pub(crate) node: Uuid,
    /// After how long another may try.
    pub(crate) limit: DurationMs,
}

/// Something outside that is this caller's to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) effect: Effect,
    pub(crate) attempt: u32,
    /// How many attempts in a row came to nothing before.
    pub(crate) deferrals: u32,
    /// What is to be taken back, where that is the effect.
    pub(crate) authorization: Option<String>,
    pub(crate) delivery: DeliveryId,
    pub(crate) user: UserId,
}

/// How far an operation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// It waits for a moment, or for something to happen.
    Waits,
    /// It could go on at once with something outside, and nobody may claim that here.
    WouldClaim,
    /// It goes on with something outside.
    Claimed(Claimed),
    /// The delivery does not take what would be next, in its words. Looking again changes that
    /// only once something else has happened.
    Refused(String),
    /// It goes on in a commit of its own.
    Again,
}

/// One operation and what it touches, within one commit.
///
/// What is next follows from several streams, so a commit is made only if none of those that were
/// looked at has changed: else a process could end on a delivery whose life goes on just then.
pub(crate) struct Advancing<'a, 'd> {
    draft: &'a mut Draft<'d>,
    rules: &'a SchedulingRules,
    operation: Loaded<Option<Operation>>,
    delivery: Loaded<Option<Delivery>>,
    id: DeliveryId,
    dispatches: HashMap<MissionId, Loaded<Option<Dispatch>>>,
    look: Look,
    /// What a package was refused for.
    refused: Option<ReservationRefusal>,
    is_user_missing: bool,
}

impl<'a, 'd> Advancing<'a, 'd> {
    /// Starts an operation on a delivery, whose events so far are in the draft.
    pub(crate) fn start(
        draft: &'a mut Draft<'d>,
        rules: &'a SchedulingRules,
        (id, kind): (OperationId, OperationKind),
        (delivery_id, delivery): (DeliveryId, Loaded<Option<Delivery>>),
        look: Look,
    ) -> Result<Self, Failure> {
        let operation = draft.load(StreamName::operation(id))?;
        let mut advancing = Self::new(draft, rules, operation, (delivery_id, delivery), look);
        // What came of the one before stays in the log: it is told of the newest.
        let begun = advancing.operation.state.as_ref();
        if begun.is_none_or(|operation| operation.has_ended() && kind != OperationKind::Schedule)
            && let Some(user) = advancing.user()
        {
            let sequence = advancing.delivery.version.get();
            advancing.note(OperationEvent::OperationStarted {
                kind,
                delivery: delivery_id,
                user,
                sequence,
            });
        }
        Ok(advancing)
    }

    /// Goes on with an operation that was started; `None` if it was not.
    pub(crate) fn resume(
        draft: &'a mut Draft<'d>,
        rules: &'a SchedulingRules,
        id: OperationId,
        look: Look,
    ) -> Result<Option<Self>, Failure> {
        let operation = draft.load::<Option<Operation>>(StreamName::operation(id))?;
        let Some(delivery_id) = operation.state.as_ref().map(Operation::delivery) else {
            return Ok(None);
        };
        let delivery = draft.load(StreamName::delivery(delivery_id))?;
        let delivery = (delivery_id, delivery);
        Ok(Some(Self::new(draft, rules, operation, delivery, look)))
    }

    fn new(
        draft: &'a mut Draft<'d>,
        rules: &'a SchedulingRules,
        operation: Loaded<Option<Operation>>,
        (id, delivery): (DeliveryId, Loaded<Option<Delivery>>),
        look: Look,
    ) -> Self {
        draft.guard(&delivery);
        Self {
            draft,
            rules,
            operation,
            delivery,
            id,
            dispatches: HashMap::new(),
            look,
            refused: None,
            is_user_missing: false,
        }
    }

    /// Why the booking cannot be taken, if a step of it came out badly.
    pub(crate) fn refusal(&self) -> Option<BookingError> {
        let reason = self.operation.state.as_ref()?.refused()?;
        let order = self.delivery.state.as_ref()?.order();
        Some(match (reason, self.refused) {
            (RejectReason::PackageUnavailable, Some(refusal)) => BookingError::Package(refusal),
            (RejectReason::NotServiceable, _) => {
                BookingError::NotServiceable(self.rules.service.faults(order, self.look.now))
            }
            (RejectReason::UserSuspended, _) if self.is_user_missing => BookingError::UnknownUser,
            (RejectReason::Quota, _) => BookingError::QuotaUsedUp,
            (
                RejectReason::UserSuspended
                | RejectReason::PackageUnavailable
                | RejectReason::PaymentDeclined
                | RejectReason::PaymentRefused
                | RejectReason::PaymentUnavailable
                | RejectReason::NoDrone,
                _,
            ) => BookingError::UserSuspended,
        })
    }

    /// Writes down something that happened to the operation outside of it.
    pub(crate) fn note(&mut self, event: OperationEvent) {
        let owner = self.user().map(UserId::uuid);
        let occurrence = Occurrence::new(event, self.look.now);
        self.draft
            .record(&mut self.operation, owner, None, &[occurrence]);
    }

    /// Does what is next, and what is next after that, up to where the operation waits.
    ///
    /// # Errors
    /// A failure to read.
    pub(crate) fn advance(&mut self) -> Result<Advanced, Failure> {
        for _ in 0..STEPS_MAX {
            let next = self.react()?;
            match next {
                Next::Check(step) => {
                    if let Some(reason) = self.fault_of(step)? {
                        self.note(OperationEvent::StepFailed { step, reason });
                        // What was kept in this commit is let go in one of its own.
                        return Ok(Advanced::Again);
                    }
                    self.note(OperationEvent::StepPassed { step });
                }
                Next::Pass(step) => self.note(OperationEvent::StepPassed { step }),
                Next::Fail(step, reason) => {
                    self.note(OperationEvent::StepFailed { step, reason });
                    return Ok(Advanced::Again);
                }
                Next::Claim {
                    effect,
                    attempt,
                    latest,
                } => return Ok(self.claim(effect, attempt, latest)),
                Next::Decide(command) => {
                    if let Some(why) = self.decide(&command)? {
                        return Ok(Advanced::Refused(why));
                    }
                }
                Next::Ask(ask) => {
                    let Some(delivery) = &self.delivery.state else {
                        return Ok(Advanced::Waits);
                    };
                    let request = MissionRequest::of(self.id, delivery, ask.epoch, ask.ask);
                    let request = DispatchEvent::MissionRequested(Box::new(request));
                    self.dispatch(ask.mission, request)?;
                    self.note(OperationEvent::MissionAsked {
                        mission: ask.mission,
                        epoch: ask.epoch,
                        ask: ask.ask,
                        answer_by: ask.answer_by,
                    });
                }
                Next::StandDown(mission, reason) => self.ask_to_stand_down(mission, reason)?,
                Next::Leave(left) => self.note(left.event()),
                Next::FreePackage => {
                    if let Some(delivery) = &self.delivery.state {
                        let package = &delivery.order().package;
                        packages::release(self.draft, package, self.id, self.look.now)?;
                    }
                    self.note(OperationEvent::PackageFreed);
                }
                Next::KeepPackage => {
                    if let Some(refusal) = self.keep_package_again()? {
                        return Ok(Advanced::Refused(refusal.to_string()));
                    }
                    self.note(OperationEvent::PackageKept);
                    // What was kept in this commit is let go in one of its own.
                    return Ok(Advanced::Again);
                }
                Next::Conclude(outcome) => self.note(match outcome {
                    Outcome::Succeeded => OperationEvent::OperationSucceeded,
                    Outcome::Failed(problem) => OperationEvent::OperationFailed { problem },
                    Outcome::Cancelled => OperationEvent::OperationCancelled,
                    Outcome::TimedOut(problem) => OperationEvent::OperationTimedOut { problem },
                }),
                Next::End => self.note(OperationEvent::ProcessEnded),
                Next::Wait(at) => {
                    self.wait(at);
                    return Ok(Advanced::Waits);
                }
            }
        }
        Ok(Advanced::Again)
    }

    fn react(&mut self) -> Result<Next, Failure> {
        let asked = self.operation.state.as_ref();
        let asked = asked.and_then(Operation::asked_mission);
        if let Some(asked) = asked {
            self.dispatch_of(asked)?;
        }
        let flown = self.live_mission();
        let live = match flown {
            Some(live) => {
                self.dispatch_of(live)?;
                let mission = self
                    .draft
                    .load::<Option<Mission>>(StreamName::mission(live))?;
                self.draft.guard(&mission);
                mission.state
            }
            None => None,
        };
        let Some(delivery) = &self.delivery.state else {
            return Ok(Next::Wait(None));
        };
        let operation = self.operation.state.as_ref();
        let package_holder = if operation.is_some_and(Operation::has_freed_package) {
            packages::other_holder(self.draft, &delivery.order().package, self.id)?
        } else {
            None
        };
        let asked = asked.and_then(|asked| self.dispatches.get(&asked)?.state.as_ref());
        let around = Around {
            delivery,
            asked,
            live: live.as_ref(),
            live_dispatch: flown.and_then(|live| self.dispatches.get(&live)?.state.as_ref()),
            package_holder,
            now: self.look.now,
            deadlines_to: self.look.deadlines_to,
            settings: &self.rules.settings,
        };
        Ok(Scheduling::react(&self.operation.state, &around))
    }

    fn live_mission(&self) -> Option<MissionId> {
        let live = self.delivery.state.as_ref()?.live_mission()?;
        Some(live.assignment.mission)
    }

    fn user(&self) -> Option<UserId> {
        let delivery = self.delivery.state.as_ref();
        delivery.map(|delivery| delivery.order().user)
    }

    /// Why a step cannot pass, if it cannot; what belongs to it is done if it can.
    fn fault_of(&mut self, step: Step) -> Result<Option<RejectReason>, Failure> {
        let Some(delivery) = &self.delivery.state else {
            return Ok(None);
        };
        let order = delivery.order();
        match step {
            Step::User => {
                let user = self
                    .draft
                    .load::<Option<User>>(StreamName::user(order.user))?;
                let status = user.state.as_ref().map(User::status);
                self.is_user_missing = status.is_none();
                // The user must still be so when this is appended.
                self.draft.guard(&user);
                Ok(if status != Some(UserStatus::Active) {
                    Some(RejectReason::UserSuspended)
                } else if self.look.is_quota_used_up {
                    Some(RejectReason::Quota)
                } else {
                    None
                })
            }
            Step::Package => {
                let reserved =
                    packages::reserve(self.draft, &order.package, self.id, self.look.now);
                match reserved {
                    Ok(()) => Ok(None),
                    Err(TransactError::Rejected(refusal)) => {
                        self.refused = Some(refusal);
                        Ok(Some(RejectReason::PackageUnavailable))
                    }
                    Err(TransactError::Failed(error)) => Err(error),
                }
            }
            Step::Serviceability => {
                let faults = self.rules.service.faults(order, self.look.now);
                Ok((!faults.is_empty()).then_some(RejectReason::NotServiceable))
            }
            Step::Payment | Step::Dispatch | Step::Assignment => Ok(None),
        }
    }

    /// Lets the delivery have its package again, and says why if it cannot. That another delivery
    /// has it was looked at before; a package that is not there is not kept either.
    fn keep_package_again(&mut self) -> Result<Option<ReservationRefusal>, Failure> {
        let Some(delivery) = &self.delivery.state else {
            return Ok(Some(ReservationRefusal::Unknown));
        };
        let package = &delivery.order().package;
        match packages::reserve_again(self.draft, package, self.id, self.look.now) {
            Ok(()) => Ok(None),
            Err(TransactError::Rejected(refusal)) => Ok(Some(refusal)),
            Err(TransactError::Failed(error)) => Err(error),
        }
    }

    /// Claims something outside. Where nobody ever may, it is waited up to `latest`, or without an
    /// end if there is none.
    fn claim(&mut self, effect: Effect, attempt: u32, latest: Option<Timestamp>) -> Advanced {
        let claims = match self.look.claims {
            Claiming::Here(claims) => claims,
            Claiming::Later => return Advanced::WouldClaim,
            Claiming::Never => {
                self.wait(latest);
                return Advanced::WouldClaim;
            }
        };
        let Some(operation) = &self.operation.state else {
            return Advanced::WouldClaim;
        };
        let claimed = Claimed {
            effect,
            attempt,
            deferrals: operation.deferrals(),
            authorization: operation.authorization_to_void().map(ToString::to_string),
            delivery: self.id,
            user: operation.user(),
        };
        self.note(OperationEvent::EffectClaimed {
            effect,
            attempt,
            node: claims.node,
            until: self.look.now.plus(claims.limit),
        });
        Advanced::Claimed(claimed)
    }

    /// Lets the delivery decide, and says why if a rule of it says no. The process asks for what
    /// the delivery takes; if a rule ever says otherwise, whoever looks has to say so.
    fn decide(&mut self, command: &DeliveryCommand) -> Result<Option<String>, Failure> {
        let events = match Delivery::decide(command, &self.delivery.state) {
            Ok(events) if !events.is_empty() => events,
            Ok(_) => return Ok(Some("nothing comes of it".to_owned())),
            Err(rejection) => return Ok(Some(rejection.to_string())),
        };
        let live = self.live_mission();
        let owner = self.user().map(UserId::uuid);
        self.draft.record(&mut self.delivery, owner, None, &events);
        let events: Vec<_> = events
            .into_iter()
            .map(|occurrence| occurrence.event)
            .collect();
        for (mission, wanted) in stand_downs(&events, live, None) {
            self.stand_down(mission, wanted)?;
        }
        Ok(None)
    }

    /// Asks that, unless it was asked before.
    fn stand_down(
        &mut self,
        mission: MissionId,
        wanted: Option<StandDownReason>,
    ) -> Result<(), Failure> {
        match reason_to_ask(self.dispatch_of(mission)?.state.as_ref(), wanted) {
            Some(reason) => self.ask_to_stand_down(mission, reason),
            None => Ok(()),
        }
    }

    fn ask_to_stand_down(
        &mut self,
        mission: MissionId,
        reason: StandDownReason,
    ) -> Result<(), Failure> {
        let delivery = self.id;
        self.dispatch(
            mission,
            DispatchEvent::StandDownRequested { delivery, reason },
        )
    }

    fn dispatch(&mut self, mission: MissionId, event: DispatchEvent) -> Result<(), Failure> {
        self.dispatch_of(mission)?;
        let owner = self.user().map(UserId::uuid);
        let occurrence = Occurrence::new(event, self.look.now);
        if let Some(dispatch) = self.dispatches.get_mut(&mission) {
            self.draft.record(dispatch, owner, None, &[occurrence]);
        }
        Ok(())
    }

    fn dispatch_of(&mut self, mission: MissionId) -> Result<&Loaded<Option<Dispatch>>, Failure> {
        if !self.dispatches.contains_key(&mission) {
            let loaded = self.draft.load(StreamName::dispatch(mission))?;
            self.draft.guard(&loaded);
            self.dispatches.insert(mission, loaded);
        }
        Ok(self.dispatches.get(&mission).expect("loaded just above"))
    }

    /// Writes down until when nothing is to be done, unless a look before then is noted already.
    pub(crate) fn wait(&mut self, at: Option<Timestamp>) {
        let Some(operation) = &self.operation.state else {
            return;
        };
        let noted = operation.next_at();
        let is_over = noted.is_some_and(|noted| noted <= self.look.now);
        let is_sooner = at.is_some_and(|at| noted.is_none_or(|noted| at < noted));
        if noted != at && (is_over || is_sooner) && !operation.has_ended() {
            self.note(OperationEvent::DeadlineSet { at });
        }
    }
}

/// Records what a delivery's events bring about beside it, in their commit: missions that they
/// leave without a purpose are to be ended, and the process of one whose life goes on after all
/// goes on as well.
///
/// `live` was the delivery's mission before them, `reporting` the one whose drone event they
/// follow from, if they do.
///
/// # Errors
/// A failure to read.
pub(crate) fn record_consequences(
    draft: &mut Draft<'_>,
    (id, owner): (DeliveryId, UserId),
    events: &[Occurrence<DeliveryEvent>],
    (live, reporting): (Option<MissionId>, Option<MissionId>),
    now: Timestamp,
) -> Result<(), LoadError> {
    let events: Vec<_> = events.iter().map(|it| it.event.clone()).collect();
    for (mission, wanted) in stand_downs(&events, live, reporting) {
        let mut dispatch = draft.load::<Option<Dispatch>>(StreamName::dispatch(mission))?;
        if let Some(reason) = reason_to_ask(dispatch.state.as_ref(), wanted) {
            let event = DispatchEvent::StandDownRequested {
                delivery: id,
                reason,
            };
            let occurrence = Occurrence::new(event, now);
            draft.record(&mut dispatch, Some(owner.uuid()), None, &[occurrence]);
        }
    }
    let is_reopening = |event: &DeliveryEvent| matches!(event, DeliveryEvent::Reopened { .. });
    if events.iter().any(is_reopening) {
        let booking = StreamName::operation(OperationId::of_booking(id));
        let mut booking = draft.load::<Option<Operation>>(booking)?;
        // It may be ending at this moment, seeing the life that was over.
        draft.guard(&booking);
        if booking.state.is_some() {
            let resumed = Occurrence::new(OperationEvent::ProcessResumed, now);
            draft.record(&mut booking, Some(owner.uuid()), None, &[resumed]);
        }
    }
    Ok(())
}
