//! What holds of every delivery whatever happens to it, held against its history alone.

use std::collections::BTreeSet;

use domain::delivery::ATTEMPTS_MAX;
use domain::translation::Thresholds;
use serde_json::Value;

use super::client::text_at;

/// Who has the package, by the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Custody {
    Sender,
    Drone,
    Hub,
    Recipient,
    Nobody,
}

/// Every rule that a history breaks, in words. `confirmation` is what the recipient has to show.
pub(super) fn broken(items: &[Value], confirmation: Option<&str>) -> Vec<String> {
    let mut reading = Reading {
        confirmation,
        custody: Custody::Sender,
        epoch: 0,
        confirmed: None,
        attempts: BTreeSet::new(),
        broken: Vec::new(),
    };
    for item in items {
        reading.take(item);
    }
    if reading.attempts.len() > usize::from(ATTEMPTS_MAX) {
        let attempts = reading.attempts.len();
        reading.say(format!("it was attempted {attempts} times"));
    }
    reading.broken
}

struct Reading<'h> {
    confirmation: Option<&'h str>,
    custody: Custody,
    epoch: u64,
    /// What was shown since a drone was last assigned.
    confirmed: Option<&'h str>,
    /// The missions that count as attempts.
    attempts: BTreeSet<&'h str>,
    broken: Vec<String>,
}

impl<'h> Reading<'h> {
    fn take(&mut self, item: &'h Value) {
        use Custody::{Drone, Hub, Nobody, Recipient, Sender};
        let name = text_at("/type", item);
        if ["PickedUp", "AttemptFailed"].contains(&name) {
            self.attempts.insert(text_at("/data/mission_id", item));
        }
        match name {
            "DroneAssigned" => self.assign(item),
            "PickedUp" => self.hand((name, &[Sender, Hub]), Drone),
            "Confirmed" => self.confirmed = Some(text_at("/data/kind", item)),
            "DeliveryComplete" => {
                self.release(item);
                self.hand((name, &[Drone]), Recipient);
            }
            "ArrivedAtHub" => self.hand((name, &[Drone]), Hub),
            "Returned" => self.hand((name, &[Drone, Hub]), Sender),
            "CancellationRequested" | "Cancelled" | "Rejected" => {
                self.hand((name, &[Sender]), Sender);
            }
            "Failed" if text_at("/data/reason", item) != "no_drone" => {
                self.hand((name, &[Drone, Hub]), Nobody);
            }
            "Reopened" => self.custody = Drone,
            _ => {}
        }
    }

    fn assign(&mut self, item: &Value) {
        let epoch = item.pointer("/data/epoch").and_then(Value::as_u64);
        let epoch = epoch.unwrap_or_default();
        if epoch <= self.epoch {
            self.say(format!("mission {epoch} follows mission {}", self.epoch));
        }
        self.epoch = epoch;
        self.confirmed = None;
    }

    /// The package changes hands, or stays in those it is in.
    fn hand(&mut self, (name, from): (&str, &[Custody]), to: Custody) {
        if !from.contains(&self.custody) {
            let custody = self.custody;
            self.say(format!("{name} while the package was with: {custody:?}"));
        }
        self.custody = to;
    }

    fn release(&mut self, item: &Value) {
        if self.confirmation.is_some() && self.confirmed != self.confirmation {
            let (asked, shown) = (self.confirmation, self.confirmed);
            self.say(format!(
                "complete with {shown:?} shown, {asked:?} asked for"
            ));
        }
        let distance_m = item.pointer("/data/distance_m").and_then(Value::as_u64);
        let radius_m = u64::from(Thresholds::default().dropoff_radius.get());
        if distance_m.is_none_or(|distance_m| distance_m > radius_m) {
            self.say(format!("complete {distance_m:?} m from the drop-off"));
        }
    }

    fn say(&mut self, what: String) {
        self.broken.push(what);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(name: &str, data: &Value) -> Value {
        json!({"type": name, "data": data})
    }

    /// Fetched, and brought to where it should be.
    fn brought() -> Vec<Value> {
        let mission = json!({"mission_id": "msn_1"});
        vec![
            item("Created", &json!({})),
            item("DroneAssigned", &json!({"mission_id": "msn_1", "epoch": 1})),
            item("PickedUp", &mission),
            item("InTransit", &mission),
            item("Confirmed", &json!({"kind": "pin"})),
            item("DeliveryComplete", &json!({"distance_m": 3})),
        ]
    }

    fn without(name: &str) -> Vec<Value> {
        let mut items = brought();
        items.retain(|item| item["type"] != name);
        items
    }

    fn with(name: &str, data: &Value) -> Vec<Value> {
        let mut items = brought();
        let place = items.iter().position(|item| item["type"] == name).unwrap();
        items[place]["data"] = data.clone();
        items
    }

    #[test]
    fn a_flawless_history_breaks_no_rule() {
        assert_eq!(broken(&brought(), Some("pin")), Vec::<String>::new());
    }

    #[test]
    fn each_rule_that_a_history_breaks_is_told() {
        let cancelled = [brought(), vec![item("Cancelled", &json!({}))]].concat();
        let assigned_again =
            [brought(), vec![item("DroneAssigned", &json!({"epoch": 1}))]].concat();
        let attempts = ["msn_2", "msn_3", "msn_4"]
            .map(|mission| item("AttemptFailed", &json!({"mission_id": mission})));
        let attempted = [attempts.to_vec(), brought()].concat();
        for (history, word) in [
            (without("Confirmed"), "shown"),
            (with("Confirmed", &json!({"kind": "photo"})), "shown"),
            (with("DeliveryComplete", &json!({"distance_m": 51})), "51"),
            (with("DeliveryComplete", &json!({})), "None m"),
            (without("PickedUp"), "Sender"),
            (cancelled, "Recipient"),
            (assigned_again, "mission 1 follows mission 1"),
            (attempted, "4 times"),
        ] {
            let told = broken(&history, Some("pin"));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(word), "{told:?}");
        }
    }

    #[test]
    fn what_was_shown_to_an_earlier_drone_counts_for_nothing() {
        let mut history = without("Confirmed");
        history.insert(1, item("Confirmed", &json!({"kind": "pin"})));
        assert_eq!(broken(&history, Some("pin")).len(), 1);
    }
}
