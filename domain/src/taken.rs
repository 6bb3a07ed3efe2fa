//! A command that was taken: what is asked again under the same key gets the answer of the
//! first time.
//!
//! ```text
//! (nothing) ──CommandTaken──▶ taken, for ever
//! ```
//! The record lies on a stream of the command's own, in the commit of what the command
//! did, so that two who ask at the same time meet there and one of them loses. It keeps
//! no answer: it says which stream the answer is made of, and at which version.

use std::fmt;

use uuid::Uuid;

use crate::decider::{Decider, Occurrence};
use crate::stream::{StreamName, derived};
use crate::time::Timestamp;

mod payload;

#[cfg(test)]
mod tests;

/// Names a command by who asked for what, under which key. The same request has the same
/// id however often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(Uuid);

impl CommandId {
    /// The id of what a principal asked for: a method of a route, under a key of their own.
    /// None of them contains a zero byte.
    #[must_use]
    pub fn of(principal: &str, (method, route): (&str, &str), key: &str) -> Self {
        Self(derived(&["command", principal, method, route, key]))
    }

    /// The UUID alone.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The id of the commit that carries it out.
    #[must_use]
    pub fn commit_id(self) -> Uuid {
        Uuid::new_v5(&self.0, b"commit")
    }

    /// The id of the one thing that it creates.
    #[must_use]
    pub fn created_id(self) -> Uuid {
        Uuid::new_v5(&self.0, b"created")
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What a command that was taken was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenCommand {
    /// The hash of the whole request, so that a repetition is told from another one.
    pub request_hash: [u8; 32],
    /// The stream of what the answer shows.
    pub shown: StreamName,
    /// That stream's version right after the command.
    pub version: u64,
}

/// An event of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenCommandEvent {
    /// It was taken; always the stream's only event.
    CommandTaken(TakenCommand),
}

/// What is asked about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenCommandCommand {
    /// Note that it was taken.
    Take {
        /// What it was about.
        taken: TakenCommand,
        /// The clock.
        now: Timestamp,
    },
}

/// The command was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command was taken under this key before: look at what it did")]
pub struct TakenBefore;

impl Decider for TakenCommand {
    type State = Option<Self>;
    type Command = TakenCommandCommand;
    type Event = TakenCommandEvent;
    type Rejection = TakenBefore;

    fn initial() -> Option<Self> {
        None
    }

    fn decide(
        command: &TakenCommandCommand,
        state: &Option<Self>,
    ) -> Result<Vec<Occurrence<TakenCommandEvent>>, TakenBefore> {
        let TakenCommandCommand::Take { taken, now } = *command;
        match state {
            None => Ok(vec![Occurrence::new(
                TakenCommandEvent::CommandTaken(taken),
                now,
            )]),
            Some(before) if *before == taken => Ok(vec![]),
            Some(_) => Err(TakenBefore),
        }
    }

    fn evolve(state: Option<Self>, occurrence: &Occurrence<TakenCommandEvent>) -> Option<Self> {
        let TakenCommandEvent::CommandTaken(taken) = occurrence.event;
        state.or(Some(taken))
    }
}
