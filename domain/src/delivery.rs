//! A delivery: one package on its way from a sender to a recipient.
//!
//! ```text
//! Pending → Scheduled → Assigned → HeadedToPickup → AtPickup → Loaded → InTransit → AtDropoff → Complete*
//!               ↑______________ drone unassigned ______|          |________|___________|
//!  first five → Cancelling → Cancelled*                           ↓        → a late release → Complete*
//!                    ↘ (picked up after all) → Loaded          Returning → AtHub → Returned*
//!  Pending, Scheduled never assigned → Rejected*                  AtHub → Assigned (the next attempt)
//!  custody Drone or Hub, or no drone came again → Failed*                                    * terminal
//! ```
//!
//! Always so, shown by the property tests:
//! * a terminal status has no successor, and there is one outcome at most;
//! * the package goes from the sender to a drone, and from a drone to the recipient, a hub, the
//!   sender or nobody knows whom; nothing is cancelled once it left the sender;
//! * every mission has a higher number than the one before; facts of another than the live one
//!   change no status; there is one live mission at most, and at most three are attempts;
//! * what happened before is never unlearned: a late fact corrects the time of a step that had
//!   only been implied, and nothing else.
//!
//! Commands of people may be rejected; what drones report never is, since it has happened.

mod vocabulary;
mod condition;
mod event;
mod phase;
mod state;
mod eta;
mod command;
mod possible;
mod decide;
mod ending;
mod handing_over;
mod report;
mod diagram;
mod evolve;
mod as_of;
mod payload;
mod snapshot;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(crate) mod tests;

use crate::decider::{Decider, Occurrence};
pub use command::{
    Correct, DeliveryCommand, DeliveryRejection, Diversion, Ending, LoadVerdict, Nearness, Report,
    Reported, ReturnedTo,
};

pub use as_of::{effective_times, happened_by};
pub use condition::Condition;
pub use eta::{Estimate, Eta, EtaThresholds};
pub use event::{
    Assignment, DeliveryEvent, FlightPlan, METADATA_ENTRIES_MAX, Order, Package, Place, Plan,
};
pub use phase::{CarryStage, Custody, FetchStage, Holder, Phase, Release, Status};
pub use state::{
    ANOMALIES_MAX, ATTEMPTS_MAX, CORRECTIONS_MAX, Confirmed, Delivery, MISSIONS_MAX, Mission,
    REOPENINGS_MAX, RESCHEDULES_MAX, Reached,
};
pub(crate) use vocabulary::words;
pub use vocabulary::{
    Anomaly, AttemptFailure, CancelReason, CancellationRefusal, ConditionWord, Confirmation,
    Correction, Failure, HoldReason, HubPlace, Milestone, OnCancelAfterPickup, OnUndeliverable,
    PackageFlag, RejectReason, ReleaseEvidence, ReleaseMethod, ReopenCause, ReopenedAs,
    ReturnReason, Size, Stranding, UnassignReason,
};

impl Decider for Delivery {
    type State = Option<Self>;
    type Command = DeliveryCommand;
    type Event = DeliveryEvent;
    type Rejection = DeliveryRejection;

    fn initial() -> Option<Self> {
        None
    }

    fn decide(
        command: &DeliveryCommand,
        state: &Option<Self>,
    ) -> Result<Vec<Occurrence<DeliveryEvent>>, DeliveryRejection> {
        let existing = state.as_ref().ok_or(DeliveryRejection::Unknown);
        match command {
            DeliveryCommand::Create { order, now } => decide::create(order, *now, state.as_ref()),
            DeliveryCommand::Schedule { now } => decide::schedule(*now, existing?),
            DeliveryCommand::Reschedule { plan, now } => decide::reschedule(plan, *now, existing?),
            DeliveryCommand::Cancel {
                reason,
                comment,
                now,
            } => decide::cancel(*reason, comment.as_ref(), *now, existing?),
            DeliveryCommand::Reject { reason, now } => ending::reject(*reason, *now, existing?),
            DeliveryCommand::GiveUp { reason, now } => {
                ending::give_up(reason.as_ref(), *now, existing?)
            }
            DeliveryCommand::FindDamaged { reason, now } => {
                ending::find_damaged(reason, *now, existing?)
            }
            DeliveryCommand::MissDeadline { now } => Ok(ending::miss_deadline(*now, existing?)),
            DeliveryCommand::Confirm { kind, proof, now } => {
                handing_over::confirm(*kind, proof, *now, existing?)
            }
            DeliveryCommand::OverdueConfirmation { now } => {
                Ok(handing_over::overdue(*now, existing?))
            }
            DeliveryCommand::NoteStranded { now } => Ok(ending::strand(*now, existing?)),
            DeliveryCommand::Vouch { reason, now } => handing_over::vouch(reason, *now, existing?),
            DeliveryCommand::HandBack { reason, now } => {
                handing_over::hand_back(reason, *now, existing?)
            }
            DeliveryCommand::RequestReturn { now } => ending::request_return(*now, existing?),
            DeliveryCommand::Reopen { to, reason, now } => {
                ending::reopen(*to, reason, *now, existing?)
            }
            DeliveryCommand::Correct(correct) => ending::correct(correct, existing?),
            DeliveryCommand::ReviseEta {
                mission,
                estimate,
                thresholds,
                now,
            } => Ok(existing?
                .revise_eta(*mission, *estimate, thresholds, *now)
                .map(|revised| Occurrence::new(revised, *now))
                .into_iter()
                .collect()),
            DeliveryCommand::Report(report) => Ok(existing
                .map(|delivery| report::report(report, delivery))
                .unwrap_or_default()),
        }
    }

    fn evolve(state: Option<Self>, occurrence: &Occurrence<DeliveryEvent>) -> Option<Self> {
        evolve::evolve(state, occurrence)
    }
}
