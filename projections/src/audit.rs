//! The auditor: folds one delivery after the other anew, in quiet moments, and
//! compares what comes out with what the views say.
//!
//! It looks at every view whose entries come from one stream each. A view that
//! is built anew is compared as a whole, by its digest, with the one that it
//! replaces; `verify` compares everything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::stream::Category;
use eventstore::{Budget, EventStore, Filter, Position, StreamId, StreamVersion};

use crate::feeding::FeedError;
use crate::key::Key;
use crate::overlay::Overlay;
use crate::projection::{Facts, category};
use crate::view::View;
use crate::view_set::ViewSet;
use crate::view_store::{Direction, NoTree};

/// By how much the place in the log that is looked at moves: a prime that no log
/// is as long as, so that a log that does not grow is gone through whole before
/// a place comes again.
const STRIDE: u64 = (1 << 61) - 1;

/// One record of a page is enough to know its stream.
const ONE_RECORD: Budget = Budget {
    records_max: 1,
    bytes_max: 1,
};

/// Most rows of a stream that are looked at beyond those of the fold.
const ROWS_MAX: usize = 1_000;

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
    drifted: BTreeMap<&'static str, u64>,
}

impl Audits {
    /// Audits the stream of some record: another one every time. Gives the views that say
    /// something else than their fold; each is counted, and said loudly. For
    /// the thread that feeds the views.
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
        if category(record.stream) != Some(Category::Delivery) {
            return Ok(Vec::new());
        }
        let mut drifted = Vec::new();
        for view in set.views() {
            if view.has_entries_of_one_stream() && !agrees(&view, log, record.stream)? {
                tracing::error!(
                    view = view.name(), stream = %record.stream,
                    "the view is not what the log says of this stream: it is built anew"
                );
                self.note_drift(view.name());
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

    /// How many deliveries were audited.
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

/// Whether a view has every entry that a fold of the stream up to the view's
/// position has, as that has it.
fn agrees(view: &View, log: &dyn EventStore, stream: StreamId) -> Result<bool, FeedError> {
    if !view.is_checked() || view.parked().contains(stream) {
        return Ok(true);
    }
    let mut fold = Overlay::new(&NoTree);
    let mut after = StreamVersion::EMPTY;
    loop {
        let page = log.read_stream(stream, after, Budget::PAGE)?;
        let seen = |position: Position| position <= view.position();
        for record in page.records.iter().filter(|record| seen(record.position)) {
            if view
                .project(&mut fold, record, &Facts::of(record))?
                .is_err()
            {
                // What cannot be folded is the parking's business.
                return Ok(true);
            }
        }
        if page.records.is_empty() || page.read_to >= page.version {
            break;
        }
        after = page.read_to;
    }
    let entries = fold.into_writes();
    for (key, value, _) in &entries {
        if view.tree().get(key)? != *value {
            return Ok(false);
        }
    }
    // Rows of the stream itself that the fold does not have.
    let rows = Key::row().id(stream.key.as_bytes()).prefix();
    let rows = view.tree().scan(&rows, Direction::Forward, ROWS_MAX)?;
    let is_known = |key: &[u8]| {
        entries
            .binary_search_by(|(it, ..)| it.as_slice().cmp(key))
            .is_ok()
    };
    Ok(rows.iter().all(|(key, _)| is_known(key)))
}
