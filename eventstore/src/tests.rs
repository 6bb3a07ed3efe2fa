//! What the store promises, as sentences.

// How commits are made, and answers awaited.
mod given;

// One suite over every implementation, and the law that ties them together.
mod contract;
mod subscription;
mod equivalence;
