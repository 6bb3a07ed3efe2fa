//! The log on a cluster, over real servers.

// A stream as others see it, and could spoil it.
mod raw;

// Several nodes on one log.
mod nodes;
mod racing;

// What a node counts of it.
mod figures;

// Servers that are killed, paused and wiped.
mod faults;
mod histories;
mod unwritable;
mod damage;

// What is refused, and what the refusal says.
mod refusals;

// A cluster that lost its end, and journals that are put on one.
mod publishing;
mod status;

// Logs that went on in a later epoch, and such as leave.
mod epochs;
mod leaving;
