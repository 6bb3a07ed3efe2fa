//! What can be done about what needs a person.

use domain::actor::{Actor, ActorKind};
use domain::codec::StoredEvent;
use domain::decider::Decider as _;
use domain::delivery::DeliveryEvent;
use domain::refusals::RefusalEvent;
use domain::scheduling::OperationEvent;
use domain::session::SessionEvent;
use domain::stream::{Category, StreamName};
use domain::task::{
    Acknowledged, StandingTasks, Task, TaskCommand, TaskEvent, TaskId, TaskRejection, TaskTurn,
};
use domain::text::Comment;
use eventstore::StreamVersion;

use super::keyed::ClientRequest;
use super::load::LoadError;
use super::transact::{Application, Done, Draft, Precondition, Request, TransactError};

/// Which rule said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// There is no such task, or its reason is gone.
    #[error("there is no such task, or its reason is gone")]
    Unknown,
    /// Somebody has seen to it since the caller read it.
    #[error("the task has changed: it is at sequence {sequence} now")]
    Changed {
        /// The sequence it has.
        sequence: u64,
    },
    /// Somebody has seen to it and said something else, or nothing.
    #[error(transparent)]
    NoteStands(TaskRejection),
}

impl Application {
    /// Notes that an operator has seen to a task. Of one that somebody has seen
    /// to nothing is written, and a note of other words than theirs is refused.
    ///
    /// Whether the task stands is decided on the log, as it is just then. The
    /// commit does not hang on it: a reason that goes at the same moment takes
    /// the task with it, whoever has seen to it.
    ///
    /// # Errors
    /// [`TaskError`], or a failure of the machine.
    pub async fn acknowledge_task(
        &self,
        request: ClientRequest,
        id: TaskId,
        seen: &Precondition,
        note: Option<Comment>,
    ) -> Result<Done<TaskId>, TransactError<TaskError>> {
        let now = self.now()?;
        let request = Request::of_client(request, Actor::unnamed(ActorKind::Operator));
        self.transact(&request, |draft| {
            let mut task = draft.load::<Option<Acknowledged>>(StreamName::task(id))?;
            let command = TaskCommand::Acknowledge {
                task: id,
                stands: stands(draft, id)?,
                note: note.clone(),
                now,
            };
            let events = Task::decide(&command, &task.state)
                .map_err(|rejection| TransactError::Rejected(rejection.into()))?;
            // A task is there before anything is written on its own stream.
            if *seen != Precondition::Exists && !seen.accepts(task.version) {
                let sequence = task.version.get();
                return Err(TransactError::Rejected(TaskError::Changed { sequence }));
            }
            draft.record(&mut task, None, None, &events);
            draft.shows(&task);
            Ok(id)
        })
        .await
    }

    /// Which task a stream of a task's own is of, if somebody has seen to it.
    ///
    /// # Errors
    /// A failure to read.
    pub fn acknowledged_task(&self, name: StreamName) -> Result<Option<TaskId>, LoadError> {
        let events = self.loader().events::<TaskEvent>(name)?;
        Ok(events
            .first()
            .map(|TaskEvent::TaskAcknowledged { task, .. }| *task))
    }
}

impl From<TaskRejection> for TaskError {
    fn from(rejection: TaskRejection) -> Self {
        match rejection {
            TaskRejection::NoSuchTask => Self::Unknown,
            TaskRejection::NoteStands => Self::NoteStands(rejection),
        }
    }
}

/// Whether the reason of a task lasts.
fn stands(draft: &Draft<'_>, id: TaskId) -> Result<bool, LoadError> {
    let (subject, first) = (id.subject(), StreamVersion::EMPTY);
    // What is given up or refused depends on nothing before it.
    let before = StreamVersion::new(id.version().saturating_sub(1));
    let standing = if subject.category == Category::DroneSession {
        standing::<SessionEvent>(draft, subject, before, TaskTurn::of_session)
    } else if subject.category == Category::Refusals {
        standing::<RefusalEvent>(draft, subject, before, TaskTurn::of_refusals)
    } else if subject.category == Category::Operation {
        standing::<OperationEvent>(draft, subject, first, TaskTurn::of_operation)
    } else {
        standing::<DeliveryEvent>(draft, subject, first, TaskTurn::of_delivery)
    };
    Ok(standing?.get(id.version()).is_some())
}

fn standing<E: StoredEvent>(
    draft: &Draft<'_>,
    subject: StreamName,
    after: StreamVersion,
    turn: fn(&E) -> Option<TaskTurn>,
) -> Result<StandingTasks, LoadError> {
    let mut standing = StandingTasks::default();
    draft.follow::<E>(subject, after, |version, occurrence| {
        if let Some(turn) = turn(&occurrence.event) {
            standing = std::mem::take(&mut standing).evolve(version.get(), turn);
        }
    })?;
    Ok(standing)
}
