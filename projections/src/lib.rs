//! What people ask: one file for each question, with the view, its projection, its query and its tests.
//!
//! A view is a fold of the log. It is never true because it says so: it can be
//! deleted at any time and is built again, byte for byte.

// The seam to the storage engine, and how things lie in it.
mod key;
mod view_store;
mod stored;

// What a projection is, and the view that it writes.
mod overlay;
mod projection;
mod view;
mod rebuild_notes;
mod slot;

// The questions.
mod progress;
mod delivery_status;
mod delivery_history;
mod user;
mod user_deliveries;
mod deliveries;
mod waiting_sessions;
mod open_operations;
mod fleet;
mod statistics;
mod event_place;
mod dead_letters;
mod tasks;

// The question whose answer is never in the log.
mod live;

// Following the log.
mod parking;
mod feeding;
mod gathering;
mod sweeping;
mod view_set;
mod audit;
mod opening;
mod shared;
mod thread;
mod runner;
mod watch;

// The front.
mod views;

// The same questions about another time.
mod time_travel;

// Without a service: building anew, and comparing with a fresh fold.
mod rebuild;
mod verify;
pub mod reference;

pub use dead_letters::DEAD_LETTERS_PER_PAGE_MAX;
pub use deliveries::{DeliveriesPage, DeliveriesQuery};
pub use delivery_history::HistoryEntry;
pub use delivery_status::{Cancellation, ConfirmedRow, DeliveryRow, Milestones, MissionRow};
pub use event_place::{EventPage, EventPlace};
pub use fleet::{DRONES_PER_ANSWER_MAX, DroneActivity, DroneRow, Flight};
pub use live::{DroneName, LIVE_DRONES_MAX, LiveDrones, Observation};
pub use open_operations::{DueOperation, OPERATIONS_PER_PAGE_MAX, OpenOperation};
pub use opening::OpenError;
pub use parking::{PARKED_STREAMS_MAX, Parked};
pub use progress::Eta;
pub use projection::{Halt, Undecodable};
pub use rebuild::{Advance, RebuildError, rebuild, rebuild_some, view_names};
pub use shared::{ReaderState, WriteHold};
pub use slot::{RebuildId, RebuildStatus};
pub use statistics::{
    EtaError, PERIODS_PER_PAGE_MAX, Period, Spread, Stage, Statistics, StatisticsPage,
    StatisticsQuery,
};
pub use tasks::{
    Acknowledgement, TASKS_PER_PAGE_MAX, TASKS_SCANNED_MAX, Task, TaskKind, TaskStatus, TasksQuery,
};
pub use time_travel::{Found, KnownAt, Moment, Past};
pub use user::UserRow;
pub use user_deliveries::{
    ListedDelivery, PAGE_ITEMS_MAX, PAGE_SCAN_ROWS_MAX, PageKey, UserDeliveriesPage,
    UserDeliveriesQuery,
};
pub use verify::{Difference, FINDINGS_MAX, Finding, Verification, VerifyError, verify, witnesses};
pub use view_store::{ViewStoreError, ViewsEntry};
pub use views::{
    AsKnown, CACHE_MIB_DEFAULT, DeadLetter, GivenUpFact, List, QueryError, RefusedLetter,
    ViewHealth, Views, ViewsHealth, ViewsOptions,
};
pub use waiting_sessions::{DUE_ENTRIES_MAX, Deadlines, DueSession};

#[cfg(test)]
mod test_log;
#[cfg(test)]
mod any_log;
