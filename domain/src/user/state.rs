//! What is known of a user by having folded their events.

use super::event::Contact;

/// A user who exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) contact: Contact,
    pub(super) status: UserStatus,
}

crate::delivery::words! {
    /// Whether a user may book.
    UserStatus {
        /// They may.
        Active "active",
        /// They may not, for now.
        Suspended "suspended",
    }
}

impl User {
    /// How they are reached.
    #[must_use]
    pub const fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Whether they may book.
    #[must_use]
    pub const fn status(&self) -> UserStatus {
        self.status
    }
}
