//! How long a killed service takes to answer again, and what memory it then holds.
//!
//! `cargo bench -p tests --bench start -- --help` says how to run it. It
//! writes a log of whole lives of deliveries, lets the service build its views,
//! kills it, and times what a client sees: from the start of the program to the
//! first answered GET of a delivery. It checks nothing: what is fast enough
//! stands in the event store's README.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]

// The log: deliveries from the order to the door.
mod lives;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::service::{Folders, open_log};
use eventstore::JournalOptions;
use tests::{Program, Server, poll_until};
use uuid::Uuid;

const HELP: &str = "\
usage: cargo bench -p tests --bench start -- [--events N,N,…] [--rounds N] [--folder DIR]

  --events   sizes of the logs (10000,1000000); 10 million take 2 GB, and views of 1.5 GB
             that are first built
  --rounds   how often each is started and killed; medians are printed (5)
  --folder   where the data is written (the system's folder for temporary files)
  --keep     a folder that the data is left in, one for each size; what an earlier run
             left there is used again";

/// How long the views of a large log may take to be built.
const BUILD_TIME_MAX: Duration = Duration::from_hours(2);

/// The service's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Settings {
    events: Vec<u64>,
    rounds: usize,
    folder: PathBuf,
    keep: Option<PathBuf>,
}

impl Settings {
    fn from_arguments() -> Option<Self> {
        let mut settings = Self {
            events: vec![10_000, 1_000_000],
            rounds: 5,
            folder: std::env::temp_dir(),
            keep: None,
        };
        // Cargo adds --bench by itself.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next()?;
            match argument.as_str() {
                "--events" => {
                    let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
                    settings.events = sizes.ok()?;
                }
                "--rounds" => settings.rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
                "--keep" => settings.keep = Some(value.into()),
                "--folder" => settings.folder = value.into(),
                _ => return None,
            }
        }
        Some(settings)
    }
}

/// What one start took.
#[derive(Clone, Copy)]
struct Start {
    listening: Duration,
    /// A delivery; it is folded from the log as long as the views are checked.
    first_get: Duration,
    first_mib: f64,
    /// The views are checked and caught up: lists are answered too.
    ready: Duration,
    peak_mib: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(settings) = Settings::from_arguments() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    for events in &settings.events {
        let scratch = tempfile::TempDir::new_in(&settings.folder);
        let scratch = scratch.expect("the folder can be written");
        let kept = settings
            .keep
            .as_ref()
            .map(|keep| keep.join(events.to_string()));
        let data = kept.as_deref().unwrap_or(scratch.path());
        measure(&settings, *events, data).await;
    }
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings, events: u64, data: &Path) {
    let begin = Instant::now();
    if !data.join("journal").is_dir() {
        let deliveries = fill(data, events).await;
        println!(
            "start {events:>9} events: {deliveries} deliveries written in {:.1} s",
            begin.elapsed().as_secs_f64()
        );
    }
    let program = Program::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    let begin = Instant::now();
    let server = program.serve_at_once(data, &[]).await;
    until_ready(&server).await;
    let built = begin.elapsed().as_secs_f64();
    println!(
        "start {events:>9} events: views built in {built:.1} s, {:.0} k events/s",
        events as f64 / built / 1e3
    );
    server.kill().await;
    let mut starts = Vec::with_capacity(settings.rounds);
    for round in 0..settings.rounds {
        starts.push(
            start(
                &program,
                data,
                round as u64 * (events / 9) / settings.rounds as u64,
            )
            .await,
        );
    }
    let middle = |of: fn(&Start) -> f64| {
        let mut values: Vec<f64> = starts.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "start {events:>9} events: after kill -9 it listens after {:.0} ms, answers the first GET after \
         {:.0} ms (the first time, when the views had just been built, {:.0} ms) with {:.0} MiB; \
         ready after {:.0} ms, at most {:.0} MiB",
        middle(|start| start.listening.as_secs_f64() * 1e3),
        middle(|start| start.first_get.as_secs_f64() * 1e3),
        starts.first().map_or(f64::NAN, |start| ms(start.first_get)),
        middle(|start| start.first_mib),
        middle(|start| start.ready.as_secs_f64() * 1e3),
        middle(|start| start.peak_mib),
    );
}

/// Writes the log; gives how many deliveries it has.
async fn fill(data: &Path, events: u64) -> u64 {
    let options = JournalOptions::new(Uuid::from_u128(0x5714));
    std::fs::create_dir_all(data).expect("the data folder can be made");
    let (journal, log) = open_log(&Folders::of(data), options).expect("a new log opens");
    let deliveries = lives::append(&*log, events).await;
    journal.close();
    deliveries
}

/// Starts the service, asks for one delivery, and kills it in the midst of a write.
async fn start(program: &Program, data: &Path, delivery: u64) -> Start {
    let begin = Instant::now();
    let server = program.serve_at_once(data, &[]).await;
    let listening = begin.elapsed();
    let path = format!("/v1/deliveries/{}", lives::delivery_id(delivery));
    let answer = server.client().get(&path).send().await;
    let _delivery = answer.expect(200);
    let first_get = begin.elapsed();
    let first_mib = memory_mib(&server, "VmRSS:");
    until_ready(&server).await;
    let ready = begin.elapsed();
    let peak_mib = memory_mib(&server, "VmHWM:");
    let email = format!("{}-{}@example.org", server.pid(), delivery);
    let user = serde_json::json!({"name": "A user", "email": email});
    let write = server.client().post("/v1/users").json(&user).try_send();
    let killed = server.kill();
    let (_unknown, ()) = tokio::join!(write, killed);
    Start {
        listening,
        first_get,
        first_mib,
        ready,
        peak_mib,
    }
}

async fn until_ready(server: &Server) {
    let client = server.client();
    poll_until(BUILD_TIME_MAX, "the views to be ready", async || {
        (client.get("/readyz").send().await.status() == 200).then_some(())
    })
    .await;
}

fn memory_mib(server: &Server, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let rss_kib: Option<f64> = status.unwrap_or_default().lines().find_map(|line| {
        let rest = line.strip_prefix(field)?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    });
    rss_kib.unwrap_or(f64::NAN) / 1024.0
}
