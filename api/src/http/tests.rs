//! The interface as a client sees it, over a log and views in memory.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use domain::stream::StreamName;
use domain::time::DurationMs;
use domain::translation::Thresholds;
use eventstore::{
    Category, Commit, CommitId, Event, EventStore, EventType, Expected, Label, MemoryEventStore,
    Part, SchemaVersion, StreamId, StreamVersion,
};
use http_body_util::BodyExt as _;
use projections::Views;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;
use crate::ingest::IngestLimits;

mod deliveries;
mod drone_events;
mod feed;
mod handover;
mod holding;
mod idempotency;
mod lists;
mod operations;
mod operators;
mod overtaken;
mod packages;
mod refused;
mod serviceability;
mod streams;
mod tasks;
mod task_links;
mod users;
mod waiting;
mod wide;

/// 2026-11-21T00:00:00Z.
const NOW_US: i64 = 1_795_219_200_000_000;

/// A service, and a client of it.
struct Scene {
    front: Front,
    log: Arc<MemoryEventStore>,
    /// Ends open streams.
    stop: watch::Sender<bool>,
}

/// An answer that was read whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: bytes::Bytes,
}

impl Scene {
    fn new() -> Self {
        Self::over(Arc::new(MemoryEventStore::new(Uuid::nil())), NOW_US)
    }

    /// Another service over the same log, at another time.
    fn at(&self, now_us: i64) -> Self {
        Self::over(Arc::clone(&self.log), now_us)
    }

    fn over(log: Arc<MemoryEventStore>, now_us: i64) -> Self {
        Self::with_config(log, now_us, &config())
    }

    /// With other settings.
    fn with(set: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        set(&mut config);
        let log = Arc::new(MemoryEventStore::new(Uuid::nil()));
        Self::with_config(log, NOW_US, &config)
    }

    fn with_config(log: Arc<MemoryEventStore>, now_us: i64, config: &Config) -> Self {
        let views = Views::in_memory(log.clone()).unwrap();
        Self::with_views(log, views, now_us, config)
    }

    fn with_views(log: Arc<MemoryEventStore>, views: Views, now_us: i64, config: &Config) -> Self {
        Self::with_store(log.clone(), log, views, now_us, config)
    }

    /// One that writes to a store in front of the log.
    fn with_store(
        store: Arc<dyn EventStore>,
        log: Arc<MemoryEventStore>,
        views: Views,
        now_us: i64,
        config: &Config,
    ) -> Self {
        let environment = Environment::fixed(now_us);
        let application = Application::new(store, environment, Thresholds::default());
        let rules = config.scheduling.rules(config.time_scale).unwrap();
        let application = application.with_scheduling(rules);
        let services = Services {
            ingest: Ingest::new(application.clone(), limits()),
            views: Arc::new(views),
            live: Arc::default(),
            metrics: Metrics::detached().unwrap(),
            cluster: None,
            application,
        };
        let (stop, stopping) = watch::channel(false);
        Self {
            front: interface(services, config, stopping),
            log,
            stop,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.front.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[], Some(body)).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "airpost.test");
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Text is sent as it is, for bodies that are no JSON.
        let body = body.map_or_else(Body::empty, |body| match body.as_str() {
            Some(text) => Body::from(text.to_owned()),
            None => Body::from(body.to_string()),
        });
        self.send(request.body(body).unwrap()).await
    }

    /// A new user's id.
    async fn user(&self, email: &str) -> String {
        let answer = self
            .post("/v1/users", json!({"name": "Ada", "email": email}))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("/id")
    }

    /// A new delivery's id.
    async fn delivery(&self, user: &str) -> String {
        let answer = self.post("/v1/deliveries", order(user)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("/id")
    }

    /// Begins a stream with an event that no release can decode.
    async fn damage(&self, name: StreamName) {
        self.decided(name, (u16::MAX, 1), vec![1]).await;
    }

    /// Damages more deliveries than a view parks: then it stands still.
    async fn damage_more_than_is_parked(&self) {
        for number in 0..=projections::PARKED_STREAMS_MAX as u128 {
            let id = domain::id::DeliveryId::from_uuid(Uuid::from_u128(0xDA00 + number));
            self.damage(StreamName::delivery(id)).await;
        }
    }

    /// The same to a stream of a user's.
    async fn damage_of(&self, user: &str, name: StreamName) {
        let user: domain::id::UserId = user.parse().unwrap();
        let owner = Some(user.uuid());
        self.append(owner, name, (u16::MAX, 1), vec![1]).await;
    }

    /// Appends an event, given by its type and schema, as if it had been decided.
    async fn decided(&self, name: StreamName, kind: (u16, u16), payload: Vec<u8>) {
        self.append(None, name, kind, payload).await;
    }

    async fn append(
        &self,
        owner: Option<Uuid>,
        name: StreamName,
        (event_type, schema): (u16, u16),
        payload: Vec<u8>,
    ) {
        let stream = StreamId::new(Category::new(name.category.number()), name.key);
        let budget = eventstore::Budget::PAGE;
        let page = self.log.read_stream(stream, StreamVersion::EMPTY, budget);
        let part = Part {
            stream,
            owner,
            expected: Expected::Exact(page.unwrap().version),
            events: vec![Event {
                event_type: EventType(event_type),
                schema: SchemaVersion(schema),
                event_time_us: NOW_US,
                inferred: false,
                cause: None,
                payload,
            }],
        };
        let commit = Commit {
            id: CommitId(Uuid::from_u128(0xBAD << 64 | u128::from(self.head()))),
            clock_us: NOW_US,
            actor: Label::new("system").unwrap(),
            correlation_id: Uuid::nil(),
            parts: vec![part],
        };
        self.log.append(commit).await.unwrap();
    }

    /// Where the log ends.
    fn head(&self) -> u64 {
        self.log.head().borrow().get()
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn at(&self, pointer: &str) -> Value {
        self.json()
            .pointer(pointer)
            .cloned()
            .unwrap_or_else(|| panic!("no {pointer}: {self:?}"))
    }

    fn text(&self, pointer: &str) -> String {
        self.at(pointer)
            .as_str()
            .unwrap_or_else(|| panic!("{pointer} is no text: {self:?}"))
            .to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
            .to_str()
            .unwrap()
    }

    /// The code and the pointers of a problem.
    fn problem(&self, status: u16) -> (String, Vec<String>) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.at("/status"), status);
        assert!(
            self.text("/type")
                .starts_with("http://airpost.test/problems/")
        );
        assert!(self.text("/instance").starts_with("urn:uuid:"));
        let errors = self
            .json()
            .get("errors")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let pointers = errors
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap().to_owned());
        (self.text("/code"), pointers.collect())
    }
}

const fn limits() -> IngestLimits {
    IngestLimits {
        park_wait: DurationMs::from_seconds(900),
        gap_wait: DurationMs::from_seconds(5),
        held_facts_max: 64,
        tick: crate::ingest::waiting::TICK,
        settling: DurationMs::from_seconds(0),
        skew_max: DurationMs::from_seconds(5),
    }
}

fn config() -> Config {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }
    Line::parse_from(["airpost", "--data", "none"]).config
}

/// An order of a package that no other order is about.
fn order(user: &str) -> Value {
    let tag = format!("QR-{}", Environment::system().new_id());
    json!({
        "user_id": user,
        "pickup": {"lat": 40.459, "lon": -79.782, "address": "1 Main St"},
        "dropoff": {"lat": 40.461, "lon": -79.779},
        "package": {"tag": tag, "size": "small", "mass_g": 500},
    })
}
