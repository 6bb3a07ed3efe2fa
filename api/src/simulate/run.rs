//! A whole simulation: its customers, its fleet, and its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Speed;
use super::city::City;
use super::client::{Client, Question, text_at};
use super::ears::{Ears, latest};
use super::faults::Faults;
use super::fleet::{Fleet, Reports};
use super::life::{Lived, World, live};
use super::order::Order;
use super::verdict::{Report, judge};
use crate::environment::Environment;
use crate::observability::processes::{PROCESSES_FAILING, PROCESSES_OPEN};

/// How long a service may be away: it may be stopped and started anew meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

/// Between two requests with reports of positions.
const REPORTS_EVERY: Duration = Duration::from_millis(250);

/// Deliveries under way at once, for each drone: few, so that none waits long for its drone.
const OPEN_PER_DRONE: u32 = 2;

/// Deliveries under way at once, however many drones there are.
const OPEN_MAX: u32 = 400;

/// How long the service may take to have done all that the deliveries still give it to do after
/// their ends.
const REST_WAIT: Duration = Duration::from_mins(2);

/// How often it is looked at meanwhile.
const REST_EVERY: Duration = Duration::from_millis(250);

/// How many deliveries are asked about at once at the end.
const JUDGED_AT_ONCE: usize = 16;

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// How many drones there are, 1 or more.
    pub drones: u32,
    /// How many deliveries are ordered.
    pub deliveries: u32,
    /// What everything that happens follows from.
    pub seed: u64,
    /// What may go wrong.
    pub faults: Faults,
    /// How fast drones fly.
    pub speed: Speed,
}

/// Orders deliveries and flies them, and asks what became of each.
///
/// Which events each delivery has, and in which order, follows from the seed and
/// the faults, whatever else happens: the service may be killed and started
/// anew meanwhile. Which drone flies which mission, and when, does not.
///
/// # Errors
/// If the service cannot be reached for minutes. What goes wrong with a single
/// delivery is said in the report.
pub async fn simulate(
    client: &Client,
    simulation: &Simulation,
    environment: &Environment,
    progress: &ProgressBar,
) -> anyhow::Result<Report> {
    // Without patience: where nothing listens that is said at once.
    let from = latest(client).await?;
    let client = client.clone().with_patience(PATIENCE);
    let run = environment.new_id().simple().to_string();
    let users = register(&client, simulation, &run).await?;
    refuse_second_run(&client, simulation, &users).await?;
    let city = City::of(simulation.seed);
    let world = Arc::new(World {
        ears: Ears::of_users(users.iter().cloned()),
        fleet: Fleet::new((simulation.drones, &run), &city, environment),
        run,
        reports: Reports::default(),
        seed: simulation.seed,
        faults: simulation.faults.clone(),
        speed: simulation.speed,
        environment: environment.clone(),
        client: client.clone(),
    });
    progress.set_length(u64::from(simulation.deliveries));
    let lives = tokio::select! {
        lives = live_all(&world, simulation, &users, progress) => lives?,
        failed = world.ears.follow(&client, from) => return Err(failed.err().context("the feed ended")?),
        () = report_positions(&world) => bail!("nobody reports positions any more"),
    };
    let judged: Vec<_> = stream::iter(lives)
        .map(|lived| judge(&client, lived))
        .buffer_unordered(JUDGED_AT_ONCE)
        .collect()
        .await;
    Ok(Report::of(judged))
}

/// Waits until a service that nobody else uses has nothing left to do, as it should once all
/// deliveries are over; what is wrong otherwise.
///
/// # Errors
/// If the service cannot be reached, or shows no metrics.
pub async fn comes_to_rest(client: &Client) -> anyhow::Result<Option<String>> {
    let gauge = async |name| {
        let value = client.gauge(name).await?;
        value.with_context(|| format!("the service has no metric {name}"))
    };
    let mut waited = Duration::ZERO;
    loop {
        let (open, failing) = (
            gauge(PROCESSES_OPEN).await?,
            gauge(PROCESSES_FAILING).await?,
        );
        if open == 0.0 && failing == 0.0 {
            return Ok(None);
        }
        if waited >= REST_WAIT {
            return Ok(Some(format!(
                "all deliveries are over, and {open} of their operations are not, {failing} of which fail"
            )));
        }
        tokio::time::sleep(REST_EVERY).await;
        waited += REST_EVERY;
    }
}

/// Deliveries of a seed are ordered once: a second run would find those of the first one.
async fn refuse_second_run(
    client: &Client,
    simulation: &Simulation,
    users: &[String],
) -> anyhow::Result<()> {
    let first = Order::draw(simulation.seed, 0);
    let customer = usize::try_from(first.customer)?;
    let user = users.get(customer).context("every order has a customer")?;
    let path = format!("/v1/deliveries/ext:{}?user_id={user}", first.external_id);
    let found = client.ask(&Question::get(path)).await?;
    if found.status == StatusCode::OK {
        bail!(
            "the deliveries of seed {} were ordered here before: give another --seed, or a service without them",
            simulation.seed
        );
    }
    Ok(())
}

/// Makes the customers, or finds them where they were made before.
async fn register(
    client: &Client,
    simulation: &Simulation,
    run: &str,
) -> anyhow::Result<Vec<String>> {
    let mut users = Vec::new();
    for number in 0..Order::customers(simulation.deliveries) {
        let email = format!("sim-{}-{number}@example.org", simulation.seed);
        let user = json!({"name": format!("Simulated customer {number}"), "email": email});
        let question = Question::post("/v1/users", &user, format!("{run}-customer-{number}"));
        let answer = client.ask(&question).await?;
        let id = if answer.status == StatusCode::CONFLICT {
            let question = Question::get(format!("/v1/users?email={email}"));
            let found = client.ask(&question).await?.success()?;
            text_at("/items/0/id", &found).to_owned()
        } else {
            text_at("/id", &answer.success()?).to_owned()
        };
        if id.is_empty() {
            bail!("the service does not know {email}, and does not take it either");
        }
        users.push(id);
    }
    Ok(users)
}

async fn live_all(
    world: &Arc<World>,
    simulation: &Simulation,
    users: &[String],
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Lived>> {
    let open = simulation
        .drones
        .saturating_mul(OPEN_PER_DRONE)
        .clamp(1, OPEN_MAX);
    let places = Arc::new(Semaphore::new(usize::try_from(open)?));
    let mut living = JoinSet::new();
    for number in 0..simulation.deliveries {
        let place = Arc::clone(&places).acquire_owned().await?;
        let customer = usize::try_from(Order::draw(simulation.seed, number).customer)?;
        let user = users.get(customer).context("every order has a customer")?;
        let (world, user, progress) = (Arc::clone(world), user.clone(), progress.clone());
        living.spawn(async move {
            let lived = live(world, number, user).await;
            progress.inc(1);
            drop(place);
            lived
        });
    }
    Ok(living.join_all().await)
}

/// Sends reports of positions, for as long as it is let.
async fn report_positions(world: &World) {
    loop {
        tokio::time::sleep(REPORTS_EVERY).await;
        let reports = world.reports.take();
        if !reports.is_empty() {
            // They may be lost, and soon there are newer ones.
            let _ = world.client.ask_once(&Question::tell(&reports)).await;
        }
    }
}
