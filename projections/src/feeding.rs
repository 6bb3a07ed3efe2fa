//! How records get into views: a page of the log at a time, read once for all
//! of them, whole positions, in batches that the engine likes.

use std::sync::Arc;

use eventstore::{Budget, EventStore, Filter, Page, Position, ReadError};

use crate::projection::{Facts, Halt};
use crate::view::View;
use crate::view_store::{BATCH_KEYS, ViewStoreError};

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

/// A view, and the position it is to be fed up to.
pub(crate) type Hungry = (Arc<View>, Position);

/// Feeds one page of the log to those that are not there yet and do not stand
/// still. `None` if there are none.
pub(crate) fn feed(
    log: &dyn EventStore,
    views: impl IntoIterator<Item = Hungry>,
) -> Result<Option<Page>, FeedError> {
    let hungry: Vec<Hungry> = views
        .into_iter()
        .filter(|(view, last)| view.halt().is_none() && view.position() < *last)
        .collect();
    let Some(after) = hungry.iter().map(|(view, _)| view.position()).min() else {
        return Ok(None);
    };
    let page = log.read_all(after, &Filter::everything(), Budget::PAGE)?;
    check_contiguous(after, &page)?;
    let facts: Vec<Facts> = page.records.iter().map(Facts::of).collect();
    for (view, last) in hungry {
        feed_view(&view, &page, &facts, last)?;
    }
    Ok(Some(page))
}

/// A page begins right after `after` and leaves nothing out.
pub(crate) fn check_contiguous(after: Position, page: &Page) -> Result<(), FeedError> {
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
