//! The server is killed under load, again and again, and nothing acknowledged is lost or doubled.
//!
//! After each kill everything since the beginning is asked for by GET, and
//! verified; `kills.rs` kills more often and looks less closely.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tests::{Chance, Server, tally};
use tokio::sync::Semaphore;

use crate::scene::{airpost, number_from, scratch, seeded, verify};
use crate::story::Crowd;

/// Kills of a usual run; one for every fifteen quick ones.
const KILLS: u64 = 10;
const QUICK_KILLS_FOR_EACH: u64 = 15;

/// Kills that one data folder lives through, so that everything in it can be checked after each.
const KILLS_A_FOLDER: u64 = 10;

/// How many customers write at once.
const CUSTOMERS: usize = 6;

/// The most answers that a server gives before it is killed.
const ANSWERS_MAX: u64 = 120;

/// The longest that a kill comes after the answer that it follows.
const AFTER_US_MAX: u64 = 5_000;

/// How long the load may take to get its answers.
const LOAD_TIME_MAX: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_every_acknowledged_write_exactly_once() {
    let (seed, mut chance) = seeded();
    let asked = number_from("AIRPOST_KILLS");
    let kills = asked.map_or(KILLS, |quick| quick.div_ceil(QUICK_KILLS_FOR_EACH));
    let mut left = kills;
    while left > 0 {
        let kills = left.min(KILLS_A_FOLDER);
        live_through(kills, &mut chance).await;
        left -= kills;
    }
    tally(&format!(
        "kills of the server, everything checked by GET: {kills}; 0 lost, 0 doubled; AIRPOST_SEED={seed}"
    ));
}

/// One data folder's life: killed so many times, checked each time, and whole at the end.
async fn live_through(kills: u64, chance: &mut Chance) {
    let folder = scratch();
    let mut crowd = Crowd::new(CUSTOMERS);
    for _ in 0..kills {
        let server = airpost().serve(folder.path()).await;
        crowd = kill_under_load(server, crowd, chance).await;
        if chance.happens(300) {
            kill_while_starting(folder.path()).await;
        }
        let server = airpost().serve(folder.path()).await;
        crowd.check(&server.client()).await;
        server.stop().await;
        verify(folder.path()).await;
    }
    let server = airpost().serve(folder.path()).await;
    crowd.finish(&server.client(), chance).await;
    crowd.check(&server.client()).await;
    server.stop().await;
    verify(folder.path()).await;
}

async fn kill_under_load(server: Server, crowd: Crowd, chance: &mut Chance) -> Crowd {
    let acknowledged = Arc::new(Semaphore::new(0));
    let writing = crowd.write(&server.client(), chance, &acknowledged);
    let answers = u32::try_from(1 + chance.below(ANSWERS_MAX)).expect("a small number");
    let reached = tokio::time::timeout(LOAD_TIME_MAX, acknowledged.acquire_many(answers)).await;
    assert!(
        reached.is_ok(),
        "the load did not get {answers} answers within {LOAD_TIME_MAX:?}"
    );
    // The fault itself comes at a moment that no request knows of.
    let after = Duration::from_micros(chance.below(AFTER_US_MAX));
    let _elapsed = tokio::time::timeout(after, std::future::pending::<()>()).await;
    server.kill().await;
    Crowd::rest(writing).await
}

/// A server that dies before its views have caught up.
async fn kill_while_starting(data: &Path) {
    airpost().serve_at_once(data, &[]).await.kill().await;
}
