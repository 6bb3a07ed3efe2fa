//! Whether this release can read what a journal holds: the store never looks
//! into an event, and the views look into some alone.

use std::ops::ControlFlow;
use std::path::Path;

use domain::claim::{EmailClaimEvent, ExternalIdClaimEvent, TagClaimEvent};
use domain::codec::StoredEvent;
use domain::delivery::DeliveryEvent;
use domain::dispatch::DispatchEvent;
use domain::mission::MissionEvent;
use domain::package::PackageEvent;
use domain::refusals::RefusalEvent;
use domain::scheduling::OperationEvent;
use domain::session::SessionEvent;
use domain::stream::Category;
use domain::taken::TakenCommandEvent;
use domain::task::TaskEvent;
use domain::user::UserEvent;
use eventstore::{EventType, JournalReader, NamedSchemas, Position, Record, SCHEMA_CATEGORY};

use super::terminal::{Progress, Unit, say};

/// How many events that cannot be read are named; all are counted.
const LISTED_MAX: u64 = 100;

/// Reads every event of a journal, which may be in use, and says which ones a
/// service could not. Whether there is none such.
pub(super) fn tell_unreadable(journal: &Path) -> anyhow::Result<bool> {
    let reader = JournalReader::open(journal)?;
    let head = reader.head().get();
    let (mut named, mut unreadable) = (NamedSchemas::default(), 0_u64);
    let progress = Progress::new("events", Unit::Things("records"));
    let mut told = Vec::new();
    reader.walk(Position::START, &mut |record, _| {
        for (event_type, why) in complaints(&mut named, &record) {
            unreadable += 1;
            if unreadable <= LISTED_MAX {
                let position = record.position;
                told.push(match event_type {
                    Some(EventType(number)) => {
                        format!("events: position {position}, event type {number}: {why}")
                    }
                    None => format!("events: position {position}: {why}"),
                });
            }
        }
        progress.at(record.position.get(), head);
        ControlFlow::Continue(())
    })?;
    progress.end();
    for line in &told {
        say(line);
    }
    if unreadable > 0 {
        say(format_args!(
            "events: {unreadable} complaints in all; no service of this release works on this journal as it should"
        ));
    }
    Ok(unreadable == 0)
}

/// What is wrong with the events of a record, each with its type where it is
/// one event's fault.
fn complaints(named: &mut NamedSchemas, record: &Record) -> Vec<(Option<EventType>, String)> {
    let unnamed = named.follow(record).err();
    let unnamed = unnamed.map(|unnamed| (None, unnamed.to_string()));
    let category = record.stream.category;
    let unread = match Category::from_number(category.get()) {
        Some(Category::Delivery) => unread::<DeliveryEvent>(record),
        Some(Category::User) => unread::<UserEvent>(record),
        Some(Category::EmailClaim) => unread::<EmailClaimEvent>(record),
        Some(Category::ExternalIdClaim) => unread::<ExternalIdClaimEvent>(record),
        Some(Category::DroneSession) => unread::<SessionEvent>(record),
        Some(Category::Refusals) => unread::<RefusalEvent>(record),
        Some(Category::Mission) => unread::<MissionEvent>(record),
        Some(Category::Dispatch) => unread::<DispatchEvent>(record),
        Some(Category::Operation) => unread::<OperationEvent>(record),
        Some(Category::Task) => unread::<TaskEvent>(record),
        Some(Category::Package) => unread::<PackageEvent>(record),
        Some(Category::TagClaim) => unread::<TagClaimEvent>(record),
        Some(Category::Command) => unread::<TakenCommandEvent>(record),
        None if category == SCHEMA_CATEGORY => None,
        None => {
            let why = format!(
                "category {} of streams is not known here: run the release that wrote it, or a later one",
                category.get()
            );
            Some((record.events.first().map(|event| event.event_type), why))
        }
    };
    unnamed.into_iter().chain(unread).collect()
}

/// The first event of a record that cannot be read.
fn unread<E: StoredEvent>(record: &Record) -> Option<(Option<EventType>, String)> {
    record.events.iter().find_map(|event| {
        let read = E::decode(event.event_type.0, event.schema.0, &event.payload);
        read.err()
            .map(|why| (Some(event.event_type), why.to_string()))
    })
}
