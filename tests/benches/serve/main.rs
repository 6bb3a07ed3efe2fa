//! What a GET costs, and how soon what a drone said can be seen.
//!
//! `cargo bench -p tests --bench serve -- --help` says how to run it. The
//! service runs as its users run it, a process of its own over a log on disk;
//! it shares the machine's processors with whoever asks it, and so does the
//! handler that it is compared with, round by round in turn. It checks that
//! answers are right, and no figure.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]

// The log, as the bench of the start writes it.
#[path = "../start/lives.rs"]
mod lives;
// What the service is compared with.
mod bare;
// How many GETs a second.
mod reads;
// How soon a fact is seen, while a fleet sends its telemetry.
mod facts;
mod fleet;
// Times, and where they lie.
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use api::service::{Folders, open_log};
use eventstore::JournalOptions;
use projections::{ViewsOptions, rebuild};
use tests::{Program, Server, poll_until};
use uuid::Uuid;

const HELP: &str = "\
usage: cargo bench -p tests --bench serve -- [--deliveries N] [--rounds N] [--seconds N]
           [--cache-mib N,N,…] [--folder DIR] [--data DIR] [--only reads|facts]

  --deliveries  how many there are, asked for at random (1000000: 9 GB of disk and half an hour to fill)
  --rounds      rounds of each side; medians are printed (5)
  --seconds     how long a round lasts (5)
  --cache-mib   memory for the views' pages, MiB; GETs are measured with each (2048,32)
  --folder      where the data is written (the system's folder for temporary files)
  --data        a data folder that is left there, and used again where it holds a log of
                this bench or one that --keep of the others has left, of so many deliveries
  --only        one half of it

It needs wrk: apt-get install wrk";

/// The service's own allocator, here for the handler that it is compared with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the views of a large log may take to be opened.
const OPENING_TIME_MAX: Duration = Duration::from_mins(30);

struct Settings {
    deliveries: u64,
    rounds: usize,
    seconds: u64,
    caches_mib: Vec<u64>,
    folder: PathBuf,
    data: Option<PathBuf>,
    only: Option<String>,
}

impl Settings {
    fn from_arguments() -> Option<Self> {
        let mut settings = Self {
            deliveries: 1_000_000,
            rounds: 5,
            seconds: 5,
            caches_mib: vec![2048, projections::CACHE_MIB_DEFAULT],
            folder: std::env::temp_dir(),
            data: None,
            only: None,
        };
        // Cargo adds --bench by itself.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next()?;
            let number = || value.parse().ok().filter(|number: &u64| *number > 0);
            match argument.as_str() {
                "--deliveries" => settings.deliveries = number()?,
                "--rounds" => settings.rounds = usize::try_from(number()?).ok()?,
                "--seconds" => settings.seconds = number()?,
                "--cache-mib" => {
                    let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
                    settings.caches_mib = sizes.ok()?;
                }
                "--folder" => settings.folder = value.into(),
                "--data" => settings.data = Some(value.into()),
                "--only" => settings.only = Some(value),
                _ => return None,
            }
        }
        Some(settings)
    }

    fn wants(&self, half: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == half)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(bare::ARGUMENT) {
        let body = arguments.next().expect("the body's file is named");
        return bare::serve(Path::new(&body));
    }
    let Some(settings) = Settings::from_arguments() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    if settings.wants("reads") && !reads::has_wrk() {
        println!("wrk is not there: apt-get install wrk");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(measure(&settings));
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings) {
    let scratch = tempfile::TempDir::new_in(&settings.folder);
    let scratch = scratch.expect("the folder can be written");
    let data = settings.data.as_deref().unwrap_or(scratch.path());
    fill(data, settings.deliveries).await;
    if settings.wants("reads") {
        for cache_mib in &settings.caches_mib {
            let server = start(data, *cache_mib).await;
            reads::measure(settings, &server, *cache_mib, scratch.path()).await;
            server.stop_only().await;
        }
    }
    if settings.wants("facts") {
        let cache_mib = settings
            .caches_mib
            .first()
            .copied()
            .unwrap_or(projections::CACHE_MIB_DEFAULT);
        let server = start(data, cache_mib).await;
        facts::measure(settings, &server, data).await;
        server.stop_only().await;
    }
}

/// Writes the log and builds its views, where they are not there.
async fn fill(data: &Path, deliveries: u64) {
    std::fs::create_dir_all(data).expect("the data folder can be made");
    let folders = Folders::of(data);
    let has_log = data.join("journal").is_dir();
    if has_log && folders.views.is_dir() {
        return;
    }
    let options = JournalOptions::new(Uuid::from_u128(0x5714));
    let (journal, log) = open_log(&folders, options).expect("the log opens");
    if !has_log {
        // Eight events each and a tenth of a registration; the last thousand are under way.
        let events = deliveries.saturating_mul(81) / 10 + 1_000;
        let begun = lives::append(&*log, events).await;
        println!("serve: {begun} deliveries of {events} events are written");
    }
    let views = ViewsOptions::default();
    rebuild(&folders.views, &*log, views, &mut |_| {}).expect("the views are built");
    journal.close();
}

/// The service, ready, with nobody who reads a line for each answer.
async fn start(data: &Path, cache_mib: u64) -> Server {
    let program = Program::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    let quiet = program.with_setting("AIRPOST_LOG", "warn");
    let cache = cache_mib.to_string();
    let server = quiet
        .serve_at_once(data, &["--views-cache-mib", &cache])
        .await;
    poll_until(OPENING_TIME_MAX, "the views to be ready", async || {
        let answer = server.client().get("/readyz").send().await;
        (answer.status() == 200).then_some(())
    })
    .await;
    server
}
