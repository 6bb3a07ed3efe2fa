//! `airpost doctor`: what is wrong with what the service needs.

use std::process::ExitCode;

use anyhow::Context as _;
use eventstore::JetStreamOptions;
use tokio::runtime::Runtime;

use super::serve::interruptible;
use super::terminal::say;
use super::{FINDINGS, cluster};
use crate::config::NatsOptions;
use crate::environment::Environment;
use crate::nats::doctor::{Check, Examination, Found, examine, examine_monitor};

/// What is looked at.
#[derive(Debug, clap::Args)]
#[command(mut_arg("nats", |arg| arg.required(true)))]
pub(super) struct DoctorOptions {
    #[command(flatten)]
    nats: NatsOptions,

    /// Where a server tells of itself, such as <http://127.0.0.1:8222>; once for each server. Only
    /// there can be seen whether it syncs what it acknowledges.
    #[arg(long = "monitor", value_name = "URL")]
    monitors: Vec<String>,
}

pub(super) const AFTER_HELP: &str = "\
Each server in --nats is looked at by itself; then JetStream and the permissions; with --cluster the log. \
Nothing is written and nothing is made.
ok is as it should be, note could be better, wrong has to be changed, unseen has to be looked at otherwise.
Exit codes: 0 nothing is wrong, 1 it failed, 3 something is wrong.";

/// The exit code of a look that was broken off: it failed.
const INTERRUPTED: (&str, i32) = ("stopped by a signal: nothing was changed", 1);

pub(super) fn doctor(options: &DoctorOptions) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let done = interruptible(&runtime, INTERRUPTED, || look(options, &runtime));
    runtime.shutdown_background();
    done?
}

fn look(options: &DoctorOptions, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let access = options.nats.access.access().context("--nats is missing")?;
    let log = options.nats.log();
    let examination = Examination {
        access,
        options: options.nats.clone(),
        log: log.clone(),
    };
    let mut is_in_order = true;
    let mut tell = |check: Check| is_in_order &= show(&check);
    let environment = Environment::system();
    runtime.block_on(async {
        examine(&examination, &environment, &mut tell).await;
        for monitor in &options.monitors {
            examine_monitor(monitor, &environment, &mut tell).await;
        }
    });
    if options.monitors.is_empty() {
        let how = "it is not told to clients: give --monitor, or look for sync_interval in each server's configuration";
        let found = Found::Unseen(how.to_owned());
        tell(Check {
            what: "sync_interval".to_owned(),
            found,
        });
    }
    if let Some(log) = &log {
        is_in_order &= tell_log(log);
    }
    Ok(if is_in_order {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    })
}

/// The log's stream, its copies, and the nodes on it.
fn tell_log(log: &JetStreamOptions) -> bool {
    match eventstore::cluster_status(log, None) {
        Ok(status) => cluster::tell_status(log, &status),
        Err(error) => show(&Check {
            what: format!("stream {}", log.stream),
            found: Found::Wrong(error.to_string()),
        }),
    }
}

/// Says what was found; whether that is no reason to change anything.
fn show(check: &Check) -> bool {
    let what = &check.what;
    let (mark, words) = match &check.found {
        Found::Fine(words) => ("ok", words),
        Found::Poor(words) => ("note", words),
        Found::Wrong(words) => ("wrong", words),
        Found::Unseen(words) => ("unseen", words),
    };
    say(format_args!("{mark:6} {what}: {words}"));
    !matches!(check.found, Found::Wrong(_))
}
