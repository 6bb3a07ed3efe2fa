//! How fast all views are built from a log, beside its two halves: folding
//! alone, and the engine alone with the same entries.
//!
//! `cargo bench -p tests --bench rebuild -- --help` says how to run it. All
//! three are taken in turns in one run. It checks nothing: what is fast enough
//! stands in the README of the projections.

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

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::service::{Folders, open_log};
use eventstore::{EventStore, JournalOptions};
use projections::reference::{copy_entries, fold_alone};
use projections::{ViewsOptions, rebuild};
use uuid::Uuid;

const HELP: &str = "\
usage: cargo bench -p tests --bench rebuild -- [--events N,N,…] [--rounds N] [--folder DIR]

  --events   sizes of the logs (10000,1000000); 10 million take 10 GB of disk for a while
  --rounds   how often each is built; medians are printed (5)
  --folder   where the data is written (the system's folder for temporary files)
  --keep     a folder that the logs are left in, one for each size; what an earlier run,
             also of the bench of the start, left there is used again";

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

/// What one round took.
struct Round {
    fold: Duration,
    rebuild: Duration,
    bare: Duration,
    entries: u64,
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
        let kept = settings.keep.as_ref();
        let kept = kept.map(|keep| keep.join(events.to_string()));
        let data = kept.as_deref().unwrap_or(scratch.path());
        measure(&settings, *events, data, scratch.path()).await;
    }
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings, events: u64, data: &Path, scratch: &Path) {
    let is_new = !data.join("journal").is_dir();
    std::fs::create_dir_all(data).expect("the data folder can be made");
    let options = JournalOptions::new(Uuid::from_u128(0x5714));
    let (journal, log) = open_log(&Folders::of(data), options).expect("the log opens");
    if is_new {
        let deliveries = lives::append(&*log, events).await;
        println!("rebuild {events:>9} events: of {deliveries} deliveries");
    }
    // One that was kept may have grown. Every commit of a life is one event.
    let events = log.head().borrow().get();
    let rounds: Vec<Round> = (0..settings.rounds)
        .map(|_| round(&*log, scratch))
        .collect();
    journal.close();
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "rebuild {events:>9} events: {:.0} k entries; folding alone {:.2} M events/s; \
         the engine alone {:.0} k entries/s; all views {:.0} k entries/s, {:.0} k events/s: \
         {:.2} of the engine alone; at most {:.0} MiB",
        median(&|it| it.entries as f64 / 1e3),
        median(&|it| rate(events, it.fold) / 1e6),
        median(&|it| rate(it.entries, it.bare) / 1e3),
        median(&|it| rate(it.entries, it.rebuild) / 1e3),
        median(&|it| rate(events, it.rebuild) / 1e3),
        median(&|it| it.bare.as_secs_f64() / it.rebuild.as_secs_f64()),
        median(&|it| it.peak_mib),
    );
}

fn round(log: &dyn EventStore, scratch: &Path) -> Round {
    let (views, copy) = (scratch.join("views"), scratch.join("copy"));
    for folder in [&views, &copy] {
        // The first round finds none.
        let _ = std::fs::remove_dir_all(folder);
    }
    let options = ViewsOptions::default();
    let begin = Instant::now();
    fold_alone(log).expect("the log folds");
    let fold = begin.elapsed();
    // A new peak of the memory is kept from here.
    std::fs::write("/proc/self/clear_refs", "5").expect("the system keeps peaks");
    let begin = Instant::now();
    rebuild(&views, log, options, &mut |_| {}).expect("the views are built");
    let rebuild = begin.elapsed();
    let peak_mib = peak_mib();
    let mut bare = Duration::ZERO;
    let entries = copy_entries(&views, &copy, options, &mut |write| {
        let begin = Instant::now();
        write();
        bare += begin.elapsed();
    });
    Round {
        fold,
        rebuild,
        bare,
        entries: entries.expect("the entries are copied"),
        peak_mib,
    }
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib: Option<f64> = status.lines().find_map(|line| {
        let rest = line.strip_prefix("VmHWM:")?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    });
    kib.unwrap_or(f64::NAN) / 1024.0
}
