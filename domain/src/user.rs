//! A user: whoever books deliveries.
//!
//! ```text
//! (nothing) ──UserCreated──▶ Active ◀──UserReinstated── Suspended
//!                               └─────UserSuspended──────▶┘
//! ```
//! A user's data may change in either status. That no two users share an
//! e-mail address is the business of the [claims](crate::claim), written in the
//! same commit. A suspended user keeps the deliveries under way and books no new ones.

mod event;
mod state;
mod command;
mod payload;
mod snapshot;

pub use command::{UserCommand, UserRejection};
pub use event::{Contact, UserEvent};
pub use state::{User, UserStatus};

use crate::decider::{Decider, Occurrence};
use crate::text::Comment;
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

impl Decider for User {
    type State = Option<Self>;
    type Command = UserCommand;
    type Event = UserEvent;
    type Rejection = UserRejection;

    fn initial() -> Option<Self> {
        None
    }

    fn decide(
        command: &UserCommand,
        state: &Option<Self>,
    ) -> Result<Vec<Occurrence<UserEvent>>, UserRejection> {
        match command {
            UserCommand::Create { contact, now } => create(contact, *now, state.as_ref()),
            UserCommand::Update { contact, now } => {
                existing(state.as_ref()).map(|user| update(contact, *now, user))
            }
            UserCommand::Suspend { reason, now } => {
                existing(state.as_ref()).map(|user| suspend(reason, *now, user))
            }
            UserCommand::Reinstate { reason, now } => {
                existing(state.as_ref()).map(|user| reinstate(reason, *now, user))
            }
        }
    }

    fn evolve(state: Option<Self>, occurrence: &Occurrence<UserEvent>) -> Option<Self> {
        match (&occurrence.event, state) {
            (UserEvent::UserCreated(contact), None) => Some(Self {
                contact: contact.clone(),
                status: UserStatus::Active,
            }),
            (UserEvent::UserUpdated(contact), Some(user)) => Some(Self {
                contact: contact.clone(),
                ..user
            }),
            (UserEvent::UserSuspended { reason: _ }, Some(user)) => Some(Self {
                status: UserStatus::Suspended,
                ..user
            }),
            (UserEvent::UserReinstated { reason: _ }, Some(user)) => Some(Self {
                status: UserStatus::Active,
                ..user
            }),
            (UserEvent::UserCreated(_), user @ Some(_)) => user,
            (
                UserEvent::UserUpdated(_)
                | UserEvent::UserSuspended { .. }
                | UserEvent::UserReinstated { .. },
                None,
            ) => None,
        }
    }
}

fn existing(state: Option<&User>) -> Result<&User, UserRejection> {
    state.ok_or(UserRejection::Unknown)
}

fn create(
    contact: &Contact,
    now: Timestamp,
    state: Option<&User>,
) -> Result<Vec<Occurrence<UserEvent>>, UserRejection> {
    match state {
        None => Ok(vec![Occurrence::new(
            UserEvent::UserCreated(contact.clone()),
            now,
        )]),
        Some(user) if user.contact == *contact => Ok(vec![]),
        Some(_) => Err(UserRejection::AlreadyExists),
    }
}

fn update(contact: &Contact, now: Timestamp, user: &User) -> Vec<Occurrence<UserEvent>> {
    if user.contact == *contact {
        return vec![];
    }
    vec![Occurrence::new(
        UserEvent::UserUpdated(contact.clone()),
        now,
    )]
}

fn suspend(reason: &Comment, now: Timestamp, user: &User) -> Vec<Occurrence<UserEvent>> {
    let reason = reason.clone();
    match user.status {
        UserStatus::Active => vec![Occurrence::new(UserEvent::UserSuspended { reason }, now)],
        UserStatus::Suspended => vec![],
    }
}

fn reinstate(reason: &Comment, now: Timestamp, user: &User) -> Vec<Occurrence<UserEvent>> {
    let reason = reason.clone();
    match user.status {
        UserStatus::Suspended => vec![Occurrence::new(UserEvent::UserReinstated { reason }, now)],
        UserStatus::Active => vec![],
    }
}
