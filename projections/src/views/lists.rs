//! How far a list shows everything: as far as the views are that it is read
//! from, whatever becomes of others.

use domain::id::UserId;
use eventstore::Position;

use super::{QueryError, Views};
use crate::dead_letters::DeadLetters;
use crate::deliveries::Deliveries;
use crate::delivery_status::DeliveryStatus;
use crate::fleet::Fleet;
use crate::parking::Parked;
use crate::projection::Projection;
use crate::statistics::HourlyStatistics;
use crate::tasks::Tasks;
use crate::user_deliveries::UserDeliveries;

/// What is answered as of where its views are. What has an id is current
/// instead, and none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// [`Views::user_deliveries`].
    UserDeliveries,
    /// [`Views::deliveries`].
    Deliveries,
    /// [`Views::drones`].
    Drones,
    /// [`Views::statistics`].
    Statistics,
    /// [`Views::tasks`].
    Tasks,
    /// [`Views::dead_letters`].
    DeadLetters,
}

impl List {
    /// The views that it is read from.
    const fn projections(self) -> &'static [&'static dyn Projection] {
        match self {
            Self::UserDeliveries => &[&UserDeliveries, &DeliveryStatus],
            Self::Deliveries => &[&Deliveries, &DeliveryStatus],
            Self::Drones => &[&Fleet],
            Self::Statistics => &[&HourlyStatistics],
            Self::Tasks => &[&Tasks],
            Self::DeadLetters => &[&DeadLetters],
        }
    }
}

impl Views {
    /// The record up to which a list shows all. It moves back when damaged
    /// views are begun anew.
    #[must_use]
    pub fn reached(&self, list: List) -> Position {
        self.all_reached(list.projections())
    }

    /// Since when a list lacks something, if it does: the first record that waits
    /// in front of a view that it is read from, or that the view has left out; of
    /// somebody's list, among what may be theirs. Asked before the list is, it tells of all that the list
    /// lacks of what it reaches.
    #[must_use]
    pub fn degraded_since(&self, list: List, of: Option<UserId>) -> Option<Position> {
        let set = self.shared.set();
        let concerns = |parked: &Parked| of.is_none_or(|user| parked.may_concern(user));
        let views = list.projections().iter();
        views
            .filter_map(|it| set.view(*it).parked().since(concerns))
            .min()
    }

    /// Waits until a list shows all up to a position. Without an end: the
    /// caller limits it.
    ///
    /// # Errors
    /// `Stopped`, if that will not happen any more.
    pub async fn wait_for_list(&self, list: List, position: Position) -> Result<(), QueryError> {
        self.wait_until_reached(list.projections(), position).await
    }

    /// Ends every wait for a position, now and from now on: the service is about
    /// to stop. The views go on following until [`Views::stop`].
    pub fn end_waits(&self) {
        self.shared.close_soon();
    }

    /// Whether waits were [ended](Views::end_waits).
    #[must_use]
    pub fn closing(&self) -> tokio::sync::watch::Receiver<bool> {
        self.shared.closing()
    }

    fn all_reached(&self, projections: &[&dyn Projection]) -> Position {
        let set = self.shared.set();
        let reached = projections
            .iter()
            .map(|projection| set.view(*projection).read().position());
        reached.min().unwrap_or(Position::START)
    }

    pub(super) async fn wait_until_reached(
        &self,
        projections: &[&dyn Projection],
        position: Position,
    ) -> Result<(), QueryError> {
        let (mut turns, mut ended) = (self.turns(), self.shared.ended());
        let mut closing = self.closing();
        while self.all_reached(projections) < position {
            let goes_on = tokio::select! {
                biased;
                told = turns.changed() => told.is_ok(),
                _ = ended.wait_for(|ended| *ended) => false,
                _ = closing.wait_for(|closing| *closing) => false,
            };
            if !goes_on {
                return Err(QueryError::Stopped);
            }
        }
        Ok(())
    }
}
