//! What is known of a delivery by having folded its events.

use super::condition::Condition;
use super::diagram::release;
use super::eta::Eta;
use super::event::{Assignment, Order};
use super::phase::{CarryStage, Custody, Phase, Status};
use super::vocabulary::{
    Confirmation, Correction, Failure, Milestone, OnUndeliverable, ReturnReason,
};
use crate::id::{FactId, MissionId, ProofHash};
use crate::text::Comment;
use crate::time::Timestamp;

/// Most attempts at delivering one package.
///
/// It is no setting, as the other limits here are none: whether another drone may come follows
/// from the log alone. With a number of the service's own two of its nodes, or it before and
/// after a start, would read different deliveries from the same events.
pub const ATTEMPTS_MAX: u8 = 3;

/// Most missions for one delivery. Far more than a fleet needs that refuses
/// now and then; it bounds what is kept of them.
pub const MISSIONS_MAX: u32 = 100;

/// Most reschedules of one delivery. Far more than anybody needs who changes
/// their mind; it bounds a delivery's history.
pub const RESCHEDULES_MAX: u32 = 100;

/// Most times that a delivery's life goes on after its end.
pub const REOPENINGS_MAX: u8 = 10;

/// Most corrections of what is said of a delivery's end.
pub const CORRECTIONS_MAX: usize = 20;

/// Most anomalies recorded for one delivery; more are only counted.
pub const ANOMALIES_MAX: usize = 20;

/// A delivery that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub(super) order: Order,
    pub(super) phase: Phase,
    /// Attempts begun: grows once per mission, at `PickedUp` or `AttemptFailed`.
    pub(super) attempt: u8,
    /// Missions so far.
    pub(super) epoch: u32,
    /// Reschedules so far.
    pub(super) revision: u32,
    /// The newest mission, live or over.
    pub(super) mission: Option<Mission>,
    /// Why the package came back the last time, if it did.
    pub(super) returned_for: Option<ReturnReason>,
    /// What the newest mission took is not what was ordered.
    pub(super) misloaded: bool,
    /// An operator found it at a hub, and nothing moved it since.
    pub(super) kept_at_hub: bool,
    /// It did not come by the deadline that its plan has now.
    pub(super) deadline_missed: bool,
    pub(super) condition: Condition,
    /// The condition that a lost link hides.
    pub(super) condition_before: Condition,
    /// The last condition that was neither a hold nor a lost link: what a hold hides.
    pub(super) condition_beneath: Condition,
    /// What confirmed the newest mission's delivery.
    pub(super) confirmed: Option<Confirmed>,
    /// Who has to look after the package before its life comes to an end.
    pub(super) need: Need,
    pub(super) eta: Option<Eta>,
    /// How often its life went on after its end.
    pub(super) reopenings: u8,
    /// What operators put right about its end, oldest first.
    pub(super) corrections: Vec<(Correction, Comment)>,
    pub(super) milestones: Vec<Reached>,
    /// The drone events that were recorded as anomalies, and whose missions reported them.
    pub(super) anomalies: Vec<(FactId, MissionId)>,
}

/// Whether a package needs somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It does not, as far as is known.
    Nobody,
    /// Since then we know that its mission is over with the package on board, by the drone's word:
    /// whoever tells where it went may be late.
    News(Timestamp),
    /// Somebody has to look after it before it is let go at the right place, or comes to a hub.
    Somebody,
    /// It waits at a hub, and nobody comes for it by themselves.
    SomebodyAtHub,
    /// Its drone is to turn round, and does not say that it did.
    SomebodyForDrone,
}

/// The newest mission of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    /// Which drone, and the how-manieth mission.
    pub assignment: Assignment,
    /// Whether it was counted as an attempt.
    pub counted: bool,
    /// Whether its drone said that it ended it with the package on board.
    pub ended_with_package: bool,
}

/// What showed that the right person took a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// What kind of proof.
    pub kind: Confirmation,
    /// Its hash: the proof itself is never kept.
    pub proof: ProofHash,
    /// When.
    pub at: Timestamp,
}

/// A step that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Which step.
    pub milestone: Milestone,
    /// In which mission.
    pub mission: MissionId,
    /// When.
    pub at: Timestamp,
    /// Whether the time is only that of the fact that implied it.
    pub inferred: bool,
}

impl Delivery {
    /// What was ordered, as last rescheduled.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// Where in its life it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The status that clients see.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.phase.status()
    }

    /// Who has the package.
    #[must_use]
    pub const fn custody(&self) -> Custody {
        self.phase.custody()
    }

    /// Attempts begun, 0 to [`ATTEMPTS_MAX`].
    #[must_use]
    pub const fn attempt(&self) -> u8 {
        self.attempt
    }

    /// Missions so far.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Reschedules so far.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// How often its life went on after its end, 0 to [`REOPENINGS_MAX`].
    #[must_use]
    pub const fn reopenings(&self) -> u8 {
        self.reopenings
    }

    /// Whether it may have another mission at all: few enough missions, and attempts among them.
    #[must_use]
    pub const fn may_be_assigned_again(&self) -> bool {
        self.attempt < ATTEMPTS_MAX && self.epoch < MISSIONS_MAX
    }

    /// Whether a package that waits at a hub should be brought from there once more: it came back
    /// for a reason that may pass, and it may have another mission. Whether there is still time
    /// is not asked here.
    #[must_use]
    pub fn wants_another_attempt(&self) -> bool {
        let may_pass = match self.returned_for {
            None
            | Some(
                ReturnReason::DroneReturned | ReturnReason::MissionAborted | ReturnReason::Diverted,
            ) => true,
            Some(ReturnReason::Undeliverable) => {
                self.order.on_undeliverable == OnUndeliverable::Hold
            }
            Some(ReturnReason::Cancelled | ReturnReason::Requested) => false,
        };
        self.phase == Phase::AtHub && may_pass && !self.misloaded && self.may_be_assigned_again()
    }

    /// Whether it is noted that it did not come by the deadline that it has now.
    #[must_use]
    pub const fn is_deadline_missed(&self) -> bool {
        self.deadline_missed
    }

    /// How it does beside its status. It lasts until it changes, or until the drone gets on.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Whether it would do so if that were reported: its drone is on its way, does not do so
    /// already, and did not have to come down; until the mission gets on that is what counts.
    #[must_use]
    pub(crate) fn may_turn(&self, condition: Condition) -> bool {
        let is_other = self.condition != condition && self.condition != Condition::Emergency;
        self.phase.has_drone_on_its_way() && is_other
    }

    /// What confirmed that the recipient took it, if that was confirmed.
    #[must_use]
    pub const fn confirmed(&self) -> Option<&Confirmed> {
        self.confirmed.as_ref()
    }

    /// Since when we know that the package lies at the right place and nobody has confirmed that
    /// they took it, as long as that is not noted as overdue. A drone's clock may be wrong, and
    /// what it tells may be old: nobody waited before we knew.
    #[must_use]
    pub fn released_unconfirmed_since(&self) -> Option<Timestamp> {
        let release = release(self.phase).filter(|release| !release.overdue);
        release.map(|release| release.told_at)
    }

    /// Since when we know that its mission is over with the package on board, by the drone's word,
    /// and nothing is told of where the package went, as long as that is not noted.
    #[must_use]
    pub const fn left_on_board_since(&self) -> Option<Timestamp> {
        match self.need {
            Need::News(since) => Some(since),
            Need::Nobody | Need::Somebody | Need::SomebodyAtHub | Need::SomebodyForDrone => None,
        }
    }

    /// Whether the package waits at a hub from where it is not tried once more, and that is not
    /// noted: only its return, a mission that a fleet flies by itself, or an operator ends that.
    /// Where an operator keeps it, a drone may be asked for from there, and none may come.
    #[must_use]
    pub fn is_left_at_hub(&self) -> bool {
        let is_left = self.kept_at_hub || !self.wants_another_attempt();
        self.phase == Phase::AtHub && is_left && self.need == Need::Nobody
    }

    /// Whether it is at a hub where an operator found it after its end, and nothing moved it since:
    /// it is not given up without their word.
    #[must_use]
    pub const fn is_kept_at_hub(&self) -> bool {
        self.kept_at_hub
    }

    /// Whether its drone was asked to bring the package back and has not said that it does.
    #[must_use]
    pub fn is_to_turn_round(&self) -> bool {
        let newest = self.mission.as_ref().map(|it| it.assignment.mission);
        let turned = newest.and_then(|it| self.reached(it, Milestone::ReturnStarted));
        self.phase == Phase::Returning && turned.is_some_and(|turned| turned.inferred)
    }

    /// Whether a drone is on its way that may have been asked to turn round, and that it does not
    /// say so is not noted. Whether it was asked is not known here.
    #[must_use]
    pub fn is_left_to_drone(&self) -> bool {
        self.phase.has_drone_on_its_way() && self.need == Need::Nobody
    }

    /// Whether somebody has to look after it before its life comes to an end.
    pub(super) const fn needs_somebody(&self) -> bool {
        match self.need {
            Need::Nobody | Need::News(_) => false,
            Need::Somebody | Need::SomebodyAtHub | Need::SomebodyForDrone => true,
        }
    }

    /// Whether what was asked for as a confirmation is there.
    pub(super) fn is_confirmed(&self) -> bool {
        self.order.confirmation == Confirmation::None || self.confirmed.is_some()
    }

    /// Whether somebody has to look after it: the package lies where it should not, or nobody
    /// knows where, or with nobody who confirms it, or at a hub for nobody who comes; or the drone
    /// had to come down with it, or ended its mission with it, or does not say that it turned round.
    #[must_use]
    pub fn action_required(&self) -> bool {
        let lies_astray = match self.phase {
            Phase::Failed(failure) => failure != Failure::NoDrone,
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_) => false,
        };
        lies_astray || self.needs_somebody()
    }

    /// When it is expected, while a drone is under way with a known time.
    #[must_use]
    pub const fn eta(&self) -> Option<Eta> {
        self.eta
    }

    /// The newest mission, live or over.
    #[must_use]
    pub const fn mission(&self) -> Option<&Mission> {
        self.mission.as_ref()
    }

    /// The mission under way.
    #[must_use]
    pub fn live_mission(&self) -> Option<&Mission> {
        self.mission
            .as_ref()
            .filter(|_| self.phase.has_live_mission())
    }

    /// The newest mission's id, live or over.
    pub(super) fn newest(&self) -> Option<MissionId> {
        self.mission.as_ref().map(|it| it.assignment.mission)
    }

    /// Whether somebody has to look for the package: a drone is said to have it that does not
    /// bring it any more, as far as is known, or it was let go and nobody says that they took it.
    pub(super) fn is_looked_for(&self) -> bool {
        self.need == Need::Somebody
    }

    /// Whether somebody has to look for the package because the newest mission's drone said that
    /// it has it; another one before it may have been left with it, and then nothing shows that
    /// the newest ever took it.
    pub(super) fn is_left_with_newest(&self) -> bool {
        let newest = self.mission.as_ref();
        self.is_looked_for() && newest.is_some_and(|newest| newest.ended_with_package)
    }

    /// Whether a step is a pick-up that only somebody's word implied, who said that the sender or
    /// the recipient has the package: that ended the delivery at the same moment. What a drone
    /// tells implies the departure with it.
    pub(super) fn is_taken_by_word(&self, reached: &Reached) -> bool {
        let ends = [Milestone::Completed, Milestone::Returned];
        let mut ends = ends.into_iter();
        let is_end = ends.any(|end| {
            let ended = self.reached(reached.mission, end);
            ended.is_some_and(|ended| ended.at == reached.at)
        });
        let has_left = self
            .reached(reached.mission, Milestone::InTransit)
            .is_some();
        let is_implied = reached.milestone == Milestone::PickedUp && reached.inferred;
        is_implied && is_end && !has_left && self.status().is_terminal()
    }

    /// Whether people may show that the recipient takes it, or took it.
    pub(super) fn is_confirmable(&self) -> bool {
        let is_there = match self.phase {
            Phase::Carrying(CarryStage::InTransit | CarryStage::AtDropoff) | Phase::Released(_) => {
                true
            }
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(CarryStage::Loaded)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Cancelling { .. }
            | Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => false,
        };
        is_there && self.confirmed.is_none()
    }

    /// Whether a mission is the newest, live or over.
    pub(super) fn is_newest(&self, mission: MissionId) -> bool {
        self.mission
            .as_ref()
            .is_some_and(|newest| newest.assignment.mission == mission)
    }

    /// A step that a mission reached.
    pub(super) fn reached(&self, mission: MissionId, milestone: Milestone) -> Option<&Reached> {
        self.milestones
            .iter()
            .rev()
            .find(|reached| reached.mission == mission && reached.milestone == milestone)
    }

    /// The steps reached, in stream order, of all missions.
    #[must_use]
    pub fn milestones(&self) -> &[Reached] {
        &self.milestones
    }
}
