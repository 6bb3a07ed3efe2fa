//! `airpost serve`: the service, until it is told to stop.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::terminal::say;
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::Metrics;
use crate::service::Opened;

pub(super) fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // Before anything is made on disk: an address in use is the commonest mistake.
    let listener = runtime.block_on(listen(config))?;
    let opened = Opened::open(config, &Environment::system(), Metrics::install()?)?;
    let served = runtime.block_on(async {
        let (stop, shutdown) = watch::channel(false);
        let signals = tokio::spawn(wait_for_signal(stop)?);
        say(format_args!(
            "listening on http://{}",
            listener.local_addr()?
        ));
        if !config.insecure {
            say("anyone on this machine may do anything: there is no authentication yet");
        }
        let served = opened.run(listener, config, shutdown).await;
        signals.abort();
        served
    });
    runtime.shutdown_background();
    opened.close();
    served.map(|()| ExitCode::SUCCESS)
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

/// Waits for SIGTERM or SIGINT, then tells everyone to stop. A second signal
/// ends the process at once, as it would have without us.
pub(super) fn wait_for_signal(
    stop: watch::Sender<bool>,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: what is under way is ended first");
        stop.send_replace(true);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopping at once; what was acknowledged is on disk");
        std::process::exit(1);
    })
}
