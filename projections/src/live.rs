//! Where is each drone, and how does it do? In memory only.
//!
//! Telemetry is not in the log: after a restart nothing is known until the
//! drones speak again. Reads copy nothing but a pointer.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use domain::drone::Telemetry;
use domain::id::{DroneId, FleetId, MissionId};
use domain::time::Timestamp;

#[cfg(test)]
mod tests;

/// Most drones that are remembered, by default: ten times the largest fleet
/// that is planned for, some 50 MB.
pub const LIVE_DRONES_MAX: usize = 100_000;

/// A drone's name and its fleet: in this order, since lists go by drone.
pub type DroneName = (DroneId, FleetId);

/// How telemetry relates to what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It is the newest.
    Newest,
    /// Something newer is known.
    Superseded,
    /// It is what is known.
    Repeated,
}

/// The last known telemetry of every drone.
///
/// * Of a drone the newest is kept: by session, then by number within it.
/// * Of all drones at most so many are kept; whoever has been silent longest goes first.
#[derive(Debug)]
pub struct LiveDrones {
    drones_max: usize,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    drones: BTreeMap<DroneName, Arc<Telemetry>>,
    by_receipt: BTreeSet<(Timestamp, DroneName)>,
    by_mission: BTreeSet<(MissionId, DroneName)>,
}

impl Default for LiveDrones {
    fn default() -> Self {
        Self::new(LIVE_DRONES_MAX)
    }
}

impl LiveDrones {
    /// Knows no drone yet, and at most so many later.
    #[must_use]
    pub fn new(drones_max: usize) -> Self {
        Self {
            drones_max,
            known: RwLock::default(),
        }
    }

    /// Takes note of a drone's telemetry, if it is newer than what was known.
    pub fn note(&self, telemetry: Telemetry) -> Observation {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(&telemetry);
        if let Some(before) = known.drones.get(&name) {
            match age(&telemetry).cmp(&age(before)) {
                Ordering::Less => return Observation::Superseded,
                Ordering::Equal => return Observation::Repeated,
                Ordering::Greater => {}
            }
            known.forget(&name);
        }
        known.remember(name, telemetry);
        while known.drones.len() > self.drones_max {
            let Some((_, stalest)) = known.by_receipt.first().cloned() else {
                break;
            };
            known.forget(&stalest);
        }
        Observation::Newest
    }

    /// A drone of a fleet.
    #[must_use]
    pub fn drone(&self, fleet: &FleetId, drone: &DroneId) -> Option<Arc<Telemetry>> {
        let name = (drone.clone(), fleet.clone());
        self.read(|known| known.drones.get(&name).map(Arc::clone))
    }

    /// The drones of this name, of whatever fleet.
    #[must_use]
    pub fn drones_named(&self, drone: &DroneId) -> Vec<Arc<Telemetry>> {
        self.read(|known| {
            let from = (drone.clone(), first_fleet());
            let drones = known.drones.range(from..);
            drones
                .take_while(|((name, _), _)| name == drone)
                .map(|(_, telemetry)| Arc::clone(telemetry))
                .collect()
        })
    }

    /// The drone that flies a mission; if several say so, the one heard last.
    #[must_use]
    pub fn on_mission(&self, mission: MissionId) -> Option<Arc<Telemetry>> {
        self.read(|known| {
            let from = (mission, (first_drone(), first_fleet()));
            let flying = known.by_mission.range(from..);
            flying
                .take_while(|(of, _)| *of == mission)
                .filter_map(|(_, name)| known.drones.get(name))
                .max_by_key(|telemetry| telemetry.received_at)
                .map(Arc::clone)
        })
    }

    /// The drones after one, sorted by name, then by fleet, at most `limit`.
    #[must_use]
    pub fn list(&self, after: Option<&DroneName>, limit: usize) -> Vec<Arc<Telemetry>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|known| {
            let drones = known.drones.range((start, Bound::Unbounded));
            drones
                .take(limit)
                .map(|(_, telemetry)| Arc::clone(telemetry))
                .collect()
        })
    }

    /// How many drones are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|known| known.drones.len())
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn remember(&mut self, name: DroneName, telemetry: Telemetry) {
        self.by_receipt
            .insert((telemetry.received_at, name.clone()));
        if let Some(mission) = telemetry.mission {
            self.by_mission.insert((mission, name.clone()));
        }
        self.drones.insert(name, Arc::new(telemetry));
    }

    fn forget(&mut self, name: &DroneName) {
        let Some(telemetry) = self.drones.remove(name) else {
            return;
        };
        self.by_receipt
            .remove(&(telemetry.received_at, name.clone()));
        if let Some(mission) = telemetry.mission {
            self.by_mission.remove(&(mission, name.clone()));
        }
    }
}

/// The name that a drone is listed under.
fn name_of(telemetry: &Telemetry) -> DroneName {
    let sender = &telemetry.sender;
    (sender.drone.clone(), sender.fleet.clone())
}

/// The name before all others: `-` is the first character that names are made of.
fn first_drone() -> DroneId {
    DroneId::new("-").expect("it is made of one accepted character")
}

/// As [`first_drone`].
fn first_fleet() -> FleetId {
    FleetId::new("-").expect("it is made of one accepted character")
}

fn age(telemetry: &Telemetry) -> (&str, u64) {
    (telemetry.sender.session.as_str(), telemetry.seq)
}
