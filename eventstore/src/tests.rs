//! What the store promises, as sentences.

// How commits are made, and answers awaited.
pub(crate) mod given;
mod dice;
mod fault_disk;
mod machine;
mod story;

// One suite over every implementation, and the law that ties them together.
mod contract;
mod subscription;
mod equivalence;

// The log on a cluster: real servers, and what the log does when they fail.
pub(crate) mod servers;
pub(crate) mod clustered;

// What the journal survives, refuses and finds.
mod recovery;
mod damage;
mod faults;
mod every_fault;
mod power_cuts;
mod unsynced;
mod damages;
mod backup_cuts;
mod copy_faults;
mod recovery_cuts;
mod recovery_faults;
mod indexes;
mod verification;
mod no_files;
mod format;
