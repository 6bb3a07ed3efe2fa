//! Catch up, then follow: the log from a position on, page by page, as it grows.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::ReadError;
use crate::position::Position;
use crate::store::{Budget, EventStore, Filter, Page};

/// Reads a log from a position on and waits at its end for more.
///
/// It is pulled, page by page, and holds none: a slow reader costs nothing but
/// its lag. Every position is scanned once, in order; what the filter drops
/// still moves [`Page::scanned_to`]. It remembers nothing beyond its life:
/// whoever reads keeps the checkpoint.
#[derive(Debug)]
pub struct Subscription {
    store: Arc<dyn EventStore>,
    head: watch::Receiver<Position>,
    after: Position,
    filter: Filter,
    budget: Budget,
}

impl Subscription {
    /// Will read what follows `after`. The caller has made sure that `after`
    /// belongs to this log: beyond its head nothing comes until the log gets there.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        after: Position,
        filter: Filter,
        budget: Budget,
    ) -> Self {
        Self {
            head: store.head(),
            store,
            after,
            filter,
            budget,
        }
    }

    /// How far it has read: the last page's `scanned_to`.
    #[must_use]
    pub fn scanned_to(&self) -> Position {
        self.after
    }

    /// The next page, as soon as there is a position to scan; `None` once the
    /// store is closed and everything has been read.
    ///
    /// Cancel safe: a page that was not returned is read again.
    ///
    /// # Errors
    /// [`ReadError`] of the read; asking again reads the same place again.
    ///
    /// # Panics
    /// When the store breaks its contract and a page does not follow the one before.
    pub async fn next(&mut self) -> Result<Option<Page>, ReadError> {
        loop {
            self.head.mark_unchanged();
            let page = self.store.read_all(self.after, &self.filter, self.budget)?;
            if page.scanned_to > self.after {
                self.assert_follows(&page);
                self.after = page.scanned_to;
                return Ok(Some(page));
            }
            if self.head.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn assert_follows(&self, page: &Page) {
        assert!(
            page.scanned_to <= page.head,
            "a page scanned to {} beyond the head {}",
            page.scanned_to,
            page.head
        );
        let mut last = self.after;
        for record in &page.records {
            assert!(
                last < record.position && record.position <= page.scanned_to,
                "position {} does not follow {last} on a page that ends at {}",
                record.position,
                page.scanned_to
            );
            last = record.position;
        }
        if self.filter == Filter::everything() {
            let scanned = page.scanned_to.get() - self.after.get();
            assert!(
                page.records.len() as u64 == scanned,
                "{} records on a page of {scanned} positions",
                page.records.len()
            );
        }
    }
}
