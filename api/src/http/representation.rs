//! What clients read: rows of the views as JSON.
//!
//! The shape of each is fixed: every field is always there, `null` when
//! unknown. Times are RFC 3339 in UTC with microseconds, places are in
//! degrees, quantities have their unit in the name.

use domain::delivery::Status;
use projections::Eta;
use serde::Serialize;
use serde_json::Value;

use crate::forms::instant::Instant;
use crate::forms::value_of;

pub(crate) mod delivery;
pub(crate) mod drone;
pub(crate) mod history;
pub(crate) mod package;
pub(crate) mod statistics;
pub(crate) mod task;
pub(crate) mod user;

#[derive(Serialize)]
struct EtaForm {
    pickup_at: Option<Instant>,
    dropoff_at: Option<Instant>,
    /// How far off it may be, where that is known.
    error_s: Option<u32>,
    computed_at: Instant,
}

impl EtaForm {
    fn of(eta: Eta) -> Self {
        Self {
            pickup_at: eta.pickup_at.map(Instant),
            dropoff_at: eta.dropoff_at.map(Instant),
            error_s: None,
            computed_at: Instant(eta.computed_at),
        }
    }
}

fn eta(eta: Option<Eta>) -> Value {
    value_of(eta.map(EtaForm::of))
}

/// The stage of Fabrikam's Delivery Scheduler that a status belongs to.
fn stage(status: Status, revision: u32) -> Option<&'static str> {
    match status {
        Status::Pending | Status::Scheduled | Status::Assigned if revision > 0 => {
            Some("Rescheduled")
        }
        Status::Pending | Status::Scheduled | Status::Assigned => Some("Created"),
        Status::HeadedToPickup | Status::AtPickup | Status::Loaded => Some("HeadedToPickup"),
        Status::InTransit | Status::AtDropoff => Some("HeadedToDropoff"),
        Status::Complete => Some("Completed"),
        Status::Cancelling | Status::Cancelled | Status::Rejected => Some("Cancelled"),
        Status::Returning | Status::AtHub | Status::Returned | Status::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_says_rescheduled_only_while_no_drone_has_set_out() {
        for status in Status::ALL {
            let (first, later) = (stage(*status, 0), stage(*status, 1));
            assert_eq!(
                first == Some("Created"),
                later == Some("Rescheduled"),
                "{status:?}"
            );
            assert!(first == later || first == Some("Created"), "{status:?}");
        }
    }
}
