//! The doors for what Drone Management says.
//!
//! Facts go to the log, on the stream of their sender's session, in the same
//! commit as the delivery events of all facts whose turn has come. Telemetry
//! goes to memory, but for the time at which a drone expects to be where.

// What is said.
pub mod wire;
pub mod message;
// What becomes of it.
mod take;
mod receive;
mod apply;
mod expected;
pub mod waiting;
// What became of it after all.
mod redrive;
// What could not be read, where nobody can be told.
mod refuse;

pub use receive::{FactOutcome, Ingest, IngestLimits};
pub use redrive::RedriveError;
pub use refuse::{Kept, no_room, number_taken};
pub use take::Taken;

#[cfg(test)]
mod tests;
