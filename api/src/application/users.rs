//! What can be done about users.

use domain::actor::{Actor, ActorKind};
use domain::claim::{EmailClaim, EmailClaimCommand, EmailClaimRejection};
use domain::decider::Decider;
use domain::id::UserId;
use domain::stream::StreamName;
use domain::text::{Comment, Email};
use domain::user::{Contact, User, UserCommand, UserRejection};

use super::keyed::ClientRequest;
use super::load::Loaded;
use super::transact::{Application, Done, Draft, Precondition, Request, TransactError};

/// Which rule said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError<E> {
    /// There is no such user.
    #[error("there is no such user")]
    Unknown,
    /// Another user has this e-mail address.
    #[error("another user has this e-mail address")]
    EmailTaken,
    /// The user changed since the caller saw it.
    #[error("the user has changed: it is at sequence {sequence} now")]
    Changed {
        /// The sequence it has.
        sequence: u64,
    },
    /// The change makes no sense for the user as it is.
    #[error("the change does not fit")]
    Invalid(E),
}

/// A change to a user's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They may book nothing more.
    Suspended,
    /// They may book again.
    Reinstated,
}

impl Application {
    /// Takes a user in under the id given.
    ///
    /// # Errors
    /// `EmailTaken`, or a failure of the machine.
    pub async fn create_user(
        &self,
        request: ClientRequest,
        id: UserId,
        contact: Contact,
    ) -> Result<Done<UserId>, TransactError<UserError<std::convert::Infallible>>> {
        let now = self.now()?;
        let actor = Actor::named(ActorKind::Customer, id);
        self.transact(&Request::of_client(request, actor), |draft| {
            let mut user = draft.load::<Option<User>>(StreamName::user(id))?;
            let command = UserCommand::Create {
                contact: contact.clone(),
                now,
            };
            let events = User::decide(&command, &user.state).map_err(rejected)?;
            draft.record(&mut user, Some(id.uuid()), None, &events);
            draft.shows(&user);
            claim(
                draft,
                &contact.email,
                EmailClaimCommand::Claim { user: id, now },
            )?;
            Ok(id)
        })
        .await
    }

    /// Changes a user's contact data to what `change` makes of them.
    ///
    /// # Errors
    /// `Unknown`, `Changed`, `EmailTaken`, what `change` says, or a failure of the machine.
    pub async fn update_user<E>(
        &self,
        request: ClientRequest,
        id: UserId,
        seen: &Precondition,
        change: impl Fn(&Contact) -> Result<Contact, E>,
    ) -> Result<Done<UserId>, TransactError<UserError<E>>> {
        let now = self.now()?;
        let actor = Actor::named(ActorKind::Customer, id);
        self.transact(&Request::of_client(request, actor), |draft| {
            let mut user = seen_user(draft, id, seen)?;
            let was = existing(&user)?.contact().clone();
            let contact =
                change(&was).map_err(|e| TransactError::Rejected(UserError::Invalid(e)))?;
            let command = UserCommand::Update {
                contact: contact.clone(),
                now,
            };
            let events = User::decide(&command, &user.state).map_err(rejected)?;
            draft.record(&mut user, Some(id.uuid()), None, &events);
            draft.shows(&user);
            if was.email.normalised() != contact.email.normalised() {
                claim(
                    draft,
                    &was.email,
                    EmailClaimCommand::Release { user: id, now },
                )?;
                claim(
                    draft,
                    &contact.email,
                    EmailClaimCommand::Claim { user: id, now },
                )?;
            }
            Ok(id)
        })
        .await
    }

    /// Changes whether a user may book.
    ///
    /// # Errors
    /// `Unknown`, `Changed`, or a failure of the machine.
    pub async fn change_standing(
        &self,
        request: ClientRequest,
        id: UserId,
        seen: &Precondition,
        (standing, reason): (Standing, Comment),
    ) -> Result<Done<UserId>, TransactError<UserError<std::convert::Infallible>>> {
        let now = self.now()?;
        let request = Request::of_client(request, Actor::unnamed(ActorKind::Operator));
        self.transact(&request, |draft| {
            let mut user = seen_user(draft, id, seen)?;
            let reason = reason.clone();
            let command = match standing {
                Standing::Suspended => UserCommand::Suspend { reason, now },
                Standing::Reinstated => UserCommand::Reinstate { reason, now },
            };
            let events = User::decide(&command, &user.state).map_err(rejected)?;
            draft.record(&mut user, Some(id.uuid()), None, &events);
            draft.shows(&user);
            Ok(id)
        })
        .await
    }
}

fn seen_user<E>(
    draft: &Draft<'_>,
    id: UserId,
    seen: &Precondition,
) -> Result<Loaded<Option<User>>, TransactError<UserError<E>>> {
    let user = draft.load::<Option<User>>(StreamName::user(id))?;
    existing(&user)?;
    if !seen.accepts(user.version) {
        let sequence = user.version.get();
        return Err(TransactError::Rejected(UserError::Changed { sequence }));
    }
    Ok(user)
}

fn existing<E>(user: &Loaded<Option<User>>) -> Result<&User, TransactError<UserError<E>>> {
    user.state
        .as_ref()
        .ok_or(TransactError::Rejected(UserError::Unknown))
}

fn claim<E>(
    draft: &mut Draft<'_>,
    email: &Email,
    command: EmailClaimCommand,
) -> Result<(), TransactError<UserError<E>>> {
    let mut claim = draft.load::<Option<UserId>>(StreamName::email_claim(email))?;
    let events = EmailClaim::decide(&command, &claim.state).map_err(
        |EmailClaimRejection::Taken { .. }| TransactError::Rejected(UserError::EmailTaken),
    )?;
    draft.record(&mut claim, None, None, &events);
    Ok(())
}

fn rejected<E>(rejection: UserRejection) -> TransactError<UserError<E>> {
    TransactError::Rejected(match rejection {
        UserRejection::Unknown => UserError::Unknown,
        // Ids of users are new, so only a repeated request meets its own user;
        // with the same data that is no rejection.
        UserRejection::AlreadyExists => UserError::Changed { sequence: 1 },
    })
}
