//! Claims: who holds a name that only one may hold.
//!
//! A claim has a stream of its own whose key follows from the name, so that two who
//! want it at the same time meet there, and one of them loses. It is written in the
//! same commit as the event it is for.

use crate::decider::{Decider, Occurrence};
use crate::id::{DeliveryId, UserId};
use crate::time::Timestamp;

mod payload;

#[cfg(test)]
mod tests;

/// Who holds an e-mail address. The state is the holder.
#[derive(Clone, Copy, Debug)]
pub struct EmailClaim;

/// An event of an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailClaimEvent {
    /// A user has it from now on.
    EmailClaimed {
        /// The user.
        user: UserId,
    },
    /// A user gave it up.
    EmailReleased {
        /// The user.
        user: UserId,
    },
}

/// What is asked about an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailClaimCommand {
    /// Have it.
    Claim {
        /// For this user.
        user: UserId,
        /// The clock.
        now: Timestamp,
    },
    /// Give it up. Nothing happens if another user has it.
    Release {
        /// The user who had it.
        user: UserId,
        /// The clock.
        now: Timestamp,
    },
}

/// The address is another user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailClaimRejection {
    /// Somebody has it.
    #[error("the e-mail address is in use: give another one")]
    Taken {
        /// Who has it. Not for the eyes of others.
        by: UserId,
    },
}

impl Decider for EmailClaim {
    type State = Option<UserId>;
    type Command = EmailClaimCommand;
    type Event = EmailClaimEvent;
    type Rejection = EmailClaimRejection;

    fn initial() -> Option<UserId> {
        None
    }

    fn decide(
        command: &EmailClaimCommand,
        holder: &Option<UserId>,
    ) -> Result<Vec<Occurrence<EmailClaimEvent>>, EmailClaimRejection> {
        match (*command, *holder) {
            (EmailClaimCommand::Claim { user, now }, None) => Ok(vec![Occurrence::new(
                EmailClaimEvent::EmailClaimed { user },
                now,
            )]),
            (EmailClaimCommand::Claim { user, now: _ }, Some(by)) if by != user => {
                Err(EmailClaimRejection::Taken { by })
            }
            (EmailClaimCommand::Release { user, now }, Some(by)) if by == user => {
                Ok(vec![Occurrence::new(
                    EmailClaimEvent::EmailReleased { user },
                    now,
                )])
            }
            (EmailClaimCommand::Claim { .. } | EmailClaimCommand::Release { .. }, _) => Ok(vec![]),
        }
    }

    fn evolve(holder: Option<UserId>, occurrence: &Occurrence<EmailClaimEvent>) -> Option<UserId> {
        match occurrence.event {
            EmailClaimEvent::EmailClaimed { user } => holder.or(Some(user)),
            EmailClaimEvent::EmailReleased { user } => holder.filter(|by| *by != user),
        }
    }
}

/// Which delivery has the package that a tag is printed on. The state is that delivery.
#[derive(Clone, Copy, Debug)]
pub struct TagClaim;

/// An event of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagClaimEvent {
    /// A delivery that is under way has it from now on.
    TagClaimed {
        /// The delivery.
        delivery: DeliveryId,
    },
    /// The delivery is over.
    TagReleased {
        /// The delivery.
        delivery: DeliveryId,
    },
}

/// What is asked about a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagClaimCommand {
    /// Have it.
    Claim {
        /// For this delivery.
        delivery: DeliveryId,
        /// The clock.
        now: Timestamp,
    },
    /// Give it up. Nothing happens if another delivery has it.
    Release {
        /// The delivery that had it.
        delivery: DeliveryId,
        /// The clock.
        now: Timestamp,
    },
}

/// The tag is on another package that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagClaimRejection {
    /// A delivery has it.
    #[error("the tag is that of {by}, which is not over: take another tag, or wait")]
    Taken {
        /// The delivery.
        by: DeliveryId,
    },
}

impl Decider for TagClaim {
    type State = Option<DeliveryId>;
    type Command = TagClaimCommand;
    type Event = TagClaimEvent;
    type Rejection = TagClaimRejection;

    fn initial() -> Option<DeliveryId> {
        None
    }

    fn decide(
        command: &TagClaimCommand,
        holder: &Option<DeliveryId>,
    ) -> Result<Vec<Occurrence<TagClaimEvent>>, TagClaimRejection> {
        match (*command, *holder) {
            (TagClaimCommand::Claim { delivery, now }, None) => Ok(vec![Occurrence::new(
                TagClaimEvent::TagClaimed { delivery },
                now,
            )]),
            (TagClaimCommand::Claim { delivery, now: _ }, Some(by)) if by != delivery => {
                Err(TagClaimRejection::Taken { by })
            }
            (TagClaimCommand::Release { delivery, now }, Some(by)) if by == delivery => {
                Ok(vec![Occurrence::new(
                    TagClaimEvent::TagReleased { delivery },
                    now,
                )])
            }
            (TagClaimCommand::Claim { .. } | TagClaimCommand::Release { .. }, _) => Ok(vec![]),
        }
    }

    fn evolve(
        holder: Option<DeliveryId>,
        occurrence: &Occurrence<TagClaimEvent>,
    ) -> Option<DeliveryId> {
        match occurrence.event {
            TagClaimEvent::TagClaimed { delivery } => holder.or(Some(delivery)),
            TagClaimEvent::TagReleased { delivery } => holder.filter(|by| *by != delivery),
        }
    }
}

/// Which delivery bears a user's own name of it. The state is the bearer.
#[derive(Clone, Copy, Debug)]
pub struct ExternalIdClaim;

/// The delivery that bears an external id, and what was asked for under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalIdBearer {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The hash of the request that made it, so that a retry is told from another request.
    pub request_hash: [u8; 32],
}

/// An event of an external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalIdClaimEvent {
    /// A delivery bears it for good.
    ExternalIdClaimed {
        /// The delivery.
        delivery: DeliveryId,
        /// The hash of the request that made it.
        request_hash: [u8; 32],
    },
}

/// What is asked about an external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalIdClaimCommand {
    /// Have it.
    Claim {
        /// For this delivery.
        delivery: DeliveryId,
        /// The hash of the request that makes it.
        request_hash: [u8; 32],
        /// The clock.
        now: Timestamp,
    },
}

/// The external id is another delivery's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalIdClaimRejection {
    /// A delivery bears it.
    #[error("the external id is that of {delivery}: look there, or give another one")]
    Taken {
        /// The delivery.
        delivery: DeliveryId,
        /// Whether it was asked for in the same words: then it is the answer.
        same_request: bool,
    },
}

impl Decider for ExternalIdClaim {
    type State = Option<ExternalIdBearer>;
    type Command = ExternalIdClaimCommand;
    type Event = ExternalIdClaimEvent;
    type Rejection = ExternalIdClaimRejection;

    fn initial() -> Option<ExternalIdBearer> {
        None
    }

    fn decide(
        command: &ExternalIdClaimCommand,
        bearer: &Option<ExternalIdBearer>,
    ) -> Result<Vec<Occurrence<ExternalIdClaimEvent>>, ExternalIdClaimRejection> {
        let ExternalIdClaimCommand::Claim {
            delivery,
            request_hash,
            now,
        } = *command;
        let claimed = ExternalIdBearer {
            delivery,
            request_hash,
        };
        match *bearer {
            None => Ok(vec![Occurrence::new(
                ExternalIdClaimEvent::ExternalIdClaimed {
                    delivery,
                    request_hash,
                },
                now,
            )]),
            Some(bearer) if bearer == claimed => Ok(vec![]),
            Some(bearer) => Err(ExternalIdClaimRejection::Taken {
                delivery: bearer.delivery,
                same_request: bearer.request_hash == request_hash,
            }),
        }
    }

    fn evolve(
        bearer: Option<ExternalIdBearer>,
        occurrence: &Occurrence<ExternalIdClaimEvent>,
    ) -> Option<ExternalIdBearer> {
        let ExternalIdClaimEvent::ExternalIdClaimed {
            delivery,
            request_hash,
        } = occurrence.event;
        bearer.or(Some(ExternalIdBearer {
            delivery,
            request_hash,
        }))
    }
}
