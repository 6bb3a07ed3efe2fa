//! The drones: where they are at home, what each has still to fly, and how each speaks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::geo::GeoPoint;
use domain::id::{DeliveryId, MissionId};
use domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::city::City;
use super::client::Client;
use super::script::{Fact, Telling};
use super::speech::{Saying, TELEMETRY};
use crate::environment::Environment;

/// Most reports of positions that wait to be sent; more are lost, as they may be.
const REPORTS_MAX: usize = 5_000;

/// How high drones fly.
const HEIGHT_M: f64 = 60.0;

/// All drones of a simulation.
#[derive(Debug)]
pub(super) struct Fleet {
    drones: Vec<Arc<Drone>>,
}

/// One drone.
#[derive(Debug)]
pub(super) struct Drone {
    name: String,
    pub(super) base: GeoPoint,
    /// Missions that it has accepted and not ended.
    missions: AtomicU32,
    /// Held by the mission that it flies.
    turn: Arc<Semaphore>,
    link: tokio::sync::Mutex<Link>,
    environment: Environment,
}

/// How a drone speaks: the counters of its sender's life.
#[derive(Debug)]
struct Link {
    /// The same for all lives of all senders of a run, later for later runs.
    run: String,
    lives: u32,
    session: String,
    facts: u64,
    reports: u64,
}

/// A mission that a drone has accepted; dropped, it has ended.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) drone: Arc<Drone>,
    pub(super) mission: MissionId,
    pub(super) delivery: DeliveryId,
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.drone.missions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fleet {
    /// So many drones in a run of this name, whose senders' lives begin after those of earlier runs.
    pub(super) fn new((drones, run): (u32, &str), city: &City, environment: &Environment) -> Self {
        let drone = |number| {
            Arc::new(Drone {
                name: format!("sim-{number:04}"),
                base: city.base(number),
                missions: AtomicU32::new(0),
                turn: Arc::new(Semaphore::new(1)),
                link: tokio::sync::Mutex::new(Link::new(run)),
                environment: environment.clone(),
            })
        };
        Self {
            drones: (0..drones).map(drone).collect(),
        }
    }

    /// Gives a mission to the drone that has least to do, other than one.
    pub(super) fn accept(
        &self,
        (mission, delivery): (MissionId, DeliveryId),
        other_than: Option<&Drone>,
    ) -> Option<Accepted> {
        let free = self
            .drones
            .iter()
            .filter(|drone| other_than.is_none_or(|other| other.name != drone.name));
        let drone = free.min_by_key(|drone| drone.missions.load(Ordering::Relaxed))?;
        drone.missions.fetch_add(1, Ordering::Relaxed);
        Some(Accepted {
            drone: Arc::clone(drone),
            mission,
            delivery,
        })
    }
}

impl Link {
    fn new(run: &str) -> Self {
        let mut link = Self {
            run: run.to_owned(),
            lives: 0,
            session: String::new(),
            facts: 0,
            reports: 0,
        };
        link.begin_anew();
        link
    }

    fn begin_anew(&mut self) {
        self.lives += 1;
        self.session = format!("{}-{:06}", self.run, self.lives);
        self.facts = 0;
        self.reports = 0;
    }
}

impl Accepted {
    /// Waits until the drone is through with what it accepted before.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.drone.turn).acquire_owned().await.ok()
    }

    /// Says facts, and waits until they are durable. One request of a drone follows the
    /// other, so that none arrives before those that it follows.
    pub(super) async fn tell(&self, client: &Client, telling: &Telling) -> anyhow::Result<()> {
        let mut link = self.drone.link.lock().await;
        let events: Vec<_> = telling
            .facts
            .iter()
            .map(|fact| self.number(&mut link, fact))
            .collect();
        let sent = || telling.sent.iter().filter_map(|place| events.get(*place));
        client.tell(sent()).await?;
        if telling.again {
            client.tell(sent()).await?;
        }
        Ok(())
    }

    /// Numbers a fact without saying it: it is missed until it is said.
    pub(super) async fn keep_back(&self, fact: &Fact) -> Value {
        self.number(&mut *self.drone.link.lock().await, fact)
    }

    /// The sender begins anew.
    pub(super) async fn restart(&self) {
        self.drone.link.lock().await.begin_anew();
    }

    /// Says where the drone is.
    pub(super) async fn report(&self, reports: &Reports, at: GeoPoint, phase: &str) {
        let mut link = self.drone.link.lock().await;
        link.reports += 1;
        let own = json!({"phase": phase, "battery": {"remaining_pct": 80, "state": "ok"}});
        let report = self.saying(&link, (TELEMETRY, link.reports), at, &own);
        reports.push(report);
    }

    fn number(&self, link: &mut Link, fact: &Fact) -> Value {
        link.facts += 1;
        let mut own = fact.own.clone();
        if let ("mission_assigned" | "mission_rejected", Value::Object(own)) = (fact.kind, &mut own)
        {
            let delivery = json!(self.delivery.to_string());
            own.insert("delivery_id".to_owned(), delivery);
        }
        self.saying(link, (fact.kind, link.facts), fact.at, &own)
    }

    fn saying(&self, link: &Link, (kind, seq): (&str, u64), at: GeoPoint, own: &Value) -> Value {
        let now = Timestamp::from_micros(self.drone.environment.now_us());
        Saying {
            drone: &self.drone.name,
            session: &link.session,
            mission: self.mission,
            kind,
            seq,
            time: now.expect("the clock of a machine shows a year before 10000"),
            at,
            height_above_home_m: HEIGHT_M,
            own,
        }
        .to_json()
    }
}

/// Reports of positions on their way to the service: many drones' in one request, and
/// lost if the service does not take them.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<Vec<Value>>);

impl Reports {
    fn push(&self, report: Value) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < REPORTS_MAX {
            waiting.push(report);
        }
    }

    /// Everything that waits.
    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
