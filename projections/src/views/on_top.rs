//! What the views have not reached yet, folded on top of them from the log, as
//! far as this release can fold it.
//!
//! What cannot be folded concerns its stream: the answer shows that as it was
//! before, as the view will once it has reached the record, and says so.

use std::collections::BTreeMap;

use domain::id::{DeliveryId, UserId};
use eventstore::{Budget, Filter, Position, StreamVersion};

use super::current::Unfolded;
use super::{AsKnown, QueryError, Views, delivery_stream};
use crate::overlay::Overlay;
use crate::projection::{Facts, Halt, Projection};
use crate::user::{self, User, UserRow};
use crate::view::project;
use crate::view_store::{NoTree, ViewStoreError};

/// What a view says of a delivery, read from it.
type Look<'q, T> = &'q dyn Fn(&Overlay<'_>) -> Result<T, ViewStoreError>;

impl Views {
    /// What a view that is made of one stream each says of a delivery.
    pub(super) fn of_stream<T>(
        &self,
        projection: &'static dyn Projection,
        id: DeliveryId,
        sequence: fn(&Overlay<'_>, DeliveryId) -> Result<StreamVersion, ViewStoreError>,
        look: impl Fn(&Overlay<'_>) -> Result<T, ViewStoreError>,
    ) -> Result<AsKnown<T>, QueryError> {
        let asked = self.query(|set| {
            let answering = set.view(projection);
            let head = *self.log.head().borrow();
            let view = answering.read();
            // What holds the whole log, and is known to, needs no look into it.
            let is_whole = view.position() >= head && answering.is_right();
            let parked = answering.shows_parked(delivery_stream(id));
            if is_whole || parked.is_some() {
                let shown = look(&view.overlay())?;
                return Ok(AsKnown {
                    shown,
                    degraded_since: parked,
                });
            }
            let after = sequence(&view.overlay(), id)?;
            self.on_top(|| view.overlay(), view.projection(), (id, after), &look)
        });
        match asked {
            // The log has it all.
            Err(QueryError::Views(_)) => {
                let whole = (id, StreamVersion::EMPTY);
                self.on_top(|| Overlay::new(&NoTree), projection, whole, &look)
            }
            answered => answered,
        }
    }

    /// Looks at what a delivery's stream has after a version on top of a view.
    fn on_top<'v, T>(
        &self,
        view: impl Fn() -> Overlay<'v>,
        projection: &dyn Projection,
        (id, after): (DeliveryId, StreamVersion),
        look: Look<'_, T>,
    ) -> Result<AsKnown<T>, QueryError> {
        let mut degraded_since = None;
        loop {
            let mut overlay = view();
            let until = degraded_since;
            match self.fold_stream(&mut overlay, projection, (id, after), until)? {
                Ok(()) => {
                    let shown = look(&overlay)?;
                    return Ok(AsKnown {
                        shown,
                        degraded_since,
                    });
                }
                // It may be folded in half: once more, without it. That is
                // always an earlier one than before.
                Err(halt) => degraded_since = Some(halt.position()),
            }
        }
    }

    /// Folds what a delivery's stream has after a version and before a position
    /// on top, up to a record that cannot be folded.
    fn fold_stream(
        &self,
        overlay: &mut Overlay<'_>,
        projection: &dyn Projection,
        (id, mut after): (DeliveryId, StreamVersion),
        until: Option<Position>,
    ) -> Result<Result<(), Halt>, QueryError> {
        let stream = delivery_stream(id);
        loop {
            let page = self.log.read_stream(stream, after, Budget::PAGE)?;
            for record in &page.records {
                if until.is_some_and(|until| record.position >= until) {
                    return Ok(Ok(()));
                }
                if let Err(halt) = project(projection, overlay, record, &Facts::of(record))? {
                    return Ok(Err(halt));
                }
            }
            if page.records.is_empty() || page.read_to >= page.version {
                return Ok(Ok(()));
            }
            after = page.read_to;
        }
    }

    /// A user, if the view is near enough to the end of the log.
    pub(super) fn user_if_near(&self, id: UserId) -> Result<AsKnown<Option<UserRow>>, QueryError> {
        self.query(|set| {
            let answering = set.view(&User);
            let view = answering.read();
            let parked = answering.parked().streams().into_iter();
            let parked = parked.filter(|_| answering.is_shown());
            let parked = parked.map(|(stream, it)| (stream, (it.position, it.may_concern(id))));
            let parked: BTreeMap<_, _> = parked.collect();
            let mut unfolded = Unfolded {
                streams: parked.iter().map(|(it, (at, _))| (*it, *at)).collect(),
                ..Unfolded::default()
            };
            let filter = Filter {
                owner: Some(id.uuid()),
                ..Filter::everything()
            };
            let overlay = self.with_later(&view, &filter, &mut unfolded)?;
            // What was met on the way is the user's own, or nobody's.
            let concerns = |stream| parked.get(stream).is_none_or(|(_, concerns)| *concerns);
            let stops = unfolded.streams.iter();
            let since = stops.filter(|(stream, _)| concerns(stream));
            Ok(AsKnown {
                shown: user::user(&overlay, id)?,
                degraded_since: since.map(|(_, position)| *position).min(),
            })
        })
    }
}
