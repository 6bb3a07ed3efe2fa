//! The use cases: what clients and drones can set in motion.
//!
//! Each loads what it needs, lets the domain decide and appends what follows,
//! in the one loop of `transact`. Nothing outside that loop appends.

// The loop.
mod load;
mod snapshots;
mod keyed;
mod transact;

// What the log's registry is told.
mod schemas;

// The use cases.
pub mod users;
pub mod deliveries;
pub mod packages;
mod scheduling;
mod operations;
pub mod tasks;
mod lookups;

pub use keyed::{ClientRequest, KeyedCommand};
#[cfg(test)]
pub(crate) use load::Folded;
pub use load::LoadError;
pub(crate) use load::Loaded;
pub(crate) use operations::SCHEDULING_ACTOR;
pub use scheduling::SchedulingRules;
pub(crate) use scheduling::{Advanced, Claimed, Claiming, Claims, Look, record_consequences};
pub use schemas::known_schemas;
pub use snapshots::state_code;
pub(crate) use transact::Draft;
pub use transact::{Application, Done, Failure, Precondition, Request, TransactError};

#[cfg(test)]
pub(crate) mod tests;
