//! Tests of the front: what a service relies on.

mod damage;
mod epochs;
mod following;
mod laws;
mod poison;
mod rebuilds;
mod upgrades;
mod troubled;
mod engines;
mod stalls;
mod full_disk;
mod stashes;
mod panics;
mod busy;
mod golden;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use eventstore::{Budget, EventStore, Filter, Position};
use tokio::runtime::Runtime;

use super::*;
use crate::test_log::TestLog;
use crate::verify::{Verification, verify};

/// A small cache, so that opening many times costs little.
const OPTIONS: ViewsOptions = ViewsOptions {
    cache_bytes: 8 * 1024 * 1024,
    open_wait: Duration::MAX,
    audit_from: 0,
};

fn open(folder: &Path, log: &TestLog) -> Views {
    Views::open(folder, log.store(), OPTIONS).unwrap()
}

/// Waits, without any time limit but the test runner's, until the views hold all.
fn catch_up(views: &Views, log: &TestLog) {
    runtime().block_on(views.wait_for(log.head())).unwrap();
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

fn user_now(views: &Views, number: u128) -> Option<UserRow> {
    runtime()
        .block_on(views.user(crate::test_log::user(number)))
        .unwrap()
}

/// The views in a folder, compared with a fresh fold.
fn verified(folder: &Path, log: &TestLog) -> Verification {
    verify(folder, &*log.store, OPTIONS, &mut |_| {}).unwrap()
}

/// Views that were stopped agree with a fresh fold, and say how far they are.
fn stop_and_verify(views: Views, folder: &Path, log: &TestLog) {
    views.stop();
    drop(views);
    let verification = verified(folder, log);
    assert!(verification.is_clean(), "{verification:?}");
}

/// A log that can be made to misbehave.
#[derive(Debug)]
struct Altered {
    log: Arc<dyn EventStore>,
    alter: fn(&mut eventstore::Page),
    /// How many more times reading all of it fails.
    failures_left: AtomicU32,
}

impl Altered {
    fn new(log: &TestLog, alter: fn(&mut eventstore::Page)) -> Self {
        Self {
            log: log.store(),
            alter,
            failures_left: AtomicU32::new(0),
        }
    }
}

impl eventstore::StoreLayer for Altered {
    fn beneath(&self) -> &dyn EventStore {
        &*self.log
    }

    fn on_read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<eventstore::Page, ReadError> {
        let fails = |left: u32| left.checked_sub(1);
        if self
            .failures_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
            .is_ok()
        {
            return Err(ReadError::Unavailable {
                why: "the disk is away".to_owned(),
            });
        }
        let mut page = self.log.read_all(after, filter, budget)?;
        (self.alter)(&mut page);
        Ok(page)
    }
}
