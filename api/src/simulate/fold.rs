//! What a delivery's events come to, worked out once more from what the service shows of them.
//!
//! This is the simulator's own reading of the rules, on purpose: that it comes
//! to the same status as the service is one of the checks.

use serde_json::Value;

use super::client::{is_final, text_at};

/// A delivery as far as its events tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    /// As the service words it; empty before the first event.
    pub(super) status: &'static str,
    /// Before it was asked to be cancelled.
    former: &'static str,
    /// Whether the package is at a hub or comes from one.
    is_at_hub: bool,
    /// How often its life ended without going on.
    pub(super) outcomes: u32,
}

impl Fold {
    /// The fold of these items of a history or of the feed.
    pub(super) fn of<'i>(items: impl IntoIterator<Item = &'i Value>) -> Self {
        let mut fold = Self::default();
        for item in items {
            fold.apply(item);
        }
        fold
    }

    /// Takes one more item.
    pub(super) fn apply(&mut self, item: &Value) {
        let status = match text_at("/type", item) {
            "Created" => "pending",
            "Rejected" => "rejected",
            "DroneAssigned" => "assigned",
            "DroneUnassigned" if self.is_at_hub => "at_hub",
            "Scheduled" | "DroneUnassigned" => "scheduled",
            "HeadedToPickup" if self.status == "cancelling" => {
                return self.remember("headed_to_pickup");
            }
            "HeadedToPickup" => "headed_to_pickup",
            "ArrivedAtPickup" if self.status == "cancelling" => return self.remember("at_pickup"),
            "ArrivedAtPickup" => "at_pickup",
            "PickedUp" => {
                self.is_at_hub = false;
                "loaded"
            }
            "InTransit" => "in_transit",
            "ArrivedAtDropoff" | "Released" => "at_dropoff",
            "DeliveryComplete" => "complete",
            "ReturnStarted" => "returning",
            "ArrivedAtHub" => {
                self.is_at_hub = true;
                "at_hub"
            }
            "Returned" => "returned",
            "CancellationRequested" => {
                self.former = self.status;
                "cancelling"
            }
            "CancellationRejected" => self.former,
            "Cancelled" => "cancelled",
            "Failed" => "failed",
            "Reopened" => {
                self.outcomes = self.outcomes.saturating_sub(1);
                known(text_at("/data/to", item)).unwrap_or(self.status)
            }
            _ => return,
        };
        self.outcomes += u32::from(is_final(status));
        self.status = status;
    }

    fn remember(&mut self, status: &'static str) {
        self.former = status;
    }

    /// Whether its life is over.
    pub(super) fn is_over(&self) -> bool {
        is_final(self.status)
    }
}

/// A status that a delivery may be reopened to.
fn known(status: &str) -> Option<&'static str> {
    ["returning", "in_transit", "at_hub"]
        .into_iter()
        .find(|known| *known == status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fold(types: &[&str]) -> Fold {
        let items: Vec<_> = types.iter().map(|name| json!({"type": name})).collect();
        Fold::of(&items)
    }

    #[test]
    fn a_life_comes_to_its_status_whatever_is_noted_beside_it() {
        for (types, status) in [
            (&["Created", "Scheduled", "DeadlineMissed"][..], "scheduled"),
            (
                &["Created", "DroneAssigned", "DroneUnassigned"],
                "scheduled",
            ),
            (
                &["ArrivedAtHub", "DroneAssigned", "DroneUnassigned"],
                "at_hub",
            ),
            (
                &["ArrivedAtHub", "PickedUp", "ReturnStarted", "Returned"],
                "returned",
            ),
            (
                &["DroneAssigned", "CancellationRequested", "HeadedToPickup"],
                "cancelling",
            ),
            (
                &[
                    "DroneAssigned",
                    "CancellationRequested",
                    "HeadedToPickup",
                    "CancellationRejected",
                ],
                "headed_to_pickup",
            ),
        ] {
            assert_eq!(fold(types).status, status, "{types:?}");
        }
    }

    #[test]
    fn outcomes_are_counted() {
        let once = fold(&["Created", "DeliveryComplete", "AnomalyRecorded"]);
        assert_eq!((once.outcomes, once.is_over()), (1, true));
        assert_eq!(fold(&["Failed", "Returned"]).outcomes, 2);
        let reopened = json!({"type": "Reopened", "data": {"to": "returning"}});
        let failed = json!({"type": "Failed"});
        assert_eq!(Fold::of([&failed, &reopened]).outcomes, 0);
        assert_eq!(Fold::of([&failed, &reopened]).status, "returning");
    }
}
