//! What is asked of a delivery, and what drones report of it.

use super::eta::{Estimate, EtaThresholds};
use super::event::{Order, Plan};
use super::phase::Status;
use super::state::{CORRECTIONS_MAX, REOPENINGS_MAX, RESCHEDULES_MAX};
use super::vocabulary::{
    Anomaly, CancelReason, Confirmation, Correction, HoldReason, HubPlace, RejectReason,
    ReleaseEvidence, ReleaseMethod, ReopenedAs, UnassignReason,
};
use crate::id::{DroneId, FactId, FleetId, MissionId, ProofHash, Tag};
use crate::quantity::{DistanceM, MassG};
use crate::text::Comment;
use crate::time::Timestamp;

/// A command to a delivery. Whatever had to be measured or looked up is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryCommand {
    /// Take an order.
    Create {
        /// What is ordered.
        order: Box<Order>,
        /// The clock.
        now: Timestamp,
    },
    /// Confirm the booking: all that it needs is in order.
    Schedule {
        /// The clock.
        now: Timestamp,
    },
    /// Change when or where.
    Reschedule {
        /// The whole plan as it should be.
        plan: Box<Plan>,
        /// The clock.
        now: Timestamp,
    },
    /// Cancel it.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// In the caller's own words.
        comment: Option<Comment>,
        /// The clock.
        now: Timestamp,
    },
    /// Refuse the booking after all, while no drone was ever given its mission.
    Reject {
        /// Why.
        reason: RejectReason,
        /// The clock.
        now: Timestamp,
    },
    /// End it where it waits for another drone, or at a hub for somebody who comes, or where no
    /// drone brings it any more and somebody has to look for it.
    GiveUp {
        /// Why, if an operator says so.
        reason: Option<Comment>,
        /// The clock.
        now: Timestamp,
    },
    /// End it at a hub, since the package is damaged, by an operator's word.
    FindDamaged {
        /// How the operator knows.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
    /// Note that it did not come in time. Nothing follows while there is time, if there is no
    /// deadline, or if that was noted already.
    MissDeadline {
        /// The clock.
        now: Timestamp,
    },
    /// Take note of it that the recipient showed who they are.
    Confirm {
        /// With what kind of proof.
        kind: Confirmation,
        /// Its hash.
        proof: ProofHash,
        /// The clock.
        now: Timestamp,
    },
    /// Note that it was waited for a confirmation as long as anybody waits. Nothing follows
    /// unless one is waited for, or if that was noted already.
    OverdueConfirmation {
        /// The clock.
        now: Timestamp,
    },
    /// Note that nobody comes for the package by themselves. Nothing follows where somebody may, or
    /// if that was noted already. How long it is waited for news of a package that was left on
    /// board, whoever asks knows.
    NoteStranded {
        /// The clock.
        now: Timestamp,
    },
    /// Complete it by an operator's word, whatever the drone said and nobody confirmed.
    Vouch {
        /// How the operator knows.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
    /// End it by an operator's word that the sender has the package again.
    HandBack {
        /// How the operator knows.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
    /// Have the drone bring the package back.
    RequestReturn {
        /// The clock.
        now: Timestamp,
    },
    /// Let its life go on after it ended, by an operator's word.
    Reopen {
        /// Where it goes on.
        to: ReopenedAs,
        /// How the operator knows.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
    /// Put right what is said of its end, by an operator's word.
    Correct(Box<Correct>),
    /// Tell when its drone now expects to be where, if that is news.
    ReviseEta {
        /// The drone's mission.
        mission: MissionId,
        /// What it expects.
        estimate: Estimate,
        /// From when on that is news.
        thresholds: EtaThresholds,
        /// The clock.
        now: Timestamp,
    },
    /// Take note of what a drone reports. Never rejected: what does not fit is an anomaly.
    Report(Report),
}

/// What an operator puts right about a delivery's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correct {
    /// What is put right.
    pub what: Correction,
    /// What was said.
    pub was: Option<Comment>,
    /// What is so.
    pub now_is: Comment,
    /// How the operator knows.
    pub reason: Comment,
    /// The clock.
    pub now: Timestamp,
}

/// A drone event about a mission of the delivery, judged against its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The drone event.
    pub fact: FactId,
    /// Its mission.
    pub mission: MissionId,
    /// When it happened.
    pub event_time: Timestamp,
    /// What is reported.
    pub reported: Reported,
}

/// What a drone reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The fleet gave the mission to a drone.
    Assigned {
        /// Whose drone.
        fleet: FleetId,
        /// Which drone.
        drone: DroneId,
        /// When it expects to be at the pick-up.
        eta_pickup: Option<Timestamp>,
        /// When it expects to be at the drop-off.
        eta_dropoff: Option<Timestamp>,
    },
    /// The fleet will not fly it, or not to its end.
    Ended {
        /// `Rejected`, `Aborted`, `StoodDown`, `Crashed` or `Lost`.
        how: Ending,
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// It set out for the package.
    DepartedToPickup,
    /// It is where the package is.
    ArrivedAtPickup,
    /// It took a package.
    Loaded {
        /// Whether it is the right one.
        verdict: LoadVerdict,
        /// What it read.
        tag: Option<Tag>,
        /// What it weighed.
        mass: Option<MassG>,
    },
    /// It set out for the recipient.
    DepartedToDropoff,
    /// It is where the recipient is.
    ArrivedAtDropoff(Nearness),
    /// It let the package go.
    Released {
        /// How.
        method: ReleaseMethod,
        /// What shows it.
        evidence: Option<ReleaseEvidence>,
        /// Whether the release was confirmed.
        confirmed: bool,
        /// Where.
        nearness: Nearness,
    },
    /// It set out for home.
    DepartedToReturn,
    /// It is back; what it bears, it does not say.
    Returned(ReturnedTo),
    /// It is back with the package, by what it read on it.
    BroughtBack(ReturnedTo),
    /// Its mission is over.
    Completed {
        /// Whether the package is still on board, if it knows.
        payload_on_board: Option<bool>,
    },
    /// The recipient showed it who they are.
    Verified {
        /// With what kind of proof.
        kind: Confirmation,
        /// Its hash.
        proof: ProofHash,
    },
    /// It waits.
    HoldStarted(HoldReason),
    /// It waits no longer.
    HoldEnded,
    /// Its battery is too low for what it was to do.
    BatteryCritical,
    /// It flies elsewhere.
    Diverted {
        /// Where.
        to: Diversion,
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// Nothing has been heard of it for as long as it takes to believe that.
    LinkLost,
    /// It is heard of again.
    LinkRestored,
    /// It lost the package on the way.
    Dropped,
    /// It had to come down.
    EmergencyLanded {
        /// The fleet's own words.
        detail: Option<Comment>,
    },
    /// It cannot be about this delivery, whatever its status: an anomaly.
    Misplaced(Anomaly),
}

/// Where a drone flies instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Diversion {
    /// To charge; then it flies on.
    Charge,
    /// To a hub or its base: its mission ends there.
    Home,
}

/// How a mission ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The fleet refused it.
    Rejected,
    /// The fleet broke it off.
    Aborted,
    /// It was stood down, as asked.
    StoodDown,
    /// The drone crashed.
    Crashed,
    /// The drone is lost.
    Lost,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] = [
        Self::Rejected,
        Self::Aborted,
        Self::StoodDown,
        Self::Crashed,
        Self::Lost,
    ];

    /// The reason of a `DroneUnassigned` that follows from it.
    #[must_use]
    pub const fn unassign_reason(self) -> UnassignReason {
        match self {
            Self::Rejected => UnassignReason::Rejected,
            Self::Aborted => UnassignReason::Aborted,
            Self::StoodDown => UnassignReason::StoodDown,
            Self::Crashed => UnassignReason::Crashed,
            Self::Lost => UnassignReason::Lost,
        }
    }
}

/// Whether a drone took the right package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadVerdict {
    /// Nothing speaks against it.
    Matches,
    /// It bears another tag.
    WrongPackage,
    /// It weighs too much more than declared.
    Overweight,
}

/// Where a drone is, seen from the agreed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nearness {
    /// Within the accepted radius.
    Inside(DistanceM),
    /// Too far.
    Outside(DistanceM),
    /// It did not say where it is.
    Unknown,
}

/// Where a drone came back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnedTo {
    /// The sender.
    Sender,
    /// A hub or base.
    Hub(HubPlace),
}

/// Which rule said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRejection {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    Unknown,
    /// A delivery of this id exists and was ordered otherwise.
    #[error("a delivery of this id exists already")]
    AlreadyExists,
    /// The status does not allow it.
    #[error("a delivery that is {status} cannot be {attempted}: {possible}")]
    WrongStatus {
        /// The status it has.
        status: Status,
        /// What was wanted, as in "rescheduled" or "cancelled".
        attempted: &'static str,
        /// What is possible now.
        possible: String,
    },
    /// It was confirmed before, by another proof.
    #[error(
        "this delivery was confirmed by another proof before, and the first one counts: read it in the \
         delivery"
    )]
    ConfirmedOtherwise,
    /// A proof of a weaker kind than was asked for.
    #[error("this delivery is confirmed by {required} or more: send a proof of that kind")]
    ConfirmationTooWeak {
        /// The weakest kind that is enough.
        required: Confirmation,
    },
    /// Its life went on after its end as often as a life may.
    #[error(
        "a delivery's life goes on after its end {REOPENINGS_MAX} times at most, and this one's did: \
         order a new one"
    )]
    ReopenedTooOften,
    /// Its end was put right as often as it may be.
    #[error(
        "a delivery's end is put right {CORRECTIONS_MAX} times at most, and this one's was: keep what \
         else there is to say elsewhere"
    )]
    CorrectedTooOften,
    /// It was rescheduled as often as a delivery may be.
    #[error(
        "a delivery is rescheduled {RESCHEDULES_MAX} times at most, and this one was: leave it as it is, \
         or cancel it and order a new one"
    )]
    RescheduledTooOften,
    /// The pick-up window is over before it begins.
    #[error("the pick-up window ends at {not_after}, which is past")]
    WindowInPast {
        /// Its end.
        not_after: Timestamp,
    },
    /// The deadline is past.
    #[error("deliver_by is {deliver_by}, which is past")]
    DeadlineInPast {
        /// The deadline.
        deliver_by: Timestamp,
    },
}
