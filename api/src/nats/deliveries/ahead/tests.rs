//! How far the log is read for what is still to go out.

use domain::codec::StoredEvent as _;
use domain::dispatch::DispatchEvent;
use domain::user::UserEvent;
use eventstore::{
    Category, Commit, CommitId, Event, EventType, Expected, Label, MemoryEventStore, Part,
    SchemaVersion, StreamId, StreamVersion,
};
use uuid::Uuid;

use super::*;
use crate::public_events::shown::{DISPATCH, USER};

/// A type that is for nobody else.
fn hidden() -> u16 {
    let mut types = DispatchEvent::TYPES.iter();
    let found = types.find(|known| !is_shown(EventType(known.number)));
    found.expect("some are hidden").number
}

async fn write(log: &MemoryEventStore, number: u128, event_type: u16) {
    write_of(DISPATCH, log, number, event_type).await;
}

async fn write_of(category: Category, log: &MemoryEventStore, number: u128, event_type: u16) {
    let stream = StreamId::new(category, Uuid::from_u128(number));
    let event = Event {
        event_type: EventType(event_type),
        schema: SchemaVersion(1),
        event_time_us: 0,
        inferred: false,
        cause: None,
        payload: Vec::new(),
    };
    let commit = Commit {
        id: CommitId(Uuid::from_u128(number)),
        clock_us: i64::try_from(number).unwrap(),
        actor: Label::new("system").unwrap(),
        correlation_id: Uuid::nil(),
        parts: vec![Part {
            stream,
            owner: None,
            expected: Expected::Exact(StreamVersion::EMPTY),
            events: vec![event],
        }],
    };
    log.append(commit).await.unwrap();
}

#[tokio::test]
async fn given_pages_without_anything_public_then_what_lies_behind_them_is_found() {
    let log = MemoryEventStore::new(Uuid::nil());
    let pages = 3 * BUDGET.records_max as u128;
    for number in 1..=pages {
        write(&log, number, hidden()).await;
    }
    let head = || *log.head().borrow();
    assert_eq!(behind(&log, Place::START).await, (head().get(), None));
    // A type of a later release, which is told of.
    write(&log, pages + 1, u16::MAX).await;
    let recorded_us = i64::try_from(pages + 1).unwrap();
    assert_eq!(
        behind(&log, Place::START).await,
        (head().get(), Some(recorded_us))
    );
    assert_eq!(count(&log, Place::behind(head())).await, Ok(1));
    assert_eq!(
        skip(&log, Place::START, 1).await,
        Ok(Some(Place::behind(head())))
    );
    assert_eq!(behind(&log, Place::behind(head())).await, (0, None));
}

#[tokio::test]
async fn given_an_event_that_cannot_be_read_then_those_before_it_come_first() {
    let log = MemoryEventStore::new(Uuid::nil());
    let readable = UserEvent::TYPES.first().expect("there are some").number;
    for number in 1..=3 {
        write_of(USER, &log, number, readable).await;
    }
    write(&log, 4, u16::MAX).await;
    write_of(USER, &log, 5, readable).await;
    let mut ahead = Ahead::of(&(Arc::new(log) as Arc<dyn EventStore>), Place::START);
    for left in [3, 2, 1] {
        // However often it is looked for more.
        assert_eq!(ahead.read(), Ok(false));
        assert_eq!(ahead.next().len(), left);
        ahead.drop_first(1);
    }
    let halted = ahead.read();
    assert!(matches!(halted, Err(Halted::Unreadable(_))), "{halted:?}");
    assert_eq!(ahead.at(), Place::behind(Position::new(3)));
}
