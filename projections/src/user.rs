//! Who is this user, how many deliveries are under way, when does the next one
//! come, and does one of them need somebody?
//!
//! ```text
//! row  user                          contact, status, and two counts over the deliveries
//! index 1 (user, eta, delivery)      deliveries under way by expected arrival
//! index 2 delivery                   what the delivery contributes to its user's row
//! ```
//! The derived part (counts and next arrival) follows from deliveries' streams,
//! so it has a position of its own beside the user's sequence.

use domain::delivery::DeliveryEvent;
use domain::id::UserId;
use domain::stream::Category;
use domain::time::Timestamp;
use domain::user::{Contact, UserEvent, UserStatus};
use eventstore::{Position, Record, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts};
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::progress::Progress;
use crate::projection::{Facts, Projection, Sources};
use crate::stored::{Carried, event_time, instant};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

const BY_ETA: u8 = 1;
const CONTRIBUTIONS: u8 = 2;

/// A user, and what can be said of all their deliveries at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Which user.
    pub id: UserId,
    /// How they are reached. Personal data.
    pub contact: Contact,
    /// Whether they may book.
    pub status: UserStatus,
    /// How many of their deliveries are under way (not in a terminal status).
    pub live_deliveries: u64,
    /// The earliest expected arrival of those; it may have passed.
    pub next_eta: Option<Timestamp>,
    /// Somebody has to look after one of their deliveries.
    pub action_required: bool,
    /// How many events the user has: the version of their own stream.
    pub sequence: StreamVersion,
    /// When they were taken in.
    pub created_at: Timestamp,
    /// When the last event of their own was recorded.
    pub updated_at: Timestamp,
    /// The last record of a delivery that may have changed the derived part:
    /// equal `sequence` and `derived_position` mean an equal row.
    pub derived_position: Position,
}

/// A user's row. Deliveries may be there before the user is: then there is no
/// profile yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StoredUser {
    profile: Option<Profile>,
    live_deliveries: u64,
    deliveries_with_action: u64,
    derived_position: Position,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Profile {
    contact: Carried,
    #[serde(with = "crate::stored")]
    status: UserStatus,
    sequence: StreamVersion,
    #[serde(with = "crate::stored")]
    created_at: Timestamp,
    #[serde(with = "crate::stored")]
    updated_at: Timestamp,
    position: Position,
}

/// What one delivery contributes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contribution {
    #[serde(with = "crate::stored")]
    user: UserId,
    progress: Progress,
    position: Position,
}

/// The part of a delivery that its user's row shows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    live: bool,
    action: bool,
    eta: Option<Timestamp>,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct User;

impl Projection for User {
    fn name(&self) -> &'static str {
        "user"
    }

    fn version(&self) -> u32 {
        4
    }

    /// A delivery that waits goes on contributing what it did before; a user whose
    /// own stream waits keeps the profile that they had. Both hold the position
    /// that they know, and the derived position is the largest of all: so it does
    /// not matter when which stream is folded.
    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    /// A user's row counts the deliveries of many streams.
    fn sources(&self) -> Sources {
        Sources::User
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::User, Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        match facts {
            Facts::User(events) => project_user(view, record, events),
            Facts::Delivery(events) => project_delivery(view, record, events),
            Facts::Session(_)
            | Facts::Refusals(_)
            | Facts::Task(_)
            | Facts::Operation(_)
            | Facts::Other
            | Facts::Undecodable(_) => Ok(()),
        }
    }
}

fn project_user(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[UserEvent],
) -> Result<(), ViewStoreError> {
    let key = Key::row().id(record.stream.key.as_bytes());
    let mut user = view.row::<StoredUser>(&key)?.unwrap_or_default();
    let seen = user.profile.as_ref().map(|profile| profile.position);
    if seen.is_some_and(|position| position >= record.position) {
        return Ok(());
    }
    for (event, recorded) in events.iter().zip(&record.events) {
        match (event, &mut user.profile) {
            (UserEvent::UserCreated(contact), None) => {
                user.profile = Some(Profile {
                    contact: carried(contact),
                    status: UserStatus::Active,
                    sequence: StreamVersion::EMPTY,
                    created_at: event_time(recorded),
                    updated_at: event_time(recorded),
                    position: record.position,
                });
            }
            (UserEvent::UserUpdated(contact), Some(profile)) => profile.contact = carried(contact),
            (UserEvent::UserSuspended { .. }, Some(profile)) => {
                profile.status = UserStatus::Suspended;
            }
            (UserEvent::UserReinstated { .. }, Some(profile)) => {
                profile.status = UserStatus::Active;
            }
            (UserEvent::UserCreated(_), Some(_))
            | (
                UserEvent::UserUpdated(_)
                | UserEvent::UserSuspended { .. }
                | UserEvent::UserReinstated { .. },
                None,
            ) => {}
        }
    }
    if let Some(profile) = &mut user.profile {
        profile.sequence = record.last_version();
        profile.updated_at = instant(record.recorded_at_us);
        profile.position = record.position;
        view.put_row(key, user);
    }
    Ok(())
}

fn project_delivery(
    view: &mut Overlay<'_>,
    record: &Record,
    events: &[DeliveryEvent],
) -> Result<(), ViewStoreError> {
    let delivery = record.stream.key.as_bytes();
    let key = Key::index(CONTRIBUTIONS).id(delivery);
    let changed = view.change(key, |contribution: &mut Option<Contribution>| {
        let held = contribution.as_ref().map(|it| it.position);
        if held.is_some_and(|position| position >= record.position) {
            return None;
        }
        let was = Shown::of(contribution.as_ref());
        for (event, recorded) in events.iter().zip(&record.events) {
            match (event, &mut *contribution) {
                (DeliveryEvent::Created(order), None) => {
                    *contribution = Some(Contribution {
                        user: order.user,
                        progress: Progress::created(),
                        position: record.position,
                    });
                }
                (_, Some(it)) => it.progress.evolve(event, event_time(recorded)),
                (_, None) => {}
            }
        }
        let is = Shown::of(contribution.as_ref());
        let contribution = contribution.as_mut()?;
        contribution.position = record.position;
        Some((contribution.user, was, is))
    })?;
    match changed {
        Some((user, was, is)) if was != is => contribute(view, record, user, was, is),
        Some(_) | None => Ok(()),
    }
}

/// Brings the user's counts and the index from what a delivery contributed to
/// what it contributes now.
fn contribute(
    view: &mut Overlay<'_>,
    record: &Record,
    user: UserId,
    was: Shown,
    is: Shown,
) -> Result<(), ViewStoreError> {
    let user = user.uuid();
    let eta_key = |eta: Timestamp| {
        Key::index(BY_ETA)
            .id(user.as_bytes())
            .instant(eta.micros())
            .id(record.stream.key.as_bytes())
    };
    if was.eta != is.eta {
        if let Some(eta) = was.eta {
            view.remove(eta_key(eta));
        }
        if let Some(eta) = is.eta {
            view.put(eta_key(eta), Vec::new());
        }
    }
    let key = Key::row().id(user.as_bytes());
    view.change(key, |row: &mut Option<StoredUser>| {
        let row = row.get_or_insert_default();
        row.live_deliveries = recounted(row.live_deliveries, was.live, is.live);
        row.deliveries_with_action = recounted(row.deliveries_with_action, was.action, is.action);
        row.derived_position = row.derived_position.max(record.position);
        Some(())
    })?;
    Ok(())
}

impl Row for StoredUser {
    fn heap_bytes(&self) -> usize {
        self.profile.as_ref().map_or(0, |it| it.contact.bytes())
    }
}

impl Row for Contribution {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Shown {
    fn of(contribution: Option<&Contribution>) -> Self {
        let progress = contribution.map(|contribution| &contribution.progress);
        let live = progress.is_some_and(|progress| !progress.status.is_terminal());
        Self {
            live,
            action: progress.is_some_and(Progress::action_required),
            eta: progress.filter(|_| live).and_then(Progress::dropoff_at),
        }
    }
}

fn recounted(count: u64, was: bool, is: bool) -> u64 {
    count
        .saturating_add(u64::from(is && !was))
        .saturating_sub(u64::from(was && !is))
}

fn carried(contact: &Contact) -> Carried {
    Carried::by(&UserEvent::UserCreated(contact.clone()))
}

/// A user.
pub(crate) fn user(view: &Overlay<'_>, id: UserId) -> Result<Option<UserRow>, ViewStoreError> {
    let key = Key::row().id(id.uuid().as_bytes());
    let row = view.row::<StoredUser>(&key)?.unwrap_or_default();
    let Some(profile) = row.profile else {
        return Ok(None);
    };
    let UserEvent::UserCreated(contact) = profile.contact.event()? else {
        return Err(ViewStoreError::unreadable("a user without contact data"));
    };
    Ok(Some(UserRow {
        id,
        contact,
        status: profile.status,
        live_deliveries: row.live_deliveries,
        next_eta: next_eta(view, id)?,
        action_required: row.deliveries_with_action > 0,
        sequence: profile.sequence,
        created_at: profile.created_at,
        updated_at: profile.updated_at,
        derived_position: row.derived_position,
    }))
}

fn next_eta(view: &Overlay<'_>, id: UserId) -> Result<Option<Timestamp>, ViewStoreError> {
    let expected = Key::index(BY_ETA).id(id.uuid().as_bytes()).prefix();
    let first = view.scan(&expected, Direction::Forward, 1)?.pop();
    let Some((key, _)) = first else {
        return Ok(None);
    };
    let eta = KeyParts::of_index(&key, BY_ETA).and_then(|mut parts| {
        parts.id()?;
        parts.instant()
    });
    eta.map(instant)
        .map(Some)
        .ok_or_else(|| ViewStoreError::unreadable("an arrival without a time"))
}
