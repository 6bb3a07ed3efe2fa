//! The command line.

// What the commands do.
mod demo;
mod maintain;
mod rebuild;
mod events;
mod recover;
mod derived;
mod copies;
mod transfer;
mod cluster;
mod doctor;
mod unknown;
mod serve;
mod simulate;
// What they share.
mod terminal;
mod room;
mod scratch;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use domain::time::TimeScale;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, parse_listen, parse_time_scale};
use crate::observability::{LOG_VARIABLE, LogError, LogFormat, log_panics, start_logging};
use crate::simulate::{Fault, Faults, Speed};

/// What the process ends with when something that was checked is not in order.
const FINDINGS: u8 = 3;

/// Event-sourced drone delivery: takes deliveries and drone events, keeps them in a durable
/// log, and answers what became of each delivery.
#[derive(Debug, Parser)]
#[command(name = "airpost", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all is well, 1 it failed, 2 the command line was not understood, \
3 a check found something.
Output: results go to standard output; errors, and every few seconds how far a longer command \
is, to standard error. An export that is written to standard output has its result on standard \
error.
Environment: AIRPOST_LOG sets what is logged (error, warn, info, debug, trace, or a filter \
such as info,api=debug); every option of serve has a variable of its own.
Try it: airpost demo";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(Box<Config>),
    /// Run the service on a scratch folder, fly a recorded flight, and live in a small city
    Demo(DemoOptions),
    /// Order deliveries and play the fleet that flies them, through a service's public door, and
    /// check what became of each: of a generated city whose drones, customers and troubles follow
    /// from a seed, or of recorded flights
    #[command(after_help = simulate_after_help())]
    Simulate(SimulateOptions),
    /// Check the journal, that this release can read all of it, and that every view is what the
    /// journal says. Mends nothing but what
    /// every start does: a torn last write is cut off. Beside a running service the journal alone
    /// is checked, and nothing is changed
    Verify(FolderOptions),
    /// Build the views anew from the journal, all of them or those that are named. Those that are
    /// there stay until the new ones are complete, so there must be room for both. The service
    /// must not be running
    Rebuild(RebuildOptions),
    /// Say which acknowledged events a journal is missing, and go on without them if that is
    /// accepted. The service must not be running
    Recover(recover::RecoverOptions),
    /// Copy the journal, in use or not, into a folder; a further run copies what is new
    Backup(copies::BackupOptions),
    /// Check every byte of a backup
    VerifyBackup(copies::VerifyBackupOptions),
    /// Make a data folder from a backup; it goes on under a new epoch
    Restore(copies::RestoreOptions),
    /// Write the log as lines of JSON, a record or a cloud event each; beside a running service
    /// or without one. An interrupted export into a file is gone on with
    Export(transfer::ExportOptions),
    /// Make a data folder from an export; an interrupted import is gone on with. It takes about
    /// 110 bytes of memory for every stream, beside 80 MiB
    Import(transfer::ImportOptions),
    /// Have the log on a cluster of NATS servers, where several nodes write it
    Cluster(cluster::ClusterOptions),
    /// Look at the NATS servers that a service is to use, one thing after the other, and say what
    /// has to be changed
    #[command(after_help = doctor::AFTER_HELP)]
    Doctor(Box<doctor::DoctorOptions>),
}

/// What may go wrong in a simulation, how long one takes, and what it ends with.
fn simulate_after_help() -> String {
    let faults = Fault::ALL.map(|fault| format!("  {:17} {}\n", fault.name(), fault.means()));
    format!(
        "Faults:\n{}\n\
         It takes as long as its flights and waits do: some minutes for the usual hundred deliveries. A line every five \
         seconds tells how far it is. --speed max flies without waiting, and a larger --time-scale (of the service, where \
         --url names one) shortens what is waited for.\n\
         Exit codes: 0 nothing is wrong, 1 it failed (nobody answers at --url, or the seed's deliveries were ordered \
         there before), 2 the command line was not understood, 3 a delivery came to what it should not have.",
        faults.concat()
    )
}

/// Where the data is.
#[derive(Debug, clap::Args)]
struct FolderOptions {
    /// The folder that holds the journal and everything derived from it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// Memory that the views may keep their pages in, mebibytes.
    #[arg(long, env = "AIRPOST_VIEWS_CACHE_MIB", value_name = "MIB",
          default_value_t = projections::CACHE_MIB_DEFAULT,
          value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    views_cache_mib: u64,
}

/// What is built anew.
#[derive(Debug, clap::Args)]
struct RebuildOptions {
    #[command(flatten)]
    folder: FolderOptions,

    /// Build only this view; once for each that is to be built. All others stay as they are;
    /// without it all are built, and what became of rebuilds asked for over HTTP is forgotten.
    #[arg(long = "view", value_name = "NAME",
          value_parser = PossibleValuesParser::new(projections::view_names()))]
    views: Vec<String>,
}

/// What the simulator does.
#[derive(Debug, clap::Args)]
struct SimulateOptions {
    /// The address of a running service. Without it one is run on a scratch folder, and its
    /// views are held against its log at the end. Recorded flights are flown through
    /// <http://127.0.0.1:8080> then.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    #[command(flatten)]
    city: CityOptions,

    /// How many times as fast as in the world drones fly; max does not wait at all. Without it
    /// as fast as time passes for the service (--time-scale), or 10 times with --url or --recorded.
    #[arg(long, value_name = "X", value_parser = Speed::parse)]
    speed: Option<Speed>,

    /// How many times as fast as usual time passes for what the service waits for, 1 to 1000.
    /// It is the service's own setting where one is running.
    #[arg(long, value_name = "K", default_value = "20", value_parser = parse_time_scale,
          conflicts_with_all = ["url", "recorded"])]
    time_scale: TimeScale,

    /// Write a line for each delivery into this file: its name, its outcome, and the types of
    /// its events in order. Runs of the same seed write the same.
    #[arg(long, value_name = "FILE", conflicts_with = "recorded")]
    lives: Option<PathBuf>,

    /// Fly recorded flights instead: a folder with one CSV a flight, of the columns `time` (s),
    /// `position_x` (longitude), `position_y` (latitude), `position_z` (m above take-off) and
    /// `payload` (g).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["drones", "deliveries", "seed", "faults"])]
    recorded: Option<PathBuf>,
}

/// A generated city and what happens in it.
#[derive(Debug, clap::Args)]
struct CityOptions {
    /// How many drones fly.
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    drones: u32,

    /// How many deliveries are ordered.
    #[arg(long, value_name = "M", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    deliveries: u32,

    /// What everything follows from that is drawn by chance: the same seed gives each delivery
    /// the same events in the same order.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// What goes wrong: none, all, or some of those below between commas.
    #[arg(long, value_name = "PROFILE", default_value = "none", value_parser = Faults::parse)]
    faults: Faults,
}

/// How the demo runs.
#[derive(Debug, clap::Args)]
struct DemoOptions {
    /// The address and port to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    listen: SocketAddr,

    /// How many times as fast as recorded; max does not wait at all.
    #[arg(long, value_name = "X", default_value = "10", value_parser = Speed::parse)]
    speed: Speed,

    /// Stop when the flight is over.
    #[arg(long)]
    exit: bool,
}

/// Runs the program on the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs the program on these arguments, the first of which is its name.
///
/// What it has to say goes to standard output, what went wrong to standard error.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way too; a closed pipe is no failure of theirs.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(line.command) {
        Ok(code) => code,
        Err(error) => {
            terminal::complain(format_args!("error: {}", in_full(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each said once: some errors name their cause themselves.
fn in_full(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Takes as many file handles as the system lets this user have: a journal
/// keeps two open for every segment, and every connection is one.
fn take_file_handles() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Without them everything works, until there are very many segments.
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!(%error, "the limit of file handles stays as it is");
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    take_file_handles();
    let filter = std::env::var(LOG_VARIABLE).ok();
    let log = |format, default: &str| {
        start_logging(format, Some(filter.as_deref().unwrap_or(default)))?;
        log_panics();
        Ok::<_, LogError>(())
    };
    match command {
        Command::Serve(config) => {
            log(config.log_format, "info")?;
            serve::serve(&config)
        }
        Command::Demo(options) => {
            log(LogFormat::default(), "warn")?;
            demo::demo(&options)
        }
        Command::Simulate(options) => {
            log(LogFormat::default(), "warn")?;
            simulate::simulate(&options)
        }
        Command::Verify(options) => {
            log(LogFormat::default(), "warn")?;
            maintain::verify(&options)
        }
        Command::Rebuild(options) => {
            log(LogFormat::default(), "warn")?;
            rebuild::rebuild(&options)
        }
        Command::Recover(options) => {
            log(LogFormat::default(), "warn")?;
            recover::recover(&options)
        }
        Command::Backup(options) => {
            log(LogFormat::default(), "warn")?;
            copies::backup(&options)
        }
        Command::VerifyBackup(options) => {
            log(LogFormat::default(), "warn")?;
            copies::verify_backup(&options)
        }
        Command::Restore(options) => {
            log(LogFormat::default(), "warn")?;
            copies::restore(&options)
        }
        Command::Export(options) => {
            log(LogFormat::default(), "warn")?;
            transfer::export(&options)
        }
        Command::Import(options) => {
            log(LogFormat::default(), "warn")?;
            transfer::import(&options)
        }
        Command::Cluster(options) => {
            log(LogFormat::default(), "warn")?;
            cluster::cluster(&options)
        }
        Command::Doctor(options) => {
            log(LogFormat::default(), "error")?;
            doctor::doctor(&options)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    #[test]
    fn what_is_not_understood_ends_with_code_2_and_help_with_0() {
        let run =
            |arguments: &[&str]| format!("{:?}", super::run(arguments.iter().map(OsString::from)));
        assert_eq!(run(&["airpost", "fly"]), format!("{:?}", ExitCode::from(2)));
        assert_eq!(
            run(&["airpost", "serve"]),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            run(&["airpost", "--help"]),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }
}
