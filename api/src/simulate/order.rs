//! What a simulated customer orders.

use domain::geo::GeoPoint;
use domain::time::{DurationMs, Timestamp};
use serde_json::{Value, json};

use super::city::City;
use super::dice::{Dice, Lot};

/// How long a package may be fetched, and how soon it has to come, hours: nothing of it is over
/// before the simulation is, unless the customer changes it.
const HOURS: (i32, i32) = (24, 72);

/// How many deliveries a customer orders.
const ORDERS_EACH: u32 = 10;

/// An order, as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) external_id: String,
    /// Who orders: one of the customers, from 0.
    pub(super) customer: u32,
    pub(super) pickup: GeoPoint,
    pub(super) dropoff: GeoPoint,
    pub(super) tag: String,
    pub(super) mass_g: u32,
    /// What the recipient has to show, if anything.
    pub(super) confirmation: Option<&'static str>,
    pub(super) expedited: bool,
    /// Whether a package that nobody takes waits at a hub.
    pub(super) is_held: bool,
    /// Whether a package goes on that was picked up while being cancelled.
    pub(super) goes_on: bool,
    /// For how long it may be fetched, if that is said, hours.
    pub(super) window_h: Option<u32>,
    /// How soon it has to come, if that is said, hours.
    pub(super) deadline_h: Option<u32>,
}

impl Order {
    /// The order of this number in a run of this seed.
    pub(super) fn draw(seed: u64, number: u32) -> Self {
        let lot = lot(seed, number);
        let (mut places, mut dice) = (lot.dice("places"), lot.dice("order"));
        let asked = dice.happens(400);
        let kind = dice.pick(&["pin", "tag_scan", "photo", "signature"]);
        Self {
            customer: number / ORDERS_EACH,
            pickup: City::of(seed).shop(&mut places),
            dropoff: City::door(&mut places),
            tag: format!("SIM-{seed}-{number}"),
            mass_g: 100 + dice.below(1_400),
            confirmation: kind.filter(|_| asked),
            expedited: dice.happens(100),
            is_held: dice.happens(300),
            goes_on: dice.happens(500),
            window_h: hours(&mut dice),
            deadline_h: hours(&mut dice),
            external_id: lot.external_id,
        }
    }

    /// How many customers order so many deliveries.
    pub(super) const fn customers(deliveries: u32) -> u32 {
        deliveries.div_ceil(ORDERS_EACH)
    }

    /// What belongs to none of its attempts is drawn with.
    pub(super) fn lot(&self, seed: u64) -> Lot {
        Lot {
            seed,
            external_id: self.external_id.clone(),
            attempt: 0,
        }
    }

    /// What is posted at a moment.
    pub(super) fn to_json(&self, user: &str, now: Timestamp) -> Value {
        let place =
            |point: GeoPoint| json!({"lat": point.lat_degrees(), "lon": point.lon_degrees()});
        json!({
            "external_id": self.external_id,
            "user_id": user,
            "pickup": place(self.pickup),
            "dropoff": place(self.dropoff),
            "package": {"tag": self.tag, "size": "small", "mass_g": self.mass_g},
            "pickup_window": self.window_h.map(|hours| window(now, hours)),
            "deliver_by": self.deadline_h.map(|hours| after(now, hours).to_string()),
            "confirmation": self.confirmation.unwrap_or("none"),
            "expedited": self.expedited,
            "on_undeliverable": if self.is_held { "hold" } else { "return" },
            "on_cancel_after_pickup": if self.goes_on { "continue" } else { "return" },
        })
    }
}

/// From a moment on, for so many hours.
pub(super) fn window(now: Timestamp, hours: u32) -> Value {
    json!({"not_before": now.to_string(), "not_after": after(now, hours).to_string()})
}

fn after(now: Timestamp, hours: u32) -> Timestamp {
    now.plus(DurationMs::from_seconds(hours * 60 * 60))
}

fn hours(dice: &mut Dice) -> Option<u32> {
    let is_said = dice.happens(300);
    let (least, most) = HOURS;
    let hours = dice.between(least, most).unsigned_abs();
    is_said.then_some(hours)
}

fn lot(seed: u64, number: u32) -> Lot {
    Lot {
        seed,
        external_id: format!("sim-{seed}-{number}"),
        attempt: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_drawn_the_same_twice_and_no_two_share_name_or_tag() {
        let orders: Vec<_> = (0..100).map(|number| Order::draw(1, number)).collect();
        assert_eq!(orders[17], Order::draw(1, 17));
        assert_ne!(orders[17].dropoff, Order::draw(2, 17).dropoff);
        for (place, order) in orders.iter().enumerate() {
            for other in &orders[place + 1..] {
                assert_ne!(order.external_id, other.external_id);
                assert_ne!(order.tag, other.tag);
            }
            assert!(order.customer < Order::customers(100));
        }
        assert!(orders.iter().any(|order| order.confirmation.is_some()));
        assert!(orders.iter().any(|order| order.confirmation.is_none()));
        assert!(orders.iter().any(|order| order.window_h.is_some()));
        assert!(orders.iter().any(|order| order.deadline_h.is_some()));
    }
}
