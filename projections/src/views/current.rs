//! Answers that are current although they are made of more than one stream: the
//! end of the log is folded on top of the view.

use std::collections::{BTreeMap, BTreeSet};

use eventstore::{Budget, Filter, Position, Record, StreamId};

use super::{OVERLAY_POSITIONS_MAX, OVERLAY_WAIT, QueryError, Views};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Halt, Projection};
use crate::view::{Reading, project};

/// Most times that the log's end is folded anew because folding a record has
/// panicked: each finds another one that cannot be folded.
const PANICS_MAX: usize = 16;

impl Views {
    /// Asks what folds the log's end on top of a view, once that is near enough
    /// or it has taken too long.
    pub(super) async fn current<T>(
        &self,
        projection: &dyn Projection,
        ask: impl Fn() -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let mut turns = self.turns();
        let near = async {
            loop {
                match ask() {
                    Err(QueryError::Lagging { wanted, .. }) => {
                        // It need not come all the way, but goes on in leaps.
                        let nearer = wanted.get().saturating_sub(OVERLAY_POSITIONS_MAX);
                        let nearer = Position::new(nearer);
                        self.wait_until_reached(&[projection], nearer).await?;
                    }
                    // Others are begun in their place.
                    Err(QueryError::Views(_)) if turns.changed().await.is_ok() => {}
                    answer => return answer,
                }
            }
        };
        match tokio::time::timeout(OVERLAY_WAIT, near).await {
            Ok(answer) => answer,
            Err(_late) => ask(),
        }
    }

    /// A view with what a filter wants and lies after a position on top, without
    /// what cannot be folded: that is left out as the view itself will leave it out,
    /// and noted.
    pub(super) fn with_later<'v>(
        &self,
        reading: &'v Reading<'_>,
        filter: &Filter,
        unfolded: &mut Unfolded,
    ) -> Result<Overlay<'v>, QueryError> {
        let mut panics = 0;
        loop {
            let mut overlay = reading.overlay();
            match self.fold_later(&mut overlay, reading, filter, unfolded)? {
                Ok(()) => return Ok(overlay),
                Err(halt) if panics == PANICS_MAX => return Err(halt.into()),
                Err(_) => panics += 1,
            }
        }
    }

    /// Folds it, and notes what cannot be. Where folding panicked it is to be begun
    /// again: that record may be folded in half.
    fn fold_later(
        &self,
        overlay: &mut Overlay<'_>,
        reading: &Reading<'_>,
        filter: &Filter,
        unfolded: &mut Unfolded,
    ) -> Result<Result<(), Halt>, QueryError> {
        let (projection, mut after) = (reading.projection(), reading.position());
        let head = *self.log.head().borrow();
        if head.get().saturating_sub(after.get()) > OVERLAY_POSITIONS_MAX {
            return Err(QueryError::Lagging {
                position: after,
                wanted: head,
            });
        }
        while after < head {
            let page = self.log.read_all(after, filter, Budget::PAGE)?;
            for record in &page.records {
                if unfolded.has(record) {
                    continue;
                }
                let Err(halt) = project(projection, overlay, record, &Facts::of(record))? else {
                    continue;
                };
                if !unfolded.add(projection.poison(), record) {
                    return Err(halt.into());
                }
                if let Halt::Panicked { .. } = halt {
                    return Ok(Err(halt));
                }
            }
            if page.scanned_to <= after {
                break;
            }
            after = page.scanned_to;
        }
        Ok(Ok(()))
    }
}

/// What is not folded on top of a view because it cannot be.
#[derive(Debug, Default)]
pub(super) struct Unfolded {
    /// From where on these streams wait.
    pub(super) streams: BTreeMap<StreamId, Position>,
    /// Single records.
    pub(super) records: BTreeSet<Position>,
}

impl Unfolded {
    fn has(&self, record: &Record) -> bool {
        let stop = self.streams.get(&record.stream);
        stop.is_some_and(|stop| *stop <= record.position) || self.records.contains(&record.position)
    }

    /// Leaves a record out as a projection wants it; `false` if it wants to stand still.
    fn add(&mut self, poison: Poison, record: &Record) -> bool {
        match poison {
            Poison::ParkStream => drop(self.streams.insert(record.stream, record.position)),
            Poison::Skip => drop(self.records.insert(record.position)),
            Poison::Halt => return false,
        }
        true
    }
}
