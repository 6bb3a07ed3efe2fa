//! The tests' harness: a server of one's own, a client for it, and a drone that flies for it.
//!
//! Nothing here knows what the service does inside. It starts the program as
//! a user would, talks to it over HTTP, and produces drone events from
//! recorded flights, so that a scenario can be written as what happened and
//! what must be seen afterwards. `it/` holds the scenarios.

// One running server over one data folder: start, stop, kill.
mod server;
// Requests and answers, with assertions that print what the server said.
mod client;
// Recorded flights as Drone Management events, with faults on request.
mod flight;
// Waiting for a condition within a limit.
mod wait;
// A billing service that does what a real one may do wrong.
mod billing;
// NATS servers, one or three.
mod nats;
// A line to a server that can be cut.
mod proxy;
// Somebody else who speaks with them.
mod nats_client;
// Chance that can be repeated: everything random comes from a printed seed.
mod chance;
// Commits that can be told again from their numbers, and what became of them.
mod ledger;
// A program that writes a journal, or says what it holds.
mod workload;
// A disk whose power can be cut.
mod power_disk;
// How often what was tried, for whoever reads the end of a long run.
mod tally;

pub use billing::{Asked, Authority, Billing, Bills, Charge};
pub use chance::Chance;
pub use client::{Answer, Client, Request, Unanswered};
pub use flight::{Faults, Mission, Place, Plan, Recording};
pub use ledger::{Caller, Ledger, Load, Sent, Shown, Span};
pub use nats::{NatsCluster, NatsPlace, NatsServer, free_port};
pub use nats_client::{NatsClient, Stored, Subscription};
pub use power_disk::{Cut, PowerDisk};
pub use proxy::Proxy;
pub use server::{Output, Program, Server};
pub use tally::{Progress, tally};
pub use wait::poll_until;
pub use workload::{Copies, Showing, Traced, Workload, Workloads, freeze, note};
