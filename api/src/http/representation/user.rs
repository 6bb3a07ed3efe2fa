//! A user.

use domain::id::UserId;
use eventstore::Position;
use projections::UserRow;
use serde_json::{Value, json};

use crate::forms::{time, time_or_null};
use crate::http::conditional::EntityTag;

/// Grows when the bytes of a user change for the same events.
const VERSION: u16 = 1;

/// What the address of a user begins with.
pub(crate) const PATH: &str = "/v1/users/";

/// The address of a user.
pub(crate) fn path(id: UserId) -> String {
    format!("{PATH}{id}")
}

/// The tag of a user: counts and the next arrival come from deliveries'
/// streams, and the row says up to which of their events. Where one of these
/// streams waits, the row grows by older events once it goes on, so that is
/// part of the tag.
pub(crate) fn tag(row: &UserRow, degraded_since: Option<Position>) -> EntityTag {
    let derived = row.derived_position.get().to_be_bytes();
    let since = degraded_since.map(|since| since.get().to_be_bytes());
    let derived: Vec<u8> = derived
        .into_iter()
        .chain(since.into_iter().flatten())
        .collect();
    EntityTag::new(row.sequence.get(), VERSION).with_derived(&derived)
}

/// A user.
pub(crate) fn user(row: &UserRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "name": row.contact.name.to_string(),
        "email": row.contact.email.as_str(),
        "phone": row.contact.phone.as_ref().map(domain::text::Phone::as_str),
        "locale": row.contact.locale.as_ref().map(domain::text::Locale::as_str),
        "status": row.status.word(),
        "live_deliveries": row.live_deliveries,
        "next_eta": time_or_null(row.next_eta),
        "action_required": row.action_required,
        "sequence": row.sequence.get(),
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    })
}
