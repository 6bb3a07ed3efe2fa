//! Laws of the feed over logs of all kinds, without a socket.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use domain::codec::{Encoded, StoredEvent};
use domain::delivery::DeliveryEvent;
use domain::id::{DeliveryId, MissionId, UserId};
use domain::stream::Category as Known;
use domain::text::Comment;
use domain::user::UserEvent;
use eventstore::{
    Category, Commit, CommitId, Event, EventStore, EventType, Expected, Label, MemoryEventStore,
    Part, SchemaVersion, StreamId, StreamVersion,
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::Streams;
use super::page::{FeedError, Page, read_page};
use super::place::place_of;
use super::wanted::Wanted;
use crate::config::HttpLimits;
use crate::public_events::place::Place;

/// What one commit writes.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// Events of a delivery, by the place of their kinds in [`kinds`].
    Delivery { number: u8, kinds: Vec<u8> },
    /// An event of a user.
    User { number: u8 },
    /// What the feed does not show.
    Other { number: u8, events: u8 },
    /// An event of a delivery that cannot be read.
    Damaged { number: u8 },
}

pub(super) fn delivery(number: u8) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(0xD000 + u128::from(number)))
}

/// Every delivery is of one of three users.
pub(super) fn user(number: u8) -> UserId {
    UserId::from_uuid(Uuid::from_u128(0xA000 + u128::from(number % 3)))
}

fn kinds() -> [DeliveryEvent; 4] {
    let mission = MissionId::from_uuid(Uuid::from_u128(7));
    [
        DeliveryEvent::Scheduled,
        DeliveryEvent::HeadedToPickup { mission },
        DeliveryEvent::InTransit { mission },
        DeliveryEvent::Cancelled,
    ]
}

/// A log that is written to as a test wants.
#[derive(Debug)]
pub(super) struct Scribe {
    pub(super) log: Arc<MemoryEventStore>,
}

impl Scribe {
    pub(super) fn new() -> Self {
        Self {
            log: Arc::new(MemoryEventStore::new(Uuid::nil())),
        }
    }

    pub(super) async fn write(&self, write: &Write) {
        let (category, key, owner, events) = match write {
            Write::Delivery {
                number,
                kinds: places,
            } => {
                let all = kinds();
                let chosen = places
                    .iter()
                    .map(|place| &all[usize::from(*place) % all.len()]);
                let events = chosen.map(|event| stored(event.encode())).collect();
                let owner = Some(user(*number).uuid());
                (Known::Delivery, delivery(*number).uuid(), owner, events)
            }
            Write::User { number } => {
                let reason: Comment = "canary".parse().unwrap();
                let event = UserEvent::UserSuspended { reason };
                let key = user(*number).uuid();
                (Known::User, key, Some(key), vec![stored(event.encode())])
            }
            Write::Other { number, events } => {
                let event = stored(DeliveryEvent::Scheduled.encode());
                let events = vec![event; usize::from(*events)];
                (
                    Known::DroneSession,
                    Uuid::from_u128(u128::from(*number)),
                    None,
                    events,
                )
            }
            Write::Damaged { number } => {
                let mut event = stored(kinds()[2].encode());
                event.payload.push(0);
                let owner = Some(user(*number).uuid());
                (
                    Known::Delivery,
                    delivery(*number).uuid(),
                    owner,
                    vec![event],
                )
            }
        };
        let stream = StreamId::new(Category::new(category.number()), key);
        let budget = eventstore::Budget::PAGE;
        let page = self.log.read_stream(stream, StreamVersion::EMPTY, budget);
        let part = Part {
            stream,
            owner,
            expected: Expected::from(page.unwrap().version),
            events,
        };
        let commit = Commit {
            id: CommitId(Uuid::from_u128(u128::from(
                self.log.head().borrow().get() + 1,
            ))),
            clock_us: 1_795_219_200_000_000,
            actor: Label::new("system").unwrap(),
            correlation_id: Uuid::nil(),
            parts: vec![part],
        };
        self.log.append(commit).await.unwrap();
    }

    async fn page(&self, wanted: &Wanted, after: Place, limit: usize) -> Result<Page, FeedError> {
        let identity = self.log.identity();
        let log: Arc<dyn EventStore> = self.log.clone();
        read_page(log, wanted, after, limit, |happening| {
            happening.item(identity).map(|(_name, item)| item)
        })
        .await
    }

    /// All of the feed, on pages of these lengths in turn.
    async fn paged(&self, wanted: &Wanted, limits: &[usize]) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), Place::START);
        for limit in limits.iter().cycle() {
            let page = self.page(wanted, after, *limit).await.unwrap();
            assert!(page.items.len() <= *limit);
            assert!(page.next > after || !page.more, "it goes round in circles");
            items.extend(page.items);
            // As a client hands it back.
            let cursor = page.next.cursor(self.log.identity());
            after = place_of(&*self.log, &cursor).unwrap();
            assert_eq!(after, page.next);
            if !page.more {
                break;
            }
        }
        items
    }
}

fn stored(encoded: Encoded) -> Event {
    Event {
        event_type: EventType(encoded.event_type),
        schema: SchemaVersion(encoded.schema),
        event_time_us: 1_795_219_200_000_000,
        inferred: false,
        cause: None,
        payload: encoded.payload,
    }
}

pub(super) fn any_write() -> impl Strategy<Value = Write> {
    let kinds = proptest::collection::vec(0..4_u8, 1..4);
    prop_oneof![
        4 => (0..5_u8, kinds).prop_map(|(number, kinds)| Write::Delivery { number, kinds }),
        1 => (0..5_u8).prop_map(|number| Write::User { number }),
        2 => (0..3_u8, 1..4_u8).prop_map(|(number, events)| Write::Other { number, events }),
    ]
}

pub(super) fn any_wanted() -> impl Strategy<Value = Wanted> {
    let types = crate::public_events::shown::types().map(|known| EventType(known.number));
    let types = proptest::sample::subsequence(types.collect::<Vec<_>>(), 0..4);
    let user = proptest::option::of((0..3_u8).prop_map(user));
    let delivery = proptest::option::of((0..6_u8).prop_map(delivery));
    (types, user, delivery).prop_map(|(types, user, delivery)| Wanted {
        types,
        user,
        delivery,
    })
}

/// What a filter leaves of all items, by what the items say.
pub(super) fn filtered(items: &[Value], wanted: &Wanted) -> Vec<Value> {
    let number = |name: &str| {
        let known = crate::public_events::shown::types().find(|known| known.name == name);
        EventType(known.unwrap().number)
    };
    let is_wanted = |item: &&Value| {
        (wanted.types.is_empty()
            || wanted
                .types
                .contains(&number(item["type"].as_str().unwrap())))
            && wanted
                .user
                .is_none_or(|id| item["user_id"] == id.to_string())
            && wanted
                .delivery
                .is_none_or(|id| item["delivery_id"] == id.to_string())
    };
    items.iter().filter(is_wanted).cloned().collect()
}

fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(future)
}

/// Somebody who reads a stream, and comes back after it broke off.
#[derive(Debug)]
struct Reading {
    wanted: Wanted,
    body: Body,
    text: String,
    items: Vec<Value>,
}

impl Reading {
    fn begin(streams: &Streams, wanted: Wanted) -> Self {
        Self {
            body: streams.open(wanted.clone(), Place::START).unwrap(),
            wanted,
            text: String::new(),
            items: Vec::new(),
        }
    }

    fn resume(&mut self, scribe: &Scribe, streams: &Streams) {
        let last = self
            .items
            .last()
            .map(|item| item["cursor"].as_str().unwrap());
        let place = last.map(|cursor| place_of(&*scribe.log, cursor).unwrap());
        let place = place.unwrap_or(Place::START);
        self.body = streams.open(self.wanted.clone(), place).unwrap();
        self.text.clear();
    }

    fn take(&mut self, frame: &[u8]) {
        self.text.push_str(std::str::from_utf8(frame).unwrap());
        while let Some((message, rest)) = self.text.split_once("\n\n") {
            let data = message.lines().find_map(|line| line.strip_prefix("data: "));
            self.items
                .extend(data.map(|data| serde_json::from_str::<Value>(data).unwrap()));
            self.text = rest.to_owned();
        }
    }

    async fn read(&mut self) {
        let frame = self.body.frame().await.unwrap().unwrap();
        self.take(&frame.into_data().unwrap());
    }

    /// Reads what is there, if anything is.
    fn glance(&mut self) {
        if let Some(frame) = self.body.frame().now_or_never() {
            self.take(&frame.unwrap().unwrap().into_data().unwrap());
        }
    }
}

/// Far longer than anything takes, but not as long as a stream beats.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to a log and its readers.
#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Read(u8),
    Cut(u8),
}

proptest! {
    #[test]
    fn for_any_filter_pages_of_any_lengths_are_exactly_the_filtered_log(
        writes in proptest::collection::vec(any_write(), 0..30),
        wanted in any_wanted(),
        limits in proptest::collection::vec(1..9_usize, 1..4),
    ) {
        run(async {
            let scribe = Scribe::new();
            for write in &writes {
                scribe.write(write).await;
            }
            let shown = |write: &Write| match write {
                Write::Delivery { kinds, .. } => kinds.len(),
                Write::User { .. } | Write::Damaged { .. } => 1,
                Write::Other { .. } => 0,
            };
            let all = scribe.paged(&Wanted::default(), &[200]).await;
            assert_eq!(all.len(), writes.iter().map(shown).sum::<usize>());
            let paged = scribe.paged(&wanted, &limits).await;
            assert_eq!(paged, filtered(&all, &wanted));
        });
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_write().prop_map(Step::Write),
        4 => any::<u8>().prop_map(Step::Read),
        1 => any::<u8>().prop_map(Step::Cut),
    ]
}

proptest! {
    #[test]
    fn streams_of_any_speed_cut_anywhere_are_exactly_the_filtered_log(
        streams_memory_kib in 0..4_u64,
        wanted in proptest::collection::vec(any_wanted(), 1..4),
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        run(async {
            let scribe = Scribe::new();
            let (_stop, stopping) = watch::channel(false);
            let log: Arc<dyn EventStore> = scribe.log.clone();
            let limits = HttpLimits { streams_memory_kib, ..HttpLimits::default() };
            let streams = Streams::new(&log, &limits, stopping);
            let mut readings: Vec<_> = [Wanted::default()]
                .into_iter()
                .chain(wanted)
                .map(|wanted| Reading::begin(&streams, wanted))
                .collect();
            let count = readings.len();
            for step in &steps {
                match step {
                    Step::Write(write) => scribe.write(write).await,
                    Step::Read(who) => readings[usize::from(*who) % count].glance(),
                    Step::Cut(who) => readings[usize::from(*who) % count].resume(&scribe, &streams),
                }
            }
            let all = scribe.paged(&Wanted::default(), &[200]).await;
            for reading in &mut readings {
                let expected = filtered(&all, &reading.wanted);
                while reading.items.len() < expected.len() {
                    let read = tokio::time::timeout(PATIENCE, reading.read());
                    assert!(read.await.is_ok(), "{} of {}", reading.items.len(), expected.len());
                }
                reading.glance();
                assert_eq!(reading.items, expected);
            }
        });
    }
}

#[test]
fn a_delivery_of_many_events_is_read_on_from_each_of_them() {
    run(async {
        let scribe = Scribe::new();
        for _ in 0..600 {
            let kinds = vec![1];
            scribe.write(&Write::Delivery { number: 1, kinds }).await;
        }
        let wanted = Wanted {
            delivery: Some(delivery(1)),
            ..Wanted::default()
        };
        assert_eq!(scribe.paged(&wanted, &[1]).await.len(), 600);
    });
}

#[test]
fn an_event_of_a_user_shows_ids_and_nothing_else() {
    run(async {
        let scribe = Scribe::new();
        scribe.write(&Write::User { number: 1 }).await;
        let items = scribe.paged(&Wanted::default(), &[1]).await;
        assert_eq!(items[0]["type"], "UserSuspended");
        assert_eq!(items[0]["user_id"], user(1).to_string());
        assert_eq!(items[0]["delivery_id"], Value::Null);
        assert!(!items[0].to_string().contains("canary"), "{}", items[0]);
    });
}

#[test]
fn an_event_that_cannot_be_read_is_never_left_out_by_whoever_wants_it() {
    run(async {
        let scribe = Scribe::new();
        let number = 1;
        let kinds = vec![0];
        scribe.write(&Write::Delivery { number, kinds }).await;
        scribe.write(&Write::Damaged { number }).await;
        let kinds = vec![3];
        scribe.write(&Write::Delivery { number, kinds }).await;
        for wanted in [
            Wanted::default(),
            Wanted {
                delivery: Some(delivery(1)),
                ..Wanted::default()
            },
        ] {
            let page = scribe.page(&wanted, Place::START, 50).await.unwrap();
            assert_eq!((page.items.len(), page.more), (1, true));
            let error = scribe.page(&wanted, page.next, 50).await.unwrap_err();
            assert!(error.to_string().contains("position 2"), "{error}");
        }
        let number = |known: &&domain::codec::EventType| known.name == "Cancelled";
        let cancelled = crate::public_events::shown::types()
            .find(number)
            .unwrap()
            .number;
        let wanted = Wanted {
            types: vec![EventType(cancelled)],
            ..Wanted::default()
        };
        let page = scribe.page(&wanted, Place::START, 50).await.unwrap();
        assert_eq!((page.items.len(), page.more), (1, false));
    });
}
