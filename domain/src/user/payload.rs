//! How a user's events are stored.
//!
//! **These structs are frozen.** Bytes written with them lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};

use super::event::{Contact, UserEvent};
use crate::codec::{InvalidField, checked, first_schema, stored_events};
use crate::text::{Comment, Email, Locale, Name, Phone};

/// Apart from the rest, so that sealing contacts changes this struct alone.
#[derive(Serialize, Deserialize)]
struct ContactV1 {
    name: String,
    email: String,
    phone: Option<String>,
    locale: Option<String>,
}

/// `UserCreated` and `UserUpdated`.
#[derive(Serialize, Deserialize)]
struct UserContactV1 {
    contact: ContactV1,
}

/// `UserSuspended` and `UserReinstated`.
#[derive(Serialize, Deserialize)]
struct UserReasonV1 {
    reason: String,
}

first_schema!(UserContactV1, UserReasonV1);

stored_events! { UserEvent {
    201 UserCreated UserContactV1
        { Self::UserCreated(contact) => UserContactV1 { contact: ContactV1::of(contact) } }
        { p => Self::UserCreated(p.contact.contact()?) }
    202 UserUpdated UserContactV1
        { Self::UserUpdated(contact) => UserContactV1 { contact: ContactV1::of(contact) } }
        { p => Self::UserUpdated(p.contact.contact()?) }
    203 UserSuspended UserReasonV1
        { Self::UserSuspended { reason } => UserReasonV1 { reason: reason.to_string() } }
        { p => Self::UserSuspended { reason: checked("reason", Comment::new(p.reason))? } }
    204 UserReinstated UserReasonV1
        { Self::UserReinstated { reason } => UserReasonV1 { reason: reason.to_string() } }
        { p => Self::UserReinstated { reason: checked("reason", Comment::new(p.reason))? } }
} }

impl ContactV1 {
    fn of(contact: &Contact) -> Self {
        Self {
            name: contact.name.to_string(),
            email: contact.email.as_str().to_owned(),
            phone: contact
                .phone
                .as_ref()
                .map(|phone| phone.as_str().to_owned()),
            locale: contact
                .locale
                .as_ref()
                .map(|locale| locale.as_str().to_owned()),
        }
    }

    fn contact(self) -> Result<Contact, InvalidField> {
        let email = checked("email", Email::new(&self.email))?;
        // An address is trimmed when it is taken, so no other spelling was ever stored.
        if email.as_str() != self.email {
            return Err(InvalidField("email"));
        }
        Ok(Contact {
            name: checked("name", Name::new(self.name))?,
            email,
            phone: checked("phone", self.phone.as_deref().map(Phone::new).transpose())?,
            locale: checked(
                "locale",
                self.locale.as_deref().map(Locale::new).transpose(),
            )?,
        })
    }
}
