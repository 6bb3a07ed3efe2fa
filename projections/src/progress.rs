//! Where a delivery is in its life, as several views need to know it: a small
//! fold of its events, kept in their rows.
//!
//! It follows events that the domain has decided on and decides nothing; that
//! it agrees with the domain's own fold is a property test of
//! [`delivery_status`](crate::delivery_status).

use domain::delivery::{
    Assignment, Condition, DeliveryEvent, Failure, Milestone, ReopenedAs, Status, Stranding,
};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a delivery that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    #[serde(with = "crate::stored")]
    pub(crate) status: Status,
    /// The status that a cancellation which comes too late falls back to.
    #[serde(with = "crate::stored")]
    resumed: Status,
    /// The package waits at a hub for its next drone.
    at_hub: bool,
    /// It came to a bad end with the package where it should not be.
    astray: bool,
    need: Need,
    #[serde(with = "crate::stored")]
    pub(crate) condition: Condition,
    /// The condition that a lost link hides.
    #[serde(with = "crate::stored")]
    condition_before: Condition,
    pub(crate) eta: Option<Eta>,
}

/// Whether a package needs somebody before its life comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Need {
    Nobody,
    /// Before it is let go at the right place, or comes to a hub.
    Somebody,
    /// At a hub, where nobody comes for it by themselves.
    SomebodyAtHub,
    /// For a drone that does not say that it turned round.
    SomebodyForDrone,
}

/// When a delivery is expected, as last computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eta {
    /// At the pick-up; absent once the package is on board.
    #[serde(with = "crate::stored")]
    pub pickup_at: Option<Timestamp>,
    /// At the drop-off.
    #[serde(with = "crate::stored")]
    pub dropoff_at: Option<Timestamp>,
    /// When the fleet said so.
    #[serde(with = "crate::stored")]
    pub computed_at: Timestamp,
}

impl Progress {
    /// A delivery that was just created.
    pub(crate) fn created() -> Self {
        Self {
            status: Status::Pending,
            resumed: Status::Pending,
            at_hub: false,
            astray: false,
            need: Need::Nobody,
            condition: Condition::Nominal,
            condition_before: Condition::Nominal,
            eta: None,
        }
    }

    /// Somebody has to look after it: the package is where it should not be, or
    /// in nobody's hands, or at a hub for nobody who comes, or a mission ended or a drone came down
    /// with it.
    pub(crate) fn action_required(&self) -> bool {
        self.astray || self.need != Need::Nobody
    }

    /// When it is expected at the drop-off, while it is under way.
    pub(crate) fn dropoff_at(&self) -> Option<Timestamp> {
        self.eta.and_then(|eta| eta.dropoff_at)
    }

    /// Follows an event. Total: any event in any state gives a state.
    pub(crate) fn evolve(&mut self, event: &DeliveryEvent, event_time: Timestamp) {
        let before = (self.status, self.resumed);
        match event {
            DeliveryEvent::Created(_)
            | DeliveryEvent::Rescheduled(_)
            | DeliveryEvent::AttemptFailed { .. }
            | DeliveryEvent::AnomalyRecorded { .. }
            | DeliveryEvent::DeadlineMissed { .. }
            | DeliveryEvent::Confirmed { .. }
            | DeliveryEvent::Corrected { .. }
            | DeliveryEvent::GivenUp { .. }
            | DeliveryEvent::HandedBack { .. }
            | DeliveryEvent::Vouched { .. } => {}
            DeliveryEvent::MilestoneTimeCorrected { milestone, .. } => self.correct(*milestone),
            DeliveryEvent::Scheduled => self.status = Status::Scheduled,
            DeliveryEvent::DroneAssigned(assignment) => self.assign(assignment, event_time),
            DeliveryEvent::DroneUnassigned { .. } => self.wait(),
            DeliveryEvent::HeadedToPickup { .. } => self.fetch(Status::HeadedToPickup),
            DeliveryEvent::ArrivedAtPickup { .. } => self.fetch(Status::AtPickup),
            DeliveryEvent::PickedUp { .. } => {
                self.status = Status::Loaded;
                self.at_hub = false;
                if let Some(eta) = &mut self.eta {
                    eta.pickup_at = None;
                }
            }
            DeliveryEvent::InTransit { .. } => self.status = Status::InTransit,
            DeliveryEvent::ArrivedAtDropoff { .. } => self.status = Status::AtDropoff,
            DeliveryEvent::Released { .. } => {
                self.status = Status::AtDropoff;
                self.eta = None;
                self.need = Need::Nobody;
            }
            DeliveryEvent::ReturnStarted { .. } => self.turn_back(),
            DeliveryEvent::ArrivedAtHub { .. } => {
                self.status = Status::AtHub;
                self.at_hub = true;
                self.need = Need::Nobody;
            }
            DeliveryEvent::CancellationRequested { .. } => {
                self.resumed = self.status;
                self.status = Status::Cancelling;
            }
            DeliveryEvent::CancellationRejected { .. } => self.resume(),
            DeliveryEvent::DeliveryComplete { .. } => self.end(Status::Complete),
            DeliveryEvent::Returned { .. } => self.end(Status::Returned),
            DeliveryEvent::Cancelled => self.end(Status::Cancelled),
            DeliveryEvent::Rejected { .. } => self.end(Status::Rejected),
            DeliveryEvent::Failed { mission: _, reason } => {
                self.end(Status::Failed);
                self.astray = *reason != Failure::NoDrone;
            }
            DeliveryEvent::Reopened { to, .. } => self.reopen(*to),
            DeliveryEvent::ConfirmationOverdue => self.need = Need::Somebody,
            DeliveryEvent::Stranded { place } => self.strand(*place),
            DeliveryEvent::ConditionChanged { condition, .. } => self.change(*condition),
            DeliveryEvent::EtaRevised {
                pickup_at,
                dropoff_at,
                ..
            } => self.expect((*pickup_at, *dropoff_at), event_time),
        }
        self.get_on(event, before);
    }

    /// Whoever gets on is neither held up nor out of reach any more. That
    /// somebody cancels says nothing of the drone.
    fn get_on(&mut self, event: &DeliveryEvent, before: (Status, Status)) {
        let is_of_cancellation = matches!(
            event,
            DeliveryEvent::CancellationRequested { .. }
                | DeliveryEvent::CancellationRejected { .. }
        );
        let is_release = matches!(event, DeliveryEvent::Released { .. });
        let gets_on = before != (self.status, self.resumed) || is_release;
        if gets_on && !is_of_cancellation {
            (self.condition, self.condition_before) = (Condition::Nominal, Condition::Nominal);
        }
    }

    fn change(&mut self, condition: Condition) {
        match condition {
            Condition::LinkLost => self.condition_before = self.condition,
            Condition::Emergency => self.need = Need::Somebody,
            Condition::Nominal
            | Condition::Delayed
            | Condition::Holding(_)
            | Condition::Diverted => {}
        }
        self.condition = condition;
    }

    fn expect(
        &mut self,
        (pickup_at, dropoff_at): (Option<Timestamp>, Option<Timestamp>),
        computed_at: Timestamp,
    ) {
        let is_known = pickup_at.is_some() || dropoff_at.is_some();
        self.eta = is_known.then_some(Eta {
            pickup_at,
            dropoff_at,
            computed_at,
        });
    }

    fn assign(&mut self, assignment: &Assignment, event_time: Timestamp) {
        self.fetch(Status::Assigned);
        // A drone comes for what waited there.
        self.settle(Need::SomebodyAtHub);
        self.expect((assignment.eta_pickup, assignment.eta_dropoff), event_time);
    }

    fn resume(&mut self) {
        self.status = self.resumed;
        self.settle(Need::SomebodyForDrone);
    }

    fn strand(&mut self, place: Stranding) {
        self.need = match place {
            Stranding::OnBoard => Need::Somebody,
            Stranding::AtHub => Need::SomebodyAtHub,
            Stranding::WithSender | Stranding::UnderWay => Need::SomebodyForDrone,
        };
    }

    fn settle(&mut self, need: Need) {
        if self.need == need {
            self.need = Need::Nobody;
        }
    }

    fn turn_back(&mut self) {
        self.status = Status::Returning;
        self.eta = None;
        self.settle(Need::SomebodyForDrone);
    }

    /// Whoever was asked to turn round says when they did.
    fn correct(&mut self, milestone: Milestone) {
        if milestone == Milestone::ReturnStarted {
            self.settle(Need::SomebodyForDrone);
        }
    }

    /// For another drone.
    fn wait(&mut self) {
        self.eta = None;
        self.settle(Need::SomebodyForDrone);
        let waiting = if self.at_hub {
            Status::AtHub
        } else {
            Status::Scheduled
        };
        self.fetch(waiting);
    }

    fn reopen(&mut self, to: ReopenedAs) {
        self.status = match to {
            ReopenedAs::InTransit => Status::InTransit,
            ReopenedAs::Returning => Status::Returning,
            ReopenedAs::AtHub => Status::AtHub,
        };
        self.at_hub = to == ReopenedAs::AtHub;
        self.astray = false;
    }

    /// A step before the package is on board. While being cancelled it is only
    /// remembered.
    fn fetch(&mut self, status: Status) {
        if self.status == Status::Cancelling {
            self.resumed = status;
        } else {
            self.status = status;
        }
    }

    fn end(&mut self, status: Status) {
        self.status = status;
        self.eta = None;
        self.need = Need::Nobody;
        self.astray = false;
    }
}
