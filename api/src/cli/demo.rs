//! `airpost demo`: the service on a scratch folder, and a recorded flight through its door.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::sync::watch;

use super::DemoOptions;
use super::serve::{listen, wait_for_signal};
use super::terminal::{Progress, Unit, say};
use crate::config::Config;
use crate::environment::Environment;
use crate::observability::Metrics;
use crate::service::Opened;
use crate::simulate::{Client, Outcome, Recording, fly};

/// A recorded flight, thinned to a row a second. `flights/README.md` names its source.
const FLIGHT: &str = include_str!("../../flights/268.csv");

/// A command line that takes `serve`'s options alone.
#[derive(Debug, Parser)]
struct Defaults {
    #[command(flatten)]
    config: Config,
}

pub(super) fn demo(options: &DemoOptions) -> anyhow::Result<ExitCode> {
    let scratch = tempfile::Builder::new()
        .prefix("airpost-demo-")
        .tempdir()
        .context("making a scratch folder")?;
    let config = config_on(scratch.path(), options)?;
    config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let opened = Opened::open(&config, &Environment::system(), Metrics::install()?)?;
    let outcome = runtime.block_on(serve_and_fly(&opened, &config, options));
    runtime.shutdown_background();
    opened.close();
    Ok(if outcome?.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn config_on(scratch: &std::path::Path, options: &DemoOptions) -> anyhow::Result<Config> {
    let arguments = [
        "airpost".into(),
        "--data".into(),
        scratch.as_os_str().to_owned(),
    ];
    let defaults = Defaults::try_parse_from(arguments)?;
    Ok(Config {
        listen: options.listen,
        ..defaults.config
    })
}

async fn serve_and_fly(
    opened: &Opened,
    config: &Config,
    options: &DemoOptions,
) -> anyhow::Result<Outcome> {
    let (stop, shutdown) = watch::channel(false);
    let signals = tokio::spawn(wait_for_signal(stop.clone())?);
    let listener = listen(config).await?;
    let url = format!("http://{}", listener.local_addr()?);
    say(format_args!(
        "listening on {url}, data in {} until this ends",
        config.data.display()
    ));
    let flight = async {
        let outcome = fly_bundled(&url, options).await?;
        tell(&url, &outcome);
        if options.exit {
            stop.send_replace(true);
        } else {
            say("\nThe service goes on; Ctrl-C ends it.");
        }
        anyhow::Ok(outcome)
    };
    let (served, flown) = tokio::join!(opened.run(listener, config, shutdown.clone()), async {
        let mut stopped = shutdown.clone();
        tokio::select! {
            flown = flight => {
                if flown.is_err() {
                    stop.send_replace(true);
                }
                flown
            }
            _ = stopped.wait_for(|stop| *stop) => anyhow::bail!("stopped during the flight"),
        }
    });
    signals.abort();
    served?;
    flown
}

async fn fly_bundled(url: &str, options: &DemoOptions) -> anyhow::Result<Outcome> {
    let recording = Recording::read("268", FLIGHT.as_bytes())?;
    let client = Client::new(url)?;
    say("flying a recorded flight of a DJI Matrice 100 with a package of 500 g …");
    let progress = Progress::new("flight", Unit::Things("events"));
    let environment = Environment::system();
    let outcome = fly(
        &client,
        &recording,
        (&environment, options.speed),
        progress.bar(),
    )
    .await;
    progress.end();
    outcome
}

fn tell(url: &str, outcome: &Outcome) {
    let id = outcome.delivery;
    say(format_args!(
        "the delivery is {}. Ask the service yourself:\n
  curl -s {url}/v1/deliveries/{id}
  curl -s {url}/v1/deliveries/{id}/status
  curl -s {url}/v1/deliveries/{id}/history
  curl -s {url}/v1/drones",
        outcome.status
    ));
}
