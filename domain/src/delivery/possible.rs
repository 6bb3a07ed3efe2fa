//! What people can do about a delivery as it is: told to whoever asks for what cannot be.
//!
//! A test compares it with what is accepted, in every phase.

use super::command::DeliveryRejection;
use super::phase::{FetchStage, Holder, Phase};
use super::state::Delivery;

/// The status does not allow what was attempted; what it does allow is told.
pub(super) fn wrong_status(delivery: &Delivery, attempted: &'static str) -> DeliveryRejection {
    DeliveryRejection::WrongStatus {
        status: delivery.status(),
        attempted,
        possible: delivery.possible(),
    }
}

impl Delivery {
    /// Where the package is and what people can do about it now, in words for them.
    #[must_use]
    pub fn possible(&self) -> String {
        let (stands, ways) = self.ways_on();
        let ways = match ways.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{}, or {last}", others.join(", ")),
            None => "wait for the outcome".to_owned(),
        };
        format!("{stands}; {ways}")
    }

    /// Where the package is, and every way on that is open to people.
    fn ways_on(&self) -> (&'static str, Vec<&'static str>) {
        let (stands, mut ways) = self.ways_of_phase();
        if self.phase.has_live_mission() {
            ways.push("complete it");
        }
        if self.phase.has_live_mission() || self.phase.waits_at_hub() {
            ways.push("hand it back");
        }
        if self.end_if_given_up().is_some() {
            ways.push("give it up");
        }
        (stands, ways)
    }

    /// The same without what an operator may say wherever a drone is, or was, part of it.
    fn ways_of_phase(&self) -> (&'static str, Vec<&'static str>) {
        match self.phase {
            Phase::Pending | Phase::Scheduled => (
                "the sender has the package still",
                vec!["cancel it", "reschedule it"],
            ),
            Phase::Fetching { stage, holder } => fetching(stage, holder),
            Phase::Carrying(_) => {
                let mut ways = vec!["ask for its return"];
                ways.extend(self.is_confirmable().then_some("confirm it"));
                ("the package has left the sender", ways)
            }
            Phase::Released(_) => {
                let ways = self.is_confirmable().then_some("confirm it");
                ("the package was let go", Vec::from_iter(ways))
            }
            Phase::Returning => {
                let ways = (!self.is_looked_for()).then_some("wait for it");
                ("the package is on its way back", Vec::from_iter(ways))
            }
            Phase::AtHub => {
                let is_tried = self.wants_another_attempt();
                let ways = is_tried.then_some("wait for a drone");
                ("the package is at a hub", Vec::from_iter(ways))
            }
            Phase::Cancelling { .. } => (
                "it is being cancelled",
                vec!["wait until its drone has turned round"],
            ),
            Phase::Cancelled | Phase::Failed(_) if self.mission.is_some() => (
                "its life is over",
                vec!["reopen it", "correct what is said of it"],
            ),
            Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => (
                "its life is over",
                vec!["correct what is said of it", "order a new one"],
            ),
        }
    }
}

fn fetching(stage: FetchStage, holder: Holder) -> (&'static str, Vec<&'static str>) {
    match (holder, stage) {
        (Holder::Sender, FetchStage::Assigned) => (
            "a drone is to fetch the package",
            vec!["cancel it", "reschedule it"],
        ),
        (Holder::Sender, FetchStage::HeadedToPickup | FetchStage::AtPickup) => (
            "the drone has set out for the package",
            vec!["wait for the drone", "cancel it"],
        ),
        (Holder::Hub, FetchStage::Assigned | FetchStage::HeadedToPickup | FetchStage::AtPickup) => {
            (
                "a drone is to fetch the package from a hub",
                vec!["wait for the drone"],
            )
        }
    }
}
