//! A log in memory that tests write with real domain events.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use domain::codec::{Encoded, StoredEvent};
use domain::decider::Occurrence;
use domain::delivery::{
    Assignment, Confirmation, DeliveryEvent, OnCancelAfterPickup, OnUndeliverable, Order, Package,
    Place, Plan, Size,
};
use domain::geo::GeoPoint;
use domain::id::{DeliveryId, DroneId, FleetId, MissionId, Tag, UserId};
use domain::quantity::MassG;
use domain::stream::StreamName;
use domain::text::{Email, Name};
use domain::time::Timestamp;
use domain::user::{Contact, UserEvent};
use eventstore::{
    Commit, CommitId, Event, EventStore, EventType, Expected, Label, MemoryEventStore, Part,
    Position, SchemaVersion, StreamId, StreamVersion,
};
use uuid::Uuid;

use crate::view_set::{PROJECTIONS, Projections, ViewSet};
use crate::view_store::{MemoryViewStore, ViewFolder};

/// A log, and a clock that goes on by a second with every commit.
#[derive(Debug)]
pub(crate) struct TestLog {
    pub(crate) store: Arc<MemoryEventStore>,
    commits: u128,
}

/// What a test appends to one stream.
pub(crate) struct Appending {
    pub(crate) stream: StreamName,
    pub(crate) owner: Option<UserId>,
    pub(crate) events: Vec<Event>,
}

impl TestLog {
    /// An empty log.
    pub(crate) fn new() -> Self {
        Self::with_id(0xA1)
    }

    /// An empty log with an identity of its own.
    pub(crate) fn with_id(id: u128) -> Self {
        Self {
            store: Arc::new(MemoryEventStore::new(Uuid::from_u128(id))),
            commits: 0,
        }
    }

    /// The log as the views take it.
    pub(crate) fn store(&self) -> Arc<dyn EventStore> {
        Arc::<MemoryEventStore>::clone(&self.store)
    }

    /// Where it ends.
    pub(crate) fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    /// When the next commit will be recorded.
    pub(crate) fn clock(&self) -> Timestamp {
        at(i64::try_from(self.commits).unwrap() + 1)
    }

    /// One commit with these events of a delivery.
    pub(crate) fn delivery(
        &mut self,
        delivery: DeliveryId,
        user: UserId,
        events: impl IntoIterator<Item = DeliveryEvent>,
    ) -> Position {
        let clock = self.clock();
        let occurrences = events
            .into_iter()
            .map(|event| Occurrence::new(event, clock));
        self.append(vec![Appending::new(
            StreamName::delivery(delivery),
            Some(user),
            occurrences,
        )])
    }

    /// One commit with these events of a user.
    pub(crate) fn user(
        &mut self,
        user: UserId,
        events: impl IntoIterator<Item = UserEvent>,
    ) -> Position {
        let clock = self.clock();
        let occurrences = events
            .into_iter()
            .map(|event| Occurrence::new(event, clock));
        self.append(vec![Appending::new(
            StreamName::user(user),
            Some(user),
            occurrences,
        )])
    }

    /// One commit. Where there is nothing to append nothing happens.
    pub(crate) fn append(&mut self, parts: Vec<Appending>) -> Position {
        let clock = self.clock();
        let parts: Vec<Part> = parts
            .into_iter()
            .filter(|part| !part.events.is_empty())
            .map(|part| {
                let stream = stream_id(part.stream);
                let version = self.store.read_stream(stream, StreamVersion::EMPTY, SMALL);
                Part {
                    stream,
                    owner: part.owner.map(UserId::uuid),
                    expected: Expected::from(version.unwrap().version),
                    events: part.events,
                }
            })
            .collect();
        if parts.is_empty() {
            return self.head();
        }
        self.commits += 1;
        let commit = Commit {
            id: CommitId(Uuid::from_u128(self.commits)),
            clock_us: clock.micros(),
            actor: Label::new("customer:ada").unwrap(),
            correlation_id: Uuid::from_u128(self.commits),
            parts,
        };
        let mut answer = pin!(self.store.append(commit));
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(appended) => appended.unwrap().position(),
            Poll::Pending => panic!("a store in memory answers at once"),
        }
    }

    /// Views in memory that have folded all of the log.
    pub(crate) fn folded(&self) -> ViewSet {
        let set = self.unfolded();
        self.feed(&set);
        set
    }

    /// Views in memory that have folded nothing yet.
    pub(crate) fn unfolded(&self) -> ViewSet {
        self.opened(&mut ViewFolder::Memory(Arc::<MemoryViewStore>::default()))
    }

    /// The views in a folder.
    pub(crate) fn opened(&self, folder: &mut ViewFolder) -> ViewSet {
        self.opened_with(PROJECTIONS, folder)
    }

    /// The views of these projections in a folder.
    pub(crate) fn opened_with(&self, projections: Projections, folder: &mut ViewFolder) -> ViewSet {
        let opened = folder.open().unwrap();
        ViewSet::open(projections, opened, &self.store.history(), self.head()).unwrap()
    }

    /// Brings views to the head.
    pub(crate) fn feed(&self, set: &ViewSet) {
        self.feed_unseen(set);
        assert_eq!(set.applied(), self.head());
    }

    /// The same, also views that show nothing yet.
    pub(crate) fn feed_unseen(&self, set: &ViewSet) {
        let head = self.head();
        while set.feed(&*self.store, |_| head).unwrap().is_some() {}
    }
}

const SMALL: eventstore::Budget = eventstore::Budget {
    records_max: 1,
    bytes_max: 1,
};

impl Appending {
    pub(crate) fn new<E: StoredEvent>(
        stream: StreamName,
        owner: Option<UserId>,
        occurrences: impl IntoIterator<Item = Occurrence<E>>,
    ) -> Self {
        let events = occurrences
            .into_iter()
            .map(|occurrence| recorded(&occurrence));
        Self {
            stream,
            owner,
            events: events.collect(),
        }
    }
}

fn recorded<E: StoredEvent>(occurrence: &Occurrence<E>) -> Event {
    let Encoded {
        event_type,
        schema,
        payload,
    } = occurrence.event.encode();
    Event {
        event_type: EventType(event_type),
        schema: SchemaVersion(schema),
        event_time_us: occurrence.event_time.micros(),
        inferred: occurrence.inferred,
        cause: Some(Label::new("fact-1").unwrap()),
        payload,
    }
}

pub(crate) fn stream_id(name: StreamName) -> StreamId {
    StreamId::new(eventstore::Category::new(name.category.number()), name.key)
}

/// Appends an event that no release can decode, to a stream of the first user's.
pub(crate) fn unreadable(log: &TestLog, name: StreamName) -> Position {
    let stream = stream_id(name);
    let page = log
        .store
        .read_stream(stream, StreamVersion::EMPTY, eventstore::Budget::PAGE);
    let event = Event {
        event_type: EventType(u16::MAX),
        schema: SchemaVersion(1),
        event_time_us: 0,
        inferred: false,
        cause: None,
        payload: vec![1, 2, 3],
    };
    let commit = Commit {
        id: CommitId(Uuid::from_u128(0xBAD << 64 | u128::from(log.head().get()))),
        clock_us: 0,
        actor: Label::new("system").unwrap(),
        correlation_id: Uuid::nil(),
        parts: vec![Part {
            stream,
            owner: Some(user(1).uuid()),
            expected: Expected::from(page.unwrap().version),
            events: vec![event],
        }],
    };
    let mut answer = pin!(log.store.append(commit));
    let mut context = Context::from_waker(Waker::noop());
    match answer.as_mut().poll(&mut context) {
        Poll::Ready(appended) => appended.unwrap().position(),
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

/// The instant that many seconds after 2026-01-01.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + seconds * 1_000_000).unwrap()
}

pub(crate) fn delivery(number: u128) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(0xD000 + number))
}

pub(crate) fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(0xE000 + number))
}

pub(crate) fn mission(number: u128) -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(0xF000 + number))
}

/// An order of a user.
pub(crate) fn order(user: UserId) -> Order {
    let place = |lat| Place {
        point: GeoPoint::from_e7(lat, -797_824_000).unwrap(),
        address: None,
    };
    Order {
        user,
        external_id: None,
        plan: Plan {
            pickup: place(404_587_000),
            dropoff: place(404_612_000),
            pickup_window: None,
            deliver_by: None,
        },
        package: Package {
            id: None,
            tag: Tag::new("QR-1").unwrap(),
            size: Size::Small,
            mass: MassG::new(450).unwrap(),
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

/// An order was taken.
pub(crate) fn created(user: UserId) -> DeliveryEvent {
    DeliveryEvent::Created(Box::new(order(user)))
}

/// A drone has a mission and expects to be at the drop-off then.
pub(crate) fn assigned(mission: MissionId, epoch: u32, eta: Option<Timestamp>) -> DeliveryEvent {
    DeliveryEvent::DroneAssigned(Assignment {
        mission,
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        epoch,
        eta_pickup: eta,
        eta_dropoff: eta,
    })
}

/// Someone's contact data.
pub(crate) fn contact(name: &str) -> Contact {
    Contact {
        name: Name::new(name).unwrap(),
        email: Email::new(&format!("{name}@example.org")).unwrap(),
        phone: None,
        locale: None,
    }
}
