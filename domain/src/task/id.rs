//! What a task is called: by the event that made it one.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::stream::{Category, StreamName};

/// A task, by the event that made it one. So whoever has the id finds that event
/// without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    subject: StreamName,
    version: u64,
}

/// No task can be called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that the list of tasks tells, such as tsk_delivery-<uuid>-7")]
pub struct InvalidTaskId;

impl TaskId {
    /// What its text begins with.
    pub const PREFIX: &'static str = "tsk_";

    /// The kinds of streams that tasks are about.
    const SUBJECTS: [Category; 4] = [
        Category::Delivery,
        Category::DroneSession,
        Category::Operation,
        Category::Refusals,
    ];

    /// The task that the event of this version, from 1, in this stream made, if it made one.
    ///
    /// # Errors
    /// [`InvalidTaskId`] unless the stream is a delivery's, a drone session's, an operation's or one
    /// of refused messages.
    pub fn new(subject: StreamName, version: u64) -> Result<Self, InvalidTaskId> {
        if version == 0 || !Self::SUBJECTS.contains(&subject.category) {
            return Err(InvalidTaskId);
        }
        Ok(Self { subject, version })
    }

    /// The stream that it is about: a delivery's, a drone session's, an operation's or one of
    /// refused messages.
    #[must_use]
    pub const fn subject(self) -> StreamName {
        self.subject
    }

    /// The version in that stream of the event that made it a task, from 1.
    #[must_use]
    pub const fn version(self) -> u64 {
        self.version
    }
}

/// `tsk_delivery-<uuid>-7`
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}-{}", Self::PREFIX, self.subject, self.version)
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    /// Takes exactly what `Display` prints, so one task has one text.
    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let id = read(text).ok_or(InvalidTaskId)?;
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidTaskId)
        }
    }
}

fn read(text: &str) -> Option<TaskId> {
    let (subject, version) = text.strip_prefix(TaskId::PREFIX)?.rsplit_once('-')?;
    let (category, key) = subject.split_once('-')?;
    let category = TaskId::SUBJECTS
        .into_iter()
        .find(|known| known.name() == category)?;
    let key = Uuid::try_parse(key).ok()?;
    TaskId::new(StreamName { category, key }, version.parse().ok()?).ok()
}
