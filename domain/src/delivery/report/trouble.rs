//! What a drone does beside its course: it waits, flies elsewhere, is not heard of, or comes down.

use super::{Case, Events, Standing, Step};
use crate::delivery::condition::Condition;
use crate::delivery::event::DeliveryEvent;
use crate::delivery::phase::Phase;
use crate::delivery::vocabulary::{Anomaly, Failure, Milestone, ReturnReason, UnassignReason};
use crate::drone::Leg;
use crate::text::Comment;

impl Case<'_> {
    fn changed(self, condition: Condition) -> Events {
        let mission = self.report.mission;
        vec![self.reported(DeliveryEvent::ConditionChanged { mission, condition })]
    }

    /// It does so from now on. Whoever had to come down stays down until the mission gets on.
    pub(super) fn does(self, condition: Condition) -> Events {
        if self.is_live() && self.delivery.may_turn(condition) {
            self.changed(condition)
        } else {
            vec![]
        }
    }

    /// What the hold hid is so again. It ends also while nothing is heard of the drone that says so.
    pub(super) fn hold_ended(self) -> Events {
        let (is, before) = (self.delivery.condition, self.delivery.condition_before);
        let holds = is.hold().is_some() || (is == Condition::LinkLost && before.hold().is_some());
        if holds {
            self.does(self.delivery.condition_beneath)
        } else {
            vec![]
        }
    }

    /// Whoever flies to charge is on the way to be better, also while it holds or is not heard.
    pub(super) fn delayed(self) -> Events {
        if self.delivery.condition_beneath == Condition::Diverted {
            return vec![];
        }
        self.does(Condition::Delayed)
    }

    pub(super) fn link_restored(self) -> Events {
        if self.delivery.condition == Condition::LinkLost {
            self.does(self.delivery.condition_before)
        } else {
            vec![]
        }
    }

    /// It flies on later, so nobody knows when it comes.
    pub(super) fn diverted_to_charge(self) -> Events {
        let mut events = self.does(Condition::Diverted);
        if !events.is_empty() && self.delivery.eta.is_some() {
            events.push(self.reported(DeliveryEvent::EtaRevised {
                mission: self.report.mission,
                pickup_at: None,
                dropoff_at: None,
            }));
        }
        events
    }

    /// What follows from a departure, and that a diversion is over with it, if it is the
    /// departure on the leg that was broken off.
    pub(super) fn gone_on(self, mut stepped: Events, leg: Leg) -> Events {
        let is_on_leg = match self.standing() {
            Standing::Fetches(_) | Standing::FetchesInVain(_) => leg == Leg::Pickup,
            Standing::Brings(_) => leg == Leg::Dropoff,
            Standing::BringsBack
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => false,
        };
        // Whatever leads on puts the condition right by itself.
        let only_corrects = stepped.iter().all(|occurrence| {
            matches!(
                occurrence.event,
                DeliveryEvent::MilestoneTimeCorrected { .. }
            )
        });
        // It may hold meanwhile, or have been out of reach.
        let is_diverted = self.delivery.condition_beneath == Condition::Diverted;
        if is_on_leg && only_corrects && is_diverted {
            stepped.extend(self.does(Condition::Nominal));
        }
        stepped
    }

    /// It flies to a hub or its base and ends its mission there.
    pub(super) fn diverted_home(self, detail: Option<&Comment>) -> Events {
        match self.standing() {
            Standing::Brings(_) => {
                vec![self.reported(self.return_started(ReturnReason::Diverted))]
            }
            Standing::BringsBack => self.turned(),
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => self.given_up(UnassignReason::Diverted, detail),
        }
    }

    /// It had to come down: with the package somebody has to fetch it there.
    pub(super) fn emergency_landed(self, detail: Option<&Comment>) -> Events {
        match self.standing() {
            Standing::Brings(_) | Standing::BringsBack => self.does(Condition::Emergency),
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => self.given_up(UnassignReason::EmergencyLanded, detail),
        }
    }

    /// It will not fetch the package any more: another drone may, or the cancellation is done.
    fn given_up(self, reason: UnassignReason, detail: Option<&Comment>) -> Events {
        let event = match self.standing() {
            Standing::Fetches(_) => self.unassigned(reason, detail.cloned()),
            Standing::FetchesInVain(_) => DeliveryEvent::Cancelled,
            Standing::Brings(_)
            | Standing::BringsBack
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => return vec![],
        };
        vec![self.reported(event)]
    }

    /// It lost the package on the way: so it had it.
    pub(super) fn dropped(self) -> Events {
        match self.standing() {
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Brings(_)
            | Standing::BringsBack => {
                let mut events = self.led_to(Step::InTransit).unwrap_or_default();
                events.push(self.reported(self.failed(Failure::PackageLost)));
                events
            }
            Standing::Awaits => self.anomaly(Anomaly::WrongStatus),
            Standing::Over | Standing::Finished | Standing::Foreign => self.dropped_afterwards(),
        }
    }

    fn dropped_afterwards(self) -> Events {
        let is_known_lost = match self.delivery.phase {
            Phase::Failed(_) => self.delivery.is_newest(self.report.mission),
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
            | Phase::Rejected(_) => false,
        };
        let is_echo =
            self.standing() == Standing::Foreign && self.reached(Milestone::PickedUp).is_some();
        if is_known_lost || is_echo {
            vec![]
        } else {
            self.impossible_custody()
        }
    }
}
