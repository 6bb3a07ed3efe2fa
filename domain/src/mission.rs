//! A mission: which delivery a drone flies for. It is bound once, for ever.
//!
//! That nobody hears its drone is kept here as well: it is the delivery's business only
//! once it lasts.

pub(crate) mod payload;

use crate::decider::Occurrence;
use crate::drone::Sender;
use crate::id::{DeliveryId, DroneId, FactId, FleetId, SessionId};
use crate::time::Timestamp;

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
    /// Nobody hears the drone; since the drone event came in, whatever time that bears.
    LinkLost {
        /// The drone event.
        fact: FactId,
    },
    /// It is heard again.
    LinkRestored,
}

/// What is known of a mission that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    delivery: DeliveryId,
    epoch: u32,
    fleet: FleetId,
    drone: DroneId,
    session: SessionId,
    link_lost: Option<(Timestamp, FactId)>,
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

    /// Since when nobody hears the drone, and the drone event that said so.
    #[must_use]
    pub fn link_lost(&self) -> Option<(Timestamp, &FactId)> {
        self.link_lost.as_ref().map(|(since, fact)| (*since, fact))
    }

    /// The state after an event. Total: what makes no sense changes nothing.
    #[must_use]
    pub fn evolve(state: Option<Self>, occurrence: &Occurrence<MissionEvent>) -> Option<Self> {
        let mut mission = state.or_else(|| bound_by(&occurrence.event))?;
        match &occurrence.event {
            MissionEvent::MissionBound { .. } => {}
            MissionEvent::MissionContinued { session } => {
                if *session > mission.session {
                    mission.session.clone_from(session);
                }
            }
            MissionEvent::LinkLost { fact } => {
                let lost = (occurrence.event_time, fact.clone());
                mission.link_lost = mission.link_lost.or(Some(lost));
            }
            MissionEvent::LinkRestored => mission.link_lost = None,
        }
        Some(mission)
    }
}

/// The mission that an event binds.
fn bound_by(event: &MissionEvent) -> Option<Mission> {
    match event {
        MissionEvent::MissionBound {
            delivery,
            epoch,
            sender,
        } => Some(Mission {
            delivery: *delivery,
            epoch: *epoch,
            fleet: sender.fleet.clone(),
            drone: sender.drone.clone(),
            session: sender.session.clone(),
            link_lost: None,
        }),
        MissionEvent::MissionContinued { .. }
        | MissionEvent::LinkLost { .. }
        | MissionEvent::LinkRestored => None,
    }
}
