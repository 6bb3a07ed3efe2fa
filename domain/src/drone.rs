//! What Drone Management says, as values: facts, which change deliveries, and
//! telemetry, which never does.
//!
//! Units are SI; unknown is absent.

use std::fmt;

use crate::delivery::{Confirmation, HoldReason, ReleaseEvidence, ReleaseMethod};
use crate::geo::GeoPoint;
use crate::id::{DeliveryId, DroneId, FactId, FleetId, MissionId, ProofHash, SessionId, Tag};
use crate::quantity::MassG;
use crate::text::Comment;
use crate::time::{DurationS, Timestamp};

/// One life of one drone's sender. Facts are numbered, ordered and deduplicated within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sender {
    /// Whose drone.
    pub fleet: FleetId,
    /// Which drone.
    pub drone: DroneId,
    /// Which life.
    pub session: SessionId,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.fleet, self.drone, self.session)
    }
}

/// A fact about a mission, of a kind that deliveries are changed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroneFact {
    /// The sender's name of it.
    pub id: FactId,
    /// The mission it is about.
    pub mission: MissionId,
    /// When it happened.
    pub event_time: Timestamp,
    /// Where the drone was.
    pub position: Option<GeoPoint>,
    /// What happened.
    pub kind: FactKind,
}

/// What a drone event says happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// The fleet gave the mission to this drone.
    MissionAssigned {
        /// For this delivery.
        delivery: DeliveryId,
        /// When it expects to be at the pick-up.
        eta_pickup: Option<Timestamp>,
        /// When it expects to be at the drop-off.
        eta_dropoff: Option<Timestamp>,
    },
    /// The fleet will not fly the mission.
    MissionRejected {
        /// Why, in the fleet's words.
        detail: Option<Comment>,
    },
    /// The fleet broke the mission off.
    MissionAborted {
        /// Why, in the fleet's words.
        detail: Option<Comment>,
    },
    /// The drone set out.
    Departed(Leg),
    /// The drone is there.
    Arrived(Stop),
    /// The drone took a package.
    PackageLoaded {
        /// What it read on it.
        tag: Option<Tag>,
        /// What it weighed.
        mass: Option<MassG>,
    },
    /// The drone let the package go.
    PackageReleased {
        /// How.
        method: ReleaseMethod,
        /// Whether that was confirmed.
        confirmed: bool,
        /// By what.
        evidence: Option<ReleaseEvidence>,
    },
    /// The drone is back.
    Returned {
        /// Where.
        place: ReturnPlace,
        /// What it read on the package that it brought, if it says that it brought one.
        tag: Option<Tag>,
    },
    /// The mission was stood down, as asked.
    StoodDown,
    /// The drone crashed.
    Crashed {
        /// In the fleet's words.
        detail: Option<Comment>,
    },
    /// The drone is lost.
    Lost {
        /// In the fleet's words.
        detail: Option<Comment>,
    },
    /// The recipient showed who they are.
    RecipientVerified {
        /// With what kind of proof.
        kind: Confirmation,
        /// Its hash.
        proof: ProofHash,
    },
    /// The drone waits.
    HoldStarted(HoldReason),
    /// The drone waits no longer.
    HoldEnded,
    /// The drone's battery gets low.
    Battery(BatteryLevel),
    /// The drone flies elsewhere.
    Diverted {
        /// Where.
        to: DivertPlace,
        /// Why, in the fleet's words.
        detail: Option<Comment>,
    },
    /// Nothing is heard of the drone.
    LinkLost,
    /// The drone is heard of again.
    LinkRestored,
    /// The drone lost the package on the way.
    PackageDropped,
    /// The drone had to come down.
    EmergencyLanded {
        /// In the fleet's words.
        detail: Option<Comment>,
    },
    /// The mission is over.
    MissionCompleted {
        /// Whether the package is still on board, if the drone knows.
        payload_on_board: Option<bool>,
    },
}

crate::delivery::words! {
    /// A part of a mission's flight.
    Leg {
        /// To the package.
        Pickup "pickup",
        /// To the recipient.
        Dropoff "dropoff",
        /// Home, or back to the sender.
        Return "return",
    }
    /// Where a drone arrives.
    Stop {
        /// At the package.
        Pickup "pickup",
        /// At the recipient.
        Dropoff "dropoff",
    }
    /// Where a drone comes back to.
    ReturnPlace {
        /// The sender.
        Sender "sender",
        /// A hub.
        Hub "hub",
        /// Its base.
        Base "base",
    }
    /// How low a battery is.
    BatteryLevel {
        /// The mission should end soon.
        Low "low",
        /// It must end now.
        Critical "critical",
        /// The drone is falling.
        Emergency "emergency",
    }
    /// Where a drone flies instead.
    DivertPlace {
        /// To charge; then it flies on.
        Charge "charge",
        /// To a hub.
        Hub "hub",
        /// To its base.
        Base "base",
    }
    /// What a drone is doing, as far as its height is concerned.
    FlightPhase {
        /// Standing.
        OnGround "on_ground",
        /// Rising from the ground.
        TakingOff "taking_off",
        /// Flying.
        InFlight "in_flight",
        /// Coming down to the ground.
        Landing "landing",
    }
    /// How full a battery is, as far as the mission is concerned.
    BatteryState {
        /// Enough.
        Ok "ok",
        /// The mission should end soon.
        Low "low",
        /// It must end now.
        Critical "critical",
        /// It is falling.
        Emergency "emergency",
    }
}

/// Where a drone is and how it does. Never in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Who says so.
    pub sender: Sender,
    /// Its number among the sender's telemetry; the newest wins.
    pub seq: u64,
    /// The mission it flies.
    pub mission: Option<MissionId>,
    /// Whether it flies only in a simulator.
    pub simulated: bool,
    /// When it was measured.
    pub event_time: Timestamp,
    /// When it came in.
    pub received_at: Timestamp,
    /// What the drone is doing.
    pub phase: Option<FlightPhase>,
    /// Where it is.
    pub position: Option<Position>,
    /// How it moves.
    pub velocity: Option<VelocityMmps>,
    /// Where its nose points, 1e-2 degree clockwise from true north, 0 to 35,999.
    pub heading_cdeg: Option<u16>,
    /// How full its battery is.
    pub battery: Option<Battery>,
    /// Until it reaches its next stop.
    pub eta_next: Option<DurationS>,
    /// Until its mission ends.
    pub eta_end: Option<DurationS>,
}

/// A point in space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Over which point.
    pub point: GeoPoint,
    /// Height above mean sea level.
    pub alt_msl_mm: Option<AltitudeMm>,
    /// Height above where it took off.
    pub height_above_home_mm: Option<AltitudeMm>,
    /// Horizontal accuracy, millimetres.
    pub h_acc_mm: Option<u32>,
}

/// A height, millimetres; its reference is in the name of the field that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AltitudeMm(pub i32);

/// A velocity, millimetres a second; down is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VelocityMmps {
    /// To the north.
    pub north: i32,
    /// To the east.
    pub east: i32,
    /// Downwards.
    pub down: i32,
}

/// A battery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    /// What is left, percent, 0 to 100.
    pub remaining_pct: Option<u8>,
    /// Its voltage, millivolts.
    pub voltage_mv: Option<u32>,
    /// Its state.
    pub state: Option<BatteryState>,
}
