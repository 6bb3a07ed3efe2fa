//! A disk that says it has synced and has not: these tests must find that it lies.

use std::time::Duration;

use tests::{Cut, Traced, note, poll_until};

use super::{CALLERS, Trial, cuts};
use crate::scene::seeded;

/// Acknowledgements that the lying disk gives before the power is cut.
const LIES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_sync_is_found_out() {
    if cuts("a disk that lies").is_none() {
        return;
    }
    let (_seed, mut chance) = seeded();
    let mut trial = Trial::new(chance.bits()).await;
    let lie = |call: &str| format!("{call}:retval=0");
    let traced = Traced {
        calls: "fsync,fdatasync".to_owned(),
        injections: vec![lie("fsync"), lie("fdatasync")],
        ..Traced::default()
    };

    let mut writing = trial
        .workloads
        .random(&trial.disk.path(), CALLERS, Some(&traced));
    let look = || {
        let said = writing.said();
        let acknowledged = said.iter().filter(|line| line.starts_with("ack ")).count();
        std::future::ready((acknowledged >= LIES).then_some(()))
    };
    poll_until(Duration::from_secs(30), "the disk to lie", look).await;
    writing.freeze().await;
    trial.disk.cut(Cut::AtOnce).await;
    let said = writing.kill().await;
    note(&said, said.len(), &mut trial.ledger).expect("the order was kept");
    trial.disk.restart().await;

    let found = trial
        .look()
        .await
        .expect_err("what was never synced is gone");
    assert!(found.starts_with("lost: "), "{found}");
}
