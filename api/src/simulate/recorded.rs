//! Recorded flights, booked and flown as they were.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use domain::id::{DeliveryId, MissionId};
use domain::time::Timestamp;
use indicatif::ProgressBar;
use serde_json::json;

use super::Speed;
use super::client::{self, Client};
use super::recording::{Flight, Recording};
use crate::environment::Environment;

/// Most events in one request.
const BATCH_EVENTS_MAX: usize = 500;

/// How long the service may take to show what a flight came to.
const OUTCOME_WAIT: Duration = Duration::from_secs(30);

/// What became of one flight.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The flight.
    pub flight: String,
    /// The delivery it flew.
    pub delivery: DeliveryId,
    /// The delivery's status afterwards.
    pub status: String,
    /// Events sent.
    pub events: usize,
}

impl Outcome {
    /// Whether the package arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == "complete"
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flight,
            delivery,
            status,
            events,
        } = self;
        write!(
            f,
            "{flight:<10} {delivery}  {status:<12} {events:>6} events"
        )
    }
}

/// All recordings in a folder, by name.
///
/// # Errors
/// Names the folder or the file that cannot be read, or the folder that has none.
pub fn recordings_in(folder: &Path) -> anyhow::Result<Vec<Recording>> {
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "reading {}: give a folder of recorded flights",
            folder.display()
        )
    })?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    if paths.is_empty() {
        bail!(
            "{} holds no .csv file: give a folder of recorded flights",
            folder.display()
        );
    }
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
            Recording::read(&name, file).with_context(|| path.display().to_string())
        })
        .collect()
}

/// Books a delivery for a recording and flies it.
///
/// The events' times are those of a flight that lands now, so that no time
/// lies in the future, however fast it is flown.
///
/// # Errors
/// What the service answered, if it did not take the booking or the events.
pub async fn fly(
    client: &Client,
    recording: &Recording,
    (environment, speed): (&Environment, Speed),
    progress: &ProgressBar,
) -> anyhow::Result<Outcome> {
    let user = client
        .post(
            "/v1/users",
            &json!({
                "name": "Simulated sender",
                "email": format!("sender-{}@example.org", environment.new_id()),
            }),
            &environment.new_id().to_string(),
        )
        .await?;
    let plan = recording.plan();
    let tag = format!("QR-{}", environment.new_id());
    let order = json!({
        "user_id": client::text_at("/id", &user),
        "pickup": plan.pickup.to_json(),
        "dropoff": plan.dropoff.to_json(),
        "package": { "tag": tag, "size": "small", "mass_g": plan.mass_g },
    });
    let key = environment.new_id().to_string();
    let booked = client.post("/v1/deliveries", &order, &key).await?;
    let delivery: DeliveryId = client::text_at("/id", &booked)
        .parse()
        .context("the service named no delivery")?;

    let flight = Flight {
        delivery,
        mission: MissionId::from_uuid(environment.new_id()),
        drone: format!("sim-{}", recording.name()),
        session: environment.new_id().to_string(),
        tag,
        lands_at: Timestamp::from_micros(environment.now_us())?,
    };
    let events = recording.events(&flight);
    progress.set_length(events.len() as u64);
    let mut clock = Duration::ZERO;
    let mut rest = events.as_slice();
    while let Some(first) = rest.first() {
        tokio::time::sleep(speed.wait(first.offset.saturating_sub(clock))).await;
        clock = first.offset;
        // Everything that the wait for one request's answer covers goes along in it.
        let due = rest
            .iter()
            .take_while(|event| event.offset <= clock + speed.step())
            .count();
        let (batch, later) = rest.split_at(due.clamp(1, BATCH_EVENTS_MAX));
        client.tell(batch.iter().map(|event| &event.event)).await?;
        progress.inc(batch.len() as u64);
        clock = batch.last().map_or(clock, |event| event.offset);
        rest = later;
    }
    let status = client.await_outcome(delivery, OUTCOME_WAIT).await?;
    Ok(Outcome {
        flight: recording.name().to_owned(),
        delivery,
        status,
        events: events.len(),
    })
}
