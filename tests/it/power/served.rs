//! Power cuts under the whole server, as clients see them.
//!
//! The server is frozen before the cut: then nothing is in flight, and every
//! answer that ever reached a client can be relied on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tests::{Chance, PowerDisk, Progress, Server, freeze, tally};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{a_moment, any_cut, cuts};
use crate::answers::Answers;
use crate::scene::{airpost, seeded, settled, verify};
use crate::story::Crowd;

/// One cut under the server for every ten under a journal alone.
const CUTS_FOR_EACH: u64 = 10;

/// Disks side by side.
const DISKS: usize = 2;

/// Cuts that one data folder lives through before all of it is checked.
const CUTS_A_FOLDER: u64 = 10;

/// How many customers write at once.
const CUSTOMERS: usize = 6;

/// The smallest segments there are, so that the journal rolls.
const SMALL_SEGMENTS: [&str; 2] = ["--segment-kib", "64"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_power_was_cut_has_every_acknowledged_write_exactly_once() {
    let Some(cuts) = cuts("power cuts under the server") else {
        return;
    };
    let (seed, mut chance) = seeded();
    let cuts = cuts.div_ceil(CUTS_FOR_EACH);
    let progress = Arc::new(Progress::new("power cuts under the server", cuts));
    let mut disks = JoinSet::new();
    for _ in 0..DISKS {
        disks.spawn(cut_and_look(
            Arc::clone(&progress),
            Chance::new(chance.bits()),
        ));
    }
    let met = disks.join_all().await.into_iter();
    let met = met.reduce(Met::and).unwrap_or_default();
    let seconds = progress.elapsed_s();
    tally(&format!(
        "power cuts under the server: {cuts}, {met}; {seconds} s, AIRPOST_SEED={seed}"
    ));
}

/// What the cuts have met.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    answers: usize,
    /// Cuts after which some view was begun anew: the machine had lost what was
    /// to go into it, or all that was in it.
    begun_anew: u64,
    /// Cuts after which the views could not be read and were set aside.
    set_aside: u64,
}

impl Met {
    fn and(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            begun_anew: self.begun_anew + other.begun_anew,
            set_aside: self.set_aside + other.set_aside,
        }
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            answers,
            begun_anew,
            set_aside,
        } = self;
        write!(
            f,
            "{answers} answers, 0 lost, 0 doubled; after each cut all views are at the head of the log and equal to it, after {begun_anew} some were begun anew, after {set_aside} they were set aside"
        )
    }
}

/// Cuts one disk's power again and again.
async fn cut_and_look(progress: Arc<Progress>, mut chance: Chance) -> Met {
    let mut life = Life::new(PowerDisk::new().await);
    let (mut cuts, mut met) = (0, Met::default());
    while progress.take().is_some() {
        if cuts == CUTS_A_FOLDER {
            let (disk, of_life) = life.end(&mut chance).await;
            (life, met) = (Life::new(disk), met.and(of_life));
            cuts = 0;
        }
        cuts += 1;
        life.work_and_be_cut(&mut chance).await;
        life.come_back().await;
        progress.end_one();
    }
    let (_disk, of_life) = life.end(&mut chance).await;
    met.and(of_life)
}

/// How many views there are that answer questions from a disk.
const VIEWS: u64 = 11;

/// Stops a server in good order: the views are what the journal says then, all of them, up to
/// its head. That they have come to it is waited for, which a stop does not do: what the service
/// wrote by itself a moment before may be behind them, and is followed at the next start.
pub(super) async fn stop_and_verify_all(mut server: Server, data: &Path) {
    settled(&server.client()).await;
    server.stop_in_place().await;
    let log = server.log();
    assert!(!log.contains("the views did not stop in time"), "{log}");
    let said = verify(data).await;
    for of_all in [
        format!(" entries in {VIEWS} views are what the journal says"),
        format!("; {VIEWS} views are at its head"),
    ] {
        assert!(said.contains(&of_all), "{of_all}:\n{said}");
    }
}

/// What one data folder lives through.
struct Life {
    disk: PowerDisk,
    crowd: Crowd,
    answers: Answers,
    met: Met,
}

impl Life {
    fn new(disk: PowerDisk) -> Self {
        let answers = Answers::default();
        Self {
            disk,
            crowd: Crowd::noting(CUSTOMERS, &answers),
            answers,
            met: Met::default(),
        }
    }

    fn data(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    async fn work_and_be_cut(&mut self, chance: &mut Chance) {
        let server = airpost().serve_with(&self.data(), &SMALL_SEGMENTS).await;
        let crowd = std::mem::replace(&mut self.crowd, Crowd::new(0));
        let acknowledged = Arc::new(Semaphore::new(0));
        let writing = crowd.write(&server.client(), chance, &acknowledged);
        a_moment(chance, 30, 400).await;
        freeze(server.pid()).await;
        self.disk.cut(any_cut(chance)).await;
        server.kill().await;
        self.crowd = Crowd::rest(writing).await;
        self.met.answers += acknowledged.available_permits();
        self.disk.restart().await;
    }

    /// The journal has it all, a server starts on it, and its views are what the journal says.
    async fn come_back(&mut self) {
        self.answers.check(&self.data());
        let server = airpost().serve_with(&self.data(), &SMALL_SEGMENTS).await;
        self.crowd.check_what_is_new(&server.client()).await;
        let log = server.log();
        let tells = |words: &str| u64::from(log.contains(words));
        self.met.begun_anew += tells("the view is built from the beginning of the log");
        self.met.set_aside += tells("the views are damaged: they are set aside");
        stop_and_verify_all(server, &self.data()).await;
    }

    /// Everything that ever happened is checked; the disk begins anew.
    async fn end(mut self, chance: &mut Chance) -> (PowerDisk, Met) {
        let server = airpost().serve_with(&self.data(), &SMALL_SEGMENTS).await;
        self.crowd.finish(&server.client(), chance).await;
        self.crowd.check_side_by_side(&server.client()).await;
        stop_and_verify_all(server, &self.data()).await;
        let mut disk = self.disk;
        disk.renew().await;
        (disk, self.met)
    }
}
