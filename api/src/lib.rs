//! The service: edges, wiring, runtimes. No rules of the business.

// What everything else is handed: times, ids, settings, a voice.
pub mod environment;
pub mod config;
pub mod observability;
// The edges.
pub mod http;
