//! The auditor: folds the streams that some record belongs to anew, in quiet
//! moments, and compares what comes out with what the views say.
//!
//! It looks at every view whose entries come from few streams that can be
//! named. Those that only the whole log tells, the fleet and the statistics,
//! are compared as a whole when they are built anew, by their digest, and by
//! `verify`, which compares everything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use eventstore::{EventStore, Filter, Position};

use crate::feeding::{FeedError, ONE_RECORD};
use crate::view_set::ViewSet;

// What a view must say, by the log alone.
mod fold;

/// By how much the place in the log that is looked at moves: a prime that no log
/// is as long as, so that a log that does not grow is gone through whole before
/// a place comes again.
const STRIDE: u64 = (1 << 61) - 1;

/// Most findings of a view that are told one by one. All are counted.
const TOLD_MAX: u64 = 10;

/// What was audited, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The record that was looked at last.
    place: u64,
    audited: u64,
    /// Views that were built anew because of what was found.
    mends: BTreeMap<&'static str, u32>,
    drifted: BTreeMap<&'static str, u64>,
}

impl Audits {
    /// Begins at another place in the log: so that restarts do not lead to the
    /// same records again and again.
    pub(crate) fn begin_at(&self, place: u64) {
        self.with(|state| state.place = place);
    }

    /// Audits what some record belongs to: another one every time. Gives the
    /// views that say something else than their fold; each is counted, and said
    /// loudly. For the thread that feeds the views.
    pub(crate) fn audit_next(
        &self,
        set: &ViewSet,
        log: &dyn EventStore,
    ) -> Result<Vec<&'static str>, FeedError> {
        let head = log.head().borrow().get();
        if head == 0 {
            return Ok(Vec::new());
        }
        let place = self.with(|state| {
            state.place = (state.place % head + STRIDE % head) % head;
            state.place
        });
        let page = log.read_all(Position::new(place), &Filter::everything(), ONE_RECORD)?;
        let Some(record) = page.records.first() else {
            return Ok(Vec::new());
        };
        let mut drifted = Vec::new();
        for view in set.views() {
            if !fold::agrees(&view, set, log, record)? {
                self.note_drift(view.name());
                if self.drifted(view.name()) <= TOLD_MAX {
                    tracing::error!(
                        view = view.name(), stream = %record.stream,
                        "the view is not what the log says of this stream"
                    );
                }
                drifted.push(view.name());
            }
        }
        self.with(|state| state.audited += 1);
        Ok(drifted)
    }

    /// Counts a view that does not say what its fold says.
    pub(crate) fn note_drift(&self, view: &'static str) {
        self.with(|state| *state.drifted.entry(view).or_insert(0) += 1);
    }

    /// How often a view was to be built anew because of what was found, since the
    /// process started, this time included.
    pub(crate) fn count_mend(&self, view: &'static str) -> u32 {
        self.with(|state| {
            let mends = state.mends.entry(view).or_insert(0);
            *mends = mends.saturating_add(1);
            *mends
        })
    }

    /// How many records were audited, with the streams that they belong to.
    pub(crate) fn audited(&self) -> u64 {
        self.with(|state| state.audited)
    }

    /// How often a view said something else than its fold.
    pub(crate) fn drifted(&self, view: &str) -> u64 {
        self.with(|state| state.drifted.get(view).copied().unwrap_or_default())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
