//! How records get into views: a page of the log at a time, read once for all
//! of them, whole positions, in batches that the engine likes.

use std::sync::Arc;

use eventstore::{Budget, EventStore, Filter, Page, Position, ReadError, Record};

use crate::overlay::Overlay;
use crate::parking::{PARKED_STREAMS_MAX, Poison, park, skip};
use crate::projection::{Facts, Halt};
use crate::view::View;
use crate::view_store::{BATCH_KEYS, ViewStoreError};

/// Reads one record, however large it is.
pub(crate) const ONE_RECORD: Budget = Budget {
    records_max: 1,
    bytes_max: Budget::PAGE.bytes_max,
};

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
    let records = page.records.iter().zip(facts);
    let records: Vec<(&Record, &Facts)> = records
        .filter(|(record, _)| record.position > from && record.position <= last)
        .collect();
    let mut batch = InBatch::of(view);
    for (number, (record, facts)) in records.iter().enumerate() {
        if view.parked().contains(record.stream) {
            batch.reached = record.position;
            continue;
        }
        if let Err(halt) = view.project(&mut batch.overlay, record, facts)? {
            // The record may be folded in half: the batch is folded again without it.
            batch = InBatch::of(view);
            let before = records.iter().take(number);
            batch.fold_again(before.filter(|(it, _)| it.position > view.position()))?;
            if !batch.take_poison(record, halt)? {
                break;
            }
        }
        batch.reached = record.position;
        if batch.overlay.len() >= BATCH_KEYS || batch.ends_here {
            batch.commit()?;
            batch = InBatch::of(view);
        }
    }
    batch.commit()
}

/// What is to be applied to a view at once.
struct InBatch<'v> {
    view: &'v View,
    overlay: Overlay<'v>,
    reached: Position,
    /// It has taken poison: nothing else goes into it, so that whatever comes
    /// next finds the stream parked, or the record behind it.
    ends_here: bool,
}

impl<'v> InBatch<'v> {
    fn of(view: &'v View) -> Self {
        Self {
            view,
            overlay: view.begin(),
            reached: view.position(),
            ends_here: false,
        }
    }

    /// Folds records that were folded before.
    fn fold_again<'r>(
        &mut self,
        records: impl Iterator<Item = &'r (&'r Record, &'r Facts)>,
    ) -> Result<(), ViewStoreError> {
        for (record, facts) in records {
            let is_parked = self.view.parked().contains(record.stream);
            if !is_parked && let Err(halt) = self.view.project(&mut self.overlay, record, facts)? {
                // It was folded a moment ago: what was folded then is all that there is.
                self.view.halt_because(halt);
                return Ok(());
            }
            self.reached = record.position;
        }
        Ok(())
    }

    /// Does with a record that could not be folded what the projection wants;
    /// `false` if the view stands still.
    fn take_poison(&mut self, record: &Record, halt: Halt) -> Result<bool, ViewStoreError> {
        let has_room = self.view.parked().len() < PARKED_STREAMS_MAX;
        match self.view.poison() {
            Poison::ParkStream if has_room => {
                tracing::error!(
                    view = self.view.name(), stream = %record.stream, error = %halt,
                    "the stream waits in front of the view; all others go on"
                );
                park(&mut self.overlay, record, &halt);
            }
            Poison::Skip => {
                tracing::warn!(
                    view = self.view.name(), stream = %record.stream, error = %halt,
                    "the record is left out of the view"
                );
                skip(&mut self.overlay, record.position)?;
            }
            Poison::ParkStream | Poison::Halt => {
                self.view.halt_because(halt);
                return Ok(false);
            }
        }
        self.ends_here = true;
        Ok(true)
    }

    fn commit(self) -> Result<(), ViewStoreError> {
        if self.reached > self.view.position() {
            self.view.commit(self.overlay, self.reached)?;
        }
        Ok(())
    }
}
