//! Power cuts at random moments of writing, of opening, and right after something was shown.

use std::sync::Arc;

use tests::{Chance, Progress, tally};
use tokio::task::JoinSet;

use super::{Trial, cuts};
use crate::scene::seeded;

/// Disks side by side.
const DISKS: usize = 3;

/// Cuts that one journal lives through, so that it can be read to the end after each.
const CUTS_A_JOURNAL: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_or_shown_survives_power_cuts_at_any_moment() {
    let Some(cuts) = cuts("power cuts at random moments") else {
        return;
    };
    let (seed, mut chance) = seeded();
    let progress = Arc::new(Progress::new("power cuts", cuts));
    let mut disks = JoinSet::new();
    for _ in 0..DISKS {
        disks.spawn(cut_and_look(
            Arc::clone(&progress),
            Chance::new(chance.bits()),
        ));
    }
    let acknowledged: u64 = disks.join_all().await.into_iter().sum();
    assert!(
        acknowledged > cuts,
        "hardly anything was written: {acknowledged} commits"
    );
    let seconds = progress.elapsed_s();
    tally(&format!(
        "power cuts at random moments: {cuts}; {acknowledged} commits acknowledged, 0 lost, 0 journals unreadable; {seconds} s, AIRPOST_SEED={seed}"
    ));
}

/// Cuts one disk's power again and again; gives back how much was acknowledged.
async fn cut_and_look(progress: Arc<Progress>, mut chance: Chance) -> u64 {
    let mut trial = Trial::new(chance.bits()).await;
    let (mut cuts, mut acknowledged) = (0, 0);
    while let Some(number) = progress.take() {
        if cuts == CUTS_A_JOURNAL {
            acknowledged += trial.ledger.acknowledged();
            trial.renew(chance.bits()).await;
            cuts = 0;
        }
        cuts += 1;
        let outcome = once(&mut trial, &mut chance).await;
        outcome.unwrap_or_else(|why| {
            trial.fail(&format!("cut {number}, {cuts} of its journal: {why}"))
        });
        progress.end_one();
    }
    acknowledged + trial.ledger.acknowledged()
}

async fn once(trial: &mut Trial, chance: &mut Chance) -> Result<(), String> {
    trial.cut_while_writing(chance).await?;
    if chance.happens(200) {
        trial.cut_while_opening(chance).await;
    }
    if chance.happens(300) {
        trial.cut_after_showing(chance).await?;
    }
    trial.look().await
}
