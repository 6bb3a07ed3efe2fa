//! What a rebuild costs those who write and read meanwhile.
//!
//! `cargo bench -p tests --bench beside -- --help` says how to run it. Writes
//! come at a steady rate, undisturbed, then while every view is built anew, one
//! after the other, and undisturbed again; a write's time counts from when it was
//! due. Lists are asked for what was written last, so that the time they take is
//! how old a list would have been. It checks nothing but that no answer is a
//! fault, and that the views are in the end what the log says: what is fast
//! enough stands in the README of the projections.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a figure is taken with the machine's own clock"
)]

// The log, as the bench of the start writes it.
#[path = "../start/lives.rs"]
mod lives;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::service::{Folders, open_log};
use eventstore::JournalOptions;
use serde_json::{Value, json};
use tests::{Client, Program, Server, poll_until};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

const HELP: &str = "\
usage: cargo bench -p tests --bench beside -- [--events N] [--rate N] [--seconds N]
                                            [--views NAME,…] [--folder DIR] [--keep DIR]

  --events   size of the log (1000000); 10 million take 15 GB of disk for a while
  --rate     writes a second (1000)
  --seconds  how long the undisturbed writes are measured, before and after (20)
  --views    which views are built anew, one after the other (all)
  --folder   where the data is written (the system's folder for temporary files)
  --keep     a folder that the log is left in as it is before the writes; what an earlier
             run, also of the bench of the start, left there is used again";

/// Requests under way at most; beyond that writes wait, which counts.
const IN_FLIGHT: usize = 256;

/// How many writes there were.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// How long the views of a large log may take to be built.
const BUILD_TIME_MAX: Duration = Duration::from_hours(2);

struct Settings {
    events: u64,
    rate: u64,
    seconds: u64,
    views: Option<Vec<String>>,
    folder: PathBuf,
    keep: Option<PathBuf>,
}

impl Settings {
    fn from_arguments() -> Option<Self> {
        let mut settings = Self {
            events: 1_000_000,
            rate: 1_000,
            seconds: 20,
            views: None,
            folder: std::env::temp_dir(),
            keep: None,
        };
        // Cargo adds --bench by itself.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next()?;
            match argument.as_str() {
                "--events" => settings.events = value.parse().ok()?,
                "--rate" => settings.rate = value.parse().ok().filter(|rate| *rate > 0)?,
                "--seconds" => settings.seconds = value.parse().ok()?,
                "--views" => settings.views = Some(value.split(',').map(str::to_owned).collect()),
                "--keep" => settings.keep = Some(value.into()),
                "--folder" => settings.folder = value.into(),
                _ => return None,
            }
        }
        Some(settings)
    }
}

/// What was seen in a while.
#[derive(Default)]
struct Seen {
    writes: Times,
    /// From asking for a list that shows the last write to having it.
    lists: Times,
    by_id: AtomicU64,
    /// The position of the last write that was acknowledged.
    written: AtomicU64,
    /// Answers that are faults.
    faults: AtomicU64,
}

impl Seen {
    fn told(&self) -> String {
        format!(
            "{} writes, p50 {:.2} ms, p99 {:.2} ms; {} lists with the last write, p50 {:.2} ms, \
             p99 {:.2} ms; {} reads by id; {} faults",
            self.writes.count(),
            self.writes.percentile_ms(50),
            self.writes.percentile_ms(99),
            self.lists.count(),
            self.lists.percentile_ms(50),
            self.lists.percentile_ms(99),
            self.by_id.load(Ordering::Relaxed),
            self.faults.load(Ordering::Relaxed),
        )
    }

    fn fault_unless(&self, is_right: bool) {
        self.faults
            .fetch_add(u64::from(!is_right), Ordering::Relaxed);
    }
}

/// How long things took, in microseconds.
#[derive(Default)]
struct Times(Mutex<Vec<u64>>);

impl Times {
    fn note(&self, took: Duration) {
        self.all()
            .push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn count(&self) -> usize {
        self.all().len()
    }

    /// The time within which so many of a hundred were done.
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of a run are far below 2^52 us"
    )]
    fn percentile_ms(&self, percent: usize) -> f64 {
        let mut times = self.all();
        times.sort_unstable();
        let place = times.len().saturating_sub(1) * percent / 100;
        times.get(place).map_or(f64::NAN, |us| *us as f64 / 1e3)
    }

    fn all(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(settings) = Settings::from_arguments() else {
        println!("{HELP}");
        return ExitCode::from(2);
    };
    let scratch = tempfile::TempDir::new_in(&settings.folder);
    let scratch = scratch.expect("the folder can be written");
    let data = scratch.path();
    match &settings.keep {
        None => fill(data, settings.events).await,
        Some(keep) => {
            let kept = keep.join(settings.events.to_string());
            fill(&kept, settings.events).await;
            copy(&kept.join("journal"), &data.join("journal")).expect("the log can be copied");
        }
    }
    let program = Program::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    let server = program.serve_at_once(data, &[]).await;
    poll_until(BUILD_TIME_MAX, "the views to be ready", async || {
        let answer = server.client().get("/readyz").send().await;
        (answer.status() == 200).then_some(())
    })
    .await;

    let before = undisturbed(&settings, &server, "before").await;
    let before_mib = peak_mib(&server);
    // A new peak of the memory is kept from here.
    let peaks = format!("/proc/{}/clear_refs", server.pid());
    std::fs::write(peaks, "5").expect("the system keeps peaks");
    let begin = Instant::now();
    let disturbed = under_load(&settings, &server, async |_: &Seen| {
        rebuild_views(&settings, &server).await;
    });
    let disturbed = disturbed.await;
    println!(
        "beside {} events, views built anew in {:.0} s: {}; at most {:.0} MiB, before that {before_mib:.0} MiB",
        settings.events,
        begin.elapsed().as_secs_f64(),
        disturbed.told(),
        peak_mib(&server),
    );
    let after = undisturbed(&settings, &server, "after").await;
    // Against the quicker of the two, which is the stricter.
    let ratio = |times: fn(&Seen) -> &Times| {
        let quicker = times(&before)
            .percentile_ms(99)
            .min(times(&after).percentile_ms(99));
        times(&disturbed).percentile_ms(99) / quicker
    };
    println!(
        "beside {} events: p99 of writes {:.2} times the undisturbed one (goal 2), of lists {:.2} times",
        settings.events,
        ratio(|seen| &seen.writes),
        ratio(|seen| &seen.lists),
    );
    server.stop_only().await;
    let folder = data.to_str().expect("a folder with a readable name");
    let words = ["verify", "--data", folder];
    let verified = program.run_for(BUILD_TIME_MAX, words).await;
    println!(
        "beside {} events, airpost verify: exit {:?}\n{}",
        settings.events,
        verified.code,
        verified.stdout.trim_end()
    );
    let phases = [before, disturbed, after];
    let are_right = phases
        .iter()
        .all(|seen| seen.faults.load(Ordering::Relaxed) == 0);
    if verified.code == Some(0) && are_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Copies the files of a folder into a new one.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

async fn fill(data: &Path, events: u64) {
    if data.join("journal").is_dir() {
        return;
    }
    std::fs::create_dir_all(data).expect("the data folder can be made");
    let options = JournalOptions::new(Uuid::from_u128(0x5714));
    let (journal, log) = open_log(&Folders::of(data), options).expect("a new log opens");
    let deliveries = lives::append(&*log, events).await;
    println!("beside {events} events: of {deliveries} deliveries");
    journal.close();
}

/// Writes and reads while nothing else goes on.
async fn undisturbed(settings: &Settings, server: &Server, when: &str) -> Seen {
    let writes = settings.rate.saturating_mul(settings.seconds);
    let seen = under_load(settings, server, async |seen: &Seen| {
        poll_until(BUILD_TIME_MAX, "the undisturbed writes", async || {
            (seen.writes.count() as u64 >= writes).then_some(())
        })
        .await;
    });
    let seen = seen.await;
    println!(
        "beside {} events, undisturbed {when}: {}",
        settings.events,
        seen.told()
    );
    seen
}

/// Writes and reads as long as something goes on.
async fn under_load(
    settings: &Settings,
    server: &Server,
    meanwhile: impl AsyncFnOnce(&Seen),
) -> Seen {
    let (seen, over) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn(write(
        settings.rate,
        server.client(),
        Arc::clone(&seen),
        Arc::clone(&over),
    ));
    let deliveries = settings.events / 9;
    let reading = tokio::spawn(read(
        deliveries,
        server.client(),
        Arc::clone(&seen),
        Arc::clone(&over),
    ));
    meanwhile(&seen).await;
    over.store(true, Ordering::Relaxed);
    writing.await.expect("writing goes on");
    reading.await.expect("reading goes on");
    Arc::into_inner(seen).expect("nobody writes or reads any more")
}

async fn write(rate: u64, client: Client, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut due = tokio::time::interval(Duration::from_nanos(1_000_000_000 / rate));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !over.load(Ordering::Relaxed) {
        // No address is used twice by all writes of this run.
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let due_at = due.tick().await.into_std();
        let place = Arc::clone(&places).acquire_owned().await;
        let (client, seen) = (client.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let email = format!("{}-{number}@example.org", std::process::id());
            let user = json!({"name": "A user", "email": email});
            let answer = client.post("/v1/users").json(&user).send().await;
            seen.writes.note(due_at.elapsed());
            seen.fault_unless(answer.status() == 201);
            let position = answer.header("stream-position");
            let position = position.and_then(|position| position.parse().ok());
            seen.written
                .fetch_max(position.unwrap_or(0), Ordering::Relaxed);
            drop(place);
        });
    }
    let all = u32::try_from(IN_FLIGHT).expect("it is a small number");
    let _idle = places.acquire_many(all).await;
}

/// Reads a delivery by its id, and the newest ones as of the last write, a
/// hundred times a second.
async fn read(deliveries: u64, client: Client, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    let mut due = tokio::time::interval(Duration::from_millis(10));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0_u64;
    while !over.load(Ordering::Relaxed) {
        due.tick().await;
        number = (number + 7_919) % deliveries.max(1);
        let delivery = format!("/v1/deliveries/{}", lives::delivery_id(number));
        let answer = client.get(&delivery).send().await;
        seen.by_id.fetch_add(1, Ordering::Relaxed);
        seen.fault_unless(answer.status() == 200);

        let written = seen.written.load(Ordering::Relaxed).to_string();
        let asked = Instant::now();
        let list = client.get("/v1/deliveries?limit=10");
        let list = list.header("min-position", &written);
        let answer = list.header("prefer", "wait=10").send().await;
        seen.lists.note(asked.elapsed());
        seen.fault_unless(answer.status() == 200);
    }
}

async fn rebuild_views(settings: &Settings, server: &Server) {
    let client = server.client();
    let views = client.read("/v1/projections").await;
    let views = views.pointer("/items").and_then(Value::as_array);
    let names = views
        .into_iter()
        .flatten()
        .filter_map(|view| text(view, "/name"));
    let wanted = |name: &&str| {
        let wanted = settings.views.as_ref();
        wanted.is_none_or(|wanted| wanted.iter().any(|it| it == name))
    };
    for name in names.filter(wanted) {
        let begin = Instant::now();
        let path = format!("/v1/projections/{name}/rebuild");
        let operation = client.post(&path).send().await.expect(202).json();
        let id = text(&operation, "/id").expect("an operation has an id");
        let address = format!("/v1/operations/{id}");
        poll_until(BUILD_TIME_MAX, "the view to be built", async || {
            let operation = client.read(&address).await;
            (text(&operation, "/status") == Some("succeeded")).then_some(())
        })
        .await;
        println!(
            "beside: {name} built anew in {:.1} s",
            begin.elapsed().as_secs_f64()
        );
    }
}

fn text<'j>(json: &'j Value, pointer: &str) -> Option<&'j str> {
    json.pointer(pointer)?.as_str()
}

fn peak_mib(server: &Server) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let kib: Option<f64> = status.unwrap_or_default().lines().find_map(|line| {
        let rest = line.strip_prefix("VmHWM:")?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    });
    kib.unwrap_or(f64::NAN) / 1024.0
}
