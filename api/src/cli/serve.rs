//! `airpost serve`: the service, until it is told to stop.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::terminal::{complain, say};
use super::unknown;
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::Metrics;
use crate::service::Opened;

pub(super) fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    config.check()?;
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for warning in unknown::warnings(names) {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // Before anything is made on disk: an address in use is the commonest mistake.
    let listener = runtime.block_on(listen(config))?;
    let (stop, shutdown) = watch::channel(false);
    // It listens from here on: what comes when all is open, and nobody waited for it yet, is heard.
    let stopped = runtime.block_on(async { wait_for_signal(stop) })?;
    let opened = interruptible(&runtime, (NOT_SERVED, 0), || {
        Opened::open(config, &Environment::system(), Metrics::install()?)
    })??;
    let served = runtime.block_on(async {
        let signals = tokio::spawn(stopped);
        say(format_args!(
            "listening on http://{}",
            listener.local_addr()?
        ));
        if !config.insecure {
            say("anyone on this machine may do anything: there is no authentication yet");
        }
        let version = env!("CARGO_PKG_VERSION");
        say(format_args!(
            "airpost {version}, data in {}",
            config.data.display()
        ));
        match config.scheduling.billing_host() {
            Some(host) => say(format_args!("bookings are paid through {host}")),
            None => say("bookings stand without a payment: no billing service is set (--billing-url)"),
        }
        if config.scheduling.restricts_nothing() {
            say("anything can be booked: no range, payload or area is set (--range-m-max, --payload-g-max, --service-area)");
        }
        let served = opened.run(listener, config, shutdown).await;
        signals.abort();
        served
    });
    runtime.shutdown_background();
    opened.close();
    served.map(|()| ExitCode::SUCCESS)
}

/// What a signal finds that comes before anything is served.
const NOT_SERVED: &str = "stopped while starting: nothing was served, and what is on disk is gone on with at the next start";

/// Does what may take long, and blocks the thread: a signal meanwhile ends the process at once with
/// this word and code. So only what can be broken off anywhere may be done, as by a kill.
pub(super) fn interruptible<T>(
    runtime: &Runtime,
    (word, code): (&'static str, i32),
    doing: impl FnOnce() -> T,
) -> anyhow::Result<T> {
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let ending = runtime.spawn(async move {
        signals.any().await;
        complain(word);
        std::process::exit(code);
    });
    let done = doing();
    ending.abort();
    Ok(done)
}

/// Binds the address that is asked for.
pub(super) async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "listening on {}: choose another address with --listen",
            config.listen
        )
    })
}

/// Waits for SIGTERM, SIGINT or SIGHUP, then tells everyone to stop. A second signal
/// ends the process at once, as it would have without us. Whoever has SIGHUP ignored (`nohup`)
/// wants to outlive the terminal.
pub(super) fn wait_for_signal(
    stop: watch::Sender<bool>,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.any().await;
        tracing::info!("stopping: what is under way is ended first");
        stop.send_replace(true);
        signals.any().await;
        tracing::warn!("stopping at once; what was acknowledged is on disk");
        std::process::exit(1);
    })
}

/// What a process is asked to stop by.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Those that come from now on. Within a runtime.
    fn listen() -> std::io::Result<Self> {
        let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for one of them.
    async fn any(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether the process was started so that SIGHUP does nothing to it, as far as the system says.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores_hangup(&status)
}

/// Whether a process is said to ignore SIGHUP, the first signal (`SigIgn` of proc(5)).
fn ignores_hangup(status: &str) -> bool {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_nohup_a_hangup_is_ignored_and_otherwise_not() {
        let status = |mask| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(""));
    }
}
