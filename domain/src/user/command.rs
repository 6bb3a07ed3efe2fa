//! What is asked about a user.

use super::event::Contact;
use crate::text::Comment;
use crate::time::Timestamp;

/// A command to a user's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Take somebody in.
    Create {
        /// How they are reached.
        contact: Contact,
        /// The clock.
        now: Timestamp,
    },
    /// Change how they are reached.
    Update {
        /// All of it, as it should be.
        contact: Contact,
        /// The clock.
        now: Timestamp,
    },
    /// Let them book nothing more.
    Suspend {
        /// Why.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
    /// Let them book again.
    Reinstate {
        /// Why.
        reason: Comment,
        /// The clock.
        now: Timestamp,
    },
}

/// Which rule said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserRejection {
    /// There is no such user.
    #[error("there is no such user")]
    Unknown,
    /// A user of this id exists, with other data.
    #[error("a user of this id exists already: update it instead")]
    AlreadyExists,
}
