//! The store's figures, each beside a reference that is measured in the same run.
//!
//! `cargo bench -p eventstore -- --help` says how to run it. A figure is the
//! median of several rounds; the store and its reference take turns, so that
//! whatever else the machine does meets both. It checks nothing: what is fast
//! enough stands in the README.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a run are far below 2^52"
)]

// What is appended, and how a run of it is described.
mod settings;
mod workload;

// What is measured, and against what.
mod bare;
mod append;
mod open;
mod read;
mod size;
mod jetstream;

// Real NATS servers, as the tests start them.
#[path = "../../src/tests/servers.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests do more with them")]
mod servers;

use std::process::ExitCode;

use settings::{Command, Part, Settings};

/// The service's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = match Settings::from_arguments(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(help) => {
            println!("{help}");
            return ExitCode::from(2);
        }
    };
    match &settings.command {
        Command::Figures(parts) => {
            println!("{}", settings::machine());
            if parts.contains(&Part::Append) {
                append::figures(&settings);
            }
            if parts.contains(&Part::Cluster) {
                jetstream::figures(&settings);
            }
            let of_journals = [Part::Open, Part::Size, Part::Read];
            if parts.iter().any(|part| of_journals.contains(part)) {
                for events in &settings.events {
                    let journal = workload::JournalOf::events(&settings, *events);
                    // First, while the journal is as the abort left it.
                    if parts.contains(&Part::Open) {
                        open::figures(&settings, &journal);
                    }
                    if parts.contains(&Part::Size) {
                        size::figures(&journal);
                    }
                    if parts.contains(&Part::Read) {
                        read::figures(&settings, &journal);
                    }
                }
            }
        }
        Command::Write { folder, events } => workload::write_and_abort(folder, *events),
        Command::Open { folder } => open::open_once(folder),
    }
    ExitCode::SUCCESS
}
