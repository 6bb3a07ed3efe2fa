//! What the people who keep the service going ask: about all deliveries, not one.

use domain::id::DroneId;

use super::{QueryError, Views};
use crate::deliveries::{self, Deliveries, DeliveriesPage, DeliveriesQuery};
use crate::delivery_status::{self, DeliveryStatus};
use crate::fleet::{self, DroneRow, Fleet};
use crate::live::DroneName;
use crate::statistics::{self, HourlyStatistics, StatisticsPage, StatisticsQuery};

impl Views {
    /// The drones that the log tells of after one, sorted by name, then by
    /// fleet, at most `limit` and [`DRONES_PER_ANSWER_MAX`](crate::DRONES_PER_ANSWER_MAX),
    /// as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn drones(
        &self,
        after: Option<&DroneName>,
        limit: usize,
    ) -> Result<Vec<DroneRow>, QueryError> {
        self.query(|set| {
            let view = set.view(&Fleet);
            let view = self.caught_up(&view)?;
            Ok(fleet::drones(&view.overlay(), after, limit)?)
        })
    }

    /// The drones of one name, of whatever fleet, at most
    /// [`DRONES_PER_ANSWER_MAX`](crate::DRONES_PER_ANSWER_MAX), as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn drones_named(&self, drone: &DroneId) -> Result<Vec<DroneRow>, QueryError> {
        self.query(|set| {
            let view = set.view(&Fleet);
            let view = self.caught_up(&view)?;
            Ok(fleet::named(&view.overlay(), drone)?)
        })
    }

    /// A page of all deliveries, of whatever user, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn deliveries(&self, query: &DeliveriesQuery) -> Result<DeliveriesPage, QueryError> {
        self.query(|set| {
            let (list, status) = (set.view(&Deliveries), set.view(&DeliveryStatus));
            let (list, status) = (self.caught_up(&list)?, self.caught_up(&status)?);
            let status = status.overlay();
            let status_of = |id| delivery_status::status(&status, id);
            Ok(deliveries::page(&list.overlay(), query, status_of)?)
        })
    }

    /// How well it went, period by period, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn statistics(&self, query: &StatisticsQuery) -> Result<StatisticsPage, QueryError> {
        self.query(|set| {
            let view = set.view(&HourlyStatistics);
            let view = self.caught_up(&view)?;
            Ok(statistics::page(&view.overlay(), query)?)
        })
    }
}
