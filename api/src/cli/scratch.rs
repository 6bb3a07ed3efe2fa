//! A service on a folder of its own that goes away with it.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use domain::time::TimeScale;
use tempfile::TempDir;
use tokio::sync::watch;

use super::serve::{listen, wait_for_signal};
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::Metrics;
use crate::service::Opened;

/// The longest that a service can be told to wait for a fleet or a recipient, seconds.
const PATIENCE_S: u32 = 86_400;

/// A command line that takes `serve`'s options alone.
#[derive(Debug, Parser)]
struct Defaults {
    #[command(flatten)]
    config: Config,
}

/// A scratch folder and the settings of a service on it.
#[derive(Debug)]
pub(super) struct Scratch {
    _folder: TempDir,
    config: Config,
}

/// Becomes true when the service is told to stop.
pub(super) type Stopped = watch::Receiver<bool>;

impl Scratch {
    /// A folder whose name begins with this.
    pub(super) fn make(prefix: &str, listen: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir()
            .context("making a scratch folder")?;
        let data = folder.path().as_os_str().to_owned();
        let defaults = Defaults::try_parse_from(["airpost".into(), "--data".into(), data])?;
        let config = Config {
            listen,
            ..defaults.config
        };
        config.check()?;
        Ok(Self {
            _folder: folder,
            config,
        })
    }

    /// The same where time passes faster.
    pub(super) fn at_scale(mut self, time_scale: TimeScale) -> Self {
        self.config.time_scale = time_scale;
        self
    }

    /// The same where nothing is made of it for a day how long a fleet takes for an answer and a
    /// recipient for a confirmation.
    pub(super) fn with_patience(mut self) -> Self {
        self.config.scheduling.mission_answer_s = PATIENCE_S;
        self.config.scheduling.confirmation_wait_s = PATIENCE_S;
        self
    }

    /// The settings of the service.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// Runs the service while work is done that is handed its address, and closes it after.
    /// A signal to stop ends the service; the work is told, and ends by itself.
    pub(super) fn serve_while<T>(
        &self,
        work: impl AsyncFnOnce(&str, Stopped) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let opened = Opened::open(&self.config, &Environment::system(), Metrics::install()?)?;
        let done = runtime.block_on(self.serve(&opened, work));
        runtime.shutdown_background();
        opened.close();
        done
    }

    async fn serve<T>(
        &self,
        opened: &Opened,
        work: impl AsyncFnOnce(&str, Stopped) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (stop, shutdown) = watch::channel(false);
        let signals = tokio::spawn(wait_for_signal(stop.clone())?);
        let listener = listen(&self.config).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let run = opened.run(listener, &self.config, shutdown.clone());
        let (served, done) = tokio::join!(run, async {
            let done = work(&url, shutdown.clone()).await;
            stop.send_replace(true);
            done
        });
        signals.abort();
        served?;
        done
    }
}

/// Does something, unless the service is told to stop before it is done.
pub(super) async fn unless_stopped<T>(
    mut stopped: Stopped,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        _ = stopped.wait_for(|stop| *stop) => anyhow::bail!("stopped before the end"),
    }
}
