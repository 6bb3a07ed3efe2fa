//! The scheduling process at work: looks at operations when something happens to them or their
//! time has come, and does outside what they have claimed.
//!
//! What is to be done follows from the log, and what waits for a moment is found in a view of it:
//! so a restart goes on where the last run ended, and a timer in memory is never the only one to
//! know of a deadline.

// The service that pays, and when it wants to be asked again.
mod billing;
mod retry_after;
// What is to be looked at, and when.
mod agenda;
mod hearing;
// Which bookings wait for a package that another delivery has.
mod sharing;
// Which operations are not over, for whoever watches.
mod underway;
// Who looks.
mod runner;

pub use billing::{Billing, BillingError};
pub use runner::{Runner, RunnerSettings};
