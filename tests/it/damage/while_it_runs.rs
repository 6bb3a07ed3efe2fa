//! Views that rot under a busy server: whoever asks for something by its id is told what is, all the
//! time, and in the end every view is what the journal says.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::{Answer, Chance, Client, poll_until, tally};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::files;
use crate::rebuilds::fill;
use crate::scene::{airpost, at, list, number_from, scratch, seeded, text, verify};
use crate::story::Crowd;

/// Rounds of a usual run; one for every so many damages of a quick kind.
const ROUNDS: u64 = 12;
const DAMAGES_FOR_EACH: u64 = 200;

/// How many customers write at once, and how many readers ask.
const CUSTOMERS: usize = 2;
const READERS: usize = 2;

/// The longest between two things that happen to a server.
const AFTER_MS_MAX: u64 = 500;

/// How often the views rot between two starts, at most.
const TIMES_A_LIFE_MAX: u64 = 3;

/// What a server says of views that it found to be damaged.
const SET_ASIDE: &str = "the views are damaged: they are set aside";

/// What a panic of the engine would say past the log.
const RAW_PANIC: &str = "panicked at ";

/// How long the views may take to be whole again; a store that hangs is given
/// up after ten seconds.
const HEALED_AFTER_MAX: Duration = Duration::from_secs(50);

/// The least memory for pages there is, so that the files are read.
const SMALL_CACHE: [&str; 2] = ["--views-cache-mib", "16"];

/// Bytes that a fault of a disk takes with it.
const BLOCK_BYTES: usize = 4096;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    /// Some bits are others.
    Flips,
    /// Some blocks are full of zeroes.
    Zeroes,
    /// Some blocks hold what lies in others.
    Strays,
    /// Its end is gone.
    Truncated,
    /// It is not there any more.
    Deleted,
}

const DAMAGES: [Damage; 5] = [
    Damage::Flips,
    Damage::Zeroes,
    Damage::Strays,
    Damage::Truncated,
    Damage::Deleted,
];

impl Damage {
    fn any(chance: &mut Chance) -> Self {
        let place = usize::try_from(chance.below(DAMAGES.len() as u64)).expect("a small number");
        *DAMAGES.get(place).expect("drawn below the length")
    }

    /// Done to a file that somebody may be using.
    fn does(self, path: &Path, chance: &mut Chance) -> std::io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let times = 1 + chance.below(20);
        match self {
            Self::Flips => (0..times).try_for_each(|_| flip(&file, length, chance)),
            Self::Zeroes => (0..times)
                .try_for_each(|_| file.write_all_at(&[0; BLOCK_BYTES], block(length, chance))),
            Self::Strays => (0..times).try_for_each(|_| {
                let mut block_of_it = [0; BLOCK_BYTES];
                let read = file.read_at(&mut block_of_it, block(length, chance))?;
                let bytes = block_of_it.get(..read).unwrap_or_default();
                file.write_all_at(bytes, block(length, chance))
            }),
            Self::Truncated => file.set_len(chance.below(length + 1)),
            Self::Deleted => std::fs::remove_file(path),
        }
    }
}

fn block(length: u64, chance: &mut Chance) -> u64 {
    let block_bytes = BLOCK_BYTES as u64;
    chance.below(length / block_bytes + 1) * block_bytes
}

fn flip(file: &File, length: u64, chance: &mut Chance) -> std::io::Result<()> {
    let place = chance.below(length.max(1));
    let mut byte = [0];
    let read = file.read_at(&mut byte, place)?;
    let flipped = byte.map(|byte| byte ^ (1 << chance.below(8)));
    file.write_all_at(flipped.get(..read).unwrap_or_default(), place)
}

/// Damages files of the views: often the largest, in which nearly everything lies.
fn damage(data: &Path, chance: &mut Chance) -> Damage {
    let damage = Damage::any(chance);
    let mut views = files(&data.join("views"));
    views.sort_by_key(|path| path.metadata().map_or(0, |metadata| metadata.len()));
    let last = views.len().saturating_sub(1);
    for (number, path) in views.iter().enumerate() {
        if chance.happens(if number == last { 800 } else { 250 }) {
            // The server may have removed it meanwhile.
            let _done = damage.does(path, chance);
        }
    }
    damage
}

/// Addresses whose answers nothing changes any more, and these answers.
type Told = BTreeMap<String, Vec<u8>>;

/// Whether a question may go unanswered for a while: lists are not folded from
/// the log, nor is a user who is far ahead of the views.
fn may_wait(path: &str) -> bool {
    path.starts_with("/v1/users/")
}

async fn tell(client: &Client, deliveries: &[String]) -> Told {
    let mut told = Told::new();
    for path in deliveries {
        let delivery = client.read(path).await;
        let user = format!("/v1/users/{}", text(&delivery, "/user_id"));
        for path in [
            path.clone(),
            format!("{path}/history"),
            format!("{user}/deliveries"),
            user,
        ] {
            let answer = client.get(&path).send().await.expect(200);
            told.insert(path, answer.bytes().to_vec());
        }
    }
    told
}

/// What the readers met.
#[derive(Debug, Default)]
struct Met {
    answers: u64,
    /// Answers that said to come again.
    waited: u64,
}

/// Asks for what was told before until the server is gone or it is time to stop.
async fn read(client: Client, told: Arc<Told>, stop: Arc<AtomicBool>, mut chance: Chance) -> Met {
    let mut met = Met::default();
    while !stop.load(Ordering::Relaxed) {
        let place = usize::try_from(chance.below(told.len() as u64)).expect("a small number");
        let (path, expected) = told.iter().nth(place).expect("drawn below the length");
        let Ok(answer) = client.get(path).try_send().await else {
            break;
        };
        met.answers += 1;
        if answer.status() == 503 && may_wait(path) {
            assert_says_when(&answer);
            met.waited += 1;
            continue;
        }
        let answer = answer.expect(200);
        assert!(
            answer.bytes() == expected,
            "{path} is told otherwise:\n{answer}"
        );
    }
    met
}

fn assert_says_when(answer: &Answer) {
    let _seconds = answer.required_header("retry-after");
    let code = answer.json();
    let code = text(&code, "/code");
    assert!(
        ["projection-lagging", "not-ready"].contains(&code),
        "{answer}"
    );
}

/// What lives through damage after damage.
struct Rotting {
    data: PathBuf,
    told: Arc<Told>,
    crowd: Crowd,
    met: Met,
    damages: BTreeMap<Damage, u64>,
    set_aside: usize,
}

impl Rotting {
    /// A server runs until something becomes of it, and its views rot meanwhile.
    /// Gives how often they did.
    async fn live(&mut self, chance: &mut Chance) -> u64 {
        let server = airpost().serve_with(&self.data, &SMALL_CACHE).await;
        let client = server.client();
        self.come_back(&client).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut reading = JoinSet::new();
        for _ in 0..READERS {
            let (client, told, stop) = (client.clone(), Arc::clone(&self.told), Arc::clone(&stop));
            reading.spawn(read(client, told, stop, Chance::new(chance.bits())));
        }
        let crowd = std::mem::replace(&mut self.crowd, Crowd::new(0));
        let writing = crowd.write(&client, chance, &Arc::new(Semaphore::new(0)));
        let times = 1 + chance.below(TIMES_A_LIFE_MAX);
        for _ in 0..times {
            a_moment(chance).await;
            *self.damages.entry(damage(&self.data, chance)).or_default() += 1;
            a_moment(chance).await;
            if chance.happens(500) {
                healed(&client).await;
            }
        }
        let is_killed = chance.happens(650);
        if !is_killed {
            stop.store(true, Ordering::Relaxed);
            self.take(&mut reading).await;
        }
        let log = server.log();
        self.set_aside += log.matches(SET_ASIDE).count();
        assert!(!log.contains(RAW_PANIC), "a panic beside the log:\n{log}");
        if is_killed {
            server.kill().await;
        } else {
            server.stop_only().await;
        }
        self.take(&mut reading).await;
        self.crowd = Crowd::rest(writing).await;
        times
    }

    /// Everything is told as before, what was written since then is there, and
    /// the views come to be in order.
    async fn come_back(&mut self, client: &Client) {
        for (path, expected) in &*self.told {
            let look = async || {
                let answer = client.get(path).send().await;
                (answer.status() != 503 || !may_wait(path)).then_some(answer)
            };
            let answer = poll_until(HEALED_AFTER_MAX, path, look).await.expect(200);
            assert!(
                answer.bytes() == expected,
                "{path} is told otherwise:\n{answer}"
            );
        }
        healed(client).await;
        self.crowd.check_what_is_new(client).await;
    }

    async fn take(&mut self, reading: &mut JoinSet<Met>) {
        while let Some(met) = reading.join_next().await {
            let met = met.expect("a reader was told otherwise");
            self.met.answers += met.answers;
            self.met.waited += met.waited;
        }
    }
}

/// Waits until all views follow the log and each is known to be in order.
pub(super) async fn healed(client: &Client) {
    let look = async || {
        let views = client.read("/v1/projections").await;
        let are_checked = list(&views, "/items").iter();
        let are_checked = are_checked.map(|view| at(view, "/checked") == true);
        (at(&views, "/ready") == true && are_checked.clone().all(|it| it)).then_some(())
    };
    poll_until(HEALED_AFTER_MAX, "the views to be in order", look).await;
}

async fn a_moment(chance: &mut Chance) {
    let after = Duration::from_millis(chance.below(AFTER_MS_MAX));
    let _elapsed = tokio::time::timeout(after, std::future::pending::<()>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_by_id_is_told_what_is_while_the_views_rot_and_they_heal() {
    let (seed, mut chance) = seeded();
    let asked = number_from("AIRPOST_DAMAGES");
    let rounds = asked.map_or(ROUNDS, |quick| quick.div_ceil(DAMAGES_FOR_EACH));
    let folder = scratch();
    let deliveries = fill(folder.path()).await;
    let server = airpost().serve(folder.path()).await;
    let told = Arc::new(tell(&server.client(), &deliveries).await);
    server.stop().await;
    let mut rotting = Rotting {
        data: folder.path().to_owned(),
        told,
        crowd: Crowd::new(CUSTOMERS),
        met: Met::default(),
        damages: BTreeMap::new(),
        set_aside: 0,
    };
    let mut done = 0;
    while done < rounds {
        done += rotting.live(&mut chance).await;
    }
    // Damage that nobody has met yet is found by a start after a kill.
    airpost()
        .serve_with(folder.path(), &SMALL_CACHE)
        .await
        .kill()
        .await;
    let server = airpost().serve_with(folder.path(), &SMALL_CACHE).await;
    let client = server.client();
    rotting.come_back(&client).await;
    rotting.crowd.finish(&client, &mut chance).await;
    rotting.crowd.check(&client).await;
    server.stop().await;
    let _said = verify(folder.path()).await;
    let Rotting {
        met,
        damages,
        set_aside,
        ..
    } = rotting;
    assert!(set_aside > 0, "no damage was ever met: {damages:?}");
    tally(&format!(
        "damages to the views of a busy server: {done}, {damages:?}; set aside {set_aside} times; {met:?}, 0 wrong; AIRPOST_SEED={seed}"
    ));
}
