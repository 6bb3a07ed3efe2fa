//! How many events a second open streams are handed, and how soon.
//!
//! `cargo bench -p tests --bench feed -- --help` says how to run it. Server,
//! readers and writer share one process and its processors; the readers are
//! plain sockets that only look for the ends of events. It checks that each
//! reader got every event once, and no figure.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::application::{Application, known_schemas};
use api::config::Config;
use api::environment::Environment;
use api::http::server::ServerSettings;
use api::http::{Services, interface, server};
use api::ingest::{Ingest, IngestLimits};
use api::observability::Metrics;
use clap::Parser as _;
use domain::codec::StoredEvent as _;
use domain::delivery::DeliveryEvent;
use domain::id::MissionId;
use domain::time::DurationMs;
use domain::translation::Thresholds;
use eventstore::{
    Category, Commit, CommitId, Event, EventStore, EventType, Expected, Journal, JournalOptions,
    Label, Part, RegisteredStore, SchemaVersion, StreamId,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The service's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events a second open streams are handed, and how soon.
#[derive(clap::Parser, Debug)]
struct Settings {
    /// Numbers of readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    readers: Vec<usize>,
    /// Events that are read from the beginning.
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Events a second that come in while readers are at the head.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Seconds for which they do.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often each figure is taken; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Memory for the newest events, kibibytes: both are measured in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 8192])]
    memory_kib: Vec<u64>,
    /// Set by cargo.
    #[arg(long)]
    bench: bool,
}

#[derive(clap::Parser, Debug)]
struct Line {
    #[command(flatten)]
    config: Config,
}

/// A server over a journal of its own.
struct Running {
    log: Arc<dyn EventStore>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn main() {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(async {
        println!(
            "memory KiB  readers  catching up, events/s  live, events/s  p50 ms  p99 ms  max ms"
        );
        for readers in &settings.readers {
            let mut rounds: Vec<Vec<Figures>> =
                settings.memory_kib.iter().map(|_| Vec::new()).collect();
            for _ in 0..settings.rounds {
                for (taken, memory_kib) in rounds.iter_mut().zip(&settings.memory_kib) {
                    taken.push(round(&settings, *memory_kib, *readers).await);
                }
            }
            for (taken, memory_kib) in rounds.iter().zip(&settings.memory_kib) {
                let median = |figure: fn(&Figures) -> f64| {
                    let mut all: Vec<f64> = taken.iter().map(figure).collect();
                    all.sort_by(f64::total_cmp);
                    all.get(all.len() / 2).copied().unwrap_or_default()
                };
                println!(
                    "{memory_kib:>10}  {readers:>7}  {:>21.0}  {:>14.0}  {:>6.2}  {:>6.2}  {:>6.2}",
                    median(|f| f.caught_up),
                    median(|f| f.live),
                    median(|f| f.p50_ms),
                    median(|f| f.p99_ms),
                    median(|f| f.max_ms),
                );
            }
        }
    });
}

struct Figures {
    caught_up: f64,
    live: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

async fn round(settings: &Settings, memory_kib: u64, readers: usize) -> Figures {
    let running = Running::start(memory_kib).await;
    let mut written = 0;
    while written < settings.events {
        let events = (settings.events - written).min(200);
        running.write(written, events).await;
        written += events;
    }
    let address = running.address;
    let count = usize::try_from(settings.events).expect("a bench has few events");
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        tasks.spawn(async move {
            let mut reader = Reader::open(address).await;
            reader.read(count).await;
            reader
        });
    }
    let open = tasks.join_all().await;
    let caught_up = (count * readers) as f64 / begun.elapsed().as_secs_f64();

    let live = usize::try_from(settings.rate * settings.seconds).expect("a bench has few events");
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut reader in open {
        tasks.spawn(async move {
            reader.arrivals.clear();
            reader.read(live).await;
            reader
        });
    }
    let acknowledged = running.feed(settings, written).await;
    let open = tasks.join_all().await;
    let live_s = begun.elapsed().as_secs_f64();
    let mut late: Vec<Duration> = open
        .iter()
        .flat_map(|reader| reader.arrivals.iter().zip(&acknowledged))
        .map(|(arrived, acknowledged)| arrived.saturating_duration_since(*acknowledged))
        .collect();
    late.sort_unstable();
    let at = |permille: usize| {
        let place = (late.len() * permille / 1000).min(late.len().saturating_sub(1));
        late.get(place)
            .map_or(0.0, |late| late.as_secs_f64() * 1000.0)
    };
    drop(open);
    running.stop().await;
    Figures {
        caught_up,
        live: (live * readers) as f64 / live_s,
        p50_ms: at(500),
        p99_ms: at(990),
        max_ms: at(1000),
    }
}

impl Running {
    async fn start(memory_kib: u64) -> Self {
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
        let options = JournalOptions::new(Uuid::from_u128(1));
        let journal = Journal::open(&folder.path().join("journal"), options);
        let journal: Arc<dyn EventStore> = Arc::new(journal.expect("a new journal can be begun"));
        let log = RegisteredStore::open(journal, known_schemas());
        let log: Arc<dyn EventStore> = Arc::new(log.expect("a new log holds nothing unknown"));
        let environment = Environment::system();
        let application =
            Application::new(Arc::clone(&log), environment.clone(), Thresholds::default());
        let limits = IngestLimits {
            park_wait: DurationMs::from_seconds(900),
            gap_wait: DurationMs::from_seconds(5),
            held_facts_max: 64,
            tick: api::ingest::waiting::TICK,
            settling: DurationMs::from_seconds(0),
            skew_max: DurationMs::from_seconds(5),
        };
        let views = projections::Views::in_memory(Arc::clone(&log));
        let services = Services {
            ingest: Ingest::new(application.clone(), limits),
            views: Arc::new(views.expect("views in memory can be begun")),
            live: Arc::default(),
            metrics: Metrics::detached().expect("metrics without a process can be made"),
            cluster: None,
            application,
        };
        let mut config = Line::parse_from(["feed", "--data", "none"]).config;
        config.http.streams_memory_kib = memory_kib;
        let (stop, stopping) = watch::channel(false);
        let front = interface(services, &config, stopping.clone());
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let settings = ServerSettings::new(&config, environment);
        let server = tokio::spawn(async move {
            let mut stopping = stopping;
            let stopped = async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            server::run(listener, front, settings, stopped).await;
        });
        Self {
            log,
            address,
            stop,
            server,
            _folder: folder,
        }
    }

    /// So many events a second, ten at a time: when each was acknowledged.
    async fn feed(&self, settings: &Settings, written: u64) -> Vec<Instant> {
        let mut acknowledged = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_micros(10_000_000 / settings.rate));
        for group in 0..settings.rate * settings.seconds / 10 {
            ticks.tick().await;
            self.write(written + group * 10, 10).await;
            acknowledged.extend([Instant::now(); 10]);
        }
        acknowledged
    }

    /// Appends events, each of a delivery of its own, and waits for all of them.
    async fn write(&self, from: u64, events: u64) {
        let pending: Vec<_> = (from..from + events)
            .map(|number| self.log.append(commit(number)))
            .collect();
        for appending in pending {
            appending
                .await
                .expect("a new delivery conflicts with nothing");
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.server.await.expect("the server does not panic");
    }
}

fn commit(number: u64) -> Commit {
    let mission = MissionId::from_uuid(Uuid::from_u128(7));
    let encoded = DeliveryEvent::InTransit { mission }.encode();
    let key = Uuid::from_u128((0x7 << 76) | (0x2 << 62) | (u128::from(number) << 80));
    let part = Part {
        stream: StreamId::new(Category::new(1), key),
        owner: Some(Uuid::from_u128(9)),
        expected: Expected::NoStream,
        events: vec![Event {
            event_type: EventType(encoded.event_type),
            schema: SchemaVersion(encoded.schema),
            event_time_us: 1_795_219_200_000_000,
            inferred: false,
            cause: None,
            payload: encoded.payload,
        }],
    };
    Commit {
        id: CommitId(Uuid::new_v5(&key, b"bench")),
        clock_us: 1_795_219_200_000_000,
        actor: Label::new("drone:M100-07").expect("it is short"),
        correlation_id: key,
        parts: vec![part],
    }
}

/// A socket with a stream on it.
///
/// It does as little as it can, since it takes its time from the server: all
/// events of the log are equally long, so bytes tell how many have come.
struct Reader {
    socket: TcpStream,
    arrivals: Vec<Instant>,
    /// What came and is not a whole event.
    rest: usize,
    event_bytes: usize,
}

/// What stands between the head of the answer and the first event.
const BEFORE: &[u8] = b"\r\n\r\nretry: 3000\n\n";

/// What a silent stream sends.
const BEAT: &[u8] = b": hb\n\n";

impl Reader {
    /// Opens a stream from the beginning, and reads its first event.
    async fn open(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address)
            .await
            .expect("the server listens");
        // A version that knows no chunks: what comes is the stream itself.
        let request = "GET /v1/events HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
        let sent = socket.write_all(request.as_bytes()).await;
        sent.expect("a new connection takes a request");
        let mut bytes = Vec::new();
        loop {
            let mut buffer = [0; 1024];
            let read = socket.read(&mut buffer).await.expect("the server sends");
            assert!(read > 0, "the stream ended before the first event");
            bytes.extend(buffer.iter().take(read));
            let end = |of: &[u8], mark: &[u8]| {
                let found = of.windows(mark.len()).position(|here| here == mark);
                found.map(|at| at + mark.len())
            };
            let begun = end(&bytes, BEFORE).map(|at| bytes.split_off(at));
            if let Some(event_bytes) = begun.as_deref().and_then(|begun| end(begun, b"\n\n")) {
                let came = begun.map_or(0, |begun| begun.len());
                let now = Instant::now();
                return Self {
                    socket,
                    arrivals: vec![now; came / event_bytes],
                    rest: came % event_bytes,
                    event_bytes,
                };
            }
            bytes.extend(begun.into_iter().flatten());
        }
    }

    /// Reads until so many events have come.
    async fn read(&mut self, events: usize) {
        let mut buffer = vec![0; 64 * 1024];
        while self.arrivals.len() < events {
            let read = self.socket.read(&mut buffer).await;
            let read = read.expect("the server sends");
            assert!(
                read > 0,
                "the stream ended after {} events",
                self.arrivals.len()
            );
            // Who waits for the others for long hears it beat.
            let is_beat = self.rest == 0 && buffer.starts_with(BEAT);
            let came = self.rest + read - if is_beat { BEAT.len() } else { 0 };
            let now = Instant::now();
            let whole = self.arrivals.len() + came / self.event_bytes;
            self.arrivals.resize(whole, now);
            self.rest = came % self.event_bytes;
        }
        assert!(
            self.arrivals.len() == events && self.rest == 0,
            "more came than there is"
        );
    }
}
