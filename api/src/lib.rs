//! The service: edges, wiring, runtimes. No rules of the business.

// What everything else is handed: times, ids, settings, a voice, whom to believe.
pub mod environment;
pub mod config;
pub mod observability;
mod lines;
pub mod tls;
// What can be set in motion.
pub mod application;
// What others are told of: what it says, and where in the log they have come to.
mod forms;
pub mod cursor;
mod public_events;
// The edges.
pub mod http;
pub mod ingest;
pub mod nats;
pub mod process;
// A client, to try all this out.
pub mod simulate;
// The log as text, and back.
pub mod transfer;
// Everything together, and the program.
mod aside;
pub mod membership;
pub mod service;
pub mod cli;
