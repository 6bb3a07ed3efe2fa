//! The server is killed while it works, often: every kill is followed by a look into its journal.
//!
//! What `crash.rs` does thoroughly is done here quickly, over small segments,
//! with servers side by side; so it can be done ten thousand times.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tests::{Chance, Progress, Server, tally};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answers::Answers;
use crate::scene::{airpost, number_from, scratch, scratch_in_memory, seeded, verify};
use crate::story::Crowd;

/// Kills of a usual run.
const KILLS: u64 = 150;

/// Servers side by side, each with a folder of its own.
const SERVERS: u64 = 3;

/// Kills that a data folder lives through before all of it is checked.
const KILLS_A_FOLDER: u64 = 30;

/// How many customers write at once.
const CUSTOMERS: usize = 6;

/// The most answers that a server gives before it is killed.
const ANSWERS_MAX: u64 = 400;

/// The smallest segments there are, so that the journal rolls.
const SMALL_SEGMENTS: [&str; 2] = ["--segment-kib", "64"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_killed_server_had_acknowledged_is_in_its_journal_exactly_once() {
    let (seed, mut chance) = seeded();
    let kills = number_from("AIRPOST_KILLS").unwrap_or(KILLS);
    let progress = Arc::new(Progress::new("kills", kills));
    let mut servers = JoinSet::new();
    for number in 0..SERVERS {
        let (progress, chance) = (Arc::clone(&progress), Chance::new(chance.bits()));
        servers.spawn(kill_again_and_again(progress, number, chance));
    }
    let (answers, rolls) = servers
        .join_all()
        .await
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let seconds = progress.elapsed_s();
    tally(&format!(
        "kills of the server: {kills}; {answers} answers, {rolls} rolls of the journal, 0 lost, 0 doubled; {seconds} s, AIRPOST_SEED={seed}"
    ));
}

/// One folder after another, as long as kills are left. Gives back how many
/// answers the servers gave, and how often the journals rolled.
async fn kill_again_and_again(
    progress: Arc<Progress>,
    number: u64,
    mut chance: Chance,
) -> (usize, usize) {
    let (mut answers, mut rolls) = (0, 0);
    let mut taken = progress.take();
    while taken.is_some() {
        // On a disk a sync takes its time; in memory more happens between two kills.
        let folder = if number == 0 {
            scratch()
        } else {
            scratch_in_memory()
        };
        let mut life = Life::new(folder);
        for _ in 0..KILLS_A_FOLDER {
            if taken.is_none() {
                break;
            }
            life.work_and_be_killed(&mut chance).await;
            progress.end_one();
            taken = progress.take();
        }
        answers += life.answered;
        rolls += life.rolls();
        life.end(&mut chance).await;
    }
    (answers, rolls)
}

/// What one data folder lives through.
struct Life {
    folder: TempDir,
    crowd: Crowd,
    answers: Answers,
    answered: usize,
}

impl Life {
    fn new(folder: TempDir) -> Self {
        let answers = Answers::default();
        Self {
            folder,
            crowd: Crowd::noting(CUSTOMERS, &answers),
            answers,
            answered: 0,
        }
    }

    async fn serve(&self) -> Server {
        airpost()
            .serve_with(self.folder.path(), &SMALL_SEGMENTS)
            .await
    }

    /// Starts a server, checks what was acknowledged since the last start,
    /// lets customers write, kills it, and looks into its journal.
    async fn work_and_be_killed(&mut self, chance: &mut Chance) {
        let server = self.serve().await;
        let mut crowd = std::mem::replace(&mut self.crowd, Crowd::new(0));
        crowd.check_what_is_new(&server.client()).await;
        let acknowledged = Arc::new(Semaphore::new(0));
        let writing = crowd.write(&server.client(), chance, &acknowledged);
        let most = u32::try_from(1 + chance.below(ANSWERS_MAX)).expect("a small number");
        let after = Duration::from_millis(30 + chance.below(220));
        let _whichever_is_first =
            tokio::time::timeout(after, acknowledged.acquire_many(most)).await;
        server.kill().await;
        self.crowd = Crowd::rest(writing).await;
        self.answered += acknowledged.available_permits();
        self.answers.check(self.folder.path());
    }

    /// How often the journal rolled.
    fn rolls(&self) -> usize {
        let names = std::fs::read_dir(self.folder.path().join("journal"));
        let names = names.expect("the journal can be listed").flatten();
        let is_segment = |name: &std::fs::DirEntry| name.path().extension() == Some("seg".as_ref());
        names.filter(is_segment).count().saturating_sub(1)
    }

    /// Everything that ever happened is checked, and the folder is in order.
    async fn end(mut self, chance: &mut Chance) {
        let server = self.serve().await;
        self.crowd.finish(&server.client(), chance).await;
        self.crowd.check_side_by_side(&server.client()).await;
        server.stop().await;
        self.answers.check(self.folder.path());
        assert!(self.answers.count() > 0, "nothing was ever made");
        verify(self.folder.path()).await;
    }
}
