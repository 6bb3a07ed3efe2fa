//! One task, from the log alone: so that it is current whatever the view has
//! not reached, and says what the domain says.

use domain::stream::{Category, StreamName};
use domain::task::{StandingTasks, TaskEvent, TaskId};
use domain::time::Timestamp;
use eventstore::{Budget, EventStore, Record, StreamId, StreamVersion};

use super::{Acknowledgement, Task, turns};
use crate::projection::{Facts, Halt};
use crate::stored::instant;
use crate::views::QueryError;

/// A task whose reason lasts.
pub(crate) fn task(log: &dyn EventStore, id: TaskId) -> Result<Option<Task>, QueryError> {
    let (mut standing, mut since) = (StandingTasks::default(), None::<Timestamp>);
    follow(log, id.subject(), needed_from(id), |record, facts| {
        for (place, turn) in turns(facts) {
            let version = record.first_version.get().saturating_add(u64::from(place));
            standing = std::mem::take(&mut standing).evolve(version, turn);
            if version == id.version() {
                since = Some(instant(record.recorded_at_us));
            }
        }
    })?;
    let (Some(matter), Some(since)) = (standing.get(id.version()), since) else {
        return Ok(None);
    };
    let mut acknowledgement = None;
    follow(
        log,
        StreamName::task(id),
        StreamVersion::EMPTY,
        |record, facts| {
            if let Facts::Task(events) = facts {
                for TaskEvent::TaskAcknowledged { task: _, note } in events {
                    acknowledgement
                        .get_or_insert_with(|| Acknowledgement::of(record, note.clone()));
                }
            }
        },
    )?;
    Ok(Some(Task {
        id,
        since,
        matter: matter.clone(),
        acknowledgement,
    }))
}

/// The version after which a task's stream must be folded: a delivery's own task and that of a
/// stuck operation depend on those before it, one about a fact or a message does not.
fn needed_from(id: TaskId) -> StreamVersion {
    let is_letter = matches!(
        id.subject().category,
        Category::DroneSession | Category::Refusals
    );
    if is_letter {
        StreamVersion::new(id.version().saturating_sub(1))
    } else {
        StreamVersion::EMPTY
    }
}

/// Shows every record of a stream after a version.
fn follow(
    log: &dyn EventStore,
    name: StreamName,
    mut after: StreamVersion,
    mut each: impl FnMut(&Record, &Facts),
) -> Result<(), QueryError> {
    let category = eventstore::Category::new(name.category.number());
    let stream = StreamId::new(category, name.key);
    loop {
        let page = log.read_stream(stream, after, Budget::PAGE)?;
        for record in &page.records {
            match Facts::of(record) {
                Facts::Undecodable(why) => return Err(Halt::Undecodable(why).into()),
                facts @ (Facts::Delivery(_)
                | Facts::User(_)
                | Facts::Session(_)
                | Facts::Refusals(_)
                | Facts::Task(_)
                | Facts::Operation(_)
                | Facts::Other) => each(record, &facts),
            }
        }
        if page.records.is_empty() || page.read_to >= page.version {
            return Ok(());
        }
        after = page.read_to;
    }
}
