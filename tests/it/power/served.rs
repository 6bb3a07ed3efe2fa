//! Power cuts under the whole server, as clients see them.
//!
//! The server is frozen before the cut: then nothing is in flight, and every
//! answer that ever reached a client can be relied on.

use std::path::PathBuf;
use std::sync::Arc;

use tests::{Chance, PowerDisk, Progress, freeze, tally};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{a_moment, any_cut, cuts};
use crate::answers::Answers;
use crate::scene::{airpost, seeded, verify};
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
    let answers: usize = disks.join_all().await.into_iter().sum();
    let seconds = progress.elapsed_s();
    tally(&format!(
        "power cuts under the server: {cuts}; {answers} answers, 0 lost, 0 doubled, views equal to the log; {seconds} s, AIRPOST_SEED={seed}"
    ));
}

/// Cuts one disk's power again and again; gives back how many answers there were.
async fn cut_and_look(progress: Arc<Progress>, mut chance: Chance) -> usize {
    let mut life = Life::new(PowerDisk::new().await);
    let (mut cuts, mut answered) = (0, 0);
    while progress.take().is_some() {
        if cuts == CUTS_A_FOLDER {
            answered += life.answered;
            life = life.end(&mut chance).await;
            cuts = 0;
        }
        cuts += 1;
        life.work_and_be_cut(&mut chance).await;
        life.come_back().await;
        progress.end_one();
    }
    answered += life.answered;
    life.end(&mut chance).await;
    answered
}

/// What one data folder lives through.
struct Life {
    disk: PowerDisk,
    crowd: Crowd,
    answers: Answers,
    answered: usize,
}

impl Life {
    fn new(disk: PowerDisk) -> Self {
        let answers = Answers::default();
        Self {
            disk,
            crowd: Crowd::noting(CUSTOMERS, &answers),
            answers,
            answered: 0,
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
        self.answered += acknowledged.available_permits();
        self.disk.restart().await;
    }

    /// The journal has it all, a server starts on it, and its views are what the journal says.
    async fn come_back(&mut self) {
        self.answers.check(&self.data());
        let server = airpost().serve_with(&self.data(), &SMALL_SEGMENTS).await;
        self.crowd.check_what_is_new(&server.client()).await;
        server.stop().await;
        verify(&self.data()).await;
    }

    /// Everything that ever happened is checked; the disk begins anew.
    async fn end(mut self, chance: &mut Chance) -> Self {
        let server = airpost().serve_with(&self.data(), &SMALL_SEGMENTS).await;
        self.crowd.finish(&server.client(), chance).await;
        self.crowd.check_side_by_side(&server.client()).await;
        server.stop().await;
        verify(&self.data()).await;
        let mut disk = self.disk;
        disk.renew().await;
        Self::new(disk)
    }
}
