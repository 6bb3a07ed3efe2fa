//! A small world around one operation: a delivery, a fleet, a billing service, a clock.
//!
//! What the process asks for is done at once and written down, as a driver does it; what is done
//! outside waits for the test to say how it came out.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::*;
use crate::decider::Decider as _;
use crate::delivery::tests::order;
use crate::delivery::{
    CancelReason, Confirmation, DeliveryEvent, Ending, LoadVerdict, Nearness, Order, Plan,
    ReleaseMethod, ReopenedAs, Report, Reported, Status,
};
use crate::dispatch::{DispatchEvent, MissionRequest, reason_to_ask, stand_downs};
use crate::drone::Sender;
use crate::id::{DroneId, FactId, FleetId, ProofHash};
use crate::mission::MissionEvent;
use crate::quantity::DistanceM;
use crate::task::TaskTurn;

pub(super) const DELIVERY: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(1));

/// Most steps to where something is waited for: more would be a circle.
const STEPS_MAX: usize = 32;

/// What a billing service does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bill {
    /// It cannot be reached.
    Unreachable,
    /// It says that it cannot now.
    Unavailable,
    /// It does what is asked, and the answer is lost.
    ActsUnheard,
    /// It does what is asked, and what is in front of it says that it cannot now.
    ActsUnavailable,
    /// It does nothing, and does not answer.
    Hangs,
    /// It does what is asked.
    Answers,
    /// It will not pay.
    Declines,
    /// It calls the request wrong.
    Refuses,
}

/// What a billing service knows: one authorization for a key, whatever how often it is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Billing {
    pub(super) is_authorized: bool,
    pub(super) is_declined: bool,
    pub(super) is_voided: bool,
    pub(super) requests: u32,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) deadlines_to: Option<Timestamp>,
    pub(super) settings: SchedulingSettings,
    pub(super) operation: Option<Operation>,
    pub(super) written: Vec<OperationEvent>,
    pub(super) delivery: Option<Delivery>,
    pub(super) history: Vec<DeliveryEvent>,
    pub(super) dispatches: BTreeMap<MissionId, Dispatch>,
    /// What is known of the live mission's drone.
    pub(super) flown: Option<Mission>,
    /// What Drone Management was asked, in order.
    pub(super) asked: Vec<(MissionId, u8)>,
    pub(super) stood_down: Vec<(MissionId, StandDownReason)>,
    /// Steps that do not pass, and why.
    pub(super) faults: BTreeSet<(Step, RejectReason)>,
    pub(super) is_package_held: bool,
    /// The other delivery that has the package, if one has.
    pub(super) package_holder: Option<DeliveryId>,
    pub(super) billing: Billing,
    /// What was claimed and is not answered yet.
    pub(super) claimed: Option<(Effect, u32)>,
}

impl World {
    /// An order that was just created, and nothing done for it.
    pub(super) fn new(settings: SchedulingSettings) -> Self {
        Self::ordering(order(), settings)
    }

    pub(super) fn ordering(order: Order, settings: SchedulingSettings) -> Self {
        let mut world = Self {
            now: at(0),
            deadlines_to: None,
            settings,
            operation: None,
            written: Vec::new(),
            delivery: None,
            history: Vec::new(),
            dispatches: BTreeMap::new(),
            flown: None,
            asked: Vec::new(),
            stood_down: Vec::new(),
            faults: BTreeSet::new(),
            is_package_held: false,
            package_holder: None,
            billing: Billing::default(),
            claimed: None,
        };
        let (user, now) = (order.user, world.now);
        world.command(&DeliveryCommand::Create {
            order: Box::new(order),
            now,
        });
        world.write(OperationEvent::OperationStarted {
            kind: OperationKind::Schedule,
            delivery: DELIVERY,
            user,
            sequence: 1,
        });
        world
    }

    pub(super) fn status(&self) -> Status {
        self.delivery.as_ref().unwrap().status()
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.operation.as_ref().unwrap().outcome()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.operation.as_ref().unwrap().has_ended()
    }

    pub(super) fn write(&mut self, event: OperationEvent) {
        let occurrence = Occurrence::new(event.clone(), self.now);
        self.operation = Scheduling::evolve(self.operation.take(), &occurrence);
        self.written.push(event);
    }

    pub(super) fn next(&self) -> Next {
        let delivery = self.delivery.as_ref().unwrap();
        let asked = self.operation.as_ref().and_then(Operation::asked_mission);
        let around = Around {
            delivery,
            asked: asked.and_then(|asked| self.dispatches.get(&asked)),
            live: self
                .flown
                .as_ref()
                .filter(|it| it.epoch() == delivery.epoch()),
            live_dispatch: self.live().and_then(|live| self.dispatches.get(&live)),
            package_holder: self.package_holder,
            now: self.now,
            deadlines_to: self.deadlines_to.unwrap_or(self.now),
            settings: &self.settings,
        };
        let next = Scheduling::react(&self.operation, &around);
        assert_eq!(
            next,
            Scheduling::react(&self.operation, &around),
            "the same answer"
        );
        next
    }

    /// Does what is next up to where something is waited for, and gives until when.
    pub(super) fn run(&mut self) -> Option<Timestamp> {
        for _ in 0..STEPS_MAX {
            match self.next() {
                Next::Check(step) => self.check(step),
                Next::Pass(step) => self.write(OperationEvent::StepPassed { step }),
                Next::Fail(step, reason) => self.write(OperationEvent::StepFailed { step, reason }),
                Next::Claim { latest, .. } if !self.settings.has_billing => return latest,
                Next::Claim {
                    effect, attempt, ..
                } => {
                    self.claimed = Some((effect, attempt));
                    let until = self.now.plus(DurationMs::from_seconds(15));
                    self.write(OperationEvent::EffectClaimed {
                        effect,
                        attempt,
                        node: Uuid::nil(),
                        until,
                    });
                    return Some(until);
                }
                Next::Decide(command) => {
                    assert!(self.command(&command), "{command:?} changes nothing");
                }
                Next::Ask(ask) => self.ask(ask),
                Next::StandDown(mission, reason) => self.ask_to_stand_down(mission, reason),
                Next::Leave(left) => self.write(left.event()),
                Next::FreePackage => {
                    assert!(self.is_package_held, "a package is freed that nobody holds");
                    self.is_package_held = false;
                    self.write(OperationEvent::PackageFreed);
                }
                Next::KeepPackage => {
                    let is_free = !self.is_package_held && self.package_holder.is_none();
                    assert!(is_free, "a package is kept that somebody has");
                    self.is_package_held = true;
                    self.write(OperationEvent::PackageKept);
                }
                Next::Conclude(outcome) => self.write(match outcome {
                    Outcome::Succeeded => OperationEvent::OperationSucceeded,
                    Outcome::Failed(problem) => OperationEvent::OperationFailed { problem },
                    Outcome::Cancelled => OperationEvent::OperationCancelled,
                    Outcome::TimedOut(problem) => OperationEvent::OperationTimedOut { problem },
                }),
                Next::End => self.write(OperationEvent::ProcessEnded),
                Next::Wait(until) => return until,
            }
        }
        panic!("nothing is waited for after {:#?}", self.written)
    }

    fn check(&mut self, step: Step) {
        let fault = self.faults.iter().find(|(faulty, _)| *faulty == step);
        if let Some((step, reason)) = fault.copied() {
            return self.write(OperationEvent::StepFailed { step, reason });
        }
        self.is_package_held |= step == Step::Package;
        self.write(OperationEvent::StepPassed { step });
    }

    fn ask(&mut self, ask: Ask) {
        let before = self.dispatches.get(&ask.mission);
        assert!(
            !before.is_some_and(Dispatch::is_settled),
            "asked for what was refused or stood down: {before:?}"
        );
        let delivery = self.delivery.as_ref().unwrap();
        let request = MissionRequest::of(DELIVERY, delivery, ask.epoch, ask.ask);
        self.tell(
            ask.mission,
            &DispatchEvent::MissionRequested(Box::new(request)),
        );
        self.asked.push((ask.mission, ask.ask));
        self.write(OperationEvent::MissionAsked {
            mission: ask.mission,
            epoch: ask.epoch,
            ask: ask.ask,
            answer_by: ask.answer_by,
        });
    }

    fn stand_down(&mut self, mission: MissionId, wanted: Option<StandDownReason>) {
        if let Some(reason) = reason_to_ask(self.dispatches.get(&mission), wanted) {
            self.ask_to_stand_down(mission, reason);
        }
    }

    fn ask_to_stand_down(&mut self, mission: MissionId, reason: StandDownReason) {
        let delivery = DELIVERY;
        let asked = DispatchEvent::StandDownRequested { delivery, reason };
        self.tell(mission, &asked);
        self.stood_down.push((mission, reason));
    }

    fn tell(&mut self, mission: MissionId, event: &DispatchEvent) {
        let told = Occurrence::new(event.clone(), self.now);
        let dispatch = Dispatch::evolve(self.dispatches.remove(&mission), &told);
        self.dispatches.extend(dispatch.map(|it| (mission, it)));
    }

    /// Lets the delivery decide; whether that changed anything.
    pub(super) fn command(&mut self, command: &DeliveryCommand) -> bool {
        let live = self.delivery.as_ref().and_then(Delivery::live_mission);
        let live = live.map(|mission| mission.assignment.mission);
        let Ok(events) = Delivery::decide(command, &self.delivery) else {
            return false;
        };
        let events = events.into_iter().map(|it| it.as_recorded(self.now));
        let events: Vec<_> = events.collect();
        self.delivery = Delivery::fold_from(self.delivery.take(), &events);
        let events: Vec<_> = events.into_iter().map(|it| it.event).collect();
        let reporting = if let DeliveryCommand::Report(report) = command {
            Some(report.mission)
        } else {
            None
        };
        for (mission, reason) in stand_downs(&events, live, reporting) {
            self.stand_down(mission, reason);
        }
        let changed = !events.is_empty();
        let goes_on = |event: &DeliveryEvent| matches!(event, DeliveryEvent::Reopened { .. });
        if events.iter().any(goes_on) {
            self.write(OperationEvent::ProcessResumed);
        }
        self.history.extend(events);
        changed
    }

    pub(super) fn reschedule(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let now = self.now;
        let mut plan = self.delivery.as_ref().unwrap().order().plan.clone();
        change(&mut plan);
        let plan = Box::new(plan);
        self.command(&DeliveryCommand::Reschedule { plan, now })
    }

    pub(super) fn cancel(&mut self) -> bool {
        let now = self.now;
        self.command(&DeliveryCommand::Cancel {
            reason: CancelReason::CustomerRequest,
            comment: None,
            now,
        })
    }

    /// An operator found the package of a delivery that is over at a hub; whether it goes on.
    pub(super) fn find_at_hub(&mut self) -> bool {
        let now = self.now;
        self.command(&DeliveryCommand::Reopen {
            to: ReopenedAs::AtHub,
            reason: "it lies there".parse().unwrap(),
            now,
        })
    }

    /// An operator says that nobody comes for the package; whether that ends it.
    pub(super) fn give_up(&mut self) -> bool {
        let (reason, now) = ("nobody comes".parse().ok(), self.now);
        self.command(&DeliveryCommand::GiveUp { reason, now })
    }

    /// A drone reports something of a mission.
    pub(super) fn report(&mut self, mission: MissionId, reported: Reported) {
        self.report_as_of(self.now, mission, reported);
    }

    /// The same of a drone by whose clock it happened then.
    pub(super) fn report_as_of(
        &mut self,
        event_time: Timestamp,
        mission: MissionId,
        reported: Reported,
    ) {
        let number = self.history.len();
        self.command(&DeliveryCommand::Report(Report {
            fact: FactId::new(format!("fact-{number}")).unwrap(),
            mission,
            event_time,
            reported,
        }));
    }

    pub(super) fn assign(&mut self, mission: MissionId) {
        self.report(
            mission,
            Reported::Assigned {
                fleet: FleetId::new("pgh").unwrap(),
                drone: DroneId::new("M100-07").unwrap(),
                eta_pickup: None,
                eta_dropoff: None,
            },
        );
    }

    pub(super) fn load(&mut self, mission: MissionId) {
        self.load_as(mission, LoadVerdict::Matches);
    }

    pub(super) fn load_as(&mut self, mission: MissionId, verdict: LoadVerdict) {
        self.report(
            mission,
            Reported::Loaded {
                verdict,
                tag: None,
                mass: None,
            },
        );
    }

    pub(super) fn end_mission(&mut self, mission: MissionId, how: Ending) {
        self.report(mission, Reported::Ended { how, detail: None });
    }

    pub(super) fn refuse(&mut self, mission: MissionId) {
        self.tell(mission, &DispatchEvent::MissionRefused { detail: None });
    }

    /// Nobody hears the live mission's drone from now on.
    pub(super) fn lose_link(&mut self) {
        let Some(live) = self.delivery.as_ref().unwrap().live_mission() else {
            return;
        };
        let sender = Sender {
            fleet: live.assignment.fleet.clone(),
            drone: live.assignment.drone.clone(),
            session: "1".parse().unwrap(),
        };
        let bound = MissionEvent::MissionBound {
            delivery: DELIVERY,
            epoch: live.assignment.epoch,
            sender,
        };
        let fact = "lost-1".parse().unwrap();
        let happened = [bound, MissionEvent::LinkLost { fact }];
        let happened = happened.map(|event| Occurrence::new(event, self.now));
        self.flown = happened.iter().fold(None, Mission::evolve);
    }

    /// A mission's drone lets the package go where it is wanted.
    pub(super) fn release(&mut self, mission: MissionId) {
        self.report(
            mission,
            Reported::Released {
                method: ReleaseMethod::Winch,
                evidence: None,
                confirmed: true,
                nearness: Nearness::Inside(DistanceM::new(3)),
            },
        );
    }

    /// The recipient shows a mission's drone who they are.
    pub(super) fn verify(&mut self, mission: MissionId) {
        let kind = Confirmation::Pin;
        let proof = ProofHash::new("c0ffee").unwrap();
        self.report(mission, Reported::Verified { kind, proof });
    }

    pub(super) fn live(&self) -> Option<MissionId> {
        let live = self.delivery.as_ref().unwrap().live_mission()?;
        Some(live.assignment.mission)
    }

    /// The billing service does something with what was claimed, and the process goes on.
    pub(super) fn bill(&mut self, bill: Bill) -> Option<Timestamp> {
        let Some((effect, attempt)) = self.claimed.take() else {
            return self.run();
        };
        let is_unheard = matches!(bill, Bill::ActsUnheard | Bill::ActsUnavailable);
        let acts = is_unheard || matches!(bill, Bill::Answers | Bill::Declines);
        if acts {
            self.billing.requests += 1;
        }
        let authorization: Authorization = "auth-1".parse().unwrap();
        let event = match (effect, bill) {
            (Effect::AuthorizePayment, _) if acts => {
                // Who was asked before under this key says the same again.
                let is_first = !self.billing.is_authorized && !self.billing.is_declined;
                if is_first && bill == Bill::Declines {
                    self.billing.is_declined = true;
                } else if is_first {
                    self.billing.is_authorized = true;
                }
                if self.billing.is_declined {
                    let reason = RejectReason::PaymentDeclined;
                    OperationEvent::PaymentDenied { reason }
                } else {
                    OperationEvent::PaymentAuthorized { authorization }
                }
            }
            (Effect::VoidPayment, _) if acts => {
                self.billing.is_voided = true;
                OperationEvent::PaymentVoided { authorization }
            }
            (Effect::AuthorizePayment | Effect::VoidPayment, _) => {
                return self.defer(effect, attempt, bill);
            }
        };
        if is_unheard {
            return self.defer(effect, attempt, bill);
        }
        self.write(event);
        self.run()
    }

    fn defer(&mut self, effect: Effect, attempt: u32, bill: Bill) -> Option<Timestamp> {
        let why = match bill {
            Bill::Unreachable => Deferral::Unreachable,
            Bill::Unavailable | Bill::ActsUnavailable => Deferral::Unavailable,
            Bill::Refuses => Deferral::Refused,
            Bill::ActsUnheard | Bill::Hangs | Bill::Answers | Bill::Declines => {
                Deferral::Unanswered
            }
        };
        let deferrals = self.operation.as_ref().unwrap().deferrals();
        let retry_at = self.now.plus(backoff(deferrals));
        self.write(OperationEvent::EffectDeferred {
            effect,
            attempt,
            why,
            retry_at,
        });
        self.run()
    }

    /// So many attempts at what is claimed come to the same, one after the other.
    pub(super) fn bill_times(&mut self, bill: Bill, times: u32) {
        for _ in 0..times {
            assert!(
                self.claimed.is_some(),
                "nothing is asked: {:#?}",
                self.written
            );
            if let Some(retry_at) = self.bill(bill) {
                self.pass_to(retry_at);
            }
        }
    }

    /// Another delivery has the package from now on, if it is free.
    pub(super) fn let_another_take_the_package(&mut self, number: u128) {
        let other = DeliveryId::from_uuid(Uuid::from_u128(number));
        if !self.is_package_held {
            self.package_holder = self.package_holder.or(Some(other));
        }
    }

    /// What was left to a person, in order.
    pub(super) fn left(&self) -> Vec<Left> {
        let turns = self.written.iter().filter_map(TaskTurn::of_operation);
        let left = turns.filter_map(|turn| match turn {
            TaskTurn::Left(left) => Some(left),
            TaskTurn::Odd { .. }
            | TaskTurn::LookedAt
            | TaskTurn::LookAfter(_)
            | TaskTurn::Over(_)
            | TaskTurn::Settled
            | TaskTurn::Failed(_)
            | TaskTurn::GivenUp { .. }
            | TaskTurn::Applied { .. }
            | TaskTurn::PutOff { .. }
            | TaskTurn::Refused { .. }
            | TaskTurn::WentOn => None,
        });
        left.collect()
    }

    /// Time passes up to the moment that is waited for, and the process goes on.
    pub(super) fn pass_to(&mut self, moment: Timestamp) -> Option<Timestamp> {
        self.now = self.now.max(moment);
        self.run()
    }
}
