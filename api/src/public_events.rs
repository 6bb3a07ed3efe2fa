//! What happened that is for others to know: event by event, in the order of
//! the log. The feed shows it, and over NATS it is published; both say the same.

// Which events.
pub(crate) mod shown;
// Where one lies.
pub(crate) mod place;
// What is told of it.
pub(crate) mod told;
pub(crate) mod asked;
pub(crate) mod item;
