//! Tests of the delivery's history.

use domain::codec::StoredEvent;
use domain::delivery::DeliveryEvent;
use proptest::prelude::*;

use super::*;
use crate::any_log::{DeliveryStep, Happening, Service, happenings};
use crate::test_log::{TestLog, created, delivery, stream_id, user};
use crate::view_store::VALUE_BYTES_MAX;
use domain::stream::StreamName;
use eventstore::{Budget, EventStore};

fn shown(log: &TestLog, number: u128) -> Vec<HistoryEntry> {
    let set = log.folded();
    let answering = set.view(&DeliveryHistory);
    let view = answering.read();
    history(&view.overlay(), delivery(number)).unwrap()
}

fn recorded(log: &TestLog, number: u128) -> Vec<Record> {
    let stream = stream_id(StreamName::delivery(delivery(number)));
    let budget = Budget {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let page = log.store.read_stream(stream, StreamVersion::EMPTY, budget);
    page.unwrap().records
}

proptest! {
    /// Law: the history of a delivery is its stream, event by event, with nothing lost or changed.
    #[test]
    fn a_history_is_the_stream_itself(happenings in happenings(80)) {
        let service = Service::after(&happenings);
        for number in 0..6 {
            let expected: Vec<HistoryEntry> = recorded(&service.log, number)
                .iter()
                .flat_map(entries)
                .map(HistoryEntry::from)
                .collect();
            prop_assert_eq!(shown(&service.log, number), expected);
        }
    }
}

#[test]
fn an_entry_says_what_happened_when_and_who_said_so() {
    let mut log = TestLog::new();
    let clock = log.clock();
    log.delivery(
        delivery(1),
        user(1),
        [created(user(1)), DeliveryEvent::Scheduled],
    );
    let history = shown(&log, 1);
    let [_, scheduled] = history.as_slice() else {
        panic!("two events");
    };
    assert_eq!(scheduled.sequence, StreamVersion::new(2));
    assert_eq!(scheduled.event_time, clock);
    assert_eq!(scheduled.recorded_at, clock);
    assert_eq!(scheduled.actor, "customer:ada");
    assert_eq!(scheduled.caused_by.as_deref(), Some("fact-1"));
    let (event_type, schema) = (scheduled.event_type.0, scheduled.schema.0);
    let decoded = DeliveryEvent::decode(event_type, schema, &scheduled.payload);
    assert_eq!(decoded, Ok(DeliveryEvent::Scheduled));
}

#[test]
fn a_long_history_goes_on_in_the_next_chunk_and_no_value_is_too_large() {
    let mut service = Service::new();
    let create = DeliveryStep::Create {
        with_long_texts: true,
        named: false,
    };
    service.happen(&Happening::Delivery(1, create));
    for _ in 0..40 {
        let reschedule = DeliveryStep::Reschedule {
            with_long_texts: true,
        };
        service.happen(&Happening::Delivery(1, reschedule.clone()));
        let reschedule = DeliveryStep::Reschedule {
            with_long_texts: false,
        };
        service.happen(&Happening::Delivery(1, reschedule));
    }
    assert_eq!(shown(&service.log, 1).len(), 82);
    let set = service.log.folded();
    let answering = set.view(&DeliveryHistory);
    let view = answering.read();
    let chunks = Key::row().id(delivery(1).uuid().as_bytes()).prefix();
    let chunks = view
        .overlay()
        .scan(&chunks, Direction::Forward, 100)
        .unwrap();
    assert!(chunks.len() > 5, "{} chunks", chunks.len());
    assert!(
        chunks
            .iter()
            .all(|(_, value)| value.len() <= VALUE_BYTES_MAX)
    );
}

#[test]
fn a_delivery_that_never_was_has_no_history() {
    assert_eq!(shown(&TestLog::new(), 1), []);
}
