//! Answers that are current although they are made of more than one stream: the
//! end of the log is folded on top of the view.

use eventstore::{Budget, Filter, Position};

use super::{OVERLAY_POSITIONS_MAX, OVERLAY_WAIT, QueryError, Views};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Halt, Projection};
use crate::view::project;

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

    /// Folds what a filter wants and lies after a position on top, and says which
    /// record is the first that it left out.
    pub(super) fn fold_later(
        &self,
        overlay: &mut Overlay<'_>,
        projection: &dyn Projection,
        filter: &Filter,
        mut after: Position,
    ) -> Result<Option<Position>, QueryError> {
        let mut left_out = None;
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
                match project(projection, overlay, record, &Facts::of(record))? {
                    // The view will leave it out as well.
                    Err(Halt::Undecodable(_)) if projection.poison() == Poison::Skip => {
                        left_out = left_out.or(Some(record.position));
                    }
                    folded => folded?,
                }
            }
            if page.scanned_to <= after {
                break;
            }
            after = page.scanned_to;
        }
        Ok(left_out)
    }
}
