//! Where a delivery is in its life, as several views need to know it: a small
//! fold of its events, kept in their rows.
//!
//! It follows events that the domain has decided on and decides nothing; that
//! it agrees with the domain's own fold is a property test of
//! [`delivery_status`](crate::delivery_status).

use domain::delivery::{Anomaly, DeliveryEvent, Failure, Status};
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
    misdelivered: bool,
    /// A mission ended and the package is said to be on the drone still.
    left_on_board: bool,
    pub(crate) eta: Option<Eta>,
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
            misdelivered: false,
            left_on_board: false,
            eta: None,
        }
    }

    /// Somebody has to look after it: it was let go in the wrong place, or its
    /// mission ended with the package on board and it has not ended since.
    pub(crate) fn action_required(&self) -> bool {
        self.misdelivered || self.left_on_board
    }

    /// When it is expected at the drop-off, while it is under way.
    pub(crate) fn dropoff_at(&self) -> Option<Timestamp> {
        self.eta.and_then(|eta| eta.dropoff_at)
    }

    /// Follows an event. Total: any event in any state gives a state.
    pub(crate) fn evolve(&mut self, event: &DeliveryEvent, event_time: Timestamp) {
        match event {
            DeliveryEvent::Created(_)
            | DeliveryEvent::Rescheduled(_)
            | DeliveryEvent::AttemptFailed { .. }
            | DeliveryEvent::DeadlineMissed { .. }
            | DeliveryEvent::MilestoneTimeCorrected { .. } => {}
            DeliveryEvent::Scheduled => self.status = Status::Scheduled,
            DeliveryEvent::DroneAssigned(assignment) => {
                self.fetch(Status::Assigned);
                let (pickup_at, dropoff_at) = (assignment.eta_pickup, assignment.eta_dropoff);
                let known = pickup_at.is_some() || dropoff_at.is_some();
                self.eta = known.then_some(Eta {
                    pickup_at,
                    dropoff_at,
                    computed_at: event_time,
                });
            }
            DeliveryEvent::DroneUnassigned { .. } => {
                self.eta = None;
                let waiting = if self.at_hub {
                    Status::AtHub
                } else {
                    Status::Scheduled
                };
                self.fetch(waiting);
            }
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
            DeliveryEvent::ReturnStarted { .. } => {
                self.status = Status::Returning;
                self.eta = None;
            }
            DeliveryEvent::ArrivedAtHub { .. } => {
                self.status = Status::AtHub;
                self.at_hub = true;
            }
            DeliveryEvent::CancellationRequested { .. } => {
                self.resumed = self.status;
                self.status = Status::Cancelling;
            }
            DeliveryEvent::CancellationRejected { .. } => self.status = self.resumed,
            DeliveryEvent::DeliveryComplete { .. } => self.end(Status::Complete),
            DeliveryEvent::Returned { .. } => self.end(Status::Returned),
            DeliveryEvent::Cancelled => self.end(Status::Cancelled),
            DeliveryEvent::Rejected { .. } => self.end(Status::Rejected),
            DeliveryEvent::Failed { mission: _, reason } => {
                self.end(Status::Failed);
                self.misdelivered = *reason == Failure::Misdelivered;
            }
            DeliveryEvent::AnomalyRecorded { fact: _, why } => {
                if *why == Anomaly::EndedWithPackage {
                    self.left_on_board = true;
                }
            }
        }
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
        self.left_on_board = false;
        self.misdelivered = false;
    }
}
