//! Who listens to the feed: for each delivery of the simulation, what was heard of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use domain::codec::StoredEvent as _;
use domain::delivery::DeliveryEvent;
use domain::geo::GeoPoint;
use domain::id::{DeliveryId, MissionId};
use serde_json::Value;
use tokio::sync::watch;

use super::client::{Client, Question, text_at};
use super::fold::Fold;

/// Between two tries to open the feed again.
const REOPEN_AFTER: Duration = Duration::from_millis(200);

/// How often the feed is tried to be opened again: two minutes of tries.
const REOPENS_MAX: u32 = 600;

/// Longest line of the feed, bytes; an event is far shorter.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A mission that a fleet is asked to fly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) mission: MissionId,
    /// Whether the package is at a hub; where that is, the fleet knows.
    pub(super) is_at_hub: bool,
    /// Where its sender is.
    pub(super) pickup: GeoPoint,
    /// Where its recipient is.
    pub(super) dropoff: GeoPoint,
    /// The how-manieth time in a row that the fleet is asked.
    pub(super) ask: u64,
}

/// What was heard of a delivery.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// The delivery's newest event, by its number.
    pub(super) sequence: u64,
    pub(super) fold: Fold,
    pub(super) condition: String,
    /// The types of its events, in order.
    pub(super) types: Vec<String>,
    /// The missions that were asked for, each once, in order.
    pub(super) requests: Vec<Request>,
    /// The missions that are not wanted any more.
    pub(super) unwanted: BTreeSet<MissionId>,
}

/// The ears of a simulation: its customers' deliveries, and no others.
#[derive(Debug, Default)]
pub(super) struct Ears {
    users: BTreeSet<String>,
    deliveries: Mutex<HashMap<DeliveryId, watch::Sender<Heard>>>,
}

impl Ears {
    /// Ears for the deliveries of these users.
    pub(super) fn of_users(users: impl IntoIterator<Item = String>) -> Self {
        Self {
            users: users.into_iter().collect(),
            deliveries: Mutex::default(),
        }
    }

    /// What is heard of a delivery, from its first event on.
    pub(super) fn of_delivery(&self, id: DeliveryId) -> watch::Receiver<Heard> {
        let mut deliveries = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        deliveries.entry(id).or_default().subscribe()
    }

    /// Follows the feed from a cursor on until it is dropped, over any number of connections.
    ///
    /// # Errors
    /// If the feed cannot be read for minutes, or says what is none of it.
    pub(super) async fn follow(&self, client: &Client, from: String) -> anyhow::Result<()> {
        let (mut cursor, mut tries) = (from, 0);
        loop {
            let before = cursor.clone();
            let Err(error) = self.listen(client, &mut cursor).await else {
                continue;
            };
            tries = if cursor == before { tries + 1 } else { 0 };
            if tries > REOPENS_MAX {
                return Err(error).context("the feed cannot be followed");
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    }

    /// Listens to one connection until it breaks.
    async fn listen(&self, client: &Client, cursor: &mut String) -> anyhow::Result<()> {
        let mut stream = client.stream(&format!("/v1/events?after={cursor}")).await?;
        let (mut rest, mut id) = (Vec::new(), String::new());
        while let Some(chunk) = stream.chunk().await? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                match line.trim_end().split_once(": ") {
                    Some(("id", text)) => text.clone_into(&mut id),
                    Some(("data", text)) => {
                        if let Ok(item) = serde_json::from_str(text) {
                            self.hear(&item);
                        }
                        // Only now: what was not heard is asked for again.
                        if !id.is_empty() {
                            cursor.clone_from(&id);
                        }
                    }
                    _ => {}
                }
            }
            if rest.len() > LINE_BYTES_MAX {
                bail!("the feed has a line of more than {LINE_BYTES_MAX} bytes");
            }
        }
        bail!("the feed ended")
    }

    /// Takes note of an item of the feed, if it concerns one of these users.
    fn hear(&self, item: &Value) {
        if !self.users.contains(text_at("/user_id", item)) {
            return;
        }
        let Ok(delivery) = text_at("/delivery_id", item).parse() else {
            return;
        };
        let mut deliveries = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let heard = deliveries.entry(delivery).or_default();
        heard.send_modify(|heard| heard.note(item));
    }
}

impl Heard {
    /// How many events of this type it has.
    pub(super) fn times(&self, name: &str) -> usize {
        self.types.iter().filter(|known| *known == name).count()
    }

    fn note(&mut self, item: &Value) {
        let name = text_at("/type", item);
        let mission = || text_at("/data/mission_id", item).parse::<MissionId>().ok();
        match name {
            "MissionRequested" => {
                let request = mission().and_then(|mission| {
                    Some(Request {
                        mission,
                        is_at_hub: text_at("/data/from", item) == "hub",
                        pickup: point_at("/data/pickup", item)?,
                        dropoff: point_at("/data/dropoff", item)?,
                        ask: item.pointer("/data/ask").and_then(Value::as_u64)?,
                    })
                });
                // Asked for once more it is the same mission.
                if let Some(request) = request
                    && !self.requests.iter().any(|it| it.mission == request.mission)
                {
                    self.requests.push(request);
                }
            }
            "StandDownRequested" => self.unwanted.extend(mission()),
            _ if DeliveryEvent::TYPES.iter().any(|known| known.name == name) => {
                self.sequence = item
                    .pointer("/sequence")
                    .and_then(Value::as_u64)
                    .unwrap_or(self.sequence);
                self.fold.apply(item);
                if name == "ConditionChanged" {
                    text_at("/data/condition", item).clone_into(&mut self.condition);
                }
                self.types.push(name.to_owned());
            }
            _ => {}
        }
    }
}

fn point_at(pointer: &str, item: &Value) -> Option<GeoPoint> {
    let place = item.pointer(pointer)?;
    let degrees = |name: &str| place.get(name).and_then(Value::as_f64);
    GeoPoint::from_degrees(degrees("lat")?, degrees("lon")?).ok()
}

/// The cursor behind everything that has happened so far.
pub(super) async fn latest(client: &Client) -> anyhow::Result<String> {
    let page = Question::get("/v1/events?after=latest");
    let page = client.ask_once(&page).await?.success()?;
    let next = text_at("/next", &page);
    if next.is_empty() {
        bail!("the feed names no cursor: {page}");
    }
    Ok(next.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn ears() -> (Ears, DeliveryId) {
        let delivery = DeliveryId::from_uuid(Uuid::from_u128(7));
        (Ears::of_users(["usr_1".to_owned()]), delivery)
    }

    fn item(user: &str, delivery: DeliveryId, name: &str, sequence: u64, data: &Value) -> Value {
        json!({
            "user_id": user, "delivery_id": delivery.to_string(), "type": name, "sequence": sequence, "data": data,
        })
    }

    #[test]
    fn a_mission_that_is_asked_for_again_is_heard_once_and_counts_as_no_event_of_the_delivery() {
        let (ears, delivery) = ears();
        let mission = MissionId::from_uuid(Uuid::from_u128(9));
        let asked = json!({
            "mission_id": mission.to_string(), "from": "hub", "ask": 2,
            "pickup": {"lat": 40.5, "lon": -79.5}, "dropoff": {"lat": 40.6, "lon": -79.6},
        });
        for name in [
            "Created",
            "MissionRequested",
            "MissionRequested",
            "StandDownRequested",
        ] {
            ears.hear(&item("usr_1", delivery, name, 1, &asked));
        }
        let heard = ears.of_delivery(delivery).borrow().clone();
        assert_eq!(heard.types, ["Created"]);
        assert_eq!((heard.sequence, heard.fold.status), (1, "pending"));
        let request = Request {
            mission,
            is_at_hub: true,
            pickup: GeoPoint::from_degrees(40.5, -79.5).unwrap(),
            dropoff: GeoPoint::from_degrees(40.6, -79.6).unwrap(),
            ask: 2,
        };
        assert_eq!(heard.requests, [request]);
        assert!(heard.unwanted.contains(&mission));
    }

    #[test]
    fn what_happens_to_others_is_not_heard() {
        let (ears, delivery) = ears();
        ears.hear(&item("usr_1", delivery, "InTransit", 8, &json!({})));
        ears.hear(&item("usr_2", delivery, "Created", 9, &json!({})));
        let heard = ears.of_delivery(delivery).borrow().clone();
        assert_eq!((heard.fold.status, heard.sequence), ("in_transit", 8));
    }
}
