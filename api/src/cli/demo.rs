//! `airpost demo`: the service on a scratch folder, and through its door a recorded flight and
//! a small city.

use std::process::ExitCode;

use domain::time::TimeScale;
use indicatif::ProgressBar;

use super::DemoOptions;
use super::scratch::{Scratch, unless_stopped};
use super::terminal::{Progress, Unit, say};
use crate::environment::Environment;
use crate::simulate::{Client, Faults, Outcome, Recording, Report, Simulation, fly, simulate};

/// A recorded flight, thinned to a row a second. `flights/README.md` names its source.
const FLIGHT: &str = include_str!("../../flights/268.csv");

/// How many drones the city has.
const DRONES: u32 = 12;

/// How many deliveries are ordered in it: each drone flies about once.
const DELIVERIES: u32 = 16;

/// A seed whose deliveries come to every outcome there is.
const SEED: u64 = 1;

/// How many times as fast time passes for what the service waits for: as flights are flown
/// unless told otherwise.
const TIME_SCALE: TimeScale = TimeScale::new(10).expect("it is in the range");

pub(super) fn demo(options: &DemoOptions) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::make("airpost-demo-", options.listen)?.at_scale(TIME_SCALE);
    let is_well = scratch.serve_while(async |url, mut stopped| {
        say(format_args!(
            "listening on {url}, data in {} until this ends",
            scratch.config().data.display()
        ));
        let both =
            async { tokio::try_join!(fly_bundled(url, options), live_in_city(url, options)) };
        let (outcome, report) = unless_stopped(stopped.clone(), both).await?;
        say(format_args!(
            "a city of {DRONES} drones, where every trouble may happen:\n{report}\n"
        ));
        say(format_args!(
            "the recorded flight's delivery is {}.",
            outcome.status
        ));
        if !options.exit {
            tell(url, &outcome);
            say("\nThe service goes on; Ctrl-C ends it.");
            // An error means that nobody can say so any more, which is as good.
            let _ = stopped.wait_for(|stop| *stop).await;
        }
        Ok(outcome.is_complete() && report.is_in_order())
    })?;
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A simulated city beside the recorded flight, so that there is more to be asked for.
async fn live_in_city(url: &str, options: &DemoOptions) -> anyhow::Result<Report> {
    let simulation = Simulation {
        drones: DRONES,
        deliveries: DELIVERIES,
        seed: SEED,
        faults: Faults::all(),
        speed: options.speed,
    };
    let client = Client::new(url)?;
    // The recorded flight has the one bar that there is room for.
    simulate(
        &client,
        &simulation,
        &Environment::system(),
        &ProgressBar::hidden(),
    )
    .await
}

async fn fly_bundled(url: &str, options: &DemoOptions) -> anyhow::Result<Outcome> {
    let recording = Recording::read("268", FLIGHT.as_bytes())?;
    let client = Client::new(url)?;
    say("flying a recorded flight of a DJI Matrice 100 with a package of 500 g …");
    let progress = Progress::new("flight", Unit::Things("events"));
    let environment = Environment::system();
    let timing = (&environment, options.speed);
    let flight = fly(&client, &recording, timing, progress.bar());
    let outcome = progress.during(flight).await;
    progress.end();
    if outcome.is_ok() {
        say("the recorded flight is over; the city's drones fly on for a while …");
    }
    outcome
}

fn tell(url: &str, outcome: &Outcome) {
    let id = outcome.delivery;
    say(format_args!(
        "Ask the service yourself:\n
  curl -s {url}/v1/deliveries/{id}
  curl -s {url}/v1/deliveries/{id}/status
  curl -s {url}/v1/deliveries/{id}/history
  curl -s {url}/v1/drones
  curl -s {url}/v1/tasks
  curl -s {url}/v1/statistics"
    ));
}
