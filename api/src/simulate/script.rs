//! A mission before it is flown: what the drone does and says, step by step.
//!
//! A script is pure: it follows from the seed, the order and the attempt. What
//! depends on the service is a step that waits for it, so however fast anyone
//! is, the same things happen in the same order.

use domain::geo::GeoPoint;
use serde_json::{Value, json};

use super::city::on_the_way;
use super::dice::Lot;
use super::faults::{Fault, Faults};
use super::incident::{Incident, Struck};
use super::order::Order;
use super::outlook::Course;
use super::transport::told_badly;

/// What a mission is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand<'a> {
    pub(super) order: &'a Order,
    /// Where the package is fetched this time.
    pub(super) pickup: GeoPoint,
    /// Where it is brought this time.
    pub(super) dropoff: GeoPoint,
    /// Whether it is at a hub: nobody can cancel any more.
    pub(super) is_at_hub: bool,
    /// Where the drone is at home.
    pub(super) base: GeoPoint,
    pub(super) hub: GeoPoint,
}

/// Something that a drone says and that is never lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) kind: &'static str,
    /// What this kind has of its own.
    pub(super) own: Value,
    pub(super) at: GeoPoint,
}

/// Facts that go into one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Telling {
    /// As they happened.
    pub(super) facts: Vec<Fact>,
    /// As they are sent: places in `facts`, each at least once.
    pub(super) sent: Vec<usize>,
    /// The request is sent once more.
    pub(super) again: bool,
}

/// What a customer wants otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It may be fetched for longer.
    Window,
    /// It is wanted elsewhere.
    Dropoff(GeoPoint),
    /// It is wanted so soon that it comes too late.
    Deadline,
}

/// One step of a mission.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// The drone waits until it is through with its earlier missions.
    AwaitTurn,
    /// What follows concerns the drone alone: the delivery may be given to another one.
    LeaveDelivery,
    /// The drone flies.
    Fly { from: GeoPoint, to: GeoPoint },
    /// The drone stays where it is, seconds.
    Stay { at: GeoPoint, s: u32 },
    /// The drone speaks.
    Tell(Telling),
    /// The drone speaks, and waits until the delivery shows it: what its other missions
    /// told too late may hold it up.
    TellUntilSeen(Telling),
    /// A fact comes only after the service has gone on without it.
    TellLate { late: Fact, meanwhile: Telling },
    /// The sender begins anew.
    Restart,
    /// The customer cancels, and has the answer.
    Cancel {
        /// Whether that is still possible.
        is_taken: bool,
    },
    /// The customer changes the order, and has the answer. A deadline passes before it goes on.
    Change(Change),
    /// The customer wants the package back, and has the answer.
    AskBack,
    /// The drone waits until it is told that the mission is not wanted.
    AwaitStandDown,
    /// The drone waits until the delivery shows this condition.
    AwaitCondition(&'static str),
    /// Another drone is given the same delivery, and is told that it is not wanted.
    SecondDrone,
}

impl Step {
    /// What is said in it, if the drone speaks; without what it keeps back until then.
    pub(super) fn telling(&self) -> Option<&Telling> {
        match self {
            Self::Tell(telling)
            | Self::TellUntilSeen(telling)
            | Self::TellLate {
                meanwhile: telling, ..
            } => Some(telling),
            Self::AwaitTurn
            | Self::LeaveDelivery
            | Self::Fly { .. }
            | Self::Stay { .. }
            | Self::Restart
            | Self::Cancel { .. }
            | Self::Change(_)
            | Self::AskBack
            | Self::AwaitStandDown
            | Self::AwaitCondition(_)
            | Self::SecondDrone => None,
        }
    }
}

/// A mission as it will be flown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// What goes wrong in it.
    pub(super) faults: Vec<Fault>,
    /// Reports of positions that do not arrive, of a thousand.
    pub(super) reports_lost_permille: u32,
    /// How it comes out.
    pub(super) course: Course,
    /// Types of events that what goes wrong cannot but leave.
    pub(super) leaves: &'static [&'static str],
    /// What goes wrong cannot but be recorded as this anomaly.
    pub(super) anomaly: Option<&'static str>,
    /// The drone has already taken the package when it hears that the mission is not wanted.
    pub(super) hears_too_late: bool,
}

/// The parts of a mission that goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Accept,
    SetOut,
    ReachPickup,
    Load,
    SetOutForDropoff,
    ReachDropoff,
    HandOver,
    GoHome,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Accept,
        Self::SetOut,
        Self::ReachPickup,
        Self::Load,
        Self::SetOutForDropoff,
        Self::ReachDropoff,
        Self::HandOver,
        Self::GoHome,
    ];
}

/// The script of a mission.
pub(super) fn script(lot: &Lot, errand: &Errand<'_>, faults: &Faults) -> Script {
    let mut writer = Writer::new(lot, errand);
    let incident = Incident::draw(lot, errand, faults);
    for stage in Stage::ALL {
        match &incident {
            Some(incident) if incident.stage == stage => match incident.strike(&mut writer) {
                Struck::GoesOn => writer.write(stage),
                Struck::Ended => break,
            },
            Some(_) | None => writer.write(stage),
        }
    }
    let (steps, mut struck) = told_badly(writer.steps, lot, faults);
    struck.extend(incident.as_ref().map(Incident::fault));
    let reports_lost_permille = if faults.has(Fault::LostTelemetry) {
        struck.push(Fault::LostTelemetry);
        lot.dice("lost telemetry").below(600)
    } else {
        0
    };
    Script {
        steps,
        faults: struck,
        reports_lost_permille,
        course: incident
            .as_ref()
            .map_or(Course::Delivered, |it| it.course(errand.order)),
        leaves: incident.as_ref().map_or(&[], Incident::leaves),
        anomaly: incident.as_ref().and_then(Incident::anomaly),
        hears_too_late: incident.as_ref().is_some_and(Incident::hears_too_late),
    }
}

/// Writes a script, and knows where the drone is.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) lot: &'a Lot,
    pub(super) errand: &'a Errand<'a>,
    here: GeoPoint,
    pub(super) steps: Vec<Step>,
}

impl<'a> Writer<'a> {
    fn new(lot: &'a Lot, errand: &'a Errand<'a>) -> Self {
        Self {
            lot,
            errand,
            here: errand.base,
            steps: Vec::new(),
        }
    }

    /// What goes well.
    pub(super) fn write(&mut self, stage: Stage) {
        match stage {
            Stage::Accept => {
                self.tell("mission_assigned", json!({}));
                self.steps.push(Step::AwaitTurn);
            }
            Stage::SetOut => self.tell("departed", json!({"leg": "pickup"})),
            Stage::ReachPickup => {
                self.fly(self.errand.pickup);
                self.tell("arrived", json!({"at": "pickup"}));
            }
            Stage::Load => {
                let order = self.errand.order;
                let loaded = json!({"tag": order.tag, "mass_g": order.mass_g});
                self.tell("package_loaded", loaded);
            }
            Stage::SetOutForDropoff => self.tell("departed", json!({"leg": "dropoff"})),
            Stage::ReachDropoff => {
                self.fly(self.errand.dropoff);
                self.tell("arrived", json!({"at": "dropoff"}));
            }
            Stage::HandOver => self.hand_over(),
            Stage::GoHome => {
                self.tell("departed", json!({"leg": "return"}));
                self.go_home();
            }
        }
    }

    fn hand_over(&mut self) {
        let mut dice = self.lot.dice("hand over");
        let method = dice.pick(&["winch", "gripper", "land"]).unwrap_or("winch");
        let is_shown_first = dice.happens(500);
        let proof = self.errand.order.confirmation.map(|kind| {
            let hash = blake3::hash(self.errand.order.tag.as_bytes()).to_hex();
            json!({"kind": kind, "proof_hash": hash.as_str()})
        });
        let released = json!({
            "method": method, "height_above_ground_m": 5.0, "confirmed": true, "evidence": "item_reached",
        });
        match proof {
            Some(proof) if is_shown_first => {
                self.tell("recipient_verified", proof);
                self.tell("package_released", released);
            }
            Some(proof) => {
                self.tell("package_released", released);
                self.tell("recipient_verified", proof);
            }
            None => self.tell("package_released", released),
        }
    }

    /// Home, and the end of the mission.
    pub(super) fn go_home(&mut self) {
        self.steps.push(Step::LeaveDelivery);
        self.fly(self.errand.base);
        let completed = json!({"outcome": "landed_home", "payload_on_board": false});
        self.tell("mission_completed", completed);
    }

    pub(super) fn fly(&mut self, to: GeoPoint) {
        let from = std::mem::replace(&mut self.here, to);
        self.steps.push(Step::Fly { from, to });
    }

    /// Half of what this stage has to fly.
    pub(super) fn fly_half(&mut self, stage: Stage) {
        let to = match stage {
            Stage::ReachPickup => self.errand.pickup,
            Stage::ReachDropoff => self.errand.dropoff,
            Stage::Accept
            | Stage::SetOut
            | Stage::Load
            | Stage::SetOutForDropoff
            | Stage::HandOver
            | Stage::GoHome => return,
        };
        self.fly(on_the_way(self.here, to, 500));
    }

    pub(super) fn stay(&mut self, s: u32) {
        self.steps.push(Step::Stay { at: self.here, s });
    }

    pub(super) fn tell(&mut self, kind: &'static str, own: Value) {
        self.tell_together([(kind, own)]);
    }

    /// Tells several facts in one request, whatever else happens.
    pub(super) fn tell_together<const N: usize>(&mut self, facts: [(&'static str, Value); N]) {
        let at = self.here;
        let facts = facts.map(|(kind, own)| Fact { kind, own, at });
        self.steps.push(Step::Tell(Telling::of(facts.into())));
    }

    /// Tells a fact, and waits until it has had an effect.
    pub(super) fn tell_until_seen(&mut self, kind: &'static str, own: Value) {
        let telling = Telling::alone(kind, own, self.here);
        self.steps.push(Step::TellUntilSeen(telling));
    }

    /// Waits to hear that the mission is not wanted, and obeys.
    pub(super) fn stand_down(&mut self) {
        self.steps.push(Step::AwaitStandDown);
        self.tell("stood_down", json!({}));
    }
}

impl Telling {
    /// These, once each and in order.
    pub(super) fn of(facts: Vec<Fact>) -> Self {
        let sent = (0..facts.len()).collect();
        Self {
            facts,
            sent,
            again: false,
        }
    }

    /// One fact.
    pub(super) fn alone(kind: &'static str, own: Value, at: GeoPoint) -> Self {
        Self::of(vec![Fact { kind, own, at }])
    }

    /// Whether a fact of this kind is told.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.facts.iter().any(|fact| fact.kind == kind)
    }
}

#[cfg(test)]
mod tests;
