//! What the people who keep the service going ask: about all deliveries, not one.

use super::{QueryError, Views};
use crate::deliveries::{self, Deliveries, DeliveriesPage, DeliveriesQuery};
use crate::delivery_status::{self, DeliveryStatus};

impl Views {
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
}
