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
        let had_drone = self.mission.is_some();
        let give_up = |is_open: bool| is_open.then_some("give it up");
        match self.phase {
            Phase::Pending | Phase::Scheduled => (
                "the sender has the package still",
                ["cancel it", "reschedule it"]
                    .into_iter()
                    .chain(give_up(had_drone))
                    .collect(),
            ),
            Phase::Fetching { stage, holder } => fetching(stage, holder),
            Phase::Carrying(_) => {
                let mut ways = vec!["ask for its return"];
                ways.extend(self.is_confirmable().then_some("confirm it"));
                ways.extend(["complete it", "hand it back"]);
                ways.extend(give_up(self.is_looked_for()));
                ("the package has left the sender", ways)
            }
            Phase::Released(_) => (
                "the package was let go",
                vec!["confirm it", "complete it", "hand it back"],
            ),
            Phase::Returning => {
                let mut ways = Vec::from_iter((!self.is_looked_for()).then_some("wait for it"));
                ways.extend(["complete it", "hand it back"]);
                ways.extend(give_up(self.is_looked_for()));
                ("the package is on its way back", ways)
            }
            Phase::AtHub => {
                let is_tried = self.wants_another_attempt();
                let mut ways = Vec::from_iter(is_tried.then_some("wait for a drone"));
                ways.extend(["hand it back", "give it up"]);
                ("the package is at a hub", ways)
            }
            Phase::Cancelling { .. } => {
                let mut ways = vec!["wait until its drone has turned round"];
                ways.extend(give_up(self.needs_somebody()));
                ("it is being cancelled", ways)
            }
            Phase::Cancelled | Phase::Failed(_) if had_drone => (
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
