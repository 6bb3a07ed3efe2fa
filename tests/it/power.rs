//! The power goes: what was acknowledged, and what was shown, is there when it comes back.
//!
//! A file system of the test's own is cut off, whoever used it is killed, and
//! it is mounted again. What may be lost is only what was never synced.

use std::time::Duration;

use tests::{Chance, Cut, Ledger, Load, PowerDisk, Workloads, note, tally};

// At any moment.
mod random;
// After each single call that writes, names or syncs.
mod points;
// With the whole server running on the disk.
mod served;
// While that builds a view anew.
mod rebuilt;
// Not cut off, but full.
mod full;

// A disk that lies: the test of these tests.
mod lying;

/// The variable that leaves these tests out (`off`), or says how many cuts there are.
const POWER_CUTS: &str = "AIRPOST_POWER_CUTS";

/// Cuts at random moments of a usual run.
const CUTS: u64 = 200;

/// Writers who share a journal.
const CALLERS: u16 = 8;

/// What a journal's load is drawn from.
const PAYLOAD_BYTES_MAX: u64 = 8 * 1024;

/// How many cuts are asked for; none if these tests are left out, which the
/// end of the run then says.
pub(crate) fn cuts(test: &str) -> Option<u64> {
    match std::env::var(POWER_CUTS) {
        Err(_unset) => Some(CUTS),
        Ok(word) if word == "off" => {
            tally(&format!("{test}: NOT run ({POWER_CUTS}=off)"));
            None
        }
        Ok(word) => Some(word.parse().unwrap_or_else(|error| {
            panic!("{POWER_CUTS}={word} is neither `off` nor a number: {error}")
        })),
    }
}

/// The program that writes a journal, with a load of its own.
fn workloads(seed: u64, payload_bytes_max: u64) -> Workloads {
    let load = Load {
        seed,
        payload_bytes_max,
    };
    Workloads::new(env!("CARGO_BIN_EXE_journal-workload"), load)
}

/// How a cut is made: mostly nothing is kept, sometimes the names are.
pub(crate) fn any_cut(chance: &mut Chance) -> Cut {
    if chance.happens(250) {
        Cut::AfterItsJournal
    } else {
        Cut::AtOnce
    }
}

/// Lets a time pass that is drawn between two bounds, milliseconds.
async fn a_moment(chance: &mut Chance, least_ms: u64, most_ms: u64) {
    let after_us = least_ms * 1_000 + chance.below((most_ms - least_ms) * 1_000);
    let after = Duration::from_micros(after_us);
    let _elapsed = tokio::time::timeout(after, std::future::pending::<()>()).await;
}

/// One journal on one disk, through cuts, and what is known of it.
struct Trial {
    disk: PowerDisk,
    workloads: Workloads,
    ledger: Ledger,
}

impl Trial {
    /// An empty disk.
    async fn new(seed: u64) -> Self {
        Self {
            disk: PowerDisk::new().await,
            workloads: workloads(seed, PAYLOAD_BYTES_MAX),
            ledger: Ledger::default(),
        }
    }

    /// An empty disk once more, for another load.
    async fn renew(&mut self, seed: u64) {
        self.disk.renew().await;
        self.workloads = workloads(seed, PAYLOAD_BYTES_MAX);
        self.ledger = Ledger::default();
    }

    /// Callers write, and the power is cut.
    ///
    /// The kernel says of a sync that is under way at the moment of the cut
    /// that it succeeded, though it did not. So of a cut in the midst of
    /// things only what was said before is relied on; and half of the cuts
    /// come when no call is under way, and then all that was ever said counts.
    async fn cut_while_writing(&mut self, chance: &mut Chance) -> Result<(), String> {
        let mut writing = self.workloads.random(&self.disk.path(), CALLERS, None);
        a_moment(chance, 10, 250).await;
        let is_frozen = chance.happens(500);
        if is_frozen {
            writing.freeze().await;
        }
        let before = writing.said();
        self.disk.cut(any_cut(chance)).await;
        let said = writing.kill().await;
        let sound = if is_frozen { said.len() } else { before.len() };
        note(&said, sound, &mut self.ledger)?;
        self.disk.restart().await;
        let is_fault = |line: &&String| line.starts_with("refused") || line.starts_with("failed");
        match before.iter().find(is_fault) {
            None => Ok(()),
            Some(fault) => Err(format!("before the cut: {fault}")),
        }
    }

    /// The journal is being opened, and the power is cut.
    async fn cut_while_opening(&mut self, chance: &mut Chance) {
        let opening = self.workloads.look(&self.disk.path());
        a_moment(chance, 0, 20).await;
        self.disk.cut(any_cut(chance)).await;
        drop(opening.kill().await);
        self.disk.restart().await;
    }

    /// The journal is opened and has shown what it holds, and the power is cut.
    async fn cut_after_showing(&mut self, chance: &mut Chance) -> Result<(), String> {
        let showing = self.workloads.show(&self.disk.path()).await?;
        let checked = self.ledger.check(showing.shown());
        self.disk.cut(any_cut(chance)).await;
        showing.kill().await;
        self.disk.restart().await;
        checked
    }

    /// The journal is opened, holds what it must, and is closed again.
    async fn look(&mut self) -> Result<(), String> {
        let showing = self.workloads.show(&self.disk.path()).await?;
        self.ledger.check(showing.shown())?;
        showing.close().await.map(|_shown| ())
    }

    /// Says what is wrong and keeps the files for whoever looks into it.
    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let kept = tempfile::tempdir()
            .expect("there is room for a copy")
            .keep();
        let mut copy = std::process::Command::new("cp");
        drop(copy.arg("-a").arg(self.disk.path()).arg(&kept).status());
        let load = self.workloads.load();
        panic!(
            "{why}\nwith {load:?}; the files are kept in {}",
            kept.display()
        )
    }
}
