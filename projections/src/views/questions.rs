//! What the people who keep the service going ask: about all deliveries, not one.

use domain::id::{DroneId, OperationId};
use domain::task::TaskId;
use domain::time::Timestamp;
use eventstore::Filter;

// What was given up and what was refused.
mod letters;

pub use letters::{DeadLetter, GivenUpFact, RefusedLetter};

use super::current::Unfolded;
use super::{AsKnown, QueryError, Views};
use crate::deliveries::{self, Deliveries, DeliveriesPage, DeliveriesQuery};
use crate::delivery_status::{self, DeliveryStatus};
use crate::event_place::EventPage;
use crate::fleet::{self, DroneRow, Fleet};
use crate::live::DroneName;
use crate::open_operations::{self, DueOperation, OpenOperation, OpenOperations};
use crate::statistics::{self, HourlyStatistics, StatisticsPage, StatisticsQuery};
use crate::tasks::{self, Task, Tasks, TasksQuery};

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
    /// [`DRONES_PER_ANSWER_MAX`](crate::DRONES_PER_ANSWER_MAX), current. Far behind
    /// the log it waits up to two seconds for the view, so it wants a runtime
    /// with timers. A record that cannot be folded may concern any of them.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` if the view did not come near enough in time.
    pub async fn drones_named(
        &self,
        drone: &DroneId,
    ) -> Result<AsKnown<Vec<DroneRow>>, QueryError> {
        let ask = || {
            self.query(|set| {
                let fleet = set.view(&Fleet);
                let view = fleet.read();
                // The view leaves out what cannot be folded as well, and counts it.
                let mut unfolded = Unfolded::default();
                let overlay = self.with_later(&view, &Filter::everything(), &mut unfolded)?;
                let later = unfolded.records.first().copied();
                Ok(AsKnown {
                    shown: fleet::named(&overlay, drone)?,
                    degraded_since: fleet.parked().since(|_| true).or(later),
                })
            })
        };
        self.current(&Fleet, ask).await
    }

    /// The operations after one that wait for a moment up to `now`, the oldest first, at most
    /// `limit` and [`OPERATIONS_PER_PAGE_MAX`](crate::OPERATIONS_PER_PAGE_MAX), as of the view's
    /// position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn due_operations(
        &self,
        after: Option<DueOperation>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueOperation>, QueryError> {
        self.query(|set| {
            let view = set.view(&OpenOperations);
            let view = self.caught_up(&view)?;
            Ok(open_operations::due(&view.overlay(), after, now, limit)?)
        })
    }

    /// The operations of which something is left to be done, after one, by id, at most `limit`
    /// and [`OPERATIONS_PER_PAGE_MAX`](crate::OPERATIONS_PER_PAGE_MAX), as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn open_operations(
        &self,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<OpenOperation>, QueryError> {
        self.query(|set| {
            let view = set.view(&OpenOperations);
            let view = self.caught_up(&view)?;
            Ok(open_operations::open(&view.overlay(), after, limit)?)
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

    /// A page of what needs a person, newest first, as of the view's position.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn tasks(&self, query: TasksQuery) -> Result<EventPage<Task>, QueryError> {
        self.query(|set| {
            let view = set.view(&Tasks);
            let view = self.caught_up(&view)?;
            Ok(tasks::page(&view.overlay(), query)?)
        })
    }

    /// A task, current; `None` if there is no such task, or no longer. It is
    /// read from the log and asks no view.
    ///
    /// # Errors
    /// [`QueryError`], but never `Lagging`; `Halted` where an event that it
    /// follows from cannot be read.
    pub fn task(&self, id: TaskId) -> Result<Option<Task>, QueryError> {
        tasks::task(&*self.log, id)
    }
}
