//! Whole lives of deliveries as the service would have written them: 4 to 12
//! events, 8 on average, a thousand under way at once, ten to a user.

use std::collections::VecDeque;

use domain::codec::{Encoded, StoredEvent};
use domain::delivery::{
    Assignment, Confirmation, DeliveryEvent, OnCancelAfterPickup, OnUndeliverable, Order, Package,
    Place, Plan, ReleaseEvidence, ReleaseMethod, Size,
};
use domain::geo::GeoPoint;
use domain::id::{DeliveryId, DroneId, FleetId, MissionId, Tag, UserId};
use domain::quantity::{DistanceM, MassG};
use domain::text::Email;
use domain::user::{Contact, UserEvent};
use eventstore::{
    Appending, Category, Commit, CommitId, Event, EventStore, EventType, Expected, Label, Part,
    SchemaVersion, StreamId, StreamVersion,
};
use uuid::Uuid;

/// 2026-01-01, in milliseconds since the Unix epoch.
const BEGIN_MS: u64 = 1_767_225_600_000;
/// The numbers of the categories, as the service stores them.
const DELIVERY: u16 = 1;
const USER: u16 = 2;
const UNDER_WAY: usize = 1_000;
const DELIVERIES_A_USER: u64 = 10;

/// What a key is of.
#[derive(Clone, Copy)]
enum Kind {
    Delivery,
    User,
    Mission,
    Commit,
    Request,
}

/// A version 7 UUID of the moment at which a thing came to be. No two things
/// have the same one, of whatever kinds they are: views take that for granted.
fn key(kind: Kind, number: u64) -> Uuid {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&[random.to_be_bytes().as_slice(), &[0, kind as u8]].concat());
    uuid::Builder::from_unix_timestamp_millis(BEGIN_MS + number, &bytes).into_uuid()
}

/// The name of a delivery.
pub(crate) fn delivery_id(number: u64) -> DeliveryId {
    DeliveryId::from_uuid(key(Kind::Delivery, number))
}

fn user_id(number: u64) -> UserId {
    UserId::from_uuid(key(Kind::User, number))
}

/// Appends that wait for their answer while a log is filled: fewer than the
/// deliveries under way, so that a delivery's last event is there before the next.
const IN_FLIGHT: usize = 500;

/// Writes so many events of lives into a new log; gives how many deliveries they are of.
pub(crate) async fn append(log: &dyn EventStore, events: u64) -> u64 {
    let mut lives = Lives::new();
    let mut waiting: VecDeque<Appending> = VecDeque::new();
    for _ in 0..events {
        if waiting.len() >= IN_FLIGHT
            && let Some(oldest) = waiting.pop_front()
        {
            let _appended = oldest.await.expect("an append succeeds");
        }
        waiting.push_back(log.append(lives.next_commit()));
    }
    for rest in waiting {
        let _appended = rest.await.expect("an append succeeds");
    }
    lives.deliveries()
}

/// The commits of all lives, one event each.
pub(crate) struct Lives {
    commits: u64,
    users: u64,
    deliveries: u64,
    under_way: VecDeque<Life>,
}

struct Life {
    delivery: u64,
    version: u64,
    /// What is still to happen, in order.
    ahead: VecDeque<DeliveryEvent>,
}

impl Lives {
    pub(crate) fn new() -> Self {
        Self {
            commits: 0,
            users: 0,
            deliveries: 0,
            under_way: VecDeque::with_capacity(UNDER_WAY),
        }
    }

    /// How many were begun.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// What happens next: somebody registers or orders, or a delivery goes on.
    pub(crate) fn next_commit(&mut self) -> Commit {
        if self.under_way.len() < UNDER_WAY && self.deliveries / DELIVERIES_A_USER >= self.users {
            self.users += 1;
            return self.registration(self.users - 1);
        }
        let begun = (self.under_way.len() < UNDER_WAY).then(|| self.order());
        let mut life = begun
            .or_else(|| self.under_way.pop_front())
            .expect("a life is begun while there are too few");
        let event = life
            .ahead
            .pop_front()
            .expect("a life that is over is let go");
        let stream = StreamId::new(Category::new(DELIVERY), delivery_id(life.delivery).uuid());
        let owner = user_id(life.delivery / DELIVERIES_A_USER).uuid();
        let commit = self.commit(stream, owner, life.version, event.encode());
        life.version += 1;
        if !life.ahead.is_empty() {
            self.under_way.push_back(life);
        }
        commit
    }

    fn order(&mut self) -> Life {
        let delivery = self.deliveries;
        self.deliveries += 1;
        Life {
            delivery,
            version: 0,
            ahead: life_of(delivery),
        }
    }

    fn registration(&mut self, user: u64) -> Commit {
        let contact = Contact {
            name: format!("User {user}").parse().expect("a short name"),
            email: Email::new(&format!("user-{user}@example.org")).expect("an address"),
            phone: None,
            locale: None,
        };
        let key = user_id(user).uuid();
        let stream = StreamId::new(Category::new(USER), key);
        self.commit(stream, key, 0, UserEvent::UserCreated(contact).encode())
    }

    fn commit(&mut self, stream: StreamId, owner: Uuid, version: u64, encoded: Encoded) -> Commit {
        let number = self.commits;
        self.commits += 1;
        let time_us = i64::try_from((BEGIN_MS + number) * 1_000).expect("a time of this century");
        Commit {
            id: CommitId(key(Kind::Commit, number)),
            clock_us: time_us,
            actor: Label::new("drone:M100-07").expect("a short text"),
            correlation_id: key(Kind::Request, number),
            parts: vec![Part {
                stream,
                owner: Some(owner),
                expected: Expected::from(StreamVersion::new(version)),
                events: vec![Event {
                    event_type: EventType(encoded.event_type),
                    schema: SchemaVersion(encoded.schema),
                    event_time_us: time_us,
                    inferred: false,
                    cause: Label::new("M100-07:0192f2c1:1234").ok(),
                    payload: encoded.payload,
                }],
            }],
        }
    }
}

fn place(lat_e7: i32, lon_e7: i32) -> Place {
    Place {
        point: GeoPoint::from_e7(lat_e7, lon_e7).expect("a point on the globe"),
        address: "12 Miller Street, rear door".parse().ok(),
    }
}

fn plan() -> Plan {
    Plan {
        pickup: place(404_587_000, -797_824_000),
        dropoff: place(404_612_000, -797_790_000),
        pickup_window: None,
        deliver_by: None,
    }
}

/// A tag is in one delivery at most that is under way.
fn tag_of(delivery: u64) -> Tag {
    Tag::new(format!("QR-{delivery}")).expect("a tag")
}

fn order(delivery: u64) -> Order {
    Order {
        user: user_id(delivery / DELIVERIES_A_USER),
        external_id: None,
        plan: plan(),
        package: Package {
            id: None,
            tag: tag_of(delivery),
            size: Size::Large,
            mass: MassG::new(450).expect("a mass"),
            dimensions: None,
            flags: Vec::new(),
        },
        confirmation: Confirmation::None,
        expedited: false,
        on_undeliverable: OnUndeliverable::Return,
        on_cancel_after_pickup: OnCancelAfterPickup::Return,
        metadata: Vec::new(),
    }
}

/// 4, 5, … 12 events in turn: short lives are still under way, long ones were
/// rescheduled before a drone was found.
fn life_of(delivery: u64) -> VecDeque<DeliveryEvent> {
    let mission = MissionId::from_uuid(key(Kind::Mission, delivery));
    let rest = [
        DeliveryEvent::DroneAssigned(Assignment {
            mission,
            fleet: FleetId::new("pgh").expect("a name"),
            drone: DroneId::new("M100-07").expect("a name"),
            epoch: 1,
            eta_pickup: None,
            eta_dropoff: None,
        }),
        DeliveryEvent::HeadedToPickup { mission },
        DeliveryEvent::ArrivedAtPickup { mission },
        DeliveryEvent::PickedUp {
            mission,
            tag: Some(tag_of(delivery)),
            mass: MassG::new(452).ok(),
        },
        DeliveryEvent::InTransit { mission },
        DeliveryEvent::ArrivedAtDropoff {
            mission,
            distance: Some(DistanceM::new(3)),
        },
        DeliveryEvent::DeliveryComplete {
            mission,
            method: Some(ReleaseMethod::Drop),
            evidence: Some(ReleaseEvidence::Manual),
            distance: Some(DistanceM::new(3)),
        },
    ];
    let length = usize::try_from(4 + delivery % 9).expect("at most 12");
    let whole = 2 + rest.len();
    let reschedules = length.saturating_sub(whole);
    let mut life = VecDeque::from([
        DeliveryEvent::Created(Box::new(order(delivery))),
        DeliveryEvent::Scheduled,
    ]);
    life.extend((0..reschedules).map(|_| DeliveryEvent::Rescheduled(Box::new(plan()))));
    life.extend(rest.into_iter().take(length.min(whole) - 2));
    life
}
