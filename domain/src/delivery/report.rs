//! What follows from what drones report. One function per kind of report.
//!
//! A report is never refused. What does not fit the delivery is an anomaly; what
//! it has already taken in, or what changes nothing about it, gives no event.

use super::command::{Diversion, Ending, LoadVerdict, Nearness, Report, Reported, ReturnedTo};
use super::condition::Condition;
use super::diagram::holder_of_waiting;
use super::event::{Assignment, DeliveryEvent};
use super::phase::{Custody, Phase};
use super::state::{ANOMALIES_MAX, Delivery, REOPENINGS_MAX, Reached};
use super::vocabulary::{
    Anomaly, AttemptFailure, Failure, Milestone, ReopenCause, ReopenedAs, ReturnReason,
    UnassignReason,
};
use crate::decider::Occurrence;
use crate::drone::Leg;
use crate::id::{DroneId, FleetId};
use crate::text::Comment;
use crate::time::Timestamp;

mod course;
mod handover;
mod trouble;

use course::{Standing, Step};

type Events = Vec<Occurrence<DeliveryEvent>>;

/// What follows from a report.
pub(super) fn report(report: &Report, delivery: &Delivery) -> Events {
    let case = Case { report, delivery };
    let mission = report.mission;
    match &report.reported {
        Reported::Assigned {
            fleet,
            drone,
            eta_pickup,
            eta_dropoff,
        } => case.assigned(fleet, drone, *eta_pickup, *eta_dropoff),
        Reported::Ended { how, detail } => case.ended(*how, detail.as_ref()),
        Reported::DepartedToPickup => {
            let headed = DeliveryEvent::HeadedToPickup { mission };
            case.gone_on(case.stepped(Step::HeadedToPickup, headed), Leg::Pickup)
        }
        Reported::ArrivedAtPickup => case.stepped(
            Step::ArrivedAtPickup,
            DeliveryEvent::ArrivedAtPickup { mission },
        ),
        Reported::Loaded { verdict, tag, mass } => match verdict {
            LoadVerdict::Matches => {
                let (tag, mass) = (tag.clone(), *mass);
                let picked_up = DeliveryEvent::PickedUp { mission, tag, mass };
                case.stepped(Step::PickedUp, picked_up)
            }
            LoadVerdict::WrongPackage => case.misloaded(AttemptFailure::WrongPackage),
            LoadVerdict::Overweight => case.misloaded(AttemptFailure::Overweight),
        },
        Reported::DepartedToDropoff => {
            let in_transit = DeliveryEvent::InTransit { mission };
            case.gone_on(case.stepped(Step::InTransit, in_transit), Leg::Dropoff)
        }
        Reported::ArrivedAtDropoff(nearness) => case.arrived_at_dropoff(*nearness),
        Reported::Released {
            method,
            evidence,
            confirmed,
            nearness,
        } => case.released(*method, *evidence, *confirmed, *nearness),
        Reported::DepartedToReturn => case.departed_to_return(),
        Reported::Returned(to) => case.returned(*to),
        Reported::BroughtBack(to) => case.brought_back(*to),
        Reported::Completed { payload_on_board } => case.completed(*payload_on_board),
        Reported::Verified { kind, proof } => case.verified(*kind, proof),
        Reported::HoldStarted(reason) => case.does(Condition::Holding(*reason)),
        Reported::HoldEnded => case.hold_ended(),
        Reported::BatteryCritical => case.delayed(),
        Reported::Diverted {
            to: Diversion::Charge,
            detail: _,
        } => case.diverted_to_charge(),
        Reported::Diverted {
            to: Diversion::Home,
            detail,
        } => case.diverted_home(detail.as_ref()),
        Reported::LinkLost => case.does(Condition::LinkLost),
        Reported::LinkRestored => case.link_restored(),
        Reported::Dropped => case.dropped(),
        Reported::EmergencyLanded { detail } => case.emergency_landed(detail.as_ref()),
        Reported::Misplaced(why) => case.anomaly(*why),
    }
}

impl Delivery {
    /// What a report would have been recorded as, had there been room for another anomaly.
    #[must_use]
    pub fn unrecorded(&self, report: &Report) -> Option<Occurrence<DeliveryEvent>> {
        if self.anomalies.len() < ANOMALIES_MAX {
            return None;
        }
        let with_room = Self {
            anomalies: Vec::new(),
            ..self.clone()
        };
        let is_anomaly = |it: &Occurrence<DeliveryEvent>| {
            matches!(it.event, DeliveryEvent::AnomalyRecorded { .. })
        };
        let is_recorded = self
            .anomalies
            .contains(&(report.fact.clone(), report.mission));
        let told = self::report(report, &with_room)
            .into_iter()
            .find(is_anomaly);
        told.filter(|_| !is_recorded)
    }
}

#[derive(Clone, Copy)]
struct Case<'a> {
    report: &'a Report,
    delivery: &'a Delivery,
}

impl<'a> Case<'a> {
    const fn reported(self, event: DeliveryEvent) -> Occurrence<DeliveryEvent> {
        Occurrence::new(event, self.report.event_time)
    }

    const fn implied(self, event: DeliveryEvent) -> Occurrence<DeliveryEvent> {
        Occurrence::inferred(event, self.report.event_time)
    }

    fn anomaly(self, why: Anomaly) -> Events {
        let anomalies = &self.delivery.anomalies;
        let (fact, mission) = (self.report.fact.clone(), self.report.mission);
        // What somebody has to be told of is told also where there is no room for more.
        let is_full = anomalies.len() >= ANOMALIES_MAX && !self.delivery.is_news(why);
        let told = (fact, mission);
        if is_full || anomalies.contains(&told) {
            return vec![];
        }
        let (fact, mission) = told;
        vec![self.reported(DeliveryEvent::AnomalyRecorded { fact, mission, why })]
    }

    /// A mission claims to have the package that cannot have it.
    fn impossible_custody(self) -> Events {
        if self.standing() == Standing::Finished {
            self.anomaly(Anomaly::ContradictsOutcome)
        } else {
            self.anomaly(Anomaly::TwoDrones)
        }
    }

    fn reached(self, milestone: Milestone) -> Option<&'a Reached> {
        self.delivery.reached(self.report.mission, milestone)
    }

    const fn return_started(self, reason: ReturnReason) -> DeliveryEvent {
        let mission = self.report.mission;
        DeliveryEvent::ReturnStarted { mission, reason }
    }

    const fn unassigned(self, reason: UnassignReason, detail: Option<Comment>) -> DeliveryEvent {
        let mission = self.report.mission;
        DeliveryEvent::DroneUnassigned {
            mission,
            reason,
            detail,
        }
    }

    const fn failed(self, reason: Failure) -> DeliveryEvent {
        let mission = self.report.mission;
        DeliveryEvent::Failed { mission, reason }
    }

    fn assigned(
        self,
        fleet: &FleetId,
        drone: &DroneId,
        eta_pickup: Option<Timestamp>,
        eta_dropoff: Option<Timestamp>,
    ) -> Events {
        if self.reached(Milestone::Assigned).is_some() {
            return if self.is_of_another_drone(fleet, drone) {
                self.anomaly(Anomaly::ForeignDrone)
            } else {
                vec![]
            };
        }
        if holder_of_waiting(self.delivery.phase).is_none() {
            return self.anomaly(Anomaly::WrongStatus);
        }
        if !self.delivery.may_be_assigned_again() {
            return self.anomaly(Anomaly::NoAttemptsLeft);
        }
        vec![self.reported(DeliveryEvent::DroneAssigned(Assignment {
            mission: self.report.mission,
            fleet: fleet.clone(),
            drone: drone.clone(),
            epoch: self.delivery.epoch.saturating_add(1),
            eta_pickup,
            eta_dropoff,
        }))]
    }

    /// Only the newest mission's drone is remembered.
    fn is_of_another_drone(self, fleet: &FleetId, drone: &DroneId) -> bool {
        self.delivery.mission.as_ref().is_some_and(|newest| {
            let known = &newest.assignment;
            known.mission == self.report.mission && (&known.fleet, &known.drone) != (fleet, drone)
        })
    }

    fn ended(self, how: Ending, detail: Option<&Comment>) -> Events {
        let wrecked = match how {
            Ending::Crashed | Ending::Lost => true,
            Ending::Rejected | Ending::Aborted | Ending::StoodDown => false,
        };
        let event = match self.standing() {
            Standing::Fetches(_) => self.unassigned(how.unassign_reason(), detail.cloned()),
            Standing::FetchesInVain(_) => DeliveryEvent::Cancelled,
            Standing::Brings(_) | Standing::BringsBack if wrecked => {
                self.failed(Failure::DroneLost)
            }
            Standing::Brings(_) => self.return_started(ReturnReason::MissionAborted),
            Standing::BringsBack => return self.turned(),
            Standing::Awaits | Standing::Over | Standing::Finished | Standing::Foreign => {
                return vec![];
            }
        };
        vec![self.reported(event)]
    }

    fn arrived_at_dropoff(self, nearness: Nearness) -> Events {
        let mission = self.report.mission;
        let arrived = |distance| {
            let event = DeliveryEvent::ArrivedAtDropoff { mission, distance };
            self.stepped(Step::ArrivedAtDropoff, event)
        };
        match nearness {
            Nearness::Inside(distance) => arrived(Some(distance)),
            Nearness::Unknown => arrived(None),
            Nearness::Outside(_) => {
                let told_already = self
                    .reached(Milestone::ArrivedAtDropoff)
                    .is_some_and(|reached| !reached.inferred);
                if self.is_live() && !told_already {
                    self.anomaly(Anomaly::OutsideDropoffRadius)
                } else {
                    vec![]
                }
            }
        }
    }

    fn departed_to_return(self) -> Events {
        if self.reached(Milestone::ReturnStarted).is_some() {
            return self.turned();
        }
        match self.standing() {
            // It was there, and flies home with the package: nobody took it.
            Standing::Brings(Step::ArrivedAtDropoff) => {
                let (mission, reason) = (self.report.mission, AttemptFailure::Undeliverable);
                vec![
                    self.reported(DeliveryEvent::AttemptFailed { mission, reason }),
                    self.reported(self.return_started(ReturnReason::Undeliverable)),
                ]
            }
            Standing::Brings(_) => {
                vec![self.reported(self.return_started(ReturnReason::DroneReturned))]
            }
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::BringsBack
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => vec![],
        }
    }

    /// It turned round by its own word, if so far it was only asked to.
    fn turned(self) -> Events {
        let reached = self.reached(Milestone::ReturnStarted);
        let corrected = reached.and_then(|reached| self.corrected(reached));
        corrected.into_iter().collect()
    }

    fn returned(self, to: ReturnedTo) -> Events {
        let mission = self.report.mission;
        let back = self.reported(match to {
            ReturnedTo::Sender => DeliveryEvent::Returned { mission },
            ReturnedTo::Hub(place) => DeliveryEvent::ArrivedAtHub { mission, place },
        });
        match self.standing() {
            Standing::Brings(_) => {
                let turned = self.return_started(ReturnReason::DroneReturned);
                vec![self.implied(turned), back]
            }
            Standing::BringsBack => vec![back],
            Standing::Over if self.delivery.phase == Phase::AtHub && to == ReturnedTo::Sender => {
                vec![back]
            }
            Standing::Finished => self.returned_after_all(to, back),
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Awaits
            | Standing::Over
            | Standing::Foreign => vec![],
        }
    }

    /// A package that comes back after the delivery's end: from a drone that was thought lost, or
    /// from the hub where it was given up. That a damaged one comes back does not mend it.
    fn returned_after_all(self, to: ReturnedTo, back: Occurrence<DeliveryEvent>) -> Events {
        let from = match (self.delivery.phase, to) {
            (Phase::Failed(Failure::DroneLost), _) => Some(ReopenedAs::Returning),
            (Phase::Failed(Failure::Undeliverable), ReturnedTo::Sender) => Some(ReopenedAs::AtHub),
            (Phase::Failed(Failure::Damaged), ReturnedTo::Sender) => None,
            (Phase::Failed(Failure::Undeliverable | Failure::Damaged), ReturnedTo::Hub(_))
            | (
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
                | Phase::Rejected(_)
                | Phase::Failed(Failure::PackageLost | Failure::Misdelivered | Failure::NoDrone),
                _,
            ) => return vec![],
        };
        let reopened = from.and_then(|from| self.reopened(ReopenCause::DroneReturned, from));
        match reopened {
            Some(reopened) => vec![reopened, back],
            None => self.anomaly(Anomaly::ContradictsOutcome),
        }
    }

    /// It says that it has the package. Where a return leads to nothing, that is known already, or
    /// cannot be.
    fn brought_back(self, to: ReturnedTo) -> Events {
        let events = self.returned(to);
        let (lies_with, told) = match to {
            ReturnedTo::Sender => (Custody::Sender, Milestone::Returned),
            ReturnedTo::Hub(_) => (Custody::Hub, Milestone::ArrivedAtHub),
        };
        let is_known = self.delivery.phase.custody() == lies_with || self.reached(told).is_some();
        if !events.is_empty() || is_known {
            return events;
        }
        match self.standing() {
            Standing::Fetches(_) | Standing::FetchesInVain(_) | Standing::Awaits => {
                self.anomaly(Anomaly::WrongStatus)
            }
            Standing::Brings(_)
            | Standing::BringsBack
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => self.impossible_custody(),
        }
    }

    fn completed(self, payload_on_board: Option<bool>) -> Events {
        // A drone that brought the package back may well say that it still bears it.
        let brought_back = match self.delivery.phase {
            Phase::Returned | Phase::AtHub => self.reached(Milestone::ReturnStarted).is_some(),
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::Returning
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => false,
        };
        if payload_on_board == Some(true) && !brought_back {
            return if self.is_live() {
                self.anomaly(Anomaly::EndedWithPackage)
            } else {
                self.impossible_custody()
            };
        }
        match self.standing() {
            Standing::Fetches(_) => {
                vec![self.reported(self.unassigned(UnassignReason::MissionEnded, None))]
            }
            Standing::FetchesInVain(_) => vec![self.reported(DeliveryEvent::Cancelled)],
            Standing::Brings(_) | Standing::BringsBack => self.anomaly(Anomaly::EndedWithPackage),
            Standing::Awaits | Standing::Over | Standing::Finished | Standing::Foreign => vec![],
        }
    }

    /// The life that ended goes on, where the last mission shows that the package is. Nothing if
    /// that happened too often to be believed.
    fn reopened(self, cause: ReopenCause, to: ReopenedAs) -> Option<Occurrence<DeliveryEvent>> {
        let is_believed = self.delivery.reopenings < REOPENINGS_MAX;
        is_believed.then(|| {
            self.reported(DeliveryEvent::Reopened {
                cause,
                to,
                reason: None,
            })
        })
    }
}
