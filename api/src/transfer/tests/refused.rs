//! Files that nobody exported: each is refused by the number of a line, in little memory.

use eventstore::limits::{COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_PARTS_MAX};
use eventstore::{CommitPlace, LogIdentity, SCHEMA_STREAM};

use super::*;

const IDENTITY: LogIdentity = LogIdentity {
    log_id: Uuid::from_u128(1),
    epoch: 1,
};

/// The registry's first record, and the record of a delivery after it.
fn registry_and_delivery() -> (Record, Record) {
    let (_, mut records) = small();
    let delivery = records.remove(1);
    let registry = records.remove(0);
    assert_eq!(registry.stream, SCHEMA_STREAM);
    (registry, delivery)
}

/// A record of the delivery's commit, by its place in it, with payloads of these sizes.
fn record(delivery: &Record, place: usize, payloads: &[usize]) -> Record {
    let event = &delivery.events[0];
    let events = payloads.iter().map(|bytes| Event {
        payload: vec![7; *bytes],
        ..event.clone()
    });
    Record {
        position: Position::new(2 + place as u64),
        stream: StreamId::new(delivery.stream.category, Uuid::from_u128(place as u128)),
        first_version: StreamVersion::new(1),
        events: events.collect(),
        ..delivery.clone()
    }
}

/// The file of a log that begins with its registry and goes on with one commit.
fn file(format: Format, registry: &Record, commit: Vec<Record>, records: u16) -> Vec<u8> {
    let header = Header {
        identity: IDENTITY,
        after: Position::START,
    };
    let mut lines = vec![format.header_line(&header)];
    let mut write = |record, place, records| {
        let place = CommitPlace { place, records };
        lines.extend(format.lines(IDENTITY, &Placed { record, place }));
    };
    write(registry.clone(), 0, 1);
    for (place, record) in (0..).zip(commit) {
        write(record, place, records);
    }
    lines.join("\n").into_bytes()
}

/// The number of the line that is refused, counted from the commit's first, and why.
fn refused(format: Format, commit: Vec<Record>, records: u16) -> (u64, String) {
    let (registry, _) = registry_and_delivery();
    let before = file(format, &registry, Vec::new(), 0);
    let before = before.split(|byte| *byte == b'\n').count() as u64;
    let bytes = file(format, &registry, commit, records);
    let folder = TempDir::new().unwrap();
    let copy = journal(folder.path(), 1);
    let error = imported(&copy, format, &bytes).unwrap_err();
    assert_eq!(crate::transfer::tests::records(&copy), [registry]);
    let ImportError::Line { line, why } = error else {
        panic!("{error}");
    };
    (line - before, why)
}

#[test]
fn given_a_commit_that_never_ends_then_it_is_refused_with_the_first_line_that_is_too_much() {
    let (_, delivery) = registry_and_delivery();
    for format in FORMATS {
        let many = (0..COMMIT_PARTS_MAX + 9).map(|place| record(&delivery, place, &[1]));
        let (line, why) = refused(format, many.collect(), u16::MAX);
        assert_eq!(line, COMMIT_PARTS_MAX as u64 + 1, "{why}");

        let half = COMMIT_BYTES_MAX / 2 + 1;
        let large = (0..4).map(|place| record(&delivery, place, &[half]));
        let (line, why) = refused(format, large.collect(), u16::MAX);
        assert_eq!(line, 2, "{why}");

        // Within one record: a line, or a line an event.
        let events = |line| if format == Format::Ndjson { 1 } else { line };
        let many = record(&delivery, 0, &vec![1; COMMIT_EVENTS_MAX + 9]);
        let (line, why) = refused(format, vec![many], u16::MAX);
        assert_eq!(line, events(COMMIT_EVENTS_MAX as u64 + 1), "{why}");
        let large = record(&delivery, 0, &[half, half, half]);
        let (line, why) = refused(format, vec![large], u16::MAX);
        assert_eq!(line, events(2), "{why}");
    }
}

#[test]
fn given_an_event_whose_schema_the_file_does_not_name_then_its_line_is_refused() {
    let (_, delivery) = registry_and_delivery();
    for format in FORMATS {
        for (event_type, schema) in [(999, 1), (delivery.events[0].event_type.0, 99)] {
            let mut unnamed = record(&delivery, 0, &[1]);
            unnamed.events[0].event_type = EventType(event_type);
            unnamed.events[0].schema = SchemaVersion(schema);
            let (line, why) = refused(format, vec![unnamed], 1);
            assert_eq!(line, 1, "{why}");
            let named = format!("event type {event_type}, schema {schema} is not named");
            assert!(why.contains(&named), "{why}");
        }
    }
}

#[test]
fn given_a_position_beyond_the_end_then_nothing_is_exported_and_no_file_is_made() {
    let (folder, records) = small();
    let log = JournalReader::open(folder.path()).unwrap();
    let path = folder.path().join("lines");
    let head = records.len() as u64;
    for format in FORMATS {
        for after in [head + 1, u64::MAX - 1, u64::MAX] {
            let after = Position::new(after);
            let refused = export_to_file(&log, format, after, &path, &mut |_, _| ());
            assert!(matches!(refused, Err(ExportError::BeyondHead { .. })));
            let refused = export(&log, format, after, &mut Vec::new(), &mut |_, _| ());
            assert!(matches!(refused, Err(ExportError::BeyondHead { .. })));
            assert!(!path.exists());
        }
        let nothing = export(&log, format, log.head(), &mut Vec::new(), &mut |_, _| ());
        assert_eq!(nothing.unwrap().records, 0);
    }
}
