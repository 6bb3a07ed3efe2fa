//! Power cuts while a view is built anew: what was gathered for it, and what was
//! half applied, may be lost, and nothing else.

use std::path::PathBuf;

use tests::{Chance, PowerDisk, Server, freeze, poll_until, tally};

use super::served::stop_and_verify_all;
use super::{a_moment, any_cut, cuts};
use crate::rebuilds::{Asked, LARGE_VIEWS, REBUILD_TIME_MAX, fill, is_applying, until_applying};
use crate::scene::{airpost, list, seeded, text};

/// One cut for so many under a journal alone.
const CUTS_FOR_EACH: u64 = 50;

/// Cuts beyond the usual ones until each thing was met.
const MORE_CUTS_MAX: u64 = 12;

/// How long after something is being applied a cut comes at most.
const AFTER_MS_MAX: u64 = 20;

/// What the cuts have met.
#[derive(Debug, Default)]
struct Met {
    cuts: u64,
    /// Cuts while what was gathered was being applied.
    applying: u64,
    /// Cuts after which a view was begun anew.
    begun_anew: u64,
    /// Cuts after which all views were set aside.
    set_aside: u64,
    /// Rebuilds that were gone on with.
    gone_on: u64,
}

impl Met {
    fn is_all(&self) -> bool {
        self.applying > 0 && self.begun_anew + self.set_aside > 0
    }
}

/// A data folder with many records, whose views are built anew.
struct Life {
    disk: PowerDisk,
    deliveries: Vec<String>,
    met: Met,
}

impl Life {
    async fn new() -> Self {
        let disk = PowerDisk::new().await;
        let deliveries = fill(&disk.path().join("data")).await;
        Self {
            disk,
            deliveries,
            met: Met::default(),
        }
    }

    fn data(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// A large view is built anew, and the power is cut once that is being applied.
    async fn rebuild_and_be_cut(&mut self, chance: &mut Chance) -> Asked {
        let server = airpost().serve(&self.data()).await;
        let client = server.client();
        let place = chance.below(LARGE_VIEWS.len() as u64);
        let place = usize::try_from(place).expect("an index");
        let view = LARGE_VIEWS.get(place).expect("it is one of them");
        let asked = Asked::of(&client, (*view).to_owned()).await;
        until_applying(&self.data(), &client, &asked).await;
        a_moment(chance, 0, AFTER_MS_MAX).await;
        freeze(server.pid()).await;
        self.met.applying += u64::from(is_applying(&self.data()));
        self.disk.cut(any_cut(chance)).await;
        server.kill().await;
        self.disk.restart().await;
        self.met.cuts += 1;
        asked
    }

    /// A server starts on what is left, what has an id is answered, the rebuild
    /// ends if it is known, and all views are what the journal says.
    async fn come_back(&mut self, asked: &Asked) {
        let server = airpost().serve_at_once(&self.data(), &[]).await;
        let client = server.client();
        for delivery in self.deliveries.iter().step_by(10) {
            let _whole = client.get(delivery).send().await.expect(200);
        }
        server.ready().await;
        let status = until_over(&server, &asked.path).await;
        all_checked(&server).await;
        let log = server.log();
        let tells = |words: &str| u64::from(log.contains(words));
        let set_aside = tells("the views are damaged: they are set aside");
        let lost = [
            "is lost: it is begun anew",
            "the view is built from the beginning of the log",
        ];
        self.met.begun_anew += lost.map(tells).into_iter().max().unwrap_or_default();
        self.met.set_aside += set_aside;
        // It lies beside the views, and goes with them.
        assert!(
            status != "failed" || set_aside > 0,
            "it failed:\n{}",
            server.log()
        );
        self.met.gone_on += u64::from(status == "succeeded");
        stop_and_verify_all(server, &self.data()).await;
    }
}

/// Waits until every view is known to be in order: damage is found by then.
async fn all_checked(server: &Server) {
    let client = server.client();
    poll_until(REBUILD_TIME_MAX, "every view to be checked", async || {
        let listed = client.read("/v1/projections").await;
        let mut views = list(&listed, "/items").iter();
        views.all(|view| view["checked"] == true).then_some(())
    })
    .await;
    server.ready().await;
}

/// The last word about an operation; `unknown` for one that was forgotten.
async fn until_over(server: &Server, path: &str) -> String {
    let client = server.client();
    poll_until(REBUILD_TIME_MAX, "the rebuild to end", async || {
        let answer = client.get(path).send().await;
        if answer.status() == 404 {
            return Some("unknown".to_owned());
        }
        let operation = answer.expect(200).json();
        let status = text(&operation, "/status");
        ["succeeded", "failed"]
            .contains(&status)
            .then(|| status.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_what_the_journal_says_after_a_power_cut_amid_a_rebuild() {
    let Some(cuts) = cuts("power cuts while views are built anew") else {
        return;
    };
    let (seed, mut chance) = seeded();
    let cuts = cuts.div_ceil(CUTS_FOR_EACH);
    let mut life = Life::new().await;
    while life.met.cuts < cuts || (!life.met.is_all() && life.met.cuts < cuts + MORE_CUTS_MAX) {
        let asked = life.rebuild_and_be_cut(&mut chance).await;
        life.come_back(&asked).await;
    }
    let met = life.met;
    assert!(met.is_all(), "nothing was ever lost: {met:?}");
    tally(&format!(
        "power cuts while views are built anew: {met:?}; after each all are equal to the log; AIRPOST_SEED={seed}"
    ));
}
