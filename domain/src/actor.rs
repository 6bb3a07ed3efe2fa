//! Who acts.

use std::fmt;
use std::str::FromStr;

/// Who or what made an event happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Which one, if it has a name.
    pub id: Option<String>,
}

crate::delivery::words! {
    /// The kinds of actors.
    ActorKind {
        /// Somebody who books.
        Customer "customer",
        /// A drone, through its fleet.
        Drone "drone",
        /// A rule that acts by itself.
        Policy "policy",
        /// Somebody who runs the service.
        Operator "operator",
        /// The service itself.
        System "system",
    }
}

/// A text does not name an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an actor such as drone:M100-07")]
pub struct InvalidActor;

impl Actor {
    /// A named actor.
    #[must_use]
    pub fn named(kind: ActorKind, id: impl fmt::Display) -> Self {
        Self {
            kind,
            id: Some(id.to_string()),
        }
    }

    /// An actor of whom only the kind is known.
    #[must_use]
    pub const fn unnamed(kind: ActorKind) -> Self {
        Self { kind, id: None }
    }
}

/// `kind:id`, or the kind alone.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}:{id}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidActor;

    fn from_str(text: &str) -> Result<Self, InvalidActor> {
        let (kind, id) = match text.split_once(':') {
            Some((kind, id)) => (kind, Some(id.to_owned())),
            None => (text, None),
        };
        ActorKind::from_word(kind)
            .map(|kind| Self { kind, id })
            .ok_or(InvalidActor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_reads_back_from_its_text() {
        for actor in [
            Actor::named(ActorKind::Drone, "M100:07"),
            Actor::unnamed(ActorKind::Operator),
        ] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        assert_eq!("pilot:7".parse::<Actor>(), Err(InvalidActor));
    }
}
