//! `airpost simulate`: a generated city, or recorded flights, through a service's public door.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::scratch::{Scratch, unless_stopped};
use super::terminal::{Progress, Unit, say};
use super::{FINDINGS, FolderOptions, SimulateOptions, maintain};
use crate::environment::Environment;
use crate::simulate::{
    Client, Report, Simulation, Speed, comes_to_rest, fly, recordings_in,
    simulate as run_simulation,
};

/// Where a service is asked for unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// Where a service of the simulation's own listens: on any free port.
const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How fast it goes where nothing else says so.
const SPEED_DEFAULT: Speed = Speed::times(10);

pub(super) fn simulate(options: &SimulateOptions) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &options.recorded {
        return fly_recorded(folder, options);
    }
    let (report, are_views_right) = match &options.url {
        Some(url) => {
            let simulation = simulation(options, SPEED_DEFAULT);
            let report = runtime()?.block_on(simulate_at(url, &simulation))?;
            (report, true)
        }
        None => simulate_alone(options)?,
    };
    if let Some(file) = &options.lives {
        std::fs::write(file, report.lives())
            .with_context(|| format!("writing {}", file.display()))?;
    }
    say(&report);
    Ok(if report.is_in_order() && are_views_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    })
}

/// On a service of its own; says whether its views are what its log says.
fn simulate_alone(options: &SimulateOptions) -> anyhow::Result<(Report, bool)> {
    let scratch = Scratch::make("airpost-simulation-", ANY_PORT)?.at_scale(options.time_scale);
    // How fast this machine is must not decide what becomes of a delivery.
    let scratch = scratch.with_patience();
    let simulation = simulation(options, Speed::times(options.time_scale.get()));
    let report = scratch.serve_while(async |url, stopped| {
        unless_stopped(stopped, async {
            let report = simulate_at(url, &simulation).await?;
            let unrest = comes_to_rest(&Client::new(url)?).await?;
            Ok(report.with_unrest(unrest))
        })
        .await
    })?;
    let folder = FolderOptions {
        data: scratch.config().data.clone(),
        views_cache_mib: scratch.config().views_cache_mib,
    };
    let verified = maintain::verify(&folder)?;
    Ok((report, verified == ExitCode::SUCCESS))
}

fn simulation(options: &SimulateOptions, speed: Speed) -> Simulation {
    let city = &options.city;
    Simulation {
        drones: city.drones,
        deliveries: city.deliveries,
        seed: city.seed,
        faults: city.faults.clone(),
        speed: options.speed.unwrap_or(speed),
    }
}

async fn simulate_at(url: &str, simulation: &Simulation) -> anyhow::Result<Report> {
    say(format_args!(
        "{} drones, {} deliveries, seed {}, faults {}, through {url}",
        simulation.drones, simulation.deliveries, simulation.seed, simulation.faults
    ));
    let progress = Progress::new("simulation", Unit::Things("deliveries"));
    let client = Client::new(url)?;
    let environment = Environment::system();
    let run = run_simulation(&client, simulation, &environment, progress.bar());
    let report = progress.during(run).await;
    progress.end();
    report
}

fn fly_recorded(folder: &Path, options: &SimulateOptions) -> anyhow::Result<ExitCode> {
    let recordings = recordings_in(folder)?;
    let client = Client::new(options.url.as_deref().unwrap_or(URL_DEFAULT))?;
    let environment = Environment::system();
    let speed = options.speed.unwrap_or(SPEED_DEFAULT);
    let runtime = runtime()?;
    let mut all_complete = true;
    for recording in &recordings {
        let progress = Progress::new("flight", Unit::Things("events"));
        let flight = fly(&client, recording, (&environment, speed), progress.bar());
        let flown = runtime.block_on(progress.during(flight));
        progress.end();
        let outcome = flown?;
        say(&outcome);
        all_complete &= outcome.is_complete();
    }
    Ok(if all_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("starting")
}
