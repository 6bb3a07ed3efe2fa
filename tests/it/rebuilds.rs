//! The server is killed while a view is built anew, again and again: it goes on building, and ends equal.
//!
//! Customers write and readers ask meanwhile. What a reader asks for by its id
//! is never older than what was acknowledged before, nor is a list that is asked
//! with the position of that; no answer is a fault, but a list may say to come
//! again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::service::{Folders, open_log};
use eventstore::JournalOptions;
use serde_json::{Value, json};
use tests::{Chance, Client, Recording, Server, poll_until, tally};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::scene::{
    FLIGHTS, Order, airpost, list, new_user, number, number_from, scratch, seeded, text, verify,
};
use crate::story::{Crowd, Customer};

// By the command, while no server runs.
mod command;

// The log to build from: that of the bench of starts.
#[path = "../benches/start/lives.rs"]
mod lives;

/// Kills of a usual run; one for every fifteen quick ones.
const KILLS: u64 = 10;
const QUICK_KILLS_FOR_EACH: u64 = 15;

/// Records that are there before anything is killed: a rebuild takes some
/// tenths of a second, so that many kills come while one is under way.
const RECORDS: u64 = 20_000;

/// How many customers write at once.
const CUSTOMERS: usize = 3;

/// The longest that a kill comes after a rebuild was asked for or gone on with.
const AFTER_MS_MAX: u64 = 1_000;

/// One round of so many of a reader orders something and looks for it in lists.
const ORDERS_PERMILLE: u16 = 200;

/// One kill of so many is aimed at the moments in which what was gathered is applied.
const AIMED_PERMILLE: u16 = 400;

/// How long after the first of these moments an aimed kill comes at most.
const AIMED_AFTER_MS_MAX: u64 = 40;

/// How often is looked for it.
const AIM_EVERY: Duration = Duration::from_millis(1);

/// Kills beyond the usual ones until every step of a rebuild was met.
const MORE_KILLS_MAX: u64 = 30;

/// The views with enough entries for their rebuild to be applied in many steps.
pub(crate) const LARGE_VIEWS: [&str; 3] = ["delivery_status", "delivery_history", "user"];

/// After how long at most a rebuild that was asked for is on disk.
const NOTED_AFTER_MAX: Duration = Duration::from_millis(750);

/// How long a rebuild may take once it is left alone.
pub(crate) const REBUILD_TIME_MAX: Duration = Duration::from_mins(1);

/// Writes the log, and gives the addresses of deliveries in it.
pub(crate) async fn fill(data: &Path) -> Vec<String> {
    let options = JournalOptions::new(Uuid::from_u128(0x5eb1));
    let (journal, log) = open_log(&Folders::of(data), options).expect("a new log opens");
    let deliveries = lives::append(&*log, RECORDS).await;
    journal.close();
    let some = (0..deliveries).step_by(97);
    some.map(|number| format!("/v1/deliveries/{}", lives::delivery_id(number)))
        .collect()
}

/// What the kills have met.
#[derive(Debug, Default)]
struct Met {
    /// Kills while writes went on.
    busy: u64,
    /// Kills while a rebuild was under way and nothing of it was being applied.
    gathering: u64,
    /// Kills while what was gathered was being applied.
    applying: u64,
    /// Rebuilds that were under way at a kill and were gone on with.
    gone_on: u64,
    /// Rebuilds that were over after all.
    over: u64,
    /// Rebuilds that were asked for so shortly before a kill that they were forgotten.
    forgotten: u64,
    /// Rounds of the readers.
    answers: u64,
    /// Lists that were as new as they were asked to be.
    lists: u64,
    /// Lists that said to come again.
    late_lists: u64,
}

/// Whether the views were left with something stashed that was not wholly applied.
pub(crate) fn is_applying(data: &Path) -> bool {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let stores = names(&data.join("views")).into_iter();
    let files = stores.flat_map(|store| names(&store));
    let stashes =
        files.filter_map(|path| path.file_name()?.to_str()?.strip_prefix("stash-").map(drop));
    stashes.count() > 0
}

/// Waits until what was gathered is being applied, or the rebuild is over.
pub(crate) async fn until_applying(data: &Path, client: &Client, asked: &Asked) {
    let applying = async {
        let mut looks = tokio::time::interval(AIM_EVERY);
        while !is_applying(data) && asked.is_under_way(client).await {
            looks.tick().await;
        }
    };
    let applied = tokio::time::timeout(REBUILD_TIME_MAX, applying).await;
    applied.expect("a rebuild applies something, or ends");
}

impl Met {
    /// Every step of a rebuild.
    fn is_all(&self) -> bool {
        self.gathering > 0 && self.applying > 0 && self.gone_on > 0
    }
}

/// A rebuild that was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    view: String,
    /// The address of its operation.
    pub(crate) path: String,
    /// How long a server was left alone with it, at least.
    lived: Duration,
    /// The server was killed while something was being applied.
    was_applying: bool,
}

impl Asked {
    pub(crate) async fn of(client: &Client, view: String) -> Self {
        let path = format!("/v1/projections/{view}/rebuild");
        let answer = client.post(&path).send().await.expect(202);
        let path = answer.required_header("location").to_owned();
        assert_eq!(text(&answer.json(), "/projection"), view);
        Self {
            view,
            path,
            lived: Duration::ZERO,
            was_applying: false,
        }
    }

    /// What the service says of it; nothing if it does not know it.
    async fn look(&self, client: &Client) -> Option<Value> {
        let answer = client.get(&self.path).send().await;
        if answer.status() == 404 {
            return None;
        }
        let operation = answer.expect(200).json();
        assert_eq!(text(&operation, "/projection"), self.view);
        assert_ne!(text(&operation, "/status"), "failed", "{operation}");
        Some(operation)
    }

    pub(crate) async fn is_under_way(&self, client: &Client) -> bool {
        let operation = self.look(client).await;
        operation.is_some_and(|operation| text(&operation, "/status") != "succeeded")
    }
}

/// Somebody who changes their own name and orders, asks for it, and for others'
/// deliveries, until the server is gone.
struct Reader {
    client: Client,
    user: String,
    flight: Recording,
    deliveries: Vec<String>,
    writes: bool,
    read: Read,
    /// How many deliveries the statistics have counted.
    counted: u64,
}

/// What a reader was told.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    rounds: u64,
    lists: u64,
    late_lists: u64,
}

impl Reader {
    async fn read(mut self, mut chance: Chance) -> Read {
        while self.round(&mut chance).await.is_some() {
            self.read.rounds += 1;
        }
        self.read
    }

    /// Nothing once the server is gone.
    async fn round(&mut self, chance: &mut Chance) -> Option<()> {
        if self.writes {
            self.rename(chance).await?;
            if chance.happens(ORDERS_PERMILLE) {
                self.order(chance).await?;
            }
        }
        let place = chance.below(self.deliveries.len() as u64);
        let place = usize::try_from(place).expect("an index");
        let delivery = self.deliveries.get(place).expect("it is one of them");
        let found = self.client.get(delivery).try_send().await.ok()?;
        let _whole = found.expect(200);
        Some(())
    }

    async fn rename(&self, chance: &mut Chance) -> Option<()> {
        let path = format!("/v1/users/{}", self.user);
        let name = format!("Ada {:016x}", chance.bits());
        let rename = self.client.patch(&path).header("if-match", "*");
        let renamed = rename
            .json(&json!({ "name": name }))
            .try_send()
            .await
            .ok()?;
        let renamed = renamed.expect(200);
        let found = self.client.get(&path).try_send().await.ok()?.expect(200);
        assert_eq!(text(&found.json(), "/name"), name, "it is stale:\n{found}");
        assert_eq!(found.bytes(), renamed.bytes());
        Some(())
    }

    /// Orders, and finds that in the lists that are asked with its position.
    async fn order(&mut self, chance: &mut Chance) -> Option<()> {
        let order = Order::request(&self.user, &self.flight, chance);
        let order = self.client.post("/v1/deliveries").json(&order);
        let made = order.try_send().await.ok()?.expect(201);
        let position = made.required_header("stream-position");
        let path = format!("/v1/users/{}/deliveries?limit=1", self.user);
        if let Some(listed) = self.list(&path, position).await? {
            let made = made.json();
            assert_eq!(text(&listed, "/items/0/id"), text(&made, "/id"), "{listed}");
        }
        let path = "/v1/statistics?by=day&limit=200";
        if let Some(listed) = self.list(path, position).await? {
            let periods = list(&listed, "/items").iter();
            let counted = periods.map(|it| number(it, "/created")).sum();
            assert!(self.counted < counted, "the order is missing: {listed}");
            self.counted = counted;
        }
        Some(())
    }

    /// What a list says that is to be as new as a position, unless it says to come
    /// again; nothing once the server is gone.
    async fn list(&mut self, path: &str, position: &str) -> Option<Option<Value>> {
        let asked = self.client.get(path).header("min-position", position);
        let answer = asked.header("prefer", "wait=5").try_send().await.ok()?;
        if answer.status() == 503 {
            let problem = answer.expect_problem(503);
            assert_eq!(text(&problem, "/code"), "projection-lagging", "{problem}");
            self.read.late_lists += 1;
            return Some(None);
        }
        let answer = answer.expect(200);
        let is_of: u64 = answer.required_header("stream-position").parse().ok()?;
        let asked: u64 = position.parse().expect("a position");
        assert!(is_of >= asked, "it is of {is_of} and not of {asked}");
        self.read.lists += 1;
        Some(Some(answer.json()))
    }
}

/// A server with people who use it.
struct Busy {
    server: Server,
    writing: JoinSet<Customer>,
    reading: JoinSet<Read>,
}

impl Busy {
    async fn kill(mut self) -> (Crowd, Read) {
        self.server.kill().await;
        let read = self.reading.join_next().await;
        let read = read.expect("there is a reader").expect("it ends by itself");
        (Crowd::rest(self.writing).await, read)
    }
}

/// What goes on from kill to kill.
struct Life {
    chance: Chance,
    user: String,
    flight: Recording,
    deliveries: Vec<String>,
    views: Vec<String>,
    met: Met,
}

impl Life {
    fn let_in(&mut self, server: Server, crowd: Crowd, writes: bool) -> Busy {
        let client = server.client();
        let acknowledged = Arc::new(Semaphore::new(0));
        let writing = crowd.write(&client, &mut self.chance, &acknowledged);
        let reader = Reader {
            client,
            user: self.user.clone(),
            flight: self.flight.clone(),
            deliveries: self.deliveries.clone(),
            writes,
            read: Read::default(),
            counted: 0,
        };
        let mut reading = JoinSet::new();
        reading.spawn(reader.read(Chance::new(self.chance.bits())));
        Busy {
            server,
            writing,
            reading,
        }
    }

    /// The rebuild that is under way, or another one: of a large view, if a
    /// kill is to be aimed.
    async fn ask(&mut self, client: &Client, asked: Option<Asked>, is_aimed: bool) -> Asked {
        if let Some(asked) = asked {
            match asked.look(client).await {
                Some(operation) if text(&operation, "/status") != "succeeded" => {
                    self.met.gone_on += 1;
                    self.met.gathering += u64::from(!asked.was_applying);
                    return asked;
                }
                Some(_) => self.met.over += 1,
                None => {
                    assert!(asked.lived < NOTED_AFTER_MAX, "forgotten: {asked:?}");
                    self.met.forgotten += 1;
                }
            }
        }
        let large = LARGE_VIEWS.map(str::to_owned);
        let views: &[String] = if is_aimed { &large } else { &self.views };
        let place = usize::try_from(self.chance.below(views.len() as u64));
        let view = views.get(place.expect("an index"));
        Asked::of(client, view.expect("it is one of them").clone()).await
    }

    /// Lets a time pass until the kill. Aimed, it comes once something is being
    /// applied, unless the rebuild is over before.
    async fn wait(
        &mut self,
        data: &Path,
        client: &Client,
        asked: &Asked,
        is_aimed: bool,
    ) -> Duration {
        let after_ms_max = if is_aimed {
            until_applying(data, client, asked).await;
            AIMED_AFTER_MS_MAX
        } else {
            AFTER_MS_MAX
        };
        let after = Duration::from_millis(self.chance.below(after_ms_max));
        // The kill comes at a moment that no request knows of.
        let _elapsed = tokio::time::timeout(after, std::future::pending::<()>()).await;
        after
    }

    /// A server goes on, people use it, and it is killed.
    async fn live_and_be_killed(
        &mut self,
        data: &Path,
        crowd: Crowd,
        asked: Option<Asked>,
    ) -> (Crowd, Asked) {
        let server = airpost().serve(data).await;
        let client = server.client();
        // A rebuild gets through its steps sooner while nobody writes.
        let is_busy = self.chance.happens(500);
        self.met.busy += u64::from(is_busy);
        let nobody = Crowd::new(0);
        let (working, resting) = if is_busy {
            (crowd, nobody)
        } else {
            (nobody, crowd)
        };
        let busy = self.let_in(server, working, is_busy);
        let is_aimed = self.chance.happens(AIMED_PERMILLE);
        let mut rebuild = self.ask(&client, asked, is_aimed).await;
        rebuild.lived += self.wait(data, &client, &rebuild, is_aimed).await;
        let (rest, read) = busy.kill().await;
        rebuild.was_applying = is_applying(data);
        self.met.applying += u64::from(rebuild.was_applying);
        self.met.answers += read.rounds;
        self.met.lists += read.lists;
        self.met.late_lists += read.late_lists;
        (if is_busy { rest } else { resting }, rebuild)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_goes_on_after_every_kill_and_ends_equal_while_writes_go_on() {
    let (seed, mut chance) = seeded();
    let asked = number_from("AIRPOST_KILLS");
    let kills = asked.map_or(KILLS, |quick| quick.div_ceil(QUICK_KILLS_FOR_EACH));
    let folder = scratch();
    let deliveries = fill(folder.path()).await;
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let listed = client.read("/v1/projections").await;
    let views = list(&listed, "/items").iter();
    let views = views.map(|view| text(view, "/name").to_owned()).collect();
    let mut life = Life {
        chance,
        user,
        flight: Recording::load(FLIGHTS[0]),
        deliveries,
        views,
        met: Met::default(),
    };
    server.stop().await;

    let (mut crowd, mut asked, mut killed) = (Crowd::new(CUSTOMERS), None, 0);
    while killed < kills || (!life.met.is_all() && killed < kills + MORE_KILLS_MAX) {
        let (rest, rebuild) = life.live_and_be_killed(folder.path(), crowd, asked).await;
        (crowd, asked) = (rest, Some(rebuild));
        killed += 1;
    }

    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let last = life.ask(&client, asked, false).await;
    poll_until(REBUILD_TIME_MAX, "the last rebuild to end", async || {
        (!last.is_under_way(&client).await).then_some(())
    })
    .await;
    crowd.finish(&client, &mut life.chance).await;
    crowd.check(&client).await;
    server.stop().await;
    verify(folder.path()).await;
    let met = life.met;
    assert!(met.is_all(), "a step of a rebuild was never met: {met:?}");
    assert!(met.lists > 0, "no list was read: {met:?}");
    tally(&format!(
        "kills while views are built anew: {killed}, {met:?}, 0 stale; AIRPOST_SEED={seed}"
    ));
}
