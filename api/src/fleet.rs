//! The last telemetry of every drone: in memory alone, since it is true only
//! for a moment and never changes a delivery.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::drone::Telemetry;
use domain::id::{DroneId, FleetId};

/// Most drones that are remembered; the telemetry of more is taken and forgotten.
pub const DRONES_MAX: usize = 100_000;

/// How telemetry relates to what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It is the newest.
    Newest,
    /// Something newer is known, or nothing more can be remembered.
    Superseded,
    /// It is known already.
    Repeated,
}

/// Where all drones are. Cheap to clone; clones share what is known.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    drones: Arc<Mutex<BTreeMap<(DroneId, FleetId), Telemetry>>>,
}

impl Fleet {
    /// Takes telemetry. The newest by (session, seq) stays, whatever its time.
    #[must_use]
    pub fn observe(&self, telemetry: Telemetry) -> Observation {
        let mut drones = self.drones();
        let key = (
            telemetry.sender.drone.clone(),
            telemetry.sender.fleet.clone(),
        );
        let age = |telemetry: &Telemetry| (telemetry.sender.session.clone(), telemetry.seq);
        let observation = match drones.get(&key) {
            Some(known) if age(known) == age(&telemetry) => Observation::Repeated,
            Some(known) if age(known) > age(&telemetry) => Observation::Superseded,
            None if drones.len() >= DRONES_MAX => Observation::Superseded,
            Some(_) | None => Observation::Newest,
        };
        if observation == Observation::Newest {
            drones.insert(key, telemetry);
        }
        observation
    }

    /// What a drone of a fleet last said.
    #[must_use]
    pub fn drone_of(&self, fleet: &FleetId, drone: &DroneId) -> Option<Telemetry> {
        self.drones().get(&(drone.clone(), fleet.clone())).cloned()
    }

    /// What a drone last said, whatever fleet it is of: of drones with one
    /// name the one that was heard last.
    #[must_use]
    pub fn drone(&self, drone: &DroneId) -> Option<Telemetry> {
        // No fleet's name sorts before this one.
        let first = (drone.clone(), FleetId::new("-").ok()?);
        let drones = self.drones();
        let named = drones
            .range(first..)
            .take_while(|((name, _), _)| name == drone);
        named
            .map(|(_, telemetry)| telemetry)
            .max_by_key(|telemetry| telemetry.received_at)
            .cloned()
    }

    /// Some drones in the order of their names, from after `after` on.
    #[must_use]
    pub fn page(&self, after: Option<&(DroneId, FleetId)>, limit: usize) -> Vec<Telemetry> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.drones()
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, telemetry)| telemetry.clone())
            .collect()
    }

    fn drones(&self) -> MutexGuard<'_, BTreeMap<(DroneId, FleetId), Telemetry>> {
        // Every change is one insertion, so a panic elsewhere leaves nothing half done.
        self.drones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::drone::Sender;
    use domain::id::SessionId;
    use domain::time::Timestamp;

    use super::*;

    fn telemetry(fleet: &str, drone: &str, session: &str, seq: u64) -> Telemetry {
        let sender = Sender {
            fleet: FleetId::new(fleet).unwrap(),
            drone: DroneId::new(drone).unwrap(),
            session: SessionId::new(session).unwrap(),
        };
        let at = Timestamp::from_micros(i64::try_from(seq).unwrap()).unwrap();
        Telemetry {
            sender,
            seq,
            mission: None,
            simulated: false,
            event_time: at,
            received_at: at,
            phase: None,
            position: None,
            velocity: None,
            heading_cdeg: None,
            battery: None,
            eta_next: None,
            eta_end: None,
        }
    }

    #[test]
    fn the_newest_by_session_and_number_stays_in_whatever_order_it_comes() {
        let fleet = Fleet::default();
        for (session, seq, observation) in [
            ("1", 5, Observation::Newest),
            ("1", 5, Observation::Repeated),
            ("1", 4, Observation::Superseded),
            ("2", 1, Observation::Newest),
            ("1", 6, Observation::Superseded),
        ] {
            assert_eq!(
                fleet.observe(telemetry("f", "d", session, seq)),
                observation,
                "{session} {seq}"
            );
        }
        assert_eq!(fleet.drone(&DroneId::new("d").unwrap()).unwrap().seq, 1);
    }

    #[test]
    fn drones_of_one_name_are_told_apart_by_their_fleet() {
        let fleet = Fleet::default();
        for (of, drone, seq) in [
            ("-", "d", 1),
            ("z", "d", 3),
            ("a", "d", 2),
            ("a", "c", 9),
            ("a", "e", 9),
        ] {
            let _ = fleet.observe(telemetry(of, drone, "1", seq));
        }
        let (name, of) = (DroneId::new("d").unwrap(), FleetId::new("a").unwrap());
        assert_eq!(
            fleet.drone(&name).unwrap().seq,
            3,
            "the one that was heard last"
        );
        assert_eq!(fleet.drone_of(&of, &name).unwrap().seq, 2);
        assert_eq!(fleet.drone(&DroneId::new("x").unwrap()), None);
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended() {
        let fleet = Fleet::default();
        for drone in ["a", "b", "c"] {
            let _ = fleet.observe(telemetry("f", drone, "1", 1));
        }
        let first = fleet.page(None, 2);
        let last = first.last().map(|telemetry| {
            (
                telemetry.sender.drone.clone(),
                telemetry.sender.fleet.clone(),
            )
        });
        let second = fleet.page(last.as_ref(), 2);
        let names = |page: &[Telemetry]| {
            page.iter()
                .map(|t| t.sender.drone.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (names(&first), names(&second)),
            (vec!["a".into(), "b".into()], vec!["c".to_owned()])
        );
    }
}
