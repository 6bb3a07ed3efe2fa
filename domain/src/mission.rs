//! A mission: which delivery a drone flies for. It is bound once, for ever.

pub(crate) mod payload;

use crate::drone::Sender;
use crate::id::{DeliveryId, DroneId, FleetId, SessionId};

/// An event on a mission's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissionEvent {
    /// A fleet said which delivery the mission is for; always the stream's first event.
    MissionBound {
        /// The delivery.
        delivery: DeliveryId,
        /// The how-manieth mission of the delivery it is; 0 for one that the
        /// delivery could not take.
        epoch: u32,
        /// Who said so.
        sender: Sender,
    },
    /// The drone's sender began a new life during the mission.
    MissionContinued {
        /// The new life.
        session: SessionId,
    },
}

/// What is known of a mission that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    delivery: DeliveryId,
    epoch: u32,
    fleet: FleetId,
    drone: DroneId,
    session: SessionId,
}

impl Mission {
    /// The delivery it is for.
    #[must_use]
    pub const fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// The how-manieth mission of its delivery it is; 0 if that could not take it.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether this is the drone that flies it.
    #[must_use]
    pub fn is_flown_by(&self, sender: &Sender) -> bool {
        self.fleet == sender.fleet && self.drone == sender.drone
    }

    /// The newest session that spoke of it.
    #[must_use]
    pub const fn session(&self) -> &SessionId {
        &self.session
    }

    /// The state after an event. Total: what makes no sense changes nothing.
    #[must_use]
    pub fn evolve(state: Option<Self>, event: &MissionEvent) -> Option<Self> {
        match (state, event) {
            (
                None,
                MissionEvent::MissionBound {
                    delivery,
                    epoch,
                    sender,
                },
            ) => Some(Self {
                delivery: *delivery,
                epoch: *epoch,
                fleet: sender.fleet.clone(),
                drone: sender.drone.clone(),
                session: sender.session.clone(),
            }),
            (Some(mission), MissionEvent::MissionContinued { session }) => {
                let session = mission.session.clone().max(session.clone());
                Some(Self { session, ..mission })
            }
            (None, MissionEvent::MissionContinued { .. }) => None,
            (Some(mission), MissionEvent::MissionBound { .. }) => Some(mission),
        }
    }
}
