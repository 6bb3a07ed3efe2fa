//! What the business decides: the rules of drone delivery as pure values and functions.
//!
//! Nothing here reads a clock, makes an id, waits or touches a disk.

// The values.
pub mod id;
pub mod quantity;
pub mod geo;
pub mod time;
pub mod text;

// How an aggregate is written down.
pub mod decider;
pub mod stream;

// The aggregates.
pub mod delivery;
