//! All views of one store, and the one way in which records get into them.

use std::sync::Arc;

use eventstore::{Budget, EventStore, Filter, LogHistory, Page, Position, ReadError};

use crate::delivery_history::DeliveryHistory;
use crate::delivery_status::DeliveryStatus;
use crate::projection::{Facts, Halt, Projection};
use crate::user::User;
use crate::user_deliveries::UserDeliveries;
use crate::view::{View, ViewOpenError, tree_name};
use crate::view_store::{BATCH_KEYS, MemoryViewStore, OpenedStore, ViewStore, ViewStoreError};
use crate::waiting_sessions::WaitingSessions;

/// Every projection there is.
pub(crate) const PROJECTIONS: [&dyn Projection; 5] = [
    &DeliveryStatus,
    &DeliveryHistory,
    &User,
    &UserDeliveries,
    &WaitingSessions,
];

/// All views.
#[derive(Debug)]
pub(crate) struct ViewSet {
    store: Arc<dyn ViewStore>,
    pub(crate) delivery_status: View,
    pub(crate) delivery_history: View,
    pub(crate) user: View,
    pub(crate) user_deliveries: View,
    pub(crate) waiting_sessions: View,
}

/// Why records did not get into the views.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeedError {
    /// The views are damaged.
    #[error(transparent)]
    Views(#[from] ViewStoreError),
    /// The log was not read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The log left something out.
    #[error(
        "the log is not read without a gap: position {expected} was to come and {found} came; verify the log"
    )]
    Hole {
        /// What was to come.
        expected: Position,
        /// What came.
        found: Position,
    },
}

impl ViewSet {
    /// Opens every view of a log that has this history and ends at `head`; trees of other
    /// projections and of other versions are removed.
    pub(crate) fn open(
        opened: OpenedStore,
        history: &LogHistory,
        head: Position,
    ) -> Result<Self, ViewOpenError> {
        let OpenedStore { store, left } = opened;
        let view = |projection| View::open(projection, &*store, left, history, head);
        let set = Self {
            delivery_status: view(&DeliveryStatus)?,
            delivery_history: view(&DeliveryHistory)?,
            user: view(&User)?,
            user_deliveries: view(&UserDeliveries)?,
            waiting_sessions: view(&WaitingSessions)?,
            store: Arc::clone(&store),
        };
        for name in store.tree_names()? {
            if !PROJECTIONS
                .iter()
                .any(|current| tree_name(*current) == name)
            {
                tracing::info!(view = name, "the view is of another release: it is removed");
                store.remove_tree(&name)?;
            }
        }
        Ok(set)
    }

    /// Views of a log with this history that show nothing: those of a store
    /// that is not open yet.
    pub(crate) fn unopened(history: &LogHistory) -> Self {
        let view = |projection| View::unopened(projection, history);
        Self {
            delivery_status: view(&DeliveryStatus),
            delivery_history: view(&DeliveryHistory),
            user: view(&User),
            user_deliveries: view(&UserDeliveries),
            waiting_sessions: view(&WaitingSessions),
            store: Arc::<MemoryViewStore>::default(),
        }
    }

    /// Every view.
    pub(crate) fn views(&self) -> [&View; 5] {
        [
            &self.delivery_status,
            &self.delivery_history,
            &self.user,
            &self.user_deliveries,
            &self.waiting_sessions,
        ]
    }

    /// The record up to which every view holds all, and shows it.
    pub(crate) fn applied(&self) -> Position {
        let positions = self.views().map(|view| view.read().position());
        positions.into_iter().min().unwrap_or(Position::START)
    }

    /// Holds some more entries, at most so many, against their view's checkpoint,
    /// where that is to be done; [`ViewSet::is_checked`] says when it is done.
    pub(crate) fn check_on(&self, entries_max: usize) -> Result<(), ViewStoreError> {
        let unchecked = self.views().into_iter().find(|view| !view.is_checked());
        unchecked.map_or(Ok(()), |view| view.check_on(entries_max))
    }

    /// Whether all of them are shown.
    pub(crate) fn is_shown(&self) -> bool {
        self.views().into_iter().all(View::is_shown)
    }

    /// Whether all of them are known to be in order.
    pub(crate) fn is_checked(&self) -> bool {
        self.views().into_iter().all(View::is_checked)
    }

    /// Hands everything to the disk.
    pub(crate) fn flush(&self) -> Result<(), ViewStoreError> {
        self.store.flush()
    }

    /// What all views take, bytes.
    pub(crate) fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        self.store.size_bytes()
    }

    /// Feeds one page of the log to the views that are not halted, each no
    /// farther than to its `last`. `None` if they all are there.
    pub(crate) fn feed(
        &self,
        log: &dyn EventStore,
        last: impl Fn(&View) -> Position,
    ) -> Result<Option<Page>, FeedError> {
        let hungry: Vec<(&View, Position)> = self
            .views()
            .into_iter()
            .map(|view| (view, last(view)))
            .filter(|(view, last)| view.halt().is_none() && view.position() < *last)
            .collect();
        let Some(after) = hungry.iter().map(|(view, _)| view.position()).min() else {
            return Ok(None);
        };
        let page = log.read_all(after, &Filter::everything(), Budget::PAGE)?;
        check_contiguous(after, &page)?;
        let facts: Vec<Facts> = page.records.iter().map(Facts::of).collect();
        for (view, last) in hungry {
            feed_view(view, &page, &facts, last)?;
        }
        Ok(Some(page))
    }
}

/// A page begins right after `after` and leaves nothing out.
fn check_contiguous(after: Position, page: &Page) -> Result<(), FeedError> {
    let mut expected = after.next();
    for record in &page.records {
        if record.position != expected {
            let found = record.position;
            return Err(FeedError::Hole { expected, found });
        }
        expected = expected.next();
    }
    if page.scanned_to.next() == expected && page.scanned_to > after {
        Ok(())
    } else {
        let found = page.scanned_to.next();
        Err(FeedError::Hole { expected, found })
    }
}

/// Folds a page into one view: whole positions, batch by batch.
fn feed_view(
    view: &View,
    page: &Page,
    facts: &[Facts],
    last: Position,
) -> Result<(), ViewStoreError> {
    let from = view.position();
    let mut overlay = view.begin();
    let mut reached = from;
    for (record, facts) in page.records.iter().zip(facts) {
        if record.position <= from {
            continue;
        }
        if record.position > last {
            break;
        }
        if let Err(halt) = view.project(&mut overlay, record, facts)? {
            if let Halt::Panicked { .. } = halt {
                // The record may be folded in half: nothing since the last batch is kept.
                overlay = view.begin();
                reached = view.position();
            }
            view.halt_because(halt);
            break;
        }
        reached = record.position;
        if overlay.len() >= BATCH_KEYS {
            view.commit(overlay, reached)?;
            overlay = view.begin();
        }
    }
    if reached > view.position() {
        view.commit(overlay, reached)?;
    }
    Ok(())
}
