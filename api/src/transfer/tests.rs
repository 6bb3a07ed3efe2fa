//! What is imported is what was exported, and nothing else is taken.

mod refused;

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use eventstore::{
    Budget, Category, Commit, CommitId, Event, EventStore, EventType, Expected, Filter, Journal,
    JournalOptions, JournalReader, KnownSchema, Label, Part, Record, RegisteredStore,
    SchemaFingerprint, SchemaVersion, StreamId, StreamVersion,
};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

const FORMATS: [Format; 2] = [Format::Ndjson, Format::Cloudevents];

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn journal(folder: &Path, log_id: u128) -> Journal {
    let options = JournalOptions {
        segment_bytes: 2_000,
        disk_free_bytes_min: 0,
        ..JournalOptions::new(Uuid::from_u128(log_id))
    };
    Journal::open(folder, options).unwrap()
}

fn records(log: &dyn EventStore) -> Vec<Record> {
    let all = Budget {
        records_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let page = log.read_all(Position::START, &Filter::everything(), all);
    page.unwrap().records
}

/// A commit of these events on as many streams: category, key, payloads.
type Draft = (i64, Vec<(u16, u8, Vec<Vec<u8>>)>);

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..40);
    let part = (1..8_u16, 0..4_u8, proptest::collection::vec(payload, 1..4));
    let commit = (any::<i32>(), proptest::collection::vec(part, 1..4));
    let commit = commit.prop_map(|(clock, parts)| (i64::from(clock), parts));
    proptest::collection::vec(commit, 0..12)
}

/// A log of these commits, whose registry names their schemas as a service would have it.
fn written(folder: &Path, log_id: u128, drafts: &[Draft]) -> Journal {
    let log = Arc::new(journal(folder, log_id));
    let store: Arc<dyn EventStore> = Arc::<Journal>::clone(&log);
    let schemas = (1..=21).flat_map(|event_type| {
        (1..=3).map(move |schema| KnownSchema {
            event_type: EventType(event_type),
            schema: SchemaVersion(schema),
            fingerprint: SchemaFingerprint([7; 16]),
        })
    });
    write(&RegisteredStore::open(store, schemas).unwrap(), drafts);
    Arc::into_inner(log).unwrap()
}

fn write(log: &RegisteredStore, drafts: &[Draft]) {
    for (number, (clock_us, parts)) in (1_u128..).zip(drafts) {
        let mut streams = std::collections::BTreeMap::new();
        for (category, key, payloads) in parts {
            let stream = StreamId::new(Category::new(*category), Uuid::from_u128((*key).into()));
            streams.entry(stream).or_insert(payloads);
        }
        let part = |(stream, payloads): (StreamId, &Vec<Vec<u8>>)| {
            let page = log.read_stream(stream, StreamVersion::EMPTY, Budget::PAGE);
            let events = (1..)
                .zip(payloads)
                .map(|(number, payload): (u16, _)| Event {
                    event_type: EventType(number * stream.category.get()),
                    schema: SchemaVersion(number),
                    event_time_us: clock_us.wrapping_mul(1 << 31),
                    inferred: payload.len() % 2 == 1,
                    cause: (payload.len() % 3 > 0)
                        .then(|| Label::new("\"fact\"\n\u{1f6eb}").unwrap()),
                    payload: payload.clone(),
                });
            Part {
                stream,
                owner: (stream.category.get() % 2 == 0).then(|| Uuid::from_u128(3)),
                expected: Expected::from(page.unwrap().version),
                events: events.collect(),
            }
        };
        let commit = Commit {
            id: CommitId(Uuid::from_u128(number)),
            clock_us: *clock_us,
            actor: Label::new("user \\ 7").unwrap(),
            correlation_id: Uuid::from_u128(number / 2),
            parts: streams.into_iter().map(part).collect(),
        };
        wait(log.append(commit)).unwrap();
    }
}

fn exported(folder: &Path, format: Format) -> Vec<u8> {
    let reader = JournalReader::open(folder).unwrap();
    let mut out = Vec::new();
    export(&reader, format, Position::START, &mut out, &mut |_, _| ()).unwrap();
    out
}

fn imported(log: &Journal, format: Format, bytes: &[u8]) -> Result<Imported, ImportError> {
    wait(import(log, format, &mut Cursor::new(bytes), &mut |_| ()))
}

/// An eighth of the usual number of cases, so that `PROPTEST_CASES` still
/// raises it: each of them waits for a disk.
fn fewer_cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(8),
        ..usual
    }
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn what_is_imported_is_what_was_exported(drafts in drafts()) {
        let folder = TempDir::new().unwrap();
        let log = written(folder.path(), 1, &drafts);
        for format in FORMATS {
            let bytes = exported(folder.path(), format);
            let other = TempDir::new().unwrap();
            let copy = journal(other.path(), 1);
            let done = imported(&copy, format, &bytes).unwrap();
            prop_assert_eq!(records(&copy), records(&log));
            prop_assert_eq!(done.records_appended, log.head().borrow().get());
            let again = imported(&copy, format, &bytes).unwrap();
            prop_assert_eq!((again.records_appended, again.head), (0, done.head));
            prop_assert_eq!(exported(other.path(), format), bytes);
        }
    }

    #[test]
    fn an_export_cut_anywhere_is_gone_on_with_to_the_same_bytes(drafts in drafts(), at: prop::sample::Index) {
        let folder = TempDir::new().unwrap();
        let log = written(folder.path(), 1, &drafts);
        for format in FORMATS {
            let whole = exported(folder.path(), format);
            let file = folder.path().join("export");
            std::fs::write(&file, &whole[..at.index(whole.len() + 1)]).unwrap();
            let reader = JournalReader::open(folder.path()).unwrap();
            let done = export_to_file(&reader, format, Position::START, &file, &mut |_, _| ());
            prop_assert_eq!(done.unwrap().last, *log.head().borrow());
            prop_assert_eq!(std::fs::read(&file).unwrap(), whole);
        }
    }

    #[test]
    fn an_import_cut_anywhere_says_where_and_is_gone_on_with(drafts in drafts(), at: prop::sample::Index) {
        let folder = TempDir::new().unwrap();
        let log = written(folder.path(), 1, &drafts);
        for format in FORMATS {
            let whole = exported(folder.path(), format);
            let other = TempDir::new().unwrap();
            let copy = journal(other.path(), 1);
            match imported(&copy, format, &whole[..at.index(whole.len() + 1)]) {
                Ok(_) => {}
                Err(ImportError::Line { line, .. }) => prop_assert!(line > 0),
                Err(other) => prop_assert!(false, "{}", other),
            }
            let done = imported(&copy, format, &whole).unwrap();
            prop_assert_eq!(done.records_there + done.records_appended, log.head().borrow().get());
            prop_assert_eq!(records(&copy), records(&log));
        }
    }

    #[test]
    fn a_line_with_any_byte_changed_is_refused_by_its_number_or_says_something_else(
        drafts in drafts(), at: prop::sample::Index, byte in 0x20..0x7f_u8,
    ) {
        let folder = TempDir::new().unwrap();
        let log = written(folder.path(), 1, &drafts);
        for format in FORMATS {
            let mut bytes = exported(folder.path(), format);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
            let other = TempDir::new().unwrap();
            let copy = journal(other.path(), 1);
            match imported(&copy, format, &bytes) {
                Err(ImportError::Line { line, .. }) => prop_assert!(line <= lines),
                Err(other) => prop_assert!(false, "{}", other),
                Ok(_) => prop_assert_eq!(records(&copy).len(), records(&log).len()),
            }
            // What came before is a beginning of some log that is in order.
            copy.close();
            let report = eventstore::verify(other.path(), &mut |_, _| ()).unwrap();
            prop_assert_eq!(report.findings, vec![]);
        }
    }
}

/// A log of two commits on one stream, behind the names of their schemas.
fn small() -> (TempDir, Vec<Record>) {
    let folder = TempDir::new().unwrap();
    let part = |payload: u8| (1, 1, vec![vec![payload], vec![payload]]);
    let log = written(
        folder.path(),
        1,
        &[
            (5, vec![part(1), (2, 2, vec![vec![9]])]),
            (6, vec![part(2)]),
        ],
    );
    let records = records(&log);
    (folder, records)
}

#[test]
fn given_a_delivery_its_cloud_events_say_so_in_words() {
    let (folder, _) = small();
    let text = String::from_utf8(exported(folder.path(), Format::Cloudevents)).unwrap();
    // Behind the header and the log's own two, which name the schemas.
    let event: serde_json::Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    let names = event.as_object().unwrap().keys();
    let lower = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    assert!(
        names
            .clone()
            .all(|name| lower(name) || name == "data_base64")
    );
    assert!(names.clone().all(|name| name.len() <= 20));
    assert_eq!(event["specversion"], "1.0");
    let known = domain::codec::event_types()
        .iter()
        .any(|known| known.number == 1);
    assert_eq!(
        event["type"]
            .as_str()
            .unwrap()
            .starts_with("airpost.delivery.type_"),
        !known
    );
    assert!(event["subject"].as_str().unwrap().starts_with("delivery-"));
    assert_eq!(event["position"], "2");
}

#[test]
fn given_lines_that_do_not_fit_together_each_is_refused_with_its_number() {
    let (folder, whole) = small();
    for format in FORMATS {
        let text = String::from_utf8(exported(folder.path(), format)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        let mut twice = lines.clone();
        twice.insert(2, lines[1]);
        let without: Vec<&str> = [&lines[..1], &lines[2..]].concat();
        for (broken, line) in [(swapped, 2), (twice, 3), (without, 2), (vec![], 1)] {
            let other = TempDir::new().unwrap();
            let copy = journal(other.path(), 1);
            let refused = imported(&copy, format, broken.join("\n").as_bytes()).unwrap_err();
            assert!(
                matches!(&refused, ImportError::Line { line: at, .. } if *at == line),
                "{refused}"
            );
            // What came before stays, and the mended file is gone on with.
            imported(&copy, format, text.as_bytes()).unwrap();
            assert_eq!(records(&copy), whole);
        }
    }
}

#[test]
fn given_a_disk_without_room_the_cause_is_told_and_with_room_the_import_goes_on() {
    let (source, there) = small();
    for format in FORMATS {
        let bytes = exported(source.path(), format);
        let target = TempDir::new().unwrap();
        let without_room = JournalOptions {
            disk_free_bytes_min: u64::MAX,
            ..JournalOptions::new(Uuid::from_u128(9))
        };
        let full = Journal::open(target.path(), without_room).unwrap();
        // Not what the first refusal does to the commits behind it.
        let refused = imported(&full, format, &bytes).unwrap_err();
        let first = Position::START.next();
        assert!(
            matches!(refused, ImportError::Full { position } if position == first),
            "{refused}"
        );
        full.close();
        drop(full);
        let log = journal(target.path(), 9);
        imported(&log, format, &bytes).unwrap();
        assert_eq!(records(&log), there);
    }
}

#[test]
fn given_a_log_of_other_content_nothing_is_appended_to_it() {
    let (folder, _) = small();
    for format in FORMATS {
        let bytes = exported(folder.path(), format);
        let other = TempDir::new().unwrap();
        let copy = written(other.path(), 1, &[(5, vec![(1, 1, vec![vec![7]])])]);
        let before = records(&copy);
        imported(&copy, format, &bytes).unwrap_err();
        assert_eq!(records(&copy), before);
    }
}

#[test]
fn given_a_file_without_a_line_only_the_beginning_of_our_own_header_is_written_over() {
    let (folder, _) = small();
    let log = JournalReader::open(folder.path()).unwrap();
    let file = folder.path().join("lines");
    for format in FORMATS {
        let whole = exported(folder.path(), format);
        let header = whole.split(|byte| *byte == b'\n').next().unwrap();
        let write = || export_to_file(&log, format, Position::START, &file, &mut |_, _| ());
        for length in [0, 1, header.len() - 1, header.len()] {
            std::fs::write(&file, &header[..length]).unwrap();
            write().unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), whole, "{length}");
        }
        let longer = [header, b" "].concat();
        // More than the longest line: no line end is near its end.
        let endless = vec![b'x'; LINE_BYTES_MAX + 9];
        let endless_behind_a_line = [&b"mine\n"[..], &endless].concat();
        let foreign = [
            b"a letter".to_vec(),
            b"{".repeat(2),
            vec![0; 9],
            longer,
            endless,
        ];
        for bytes in foreign.into_iter().chain([endless_behind_a_line]) {
            std::fs::write(&file, &bytes).unwrap();
            let refused = write().unwrap_err();
            assert!(
                matches!(refused, ExportError::OtherFile { .. }),
                "{refused}"
            );
            assert!(std::fs::read(&file).unwrap() == bytes, "it is left alone");
        }
    }
}

#[test]
fn given_a_file_of_another_log_form_or_beginning_it_is_not_gone_on_with() {
    let (folder, _) = small();
    let other = TempDir::new().unwrap();
    written(other.path(), 2, &[(5, vec![(1, 1, vec![vec![1]])])]);
    let file = folder.path().join("export");
    let reader = JournalReader::open(folder.path()).unwrap();
    let go_on = |format, after| {
        export_to_file(&reader, format, Position::new(after), &file, &mut |_, _| ())
    };
    for format in FORMATS {
        for foreign in [
            exported(other.path(), format),
            exported(
                folder.path(),
                if format == Format::Ndjson {
                    FORMATS[1]
                } else {
                    FORMATS[0]
                },
            ),
            b"a letter\nto somebody\n".to_vec(),
        ] {
            std::fs::write(&file, &foreign).unwrap();
            let refused = go_on(format, 0).unwrap_err();
            assert!(
                matches!(refused, ExportError::OtherFile { .. }),
                "{refused}"
            );
            assert_eq!(std::fs::read(&file).unwrap(), foreign, "it is left alone");
        }
        std::fs::write(&file, exported(folder.path(), format)).unwrap();
        assert!(matches!(
            go_on(format, 1),
            Err(ExportError::OtherFile { .. })
        ));
    }
}
