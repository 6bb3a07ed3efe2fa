//! Events of a user.

use domain::text::{Email, Locale, Phone};
use domain::user::{Contact, UserEvent};

fn contact(is_full: bool) -> Contact {
    Contact {
        name: "Ada Lovelace".parse().unwrap(),
        email: Email::new("Ada@Example.org").unwrap(),
        phone: is_full.then(|| Phone::new("+4930123456").unwrap()),
        locale: is_full.then(|| Locale::new("de-AT").unwrap()),
    }
}

pub(crate) fn samples() -> Vec<(&'static str, u16, UserEvent)> {
    let reason = || "unpaid bills".parse().unwrap();
    vec![
        ("full", 1, UserEvent::UserCreated(contact(true))),
        ("minimal", 1, UserEvent::UserCreated(contact(false))),
        ("full", 1, UserEvent::UserUpdated(contact(true))),
        ("minimal", 1, UserEvent::UserUpdated(contact(false))),
        ("full", 1, UserEvent::UserSuspended { reason: reason() }),
        ("full", 1, UserEvent::UserReinstated { reason: reason() }),
    ]
}
