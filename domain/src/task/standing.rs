//! What makes a task and what ends it, as a fold of the stream that it is about.

use std::collections::BTreeMap;

use crate::delivery::{Anomaly, Condition, DeliveryEvent, Failure, Milestone, Stranding};
use crate::id::FactId;
use crate::refusals::{RefusalEvent, Refused};
use crate::scheduling::{Effect, Left, OperationEvent};
use crate::session::{ParkReason, SessionEvent};

/// How often something is put off in a row before a person has to look. By the usual waits,
/// [`backoff`](crate::scheduling::backoff), that is after a good minute.
///
/// It is no setting: what is a task follows from the log alone, whichever service reads it.
pub const PUT_OFF_MAX: u32 = 10;

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// A package is said to be on board after its mission ended, and for a while nobody told where
    /// it went. It stands until the package is let go at the right place or comes to a hub, or the
    /// delivery comes to an end.
    LeftOnBoard,
    /// A package waits at a hub, and nobody comes for it by themselves. It stands until a drone
    /// comes, or the delivery comes to an end.
    LeftAtHub,
    /// A drone that was asked again and again to turn round does not say that it did: its delivery
    /// is cancelled, wanted back, or was replanned. It stands until the drone says so, has the
    /// package of a delivery that was cancelled or lets one go at the right place, or the delivery
    /// comes to a hub or to an end.
    NotStoodDown,
    /// A drone had to come down with the package. It stands until the package is let go at the
    /// right place or comes to a hub, or the delivery comes to an end.
    EmergencyLanded,
    /// A package was let go at the right place, and nobody confirmed in time that they took it.
    /// It stands until the delivery comes to an end.
    Unconfirmed,
    /// A delivery came to a bad end, and the package is where it should not be. It stands until
    /// the delivery's life goes on.
    Failed(Failure),
    /// A drone reported what cannot be. It stands until an operator says how the delivery ended.
    Anomaly {
        /// The drone event.
        fact: FactId,
        /// What does not fit.
        why: Anomaly,
    },
    /// A fact could not be applied in time. It stands until it is.
    DeadLetter {
        /// Its number in the session.
        seq: u64,
        /// What it waited for.
        why: ParkReason,
    },
    /// A message was refused where nobody can be told. It stands until it is read after all.
    RefusedMessage {
        /// Its number among those of its hour.
        number: u64,
        /// What is the matter with it.
        why: Refused,
    },
    /// What an operation does outside was put off [`PUT_OFF_MAX`] times in a row. It stands until
    /// the operation goes on or ends.
    OperationStuck {
        /// What it does.
        effect: Effect,
    },
    /// What an operation cannot see to itself. It stands for ever: nothing that the service does
    /// afterwards brings the money back, or tells two packages apart.
    Left(Left),
}

/// What an event means for the tasks of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskTurn {
    /// There is something more to look at.
    Odd {
        /// The drone event.
        fact: FactId,
        /// What does not fit.
        why: Anomaly,
    },
    /// An operator says how the delivery ends: what its drones reported that cannot be was looked
    /// at.
    LookedAt,
    /// Somebody has to look after the delivery: a task of its own, in place of one about something
    /// else, unless it has this one.
    LookAfter(Matter),
    /// Nobody has to look after this any more: the delivery's own task goes, if it is that.
    Over(Matter),
    /// The package was let go at the right place, the delivery came to a hub or to an end, or its
    /// life goes on after that: its own task goes.
    Settled,
    /// The delivery came to a bad end: its own task goes, and that end is one.
    Failed(Failure),
    /// A fact was given up: a task, in place of an earlier one about it.
    GivenUp {
        /// Its number.
        seq: u64,
        /// What it waited for.
        why: ParkReason,
    },
    /// A message was refused where nobody can be told: a task.
    Refused {
        /// Its number.
        number: u64,
        /// What is the matter with it.
        why: Refused,
    },
    /// A fact was applied, or a message read after all: the task about it goes.
    Applied {
        /// Its number.
        seq: u64,
    },
    /// Something outside was put off once more: a task, if that was too often.
    PutOff {
        /// What.
        effect: Effect,
    },
    /// The operation goes on, or its end is reached: it is not stuck any more.
    WentOn,
    /// The operation goes on, and leaves something to a person.
    Left(Left),
}

impl TaskTurn {
    /// What an event of a delivery means; for most nothing.
    #[must_use]
    pub fn of_delivery(event: &DeliveryEvent) -> Option<Self> {
        match event {
            // Where the package went may be on its way; `Stranded` says when that was waited for.
            DeliveryEvent::AnomalyRecorded {
                why: Anomaly::EndedWithPackage,
                ..
            } => None,
            DeliveryEvent::AnomalyRecorded { fact, why, .. } => Some(Self::Odd {
                fact: fact.clone(),
                why: *why,
            }),
            DeliveryEvent::ConditionChanged {
                mission: _,
                condition: Condition::Emergency,
            } => Some(Self::LookAfter(Matter::EmergencyLanded)),
            DeliveryEvent::ConfirmationOverdue => Some(Self::LookAfter(Matter::Unconfirmed)),
            DeliveryEvent::Stranded { place } => Some(Self::LookAfter(match place {
                Stranding::OnBoard => Matter::LeftOnBoard,
                Stranding::AtHub => Matter::LeftAtHub,
                Stranding::WithSender | Stranding::UnderWay => Matter::NotStoodDown,
            })),
            DeliveryEvent::DroneAssigned(_) => Some(Self::Over(Matter::LeftAtHub)),
            // Its drone has the package, and is not to turn round without it any more; or it did.
            DeliveryEvent::CancellationRejected { .. }
            | DeliveryEvent::DroneUnassigned { .. }
            | DeliveryEvent::ReturnStarted { .. }
            | DeliveryEvent::MilestoneTimeCorrected {
                milestone: Milestone::ReturnStarted,
                ..
            } => Some(Self::Over(Matter::NotStoodDown)),
            DeliveryEvent::Vouched { .. }
            | DeliveryEvent::HandedBack { .. }
            | DeliveryEvent::GivenUp { .. } => Some(Self::LookedAt),
            // The sender has the package still. And what was let go is for nobody to fetch from a
            // drone: that nobody confirms it is another matter.
            DeliveryEvent::Failed {
                mission: _,
                reason: Failure::NoDrone,
            }
            | DeliveryEvent::Released { .. }
            | DeliveryEvent::DeliveryComplete { .. }
            | DeliveryEvent::ArrivedAtHub { .. }
            | DeliveryEvent::Returned { .. }
            | DeliveryEvent::Cancelled
            | DeliveryEvent::Rejected { .. }
            | DeliveryEvent::Reopened { .. } => Some(Self::Settled),
            DeliveryEvent::Failed { mission: _, reason } => Some(Self::Failed(*reason)),
            DeliveryEvent::Created(_)
            | DeliveryEvent::Scheduled
            | DeliveryEvent::Rescheduled(_)
            | DeliveryEvent::HeadedToPickup { .. }
            | DeliveryEvent::ArrivedAtPickup { .. }
            | DeliveryEvent::PickedUp { .. }
            | DeliveryEvent::InTransit { .. }
            | DeliveryEvent::ArrivedAtDropoff { .. }
            | DeliveryEvent::AttemptFailed { .. }
            | DeliveryEvent::CancellationRequested { .. }
            | DeliveryEvent::MilestoneTimeCorrected { .. }
            | DeliveryEvent::DeadlineMissed { .. }
            | DeliveryEvent::Confirmed { .. }
            | DeliveryEvent::Corrected { .. }
            | DeliveryEvent::ConditionChanged { .. }
            | DeliveryEvent::EtaRevised { .. } => None,
        }
    }

    /// What an event of a drone session means; for most nothing.
    #[must_use]
    pub const fn of_session(event: &SessionEvent) -> Option<Self> {
        match event {
            SessionEvent::DeadLettered { seq, why } => Some(Self::GivenUp {
                seq: *seq,
                why: *why,
            }),
            SessionEvent::FactUnparked { seq } => Some(Self::Applied { seq: *seq }),
            SessionEvent::SessionOpened(_)
            | SessionEvent::FactReceived(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. } => None,
        }
    }

    /// What an event of an hour's refused messages means.
    #[must_use]
    pub const fn of_refusals(event: &RefusalEvent) -> Option<Self> {
        match event {
            RefusalEvent::MessageRefused { number, message } => Some(Self::Refused {
                number: *number,
                why: message.why,
            }),
            RefusalEvent::RefusalLifted { number } => Some(Self::Applied { seq: *number }),
            RefusalEvent::FurtherRefused { .. } => None,
        }
    }

    /// What an event of an operation means. Only what may come after something was put off says
    /// that the operation goes on.
    #[must_use]
    pub fn of_operation(event: &OperationEvent) -> Option<Self> {
        match event {
            OperationEvent::EffectDeferred { effect, .. } => Some(Self::PutOff { effect: *effect }),
            OperationEvent::StepFailed { .. }
            | OperationEvent::PaymentAuthorized { .. }
            | OperationEvent::PaymentDenied { .. }
            | OperationEvent::PaymentVoided { .. }
            | OperationEvent::ProcessEnded => Some(Self::WentOn),
            OperationEvent::VoidRefused { authorization } => {
                Some(Self::Left(Left::Authorization(authorization.clone())))
            }
            OperationEvent::PaymentLeftUnknown => Some(Self::Left(Left::UnknownPayment)),
            OperationEvent::FlightUnpaid => Some(Self::Left(Left::UnpaidFlight)),
            OperationEvent::PackageShared { delivery, with } => {
                Some(Self::Left(Left::SharedPackage {
                    delivery: *delivery,
                    with: *with,
                }))
            }
            OperationEvent::OperationStarted { .. }
            | OperationEvent::StepPassed { .. }
            | OperationEvent::EffectClaimed { .. }
            | OperationEvent::MissionAsked { .. }
            | OperationEvent::PackageFreed
            | OperationEvent::PackageKept
            | OperationEvent::DeadlineSet { .. }
            | OperationEvent::OperationSucceeded
            | OperationEvent::OperationFailed { .. }
            | OperationEvent::OperationCancelled
            | OperationEvent::OperationTimedOut { .. }
            | OperationEvent::ProcessResumed => None,
        }
    }
}

/// The tasks of one stream whose reason lasts, by the version of the event that
/// made each one.
///
/// Tasks about facts depend on no event before the one that made them; a delivery's own task and
/// that of a stuck operation depend on all of the stream's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandingTasks {
    matters: BTreeMap<u64, Matter>,
    /// The delivery's own one.
    own: Option<u64>,
    /// Those about facts or messages, by their numbers.
    letters: BTreeMap<u64, u64>,
    /// How often something was put off in a row, and since when that is too often.
    put_off: u32,
    stuck: Option<u64>,
}

impl StandingTasks {
    /// After the event of a version. Total: what makes no sense changes nothing.
    #[must_use]
    pub fn evolve(mut self, version: u64, turn: TaskTurn) -> Self {
        match turn {
            TaskTurn::Odd { fact, why } => {
                self.matters.insert(version, Matter::Anomaly { fact, why });
            }
            TaskTurn::LookedAt => self
                .matters
                .retain(|_, matter| !matches!(matter, Matter::Anomaly { .. })),
            TaskTurn::LookAfter(matter) => self.look_after(version, matter),
            TaskTurn::Over(matter) => {
                if self.is_own(&matter) {
                    self.settle();
                }
            }
            TaskTurn::Settled => self.settle(),
            TaskTurn::Failed(failure) => {
                self.settle();
                self.look_after(version, Matter::Failed(failure));
            }
            TaskTurn::GivenUp { seq, why } => {
                self.forget(seq);
                self.letters.insert(seq, version);
                let letter = Matter::DeadLetter { seq, why };
                self.matters.insert(version, letter);
            }
            TaskTurn::Refused { number, why } => {
                self.forget(number);
                self.letters.insert(number, version);
                let letter = Matter::RefusedMessage { number, why };
                self.matters.insert(version, letter);
            }
            TaskTurn::Applied { seq } => self.forget(seq),
            TaskTurn::PutOff { effect } => {
                self.put_off = self.put_off.saturating_add(1);
                if self.put_off == PUT_OFF_MAX {
                    self.stuck = Some(version);
                    self.matters
                        .insert(version, Matter::OperationStuck { effect });
                }
            }
            TaskTurn::WentOn => self.go_on(),
            TaskTurn::Left(left) => {
                self.go_on();
                self.matters.insert(version, Matter::Left(left));
            }
        }
        self
    }

    /// What there is to look at by the event of this version, if it stands.
    #[must_use]
    pub fn get(&self, version: u64) -> Option<&Matter> {
        self.matters.get(&version)
    }

    /// All that stand, in the order of their versions.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Matter)> {
        self.matters
            .iter()
            .map(|(version, matter)| (*version, matter))
    }

    fn look_after(&mut self, version: u64, matter: Matter) {
        if !self.is_own(&matter) {
            // Whoever has seen to the one before has not seen to this.
            self.settle();
            self.own = Some(version);
            self.matters.insert(version, matter);
        }
    }

    fn is_own(&self, matter: &Matter) -> bool {
        let own = self.own.and_then(|own| self.matters.get(&own));
        own == Some(matter)
    }

    fn settle(&mut self) {
        if let Some(own) = self.own.take() {
            self.matters.remove(&own);
        }
    }

    fn go_on(&mut self) {
        self.put_off = 0;
        if let Some(stuck) = self.stuck.take() {
            self.matters.remove(&stuck);
        }
    }

    fn forget(&mut self, seq: u64) {
        if let Some(version) = self.letters.remove(&seq) {
            self.matters.remove(&version);
        }
    }
}
