//! The one integration binary: what must hold between the crates, and for the whole program.

// The house rules, read off the sources.
mod architecture;
// What scenarios begin with.
mod scene;
// Load with a memory.
mod answers;
mod story;
// What was booked, and what it cost.
mod accounts;
// A delivery's whole life.
mod flight;
mod simulate;
mod views;
mod lists;
mod time_travel;
mod read_your_writes;
// What a booking needs of others.
mod billing;
mod missions;
mod matters;
mod nine_ways;
// What whoever begins is told.
mod readme;
// Everything that happens, to whoever wants to know.
mod feed;
mod publishing;
// What drones say over NATS.
mod drone_stream;
mod nats_profile;
mod old_server;
// What is refused, and how.
mod bad_input;
mod mutations;
mod cli;
// What an operator does to a log.
mod operations;
mod findings;
// Clients at the same moment.
mod race;
mod idempotency;
mod packages;
// Several nodes on one log.
mod cluster;
// Faults.
mod crash;
mod kills;
mod rebuilds;
mod rolls;
mod damage;
mod disk_errors;
mod shutdown;
mod power;
