//! A task: something that a person has to look at.
//!
//! ```text
//! ──its reason comes about──▶ open ──acknowledged──▶ acknowledged
//!                              └────its reason goes───────┴──▶ no task any more
//! ```
//! That there is a task is no event of its own: it follows from what happened to
//! a delivery, in a drone session, to an operation or to a message that was refused, as [`StandingTasks`] says. That
//! somebody has seen to it is one, on a stream of the task's own, so that it never
//! competes with what writes to the stream that it is about.

mod id;
mod standing;
mod payload;

#[cfg(test)]
mod tests;

pub use id::{InvalidTaskId, TaskId};
pub use standing::{Matter, PUT_OFF_MAX, StandingTasks, TaskTurn};

use crate::decider::{Decider, Occurrence};
use crate::text::Comment;
use crate::time::Timestamp;

/// Whether somebody has seen to a task. The state is who said so first, if anybody did.
#[derive(Clone, Copy, Debug)]
pub struct Task;

/// An event of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// Somebody has seen to it; always the stream's only event.
    TaskAcknowledged {
        /// The task.
        task: TaskId,
        /// What they have to say about it.
        note: Option<Comment>,
    },
}

/// What is asked about a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskCommand {
    /// Have it seen to.
    Acknowledge {
        /// The task.
        task: TaskId,
        /// Whether its reason lasts, by the [`StandingTasks`] of the stream that it is about.
        stands: bool,
        /// What there is to say about it.
        note: Option<Comment>,
        /// The clock.
        now: Timestamp,
    },
}

/// Why a task is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskRejection {
    /// Nothing makes it a task, or no longer.
    #[error("there is no such task, or its reason is gone: look at the tasks there are")]
    NoSuchTask,
    /// Somebody has seen to it already and said something else, or nothing.
    #[error(
        "somebody has seen to this task already, and what they said, if anything, stands: leave the note out, or read theirs"
    )]
    NoteStands,
}

/// That somebody has seen to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// When.
    pub at: Timestamp,
    /// What they had to say.
    pub note: Option<Comment>,
}

impl Decider for Task {
    type State = Option<Acknowledged>;
    type Command = TaskCommand;
    type Event = TaskEvent;
    type Rejection = TaskRejection;

    fn initial() -> Option<Acknowledged> {
        None
    }

    fn decide(
        command: &TaskCommand,
        state: &Option<Acknowledged>,
    ) -> Result<Vec<Occurrence<TaskEvent>>, TaskRejection> {
        let TaskCommand::Acknowledge {
            task,
            stands,
            note,
            now,
        } = command;
        if !stands {
            return Err(TaskRejection::NoSuchTask);
        }
        if let Some(first) = state {
            let adds_nothing = note.is_none() || *note == first.note;
            return if adds_nothing {
                Ok(vec![])
            } else {
                Err(TaskRejection::NoteStands)
            };
        }
        let event = TaskEvent::TaskAcknowledged {
            task: *task,
            note: note.clone(),
        };
        Ok(vec![Occurrence::new(event, *now)])
    }

    fn evolve(
        state: Option<Acknowledged>,
        occurrence: &Occurrence<TaskEvent>,
    ) -> Option<Acknowledged> {
        let TaskEvent::TaskAcknowledged { task: _, note } = &occurrence.event;
        state.or_else(|| {
            Some(Acknowledged {
                at: occurrence.event_time,
                note: note.clone(),
            })
        })
    }
}
