//! The log on three NATS servers that sync every message: what one node with
//! many callers appends, beside a bare publisher of the same blocks; and what
//! ten racing nodes append, beside one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use eventstore::{
    EventStore, JetStreamOptions, JetStreamStore, JournalOptions, NatsAccess, create_stream,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::settings::{Settings, median};
use super::{append, bare, servers, workload};

/// The nodes that race.
const RACING: usize = 10;
/// The callers of all nodes that race, and of the one beside them.
const CALLERS_OF_RACE: usize = 160;

/// How many events are appended in a round: some seconds' worth.
fn appends(callers: usize) -> u64 {
    match callers {
        0..4 => 1_000 * callers as u64,
        4..32 => 10_000,
        _ => 60_000,
    }
}

/// The servers, and where the nodes' journals are.
struct Place<'a> {
    settings: &'a Settings,
    servers: String,
    runtime: Runtime,
}

/// A stream that no other round uses, and its nodes.
struct Round {
    folders: Vec<TempDir>,
    stores: Vec<Arc<JetStreamStore>>,
}

pub(crate) fn figures(settings: &Settings) {
    let cluster = servers::Cluster::of_three();
    let place = Place {
        settings,
        servers: cluster.urls(),
        runtime: Runtime::new().expect("a runtime starts"),
    };
    println!(
        "cluster: one node on three servers that sync always; bare = publishing the same blocks \
         one after the other, with the same expectations"
    );
    for &callers in &settings.callers {
        beside_bare(&place, callers);
    }
    println!(
        "racing: {RACING} nodes on one stream, beside one node with as many callers in all, and one like them"
    );
    beside_one(&place);
}

fn beside_bare(place: &Place<'_>, callers: usize) {
    let appends = appends(callers);
    let (mut rates, mut bare_rates, mut ratios, mut groups) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..place.settings.rounds {
        let round = Round::begin(place, 1);
        let first = round.append(place, callers, appends);
        let blocks = round.blocks();
        let bare = publish_bare(place, &blocks);
        // In every other round the bare publisher goes first; its blocks are of a run before.
        let elapsed = if number % 2 == 0 {
            first
        } else {
            Round::begin(place, 1).append(place, callers, appends)
        };
        rates.push(per_second(appends, elapsed));
        bare_rates.push(per_second(appends, bare));
        ratios.push(bare.as_secs_f64() / elapsed.as_secs_f64());
        groups.push(appends as f64 / blocks.len() as f64);
    }
    println!(
        "cluster {callers:>3} callers: {:>7.0}/s, bare {:>7.0}/s, {:.2} of it; {:.1} a block",
        median(&mut rates),
        median(&mut bare_rates),
        median(&mut ratios),
        median(&mut groups),
    );
}

fn beside_one(place: &Place<'_>) {
    let appends = appends(CALLERS_OF_RACE);
    let (mut racing_rates, mut rates, mut overtaken) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ratios, mut share_rates, mut share_ratios) = (Vec::new(), Vec::new(), Vec::new());
    let callers_share = CALLERS_OF_RACE / RACING;
    let appends_share = self::appends(callers_share);
    for number in 0..place.settings.rounds {
        let race = || {
            let round = Round::begin(place, RACING);
            let elapsed = round.append(place, CALLERS_OF_RACE, appends);
            (elapsed, round.overtaken_share())
        };
        let alone = || Round::begin(place, 1).append(place, CALLERS_OF_RACE, appends);
        let ((racing, share), alone) = if number % 2 == 0 {
            let racing = race();
            (racing, alone())
        } else {
            let alone = alone();
            (race(), alone)
        };
        racing_rates.push(per_second(appends, racing));
        rates.push(per_second(appends, alone));
        let one_share = Round::begin(place, 1).append(place, callers_share, appends_share);
        ratios.push(alone.as_secs_f64() / racing.as_secs_f64());
        let share_rate = per_second(appends_share, one_share);
        share_ratios.push(per_second(appends, racing) / share_rate);
        share_rates.push(share_rate);
        overtaken.push(share);
    }
    println!(
        "racing {RACING} nodes of {callers_share} callers: {:>7.0}/s; one node of \
         {CALLERS_OF_RACE}: {:>7.0}/s, {:.2} of it; one of {callers_share}: {:>7.0}/s, {:.2} of it; \
         {:.0} % of the blocks sent came second",
        median(&mut racing_rates),
        median(&mut rates),
        median(&mut ratios),
        median(&mut share_rates),
        median(&mut share_ratios),
        median(&mut overtaken) * 100.0,
    );
}

fn per_second(appends: u64, elapsed: Duration) -> f64 {
    appends as f64 / elapsed.as_secs_f64()
}

impl Round {
    fn begin(place: &Place<'_>, nodes: usize) -> Self {
        let options = stream(place);
        let folder = || TempDir::new_in(&place.settings.folder).expect("the folder can be written");
        let folders: Vec<_> = (0..nodes).map(|_| folder()).collect();
        let open = |folder: &TempDir| {
            let journal = JournalOptions::new(Uuid::nil());
            let store = JetStreamStore::open(&folder.path().join("journal"), journal, &options);
            Arc::new(store.expect("the log opens"))
        };
        let stores = folders.iter().map(open).collect();
        Self { folders, stores }
    }

    /// Appends from so many tasks over all nodes; gives how long it took until
    /// every one was answered.
    fn append(&self, place: &Place<'_>, callers: usize, appends: u64) -> Duration {
        let each = appends / callers as u64;
        let commits: Vec<Vec<_>> = (0..callers as u64)
            .map(|caller| workload::first_events(caller * each, each).collect())
            .collect();
        let stores = self.stores.iter().cycle();
        let elapsed = place.runtime.block_on(async {
            let begin = Instant::now();
            let tasks: Vec<_> = commits
                .into_iter()
                .zip(stores)
                .map(|(commits, store)| {
                    let store = Arc::clone(store) as Arc<dyn EventStore>;
                    tokio::spawn(append::caller(store, commits))
                })
                .collect();
            for task in tasks {
                task.await.expect("a caller does not panic");
            }
            begin.elapsed()
        });
        for store in &self.stores {
            store.close();
        }
        elapsed
    }

    /// What the first node's journal holds, block by block.
    fn blocks(&self) -> Vec<Vec<u8>> {
        let folder = self.folders.first().expect("a round has a node");
        let journal: PathBuf = folder.path().join("journal");
        bare::groups(&journal).into_iter().flatten().collect()
    }

    /// How many of the blocks that were sent came second, of all.
    fn overtaken_share(&self) -> f64 {
        let counts = self.stores.iter().map(|store| store.figures().counts());
        let sums = counts.fold((0, 0), |(published, overtaken), counts| {
            (published + counts.published, overtaken + counts.overtaken)
        });
        sums.1 as f64 / (sums.0 + sums.1) as f64
    }
}

/// Makes a stream with the settings of a log.
fn stream(place: &Place<'_>) -> JetStreamOptions {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let access = NatsAccess::new(place.servers.clone());
    let options = JetStreamOptions {
        heads_wait: Duration::from_millis(100),
        ..JetStreamOptions::new(access, format!("figures-{number}"))
    };
    let folder = TempDir::new_in(&place.settings.folder).expect("the folder can be written");
    workload::open(folder.path()).close();
    let made = servers::wait_until("a stream can be made", || {
        create_stream(folder.path(), &options)
    });
    assert!(made, "no round uses another's stream");
    options
}

/// Publishes the blocks one after the other, each where the one before ended.
fn publish_bare(place: &Place<'_>, blocks: &[Vec<u8>]) -> Duration {
    let options = stream(place);
    place.runtime.block_on(async {
        let urls: Vec<_> = place.servers.split(',').collect();
        let client = async_nats::connect(urls).await.expect("a server answers");
        let context: Context = async_nats::jetstream::new(client);
        let begin = Instant::now();
        for (after, block) in (0..).zip(blocks) {
            let message = PublishMessage::build()
                .payload(block.clone().into())
                .expected_stream(&options.stream)
                .expected_last_sequence(after);
            let sent = context.send_publish(options.subject(), message).await;
            let stored = sent.expect("it is sent").await.expect("it is stored");
            assert_eq!(stored.sequence, after + 1);
        }
        begin.elapsed()
    })
}
