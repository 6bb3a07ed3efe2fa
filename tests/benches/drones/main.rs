//! How many drone events a second come in over NATS.
//!
//! `cargo bench -p tests --bench drones -- --help` says how to run it. The service runs as its users
//! run it, a process of its own over a log on disk, and so does the NATS server; both share the
//! machine's processors with whoever asks. The same messages are handed, in turn, to a bare consumer
//! that acknowledges and discards them. It checks that the flights end well, and no figure.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot go on has failed, in its helpers too"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Chance, Client, Mission, NatsClient, NatsServer, Program, Recording, poll_until};

const HELP: &str = "\
usage: cargo bench -p tests --bench drones -- [--flights N] [--rounds N] [--folder DIR]

  --flights  deliveries that are flown in a round (300)
  --rounds   rounds of each side; medians are printed (5)
  --folder   where the log is written (the system's folder for temporary files)";

/// The service's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The stream that the service makes.
const STREAM: &str = "DRONE_EVENTS";

/// The flights that come with the tests.
const FLIGHTS: [u32; 3] = [268, 269, 270];

/// Far longer than a round takes.
const PATIENCE: Duration = Duration::from_mins(10);

struct Settings {
    flights: usize,
    rounds: usize,
    folder: PathBuf,
}

impl Settings {
    fn from_arguments() -> Option<Self> {
        let mut settings = Self {
            flights: 300,
            rounds: 5,
            folder: std::env::temp_dir(),
        };
        // Cargo adds --bench by itself.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next()?;
            match argument.as_str() {
                "--flights" => settings.flights = value.parse().ok()?,
                "--rounds" => settings.rounds = value.parse().ok()?,
                "--folder" => settings.folder = value.into(),
                _ => return None,
            }
        }
        Some(settings)
    }
}

fn main() -> ExitCode {
    let Some(settings) = Settings::from_arguments() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(&settings));
    ExitCode::SUCCESS
}

async fn measure(settings: &Settings) {
    let data = tempfile::TempDir::new_in(&settings.folder).unwrap();
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    let program = Program::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    let quiet = program.with_setting("AIRPOST_LOG", "warn");
    let url = broker.url();
    let server = quiet.serve_with(data.path(), &["--nats", &url]).await;
    let (client, mut chance) = (server.client(), Chance::new(1));
    let consumer = consumer(&nats).await;
    let (mut taken, mut bare) = (Vec::new(), Vec::new());
    let (mut facts, mut events) = (0, 0);
    for round in 0..settings.rounds {
        let flown = fly(&client, settings.flights, round, &mut chance).await;
        facts = flown.iter().filter(|event| !is_telemetry(event)).count();
        events = flown.len();
        pause(&nats, &consumer, "2100-01-01T00:00:00Z").await;
        let first = publish(&nats, &flown).await;
        // Whoever comes second finds everything in the server's memory: so in turn.
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                let begun = Instant::now();
                nats.drain(STREAM, first, events).await;
                bare.push(events as f64 / begun.elapsed().as_secs_f64());
            } else {
                pause(&nats, &consumer, "2000-01-01T00:00:00Z").await;
                // Until the service has asked again nothing is handed out.
                let handed_out = until_begun(&nats, &consumer, first).await;
                let begun = Instant::now();
                until_taken(&nats, &consumer).await;
                let rest = events as f64 - handed_out as f64;
                taken.push(rest / begun.elapsed().as_secs_f64());
            }
        }
    }
    assert_all_complete(&client).await;
    server.stop_only().await;
    let (taken, bare) = (median(taken), median(bare));
    println!(
        "drones: {events} events a round, {facts} of them facts, {} rounds: {taken:.0} events/s taken in; \
         a bare consumer that discards them {bare:.0}/s; {:.2} x",
        settings.rounds,
        taken / bare
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn is_telemetry(event: &Value) -> bool {
    text(event, "/type") == "drone.telemetry.v1"
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap()
}

fn text(value: &Value, pointer: &str) -> String {
    at(value, pointer).as_str().unwrap().to_owned()
}

/// The events of so many flights, each for a delivery of its own, all at the same time.
async fn fly(client: &Client, flights: usize, round: usize, chance: &mut Chance) -> Vec<Value> {
    let user = json!({ "name": "Ada", "email": format!("ada-{round}@example.org") });
    let user = client
        .post("/v1/users")
        .json(&user)
        .send()
        .await
        .expect(201);
    let user = text(&user.json(), "/id");
    let recordings = FLIGHTS.map(Recording::load);
    let mut flown: Vec<std::vec::IntoIter<Value>> = Vec::new();
    for recording in recordings.iter().cycle().take(flights) {
        let plan = recording.plan();
        let tag = format!("QR-{:016x}", chance.bits());
        let order = json!({
            "user_id": user, "pickup": plan.pickup.json(), "dropoff": plan.dropoff.json(),
            "package": { "tag": tag, "size": "small", "mass_g": plan.payload_g },
        });
        let made = client.post("/v1/deliveries").json(&order).send().await;
        let mission = Mission {
            delivery: text(&made.expect(201).json(), "/id"),
            mission: format!("msn_{}", chance.uuid()),
            drone: format!("M100-{:016x}", chance.bits()),
            session: "0001".to_owned(),
            tag,
            released: true,
        };
        flown.push(recording.events(&mission).into_iter());
    }
    let mut events = Vec::new();
    loop {
        let now: Vec<_> = flown.iter_mut().filter_map(Iterator::next).collect();
        if now.is_empty() {
            return events;
        }
        events.extend(now);
    }
}

/// Publishes events; the first one's place in the stream.
async fn publish(nats: &NatsClient, events: &[Value]) -> u64 {
    let messages = events.iter().map(|event| {
        let (drone, kind) = (text(event, "/data/drone_id"), text(event, "/type"));
        let kind = kind.strip_prefix("drone.");
        let kind = kind.and_then(|it| it.strip_suffix(".v1")).unwrap();
        let source = text(event, "/source");
        let fleet = source.split('/').nth(2).unwrap();
        (
            format!("drone.v1.{fleet}.{drone}.{kind}"),
            event.to_string(),
        )
    });
    let last = nats.store_all(messages).await;
    last + 1 - u64::try_from(events.len()).unwrap()
}

/// What the service's consumer is called, once it is there.
async fn consumer(nats: &NatsClient) -> String {
    let asked = format!("$JS.API.CONSUMER.NAMES.{STREAM}");
    poll_until(PATIENCE, "the service to have a consumer", || async {
        let names = nats.ask(&asked, &json!({})).await.ok()?;
        Some(names.pointer("/consumers/0")?.as_str()?.to_owned())
    })
    .await
}

/// Has the consumer hand nothing out until then.
async fn pause(nats: &NatsClient, consumer: &str, until: &str) {
    let asked = format!("$JS.API.CONSUMER.PAUSE.{STREAM}.{consumer}");
    let until = json!({ "pause_until": until });
    nats.ask(&asked, &until).await.unwrap();
}

/// Waits until something is handed out from there on; gives how much was.
async fn until_begun(nats: &NatsClient, consumer: &str, first: u64) -> u64 {
    let asked = format!("$JS.API.CONSUMER.INFO.{STREAM}.{consumer}");
    poll_until(PATIENCE, "messages to be handed out", || async {
        let info = nats.ask(&asked, &json!({})).await.ok()?;
        let last = info.pointer("/delivered/stream_seq")?.as_u64()?;
        (last >= first).then(|| last + 1 - first)
    })
    .await
}

/// Waits until everything is answered.
async fn until_taken(nats: &NatsClient, consumer: &str) {
    let asked = format!("$JS.API.CONSUMER.INFO.{STREAM}.{consumer}");
    poll_until(PATIENCE, "all messages to be answered", || async {
        let info = nats.ask(&asked, &json!({})).await.ok()?;
        let number = |pointer| info.pointer(pointer).and_then(Value::as_u64);
        let left = ["/num_pending", "/num_ack_pending"].map(number);
        (left == [Some(0), Some(0)]).then_some(())
    })
    .await;
}

async fn assert_all_complete(client: &Client) {
    let open = client.read("/v1/tasks").await;
    assert_eq!(at(&open, "/items"), &json!([]), "a flight went wrong");
    for status in ["scheduled", "in_transit"] {
        let some = client
            .read(&format!("/v1/deliveries?status={status}"))
            .await;
        assert_eq!(at(&some, "/items"), &json!([]), "a delivery is {status}");
    }
}
