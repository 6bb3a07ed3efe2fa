//! The frozen payloads of task events.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{TaskEvent, TaskId};
use crate::codec::{InvalidField, checked, first_schema, stored_events};
use crate::stream::{Category, StreamName};
use crate::text::Comment;

#[derive(Debug, Serialize, Deserialize)]
struct TaskAcknowledgedV1 {
    category: u16,
    key: [u8; 16],
    version: u64,
    note: Option<String>,
}

first_schema!(TaskAcknowledgedV1);

impl TaskAcknowledgedV1 {
    fn task(&self) -> Result<TaskId, InvalidField> {
        let category = Category::from_number(self.category).ok_or(InvalidField("category"))?;
        let key = Uuid::from_bytes(self.key);
        let subject = StreamName { category, key };
        checked("version", TaskId::new(subject, self.version))
    }
}

stored_events!(TaskEvent {
    601 TaskAcknowledged TaskAcknowledgedV1
    { Self::TaskAcknowledged { task, note } => TaskAcknowledgedV1 {
        category: task.subject().category.number(),
        key: task.subject().key.into_bytes(),
        version: task.version(),
        note: note.as_ref().map(ToString::to_string),
    } }
    { stored => TaskEvent::TaskAcknowledged {
        task: stored.task()?,
        note: stored.note.map(|note| checked("note", Comment::new(note))).transpose()?,
    } }
});
