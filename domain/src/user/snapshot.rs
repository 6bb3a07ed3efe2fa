//! A user's state as bytes.

use serde::{Deserialize, Serialize};

use super::event::UserEvent;
use super::state::{User, UserStatus};
use crate::codec::{number_of, word_of};
use crate::snapshot::{Keep, Kept};

#[derive(Serialize, Deserialize)]
pub(crate) struct KeptUser {
    /// As the event that would bring the contact.
    contact: Kept,
    status: u8,
}

impl Keep for User {
    type Kept = KeptUser;

    fn kept(&self) -> KeptUser {
        KeptUser {
            contact: Kept::of(&UserEvent::UserCreated(self.contact.clone())),
            status: number_of(UserStatus::ALL, &self.status),
        }
    }

    fn state(kept: KeptUser) -> Option<Self> {
        let UserEvent::UserCreated(contact) = kept.contact.event()? else {
            return None;
        };
        let status = word_of("status", UserStatus::ALL, kept.status).ok()?;
        Some(Self { contact, status })
    }
}
