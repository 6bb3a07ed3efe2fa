//! `airpost simulate`: recorded flights through a running service's public door.

use std::process::ExitCode;

use super::SimulateOptions;
use super::terminal::{Progress, Unit, say};
use crate::environment::Environment;
use crate::simulate::{Client, fly, recordings_in};

pub(super) fn simulate(options: &SimulateOptions) -> anyhow::Result<ExitCode> {
    let recordings = recordings_in(&options.recorded)?;
    let client = Client::new(&options.url)?;
    let environment = Environment::system();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut all_complete = true;
    for recording in &recordings {
        let progress = Progress::new("flight", Unit::Things("events"));
        let flown = runtime.block_on(fly(
            &client,
            recording,
            (&environment, options.speed),
            progress.bar(),
        ));
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
