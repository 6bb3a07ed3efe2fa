//! How many public events of a backlog a second go out over NATS.
//!
//! `cargo bench -p tests --bench deliveries -- --help` says how to run it. The service runs as its users
//! run it, a process of its own over a log on disk, and so do the NATS servers, which sync whatever they
//! store; all share the machine's processors. The same messages are stored in a stream like that one by a
//! bare publisher: many on their way at once, none behind another by its number. It checks that all events
//! are out, and no figure.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot go on has failed, in its helpers too"
)]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tests::{NatsClient, NatsCluster, NatsServer, Program, poll_until};

const HELP: &str = "\
usage: cargo bench -p tests --bench deliveries -- [--events N] [--rounds N] [--batches on|off] [--folder DIR]

  --events  events of the backlog (20000)
  --rounds  rounds against one server and against three; medians are printed (3)
  --batches off: the stream takes none, so that events go out one by one (on)
  --folder  where the log is written (the system's folder for temporary files)";

/// The service's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The stream that the service makes, and the bare publisher's.
const STREAM: &str = "DELIVERY_EVENTS";
const BARE: &str = "BARE";

/// Far longer than a round takes.
const PATIENCE: Duration = Duration::from_mins(10);

struct Settings {
    events: usize,
    rounds: usize,
    batches: bool,
    folder: PathBuf,
}

impl Settings {
    fn from_arguments() -> Option<Self> {
        let mut settings = Self {
            events: 20_000,
            rounds: 3,
            batches: true,
            folder: std::env::temp_dir(),
        };
        // Cargo adds --bench by itself.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next()?;
            match argument.as_str() {
                "--events" => settings.events = value.parse().ok()?,
                "--rounds" => settings.rounds = value.parse().ok()?,
                "--batches" => settings.batches = value == "on",
                "--folder" => settings.folder = value.into(),
                _ => return None,
            }
        }
        Some(settings)
    }
}

fn main() -> ExitCode {
    let Some(settings) = Settings::from_arguments() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(&settings));
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings) {
    let data = tempfile::TempDir::new_in(&settings.folder).unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    let program = program.with_setting("AIRPOST_LOG", "warn");
    write(&program, data.path(), settings.events).await;
    for servers in [1, 3] {
        let (mut out, mut bare) = (Vec::new(), Vec::new());
        for round in 0..settings.rounds {
            // Whatever servers keep in mind of a round is gone in the next one.
            let (one, three) = if servers == 1 {
                (Some(NatsServer::alone().await), None)
            } else {
                (None, Some(NatsCluster::of_three().await))
            };
            let urls = one.as_ref().map(NatsServer::url);
            let urls = urls.or(three.as_ref().map(NatsCluster::urls)).unwrap();
            let nats = NatsClient::connect(&urls).await;
            make_streams(&nats, servers, settings.batches).await;
            if round % 2 == 0 {
                out.push(publish(&program, data.path(), &urls, &nats, settings.events).await);
                bare.push(publish_bare(&nats).await);
            } else {
                // What the service told is what the other one sends, so it comes first in any
                // round; in every other one it is measured behind that.
                publish(&program, data.path(), &urls, &nats, settings.events).await;
                bare.push(publish_bare(&nats).await);
                nats.remove_stream(STREAM).await;
                nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
                make_streams(&nats, servers, settings.batches).await;
                out.push(publish(&program, data.path(), &urls, &nats, settings.events).await);
            }
        }
        let (out, bare) = (median(out), median(bare));
        println!(
            "deliveries: a backlog of {} events, batches {}, {servers} servers that sync, {} rounds: {out:.0} events/s go out; \
             a bare publisher of the same messages {bare:.0}/s; {:.2} x",
            settings.events,
            if settings.batches { "on" } else { "off" },
            settings.rounds,
            out / bare
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A log with so many users, who are an event each.
async fn write(program: &Program, data: &Path, events: usize) {
    let server = program.serve(data).await;
    let client = server.client();
    let users = stream::iter(0..events).map(async |user| {
        let user = json!({ "name": "Ada", "email": format!("ada-{user}@example.org") });
        let made = client.post("/v1/users").json(&user).send().await;
        let _made = made.expect(201);
    });
    users.buffer_unordered(64).collect::<()>().await;
    server.stop_only().await;
}

/// Makes the streams that are not there, as the service does, so that nobody is measured making them.
async fn make_streams(nats: &NatsClient, servers: usize, batches: bool) {
    for (name, subjects) in [
        (
            STREAM,
            json!([
                "airpost.v1.deliveries.>",
                "airpost.v1.missions.>",
                "airpost.v1.users.>"
            ]),
        ),
        (BARE, json!(["bare.>"])),
    ] {
        if nats.stream(name).await.is_none() {
            let stream = json!({
                "name": name, "storage": "file", "num_replicas": servers, "subjects": subjects,
                "duplicate_window": 100_000_000, "allow_atomic": batches, "allow_direct": true,
            });
            nats.make_stream(&stream).await;
        }
    }
}

/// How many events a second the service publishes, from the first one that is out to the last.
async fn publish(
    program: &Program,
    data: &Path,
    urls: &str,
    nats: &NatsClient,
    events: usize,
) -> f64 {
    let server = program.serve_with(data, &["--nats", urls]).await;
    let first = Cell::new(None);
    let rate = poll_until(PATIENCE, "all events to be out", || async {
        let told = nats.stream(STREAM).await?;
        let last = told.pointer("/state/last_seq").and_then(Value::as_u64)?;
        if last == 0 {
            return None;
        }
        let (before, begun) = first.get().unwrap_or_else(|| (last, Instant::now()));
        first.set(Some((before, begun)));
        let rate = (last - before) as f64 / begun.elapsed().as_secs_f64();
        (last >= events as u64).then_some(rate)
    })
    .await;
    server.stop_only().await;
    rate
}

/// How many a second a bare publisher has stored of the same messages.
async fn publish_bare(nats: &NatsClient) -> f64 {
    let told = nats.messages(STREAM).await;
    let of = told.len();
    let messages = told.into_iter().map(|told| {
        let content = String::from_utf8(told.payload).unwrap();
        (format!("bare.{}", told.subject), content)
    });
    let messages: Vec<_> = messages.collect();
    let begun = Instant::now();
    nats.store_all(messages.into_iter()).await;
    of as f64 / begun.elapsed().as_secs_f64()
}
