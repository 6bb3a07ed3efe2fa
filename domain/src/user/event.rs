//! What happens to a user.

use crate::text::{Comment, Email, Locale, Name, Phone};

/// An event in a user's life. The names are what clients read in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEvent {
    /// Somebody was taken in.
    UserCreated(Contact),
    /// Their data changed; all of it as it is now.
    UserUpdated(Contact),
    /// They may book nothing more.
    UserSuspended {
        /// Why.
        reason: Comment,
    },
    /// They may book again.
    UserReinstated {
        /// Why.
        reason: Comment,
    },
}

/// How a user is reached. Personal data, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their name.
    pub name: Name,
    /// Their address; unique among users.
    pub email: Email,
    /// Their telephone number.
    pub phone: Option<Phone>,
    /// The language to speak to them in.
    pub locale: Option<Locale>,
}
