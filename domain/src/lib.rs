//! What the business decides: the rules of drone delivery as pure values and functions.
//!
//! Nothing here reads a clock, makes an id, waits or touches a disk.

// The values.
pub mod id;
pub mod quantity;
pub mod geo;
pub mod area;
pub mod time;
pub mod text;
pub mod actor;

// How an aggregate is written down.
pub mod decider;
pub mod process;
pub mod spec;
pub mod stream;
pub mod codec;
pub mod snapshot;

// The aggregates.
pub mod delivery;
pub mod user;
pub mod package;
pub mod claim;

// What drones report, and what it means for a delivery.
pub mod drone;
pub mod session;
pub mod refusals;
pub mod mission;
pub mod translation;

// What turns a request into a flying delivery.
pub mod serviceability;
pub mod dispatch;
pub mod scheduling;

// What of all that a person has to look at.
pub mod task;

// What is answered once, however often it is asked.
pub mod taken;

#[cfg(test)]
mod arbitrary;
