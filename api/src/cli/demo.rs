//! `airpost demo`: the service on a scratch folder, and a recorded flight through its door.

use std::process::ExitCode;

use super::DemoOptions;
use super::scratch::{Scratch, unless_stopped};
use super::terminal::{Progress, Unit, say};
use crate::environment::Environment;
use crate::simulate::{Client, Outcome, Recording, fly};

/// A recorded flight, thinned to a row a second. `flights/README.md` names its source.
const FLIGHT: &str = include_str!("../../flights/268.csv");

pub(super) fn demo(options: &DemoOptions) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::make("airpost-demo-", options.listen)?;
    let outcome = scratch.serve_while(async |url, mut stopped| {
        say(format_args!(
            "listening on {url}, data in {} until this ends",
            scratch.config().data.display()
        ));
        let outcome = unless_stopped(stopped.clone(), fly_bundled(url, options)).await?;
        tell(url, &outcome);
        if !options.exit {
            say("\nThe service goes on; Ctrl-C ends it.");
            // An error means that nobody can say so any more, which is as good.
            let _ = stopped.wait_for(|stop| *stop).await;
        }
        Ok(outcome)
    })?;
    Ok(if outcome.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
